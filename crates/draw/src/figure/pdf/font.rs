//! The bundled font inside a PDF: its file, the glyphs' widths, and the text that they represent.

use std::collections::BTreeMap;

use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Filter, Finish, Name, Pdf, Rect, Ref, Str};

use super::{compressed, rounded};
use crate::figure::{FigureError, font};

/// The six letters mean that the file contains only a part of the font (ISO 32000-1, 9.6.4).
const NAME: Name<'_> = Name(b"WDPIPE+DejaVuSans");
/// Glyphs are named by their own numbers.
const IDENTITY: SystemInfo<'_> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// Widths of the bundled font's glyphs.
pub struct Advances {
    face: ttf_parser::Face<'static>,
    /// Number of units of the font's outlines per font size.
    pub units_per_em: f32,
}

impl Advances {
    /// Returns the widths of the bundled font.
    pub fn of_bundled() -> Result<Self, FigureError> {
        let face = ttf_parser::Face::parse(font::BYTES, 0).map_err(|e| FigureError::Pdf(e.to_string()))?;
        Ok(Self { units_per_em: f32::from(face.units_per_em()), face })
    }

    /// Returns the width of a glyph in thousandths of the size, as it is written.
    pub fn of(&self, glyph: u16) -> f32 {
        self.thousandths(self.face.glyph_hor_advance(ttf_parser::GlyphId(glyph)).unwrap_or(0).into())
    }

    fn thousandths(&self, units: f32) -> f32 {
        rounded(units * 1000.0 / self.units_per_em)
    }
}

/// Writes the font as five objects, starting with number `first`, with the widths and texts of the drawn glyphs.
pub fn embed(pdf: &mut Pdf, first: Ref, glyphs: &BTreeMap<u16, String>) -> Result<(), FigureError> {
    let [child, descriptor, file, unicode] = [1, 2, 3, 4].map(|i| Ref::new(first.get() + i));
    let advances = Advances::of_bundled()?;
    let face = &advances.face;

    pdf.type0_font(first)
        .base_font(NAME)
        .encoding_predefined(Name(b"Identity-H"))
        .descendant_font(child)
        .to_unicode(unicode);

    let mut cid = pdf.cid_font(child);
    cid.subtype(CidFontType::Type2).base_font(NAME).system_info(IDENTITY).font_descriptor(descriptor);
    cid.cid_to_gid_map_predefined(Name(b"Identity"));
    let mut widths = cid.widths();
    for &glyph in glyphs.keys() {
        widths.consecutive(glyph, [advances.of(glyph)]);
    }
    widths.finish();
    cid.finish();

    let bounds = face.global_bounding_box();
    let [left, bottom, right, top] =
        [bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max].map(|units| advances.thousandths(units.into()));
    let cap_height = face.capital_height().unwrap_or_else(|| face.ascender());
    pdf.font_descriptor(descriptor)
        .name(NAME)
        .flags(FontFlags::NON_SYMBOLIC)
        .bbox(Rect::new(left, bottom, right, top))
        .italic_angle(0.0)
        .ascent(advances.thousandths(face.ascender().into()))
        .descent(advances.thousandths(face.descender().into()))
        .cap_height(advances.thousandths(cap_height.into()))
        // The font does not contain the thickness of its stems; this value is for programs that cannot read the font.
        .stem_v(80.0)
        .font_file2(file);
    let mut stream_bytes = compressed(font::BYTES)?;
    let mut stream = pdf.stream(file, &stream_bytes);
    stream.filter(Filter::FlateDecode).pair(Name(b"Length1"), font::BYTES.len() as i32);
    stream.finish();

    stream_bytes = compressed(&unicode_of(face, glyphs))?;
    pdf.stream(unicode, &stream_bytes).filter(Filter::FlateDecode);
    Ok(())
}

/// Returns the table by which text is found and copied. A glyph represents the character that the font draws with it. If there
/// are several, such as Δ and ∆, it represents the one in the drawing; if there is none, as for a ligature, it represents the
/// drawing's text.
fn unicode_of(face: &ttf_parser::Face<'_>, glyphs: &BTreeMap<u16, String>) -> Vec<u8> {
    let mut known: BTreeMap<u16, char> = BTreeMap::new();
    for subtable in face.tables().cmap.into_iter().flat_map(|cmap| cmap.subtables).filter(|table| table.is_unicode()) {
        subtable.codepoints(|point| {
            if let (Some(character), Some(glyph)) = (char::from_u32(point), subtable.glyph_index(point)) {
                let least = known.entry(glyph.0).or_insert(character);
                *least = character.min(*least);
            }
        });
    }
    let mut cmap = UnicodeCmap::<u16>::new(Name(b"wdpipe"), IDENTITY);
    for (&glyph, text) in glyphs {
        let mut drawn = text.chars();
        let alone = drawn.next().filter(|_| drawn.next().is_none());
        let fits = |character: &char| face.glyph_index(*character) == Some(ttf_parser::GlyphId(glyph));
        match alone.filter(fits).or_else(|| known.get(&glyph).copied()) {
            Some(character) => cmap.pair(glyph, character),
            None if text.is_empty() => {}
            None => cmap.pair_with_multiple(glyph, text.chars()),
        }
    }
    cmap.finish().into_vec()
}
