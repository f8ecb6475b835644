//! Many objects, records and signatures published together: they cost three syncs, not one each.

use std::collections::BTreeSet;
use std::io::{self, Read};

use super::records::{ReadRecord, Row};
use super::{Store, StoreError};
use crate::sign;
use base::codec::CodecError;
use base::digest::{BatchDigest, ObjectDigest, RecordDigest, StageKey};
use base::record::Record;
use files::{Batch, Draft, FsError};

/// Things that are published together. Each may be there already; then it stays as it is.
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

/// The file of an object, with bytes that are known to be the right ones.
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

/// What publishing many things came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BulkDone {
    /// Objects that were not there.
    pub objects: usize,
    /// Records that were not there.
    pub records: usize,
    /// Batches of signatures that were not there.
    pub signatures: usize,
}

impl Store {
    /// Begins to publish many things together.
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
    /// How many things wait to be published.
    pub fn len(&self) -> usize {
        self.objects.len() + self.records.len() + self.signatures.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes an object.
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

    /// Takes an object, as [`Store::put_from`]; says whether it was not there.
    ///
    /// # Errors
    /// As there.
    pub fn put_from(&mut self, digest: &ObjectDigest, length: u64, source: &mut dyn Read) -> Result<bool, StoreError> {
        let written = self.store.written(digest, length, source)?;
        let is_new = written.is_some();
        if let Some(file) = written {
            self.object(Examined { digest: *digest, length, file })?;
        }
        Ok(is_new)
    }

    /// Takes a record. Its objects may have been put before, or are published with it.
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

    /// Takes signatures under records.
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

    /// Publishes all: objects, then records, then signatures. What is there is durable before anything that refers to it.
    ///
    /// # Errors
    /// If anything cannot be written; what was published before that stays.
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
                // There already; a damaged one is moved aside by this, and is fetched or computed again next time.
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
        let reason = "there was a damaged file of its name: run it again".to_owned();
        let path = self.store.layout.record(key, digest);
        Err(StoreError::Record { path, source: CodecError::Damaged { name: "record", reason } })
    }
}

impl Store {
    /// Begins the file of an object that comes from elsewhere, or goes on where an earlier attempt was cut off.
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

    /// Unpacks and hashes what is to be the file of an object, in the form that a store keeps objects in, from anywhere.
    ///
    /// # Errors
    /// With the reason, in [`StoreError::Source`], if it is not that object; then the file is removed. Or if it cannot be
    /// read.
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
            false => Err(wrong("its bytes have another hash".to_owned())),
        }
    }
}
