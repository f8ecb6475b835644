//! Batches of signatures under records: publishing them, and finding who signed what.

use std::collections::HashMap;
use std::sync::PoisonError;

use super::{Store, StoreError};
use crate::sign::{Batch, BatchError, PublicKey};
use base::codec::CodecError;
use base::digest::{BatchDigest, RecordDigest};

/// Who signed which record.
pub(super) type Signers = HashMap<RecordDigest, Vec<PublicKey>>;

/// What the file of a batch turned out to be.
pub(super) enum ReadBatch {
    Good(Batch),
    Missing,
    Damaged,
    /// Whole, but of another version of the format.
    Foreign(CodecError),
}

impl Store {
    /// Publishes a batch of signatures; one that is there already is left as it is. The records need not be here.
    ///
    /// # Errors
    /// If it cannot be written; then it is not there.
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

    /// Notes signatures that were published. Only then: who reads all batches meanwhile finds them, and to enter them
    /// twice does no harm.
    pub(super) fn enter_signers(&self, batch: &Batch) {
        if let Some(signers) = self.signers.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            enter(signers, batch);
        }
    }

    /// All batches of signatures that are valid, in the order of their names. Damaged ones are moved to the quarantine
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

    /// Whose valid signatures a record has here, in the order of the keys. They are read and verified once: what other
    /// processes publish after that is not seen by this value.
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
                // Not for this program to judge, and not needed: a signature less is no more than that.
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
