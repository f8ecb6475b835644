//! Stamps that record what a figure was made from, so that a copy found anywhere can be traced.
//!
//! A [`Stamp`] is one line of text. [`stamp`] writes it into a drawing, and [`unstamp`] removes it again and restores the
//! original drawing, byte for byte:
//!
//! | file | where the text is |
//! | --- | --- |
//! | SVG | in an element `metadata` on a line of its own after the first `</desc>` |
//! | PNG | in a chunk `tEXt` with the keyword `wdpipe` after `IHDR` |
//! | PDF | in the document information dictionary as `/WdpipeFigure`, in an incremental update at the end |
//!
//! [`find`] looks for stamps in any file that could contain a figure. All functions are safe on untrusted bytes and take
//! time proportional to their number.

mod find;
mod foreign;
mod pdf;
mod png;
mod scan;
mod svg;
mod text;

#[cfg(test)]
mod tests;

pub use find::find;
pub use foreign::{ForeignError, prepared};
pub use text::Stamp;

/// A format that can be stamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The vector drawing.
    Svg,
    /// The image in pixels.
    Png,
    /// The page of PDF.
    Pdf,
}

/// The reason why a file cannot be stamped, or a stamp cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// A name that is empty, too long, or has control characters.
    #[error("`{}` cannot be the name of a figure: a name has 1 to 255 bytes, and no control characters", .0.escape_debug())]
    Name(String),
    /// A text that is not a stamp.
    #[error("this is not a stamp: `wdpipe-figure/1 name=… key=… root=…` is expected")]
    Text,
    /// A file without the place where the stamp belongs.
    #[error("this {0} was not drawn by wdpipe, so it has no place for a stamp")]
    Foreign(&'static str),
    /// A stamp that is not exactly as this program writes it.
    #[error("the stamp in this {0} was altered: export the figure again")]
    Altered(&'static str),
}

/// A drawing without its stamp, and the stamp's text.
type Taken<'a> = (Vec<u8>, &'a [u8]);

impl Format {
    /// Returns the format of a file with this extension, as exported figures have.
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

    /// Returns the file with a text in the stamp's place, or `None` if there is no such place.
    fn put(self, bytes: &[u8], text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Svg => svg::put(bytes, text),
            Self::Png => png::put(bytes, text),
            Self::Pdf => pdf::put(bytes, text),
        }
    }

    /// Returns the file without the text in the stamp's place, and that text, if it looks like a stamp.
    fn take(self, bytes: &[u8]) -> Option<Taken<'_>> {
        match self {
            Self::Svg => svg::take(bytes),
            Self::Png => png::take(bytes),
            Self::Pdf => pdf::take(bytes),
        }
    }
}

/// Returns the file with a stamp. An existing stamp is replaced.
///
/// # Errors
/// If the figure's name cannot be written, the file does not have the form that this program draws, or its stamp was
/// altered.
pub fn stamp(format: Format, bytes: &[u8], stamp: &Stamp) -> Result<Vec<u8>, StampError> {
    stamp.check()?;
    let (original, _) = unstamp(format, bytes)?;
    let text = stamp.to_string();
    let stamped = format.put(&original, &text).ok_or(StampError::Foreign(format.name()))?;
    // A foreign file can look like one of ours and mislead the reader of stamps, so check that the stamp can be read again.
    if format.take(&stamped) == Some((original, text.as_bytes())) {
        Ok(stamped)
    } else {
        Err(StampError::Foreign(format.name()))
    }
}

/// Returns the file as it was before it was stamped, and the stamp. A file without a stamp is returned unchanged.
///
/// Two different files never give the same result. If stamping the result again with [`stamp`] does not reproduce the file,
/// then the file either had no stamp or is refused.
///
/// # Errors
/// If there is a stamp in the stamp's place that differs from what [`stamp`] writes.
pub fn unstamp(format: Format, bytes: &[u8]) -> Result<(Vec<u8>, Option<Stamp>), StampError> {
    let Some((original, text)) = format.take(bytes) else { return Ok((bytes.to_vec(), None)) };
    let altered = StampError::Altered(format.name());
    let stamp: Option<Stamp> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    let Some(stamp) = stamp else { return Err(altered) };
    // This finds everything overlooked above: a checksum, a second stamp, other numbers in a table.
    let again = format.put(&original, &stamp.to_string());
    if format.take(&original).is_some() || again.as_deref() != Some(bytes) {
        return Err(altered);
    }
    Ok((original, Some(stamp)))
}

/// Returns the position of the first occurrence of `needle` in `bytes`.
fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}
