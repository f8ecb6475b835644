//! Reading an archive entry by entry.

use std::io::{BufReader, Read, Seek, SeekFrom, Take, Write};

use super::limits::{ENTRY_LIMIT, HEADER_LIMIT, NUMBERS_LIMIT, WINDOW_LOG};
use super::{ArchiveError, Header, MAGIC, START, TRAILER, VERSION, hasher, refused};

/// Bytes that are read at once.
const PIECE: usize = 128 << 10;

/// The unpacked entries of an archive, in their order.
pub(super) struct Entries<R: Read> {
    /// What the archive says of itself.
    pub(super) header: Header,
    unpacked: zstd::stream::read::Decoder<'static, BufReader<Take<R>>>,
    /// Bytes that the numbers may still have.
    left: u64,
}

impl<R: Read + Seek> Entries<R> {
    /// The entries of an archive of `size` bytes, once all of it has been hashed.
    pub(super) fn open(mut source: R, size: u64) -> Result<Self, ArchiveError> {
        check_bytes(&mut source, size)?;
        Self::unhashed(source, size)
    }

    /// The same without hashing: for bytes that were hashed before, or are checked one by one.
    pub(super) fn unhashed(mut source: R, size: u64) -> Result<Self, ArchiveError> {
        source.seek(SeekFrom::Start(START))?;
        let packed = BufReader::with_capacity(PIECE, source.take(size.saturating_sub(START + TRAILER)));
        let mut unpacked = zstd::stream::read::Decoder::with_buffer(packed)?;
        unpacked.window_log_max(WINDOW_LOG)?;
        let mut left = NUMBERS_LIMIT;
        let header = number(&mut unpacked, &mut left, "a header", HEADER_LIMIT)?;
        let header = Header::from_bytes(&header).map_err(|error| ArchiveError::Refused(error.to_string()))?;
        if header.entries() > ENTRY_LIMIT {
            return refused(format!("it claims to have {} entries", header.entries()));
        }
        Ok(Self { header, unpacked, left })
    }
}

impl<R: Read> Entries<R> {
    /// The next entry of the numbers, of at most `limit` bytes.
    pub(super) fn number(&mut self, what: &str, limit: u64) -> Result<Vec<u8>, ArchiveError> {
        number(&mut self.unpacked, &mut self.left, what, limit)
    }

    /// The length of the next entry, whose bytes are to be taken from [`Self::bytes`] then.
    pub(super) fn length(&mut self) -> Result<u64, ArchiveError> {
        length(&mut self.unpacked)
    }

    /// The next bytes.
    pub(super) fn bytes(&mut self, length: u64) -> impl Read {
        (&mut self.unpacked).take(length)
    }

    /// Gives the next bytes to `out`; how many there were.
    pub(super) fn copy(&mut self, length: u64, out: &mut impl Write) -> Result<u64, ArchiveError> {
        std::io::copy(&mut self.bytes(length), out).map_err(unreadable)
    }

    /// Passes over all numbers.
    pub(super) fn skip_numbers(&mut self) -> Result<(), ArchiveError> {
        for _ in 0..self.header.entries() - u64::from(self.header.bulk) {
            let length = self.length()?;
            self.copy(length, &mut std::io::sink())?;
        }
        Ok(())
    }

    /// Makes sure that nothing follows.
    pub(super) fn end(mut self) -> Result<(), ArchiveError> {
        match self.unpacked.read(&mut [0]).map_err(unreadable)? {
            0 => Ok(()),
            _ => refused("more follows than its header says"),
        }
    }
}

fn length(unpacked: &mut impl Read) -> Result<u64, ArchiveError> {
    let mut length = [0; 8];
    unpacked.read_exact(&mut length).map_err(unreadable)?;
    Ok(u64::from_le_bytes(length))
}

/// An entry of at most `limit` bytes, and of no more than `left`. Memory grows only with what is really there.
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

/// Why entries could not be read: what is packed is not what was packed.
fn unreadable(error: std::io::Error) -> ArchiveError {
    ArchiveError::Refused(format!("it cannot be unpacked: {error}"))
}

/// Makes sure that a file is an archive of this version, with all the bytes that were written and no others.
fn check_bytes(source: &mut (impl Read + Seek), size: u64) -> Result<(), ArchiveError> {
    source.seek(SeekFrom::Start(0))?;
    let mut start = Vec::new();
    source.take(START).read_to_end(&mut start)?;
    let Some((magic, version)) = start.split_first_chunk::<4>() else { return Err(ArchiveError::NotThis) };
    if *magic != MAGIC {
        return Err(ArchiveError::NotThis);
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
