//! Reading an archive entry by entry.

use std::io::{BufReader, Read, Take, Write};

use super::limits::{ENTRY_LIMIT, HEADER_LIMIT, NUMBERS_LIMIT, WINDOW_LOG};
use super::reference::decoder;
use super::{ArchiveError, Header, refused};

/// Number of bytes read at a time.
pub(super) const PIECE: usize = 128 << 10;

/// The unpacked entries of an archive, in order.
pub(super) struct Entries<'a, R: Read> {
    /// Header of the archive.
    pub(super) header: Header,
    unpacked: zstd::stream::read::Decoder<'a, BufReader<Take<R>>>,
    /// Remaining number of bytes allowed for the numbers.
    left: u64,
}

impl<'a, R: Read> Entries<'a, R> {
    /// Opens the entries in an archive's frames, which were packed with a prefix.
    pub(super) fn open(frames: Take<R>, prefix: &'a [u8]) -> Result<Self, ArchiveError> {
        let mut unpacked = decoder(BufReader::with_capacity(PIECE, frames), prefix)?;
        unpacked.window_log_max(WINDOW_LOG)?;
        let mut left = NUMBERS_LIMIT;
        let header = number(&mut unpacked, &mut left, "a header", HEADER_LIMIT)?;
        let header = Header::from_bytes(&header).map_err(|error| ArchiveError::Refused(error.to_string()))?;
        if header.entries() > ENTRY_LIMIT {
            return refused(format!("its header declares {} entries", header.entries()));
        }
        Ok(Self { header, unpacked, left })
    }

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
