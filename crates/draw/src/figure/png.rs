//! Rasterisation of a drawing.

use std::sync::Arc;

use resvg::{tiny_skia, usvg};

use super::{FigureError, font, style};

/// Rasterises a drawing at 300 pixels per inch, on white, with only the bundled font. The file contains the size of its
/// pixels, so that documents show it at the size of the drawing. It has no time stamps.
///
/// # Errors
/// If the text is not an SVG, or the drawing has more than 10⁸ pixels.
pub fn png(svg: &str) -> Result<Vec<u8>, FigureError> {
    let fail = |reason: String| FigureError::Pixels(reason);
    let tree = tree(svg).map_err(|e| fail(e.to_string()))?;
    let size = tree.size();
    let (width, height) = pixels(f64::from(size.width()), f64::from(size.height()))?;
    let pixmap = tiny_skia::Pixmap::new(width, height);
    let mut pixmap = pixmap.ok_or_else(|| fail(format!("{width} times {height} is not a valid size")))?;
    pixmap.fill(tiny_skia::Color::WHITE);
    let scale = tiny_skia::Transform::from_scale(style::PNG_SCALE, style::PNG_SCALE);
    resvg::render(&tree, scale, &mut pixmap.as_mut());
    encode(&pixmap).map_err(|e| fail(e.to_string()))
}

/// Encodes pixels that are all opaque. Without an alpha channel and without PNG's filters, which suit photographs, the files
/// of our figures are 30 % smaller.
fn encode(pixmap: &tiny_skia::Pixmap) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, pixmap.width(), pixmap.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    encoder.set_filter(png::Filter::NoFilter);
    // A CSS pixel is 1/96 inch.
    let per_metre = (style::PNG_SCALE * 96.0 / 0.0254).round() as u32;
    encoder.set_pixel_dims(Some(png::PixelDimensions { xppu: per_metre, yppu: per_metre, unit: png::Unit::Meter }));
    let colours: Vec<u8> = pixmap.pixels().iter().flat_map(|p| [p.red(), p.green(), p.blue()]).collect();
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&colours)?;
    writer.finish()?;
    Ok(bytes)
}

/// Returns the width and height in pixels of a drawing.
///
/// # Errors
/// If there are too many pixels.
pub(super) fn pixels(width: f64, height: f64) -> Result<(u32, u32), FigureError> {
    let scale = f64::from(style::PNG_SCALE);
    let (width, height) = ((width * scale).ceil(), (height * scale).ceil());
    if width * height > style::PNG_PIXELS {
        return Err(FigureError::Pixels(format!("{width} times {height} pixels are too many")));
    }
    Ok((width as u32, height as u32))
}

/// Returns the drawing as the rasteriser's tree, with text laid out and styles resolved.
pub(super) fn tree(svg: &str) -> Result<usvg::Tree, usvg::Error> {
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_source(usvg::fontdb::Source::Binary(Arc::new(font::BYTES)));
    // Drawings read no other files: images by name are not loaded.
    let images = usvg::ImageHrefResolver { resolve_string: Box::new(|_, _| None), ..Default::default() };
    let options = usvg::Options {
        fontdb: Arc::new(fonts),
        font_family: "DejaVu Sans".into(),
        image_href_resolver: images,
        ..Default::default()
    };
    usvg::Tree::from_str(svg, &options)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_png_says_how_large_it_is_and_stays_one() {
        let svg = r#"<svg xmlns="http://www.w3.org/2000/svg" width="32" height="20"/>"#;
        let bytes = super::png(svg).unwrap();
        let mut chunks = Vec::new();
        let mut rest = &bytes[8..];
        while let Some((length, chunk)) = rest.split_first_chunk::<4>() {
            let (body, after) = chunk.split_at(u32::from_be_bytes(*length) as usize + 4);
            let (checksum, after) = after.split_first_chunk::<4>().unwrap();
            let mut computed = flate2::Crc::new();
            computed.update(body);
            assert_eq!(computed.sum(), u32::from_be_bytes(*checksum));
            chunks.push(body);
            rest = after;
        }
        let kinds: Vec<&[u8]> = chunks.iter().map(|chunk| &chunk[..4]).collect();
        assert_eq!(kinds, [&b"IHDR"[..], b"pHYs", b"IDAT", b"IEND"]);
        // 300 pixels per inch are 11811 per metre, in both directions.
        assert_eq!(chunks[1][4..], [0, 0, 0x2e, 0x23, 0, 0, 0x2e, 0x23, 1]);
        assert_eq!(resvg::tiny_skia::Pixmap::decode_png(&bytes).unwrap().width(), 100);
    }
}
