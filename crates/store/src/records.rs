//! Publishing and finding records.

use super::{Store, StoreError};
use base::codec::CodecError;
use base::digest::{ObjectDigest, RecordDigest, StageKey};
use base::record::{Output, RECORD_LIMIT, Record};
use files::Identity;

/// The fields of a record that the index stores.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) key: StageKey,
    pub(super) digest: RecordDigest,
    pub(super) kind: String,
    pub(super) stage: String,
    pub(super) device: String,
    pub(super) finished: u64,
    pub(super) seconds: f64,
    pub(super) flops: f64,
    /// Size of the record's file in bytes.
    pub(super) bytes: u64,
    /// Objects that the record's stage yielded, except those stored inline in the record.
    pub(super) yields: Vec<ObjectDigest>,
}

impl Row {
    pub(super) fn of(digest: RecordDigest, record: &Record, bytes: u64) -> Self {
        let made = &record.provenance;
        Self {
            key: record.parts.key(),
            digest,
            kind: record.parts.kind.clone(),
            stage: made.stage.clone(),
            device: made.device.clone(),
            finished: made.finished,
            seconds: made.seconds,
            flops: made.flops,
            bytes,
            yields: record.outputs.iter().filter(|o| o.inline.is_none()).map(|o| o.object).collect(),
        }
    }
}

/// Counted operations and measured duration of a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// Floating-point operations; 0 if not counted.
    pub flops: f64,
    /// Duration in seconds.
    pub seconds: f64,
}

/// State of a record's file.
pub(super) enum ReadRecord {
    /// The record, with the size and identity of its file.
    Good {
        record: Box<Record>,
        bytes: u64,
        identity: Identity,
    },
    Missing,
    Damaged,
}

/// A record of a key.
pub(super) struct Found {
    pub(super) digest: RecordDigest,
    pub(super) record: Record,
    /// Identity of its file when it was read.
    pub(super) identity: Identity,
}

impl Store {
    /// Publishes the outcome of a run; its objects must have been put before. An existing record is left unchanged.
    ///
    /// # Errors
    /// If it cannot be written. In that case, it is not published.
    pub fn publish(&self, record: &Record) -> Result<RecordDigest, StoreError> {
        let key = record.parts.key();
        tracing::debug!(stage = record.provenance.stage, key = %key.short(), "publish");
        let (digest, bytes) =
            record.to_bytes().map_err(|source| StoreError::Record { path: self.layout.records(&key), source })?;
        for output in record.outputs.iter().filter(|output| output.inline.is_none()) {
            self.sync_object(&output.object)?;
        }
        let (path, folder) = (self.layout.record(&key, &digest), self.layout.records(&key));
        let first = files::identity(&folder)?.is_none();
        let is_there = || Ok::<_, StoreError>(matches!(self.read_record(&key, &digest)?, ReadRecord::Good { .. }));
        let mut new = None;
        if !is_there()? {
            new = files::publish(&self.drafts()?, &path, &[&bytes])?;
        }
        if new.is_none() && !is_there()? {
            let reason = format!("its file is damaged; {}", self.in_the_way(&path));
            return Err(StoreError::Record { path, source: CodecError::Damaged { name: "record", reason } });
        }
        files::sync_folder(&folder)?;
        if let (true, Some(shard)) = (first, folder.parent()) {
            files::sync_folder(shard)?;
        }
        self.index.add_records(&[Row::of(digest, record, bytes.len() as u64)]);
        if let Some(file) = new {
            self.index.add_made(&key, &digest, &file);
        }
        Ok(digest)
    }

    /// Whether this account computed or imported a record in this store, according to its index: anybody can write
    /// the provenance inside a record. An index that was sent along with a store knows nothing, because its files
    /// differ.
    ///
    /// # Errors
    /// If the record's file cannot be inspected.
    pub fn is_made_here(&self, key: &StageKey, record: &RecordDigest) -> Result<bool, StoreError> {
        let Some(made) = self.index.made(record) else { return Ok(false) };
        Ok(files::identity(&self.layout.record(key, record))? == Some(made))
    }

    /// Returns the records for which [`Store::is_made_here`] holds.
    ///
    /// # Errors
    /// See [`Store::is_made_here`].
    pub fn made_here(&self) -> Result<Vec<(StageKey, RecordDigest)>, StoreError> {
        let mut made = Vec::new();
        for (key, record, file) in self.index.all_made() {
            if files::identity(&self.layout.record(&key, &record))? == Some(file) {
                made.push((key, record));
            }
        }
        Ok(made)
    }

    /// Whether a foreign record would replace a different import in this store: the newest import counts, and later
    /// computations would start from it.
    ///
    /// # Errors
    /// See [`Store::records`].
    pub fn replaces_import(&self, record: &Record) -> Result<bool, StoreError> {
        if !record.parts.is_import() {
            return Ok(false);
        }
        let here = self.record(&record.parts.key())?;
        Ok(here
            .is_some_and(|here| !here.same_outputs(record) && record.provenance.finished >= here.provenance.finished))
    }

