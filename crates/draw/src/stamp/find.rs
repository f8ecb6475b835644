//! Search for stamps in any file: a drawing, a page of HTML, a paper, a presentation.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::scan::Scanner;
use super::text::Stamp;

/// Limits for one file.
const BUDGET: Budget = Budget { stream: 64 << 20, total: 256 << 20, streams: 1 << 16 };
/// Largest number of different stamps that are returned.
const STAMPS: usize = 4096;

/// Returns all stamps in a file, each once, in the order of their first place in the file (for a stamp in a compressed
/// stream, the place of the stream).
///
/// The text is recognised as ASCII and UTF-16, in octal and hexadecimal strings of PDF, percent-encoded and in Base64
/// addresses. It is found in the file itself and one level down, in data compressed with DEFLATE: streams of PDF (where papers
/// keep the dictionaries of the drawings that they include), files in a ZIP (`.docx`, `.pptx`, `.odp`), and gzip (`.svgz`).
/// Stamps in data that is encrypted or compressed in another way, or in a figure that was drawn again, are not found.
///
/// At most 64 MiB of each stream are searched, and at most 256 MiB and 65,536 streams in all. Streams are never held in memory.
/// At most 4096 stamps are returned.
pub fn find(bytes: &[u8]) -> Vec<Stamp> {
    find_within(bytes, BUDGET)
}

/// Does the work of [`find`] within a budget.
pub(super) fn find_within(bytes: &[u8], mut left: Budget) -> Vec<Stamp> {
    let mut first: BTreeMap<Stamp, usize> = BTreeMap::new();
    let mut note = |stamp: Stamp, place: usize| {
        if let Some(known) = first.get_mut(&stamp) {
            *known = place.min(*known);
        } else if first.len() < STAMPS {
            first.insert(stamp, place);
        }
    };
    Scanner::new().read(bytes, &mut note);
    if bytes.starts_with(&[0x1f, 0x8b, 8]) {
        left.unpack(MultiGzDecoder::new(bytes), |stamp| note(stamp, 0));
    }
    let mut at = 0;
    while let Some((place, packed, start)) = next(bytes, at).filter(|_| left.any()) {
        let (whole, read) = match packed {
            Packed::Zlib => left.zlib(&bytes[start..], |stamp| note(stamp, place)),
            Packed::Deflate => left.deflate(&bytes[start..], |stamp| note(stamp, place)),
        };
        // A whole stream is not searched for the beginnings of others. Bytes that were not a whole stream can contain some;
        // reading them twice is charged to the budget, so that the time stays proportional to the bytes.
        at = if whole { start + read } else { place + 1 };
        if !whole {
            left.total = left.total.saturating_sub(read as u64);
        }
    }
    let mut found: Vec<(Stamp, usize)> = first.into_iter().collect();
    found.sort_by_key(|(_, place)| *place);
    found.into_iter().map(|(stamp, _)| stamp).collect()
}

/// How a stream is compressed.
#[derive(Clone, Copy)]
enum Packed {
    /// With a header and a checksum, as in PDF.
    Zlib,
    /// Bare, as in ZIP.
    Deflate,
}

/// Returns the first possible stream at or after a place: where it is announced, its compression, and where its bytes begin.
fn next(bytes: &[u8], from: usize) -> Option<(usize, Packed, usize)> {
    (from..bytes.len()).find_map(|at| {
        let (packed, start) = match bytes[at] {
            b's' => stream(bytes, at),
            b'P' => entry(bytes, at),
            _ => None,
        }?;
        Some((at, packed, start))
    })
}

/// Returns the stream of PDF whose keyword is here (ISO 32000-1, 7.3.8.1), if it has zlib's header (RFC 1950, 2.2).
fn stream(bytes: &[u8], at: usize) -> Option<(Packed, usize)> {
    let rest = bytes[at..].strip_prefix(b"stream")?;
    let rest = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n"))?;
    let &[method, check, ..] = rest else { return None };
    let header = method & 15 == 8 && u16::from_be_bytes([method, check]) % 31 == 0;
    header.then_some((Packed::Zlib, bytes.len() - rest.len()))
}

/// Returns the compressed file of a ZIP whose header is here (APPNOTE, 4.3.7).
fn entry(bytes: &[u8], at: usize) -> Option<(Packed, usize)> {
    let header = bytes[at..].strip_prefix(b"PK\x03\x04")?.first_chunk::<26>()?;
    let number = |place: usize| usize::from(u16::from_le_bytes([header[place], header[place + 1]]));
    let (method, name, extra) = (number(4), number(22), number(24));
    let start = at + 30 + name + extra;
    (method == 8 && start < bytes.len()).then_some((Packed::Deflate, start))
}

/// How much can still be unpacked.
#[derive(Clone, Copy)]
pub(super) struct Budget {
    /// Number of bytes unpacked from one stream.
    pub stream: u64,
    /// Number of bytes unpacked from all streams together, plus bytes read in vain.
    pub total: u64,
    /// Number of streams that are tried.
    pub streams: usize,
}

impl Budget {
    fn any(&self) -> bool {
        self.total > 0 && self.streams > 0
    }

    fn zlib(&mut self, bytes: &[u8], found: impl FnMut(Stamp)) -> (bool, usize) {
        let mut decoder = ZlibDecoder::new(bytes);
        let whole = self.unpack(&mut decoder, found);
        (whole, decoder.total_in() as usize)
    }

    fn deflate(&mut self, bytes: &[u8], found: impl FnMut(Stamp)) -> (bool, usize) {
        let mut decoder = DeflateDecoder::new(bytes);
        let whole = self.unpack(&mut decoder, found);
        (whole, decoder.total_in() as usize)
    }

    /// Searches the output of a decoder, as far as it goes, and returns whether the decoder reached its end.
    fn unpack(&mut self, mut decoder: impl Read, mut found: impl FnMut(Stamp)) -> bool {
        self.streams -= 1;
        let mut scanner = Scanner::new();
        let mut piece = [0; 16 << 10];
        let mut limit = self.stream.min(self.total);
        loop {
            let wanted = piece.len().min(usize::try_from(limit).unwrap_or(piece.len()));
            match decoder.read(&mut piece[..wanted]) {
                Ok(0) => return wanted > 0,
                Ok(read) => {
                    scanner.read(&piece[..read], |stamp, _| found(stamp));
                    (limit, self.total) = (limit - read as u64, self.total - read as u64);
                }
                Err(_) => return false,
            }
        }
    }
}
