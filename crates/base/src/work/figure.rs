//! The kind `figure`: what a figure shows.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Cost, Images};
use super::import::Import;
use super::kind::{Content, Holds, Kind, OutputSpec};
use super::model::{Numerics, is_default, is_false};

/// A drawing of recorded numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The name, such as `fig3` or `fig3c`.
    pub name: String,
    /// Title above the panels; may be empty.
    pub title: String,
    /// What is said at the foot: at which scale it was made.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub note: String,
    /// Panels a row.
    pub columns: u32,
    /// The panels in reading order.
    pub panels: Vec<Panel>,
}

impl Kind for Figure {
    const NAME: &'static str = "figure";
    const VERSION: u32 = 5;
    const OUTPUTS: &'static [OutputSpec] = &[
        OutputSpec::new("svg", Content::Drawing),
        OutputSpec::new("png", Content::Drawing),
        OutputSpec::new("pdf", Content::Drawing),
        OutputSpec::new("numbers", Content::Plotted),
    ];

    fn tolerance(_: &str) -> Option<Tolerance> {
        Some(Tolerance::NONE)
    }

    /// The tables, under the names that the curves use.
    fn inputs(&self) -> Vec<&str> {
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

    fn has(&self, _: &str) -> bool {
        false
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
    /// The axis of a heat map's colours; its label says what the numbers in the cells are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub z: Option<Axis>,
    /// The curves, drawn in order.
    pub curves: Vec<Curve>,
    /// Lines for orientation, below the curves.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub guides: Vec<Guide>,
}

/// How an axis counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// By factors.
    Log,
}

/// An axis of a panel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Name and unit.
    pub label: String,
    /// Linear or logarithmic.
    #[serde(default)]
    pub scale: Scale,
    /// Fixed limits; absent: those of the data.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub range: Option<[f64; 2]>,
    /// Wanted tick values; those outside the limits are left out. Absent, or too few to label the axis from end to end (and
    /// no fixed limits): chosen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ticks: Option<Vec<f64>>,
}

/// How a curve is drawn. The first three show the mean over the replicas at every x, the others every row of every
/// replica.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// A line through the means, and a band of one sample standard deviation (of the logarithms on a logarithmic axis).
    #[default]
    Line,
    /// Dots at the means with error bars of the same length, joined by a dotted line.
    Points,
    /// One bar a curve, beside those of the other curves, with an error bar.
    Bars,
    /// A cell at (x, y), coloured and labelled by the mean of z.
    Heat,
    /// A dot for every row, the paler the earlier it stands among those of its replica, with the row's own error.
    Dots,
    /// A thin line through the rows in their order.
    Path,
    /// An arrow from every row's place to its tip, see [`Curve::to`].
    Arrows,
    /// A star for every row.
    Star,
}

impl Mark {
    /// All of them, by name.
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

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, mark)| *mark == self).map_or("", |(name, _)| name)
    }

    /// Whether it shows means over the replicas, rather than every row.
    pub fn is_mean(self) -> bool {
        matches!(self, Self::Line | Self::Points | Self::Bars | Self::Heat)
    }
}

/// What a figure says of one thing over replicas (seeds).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// What the legend calls it.
    pub label: String,
    /// Index into the palette: eight colours, then the same with another dash and marker, and once more.
    pub colour: u32,
    /// Dashed instead of solid.
    #[serde(skip_serializing_if = "is_false", default)]
    pub dashed: bool,
    /// How it is drawn.
    #[serde(skip_serializing_if = "is_default", default)]
    pub mark: Mark,
    /// Left out of the legend.
    #[serde(skip_serializing_if = "is_false", default)]
    pub unnamed: bool,
    /// Horizontal values: an expression over the columns, and over settings as `setting_NAME` (see [`crate::expr`]).
    pub x: String,
    /// Vertical values, likewise.
    pub y: String,
    /// The standard error of one row's value, likewise: drawn where there is one run only, since the spread over several
    /// holds it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<String>,
    /// What [`Mark::Heat`] shows, likewise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub z: Option<String>,
    /// Where the tips of [`Mark::Arrows`] are, likewise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<(String, String)>,
    /// Only the last row of a replica counts: the one with the largest value in the column `epoch`.
    #[serde(skip_serializing_if = "is_false", default)]
    pub last: bool,
    /// The replicas: for each its tables, whose rows are put together.
    pub replicas: Vec<Vec<Rows>>,
}

/// A table that a curve is drawn from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rows {
    /// The input that it is.
    pub table: String,
    /// The values of the settings that the curve's expressions name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub settings: BTreeMap<String, f64>,
}

/// A thin line for orientation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guide {
    /// What stands at its end; may be empty.
    pub label: String,
    /// Its height, an expression in `x`.
    pub y: String,
}
