//! Which objects take up space, and which are used.

use std::collections::BTreeSet;

use super::{Store, StoreError};
use base::digest::ObjectDigest;

/// An object and the space that it takes up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupied {
    /// The object.
    pub object: ObjectDigest,
    /// Size of its file in bytes.
    pub bytes: u64,
    /// Kind of the stage that yielded it (the first in order, if several did); empty if no record names it.
    pub kind: String,
    /// Name of that stage when it ran; also empty if no record names the object.
    pub stage: String,
}

impl Store {
    /// Returns all objects with their sizes and the stages that yielded them. The index answers this after it has
    /// been brought in line with the names of the files; records that it knows are not read.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn occupied(&self) -> Result<Vec<Occupied>, StoreError> {
        let (objects, ..) = self.refresh()?;
        let mut origins = self.index.origins();
        let mut occupied = Vec::with_capacity(objects.len());
        for known in objects {
            let object = known.digest;
            let Some(bytes) = self.stored_bytes(&object)? else { continue };
            let (kind, stage) = origins.remove(&object).unwrap_or_default();
            occupied.push(Occupied { object, bytes, kind, stage });
        }
        Ok(occupied)
    }

    /// Returns the size of an object's file in bytes; `None` if the object is missing.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn stored_bytes(&self, object: &ObjectDigest) -> Result<Option<u64>, StoreError> {
        Ok(files::identity(&self.layout.object(object))?.map(|identity| identity.size))
    }

    /// Returns the objects whose names start with these hexadecimal digits.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn find_objects(&self, prefix: &str) -> Result<Vec<ObjectDigest>, StoreError> {
        let mut found = self.layout.all_objects()?;
        found.retain(|object| object.to_string().starts_with(prefix));
        Ok(found)
    }

    /// Returns the damaged objects in the quarantine, including those that have been restored since.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn quarantined(&self) -> Result<BTreeSet<ObjectDigest>, StoreError> {
        let names = files::list(&self.layout.quarantine())?;
        let digest = |name: &String| name.strip_prefix("object-")?.split('-').next()?.parse().ok();
        Ok(names.iter().filter_map(digest).collect())
    }

    /// Stores in the index that objects, with their raw sizes, were needed today. This is private to the account:
    /// others who share the folder do not see it, and it is lost with the index.
    pub fn note_uses(&self, objects: &[(ObjectDigest, u64)]) {
        let today = u64::try_from(files::now()).unwrap_or(0) / 1_000_000_000 / (24 * 60 * 60);
        self.index.note_uses(objects, today);
    }
}
