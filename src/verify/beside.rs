//! The records of an archive, with the interface of a store.

use std::collections::BTreeMap;

use crate::engine::Recorded;
use base::digest::{ObjectDigest, RecordDigest, StageKey};
use base::record::{Outline, Record};
use store::sign::PublicKey;
use store::{ObjectState, StoreError};

/// The records beside a lock.
pub struct Beside<'a> {
    by_key: BTreeMap<StageKey, Vec<(RecordDigest, &'a Record)>>,
    by_name: BTreeMap<&'a str, &'a Record>,
}

impl<'a> Beside<'a> {
    /// Indexes the records of an archive.
    pub fn of(records: &'a BTreeMap<RecordDigest, Record>) -> Self {
        let mut beside = Self { by_key: BTreeMap::new(), by_name: BTreeMap::new() };
        for (digest, record) in records {
            beside.by_key.entry(record.parts.key()).or_default().push((*digest, record));
            beside.by_name.insert(&record.provenance.stage, record);
        }
        beside
    }
}

impl Recorded for Beside<'_> {
    fn outlines(&self, key: &StageKey) -> Result<Vec<Outline>, StoreError> {
        let found = self.by_key.get(key).into_iter().flatten();
        Ok(found.map(|(digest, record)| Outline { digest: *digest, outputs: record.outputs.clone() }).collect())
    }

    fn last_named(&self, stage: &str) -> Result<Option<Record>, StoreError> {
        Ok(self.by_name.get(stage).map(|record| (*record).clone()))
    }

    fn recorded(&self, key: &StageKey, digest: &RecordDigest) -> Result<Option<Record>, StoreError> {
        let mut found = self.by_key.get(key).into_iter().flatten();
        Ok(found.find(|(other, _)| other == digest).map(|(_, record)| (*record).clone()))
    }

    fn state(&self, _: &ObjectDigest) -> Result<ObjectState, StoreError> {
        // The outputs of the stages are known, whether or not their bytes are present.
        Ok(ObjectState::Present)
    }

    fn signers(&self, _: &RecordDigest) -> Result<Vec<PublicKey>, StoreError> {
        // Signatures are checked at another level.
        Ok(Vec::new())
    }
}
