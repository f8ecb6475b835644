//! Every colour, size and width of the drawings. Lengths are in SVG units (CSS pixels).

use super::look::Marker;

/// Colours of curves, by index: the paper's four, then four that are easy to distinguish from them and from each other.
pub const PALETTE: [&str; 8] = ["#1d3557", "#a8dadc", "#faa307", "#a10035", "#4a8f3c", "#8e5bb5", "#e56b9d", "#6c6f73"];
/// Fonts that browsers look for; the bundled font is the first.
pub const FONTS: &str = "DejaVu Sans, Verdana, sans-serif";
pub const BACKGROUND: &str = "#ffffff";
pub const INK: &str = "#222222";
pub const PALE_INK: &str = "#8a8a8a";
pub const GRID: &str = "#e6e6e6";

/// Text sizes.
pub const FIGURE_TITLE: f64 = 15.0;
pub const PANEL_TITLE: f64 = 13.0;
pub const AXIS_LABEL: f64 = 12.0;
pub const TICK_LABEL: f64 = 11.0;
pub const LEGEND: f64 = 11.0;
/// Line height, as a multiple of the text size; the font's ascent and descent together are 1.164.
pub const LINE: f64 = 1.22;
/// Ascent of the font, as a multiple of the text size.
pub const ASCENT: f64 = 0.93;
/// Distance from the baseline to the middle of digits, as a multiple of the text size.
pub const MIDDLE: f64 = 0.365;

/// Plot area of a panel: alone, and next to others.
pub const PLOT_ALONE: (f64, f64) = (430.0, 290.0);
pub const PLOT: (f64, f64) = (290.0, 205.0);
/// Empty border of the figure.
pub const MARGIN: f64 = 12.0;
/// Gap between neighbouring panels.
pub const GAP: (f64, f64) = (22.0, 20.0);
/// Gap between a text and the element that it labels.
pub const PAD: f64 = 6.0;

pub const CURVE: f64 = 1.7;
pub const DASH: &str = "5.5 3";
/// The rounds through the palette: the marker, the dash of normal curves, and the dash of dashed curves.
pub const ROUNDS: [(Marker, &str, &str); 3] =
    [(Marker::Circle, "", DASH), (Marker::Square, "9 2 1.5 2", "1.5 2"), (Marker::Diamond, "9 2 1.5 2 1.5 2", "12 4")];
pub const DOTTED: &str = "1 2.5";
pub const BAND_OPACITY: f64 = 0.2;
pub const FRAME: f64 = 0.9;
pub const GRID_LINE: f64 = 0.7;
pub const TICK: f64 = 4.0;
pub const MINOR_TICK: f64 = 2.2;
pub const DOT: f64 = 2.4;
/// Radius of dots for means.
pub const MEAN_DOT: f64 = 3.6;
/// Opacity of the first dot of a replica.
pub const PALEST: f64 = 0.25;
/// Width of a bar, as a share of the distance between bars.
pub const BAR: f64 = 0.62;
/// Length of an arrow's head.
pub const ARROW: f64 = 6.0;
/// Radius of a star.
pub const STAR: f64 = 7.0;
/// Colours of a heat map from low to high.
pub const HEAT: [[u8; 3]; 3] = [[0xff, 0xf3, 0xd6], [0x8f, 0xcb, 0xcf], [0x1d, 0x35, 0x57]];
pub const CELL_LABEL: f64 = 9.5;
/// Text size at the foot of a figure.
pub const CAPTION: f64 = 10.0;
/// Curves with at most this many points show each as a dot.
pub const FEW: usize = 15;
/// Number of markers, approximately, on curves of a later round with more points.
pub const MARKERS: usize = 8;
/// Half the width of the cross of a diverged replica, of a triangle at the edge, and of an error bar's cap.
pub const CROSS: f64 = 3.0;
/// The gap in a logarithmic axis above its row of zeros, as a share of the row's height.
pub const BREAK: f64 = 0.12;

/// Legend: length of a key, distance between entries, opacity of the box.
pub const KEY: f64 = 24.0;
pub const ENTRY_GAP: f64 = 18.0;
pub const LEGEND_OPACITY: f64 = 0.8;

/// Padding of an axis that the data determine, as a fraction of its span: horizontal, vertical.
pub const AXIS_PADDING: (f64, f64) = (0.03, 0.06);
/// Largest number of tick labels on an axis.
pub const MOST_TICKS: usize = 7;
/// Largest part of an axis without a label at each end, as a fraction of the axis, for requested ticks to be kept.
pub const MOST_BARE: f64 = 0.28;
/// Largest part of an axis between two neighbouring labels, for requested ticks to be kept.
pub const MOST_APART: f64 = 0.45;
/// Smallest space between neighbouring tick labels of the horizontal axis.
pub const TICK_GAP: f64 = 9.0;

/// Number of pixels of the PNG per unit.
pub const PNG_SCALE: f32 = 2.0;
/// Largest PNG, in pixels.
pub const PNG_PIXELS: f64 = 1e8;
