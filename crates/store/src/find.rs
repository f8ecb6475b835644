//! Finding records by a hash prefix, and reading all of them. This reads the files because the index does not hold
//! whole records.

use std::collections::BTreeMap;

use super::records::ReadRecord;
use super::signatures::ReadBatch;
use super::{ObjectState, Store, StoreError};
use base::digest::{RecordDigest, StageKey};
use base::producers::Producer;
use base::record::Record;

impl Store {
    /// Returns the records whose own digest or key starts with these hexadecimal digits, ordered by key and, within a
    /// key, as in [`Store::records`]. Damaged records are left out.
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

    /// Returns all readable records; those of another version of the program are left out.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn every_record(&self) -> Result<BTreeMap<RecordDigest, Record>, StoreError> {
        let mut all = BTreeMap::new();
        self.each_record(|digest, record| drop(all.insert(digest, record)))?;
        Ok(all)
    }

    /// Returns the producers of all records: the parts that matter for recomputing objects.
    ///
    /// # Errors
    /// If a record cannot be read, or was written by another version of the program.
    pub fn producers(&self) -> Result<Vec<Producer>, StoreError> {
        let mut producers = Vec::new();
        let foreign = self.each_record(|digest, record| producers.push(Producer::of(digest, &record)))?;
        foreign.map_or(Ok(producers), Err)
    }

    /// Returns the producers of all records that this program can read.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn known_makings(&self) -> Result<Vec<Producer>, StoreError> {
        let mut producers = Vec::new();
        self.each_record(|digest, record| producers.push(Producer::of(digest, &record)))?;
        Ok(producers)
    }

    /// Returns the record with a given key and digest.
    ///
    /// # Errors
    /// If it cannot be read, or another version of the program wrote it.
    pub fn recorded(&self, key: &StageKey, digest: &RecordDigest) -> Result<Option<Record>, StoreError> {
        match self.read_record(key, digest)? {
            ReadRecord::Good { record, .. } => Ok(Some(*record)),
            ReadRecord::Missing | ReadRecord::Damaged => Ok(None),
        }
    }

    /// Checks whether the file of an object, record or batch of signatures, given by its path relative to the store's
    /// folder, exists and has the right bytes; a damaged file is moved to the quarantine if possible.
    ///
    /// # Errors
    /// If it cannot be read, or was written by another version of the program.
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

    /// Reads all records; returns the error of the first one that another version of the program wrote.
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
