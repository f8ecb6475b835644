//! Batches of signatures of records: publishing them, and finding out who signed what.

use std::collections::HashMap;
use std::sync::PoisonError;

use super::{Store, StoreError};
use crate::sign::{Batch, BatchError, PublicKey};
use base::codec::CodecError;
use base::digest::{BatchDigest, RecordDigest};

/// The keys that signed each record.
pub(super) type Signers = HashMap<RecordDigest, Vec<PublicKey>>;

/// State of a batch's file.
pub(super) enum ReadBatch {
    Good(Batch),
    Missing,
    Damaged,
    /// Intact, but of another version of the format.
    Foreign(CodecError),
}

impl Store {
    /// Publishes a batch of signatures; an existing one is left unchanged. The records need not be in the store.
    ///
    /// # Errors
    /// If it cannot be written. In that case, it is not published.
    pub fn publish_signatures(&self, batch: &Batch) -> Result<BatchDigest, StoreError> {
        let folder = self.layout.signatures();
        let wrong = |path, source| StoreError::Signatures { path, source };
        let (digest, bytes) = batch.to_bytes().map_err(|source| wrong(folder.clone(), source))?;
        let path = self.layout.batch(&digest);
        let first = files::identity(&folder)?.is_none();
        let is_there = || Ok::<_, StoreError>(matches!(self.read_batch(&digest)?, ReadBatch::Good(_)));
        if !is_there()? && files::publish(&self.drafts()?, &path, &[&bytes])?.is_none() && !is_there()? {
            let reason = format!("its file is damaged; {}", self.in_the_way(&path));
            return Err(wrong(path, CodecError::Damaged { name: "batch of signatures", reason }));
        }
        files::sync_folder(&folder)?;
        if first {
            files::sync_folder(self.root())?;
        }
        self.enter_signers(batch);
        Ok(digest)
    }

    /// Enters the signers of a published batch. This comes after publishing: a process that reads all batches in the
    /// meantime finds this one too, and entering a batch twice is harmless.
    pub(super) fn enter_signers(&self, batch: &Batch) {
        if let Some(signers) = self.signers.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            enter(signers, batch);
        }
    }

    /// Returns all valid batches of signatures, in the order of their names. Damaged ones are moved to the quarantine
    /// and left out; those of other versions of the program are left out.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn batches(&self) -> Result<Vec<(BatchDigest, Batch)>, StoreError> {
        let mut batches = Vec::new();
        for digest in self.layout.all_batches()? {
            if let ReadBatch::Good(batch) = self.read_batch(&digest)? {
                batches.push((digest, batch));
            }
        }
        Ok(batches)
    }

    /// Returns the keys with valid signatures of a record in this store, in order. Batches are read and verified
    /// once: this value does not see batches that other processes publish later.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn signers(&self, record: &RecordDigest) -> Result<Vec<PublicKey>, StoreError> {
        let mut known = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none() {
            let mut signers = Signers::new();
            for digest in self.layout.all_batches()? {
                if let ReadBatch::Good(batch) = self.read_batch(&digest)? {
                    enter(&mut signers, &batch);
                }
            }
            *known = Some(signers);
        }
        Ok(known.as_ref().and_then(|signers| signers.get(record)).cloned().unwrap_or_default())
    }

    /// Reads one batch, checks its name and its signature, and moves a damaged file to the quarantine.
    pub(super) fn read_batch(&self, digest: &BatchDigest) -> Result<ReadBatch, StoreError> {
        let path = self.layout.batch(digest);
        let (bytes, identity) = match files::read_identified(&path, Batch::MAX_BYTES) {
            Ok((bytes, identity)) => (bytes, Some(identity)),
            Err(error) if error.is_missing() => return Ok(ReadBatch::Missing),
            Err(error) if error.source.kind() == std::io::ErrorKind::FileTooLarge => (Vec::new(), None),
            Err(error) => return Err(error.into()),
        };
        if BatchDigest::of(&bytes) == *digest {
            match Batch::from_bytes(&bytes) {
                Ok(batch) => return Ok(ReadBatch::Good(batch)),
                // This program cannot interpret it and does not need it: it only means one signature less.
                Err(BatchError::Codec(source @ CodecError::Version { .. })) => return Ok(ReadBatch::Foreign(source)),
                Err(_) => {}
            }
        }
        self.quarantine(&path, &format!("signatures-{digest}"), identity);
        Ok(ReadBatch::Damaged)
    }
}

fn enter(signers: &mut Signers, batch: &Batch) {
    for record in batch.records() {
        let keys = signers.entry(*record).or_default();
        if let Err(place) = keys.binary_search(batch.by()) {
            keys.insert(place, *batch.by());
        }
    }
}
