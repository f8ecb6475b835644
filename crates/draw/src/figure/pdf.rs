//! The drawing as a page of PDF.

mod content;
mod font;

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use pdf_writer::{Filter, Finish, Name, Pdf, Rect, Ref, TextStr};
use resvg::usvg::roxmltree;

use super::{FigureError, png};

/// Points (1/72 inch) per unit of the drawing, a CSS pixel (1/96 inch).
const POINTS: f32 = 0.75;

const CATALOG: Ref = Ref::new(1);
const PAGES: Ref = Ref::new(2);
const PAGE: Ref = Ref::new(3);
const CONTENT: Ref = Ref::new(4);
const INFO: Ref = Ref::new(5);
/// The first number of the font's objects.
const FONT: Ref = Ref::new(6);

/// Returns the drawing as one page of PDF 1.4 of the same size. Lines remain lines, and text remains text, in the bundled
/// font, which is embedded. The file has no dates and no identifier: the same drawing gives the same bytes.
///
/// # Errors
/// If the text is not an SVG, or has elements that our drawings do not have: gradients, images, masks, filters, groups that
/// are transparent as a whole, text with outlines.
pub fn pdf(svg: &str) -> Result<Vec<u8>, FigureError> {
    let tree = png::tree(svg).map_err(|e| FigureError::Pdf(e.to_string()))?;
    let (width, height) = (tree.size().width() * POINTS, tree.size().height() * POINTS);
    let drawn = content::draw(&tree)?;

    let mut pdf = Pdf::new();
    // Transparency is the newest feature used here, and LaTeX warns about included pages above version 1.5.
    pdf.set_version(1, 4);
    let mut catalog = pdf.catalog(CATALOG);
    catalog.pages(PAGES);
    let title = title(svg);
    if title.is_some() {
        catalog.viewer_preferences().display_doc_title(true);
    }
    catalog.finish();
    pdf.pages(PAGES).kids([PAGE]).count(1);

    let mut page = pdf.page(PAGE);
    page.parent(PAGES).media_box(Rect::new(0.0, 0.0, width, height)).contents(CONTENT);
    // Colours are blended as they are in the SVG and the PNG.
    page.group().transparency().isolated(true).color_space().device_rgb();
    let mut resources = page.resources();
    resources.fonts().pair(Name(content::FONT), FONT);
    let mut states = resources.ext_g_states();
    for (name, [fill, stroke]) in drawn.opacities() {
        let mut state = states.insert(Name(name.as_bytes())).start::<pdf_writer::writers::ExtGraphicsState<'_>>();
        state.non_stroking_alpha(fill).stroking_alpha(stroke);
    }
    states.finish();
    resources.finish();
    page.finish();

    pdf.stream(CONTENT, &compressed(&drawn.operators)?).filter(Filter::FlateDecode);
    if let Some(title) = title {
        pdf.document_info(INFO).title(TextStr(&title));
    }
    font::embed(&mut pdf, FONT, &drawn.glyphs)?;
    Ok(pdf.finish())
}

/// Returns the title of the SVG.
fn title(svg: &str) -> Option<String> {
    let document = roxmltree::Document::parse(svg).ok()?;
    let title = document.root_element().children().find(|node| node.has_tag_name("title"))?;
    title.text().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn compressed(bytes: &[u8]) -> Result<Vec<u8>, FigureError> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    let written = encoder.write_all(bytes).and_then(|()| encoder.finish());
    written.map_err(|e| FigureError::Pdf(e.to_string()))
}

/// Rounds a length, position or share to three decimals, so that the output does not depend on the last bits of a sum.
fn rounded(value: f32) -> f32 {
    ((f64::from(value) * 1000.0).round() / 1000.0) as f32
}

#[cfg(test)]
mod tests;
