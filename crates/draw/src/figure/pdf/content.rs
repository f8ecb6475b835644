//! Content of the page: the rasteriser's tree as PDF operators (ISO 32000-1, annex A).

use std::collections::BTreeMap;

use pdf_writer::types::{LineCapStyle, LineJoinStyle};
use pdf_writer::{Content, Name, Str};
use resvg::tiny_skia::{PathSegment, Transform};
use resvg::usvg;

use super::font::Advances;
use super::{POINTS, rounded};
use crate::figure::FigureError;

/// The name of the one font.
pub const FONT: &[u8] = b"F";

/// A drawn page.
pub struct Drawn {
    /// The operators.
    pub operators: Vec<u8>,
    /// The glyphs on the page, each with the text of its first occurrence.
    pub glyphs: BTreeMap<u16, String>,
    opacities: Vec<[u16; 2]>,
}

impl Drawn {
    /// Returns the opacities in use, of fills and strokes, by name.
    pub fn opacities(&self) -> impl Iterator<Item = (String, [f32; 2])> {
        let share = |thousandths: u16| f32::from(thousandths) / 1000.0;
        self.opacities.iter().enumerate().map(move |(i, pair)| (format!("A{i}"), pair.map(share)))
    }
}

/// Draws a tree, in points from the lower left corner.
pub fn draw(tree: &usvg::Tree) -> Result<Drawn, FigureError> {
    let mut page =
        Page { out: Content::new(), advances: Advances::of_bundled()?, glyphs: BTreeMap::new(), opacities: Vec::new() };
    page.out.transform([POINTS, 0.0, 0.0, -POINTS, 0.0, rounded(tree.size().height() * POINTS)]);
    page.group(tree.root())?;
    Ok(Drawn { operators: page.out.finish().into_vec(), glyphs: page.glyphs, opacities: page.opacities })
}

struct Page {
    out: Content,
    advances: Advances,
    glyphs: BTreeMap<u16, String>,
    opacities: Vec<[u16; 2]>,
}

fn lacking<T>(what: &str) -> Result<T, FigureError> {
    Err(FigureError::Pdf(format!("{what} cannot be written")))
}

fn matrix(t: Transform) -> [f32; 6] {
    // The parts of a rotation need more than three decimals, because they are multiplied with positions.
    let part = |value: f32| ((f64::from(value) * 1e6).round() / 1e6) as f32;
    [part(t.sx), part(t.ky), part(t.kx), part(t.sy), rounded(t.tx), rounded(t.ty)]
}

fn colour(paint: &usvg::Paint) -> Result<[f32; 3], FigureError> {
    match paint {
        usvg::Paint::Color(colour) => {
            Ok([colour.red, colour.green, colour.blue].map(|part| rounded(f32::from(part) / 255.0)))
        }
        _ => lacking("a gradient or a pattern"),
    }
}

impl Page {
    fn group(&mut self, group: &usvg::Group) -> Result<(), FigureError> {
        if group.opacity() != usvg::Opacity::ONE || group.blend_mode() != usvg::BlendMode::Normal {
            return lacking("a group that is blended as a whole");
        }
        if group.mask().is_some() || !group.filters().is_empty() {
            return lacking("a mask or a filter");
        }
        self.out.save_state();
        if !group.transform().is_identity() {
            self.out.transform(matrix(group.transform()));
        }
        if let Some(clip) = group.clip_path() {
            self.clip(clip)?;
        }
        for node in group.children() {
            match node {
                usvg::Node::Group(group) => self.group(group)?,
                usvg::Node::Path(path) => self.path(path)?,
                usvg::Node::Text(text) => text.layouted().iter().try_for_each(|span| self.span(span))?,
                usvg::Node::Image(_) => return lacking("an image"),
            }
        }
        self.out.restore_state();
        Ok(())
    }

