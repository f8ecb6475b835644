//! Drawings of other programs, brought into the form in which a stamp has its place.

use super::text::Stamp;
use super::{Format, stamp};
use base::digest::{ClosureRoot, StageKey};
use resvg::usvg::roxmltree::{Document, ParsingOptions};

/// The namespace of SVG.
const SVG: &str = "http://www.w3.org/2000/svg";

/// Why a drawing of another program cannot be a figure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForeignError {
    /// The file is not in the format.
    #[error("it is not {0}")]
    Format(&'static str),
    /// The PDF is encrypted.
    #[error("the PDF is encrypted: write it without a password")]
    Encrypted,
    /// The PDF cannot be read.
    #[error("the PDF cannot be read: {0}")]
    Pdf(String),
}

/// Returns a drawing to which [`stamp`](super::stamp()) can add a stamp. A drawing that has a place for it is returned
/// unchanged. Otherwise an SVG gets a description, and the objects of a PDF are written again, without compressed tables
/// and without its document information.
///
/// # Errors
/// If the bytes are not in the format.
pub fn prepared(format: Format, bytes: &[u8]) -> Result<Vec<u8>, ForeignError> {
    let any =
        Stamp { figure: "a".to_owned(), key: StageKey::from_bytes([0; 32]), root: ClosureRoot::from_bytes([0; 32]) };
    let is_ready = |bytes: &[u8]| stamp(format, bytes, &any).is_ok();
    if is_ready(bytes) {
        return Ok(bytes.to_vec());
    }
    let (prepared, name) = match format {
        Format::Svg => (std::str::from_utf8(bytes).ok().and_then(described), "an SVG file"),
        Format::Png => (None, "a PNG file"),
        Format::Pdf => (Some(rewritten(bytes)?), "a PDF file"),
    };
    prepared.filter(|bytes| is_ready(bytes)).ok_or(ForeignError::Format(name))
}

/// Returns an SVG with an empty description at the start of its outermost element.
fn described(text: &str) -> Option<Vec<u8>> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).ok()?;
    let root = document.root_element();
    let inside = root.first_child().filter(|_| root.has_tag_name((SVG, "svg")))?.range().start;
    let (before, after) = text.split_at_checked(inside)?;
    Some([before, "\n<desc>", "</desc>\n", after].concat().into_bytes())
}

