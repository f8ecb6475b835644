//! Writing an archive.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use zstd::zstd_safe::CParameter;

use super::limits::{ENTRY_LIMIT, MEMORY_LIMIT, NUMBERS_LIMIT, WINDOW_LOG, weight};
use super::numbers::{Numbers, sizes};
use super::reference::{Checked, Reference, ReferenceName};
use super::{AGAINST, ALONE, ArchiveError, Header, MAGIC, Scope, hasher, refused};
use crate::{ObjectState, Store, StoreError};
use base::closure::Closure;
use base::digest::{BatchDigest, Hashing, ObjectDigest, RecordDigest};
use base::record::Record;
use base::work::is_bulk;

/// Compression levels of numbers and bulk. The bytes of archives depend on these, and on zstd's version. Half of the
/// numbers' bytes are hashes and pixels: level 19 makes an archive only 1 % smaller, and takes 70 MiB more memory.
const NUMBERS_LEVEL: i32 = 9;
const BULK_LEVEL: i32 = 3;

/// Result of writing an archive.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// Header of the archive.
    pub header: Header,
    /// Number of bulk objects that were left out because the store does not have them.
    pub dropped: usize,
    /// Size of the archive in bytes.
    pub bytes: u64,
}

/// Writes the archive of a figure to `out`: its closure with `batches` of signatures, and its objects from a store.
/// The same closure, batches and objects give the same bytes.
///
/// # Errors
/// If the closure is incomplete or too large for an archive, an object that is not bulk is missing, the store cannot
/// be read, or `out` cannot be written. Bytes written until then are useless.
pub fn export(
    store: &Store,
    closure: &Closure,
    batches: &[Vec<u8>],
    scope: Scope,
    out: &mut dyn Write,
) -> Result<Exported, ArchiveError> {
    let Some(figure) = closure.figure() else { return refused("it is empty") };
    let records: BTreeMap<RecordDigest, &Record> = closure.members.iter().map(|m| (m.digest, &m.record)).collect();
    let batches: BTreeMap<BatchDigest, &Vec<u8>> = batches.iter().map(|b| (BatchDigest::of(b), b)).collect();
    let objects = sizes(records.values().copied(), false)?;
    let (mut bulk, mut dropped) = (Vec::new(), 0);
    if scope == Scope::All {
        for (object, length) in sizes(records.values().copied(), true)? {
            match store.state(&object)? {
                ObjectState::Present => bulk.push((object, length)),
                ObjectState::Missing | ObjectState::Damaged => dropped += 1,
            }
        }
    }
    let name = figure.record.parts.parameters.get("name").map(ToString::to_string).unwrap_or_default();
    let count = |count: usize| u32::try_from(count).or_else(|_| refused("it has too many entries"));
    let header = Header {
        figure: name,
        key: figure.key,
        root: closure.root(),
        record: figure.digest,
        scope,
        records: count(records.len())?,
        batches: count(batches.len())?,
        objects: count(objects.len())?,
        bulk: count(bulk.len())?,
    };
    fits(&header, closure, batches.values().map(|batch| batch.len() as u64), objects.values().copied())?;

    let mut numbers = begin(out, None)?;
    entry(&mut numbers, &header.to_bytes().map_err(|error| ArchiveError::Refused(error.to_string()))?)?;
    for record in records.values() {
        entry(&mut numbers, &record.to_bytes().map_err(|error| ArchiveError::Refused(error.to_string()))?.1)?;
    }
    batches.values().try_for_each(|batch| entry(&mut numbers, batch))?;
    for (object, length) in &objects {
        copy(store, object, *length, &mut numbers).map_err(|error| match error {
            ArchiveError::Store(StoreError::Missing(_) | StoreError::Damaged { .. }) => missing(closure, *object),
            error => error,
        })?;
    }
    let mut hashed = numbers.finish()?;
    if scope == Scope::All {
        let mut packed = zstd::stream::write::Encoder::new(hashed, BULK_LEVEL)?;
        for (object, length) in &bulk {
            copy(store, object, *length, &mut packed)?;
        }
        hashed = packed.finish()?;
    }
    Ok(Exported { header, dropped, bytes: seal(hashed)? })
}