    /// Clips the following operators to one path, such as the rectangle of a plot.
    fn clip(&mut self, clip: &usvg::ClipPath) -> Result<(), FigureError> {
        match clip.root().children() {
            [usvg::Node::Path(path)] if clip.transform().is_identity() && clip.clip_path().is_none() => {
                self.outline(path);
                match path.fill().map(usvg::Fill::rule) {
                    Some(usvg::FillRule::EvenOdd) => self.out.clip_even_odd(),
                    _ => self.out.clip_nonzero(),
                };
                self.out.end_path();
                Ok(())
            }
            _ => lacking("a clip of more than one path"),
        }
    }

    fn path(&mut self, path: &usvg::Path) -> Result<(), FigureError> {
        if !path.is_visible() {
            return Ok(());
        }
        if path.paint_order() != usvg::PaintOrder::FillAndStroke && path.fill().is_some() {
            return lacking("a fill over its stroke");
        }
        self.out.save_state();
        let fill = path.fill().map_or(usvg::Opacity::ONE, usvg::Fill::opacity);
        let stroke = path.stroke().map_or(usvg::Opacity::ONE, usvg::Stroke::opacity);
        self.opacity([fill, stroke]);
        if let Some(fill) = path.fill() {
            let [r, g, b] = colour(fill.paint())?;
            self.out.set_fill_rgb(r, g, b);
        }
        if let Some(stroke) = path.stroke() {
            self.pen(stroke)?;
        }
        self.outline(path);
        match (path.fill().map(usvg::Fill::rule), path.stroke().is_some()) {
            (None, false) => self.out.end_path(),
            (None, true) => self.out.stroke(),
            (Some(usvg::FillRule::NonZero), false) => self.out.fill_nonzero(),
            (Some(usvg::FillRule::NonZero), true) => self.out.fill_nonzero_and_stroke(),
            (Some(usvg::FillRule::EvenOdd), false) => self.out.fill_even_odd(),
            (Some(usvg::FillRule::EvenOdd), true) => self.out.fill_even_odd_and_stroke(),
        };
        self.out.restore_state();
        Ok(())
    }

    fn pen(&mut self, stroke: &usvg::Stroke) -> Result<(), FigureError> {
        let [r, g, b] = colour(stroke.paint())?;
        self.out.set_stroke_rgb(r, g, b);
        self.out.set_line_width(rounded(stroke.width().get()));
        self.out.set_miter_limit(rounded(stroke.miterlimit().get()));
        self.out.set_line_cap(match stroke.linecap() {
            usvg::LineCap::Butt => LineCapStyle::ButtCap,
            usvg::LineCap::Round => LineCapStyle::RoundCap,
            usvg::LineCap::Square => LineCapStyle::ProjectingSquareCap,
        });
        self.out.set_line_join(match stroke.linejoin() {
            usvg::LineJoin::Miter | usvg::LineJoin::MiterClip => LineJoinStyle::MiterJoin,
            usvg::LineJoin::Round => LineJoinStyle::RoundJoin,
            usvg::LineJoin::Bevel => LineJoinStyle::BevelJoin,
        });
        if let Some(dashes) = stroke.dasharray() {
            self.out.set_dash_pattern(dashes.iter().copied().map(rounded), rounded(stroke.dashoffset()));
        }
        Ok(())
    }

    /// Sets a pair of opacities, of fills and strokes, until the state is restored.
    fn opacity(&mut self, pair: [usvg::Opacity; 2]) {
        let pair = pair.map(|opacity| (opacity.get() * 1000.0).round() as u16);
        if pair == [1000, 1000] {
            return;
        }
        let index = self.opacities.iter().position(|other| *other == pair).unwrap_or_else(|| {
            self.opacities.push(pair);
            self.opacities.len() - 1
        });
        self.out.set_parameters(Name(format!("A{index}").as_bytes()));
    }

