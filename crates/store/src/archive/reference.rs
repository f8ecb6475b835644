//! Archives that are packed against another one, their *reference*.
//!
//! The figures of a pipeline depend on mostly the same records, and the hashes in records do not compress. Packed
//! against the archive of another figure in the same folder, an archive of such a figure takes a hundredth of the
//! space. Only the packing differs: the unpacked entries are the same, and are checked in the same way.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use super::entries::{Entries, PIECE};
use super::limits::{HEADER_LIMIT, NUMBERS_LIMIT, WINDOW_LOG};
use super::{AGAINST, ALONE, ArchiveError, MAGIC, TRAILER, hasher, refused};
use base::name::is_plain;

/// Which archive another one is packed against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceName {
    /// Name of its file, in the same folder.
    pub file: String,
    /// The hash at its end.
    pub end: [u8; 32],
}

/// An archive that others are packed against.
pub(super) struct Reference {
    pub(super) name: ReferenceName,
    /// Its unpacked numbers.
    pub(super) numbers: Vec<u8>,
}

impl Reference {
    /// Reads an archive as a reference.
    ///
    /// # Errors
    /// If it cannot be read, is invalid, or is itself packed against another archive.
    pub(super) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let mut archive = Checked::open_alone(path)?;
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if !is_file_name(&file) {
            return refused(format!("{file:?} cannot be the name of a reference"));
        }
        Ok(Self { name: ReferenceName { file, end: archive.end }, numbers: archive.unpacked()? })
    }

    /// Reads the reference of an archive.
    fn of(archive: &Path, name: &ReferenceName) -> Result<Self, ArchiveError> {
        let fail = |problem: String| ArchiveError::Reference { file: name.file.clone(), problem };
        match Self::open(&archive.with_file_name(&name.file)) {
            Ok(found) if found.name.end == name.end => Ok(found),
            Ok(_) => Err(fail("is not the one that it was written with".to_owned())),
            Err(ArchiveError::Fs(error)) if error.is_missing() => Err(fail("is missing".to_owned())),
            Err(error) => Err(fail(format!("cannot be used: {error}"))),
        }
    }
}

/// An archive whose bytes were hashed.
pub(super) struct Checked<R> {
    source: R,
    size: u64,
    /// Position of the first frame.
    start: u64,
    end: [u8; 32],
    reference: Option<ReferenceName>,
    /// Unpacked numbers of the reference; empty if there is none.
    prefix: Vec<u8>,
}

impl Checked<File> {
    /// Opens an archive, with its reference, after hashing all of both.
    pub(super) fn open(path: &Path) -> Result<Self, ArchiveError> {
        let (file, identity) = files::open(path)?;
        let mut archive = Self::of(file, identity.size)?;
        if let Some(name) = &archive.reference {
            archive.prefix = Reference::of(path, name)?.numbers;
        }
        Ok(archive)
    }

    /// Opens an archive that must not have a reference.
    fn open_alone(path: &Path) -> Result<Self, ArchiveError> {
        let (file, identity) = files::open(path)?;
        Self::of(file, identity.size)?.alone()
    }
}

impl<'a> Checked<Cursor<&'a [u8]>> {
    /// Opens an archive of these bytes, which must not have a reference.
    pub(super) fn from_bytes(bytes: &'a [u8]) -> Result<Self, ArchiveError> {
        Self::of(Cursor::new(bytes), bytes.len() as u64)?.alone()
    }
}

impl<R: Read + Seek> Checked<R> {
    fn of(mut source: R, size: u64) -> Result<Self, ArchiveError> {
        let (start, reference) = head(&mut source)?;
        let end = check_bytes(&mut source, start, size)?;
        Ok(Self { source, size, start, end, reference, prefix: Vec::new() })
    }

    fn alone(self) -> Result<Self, ArchiveError> {
        match &self.reference {
            Some(name) => refused(format!("it is packed against another archive, {:?}", name.file)),
            None => Ok(self),
        }
    }