/// Packs an archive of numbers again: against a reference in the same folder, or alone. Its contents stay the same.
/// Packed alone, its bytes are those that [`export`] wrote. Returns the bytes of the file.
///
/// # Errors
/// If one of the archives cannot be read or is invalid, if the archive holds more than numbers, or if the reference is
/// itself packed against another archive.
pub fn repack(path: &Path, against: Option<&Path>) -> Result<Vec<u8>, ArchiveError> {
    let mut archive = Checked::open(path)?;
    let mut entries = archive.entries()?;
    if entries.header.scope != Scope::Numbers {
        return refused("only archives of numbers are packed against another archive");
    }
    // An invalid archive must not become one that can be read.
    Numbers::take(&mut entries)?;
    entries.end()?;
    let unpacked = archive.unpacked()?;
    let reference = against.map(Reference::open).transpose()?;
    let mut bytes = Vec::new();
    let mut numbers = begin(&mut bytes, reference.as_ref())?;
    numbers.write_all(&unpacked)?;
    seal(numbers.finish()?)?;
    Ok(bytes)
}

/// The bytes of an archive on their way to a file.
type Sealing<'a> = Hashing<&'a mut dyn Write>;

/// Writes the bytes before the first frame, and starts the frame.
fn begin<'a>(
    out: &'a mut dyn Write,
    reference: Option<&'a Reference>,
) -> Result<zstd::stream::write::Encoder<'a, Sealing<'a>>, ArchiveError> {
    let mut hashed = Hashing::new(out, hasher());
    hashed.write_all(&MAGIC)?;
    let mut numbers = match reference {
        None => {
            hashed.write_all(&ALONE.to_le_bytes())?;
            zstd::stream::write::Encoder::new(hashed, NUMBERS_LEVEL)?
        }
        Some(Reference { name: ReferenceName { file, end }, numbers }) => {
            hashed.write_all(&AGAINST.to_le_bytes())?;
            hashed.write_all(&[
                u8::try_from(file.len()).or_else(|_| refused("the name of its reference is too long"))?
            ])?;
            hashed.write_all(file.as_bytes())?;
            hashed.write_all(end)?;
            let mut frame = zstd::stream::write::Encoder::with_ref_prefix(hashed, NUMBERS_LEVEL, numbers)?;
            // Otherwise the bytes can depend on where the reference lies in memory.
            frame.set_parameter(CParameter::DeterministicRefPrefix(true))?;
            frame
        }
    };
    numbers.window_log(WINDOW_LOG)?;
    Ok(numbers)
}

/// Writes the hash after the last frame; returns the size of the archive.
fn seal(hashed: Sealing<'_>) -> Result<u64, ArchiveError> {
    let Hashing { out, hasher, length } = hashed;
    let end: [u8; 32] = hasher.finalize().into();
    out.write_all(&end)?;
    Ok(length + end.len() as u64)
}

/// Checks that the written archive can be read again.
fn fits(
    header: &Header,
    closure: &Closure,
    batches: impl Iterator<Item = u64>,
    objects: impl Iterator<Item = u64>,
) -> Result<(), ArchiveError> {
    let memory: u64 = closure.members.iter().map(|member| weight(&member.record)).sum();
    let numbers: u64 = batches.chain(objects).map(|length| length.saturating_add(8)).fold(0, u64::saturating_add);
    if !closure.gaps().is_empty() {
        return refused("an input of its stages is yielded by none of them");
    }
    // Encoded records take fewer bytes than in memory.
    if memory > MEMORY_LIMIT || numbers.saturating_add(memory) > NUMBERS_LIMIT || header.entries() > ENTRY_LIMIT {
        return refused(format!("its records and tables are larger than the limit of {NUMBERS_LIMIT} bytes"));
    }
    Ok(())
}

/// Returns the error that names the missing output.
fn missing(closure: &Closure, object: ObjectDigest) -> ArchiveError {
    let is_it = |output: &&base::record::Output| output.object == object && !is_bulk(&output.name);
    let found = closure.members.iter().find_map(|m| Some((m, m.record.outputs.iter().find(is_it)?)));
    let (stage, output) = found.map(|(m, output)| (m.name.clone(), output.name.clone())).unwrap_or_default();
    ArchiveError::Missing { stage, output, object }
}

fn entry(out: &mut impl Write, bytes: &[u8]) -> Result<(), ArchiveError> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    Ok(out.write_all(bytes)?)
}

/// Writes an object of the store as an entry.
fn copy(store: &Store, object: &ObjectDigest, length: u64, out: &mut impl Write) -> Result<(), ArchiveError> {
    out.write_all(&length.to_le_bytes())?;
    let written = store.read_object::<ArchiveError>(object, &mut |piece| Ok(out.write_all(piece)?))?;
    if written == length { Ok(()) } else { refused(format!("the length of object {object} does not match its record")) }
}
