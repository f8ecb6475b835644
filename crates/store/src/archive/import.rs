//! Importing an archive into a store.

use std::io::{Read, Seek};
use std::path::Path;

use super::entries::Entries;
use super::numbers::Numbers;
use super::reference::Checked;
use super::{ArchiveError, Header, refused};
use crate::{OBJECT_LIMIT, ObjectState, Refusal, Store, StoreError};
use base::digest::{ObjectDigest, RecordDigest};
use base::record::Record;

/// Decides whether a record is admitted, given the archive's batches of signatures; the error says why not.
pub type Admitted<'a> = dyn Fn(&Record, RecordDigest, &[Vec<u8>]) -> Result<(), Refusal> + 'a;

/// What an import needs to decide which records are admitted, and to store signatures.
pub struct Admission<'a> {
    /// Decides about each record before anything is written.
    pub admitted: &'a Admitted<'a>,
    /// Stores a batch of signatures; returns whether it is new.
    pub keep: &'a dyn Fn(&[u8]) -> Result<bool, StoreError>,
}

/// Result of an import, or of a dry run.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Header of the archive.
    pub header: Header,
    /// Number of objects that the store did not have.
    pub new_objects: usize,
    /// Number of their bytes.
    pub new_bytes: u64,
    /// Number of records that the store did not have.
    pub new_records: usize,
    /// Number of new batches; 0 in a dry run.
    pub new_batches: usize,
    /// Stages with different outputs in the store: both records are kept.
    pub differing: Vec<String>,
}

/// Imports an archive into a store. The whole archive is read and checked before anything is written. Objects are
/// written first, then records in dependency order, then batches. So whenever the import is interrupted, the store is
/// consistent. With `dry_run` nothing is written.
///
/// # Errors
/// If the archive is invalid, a record is not admitted, or a different import is in the store. In that case, nothing is
/// written. If the store cannot be written, files imported before remain.
pub fn import(path: &Path, store: &Store, admission: &Admission<'_>, dry_run: bool) -> Result<Imported, ArchiveError> {
    let mut archive = Checked::open(path)?;
    let mut entries = archive.entries()?;
    let numbers = Numbers::take(&mut entries)?;
    let bulk = check_bulk(&mut entries, &numbers)?;
    entries.end()?;
    for (digest, record) in &numbers.records {
        let stage = || record.provenance.stage.clone();
        (admission.admitted)(record, *digest, &numbers.batches)
            .map_err(|refusal| ArchiveError::NotAdmitted { stage: stage(), refusal })?;
    }
    let mut done = Imported {
        header: numbers.header.clone(),
        new_objects: 0,
        new_bytes: 0,
        new_records: 0,
        new_batches: 0,
        differing: Vec::new(),
    };
    let mut new = Vec::new();
    for member in numbers.closure().members {
        let here = store.records(&member.key)?;
        let is_new = here.iter().all(|(digest, _)| *digest != member.digest);
        if is_new && store.replaces_import(&member.record)? {
            return Err(ArchiveError::OtherImport(member.name));
        }
        if !here.is_empty() && !here.iter().any(|(_, record)| record.same_outputs(&member.record)) {
            done.differing.push(member.name);
        }
        if is_new {
            new.push(member.record);
        }
    }
    done.new_records = new.len();
    if dry_run {
        let numbers = numbers.objects.iter().map(|(object, bytes)| (*object, bytes.len() as u64));
        for (object, length) in numbers.chain(bulk) {
            done.count(store.state(&object)? != ObjectState::Present, length);
        }
        return Ok(done);
    }
    take_bulk(&mut archive, &bulk, store, &mut done)?;
    let mut together = store.bulk();
    for (object, bytes) in &numbers.objects {
        let length = bytes.len() as u64;
        done.count(together.put_from(object, length, &mut &bytes[..])?, length);
    }
    new.iter().try_for_each(|record| together.record(record).map(drop))?;
    together.publish()?;
    for batch in &numbers.batches {
        done.new_batches += usize::from((admission.keep)(batch)?);
    }
    Ok(done)
}

impl Imported {
    fn count(&mut self, is_new: bool, length: u64) {
        if is_new {
            self.new_objects += 1;
            self.new_bytes += length;
        }
    }
}

/// Hashes the bulk objects: the records must name each of them, and they must be in order. Returns them with their
/// lengths.
fn check_bulk(
    entries: &mut Entries<'_, impl Read>,
    numbers: &Numbers,
) -> Result<Vec<(ObjectDigest, u64)>, ArchiveError> {
    let wanted = numbers.bulk()?;
    let mut found: Vec<(ObjectDigest, u64)> = Vec::new();
    for _ in 0..entries.header.bulk {
        let length = entries.length()?;
        if length > OBJECT_LIMIT {
            return refused(format!("an object of {length} bytes is larger than the limit of {OBJECT_LIMIT}"));
        }
        let mut hasher = blake3::Hasher::new();
        let hashed = entries.copy(length, &mut hasher)?;
        let object = ObjectDigest::from_bytes(hasher.finalize().into());
        if hashed != length || wanted.get(&object) != Some(&length) {
            return refused(format!("object {object} does not belong to the figure"));
        }
        if found.last().is_some_and(|(last, _)| *last >= object) {
            return refused("its bulk objects are not in order, or one is repeated");
        }
        found.push((object, length));
    }
    Ok(found)
}

/// Stores the bulk objects that were checked before. They are hashed again, since the file may have changed in the
/// meantime.
fn take_bulk(
    archive: &mut Checked<impl Read + Seek>,
    bulk: &[(ObjectDigest, u64)],
    store: &Store,
    done: &mut Imported,
) -> Result<(), ArchiveError> {
    if bulk.is_empty() {
        return Ok(());
    }
    let mut entries = archive.entries()?;
    entries.skip_numbers()?;
    for (object, length) in bulk {
        if entries.length()? != *length {
            return Err(ArchiveError::Checksum);
        }
        let mut bytes = entries.bytes(*length);
        let is_new = store.put_from(object, *length, &mut bytes)?;
        std::io::copy(&mut bytes, &mut std::io::sink())?;
        drop(bytes);
        done.count(is_new, *length);
    }
    Ok(())
}
