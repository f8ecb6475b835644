//! Checks what the index remembers of records against the files.
//!
//! A plan needs the outcome of every key. Listing a folder, then reading, hashing and decoding its records takes
//! about fifteen system calls per key. A `stat` each of the folder, the record and the objects shows whether they are
//! the same files as when that was last done. Whatever differs is read again.

use std::ffi::CStr;
use std::sync::{MutexGuard, PoisonError};

use super::index::{Memory, Remembered};
use super::layout::{OBJECTS, RECORDS};
use super::records::Found;
use super::{ObjectState, Store, StoreError};
use base::digest::{ObjectDigest, RecordDigest, StageKey};
use base::record::Outline;
use files::{Identity, Lookout};

/// Outcomes that the index remembers; each key can be queried once.
#[derive(Debug)]
pub struct Recall<'a>(Memory<'a>);

/// Folders of a store, opened to check remembered outcomes against the files.
#[derive(Debug)]
pub struct Held {
    records: Lookout,
    objects: Lookout,
    /// On a network file system, an existing file can appear to be missing.
    is_network: bool,
}

/// The files that must be unchanged for the remembered outcome of a key to be valid.
#[derive(Debug, Clone)]
pub struct Witnesses {
    key: StageKey,
    record: RecordDigest,
    folder: Identity,
    file: Identity,
    /// The outputs that are not inline, in order. The identity is absent if the bytes were never verified.
    objects: Vec<(ObjectDigest, Option<Identity>)>,
}

impl Recall<'_> {
    /// Returns the remembered outcome of a key, if it has only one record; see [`Held::holds`].
    pub fn outline(&mut self, key: &StageKey) -> Option<(Outline, Witnesses)> {
        let Remembered { outline, folder, file } = self.0.outcome(key)?;
        let apart = outline.outputs.iter().filter(|output| output.inline.is_none());
        let objects = apart.map(|output| (output.object, self.0.file(&output.object))).collect();
        let witnesses = Witnesses { key: *key, record: outline.digest, folder, file, objects };
        Some((outline, witnesses))
    }
}

impl Store {
    /// Prepares for lookups of about this many keys.
    pub fn recall(&self, keys: usize) -> Recall<'_> {
        Recall(self.index.memory(keys))
    }

    /// Prepares for checking remembered outcomes against the files.
    ///
    /// # Errors
    /// If a folder of the store cannot be opened.
    pub fn held(&self) -> Result<Held, StoreError> {
        let open = |name| Lookout::open(&self.root().join(name));
        Ok(Held { records: open(RECORDS)?, objects: open(OBJECTS)?, is_network: self.sharing.system.is_network })
    }

    /// Returns the outcomes of a key from all its records, in the order of [`Store::records`].
    ///
    /// # Errors
    /// See [`Store::records`].
    pub fn outlines(&self, key: &StageKey) -> Result<Vec<Outline>, StoreError> {
        let now = files::now();
        let folder = files::identity(&self.layout.records(key))?;
        let found = self.found(key)?;
        let only = if let [Found { identity, .. }] = found[..] { Some(identity) } else { None };
        let outlines: Vec<_> =
            found.into_iter().map(|Found { digest, record, .. }| record.into_outline(digest)).collect();
        if let (Some(folder), Some(file), [outline]) = (folder, only, &outlines[..])
            && folder.is_settled(now)
            && file.is_settled(now)
        {
            let remembered = Remembered { outline: outline.clone(), folder, file };
            self.noticed().push((*key, remembered));
        }
        Ok(outlines)
    }

    /// Enters the outcomes noticed since the last call into the index.
    pub fn remember_outlines(&self) {
        let noticed = std::mem::take(&mut *self.noticed());
        if !noticed.is_empty() {
            self.index.remember_outcomes(&noticed);
        }
    }

    fn noticed(&self) -> MutexGuard<'_, Vec<(StageKey, Remembered)>> {
        self.noticed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Returns the state of each output of a key that is not inline, if the remembered outcome is still valid: no
    /// record was added or removed, and the files of the record and of the existing objects are the ones whose bytes
    /// were hashed.
    pub fn holds(&self, witnesses: &Witnesses) -> Option<Vec<ObjectState>> {
        let Witnesses { key, record, folder, file, objects } = witnesses;
        let identity = |name: &CStr| self.records.identity(name).ok().flatten();
        let name = Name::of(&key.digits());
        if identity(name.text())? != *folder || identity(name.with(&record.digits()).text())? != *file {
            return None;
        }
        let state = |(object, known): &(ObjectDigest, Option<Identity>)| match self
            .objects
            .identity(Name::of(&object.digits()).text())
            .ok()?
        {
            there @ Some(_) if there == *known => Some(ObjectState::Present),
            None if !self.is_network => Some(ObjectState::Missing),
            _ => None,
        };
        objects.iter().map(state).collect()
    }
}

/// Path of an object or of a key's folder relative to `objects` or `records` (see [`super::layout`]), built without
/// allocating memory: `ab/cdef…`, followed by the record's own name for a record.
struct Name {
    /// The path, padded with zeros.
    bytes: [u8; 65 + 65 + 1],
}

impl Name {
    fn of(digits: &[u8; 64]) -> Self {
        let mut bytes = [0; 131];
        bytes[..2].copy_from_slice(&digits[..2]);
        bytes[2] = b'/';
        bytes[3..65].copy_from_slice(&digits[2..]);
        Self { bytes }
    }

    fn with(mut self, digits: &[u8; 64]) -> Self {
        self.bytes[65] = b'/';
        self.bytes[66..130].copy_from_slice(digits);
        self
    }

    fn text(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or_default()
    }
}
