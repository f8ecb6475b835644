//! The stamp of a PNG: a chunk of text (PNG specification, 11.3.4.3), which every decoder skips or keeps.

use super::Taken;

/// A PNG's signature and the beginning of its first chunk: 13 bytes of `IHDR`.
const START: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
/// Where the first chunk ends: after `START` come 13 bytes and a checksum.
const PLACE: usize = START.len() + 13 + 4;
const KIND: &[u8] = b"tEXt";
const KEYWORD: &[u8] = b"wdpipe\0";

/// Splits the file after its first chunk.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    bytes.starts_with(START).then(|| bytes.split_at_checked(PLACE)).flatten()
}

pub fn put(bytes: &[u8], text: &str) -> Option<Vec<u8>> {
    let (before, after) = split(bytes)?;
    let body = [KIND, KEYWORD, text.as_bytes()].concat();
    let length = u32::try_from(body.len() - KIND.len()).ok()?.to_be_bytes();
    let mut checksum = flate2::Crc::new();
    checksum.update(&body);
    Some([before, &length, &body, &checksum.sum().to_be_bytes(), after].concat())
}

pub fn take(bytes: &[u8]) -> Option<Taken<'_>> {
    let (before, rest) = split(bytes)?;
    let (length, body) = rest.split_first_chunk::<4>()?;
    let data = body.strip_prefix(KIND)?;
    let (data, rest) = data.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    let text = data.strip_prefix(KEYWORD)?;
    let (_checksum, after) = rest.split_first_chunk::<4>()?;
    Some(([before, after].concat(), text))
}
