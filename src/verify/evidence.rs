//! The evidence available for a lock: the records of its stages, and bytes of objects.

use std::collections::BTreeMap;

use crate::stages::StageError;
use base::closure::{Closure, Member};
use base::digest::{ObjectDigest, RecordDigest, StageKey};
use base::record::Record;
use store::lockfile::{Lock, Locked};
use store::{Store, StoreError};

/// The records of a locked figure, and the sources of bytes.
pub struct Evidence<'a> {
    /// The lock.
    pub lock: &'a Lock,
    /// For each stage of the lock, in its order, the record with exactly the locked outputs.
    pub records: Vec<Option<(RecordDigest, Record)>>,
    store: Option<&'a Store>,
    inline: BTreeMap<ObjectDigest, Vec<u8>>,
    beside: &'a BTreeMap<ObjectDigest, Vec<u8>>,
}

/// Returns whether the outputs of a record are those that a lock lists for its stage.
fn fits(stage: &Locked, record: &Record) -> bool {
    record.outputs.len() == stage.outputs.len()
        && record.outputs.iter().all(|output| stage.outputs.get(&output.name) == Some(&output.object))
}

impl<'a> Evidence<'a> {
    /// Gathers the records of a lock's stages from the records beside it, or else from a store; `beside` holds the objects
    /// beside the lock.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn gather(
        lock: &'a Lock,
        records: &BTreeMap<RecordDigest, Record>,
        beside: &'a BTreeMap<ObjectDigest, Vec<u8>>,
        store: Option<&'a Store>,
    ) -> Result<Self, StoreError> {
        let mut by_key: BTreeMap<StageKey, Vec<(RecordDigest, &Record)>> = BTreeMap::new();
        for (digest, record) in records {
            by_key.entry(record.parts.key()).or_default().push((*digest, record));
        }
        let mut evidence = Self { lock, records: Vec::new(), store, inline: BTreeMap::new(), beside };
        for stage in &lock.stages {
            let here = by_key.get(&stage.key).into_iter().flatten().find(|(_, record)| fits(stage, record));
            let found = match (here, store) {
                (Some((digest, record)), _) => Some((*digest, (*record).clone())),
                (None, Some(store)) => store.records(&stage.key)?.into_iter().find(|(_, record)| fits(stage, record)),
                (None, None) => None,
            };
            for output in found.iter().flat_map(|(_, record)| &record.outputs) {
                if let Some(bytes) = &output.inline {
                    evidence.inline.insert(output.object, bytes.clone());
                }
            }
            evidence.records.push(found);
        }
        Ok(evidence)
    }

    /// Returns the bytes of an object, verified against their hash.
    ///
    /// # Errors
    /// If they are missing or damaged.
    pub fn read(&self, object: &ObjectDigest) -> Result<Vec<u8>, StageError> {
        let at_hand = self.inline.get(object).or_else(|| self.beside.get(object));
        match (at_hand, self.store) {
            // Inline outputs were hashed when their record was decoded, and objects beside a lock when they were read.
            (Some(bytes), _) => Ok(bytes.clone()),
            (None, Some(store)) => Ok(store.get(object)?),
            (None, None) => Err(StageError::Store(StoreError::Missing(*object))),
        }
    }

    /// Returns the stages that have a record, together with the record, in order.
    pub fn known(&self) -> impl Iterator<Item = (&Locked, &Record)> {
        let pairs = self.lock.stages.iter().zip(&self.records);
        pairs.filter_map(|(stage, found)| found.as_ref().map(|(_, record)| (stage, record)))
    }

    /// Returns the stages without a record.
    pub fn unknown(&self) -> impl Iterator<Item = &Locked> {
        self.lock.stages.iter().zip(&self.records).filter(|(_, found)| found.is_none()).map(|(stage, _)| stage)
    }

    /// Returns the record of the stage that draws the figure.
    pub fn drawing(&self) -> Option<&Record> {
        self.records.last()?.as_ref().map(|(_, record)| record)
    }

    /// Returns the closure, restricted to stages that have a record.
    pub fn closure(&self) -> Closure {
        let pairs = self.lock.stages.iter().zip(&self.records);
        let member = |(stage, found): (&Locked, &Option<(RecordDigest, Record)>)| {
            let (digest, record) = found.clone()?;
            Some(Member { name: stage.name.clone(), key: stage.key, digest, record })
        };
        Closure { members: pairs.filter_map(member).collect() }
    }
}
