//! Where records are looked for, and which of several records of one key is used.

use base::digest::{ObjectDigest, RecordDigest, StageKey};
use base::record::{Outline, Record};
use store::sign::PublicKey;
use store::{ObjectState, Store, StoreError};

/// Something that has records: a store, or an archive in memory.
pub trait Recorded: Sync {
    /// All outcomes of a key, in the order of [`Store::records`].
    ///
    /// # Errors
    /// If they cannot be read.
    fn outlines(&self, key: &StageKey) -> Result<Vec<Outline>, StoreError>;

    /// The store whose index remembers outcomes, if nothing but a store is asked.
    fn index(&self) -> Option<&Store> {
        None
    }

    /// The newest record that a stage of this name yielded, whatever its key.
    ///
    /// # Errors
    /// If it cannot be read.
    fn last_named(&self, stage: &str) -> Result<Option<Record>, StoreError>;

    /// Whether an object can be read.
    ///
    /// # Errors
    /// If its file cannot be read.
    fn state(&self, object: &ObjectDigest) -> Result<ObjectState, StoreError>;

    /// The keys that signed a record.
    ///
    /// # Errors
    /// If signatures cannot be read.
    fn signers(&self, record: &RecordDigest) -> Result<Vec<PublicKey>, StoreError>;
}

impl Recorded for Store {
    fn outlines(&self, key: &StageKey) -> Result<Vec<Outline>, StoreError> {
        Self::outlines(self, key)
    }

    fn index(&self) -> Option<&Store> {
        Some(self)
    }

    fn last_named(&self, stage: &str) -> Result<Option<Record>, StoreError> {
        Self::last_named(self, stage)
    }

    fn state(&self, object: &ObjectDigest) -> Result<ObjectState, StoreError> {
        Self::state(self, object)
    }

    fn signers(&self, record: &RecordDigest) -> Result<Vec<PublicKey>, StoreError> {
        Self::signers(self, record)
    }
}

/// How a record stands; of several the smallest is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A lock holds what it yielded.
    Locked,
    /// Somebody who is trusted signed it.
    Trusted,
    /// It is there.
    Known,
    /// It must not be used.
    Refused,
}

/// Says how records stand.
pub trait Preference: Sync {
    /// The standing of a record of a key that was found in `source`.
    ///
    /// # Errors
    /// If signatures cannot be read.
    fn standing(&self, source: &dyn Recorded, key: &StageKey, outline: &Outline) -> Result<Standing, StoreError>;

    /// Whether any record may be refused, so that the only one of a key must be asked for too.
    fn is_strict(&self) -> bool;
}

/// No lock, nobody trusted or refused.
pub struct Indifferent;

impl Preference for Indifferent {
    fn standing(&self, _: &dyn Recorded, _: &StageKey, _: &Outline) -> Result<Standing, StoreError> {
        Ok(Standing::Known)
    }

    fn is_strict(&self) -> bool {
        false
    }
}
