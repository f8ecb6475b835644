//! Legends: their entries, their layout, and free places for them.

use std::collections::BTreeMap;

use super::font::Font;
use super::layout::{Plot, Rect};
use super::look::Look;
use super::series::Point;
use super::svg::{Px, Writer, line};
use super::{marks, panel, style};
use base::work::{Curve, Mark, Panel};

/// A legend, laid out in rows and columns.
pub(super) struct Legend {
    entries: Vec<Entry>,
    column_widths: Vec<f64>,
    row_heights: Vec<f64>,
}

/// One curve's name and look.
#[derive(Clone)]
pub(super) struct Entry {
    label: String,
    lines: Vec<String>,
    width: f64,
    look: Look,
    dashed: bool,
    mark: Mark,
    /// Largest number of diverged replicas at a point, and the number of replicas there.
    diverged: (i64, i64),
}

/// Returns the look of a curve.
pub(super) fn look(curve: &Curve) -> Look {
    Look::of(curve.colour, curve.dashed)
}

/// Returns the colour of a curve.
pub(super) fn colour(curve: &Curve) -> &'static str {
    look(curve).colour
}

/// Returns the entries of a panel, in the order of the curves. Curves without a label have no entry.
pub(super) fn entries(panel: &Panel, series: &[Vec<Point>]) -> Vec<Entry> {
    let entry = |(curve, points): (&Curve, &Vec<Point>)| Entry {
        label: curve.label.clone(),
        lines: Vec::new(),
        width: 0.0,
        look: look(curve),
        dashed: curve.dashed,
        mark: curve.mark,
        // For curves that show every row, this would not be a number of runs; the caption describes what they lack.
        diverged: points
            .iter()
            .filter(|_| curve.mark.is_mean())
            .map(|p| (p.diverged, p.n.saturating_add(p.diverged)))
            .max()
            .unwrap_or((0, 0)),
    };
    panel.curves.iter().zip(series).filter(|(curve, _)| is_named(curve)).map(entry).collect()
}

/// Checks whether a legend has an entry for the curve: cells of a heat map and bars, whose axis names them, have none.
pub(super) fn is_named(curve: &Curve) -> bool {
    !curve.unnamed && !matches!(curve.mark, Mark::Heat | Mark::Bars) && !curve.label.trim().is_empty()
}

/// Returns one legend for several panels, if each name has one look in all panels, and each look has one name.
pub(super) fn shared(panels: Vec<Vec<Entry>>) -> Option<Vec<Entry>> {
    let mut looks = BTreeMap::new();
    let mut names = BTreeMap::new();
    let mut all: Vec<Entry> = Vec::new();
    for entry in panels.into_iter().flatten() {
        let (name, look) = ((entry.label.clone(), entry.dashed), (entry.look, entry.mark.name()));
        let same_look = *looks.entry(name).or_insert(entry.look) == entry.look;
        let same_name = *names.entry(look).or_insert_with(|| entry.label.clone()) == entry.label;
        if !same_look || !same_name {
            return None;
        }
        match all.iter_mut().find(|other| other.label == entry.label && other.dashed == entry.dashed) {
            Some(other) => other.diverged = other.diverged.max(entry.diverged),
            None => all.push(entry),
        }
    }
    Some(all)
}

impl Legend {
    /// Lays out entries in at most `columns` columns with a total width of at most `width`. Returns `None` if there are no
    /// entries.
    pub fn set(mut entries: Vec<Entry>, font: &Font, columns: usize, width: f64) -> Option<Self> {
        let key = style::KEY + style::PAD;
        for entry in &mut entries {
            let note = match entry.diverged {
                (0, _) => String::new(),
                (diverged, of) => format!(", × {diverged} of {of} diverged"),
            };
            entry.lines = font.wrap(&format!("{}{note}", entry.label), style::LEGEND, width - key);
            let widths = entry.lines.iter().map(|line| font.width(line, style::LEGEND));
            entry.width = key + widths.fold(0.0, f64::max);
        }
        let widest = |entries: &mut dyn Iterator<Item = &Entry>| entries.map(|entry| entry.width).fold(0.0, f64::max);
        let fitting = (width + style::ENTRY_GAP) / (widest(&mut entries.iter()) + style::ENTRY_GAP);
        let rows = entries.len().div_ceil((fitting as usize).clamp(1, columns.max(1)));
        let columns = entries.len().div_ceil(rows.max(1));
        let height = |row: &[Entry]| {
            let lines = row.iter().map(|entry| entry.lines.len()).max().unwrap_or(0);
            (lines as f64 * style::LINE + 0.2) * style::LEGEND
        };
        let column_widths = (0..columns).map(|c| widest(&mut entries.iter().skip(c).step_by(columns))).collect();
        let row_heights = entries.chunks(columns.max(1)).map(height).collect();
        (!entries.is_empty()).then_some(Self { entries, column_widths, row_heights })
    }

    pub fn width(&self) -> f64 {
        self.column_widths.iter().map(|width| width + style::ENTRY_GAP).sum::<f64>() - style::ENTRY_GAP
    }

    pub fn height(&self) -> f64 {
        self.row_heights.iter().sum()
    }

