//! What takes the space, and what is used.

use std::collections::BTreeSet;

use super::{Store, StoreError};
use base::digest::ObjectDigest;

/// An object, and what it occupies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occupied {
    /// The object.
    pub object: ObjectDigest,
    /// Bytes of its file.
    pub bytes: u64,
    /// The kind of the stage that yielded it (the first in order, if several did); empty if no record tells.
    pub kind: String,
    /// What that stage was called when it ran; likewise.
    pub stage: String,
}

impl Store {
    /// All objects with what they occupy and who yielded them. The index answers, once it is brought in line with the
    /// names of the files; no record is read that it knows.
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

    /// Bytes of an object's file; nothing if it is not there.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn stored_bytes(&self, object: &ObjectDigest) -> Result<Option<u64>, StoreError> {
        Ok(files::identity(&self.layout.object(object))?.map(|identity| identity.size))
    }

    /// The objects whose names begin with these hexadecimal digits.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn find_objects(&self, prefix: &str) -> Result<Vec<ObjectDigest>, StoreError> {
        let mut found = self.layout.all_objects()?;
        found.retain(|object| object.to_string().starts_with(prefix));
        Ok(found)
    }

    /// The objects that lie in the quarantine, damaged, whether or not they are there again by now.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn quarantined(&self) -> Result<BTreeSet<ObjectDigest>, StoreError> {
        let names = files::list(&self.layout.quarantine())?;
        let digest = |name: &String| name.strip_prefix("object-")?.split('-').next()?.parse().ok();
        Ok(names.iter().filter_map(digest).collect())
    }

    /// Notes in the index that objects, with their raw bytes, are needed today. That is this user's memory alone: others
    /// who share the folder do not see it, and it is lost with the index.
    pub fn note_uses(&self, objects: &[(ObjectDigest, u64)]) {
        let today = u64::try_from(files::now()).unwrap_or(0) / 1_000_000_000 / (24 * 60 * 60);
        self.index.note_uses(objects, today);
    }
}
