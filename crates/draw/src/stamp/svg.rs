//! The stamp of an SVG: `<metadata>…</metadata>`, which is never displayed.

use super::text::PREFIX;
use super::{Taken, position};

/// The text before the stamp: the end of the description that all our drawings have.
const ANCHOR: &[u8] = b"</desc>\n";
const OPEN: &str = "<metadata>";
const CLOSE: &str = "</metadata>\n";

fn place(bytes: &[u8]) -> Option<usize> {
    position(bytes, ANCHOR).map(|at| at + ANCHOR.len())
}

pub fn put(bytes: &[u8], text: &str) -> Option<Vec<u8>> {
    let (before, after) = bytes.split_at(place(bytes)?);
    Some([before, OPEN.as_bytes(), text.as_bytes(), CLOSE.as_bytes(), after].concat())
}

pub fn take(bytes: &[u8]) -> Option<Taken<'_>> {
    let (before, rest) = bytes.split_at(place(bytes)?);
    let rest = rest.strip_prefix(OPEN.as_bytes())?;
    rest.starts_with(PREFIX.as_bytes()).then_some(())?;
    let end = position(rest, CLOSE.as_bytes())?;
    Some(([before, &rest[end + CLOSE.len()..]].concat(), &rest[..end]))
}