    /// Returns the unpacked entries.
    pub(super) fn entries(&mut self) -> Result<Entries<'_, &mut R>, ArchiveError> {
        let frames = self.size - self.start - TRAILER;
        self.source.seek(SeekFrom::Start(self.start))?;
        Entries::open((&mut self.source).take(frames), &self.prefix)
    }

    /// Returns the unpacked numbers, with the header, as they are in the first frame.
    pub(super) fn unpacked(&mut self) -> Result<Vec<u8>, ArchiveError> {
        const LIMIT: u64 = NUMBERS_LIMIT + HEADER_LIMIT;
        let frames = self.size - self.start - TRAILER;
        self.source.seek(SeekFrom::Start(self.start))?;
        let packed = BufReader::with_capacity(PIECE, (&mut self.source).take(frames));
        let mut frame = decoder(packed, &self.prefix)?.single_frame();
        frame.window_log_max(WINDOW_LOG)?;
        let mut bytes = Vec::new();
        let read = frame.take(LIMIT + 1).read_to_end(&mut bytes);
        read.map_err(|error| ArchiveError::Refused(format!("it cannot be unpacked: {error}")))?;
        if bytes.len() as u64 > LIMIT { refused(format!("its numbers are more than {LIMIT} bytes")) } else { Ok(bytes) }
    }
}

/// Returns a decoder for frames that were packed with a prefix.
pub(super) fn decoder<R: std::io::BufRead>(
    packed: R,
    prefix: &[u8],
) -> std::io::Result<zstd::stream::read::Decoder<'_, R>> {
    match prefix {
        [] => zstd::stream::read::Decoder::with_buffer(packed),
        prefix => zstd::stream::read::Decoder::with_ref_prefix(packed, prefix),
    }
}

/// Returns the reference of an archive, without checking the archive.
///
/// # Errors
/// If the file cannot be read, or does not start like an archive.
pub fn reference(path: &Path) -> Result<Option<ReferenceName>, ArchiveError> {
    Ok(head(&mut files::open(path)?.0)?.1)
}

/// Reads the bytes before the first frame. Returns their number, and the reference that they name.
fn head(source: &mut (impl Read + Seek)) -> Result<(u64, Option<ReferenceName>), ArchiveError> {
    source.seek(SeekFrom::Start(0))?;
    let mut start = Vec::new();
    source.by_ref().take(6).read_to_end(&mut start)?;
    let Some((magic, version)) = start.split_first_chunk::<4>() else { return Err(ArchiveError::NotThis) };
    if *magic != MAGIC {
        source.take(64).read_to_end(&mut start)?;
        return Err(if files::is_pointer(&start) { ArchiveError::Pointer } else { ArchiveError::NotThis });
    }
    let Ok(version) = <[u8; 2]>::try_from(version) else { return Err(ArchiveError::Checksum) };
    match u16::from_le_bytes(version) {
        ALONE => Ok((6, None)),
        AGAINST => {
            let mut length = [0];
            source.read_exact(&mut length).map_err(cut_off)?;
            let mut rest = vec![0; usize::from(length[0]) + 32];
            source.read_exact(&mut rest).map_err(cut_off)?;
            let Some((file, end)) = rest.split_last_chunk::<32>() else { return Err(ArchiveError::Checksum) };
            match String::from_utf8(file.to_vec()) {
                Ok(file) if is_file_name(&file) => Ok((7 + rest.len() as u64, Some(ReferenceName { file, end: *end }))),
                _ => refused("the name of its reference is not that of a file in the same folder"),
            }
        }
        found => Err(ArchiveError::Version { found }),
    }
}

/// Returns the error for an archive that ends too early, or cannot be read.
fn cut_off(error: std::io::Error) -> ArchiveError {
    if error.kind() == std::io::ErrorKind::UnexpectedEof { ArchiveError::Checksum } else { error.into() }
}

/// Returns whether this can be the name of an archive in a folder: it comes from a file that anybody can have written.
fn is_file_name(name: &str) -> bool {
    name.strip_suffix(".wdpipe").is_some_and(is_plain)
}

/// Checks that an archive has exactly the bytes that were written; returns the hash at its end.
fn check_bytes(source: &mut (impl Read + Seek), start: u64, size: u64) -> Result<[u8; 32], ArchiveError> {
    let Some(length) = size.checked_sub(TRAILER).filter(|length| *length >= start) else {
        return Err(ArchiveError::Checksum);
    };
    source.seek(SeekFrom::Start(0))?;
    let mut hasher = hasher();
    let hashed = std::io::copy(&mut BufReader::with_capacity(PIECE, source.by_ref().take(length)), &mut hasher)?;
    let mut trailer = Vec::new();
    source.take(TRAILER + 1).read_to_end(&mut trailer)?;
    let end: [u8; 32] = hasher.finalize().into();
    if hashed == length && trailer == end { Ok(end) } else { Err(ArchiveError::Checksum) }
}
