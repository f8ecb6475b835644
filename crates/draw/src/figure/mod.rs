//! Drawing: from recorded tables to numbers, SVG, PNG and PDF.
//!
//! [`numbers`] aggregates replicas, [`svg`] draws those numbers, [`png`] rasterises the drawing, [`pdf`] turns it into a page.
//! A drawing has the size that it has on paper: a page that includes it without scaling prints every text at its size.
//! Each is a pure function with the same result, to the byte, on every platform: positions are computed only with IEEE-754's
//! exactly rounded operations, text is measured and rasterised with the bundled font, and nothing else is read.
//! **If drawings change, bump the version of the stage kind `figure`.**

mod axes;
mod caption;
mod colour;
mod font;
mod heat;
mod layout;
mod legend;
mod look;
mod marks;
mod notices;
mod panel;
mod pdf;
mod png;
mod replicas;
mod rows;
mod scale;
mod script;
mod series;
mod spread;
mod style;
mod svg;
mod ticks;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use base::table::Table;
use base::work::Figure;
use font::Font;
use layout::Layout;

pub use axes::{AxisScales, PanelAxes, TickedScale, axes};
pub use look::{LOOKS, Look, Marker};
pub use notices::notices;
pub use pdf::pdf;
pub use png::png;
pub use replicas::{ReplicaValue, replica_values};
pub use rows::{Row, SETTING, rows};
pub use series::{Point, numbers, replica_points};
pub use svg::svg;

/// A drawn figure.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// The vector drawing, a complete SVG 1.1 document in UTF-8.
    pub svg: String,
    /// The drawing as a PNG, with 300 pixels per inch.
    pub png: Vec<u8>,
    /// The drawing as a page of PDF.
    pub pdf: Vec<u8>,
    /// The numbers in the drawing, see [`numbers`].
    pub numbers: Table,
}

/// The reason why a figure cannot be drawn.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FigureError {
    /// A replica names a table that does not exist.
    #[error("panel `{panel}`, curve `{curve}`: there is no table `{table}`")]
    NoTable {
        /// The panel's id.
        panel: String,
        /// The curve's label.
        curve: String,
        /// The missing table.
        table: String,
    },
    /// A table lacks a column, or the column holds text.
    #[error("panel `{panel}`, curve `{curve}`: table `{table}` has no column of numbers `{column}`")]
    NoColumn {
        /// The panel's id.
        panel: String,
        /// The curve's label.
        curve: String,
        /// The table.
        table: String,
        /// The missing column.
        column: String,
    },
    /// The horizontal axis has no position for a row.
    #[error(
        "panel `{panel}`, curve `{curve}`: table `{table}` has {value} in column `{column}`, which is not a position"
    )]
    Position {
        /// The panel's id.
        panel: String,
        /// The curve's label.
        curve: String,
        /// The table.
        table: String,
        /// The column of horizontal values.
        column: String,
        /// The value in this column.
        value: f64,
    },
    /// The tables of one replica disagree.
    #[error("panel `{panel}`, curve `{curve}`: replica {replica} has two values at x = {x}")]
    Conflict {
        /// The panel's id.
        panel: String,
        /// The curve's label.
        curve: String,
        /// Index of the replica.
        replica: usize,
        /// Horizontal position.
        x: f64,
    },
    /// A curve's expression cannot be read.
    #[error("panel `{panel}`, curve `{curve}`: `{text}`: {reason}")]
    Expression {
        /// The panel's id.
        panel: String,
        /// The curve's label.
        curve: String,
        /// The expression.
        text: String,
        /// The error in the expression.
        reason: String,
    },
    /// Two panels with one id, or two curves of a panel with one label and dash.
    #[error("panel `{panel}` has {what} twice: give them different names")]
    Twice {
        /// The panel's id.
        panel: String,
        /// The thing that occurs twice, in words.
        what: String,
    },
    /// Limits that are not an interval of the axis.
    #[error("panel `{panel}`: the {axis} axis cannot go from {low} to {high}")]
    Range {
        /// The panel's id.
        panel: String,
        /// `x` or `y`.
        axis: &'static str,
        /// Lower limit.
        low: f64,
        /// Upper limit.
        high: f64,
    },
    /// A character that the bundled font lacks, so that it would be drawn as a box.
    #[error("the font has no `{}` (U+{:04X}), which occurs in `{text}`", .character.escape_debug(), u32::from(*.character))]
    Glyph {
        /// The character.
        character: char,
        /// The text with the character.
        text: String,
    },
    /// The numbers do not belong to this figure.
    #[error("the numbers do not fit the figure: {0}")]
    Numbers(String),
    /// The drawing cannot be rasterised.
    #[error("the drawing cannot be turned into pixels: {0}")]
    Pixels(String),
    /// The drawing contains an element that our PDF cannot express.
    #[error("the drawing cannot be turned into a PDF: {0}")]
    Pdf(String),
}

impl FigureError {
    /// Returns the id of the panel with the error, if the error belongs to one panel.
    pub fn panel(&self) -> Option<&str> {
        match self {
            Self::NoTable { panel, .. }
            | Self::NoColumn { panel, .. }
            | Self::Position { panel, .. }
            | Self::Conflict { panel, .. }
            | Self::Expression { panel, .. }
            | Self::Twice { panel, .. }
            | Self::Range { panel, .. } => Some(panel),
            Self::Glyph { .. } | Self::Numbers(_) | Self::Pixels(_) | Self::Pdf(_) => None,
        }
    }
}

/// Returns the text at the foot of a figure, without the figure's own note: the number of runs, the meaning of the marks, and
/// the numbers that are not shown.
///
/// # Errors
/// If the numbers do not belong to this figure.
pub fn caption(figure: &Figure, numbers: &Table) -> Result<String, FigureError> {
    Ok(caption::words(figure, &series::series(figure, numbers)?))
}

/// Refuses a text with a character that the bundled font lacks.
///
/// # Errors
/// Names the character.
pub fn check_text(text: &str) -> Result<(), FigureError> {
    Font::bundled()?.check(text)
}

/// Refuses a figure that cannot be drawn with any numbers: it has two curves of one name, limits that are not an interval, a
/// character that the font lacks, or too large a page.
///
/// # Errors
/// See [`FigureError`].
pub fn check(figure: &Figure) -> Result<(), FigureError> {
    let nothing = numbers(&Figure { panels: Vec::new(), ..figure.clone() }, &BTreeMap::new())?;
    let font = Font::bundled()?;
    svg::check_texts(figure, &font)?;
    let series = series::series(figure, &nothing)?;
    let layout = Layout::of(figure, &series, &font)?;
    let (width, height) = layout.on_paper();
    png::pixels(width, height).map(drop)
}

/// Draws a figure of recorded tables.
///
/// # Errors
/// See [`FigureError`]. Tables without rows or finite numbers are not an error: the panel says "no data".
pub fn draw(figure: &Figure, tables: &BTreeMap<String, Table>) -> Result<Drawing, FigureError> {
    let numbers = numbers(figure, tables)?;
    let svg = svg(figure, &numbers)?;
    let png = png(&svg)?;
    let pdf = pdf(&svg)?;
    Ok(Drawing { svg, png, pdf, numbers })
}
