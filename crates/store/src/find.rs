//! Finding records by the beginning of a hash, and reading all of them. Files are looked at, not the index: it does not
//! have whole records.

use std::collections::BTreeMap;

use super::records::ReadRecord;
use super::signatures::ReadBatch;
use super::{ObjectState, Store, StoreError};
use base::digest::{RecordDigest, StageKey};
use base::producers::Producer;
use base::record::Record;

impl Store {
    /// The records whose own digest or whose key begins with these hexadecimal digits, in the order of their keys and
    /// of [`Store::records`]. Damaged ones are left out.
    ///
    /// # Errors
    /// If a file cannot be read, or was written by another version of the program.
    pub fn find(&self, prefix: &str) -> Result<Vec<(RecordDigest, Record)>, StoreError> {
        let mut found = Vec::new();
        for key in self.layout.all_keys()? {
            let whole = key.to_string().starts_with(prefix);
            if whole || self.layout.records_of(&key)?.iter().any(|digest| digest.to_string().starts_with(prefix)) {
                let records = self.records(&key)?.into_iter();
                found.extend(records.filter(|(digest, _)| whole || digest.to_string().starts_with(prefix)));
            }
        }
        Ok(found)
    }

    /// All records that can be read; those of another version of the program are left out.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn every_record(&self) -> Result<BTreeMap<RecordDigest, Record>, StoreError> {
        let mut all = BTreeMap::new();
        self.each_record(|digest, record| drop(all.insert(digest, record)))?;
        Ok(all)
    }

    /// What matters of all records for having objects again.
    ///
    /// # Errors
    /// If one cannot be read, or another version of the program wrote it.
    pub fn producers(&self) -> Result<Vec<Producer>, StoreError> {
        let mut producers = Vec::new();
        let foreign = self.each_record(|digest, record| producers.push(Producer::of(digest, &record)))?;
        foreign.map_or(Ok(producers), Err)
    }

    /// The same of all records that this program can read.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn known_makings(&self) -> Result<Vec<Producer>, StoreError> {
        let mut producers = Vec::new();
        self.each_record(|digest, record| producers.push(Producer::of(digest, &record)))?;
        Ok(producers)
    }

    /// The record of a name.
    ///
    /// # Errors
    /// If it cannot be read, or another version of the program wrote it.
    pub fn recorded(&self, key: &StageKey, digest: &RecordDigest) -> Result<Option<Record>, StoreError> {
        match self.read_record(key, digest)? {
            ReadRecord::Good { record, .. } => Ok(Some(*record)),
            ReadRecord::Missing | ReadRecord::Damaged => Ok(None),
        }
    }

    /// Whether the file of an object, record or batch of signatures is there with the right bytes, by its path below the
    /// store's folder; a damaged one is moved to the quarantine, if it can be.
    ///
    /// # Errors
    /// If it cannot be read, or another version of the program wrote it.
    pub fn is_sound(&self, path: &str) -> Result<bool, StoreError> {
        let joined = |shard: &str, rest: &str| format!("{shard}{rest}");
        Ok(match path.split('/').collect::<Vec<_>>()[..] {
            ["objects", shard, rest] => match joined(shard, rest).parse() {
                Ok(object) => self.state(&object)? == ObjectState::Present,
                Err(_) => false,
            },
            ["records", shard, rest, name] => match (joined(shard, rest).parse(), name.parse()) {
                (Ok(key), Ok(record)) => self.recorded(&key, &record)?.is_some(),
                _ => false,
            },
            ["signatures", name] => match name.parse() {
                Ok(batch) => matches!(self.read_batch(&batch)?, ReadBatch::Good(_) | ReadBatch::Foreign(_)),
                Err(_) => false,
            },
            _ => false,
        })
    }

    /// Reads all records; returns what is wrong with the first that another version of the program wrote.
    fn each_record(&self, mut visit: impl FnMut(RecordDigest, Record)) -> Result<Option<StoreError>, StoreError> {
        let mut foreign = None;
        for key in self.layout.all_keys()? {
            for digest in self.layout.records_of(&key)? {
                match self.read_record(&key, &digest) {
                    Ok(ReadRecord::Good { record, .. }) => visit(digest, *record),
                    Ok(ReadRecord::Missing | ReadRecord::Damaged) => {}
                    Err(error @ StoreError::Record { .. }) => drop(foreign.get_or_insert(error)),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(foreign)
    }
}
