//! Every colour, size and width of the drawings. Lengths are in units of the drawing, of which an axis's name is 12 high;
//! [`super::layout::Layout::unit`] says how large a unit is on paper. Whatever the font size, nothing with a meaning is smaller than 6
//! points or thinner than 0.6 points, and contrasts are at least 3 : 1 on the background, those of text at least 4.5 : 1.

/// Colours of curves, by index: the paper's four, then four that are easy to distinguish from them and from each other. The
/// second and third are the paper's teal and amber, darkened, because their contrast is 1.5 and 2.1 in the paper.
pub const PALETTE: [&str; 8] = ["#1d3557", "#2b8a8e", "#cf7c00", "#a10035", "#4a8f3c", "#8e5bb5", "#d4548c", "#6c6f73"];
/// Fonts that browsers look for; the bundled font is the first.
pub const FONTS: &str = "DejaVu Sans, Verdana, sans-serif";
pub const BACKGROUND: &str = "#ffffff";
pub const INK: &str = "#222222";
pub const PALE_INK: &str = "#5c6166";
/// Lines without a meaning.
pub const GRID: &str = "#e6e6e6";

/// Text sizes.
pub const FIGURE_TITLE: f64 = 15.0;
pub const PANEL_TITLE: f64 = 13.0;
pub const AXIS_LABEL: f64 = 12.0;
pub const TICK_LABEL: f64 = 11.0;
pub const LEGEND: f64 = 11.0;
/// Size of exponents and indices.
pub const SCRIPT: f64 = 9.0;
/// Line height, as a multiple of the text size; the font's ascent and descent together are 1.164, and an exponent is higher.
pub const LINE: f64 = 1.32;
/// Ascent of the font, as a multiple of the text size.
pub const ASCENT: f64 = 0.93;
/// Distance from the baseline to the middle of digits, as a multiple of the text size.
pub const MIDDLE: f64 = 0.365;

/// Least width of a plot area next to others. If there is less room, panels go into more rows.
pub const NARROWEST: f64 = 150.0;
/// Height of a plot area, as a share of its width, and its limits.
pub const HEIGHT: (f64, f64, f64) = (0.64, 90.0, 260.0);
/// Empty border of the figure.
pub const MARGIN: f64 = 4.0;
/// Gap between neighbouring panels.
pub const GAP: (f64, f64) = (22.0, 12.0);
/// Gap between a text and the element that it labels.
pub const PAD: f64 = 6.0;

pub const CURVE: f64 = 1.8;
/// Dashes by index: those of normal curves have long strokes, those of dashed curves short ones.
pub const DASHES: [(&str, &str); 4] =
    [("", "4.5 2.5"), ("14 2.5", "2 2"), ("11 2.5 2 2.5", "4.5 2 1.5 2"), ("11 2.5 2 2.5 2 2.5", "4.5 2 1.5 2 1.5 2")];
pub const GUIDE: &str = "5.5 3";
pub const DOTTED: &str = "1 2.5";
/// Dash of the edges of bands.
pub const EDGE: &str = "0.9 1.4";
pub const BAND_OPACITY: f64 = 0.2;
/// Width of the thinnest lines.
pub const FRAME: f64 = 0.9;
pub const TICK: f64 = 4.0;
pub const MINOR_TICK: f64 = 2.2;
pub const DOT: f64 = 2.7;
/// Radius of dots for means.
pub const MEAN_DOT: f64 = 3.6;
/// Opacity of the inside of a replica's first dot.
pub const PALEST: f64 = 0.25;
/// Width of a bar, as a share of the distance between bars.
pub const BAR: f64 = 0.62;
/// Opacity of the inside of a bar.
pub const BAR_OPACITY: f64 = 0.45;
/// Length of an arrow's head.
pub const ARROW: f64 = 6.0;
/// Radius of a star.
pub const STAR: f64 = 7.0;
/// Colours of a heat map from low to high.
pub const HEAT: [[u8; 3]; 3] = [[0xff, 0xf3, 0xd6], [0x8f, 0xcb, 0xcf], [0x1d, 0x35, 0x57]];
/// Colours of the numbers in cells: the one with more contrast is used.
pub const CELL_INKS: [&str; 2] = ["#000000", "#ffffff"];
pub const CELL_LABEL: f64 = 10.0;
/// Text size at the foot of a figure.
pub const CAPTION: f64 = 10.5;
/// Curves with at most this many points show each as a dot.
pub const FEW: usize = 15;
/// Number of markers, approximately, on curves with more points.
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

/// Pixels of the PNG per CSS pixel, of which 96 are an inch: 300 per inch.
pub const PNG_SCALE: f32 = 3.125;
/// Largest PNG, in pixels.
pub const PNG_PIXELS: f64 = 1e8;
