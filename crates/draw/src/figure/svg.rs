//! The SVG document: a small writer, and the order of the elements.

use std::fmt::{self, Display, Write};

use super::font::Font;
use super::layout::Layout;
use super::script::{Script, parts, spoken};
use super::{FigureError, series, style};
use base::table::Table;
use base::work::{Figure, Scale};

/// Draws the numbers of [`super::numbers`]. Every panel is a group with `data-panel` (its id). Every curve is a group that
/// also has `data-curve` (its label) and `data-dashed`. Metadata can be inserted directly after `</desc>`.
///
/// # Errors
/// If the numbers do not belong to this figure, fixed limits are not an interval, or the font lacks a character.
pub fn svg(figure: &Figure, numbers: &Table) -> Result<String, FigureError> {
    let font = Font::bundled()?;
    check_texts(figure, &font)?;
    let series = series::series(figure, numbers)?;
    let layout = Layout::of(figure, &series, &font)?;
    let id = identifier(&figure.name);
    let (width, height) = (layout.width, layout.height);
    let on_paper = layout.on_paper();

    let mut out = Writer { text: "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n".to_owned() };
    out.open(
        "svg",
        &[
            ("xmlns", &"http://www.w3.org/2000/svg"),
            ("width", &Px(on_paper.0)),
            ("height", &Px(on_paper.1)),
            ("viewBox", &format!("0 0 {} {}", Px(width), Px(height))),
            ("role", &"img"),
            ("aria-labelledby", &format!("{id}-title {id}-desc")),
            ("font-family", &style::FONTS),
            ("fill", &style::INK),
        ],
    );
    let title = if figure.title.is_empty() { &figure.name } else { &figure.title };
    out.words("title", &[("id", &format!("{id}-title"))], &spoken(title));
    out.words("desc", &[("id", &format!("{id}-desc"))], &description(figure));
    out.leaf("rect", &[("width", &Px(width)), ("height", &Px(height)), ("fill", &style::BACKGROUND)]);
    for (i, line) in layout.title.iter().enumerate() {
        let y = style::MARGIN + (i as f64 * style::LINE + style::ASCENT) * style::FIGURE_TITLE;
        out.label((width / 2.0, y), "middle", style::FIGURE_TITLE, line);
    }
    for (i, cell) in layout.cells.iter().enumerate() {
        super::panel::draw(&mut out, cell, &format!("{id}-clip{i}"), &font);
    }
    if let Some((legend, at)) = &layout.legend {
        legend.draw(&mut out, *at);
    }
    for (i, line) in layout.caption.0.iter().enumerate() {
        let y = layout.caption.1 + i as f64 * style::LINE * style::CAPTION;
        out.tinted((style::MARGIN, y), "start", style::CAPTION, style::PALE_INK, line);
    }
    out.close("svg");
    Ok(out.text)
}

/// Refuses a figure with a character that the font lacks.
pub(super) fn check_texts(figure: &Figure, font: &Font) -> Result<(), FigureError> {
    texts(figure).try_for_each(|text| font.check(text))
}

/// Returns all texts in the drawing.
fn texts(figure: &Figure) -> impl Iterator<Item = &String> {
    let panels = figure.panels.iter().flat_map(|panel| {
        let own = [&panel.id, &panel.title, &panel.x.label, &panel.y.label];
        let z = panel.z.iter().map(|axis| &axis.label);
        let guides = panel.guides.iter().map(|guide| &guide.label);
        own.into_iter().chain(panel.curves.iter().map(|curve| &curve.label)).chain(z).chain(guides)
    });
    [&figure.name, &figure.title, &figure.note].into_iter().chain(panels)
}

fn description(figure: &Figure) -> String {
    let mut text = String::new();
    for panel in &figure.panels {
        let log = |scale| if scale == Scale::Log { " (logarithmic)" } else { "" };
        let curves: Vec<String> = panel.curves.iter().map(|curve| spoken(&curve.label)).collect();
        let (x, y) = (&panel.x, &panel.y);
        let separator = if text.is_empty() { "" } else { " " };
        let _ = write!(
            text,
            "{separator}Panel {}: {}. {}{} against {}{}: {}.",
            panel.id,
            spoken(&panel.title),
            spoken(&y.label),
            log(y.scale),
            spoken(&x.label),
            log(x.scale),
            curves.join(", ")
        );
    }
    text
}

/// Returns a name that is valid in an XML id. Different figures on one page should have different ids.
fn identifier(name: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("wdpipe-{}", name.chars().map(safe).collect::<String>())
}

/// A length or position, written with at most two decimals. Equal values are always written alike.
pub(super) struct Px(pub f64);

