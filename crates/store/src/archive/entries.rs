//! Reading an archive entry by entry.

use std::io::{BufReader, Read, Seek, SeekFrom, Take, Write};

use super::limits::{ENTRY_LIMIT, HEADER_LIMIT, NUMBERS_LIMIT, WINDOW_LOG};
use super::{ArchiveError, Header, MAGIC, START, TRAILER, VERSION, hasher, refused};

/// Number of bytes read at a time.
const PIECE: usize = 128 << 10;

/// The unpacked entries of an archive, in order.
pub(super) struct Entries<R: Read> {
    /// Header of the archive.
    pub(super) header: Header,
    unpacked: zstd::stream::read::Decoder<'static, BufReader<Take<R>>>,
    /// Remaining number of bytes allowed for the numbers.
    left: u64,
}

impl<R: Read + Seek> Entries<R> {
    /// Opens the entries of an archive of `size` bytes after hashing all of it.
    pub(super) fn open(mut source: R, size: u64) -> Result<Self, ArchiveError> {
        check_bytes(&mut source, size)?;
        Self::unhashed(source, size)
    }

    /// Opens an archive without hashing it: for bytes that were hashed before, or are checked one by one.
    pub(super) fn unhashed(mut source: R, size: u64) -> Result<Self, ArchiveError> {
        source.seek(SeekFrom::Start(START))?;
        let packed = BufReader::with_capacity(PIECE, source.take(size.saturating_sub(START + TRAILER)));
        let mut unpacked = zstd::stream::read::Decoder::with_buffer(packed)?;
        unpacked.window_log_max(WINDOW_LOG)?;
        let mut left = NUMBERS_LIMIT;
        let header = number(&mut unpacked, &mut left, "a header", HEADER_LIMIT)?;
        let header = Header::from_bytes(&header).map_err(|error| ArchiveError::Refused(error.to_string()))?;
        if header.entries() > ENTRY_LIMIT {
            return refused(format!("its header declares {} entries", header.entries()));
        }
        Ok(Self { header, unpacked, left })
    }
}

impl<R: Read> Entries<R> {
    /// Returns the next entry of the numbers, of at most `limit` bytes.
    pub(super) fn number(&mut self, what: &str, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        number(&mut self.unpacked, &mut self.left, what, limit)
    }

    /// Returns the length of the next entry; its bytes must then be read with [`Self::bytes`].
    pub(super) fn length(&mut self) -> Result<u64, ArchiveError> {
        length(&mut self.unpacked)
    }

    /// Returns a reader of the next bytes.
    pub(super) fn bytes(&mut self, length: u64) -> impl Read {
        (&mut self.unpacked).take(length)
    }

    /// Copies the next bytes to `out`; returns their number.
    pub(super) fn copy(&mut self, length: u64, out: &mut impl Write) -> Result<u64, ArchiveError> {
        std::io::copy(&mut self.bytes(length), out).map_err(unreadable)
    }

    /// Skips all numbers.
    pub(super) fn skip_numbers(&mut self) -> Result<(), ArchiveError> {
        for _ in 0..self.header.entries() - u64::from(self.header.bulk) {
            let length = self.length()?;
            self.copy(length, &mut std::io::sink())?;
        }
        Ok(())
    }

    /// Checks that nothing follows.
    pub(super) fn end(mut self) -> Result<(), ArchiveError> {
        match self.unpacked.read(&mut [0]).map_err(unreadable)? {
            0 => Ok(()),
            _ => refused("it has more entries than its header says"),
        }
    }
}

fn length(unpacked: &mut impl Read) -> Result<u64, ArchiveError> {
    let mut length = [0; 8];
    unpacked.read_exact(&mut length).map_err(unreadable)?;
    Ok(u64::from_le_bytes(length))
}

/// Reads an entry of at most `limit` and at most `left` bytes. Memory use grows only with the actual data.
fn number(unpacked: &mut impl Read, left: &mut u64, what: &str, limit: u64) -> Result<Vec<u8>, ArchiveError> {
    let length = length(unpacked)?;
    if length > limit {
        return refused(format!("{what} of {length} bytes is larger than the limit of {limit}"));
    }
    let Some(rest) = left.checked_sub(length.saturating_add(8)) else {
        return refused(format!("its numbers are more than {NUMBERS_LIMIT} bytes"));
    };
    *left = rest;
    let mut bytes = Vec::new();
    unpacked.take(length).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { refused(format!("it ends within {what}")) }
}

/// Returns the error for entries that cannot be unpacked.
fn unreadable(error: std::io::Error) -> ArchiveError {
    ArchiveError::Refused(format!("it cannot be unpacked: {error}"))
}

/// Checks that a file is an archive of this version with exactly the bytes that were written.
fn check_bytes(source: &mut (impl Read + Seek), size: u64) -> Result<(), ArchiveError> {
    source.seek(SeekFrom::Start(0))?;
    let mut start = Vec::new();
    source.take(START).read_to_end(&mut start)?;
    let Some((magic, version)) = start.split_first_chunk::<4>() else { return Err(ArchiveError::NotThis) };
    if *magic != MAGIC {
        let mut more = start.clone();
        source.take(64).read_to_end(&mut more)?;
        return Err(if files::is_pointer(&more) { ArchiveError::Pointer } else { ArchiveError::NotThis });
    }
    let Ok(version) = <[u8; 2]>::try_from(version) else { return Err(ArchiveError::Checksum) };
    let found = u16::from_le_bytes(version);
    if found != VERSION {
        return Err(ArchiveError::Version { found });
    }
    let Some(length) = size.checked_sub(START + TRAILER) else { return Err(ArchiveError::Checksum) };
    let mut hasher = hasher();
    hasher.update(&start);
    let hashed = std::io::copy(&mut BufReader::with_capacity(PIECE, source.by_ref().take(length)), &mut hasher)?;
    let mut trailer = Vec::new();
    source.take(TRAILER + 1).read_to_end(&mut trailer)?;
    let is_whole = hashed == length && trailer == hasher.finalize().as_bytes();
    if is_whole { Ok(()) } else { Err(ArchiveError::Checksum) }
}
