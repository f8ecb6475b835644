//! What a figure shows.

use serde::{Deserialize, Serialize};

/// A drawing of recorded numbers. Inputs: tables, named as the curves name them; outputs `svg`,
/// `png`, `numbers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The name, such as `fig3` or `fig3c`.
    pub name: String,
    /// Title above the panels; may be empty.
    pub title: String,
    /// Panels a row.
    pub columns: u32,
    /// The panels in reading order.
    pub panels: Vec<Panel>,
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
    /// The curves, drawn in order.
    pub curves: Vec<Curve>,
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
    /// Wanted tick values; those outside the limits are left out. Absent, or less than two inside: chosen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ticks: Option<Vec<f64>>,
}

/// One curve: mean over replicas, and a band of one sample standard deviation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// What the legend calls it.
    pub label: String,
    /// Index into the palette.
    pub colour: u32,
    /// Dashed instead of solid.
    pub dashed: bool,
    /// Column of the horizontal values.
    pub x: String,
    /// Column of the vertical values.
    pub y: String,
    /// The replicas (seeds): for each the names of its input tables, whose rows are put together.
    pub replicas: Vec<Vec<String>>,
}