    /// Publishes an import as the newest of its key, even if the clock disagrees.
    ///
    /// # Errors
    /// See [`Store::publish`].
    pub fn publish_newest(&self, mut record: Record) -> Result<RecordDigest, StoreError> {
        let before = self.record(&record.parts.key())?.map_or(0, |newest| newest.provenance.finished);
        record.provenance.finished = record.provenance.finished.max(before.saturating_add(1));
        self.publish(&record)
    }

    /// Returns all outcomes of a key in order of preference: the newest import first, or the oldest computation
    /// first. Among equally old outcomes, the one with the smallest digest is first. Damaged records are moved to the
    /// quarantine and left out.
    ///
    /// # Errors
    /// If a file cannot be read, or was written by another version of the program.
    pub fn records(&self, key: &StageKey) -> Result<Vec<(RecordDigest, Record)>, StoreError> {
        Ok(self.found(key)?.into_iter().map(|Found { digest, record, .. }| (digest, record)).collect())
    }

    /// Returns the same records as [`Store::records`], with the identities of their files.
    pub(super) fn found(&self, key: &StageKey) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        let mut digests = self.layout.records_of(key)?;
        if digests.is_empty() && self.is_seen_anew(&self.layout.records(key)) {
            digests = self.layout.records_of(key)?;
        }
        for digest in digests {
            if let ReadRecord::Good { record, identity, .. } = self.read_record(key, &digest)? {
                found.push(Found { digest, record: *record, identity });
            }
        }
        let age = |record: &Record| match record.parts.is_import() {
            true => u64::MAX - record.provenance.finished,
            false => record.provenance.finished,
        };
        found.sort_by_key(|found| (age(&found.record), found.digest));
        Ok(found)
    }

    /// Returns the preferred outcome of a key.
    ///
    /// # Errors
    /// See [`Store::records`].
    pub fn record(&self, key: &StageKey) -> Result<Option<Record>, StoreError> {
        Ok(self.records(key)?.into_iter().next().map(|(_, record)| record))
    }

    /// Returns the outcomes of a key that yielded different bytes, one for each variant; none if all agree.
    ///
    /// # Errors
    /// See [`Store::records`].
    pub fn conflicts(&self, key: &StageKey) -> Result<Vec<(RecordDigest, Record)>, StoreError> {
        let mut different: Vec<(RecordDigest, Record)> = Vec::new();
        for (digest, record) in self.records(key)? {
            if !different.iter().any(|(_, other)| other.same_outputs(&record)) {
                different.push((digest, record));
            }
        }
        Ok(if different.len() > 1 { different } else { Vec::new() })
    }

    /// Returns the bytes of an output, from the record or from the store; they are hashed in either case.
    ///
    /// # Errors
    /// See [`Store::get`].
    pub fn output(&self, output: &Output) -> Result<Vec<u8>, StoreError> {
        match &output.inline {
            Some(bytes) if ObjectDigest::of(bytes) == output.object => Ok(bytes.clone()),
            _ => self.get(&output.object),
        }
    }

    /// Returns the newest record of a stage with this name, whatever its key.
    ///
    /// # Errors
    /// See [`Store::records`].
    pub fn last_named(&self, stage: &str) -> Result<Option<Record>, StoreError> {
        self.refresh_if_stale()?;
        for (key, digest) in self.index.named(stage) {
            if let ReadRecord::Good { record, .. } = self.read_record(&key, &digest)? {
                return Ok(Some(*record));
            }
        }
        Ok(None)
    }

    /// Returns the timings of the latest 50 runs of a kind on a device.
    ///
    /// # Errors
    /// If the index has to be rebuilt and the store cannot be read.
    pub fn history(&self, kind: &str, device: &str) -> Result<Vec<Timing>, StoreError> {
        self.refresh_if_stale()?;
        Ok(self.index.history(kind, device))
    }

    /// Reads one record, checks its name, its key and its inline outputs, and moves a damaged file to the quarantine.
    pub(super) fn read_record(&self, key: &StageKey, digest: &RecordDigest) -> Result<ReadRecord, StoreError> {
        let path = self.layout.record(key, digest);
        let (bytes, identity) = match files::read_identified(&path, RECORD_LIMIT) {
            Ok((bytes, identity)) => (bytes, Some(identity)),
            Err(error) if error.is_missing() => return Ok(ReadRecord::Missing),
            Err(error) if error.source.kind() == std::io::ErrorKind::FileTooLarge => (Vec::new(), None),
            Err(error) => return Err(error.into()),
        };
        if let Some(identity) = identity
            && RecordDigest::of(&bytes) == *digest
        {
            match Record::from_bytes(&bytes) {
                Ok(record) if record.parts.key() == *key => {
                    let bytes = bytes.len() as u64;
                    return Ok(ReadRecord::Good { record: Box::new(record), bytes, identity });
                }
                // The file is intact, but this program cannot interpret it.
                Err(source @ CodecError::Version { .. }) => return Err(StoreError::Record { path, source }),
                Ok(_) | Err(_) => {}
            }
        }
        self.index.forget_record(digest);
        self.quarantine(&path, &format!("record-{digest}"), identity);
        Ok(ReadRecord::Damaged)
    }
}
