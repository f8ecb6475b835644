//! Where records are looked up, and which of several records of one key is used.

use crate::plan::Refusal;
use base::digest::{ObjectDigest, RecordDigest, StageKey};
use base::record::{Outline, Record};
use store::sign::PublicKey;
use store::{ObjectState, Store, StoreError};

/// A source of records: a store, or an archive in memory.
pub trait Recorded: Sync {
    /// Returns all outcomes of a key, in the order of [`Store::records`].
    ///
    /// # Errors
    /// If the records cannot be read.
    fn outlines(&self, key: &StageKey) -> Result<Vec<Outline>, StoreError>;

    /// Returns the store whose index caches outcomes, if this source is a plain store.
    fn index(&self) -> Option<&Store> {
        None
    }

    /// Returns the newest record of a stage with this name, under any key.
    ///
    /// # Errors
    /// If the record cannot be read.
    fn last_named(&self, stage: &str) -> Result<Option<Record>, StoreError>;

    /// Returns a record of a key; `None` if it is not here.
    ///
    /// # Errors
    /// If the record cannot be read.
    fn recorded(&self, key: &StageKey, digest: &RecordDigest) -> Result<Option<Record>, StoreError>;

    /// Returns whether an object is present, missing or damaged.
    ///
    /// # Errors
    /// If its file cannot be read.
    fn state(&self, object: &ObjectDigest) -> Result<ObjectState, StoreError>;

    /// Returns the public keys that signed a record.
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

    fn recorded(&self, key: &StageKey, digest: &RecordDigest) -> Result<Option<Record>, StoreError> {
        Self::recorded(self, key, digest)
    }

    fn state(&self, object: &ObjectDigest) -> Result<ObjectState, StoreError> {
        Self::state(self, object)
    }

    fn signers(&self, record: &RecordDigest) -> Result<Vec<PublicKey>, StoreError> {
        Self::signers(self, record)
    }
}

/// The rank of a record; among several records, the one with the smallest standing is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// A lock file pins its outputs.
    Locked,
    /// A trusted key signed it.
    Trusted,
    /// It exists.
    Known,
    /// It must not be used.
    Refused(Refusal),
}

/// Ranks records.
pub trait Preference: Sync {
    /// Returns the standing of a record of a key found in `source`.
    ///
    /// # Errors
    /// If the record or signatures cannot be read.
    fn standing(&self, source: &dyn Recorded, key: &StageKey, outline: &Outline) -> Result<Standing, StoreError>;

    /// Returns whether records can be refused, so that even the only record of a key has to be checked.
    fn is_strict(&self) -> bool;
}

/// No preference: no lock, no trusted keys, and no record is refused.
pub struct Indifferent;

impl Preference for Indifferent {
    fn standing(&self, _: &dyn Recorded, _: &StageKey, _: &Outline) -> Result<Standing, StoreError> {
        Ok(Standing::Known)
    }

    fn is_strict(&self) -> bool {
        false
    }
}
