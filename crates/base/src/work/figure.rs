//! The kind `figure`: a drawing of recorded numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Cost, Images};
use super::import::Import;
use super::kind::{Content, Holds, Kind, OutputSpec, Presence};
use super::model::{Numerics, is_default, is_false};

/// A drawing of recorded numbers, or of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// Name, such as `fig3` or `fig3c`.
    pub name: String,
    /// Title above the panels; can be empty.
    pub title: String,
    /// Note at the bottom: the scale of the run.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub note: String,
    /// Largest number of panels per row; there are fewer where the width leaves a panel too little room.
    pub columns: u32,
    /// Width on paper.
    #[serde(skip_serializing_if = "is_default", default)]
    pub width: Width,
    /// Size of labels on paper.
    #[serde(skip_serializing_if = "is_default", default)]
    pub font_size: FontSize,
    /// Panels in reading order.
    pub panels: Vec<Panel>,
    /// The outputs, if a command draws the figure instead of panels: some of those of the kind, in alphabetical order. The
    /// stage reads each of them under the same name.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub drawn: Vec<String>,
}

impl Figure {
    /// Returns whether a command draws the figure.
    pub fn is_of_command(&self) -> bool {
        !self.drawn.is_empty()
    }
}

/// Width of a figure on paper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Width {
    /// The text of a page of one column, as in the style of NeurIPS: 5.5 inches.
    #[default]
    Text,
    /// One of two columns, as in the styles of ICML and IEEE: 3.25 inches.
    Column,
    /// Another width, in millimetres.
    Mm(f64),
}

impl Width {
    /// The widths that can be set in millimetres: from a narrow column to a poster.
    pub const RANGE: RangeInclusive<f64> = 60.0..=600.0;

    /// Returns the width in inches.
    pub fn inches(self) -> f64 {
        match self {
            Self::Text => 5.5,
            Self::Column => 3.25,
            Self::Mm(width) => width / 25.4,
        }
    }
}

/// Size of a figure's labels on paper, in points (1/72 inch). Titles are larger; tick labels and the foot are smaller.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FontSize(pub f64);

impl FontSize {
    /// The sizes that can be set. At the smallest, the smallest text is of 6 points: that of exponents and indices.
    pub const RANGE: RangeInclusive<f64> = 8.0..=24.0;
}

impl Default for FontSize {
    fn default() -> Self {
        Self(8.0)
    }
}

/// Declares an output that figures of panels have, and those of commands can have.
const fn output(name: &'static str, content: Content) -> OutputSpec {
    OutputSpec { name, content, presence: Presence::Sometimes }
}

impl Kind for Figure {
    const NAME: &'static str = "figure";
    const VERSION: u32 = 8;
    const OUTPUTS: &'static [OutputSpec] = &[
        output("svg", Content::Drawing),
        output("png", Content::Drawing),
        output("pdf", Content::Drawing),
        output("numbers", Content::Plotted),
    ];

    fn tolerance(_: &str) -> Option<Tolerance> {
        Some(Tolerance::NONE)
    }

    /// Returns the tables, under the names that the curves use, or the outputs of the command that draws the figure.
    fn inputs(&self) -> Vec<&str> {
        if self.is_of_command() {
            return self.drawn.iter().map(String::as_str).collect();
        }
        let curves = self.panels.iter().flat_map(|panel| &panel.curves);
        let tables = curves.flat_map(|curve| curve.replicas.iter().flatten()).map(|rows| rows.table.as_str());
        tables.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn import(&self) -> Option<Import<'_>> {
        None
    }

    fn holds(&self) -> Holds {
        Holds::Nothing
    }

    fn numerics(&self) -> Option<Numerics> {
        None
    }

    fn epochs(&self) -> Option<RangeInclusive<u32>> {
        None
    }

    fn cost(&self, _: Images) -> Option<Cost> {
        None
    }

    fn has(&self, output: &str) -> bool {
        !self.is_of_command() || self.drawn.iter().any(|drawn| drawn == output)
    }
}