    /// Returns the first corner of a plot where the legend covers no data, if there is one.
    pub fn corner(&self, plot: &Plot, panel: &Panel, series: &[Vec<Point>]) -> Option<(f64, f64)> {
        let (width, height) = (self.width(), self.height());
        let edge = 2.0 * style::PAD;
        let area = plot.area;
        if width + 2.0 * edge > area.width || height + 2.0 * edge > area.height {
            return None;
        }
        let (left, right) = (area.x + edge, area.x + area.width - edge - width);
        let (top, bottom) = (area.y + edge, area.y + area.height - edge - height);
        let mut corners = vec![(right, top), (left, top), (right, bottom), (left, bottom)];
        let rect = |(x, y)| Rect { x, y, width, height }.grown(style::PAD);
        for (curve, points) in panel.curves.iter().zip(series) {
            let edge: Vec<(f64, f64)> = marks::edges(plot, panel, curve, points).map(|(_, at)| at).collect();
            corners.retain(|&corner| !covers(&rect(corner), plot, points) && !near(&rect(corner), &edge));
        }
        corners.first().copied()
    }

    /// Draws the legend with its top left corner at a place.
    pub fn draw(&self, out: &mut Writer, (left, top): (f64, f64)) {
        out.open("g", &[("data-legend", &"")]);
        let back = Rect { x: left, y: top, width: self.width(), height: self.height() }.grown(style::PAD / 2.0);
        back.draw(out, &[("fill", &style::BACKGROUND), ("fill-opacity", &style::LEGEND_OPACITY)]);
        let mut y = top;
        for (row, height) in self.entries.chunks(self.column_widths.len()).zip(&self.row_heights) {
            let mut x = left;
            for (entry, width) in row.iter().zip(&self.column_widths) {
                entry.draw(out, (x, y));
                x += width + style::ENTRY_GAP;
            }
            y += height;
        }
        out.close("g");
    }
}

impl Entry {
    fn draw(&self, out: &mut Writer, (x, y): (f64, f64)) {
        let baseline = y + style::ASCENT * style::LEGEND;
        let middle = baseline - style::MIDDLE * style::LEGEND;
        let centre = (x + style::KEY / 2.0, middle);
        match self.mark {
            Mark::Path => {
                panel::thin(out, &line((x, middle), (x + style::KEY, middle)), self.look.colour, style::FRAME);
            }
            Mark::Line | Mark::Heat | Mark::Bars => {
                stroke(out, &line((x, middle), (x + style::KEY, middle)), self.look);
                if self.mark == Mark::Line {
                    marks::line_dot(out, centre, self.look, self.dashed);
                }
            }
            Mark::Points => {
                let colours = (self.look.colour, self.look.colour);
                marks::dot(out, centre, self.look.marker, style::MEAN_DOT, colours, 1.0);
            }
            Mark::Dots => marks::row_dot(out, centre, self.look, 1.0),
            Mark::Arrows => marks::arrow(out, (x, middle), (x + style::KEY, middle), self.look.colour),
            Mark::Star => marks::star(out, centre, self.look.colour),
        }
        for (i, text) in self.lines.iter().enumerate() {
            let y = baseline + i as f64 * style::LINE * style::LEGEND;
            out.label((x + style::KEY + style::PAD, y), "start", style::LEGEND, text);
        }
    }
}

/// Draws a curve's line.
pub(super) fn stroke(out: &mut Writer, path: &str, look: Look) {
    let mut attributes: Vec<(&str, &dyn std::fmt::Display)> = vec![
        ("d", &path),
        ("fill", &"none"),
        ("stroke", &look.colour),
        ("stroke-width", &Px(style::CURVE)),
        ("stroke-linejoin", &"round"),
    ];
    if !look.dash.is_empty() {
        attributes.push(("stroke-dasharray", &look.dash));
    }
    out.leaf("path", &attributes);
}

/// Checks whether a triangle at one of these places of the edge could reach into a rectangle.
fn near(rect: &Rect, edge: &[(f64, f64)]) -> bool {
    let reach = rect.grown(10.0 * style::CROSS);
    let holds = |&(x, y): &(f64, f64)| {
        (reach.x..=reach.x + reach.width).contains(&x) && (reach.y..=reach.y + reach.height).contains(&y)
    };
    edge.iter().any(holds)
}

/// Checks, in steps of a few units, whether a curve, its band or one of its crosses goes through a rectangle.
fn covers(rect: &Rect, plot: &Plot, points: &[Point]) -> bool {
    let at_top = rect.y <= plot.area.y + 10.0 * style::CROSS;
    let mut crosses = panel::divergences(points).filter_map(|point| plot.x.place(point.x));
    if at_top && crosses.any(|place| (rect.x..=rect.x + rect.width).contains(&plot.across(place))) {
        return true;
    }
    let mut before: Option<[f64; 3]> = None;
    for point in points {
        let here = plot.at(point.x, point.mean).map(|(x, _)| {
            let (high, low) = plot.band(point);
            [x, high, low]
        });
        if let Some(to) = here {
            let from = before.unwrap_or(to);
            let steps = ((to[0] - from[0]) / 3.0).ceil().clamp(1.0, 500.0) as u32;
            let touches = (0..=steps).any(|step| {
                let t = f64::from(step) / f64::from(steps);
                let [x, high, low] = [0, 1, 2].map(|i| from[i] + t * (to[i] - from[i]));
                rect.x <= x && x <= rect.x + rect.width && high <= rect.y + rect.height && low >= rect.y
            });
            if touches {
                return true;
            }
        }
        before = here;
    }
    false
}
