//! Figures that say what they were made from, so that a copy found anywhere can be traced.
//!
//! A [`Stamp`] is one line of text. [`stamp`] writes it into a drawing and [`unstamp`] takes it out again, leaving the
//! drawing as it was, to the byte:
//!
//! | file | where the text is |
//! | --- | --- |
//! | SVG | in an element `metadata` on a line of its own behind the first `</desc>` |
//! | PNG | in a chunk `tEXt` with the keyword `wdpipe` behind `IHDR` |
//! | PDF | in the document information dictionary as `/WdpipeFigure`, in an incremental update at the end |
//!
//! [`find`] looks for stamps in any file that a figure may have come into. All of it is safe on untrusted bytes and takes
//! time in proportion to them.

mod find;
mod pdf;
mod png;
mod scan;
mod svg;
mod text;

#[cfg(test)]
mod tests;

pub use find::find;
pub use text::Stamp;

/// A format that can be stamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The vector drawing.
    Svg,
    /// Its pixels.
    Png,
    /// Its page.
    Pdf,
}

/// Why a file cannot be stamped, or a stamp not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// A name that is empty, too long, or has characters that no name should have.
    #[error("`{}` cannot be the name of a figure: 1 to 255 bytes without control characters are", .0.escape_debug())]
    Name(String),
    /// A text that is no stamp.
    #[error("this is no stamp: `wdpipe-figure/1 name=… key=… root=…` is expected")]
    Text,
    /// A file without the place where the stamp belongs.
    #[error("this is no {0} as wdpipe draws it, so there is no place for a stamp in it")]
    Foreign(&'static str),
    /// A stamp that was not written by this program as it stands there.
    #[error("the stamp in this {0} was altered: export the figure again")]
    Altered(&'static str),
}

/// A drawing without its stamp, and the stamp's text.
type Taken<'a> = (Vec<u8>, &'a [u8]);

impl Format {
    /// That of a file with this extension, as exported figures have.
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "svg" => Some(Self::Svg),
            "png" => Some(Self::Png),
            "pdf" => Some(Self::Pdf),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Svg => "SVG",
            Self::Png => "PNG",
            Self::Pdf => "PDF",
        }
    }

    /// The file with a text in the stamp's place; none if there is no such place.
    fn put(self, bytes: &[u8], text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Svg => svg::put(bytes, text),
            Self::Png => png::put(bytes, text),
            Self::Pdf => pdf::put(bytes, text),
        }
    }

    /// What looks like a stamp in its place, and the file without it.
    fn take(self, bytes: &[u8]) -> Option<Taken<'_>> {
        match self {
            Self::Svg => svg::take(bytes),
            Self::Png => png::take(bytes),
            Self::Pdf => pdf::take(bytes),
        }
    }
}

/// The file with a stamp; one that it has already is replaced.
///
/// # Errors
/// If the figure's name cannot be written, the file is not of the form that this program draws, or has a stamp that was
/// altered.
pub fn stamp(format: Format, bytes: &[u8], stamp: &Stamp) -> Result<Vec<u8>, StampError> {
    stamp.check()?;
    let (original, _) = unstamp(format, bytes)?;
    let text = stamp.to_string();
    let stamped = format.put(&original, &text).ok_or(StampError::Foreign(format.name()))?;
    // What pretends to be one of our files may hold what misleads the reader: then it is none.
    if format.take(&stamped) == Some((original, text.as_bytes())) {
        Ok(stamped)
    } else {
        Err(StampError::Foreign(format.name()))
    }
}

/// The file as it was before it was stamped, and the stamp; the file itself if it has none.
///
/// No two files give the same: what is not exactly what [`stamp`] makes of the result either has no stamp or is refused.
///
/// # Errors
/// If there is a stamp in the stamp's place, but not as [`stamp`] writes it.
pub fn unstamp(format: Format, bytes: &[u8]) -> Result<(Vec<u8>, Option<Stamp>), StampError> {
    let Some((original, text)) = format.take(bytes) else { return Ok((bytes.to_vec(), None)) };
    let altered = StampError::Altered(format.name());
    let stamp: Option<Stamp> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    let Some(stamp) = stamp else { return Err(altered) };
    // Whatever was overlooked above (a checksum, a second stamp, other numbers in a table) shows here.
    let again = format.put(&original, &stamp.to_string());
    if format.take(&original).is_some() || again.as_deref() != Some(bytes) {
        return Err(altered);
    }
    Ok((original, Some(stamp)))
}

/// Where `needle` first stands in `bytes`.
fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}