/// Writes the objects of a PDF in the form of our own writer: one table of references, and a trailer that names only the
/// catalog.
fn rewritten(bytes: &[u8]) -> Result<Vec<u8>, ForeignError> {
    let failed = |error: lopdf::Error| ForeignError::Pdf(error.to_string());
    let mut document = lopdf::Document::load_mem(bytes).map_err(failed)?;
    if document.is_encrypted() || document.was_encrypted() {
        return Err(ForeignError::Encrypted);
    }
    document.trailer.remove(b"Info");
    document.prune_objects();
    document.renumber_objects();
    let (root, _) = document.trailer.get(b"Root").and_then(lopdf::Object::as_reference).map_err(failed)?;
    let mut out = b"%PDF-1.7\n%\x80\x80\x80\x80\n\n".to_vec();
    let mut table = format!("xref\n0 {}\n0000000000 65535 f\r\n", document.objects.len() + 1);
    for ((number, _), object) in &document.objects {
        table.push_str(&format!("{:010} 00000 n\r\n", out.len()));
        out.extend_from_slice(format!("{number} 0 obj\n").as_bytes());
        lopdf::Writer::write_object(&mut out, object).map_err(|error| ForeignError::Pdf(error.to_string()))?;
        out.extend_from_slice(b"\nendobj\n\n");
    }
    let (start, size) = (out.len(), document.objects.len() + 1);
    let trailer = format!("trailer\n<<\n  /Size {size}\n  /Root {root} 0 R\n>>\nstartxref\n{start}\n%%EOF");
    out.extend_from_slice(table.as_bytes());
    out.extend_from_slice(trailer.as_bytes());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use lopdf::{Document as Pdf, Object, SaveOptions, Stream, dictionary};
    use proptest::prelude::*;

    use super::super::unstamp;
    use super::*;

    /// The beginning of an SVG as matplotlib writes it.
    const SVG_FILE: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!DOCTYPE svg PUBLIC \"-//W3C//DTD SVG 1.1//EN\"\n  \
        \"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd\">\n<!-- <svg> -->\n<svg width=\"9pt\" \
        xmlns=\"http://www.w3.org/2000/svg\" version=\"1.1\">\n <path d=\"M 0 0\"/>\n</svg>\n";

    /// Writes a document of one page; with `modern` as compressed objects.
    fn pdf(modern: bool) -> Vec<u8> {
        let mut document = Pdf::with_version("1.5");
        let pages = document.new_object_id();
        let content = document.add_object(Stream::new(dictionary! {}, b"0 0 m 9 9 l S".to_vec()));
        let page = document.add_object(dictionary! {
            "Type" => "Page", "Parent" => pages, "Contents" => content,
            "MediaBox" => vec![0.into(), 0.into(), 9.into(), Object::Real(9.5)],
        });
        document.objects.insert(
            pages,
            Object::Dictionary(dictionary! {
                "Type" => "Pages", "Kids" => vec![page.into()], "Count" => 1,
            }),
        );
        let catalog = document.add_object(dictionary! { "Type" => "Catalog", "Pages" => pages });
        document.trailer.set("Root", catalog);
        let info = document.add_object(dictionary! { "Producer" => Object::string_literal("Other") });
        document.trailer.set("Info", info);
        let mut bytes = Vec::new();
        let options = SaveOptions { use_object_streams: modern, use_xref_streams: modern, ..SaveOptions::default() };
        document.save_with_options(&mut bytes, options).unwrap();
        bytes
    }

    fn any() -> Stamp {
        let (key, root) = (StageKey::from_bytes([1; 32]), ClosureRoot::from_bytes([2; 32]));
        Stamp { figure: "own".to_owned(), key, root }
    }

    fn check(format: Format, foreign: &[u8]) -> Vec<u8> {
        assert!(stamp(format, foreign, &any()).is_err(), "the file needs no preparation");
        let ready = prepared(format, foreign).unwrap();
        assert_eq!(prepared(format, &ready).unwrap(), ready);
        let stamped = stamp(format, &ready, &any()).unwrap();
        assert_eq!(unstamp(format, &stamped).unwrap(), (ready.clone(), Some(any())));
        ready
    }

    #[test]
    fn drawings_of_other_programs_get_a_place_for_the_stamp() {
        let svg = String::from_utf8(check(Format::Svg, SVG_FILE.as_bytes())).unwrap();
        assert_eq!(svg, SVG_FILE.replace("\"1.1\">", "\"1.1\">\n<desc></desc>\n"));
        for modern in [false, true] {
            let bytes = pdf(modern);
            assert_eq!(bytes.windows(7).any(|window| window == b"/ObjStm"), modern);
            let stamped = stamp(Format::Pdf, &check(Format::Pdf, &bytes), &any()).unwrap();
            let read = Pdf::load_mem(&stamped).unwrap();
            let page = read.get_pages()[&1];
            assert_eq!(read.get_page_content(page).trim_ascii(), b"0 0 m 9 9 l S");
            assert_eq!(
                read.get_object(page).unwrap().as_dict().unwrap().get(b"MediaBox").unwrap().as_array().unwrap().len(),
                4
            );
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        let of = |format, bytes: &[u8]| prepared(format, bytes).unwrap_err().to_string();
        for text in
            ["", "<svg", "<html xmlns=\"http://www.w3.org/2000/svg\"><a/></html>", "<svg><a/></svg>", "\u{feff}x"]
        {
            assert_eq!(of(Format::Svg, text.as_bytes()), "it is not an SVG file", "{text}");
        }
        assert_eq!(of(Format::Svg, b"\xff"), "it is not an SVG file");
        assert_eq!(of(Format::Png, b"\x89PNG\r\n\x1a\n"), "it is not a PNG file");
        assert!(of(Format::Pdf, b"%PDF-1.7\nnothing").starts_with("the PDF cannot be read: "));
    }

    proptest! {
        /// No damage to a file makes the program panic.
        #[test]
        fn damaged_files_do_no_harm(at in 0_usize..600, byte: u8, length in 0_usize..900, modern: bool) {
            let mut bytes = pdf(modern);
            bytes.truncate(length);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            if let Ok(ready) = prepared(Format::Pdf, &bytes) {
                prop_assert!(stamp(Format::Pdf, &ready, &any()).is_ok());
            }
        }
    }
}
