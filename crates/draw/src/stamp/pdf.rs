//! The stamp of a PDF: an incremental update (ISO 32000-1, 7.5.6) with a new document information dictionary, which
//! keeps the entries of the old one. pdfTeX and others copy this dictionary when they include the page in a paper.
//!
//! Only files in the form of our own writer are understood: one table of references, one trailer, the entries in a fixed
//! order. The table leads to the dictionary; the contents of streams are never read.

use super::{Taken, position};

const KEY: &[u8] = b"  /WdpipeFigure (";
const END: &[u8] = b")\n>>\nendobj\n\n";
/// The table's entry for the object 0, which is always free.
const FREE: &str = "0000000000 65535 f\r\n";
/// Number of bytes of one entry.
const ENTRY: usize = FREE.len();
/// Largest length of a trailer, from its first byte to the end of the file.
const TRAILER_LIMIT: usize = 256;

/// Reads expected text, piece by piece.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn skip(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal.as_bytes())?;
        Some(())
    }

    /// Reads a number in decimal digits.
    fn number(&mut self) -> Option<usize> {
        let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.0.split_at(digits);
        self.0 = rest;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    fn numbered(&mut self, before: &str, after: &str) -> Option<usize> {
        self.skip(before)?;
        let number = self.number()?;
        self.skip(after)?;
        Some(number)
    }
}

/// The trailer at the end of a file.
struct Trailer {
    /// Number of objects, including the free one.
    size: usize,
    /// The number of the catalog.
    root: usize,
    /// The number of the information dictionary.
    info: Option<usize>,
    /// Position of the previous table, in a file with an update.
    previous: Option<usize>,
    /// Position of the table.
    table: usize,
}

impl Trailer {
    fn read(bytes: &[u8]) -> Option<Self> {
        let end = &bytes[bytes.len().saturating_sub(TRAILER_LIMIT)..];
        let start = end.windows(9).rposition(|window| window == b"\ntrailer\n")?;
        let mut cursor = Cursor(&end[start..]);
        let size = cursor.numbered("\ntrailer\n<<\n  /Size ", "\n")?;
        let root = cursor.numbered("  /Root ", " 0 R\n")?;
        let info = match cursor.0.starts_with(b"  /Info ") {
            true => Some(cursor.numbered("  /Info ", " 0 R\n")?),
            false => None,
        };
        let previous = match cursor.0.starts_with(b"  /Prev ") {
            true => Some(cursor.numbered("  /Prev ", "\n")?),
            false => None,
        };
        let table = cursor.numbered(">>\nstartxref\n", "\n%%EOF")?;
        cursor.0.is_empty().then_some(Self { size, root, info, previous, table })
    }
}

/// Returns the place of an object from the entry at the start of `table`.
fn entry(table: &[u8]) -> Option<usize> {
    Cursor(table.get(..ENTRY)?).numbered("", " 00000 n\r\n")
}

/// Returns the lines of the information dictionary, which are empty if there is none.
fn information<'a>(bytes: &'a [u8], trailer: &Trailer) -> Option<&'a [u8]> {
    let Some(number) = trailer.info else { return Some(b"") };
    let mut table = Cursor(bytes.get(trailer.table..)?);
    table.numbered("xref\n0 ", "\n").filter(|&count| count == trailer.size && number < count)?;
    let mut object = Cursor(bytes.get(entry(table.0.get(number.checked_mul(ENTRY)?..)?)?..)?);
    object.numbered("", " 0 obj\n<<\n").filter(|&found| found == number)?;
    let end = position(object.0, b"\n>>\nendobj\n")?;
    Some(&object.0[..=end])
}

pub fn put(bytes: &[u8], text: &str) -> Option<Vec<u8>> {
    let trailer = Trailer::read(bytes).filter(|trailer| trailer.previous.is_none())?;
    bytes.starts_with(b"%PDF-1.").then_some(())?;
    let information = information(bytes, &trailer)?;
    let Trailer { size: number, root, table: previous, .. } = trailer;
    let mut out = bytes.to_vec();
    out.push(b'\n');
    let object = out.len();
    out.extend_from_slice(format!("{number} 0 obj\n<<\n").as_bytes());
    for part in [information, KEY, text.as_bytes(), END] {
        out.extend_from_slice(part);
    }
    let (table, size) = (out.len(), number.checked_add(1)?);
    let end = format!(
        "xref\n0 1\n{FREE}{number} 1\n{object:010} 00000 n\r\n\
         trailer\n<<\n  /Size {size}\n  /Root {root} 0 R\n  /Info {number} 0 R\n  /Prev {previous}\n>>\n\
         startxref\n{table}\n%%EOF"
    );
    out.extend_from_slice(end.as_bytes());
    Some(out)
}

pub fn take(bytes: &[u8]) -> Option<Taken<'_>> {
    let trailer = Trailer::read(bytes).filter(|trailer| trailer.previous.is_some())?;
    let mut table = Cursor(bytes.get(trailer.table..)?);
    table.skip("xref\n0 1\n")?;
    table.skip(FREE)?;
    table.numbered("", " 1\n").filter(|&number| Some(number) == trailer.info)?;
    let object = entry(table.0)?;
    let update = bytes.get(object..trailer.table)?;
    let text = &update[position(update, KEY)? + KEY.len()..];
    Some((bytes[..object.checked_sub(1)?].to_vec(), text.strip_suffix(END)?))
}