/// One pair of axes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// Short name, such as `c`.
    pub id: String,
    /// Title above the axes.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// Axis of a heat map's colours; its label describes the numbers in the cells.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub z: Option<Axis>,
    /// Curves, in drawing order.
    pub curves: Vec<Curve>,
    /// Guide lines, below the curves.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub guides: Vec<Guide>,
}

/// Scale of an axis.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Linear.
    #[default]
    Linear,
    /// Logarithmic.
    Log,
}

/// An axis of a panel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Label with name and unit.
    pub label: String,
    /// Linear or logarithmic.
    #[serde(default)]
    pub scale: Scale,
    /// Fixed limits. If absent, the axis ends at the limits of the data.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub range: Option<[f64; 2]>,
    /// Requested tick values; those outside the limits are omitted. If absent, or too few to label the axis from end
    /// to end (without fixed limits), ticks are chosen automatically.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ticks: Option<Vec<f64>>,
}

/// How a curve is drawn. `Line`, `Points`, `Bars` and `Heat` show the mean over the replicas at every x, the others
/// every row of every replica.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// A line through the means, and a band of one sample standard deviation (of the logarithms on a logarithmic axis).
    #[default]
    Line,
    /// Dots at the means with error bars of the same length, joined by a dotted line.
    Points,
    /// One bar per curve, next to those of the other curves, with an error bar.
    Bars,
    /// A cell at (x, y), coloured and labelled by the mean of z.
    Heat,
    /// A dot for every row, paler for earlier rows of a replica, with the row's own error.
    Dots,
    /// A thin line through the rows in their order.
    Path,
    /// An arrow from every row's position to its tip, see [`Curve::to`].
    Arrows,
    /// A star for every row.
    Star,
}

impl Mark {
    /// All marks, by name.
    pub const ALL: [(&str, Self); 8] = [
        ("line", Self::Line),
        ("points", Self::Points),
        ("bars", Self::Bars),
        ("heat", Self::Heat),
        ("dots", Self::Dots),
        ("path", Self::Path),
        ("arrows", Self::Arrows),
        ("star", Self::Star),
    ];

    /// Returns the name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mark)| *mark == self).map_or("", |(name, _)| name)
    }

    /// Checks whether the mark shows means over the replicas, rather than every row.
    pub fn is_mean(self) -> bool {
        matches!(self, Self::Line | Self::Points | Self::Bars | Self::Heat)
    }
}

/// One quantity of a figure, over replicas (seeds).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// Label in the legend.
    pub label: String,
    /// Index into the palette: the same eight colours three times, each time with other dashes and markers.
    pub colour: u32,
    /// Whether the line is dashed instead of solid.
    #[serde(skip_serializing_if = "is_false", default)]
    pub dashed: bool,
    /// How the curve is drawn.
    #[serde(skip_serializing_if = "is_default", default)]
    pub mark: Mark,
    /// Whether the curve is omitted from the legend.
    #[serde(skip_serializing_if = "is_false", default)]
    pub unnamed: bool,
    /// Horizontal values: an expression over the columns, and over settings as `setting_NAME` (see [`crate::expr`]).
    pub x: String,
    /// Vertical values, as an expression like `x`.
    pub y: String,
    /// Standard error of one row's value, as an expression like `x`: drawn only if there is a single run, since the
    /// spread over several runs includes it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// Values shown by [`Mark::Heat`], as an expression like `x`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub z: Option<String>,
    /// Positions of the tips of [`Mark::Arrows`], as expressions like `x`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<(String, String)>,
    /// Whether only the last row of a replica counts: the one with the largest value in the column `epoch`.
    #[serde(skip_serializing_if = "is_false", default)]
    pub last: bool,
    /// The replicas. Each consists of tables, whose rows are concatenated.
    pub replicas: Vec<Vec<Rows>>,
}

/// A table that a curve is drawn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// Name of the input.
    pub table: String,
    /// Values of the settings used in the curve's expressions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub settings: BTreeMap<String, f64>,
}

/// A thin guide line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guide {
    /// Label at its end; can be empty.
    pub label: String,
    /// Height, an expression in `x`.
    pub y: String,
}
