//! Taking an archive into a store.

use std::io::{Read, Seek};
use std::path::Path;

use super::entries::Entries;
use super::numbers::Numbers;
use super::{ArchiveError, Header, refused};
use crate::{OBJECT_LIMIT, ObjectState, Store, StoreError};
use base::digest::{ObjectDigest, RecordDigest};
use base::record::Record;

/// Whether a record may come in, given the archive's batches of signatures; otherwise why not.
pub type Admitted<'a> = dyn Fn(&Record, RecordDigest, &[Vec<u8>]) -> Result<(), String> + 'a;

/// Who decides what comes in, and where signatures go.
pub struct Admission<'a> {
    /// Decides about each record, before anything is written.
    pub admitted: &'a Admitted<'a>,
    /// Keeps a batch of signatures; says whether it is new.
    pub keep: &'a dyn Fn(&[u8]) -> Result<bool, StoreError>,
}

/// What came in, or would.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// What the archive says of itself.
    pub header: Header,
    /// Objects that the store did not have.
    pub new_objects: usize,
    /// Their bytes.
    pub new_bytes: u64,
    /// Records that the store did not have.
    pub new_records: usize,
    /// Batches that were not kept yet; 0 if nothing was to be written.
    pub new_batches: usize,
    /// Stages that yielded something else here: both records are kept.
    pub differing: Vec<String>,
}

/// Takes an archive into a store. First all of it is read and checked; only then anything is written: objects, then
/// records, in the order of what they depend on, then batches. So whatever ends it in between, the store holds nothing
/// that it would not hold otherwise. With `dry_run` nothing is written.
///
/// # Errors
/// If the archive is not what it must be, a record is not admitted, or what it imports is another than what was imported
/// here, nothing is written. If the store cannot be written, what came in until then stays.
pub fn import(path: &Path, store: &Store, admission: &Admission<'_>, dry_run: bool) -> Result<Imported, ArchiveError> {
    let (mut file, identity) = files::open(path)?;
    let mut entries = Entries::open(&mut file, identity.size)?;
    let numbers = Numbers::take(&mut entries)?;
    let bulk = check_bulk(&mut entries, &numbers)?;
    entries.end()?;
    for (digest, record) in &numbers.records {
        let stage = || record.provenance.stage.clone();
        (admission.admitted)(record, *digest, &numbers.batches)
            .map_err(|reason| ArchiveError::NotAdmitted { stage: stage(), reason })?;
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
    take_bulk(&mut file, identity.size, &bulk, store, &mut done)?;
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

/// Hashes the bulk objects: each must be one that the records name, in order. Returns them with their lengths.
fn check_bulk(entries: &mut Entries<impl Read>, numbers: &Numbers) -> Result<Vec<(ObjectDigest, u64)>, ArchiveError> {
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
            return refused(format!("object {object} has nothing to do with the figure"));
        }
        if found.last().is_some_and(|(last, _)| *last >= object) {
            return refused("its bulk objects are not in order, or one is there twice");
        }
        found.push((object, length));
    }
    Ok(found)
}

/// Puts the bulk objects that were found before into the store. They are hashed again: the file may have been changed
/// since.
fn take_bulk(
    file: &mut (impl Read + Seek),
    size: u64,
    bulk: &[(ObjectDigest, u64)],
    store: &Store,
    done: &mut Imported,
) -> Result<(), ArchiveError> {
    if bulk.is_empty() {
        return Ok(());
    }
    let mut entries = Entries::unhashed(file, size)?;
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
