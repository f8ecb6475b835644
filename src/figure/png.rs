//! Pixels of a drawing.

use std::sync::Arc;

use resvg::{tiny_skia, usvg};

use super::{FigureError, font, style};

/// Rasterises a drawing at two pixels per unit, with the bundled font and no other. No time stamps.
///
/// # Errors
/// If the text is no SVG, or would be larger than 10⁸ pixels.
pub fn png(svg: &str) -> Result<Vec<u8>, FigureError> {
    let fail = |reason: String| FigureError::Pixels(reason);
    let tree = tree(svg).map_err(|e| fail(e.to_string()))?;
    let size = tree.size();
    let (width, height) = pixels(f64::from(size.width()), f64::from(size.height()))?;
    let pixmap = tiny_skia::Pixmap::new(width, height);
    let mut pixmap = pixmap.ok_or_else(|| fail(format!("{width} times {height} is no size")))?;
    let scale = tiny_skia::Transform::from_scale(style::PNG_SCALE, style::PNG_SCALE);
    resvg::render(&tree, scale, &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|e| fail(e.to_string()))
}

/// The pixels of a drawing of some size.
///
/// # Errors
/// If they are too many.
pub(super) fn pixels(width: f64, height: f64) -> Result<(u32, u32), FigureError> {
    let scale = f64::from(style::PNG_SCALE);
    let (width, height) = ((width * scale).ceil(), (height * scale).ceil());
    if width * height > style::PNG_PIXELS {
        return Err(FigureError::Pixels(format!("{width} times {height} pixels are too many")));
    }
    Ok((width as u32, height as u32))
}

/// The drawing as the rasteriser sees it: text laid out, styles resolved.
pub(super) fn tree(svg: &str) -> Result<usvg::Tree, usvg::Error> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_source(usvg::fontdb::Source::Binary(Arc::new(font::BYTES)));
    // A drawing reads nothing from outside: images by name are not loaded.
    let images = usvg::ImageHrefResolver { resolve_string: Box::new(|_, _| None), ..Default::default() };
    let options = usvg::Options {
        fontdb: Arc::new(fonts),
        font_family: "DejaVu Sans".into(),
        image_href_resolver: images,
        ..Default::default()
    };
    usvg::Tree::from_str(svg, &options)
}