    fn outline(&mut self, path: &usvg::Path) {
        let mut at = (0.0, 0.0);
        for segment in path.data().segments() {
            match segment {
                PathSegment::MoveTo(p) => {
                    self.out.move_to(rounded(p.x), rounded(p.y));
                    at = (p.x, p.y);
                }
                PathSegment::LineTo(p) => {
                    self.out.line_to(rounded(p.x), rounded(p.y));
                    at = (p.x, p.y);
                }
                PathSegment::QuadTo(c, p) => {
                    // The same curve as a cubic one, with control points two thirds of the way to c.
                    let toward = |from: f32, to: f32| rounded(from + (to - from) * (2.0 / 3.0));
                    let (first, second) = ((at.0, at.1), (p.x, p.y));
                    let [x1, y1] = [toward(first.0, c.x), toward(first.1, c.y)];
                    let [x2, y2] = [toward(second.0, c.x), toward(second.1, c.y)];
                    self.out.cubic_to(x1, y1, x2, y2, rounded(p.x), rounded(p.y));
                    at = (p.x, p.y);
                }
                PathSegment::CubicTo(c, d, p) => {
                    let [x1, y1, x2, y2] = [c.x, c.y, d.x, d.y].map(rounded);
                    self.out.cubic_to(x1, y1, x2, y2, rounded(p.x), rounded(p.y));
                    at = (p.x, p.y);
                }
                PathSegment::Close => {
                    self.out.close_path();
                }
            }
        }
    }

    /// Writes text of one size and colour with as few operators as the glyphs' places allow, so that words stay together.
    fn span(&mut self, span: &usvg::layout::Span) -> Result<(), FigureError> {
        let lines = span.underline.is_some() || span.overline.is_some() || span.line_through.is_some();
        let (Some(fill), false) = (&span.fill, span.stroke.is_some() || lines) else {
            return lacking("text with outlines or lines, or without a fill");
        };
        if !span.visible {
            return Ok(());
        }
        let [r, g, b] = colour(fill.paint())?;
        self.out.save_state();
        self.opacity([fill.opacity(), usvg::Opacity::ONE]);
        self.out.set_fill_rgb(r, g, b);
        self.out.begin_text();
        let size = span.font_size.get();
        self.out.set_font(Name(FONT), size);
        let mut rest = &span.positioned_glyphs[..];
        while let [first, ..] = rest {
            rest = self.run(first, rest, size)?;
        }
        self.out.end_text();
        self.out.restore_state();
        Ok(())
    }

    /// Writes the glyphs that are on one baseline with `first`, which is the first of them, and returns the others.
    fn run<'g>(
        &mut self,
        first: &usvg::layout::PositionedGlyph,
        glyphs: &'g [usvg::layout::PositionedGlyph],
        size: f32,
    ) -> Result<&'g [usvg::layout::PositionedGlyph], FigureError> {
        let start = placed(first, size, self.advances.units_per_em);
        self.out.set_text_matrix(matrix(start));
        let Some(back) = start.invert() else { return lacking("text without height or width") };
        let mut show = self.out.show_positioned();
        let mut items = show.items();
        // Where the next glyph would be without an adjustment, in thousandths of the size.
        let mut pen = 0.0;
        for (i, glyph) in glyphs.iter().enumerate() {
            let offset = back.pre_concat(placed(glyph, size, self.advances.units_per_em));
            let turned = (offset.sx - 1.0).abs().max(offset.kx.abs()).max(offset.ky.abs()) > 1e-3;
            if turned || offset.ty.abs() > size * 1e-3 {
                return Ok(&glyphs[i..]);
            }
            let Ok(id) = u16::try_from(glyph.id.0) else { return lacking("a glyph beyond the 65,536th") };
            let advance = pen - (offset.tx / size * 1000.0).round();
            if advance.abs() >= 1.0 {
                items.adjust(advance.round());
                pen -= advance.round();
            }
            items.show(Str(&id.to_be_bytes()));
            pen += self.advances.of(id);
            self.glyphs.entry(id).or_insert_with(|| glyph.text.clone());
        }
        Ok(&[])
    }
}

/// Returns the transform from a glyph's text space, in which the size is `size` and y goes up, to the drawing.
fn placed(glyph: &usvg::layout::PositionedGlyph, size: f32, units_per_em: f32) -> Transform {
    let scale = units_per_em / size;
    glyph.outline_transform().pre_concat(Transform::from_scale(scale, scale))
}
