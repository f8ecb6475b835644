//! Publishing many objects, records and signatures together: this costs three syncs, not one per file.

use std::collections::BTreeSet;
use std::io::{self, Read};

use super::records::{ReadRecord, Row};
use super::{Store, StoreError};
use crate::sign;
use base::codec::CodecError;
use base::digest::{BatchDigest, ObjectDigest, RecordDigest, StageKey};
use base::record::Record;
use files::{Batch, Draft, FsError};

/// Files that are published together. Files that exist already are left unchanged.
pub struct Bulk<'a> {
    store: &'a Store,
    objects: Batch,
    object_names: Vec<(ObjectDigest, u64)>,
    records: Batch,
    rows: Vec<Row>,
    signatures: Batch,
    batches: Vec<sign::Batch>,
    seen: BTreeSet<[u8; 32]>,
}

/// The file of an object whose bytes have been verified.
pub struct Examined {
    digest: ObjectDigest,
    length: u64,
    file: Draft,
}

impl Examined {
    /// Removes the file.
    pub fn discard(self) {
        self.file.discard();
    }
}

/// Result of publishing many files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BulkDone {
    /// Number of objects that were new.
    pub objects: usize,
    /// Number of records that were new.
    pub records: usize,
    /// Number of batches of signatures that were new.
    pub signatures: usize,
}

impl Store {
    /// Starts to publish many files together.
    pub fn bulk(&self) -> Bulk<'_> {
        Bulk {
            store: self,
            objects: Batch::default(),
            object_names: Vec::new(),
            records: Batch::default(),
            rows: Vec::new(),
            signatures: Batch::default(),
            batches: Vec::new(),
            seen: BTreeSet::new(),
        }
    }
}

impl Bulk<'_> {
    /// Returns the number of files that wait to be published.
    pub fn len(&self) -> usize {
        self.objects.len() + self.records.len() + self.signatures.len()
    }

    /// Whether no files wait to be published.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds an object.
    ///
    /// # Errors
    /// If its file cannot be written.
    pub fn object(&mut self, object: Examined) -> Result<(), StoreError> {
        let Examined { digest, length, file } = object;
        if self.seen.insert(*digest.as_bytes()) {
            self.objects.add(file, self.store.layout.object(&digest))?;
            self.object_names.push((digest, length));
        } else {
            file.discard();
        }
        Ok(())
    }

    /// Adds an object, as [`Store::put_from`]; returns whether it was new.
    ///
    /// # Errors
    /// See [`Store::put_from`].
    pub fn put_from(&mut self, digest: &ObjectDigest, length: u64, source: &mut dyn Read) -> Result<bool, StoreError> {
        let written = self.store.written(digest, length, source)?;
        let is_new = written.is_some();
        if let Some(file) = written {
            self.object(Examined { digest: *digest, length, file })?;
        }
        Ok(is_new)
    }

    /// Adds a record. Its objects must have been put before, or be published with it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn record(&mut self, record: &Record) -> Result<RecordDigest, StoreError> {
        let (key, layout) = (record.parts.key(), &self.store.layout);
        let (digest, bytes) =
            record.to_bytes().map_err(|source| StoreError::Record { path: layout.records(&key), source })?;
        if self.seen.insert(*digest.as_bytes()) {
            let mut draft = Draft::new(&self.store.drafts()?)?;
            draft.append(&bytes)?;
            self.records.add(draft, layout.record(&key, &digest))?;
            self.rows.push(Row::of(digest, record, bytes.len() as u64));
        }
        Ok(digest)
    }

    /// Adds signatures of records.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn signatures(&mut self, batch: sign::Batch) -> Result<BatchDigest, StoreError> {
        let layout = &self.store.layout;
        let (digest, bytes) =
            batch.to_bytes().map_err(|source| StoreError::Signatures { path: layout.signatures(), source })?;
        if self.seen.insert(*digest.as_bytes()) {
            let mut draft = Draft::new(&self.store.drafts()?)?;
            draft.append(&bytes)?;
            self.signatures.add(draft, layout.batch(&digest))?;
            self.batches.push(batch);
        }
        Ok(digest)
    }

    /// Publishes everything: objects, then records, then signatures. Every file is durable before a file that refers
    /// to it is published.
    ///
    /// # Errors
    /// If anything cannot be written; files published before that remain.
    pub fn publish(mut self) -> Result<BulkDone, StoreError> {
        let mut done = BulkDone::default();
        let now = files::now();
        let published = self.objects.publish()?;
        for ((digest, length), file) in self.object_names.iter().zip(published) {
            match file {
                Some(file) => {
                    done.objects += 1;
                    self.store.remember(digest, *length, &file, now);
                }
                // The object exists; if it is damaged, this moves it aside, and it is fetched or recomputed next
                // time.
                None => drop(self.store.state(digest)?),
            }
        }
        self.rows.iter().flat_map(|row| &row.yields).try_for_each(|object| self.store.sync_object(object))?;
        let published = self.records.publish()?;
        for (row, file) in self.rows.iter().zip(published) {
            match file {
                Some(_) => done.records += 1,
                None => self.must_be_good(&row.key, &row.digest)?,
            }
        }
        self.store.index.add_records(&self.rows);
        done.signatures = self.signatures.publish()?.into_iter().flatten().count();
        self.batches.iter().for_each(|batch| self.store.enter_signers(batch));
        Ok(done)
    }

    fn must_be_good(&self, key: &StageKey, digest: &RecordDigest) -> Result<(), StoreError> {
        if let ReadRecord::Good { .. } = self.store.read_record(key, digest)? {
            return Ok(());
        }
        let reason = "a damaged file had its name: run the command again".to_owned();
        let path = self.store.layout.record(key, digest);
        Err(StoreError::Record { path, source: CodecError::Damaged { name: "record", reason } })
    }
}

impl Store {
    /// Starts the file of an object that is fetched from elsewhere, or continues one from an interrupted attempt.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn incoming(&self, digest: &ObjectDigest) -> Result<Draft, StoreError> {
        let folder = self.drafts()?;
        match Draft::resumed(&folder, &format!("incoming-{digest}")) {
            Some(draft) => Ok(draft),
            None => Ok(Draft::new(&folder)?),
        }
    }

    /// Unpacks and hashes a fetched file, which should be an object in the store's file format.
    ///
    /// # Errors
    /// If the file is not that object (then [`StoreError::Source`] holds the reason, and the file is removed), or
    /// cannot be read.
    pub fn examined(&self, digest: &ObjectDigest, file: Draft) -> Result<Examined, StoreError> {
        match self.raw_length(digest, &file) {
            Ok(length) => Ok(Examined { digest: *digest, length, file }),
            Err(error) => {
                file.discard();
                Err(error)
            }
        }
    }

    fn raw_length(&self, digest: &ObjectDigest, file: &Draft) -> Result<u64, StoreError> {
        let unreadable = |source| StoreError::Fs(FsError { operation: "read", path: self.layout.temporary(), source });
        let wrong = |reason: String| StoreError::Source(io::Error::new(io::ErrorKind::InvalidData, reason));
        let mut hasher = blake3::Hasher::new();
        let mut take = |piece: &[u8]| {
            hasher.update(piece);
            Ok::<_, StoreError>(())
        };
        let length =
            super::stream::unpacked(&mut file.reader()?, file.length()?, &unreadable, &mut take)?.map_err(wrong)?;
        match hasher.finalize() == *digest.as_bytes() {
            true => Ok(length),
            false => Err(wrong("its bytes have the wrong hash".to_owned())),
        }
    }
}