impl Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hundredths = (self.0 * 100.0).round() as i64;
        let (whole, rest) = (hundredths.unsigned_abs() / 100, hundredths.unsigned_abs() % 100);
        let sign = if hundredths < 0 { "-" } else { "" };
        match rest {
            0 => write!(f, "{sign}{whole}"),
            rest if rest % 10 == 0 => write!(f, "{sign}{whole}.{}", rest / 10),
            rest => write!(f, "{sign}{whole}.{rest:02}"),
        }
    }
}

/// The points of a path, without points that repeat the previous one.
#[derive(Default)]
pub(super) struct Path {
    text: String,
    last: (i64, i64),
}

impl Path {
    /// Adds a point: with a line, or without one at the start.
    pub fn to(&mut self, (x, y): (f64, f64)) {
        let rounded = ((x * 100.0).round() as i64, (y * 100.0).round() as i64);
        if self.text.is_empty() || rounded != self.last {
            let command = if self.text.is_empty() { 'M' } else { 'L' };
            let _ = write!(self.text, "{command}{} {}", Px(x), Px(y));
            self.last = rounded;
        }
    }

    pub fn open(self) -> String {
        self.text
    }

    pub fn closed(mut self) -> String {
        self.text.push('Z');
        self.text
    }
}

/// Returns a path of one straight line.
pub(super) fn line(from: (f64, f64), to: (f64, f64)) -> String {
    let mut path = Path::default();
    path.to(from);
    path.to(to);
    path.open()
}

/// Attributes of an element: names and values, which are escaped.
type Attributes<'a> = [(&'a str, &'a dyn Display)];

/// A writer of XML elements.
pub(super) struct Writer {
    text: String,
}

impl Writer {
    fn start(&mut self, name: &str, attributes: &Attributes) {
        self.text.push('<');
        self.text.push_str(name);
        for (name, value) in attributes {
            let _ = write!(self.text, " {name}=\"");
            escape(&mut self.text, &value.to_string());
            self.text.push('"');
        }
    }

    pub fn open(&mut self, name: &str, attributes: &Attributes) {
        self.start(name, attributes);
        self.text.push_str(">\n");
    }

    pub fn close(&mut self, name: &str) {
        let _ = writeln!(self.text, "</{name}>");
    }

    pub fn leaf(&mut self, name: &str, attributes: &Attributes) {
        self.start(name, attributes);
        self.text.push_str("/>\n");
    }

    /// Writes an element with text in it.
    pub fn words(&mut self, name: &str, attributes: &Attributes, words: &str) {
        self.start(name, attributes);
        self.text.push('>');
        escape(&mut self.text, words);
        self.close(name);
    }

    /// Writes a `<text>`, in which exponents and indices are smaller and shifted.
    pub fn text(&mut self, attributes: &Attributes, size: f64, words: &str) {
        self.start("text", attributes);
        let _ = write!(self.text, " font-size=\"{}\">", Px(size));
        let mut drop = 0.0;
        for (level, part) in parts(words) {
            let shift = Px(level.drop(size) - drop);
            drop = level.drop(size);
            match level {
                Script::Line if shift.0 == 0.0 => escape(&mut self.text, &part),
                Script::Line => self.part(&[("dy", &shift)], &part),
                _ => self.part(&[("dy", &shift), ("font-size", &Px(level.size(size)))], &part),
            }
        }
        self.close("text");
    }

    fn part(&mut self, attributes: &Attributes, words: &str) {
        self.start("tspan", attributes);
        self.text.push('>');
        escape(&mut self.text, words);
        self.text.push_str("</tspan>");
    }

    /// Writes a line of text. `anchor` says whether the position is the start, the middle or the end of its baseline.
    pub fn label(&mut self, (x, y): (f64, f64), anchor: &str, size: f64, words: &str) {
        self.text(&[("x", &Px(x)), ("y", &Px(y)), ("text-anchor", &anchor)], size, words);
    }

    /// Writes a line of text in a colour.
    pub fn tinted(&mut self, (x, y): (f64, f64), anchor: &str, size: f64, colour: &str, words: &str) {
        self.text(&[("x", &Px(x)), ("y", &Px(y)), ("text-anchor", &anchor), ("fill", &colour)], size, words);
    }
}

fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_one_way() {
        let cases = [(0.0, "0"), (-0.001, "0"), (1.5, "1.5"), (-12.345, "-12.35"), (0.05, "0.05"), (1e3, "1000")];
        for (value, text) in cases {
            assert_eq!(Px(value).to_string(), text);
        }
    }

    #[test]
    fn paths_leave_out_repeated_points() {
        let mut path = Path::default();
        [(0.0, 0.0), (0.001, 0.0), (1.0, 2.0)].into_iter().for_each(|at| path.to(at));
        assert_eq!(path.closed(), "M0 0L1 2Z");
    }
}
