//! One panel: grid, bands, curves, frame, ticks and labels.

use std::fmt::Display;

use super::font::Font;
use super::heat::{self, Tile};
use super::layout::{Cell, Plot};
use super::legend::{colour, look, stroke};
use super::series::Point;
use super::svg::{Path, Px, Writer, line};
use super::ticks::Tick;
use super::{marks, notices, style};
use base::work::{Curve, Mark, Scale};

/// Draws a panel; `clip` is an id for the outline of its plot area.
pub(super) fn draw(out: &mut Writer, cell: &Cell, clip: &str, font: &Font) {
    let plot = &cell.plot;
    out.open("g", &[("data-panel", &cell.panel.id)]);
    out.open("clipPath", &[("id", &clip)]);
    plot.area.draw(out, &[]);
    out.close("clipPath");
    grid(out, cell);
    let heights = cell.panel.z.as_ref().map_or(Scale::Linear, |axis| axis.scale);
    let maps = cell.panel.curves.iter().zip(cell.series).filter(|(curve, _)| curve.mark == Mark::Heat);
    let tiles: Vec<Tile> = maps.flat_map(|(_, points)| heat::tiles(plot, points, heights)).collect();
    out.open("g", &[("clip-path", &format!("url(#{clip})"))]);
    tiles.iter().for_each(|tile| tile.draw(out));
    out.close("g");
    guides(out, cell, !tiles.is_empty());
    out.open("g", &[("clip-path", &format!("url(#{clip})"))]);
    tiles.iter().for_each(|tile| tile.number(out, font));
    out.close("g");
    // All bands are drawn below all curves, so that no curve is hidden.
    let (mut diverging, mut off) = (0, 0);
    for part in ["band", "curve"] {
        for (curve, points) in cell.panel.curves.iter().zip(cell.series) {
            let (panel, label, dashed) = (&cell.panel.id, &curve.label, u8::from(curve.dashed));
            let names: [(&str, &dyn Display); 4] =
                [("data-panel", panel), ("data-curve", label), ("data-dashed", &dashed), ("data-part", &part)];
            out.open("g", &names);
            out.open("g", &[("clip-path", &format!("url(#{clip})"))]);
            match (part, curve.mark) {
                ("band", Mark::Line) => bands(out, plot, curve, points),
                ("curve", Mark::Line) => lines(out, plot, curve, points),
                ("curve", Mark::Bars) => marks::bars(out, plot, curve, points),
                ("curve", Mark::Path) => path(out, plot, curve, points),
                ("curve", Mark::Arrows) => marks::arrows(out, plot, curve, points),
                _ => {}
            }
            out.close("g");
            if part == "curve" {
                // These can reach over the frame, so that no half of a mark is cut off.
                match curve.mark {
                    Mark::Line => markers(out, plot, curve, points),
                    Mark::Points => marks::points(out, plot, curve, points),
                    Mark::Dots => marks::dots(out, plot, curve, points),
                    Mark::Star => marks::stars(out, plot, curve, points),
                    _ => {}
                }
                // Cells have their own signs, and marks that show every row are described in the caption.
                if curve.mark.is_mean() && curve.mark != Mark::Heat {
                    diverging += u32::from(crosses(out, plot, curve, points, diverging));
                }
                off += u32::from(marks::triangles(out, plot, cell.panel, curve, points, off));
            }
            out.close("g");
        }
    }
    plot.area.draw(out, &[("fill", &"none"), ("stroke", &style::INK), ("stroke-width", &Px(style::FRAME))]);
    tick_marks(out, cell);
    labels(out, cell);
    nothing(out, cell);
    if let Some((legend, at)) = &cell.legend {
        legend.draw(out, *at);
    }
    out.close("g");
}

/// Draws the guides, each with its label where it leaves the plot. Those over the cells of a heat map are named at the foot.
fn guides(out: &mut Writer, cell: &Cell, over_cells: bool) {
    for guide in &cell.panel.guides {
        let Some((path, at, anchor)) = marks::guide(&cell.plot, guide) else { continue };
        if over_cells {
            // A pale edge, which a guide needs in dark cells.
            thin(out, &path, style::BACKGROUND, 3.0 * style::FRAME);
        }
        let look: [(&str, &dyn Display); 5] = [
            ("d", &path),
            ("fill", &"none"),
            ("stroke", &style::PALE_INK),
            ("stroke-width", &Px(style::FRAME)),
            ("stroke-dasharray", &style::GUIDE),
        ];
        out.leaf("path", &look);
        if !over_cells && !guide.label.is_empty() {
            out.tinted(at, anchor, style::CAPTION, style::PALE_INK, &guide.label);
        }
    }
}

/// Draws a thin line through all points in their order.
fn path(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    for run in runs(plot, points).filter(|run| run.len() > 1) {
        let mut path = Path::default();
        run.iter().filter_map(|point| plot.at(point.x, point.mean)).for_each(|at| path.to(at));
        thin(out, &path.open(), colour(curve), style::FRAME);
    }
}

pub(super) fn thin(out: &mut Writer, path: &str, colour: &str, width: f64) {
    let look: [(&str, &dyn Display); 4] =
        [("d", &path), ("fill", &"none"), ("stroke", &colour), ("stroke-width", &Px(width))];
    out.leaf("path", &look);
}

fn grid(out: &mut Writer, cell: &Cell) {
    let (plot, area) = (&cell.plot, cell.plot.area);
    let named =
        |ticks: &[Tick]| ticks.iter().filter(|tick| !tick.label.is_empty()).map(|t| t.place).collect::<Vec<_>>();
    let mut path = String::new();
    for x in named(&cell.x_ticks).into_iter().map(|place| plot.across(place)) {
        path += &line((x, area.y), (x, area.y + area.height));
    }
    for y in named(&cell.y_ticks).into_iter().map(|place| plot.down(place)) {
        path += &line((area.x, y), (area.x + area.width, y));
    }
    if !path.is_empty() {
        thin(out, &path, style::GRID, style::FRAME);
    }
}

/// Returns the stretches of a curve without a break.
pub(super) fn runs<'a>(plot: &Plot, points: &'a [Point]) -> impl Iterator<Item = &'a [Point]> {
    let plot = *plot;
    points.split(move |point| plot.at(point.x, point.mean).is_none()).filter(|run| !run.is_empty())
}

fn bands(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    let has_band = |run: &&[Point]| run.len() > 1 && run.iter().any(Point::is_spread);
    for run in runs(plot, points).filter(has_band) {
        let edge = |pick: fn((f64, f64)) -> f64| {
            thinned(run.iter().filter_map(move |point| Some((plot.at(point.x, point.mean)?.0, pick(plot.band(point))))))
        };
        let (high, low) = (edge(|(high, _)| high), edge(|(_, low)| low));
        let (mut path, mut upper, mut lower) = (Path::default(), Path::default(), Path::default());
        high.iter().chain(low.iter().rev()).for_each(|at| path.to(*at));
        high.into_iter().for_each(|at| upper.to(at));
        low.into_iter().for_each(|at| lower.to(at));
        let look: [(&str, &dyn Display); 3] =
            [("d", &path.closed()), ("fill", &colour(curve)), ("fill-opacity", &style::BAND_OPACITY)];
        out.leaf("path", &look);
        // Next to the line itself, edges would only make it look frayed.
        let is_wide = |point: &Point| {
            let (high, low) = plot.band(point);
            low - high > 3.0 * style::CURVE
        };
        if !run.iter().any(is_wide) {
            continue;
        }
        let edges = [upper.open(), lower.open()].concat();
        let look: [(&str, &dyn Display); 5] = [
            ("d", &edges),
            ("fill", &"none"),
            ("stroke", &colour(curve)),
            ("stroke-width", &Px(style::FRAME)),
            ("stroke-dasharray", &style::EDGE),
        ];
        out.leaf("path", &look);
    }
}

/// Keeps the first, highest, lowest and last point of every pixel column: they cover the same pixels as a line through all.
fn thinned(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let points: Vec<(f64, f64)> = points.collect();
    let column = |at: &(f64, f64)| (at.0 * f64::from(style::PNG_SCALE)).floor();
    let mut kept = Vec::new();
    for group in points.chunk_by(|a, b| column(a) == column(b)) {
        let by_height = |&a: &usize, &b: &usize| group[a].1.total_cmp(&group[b].1);
        let extremes = [(0..group.len()).min_by(by_height), (0..group.len()).max_by(by_height)];
        let mut keep: Vec<usize> = extremes.into_iter().flatten().chain([0, group.len() - 1]).collect();
        keep.sort_unstable();
        keep.dedup();
        kept.extend(keep.into_iter().map(|i| group[i]));
    }
    kept
}

/// Draws lines through consecutive points, and an error bar at a single point.
fn lines(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    let colour = colour(curve);
    for run in runs(plot, points).filter(|run| run.len() > 1) {
        let mut path = Path::default();
        thinned(run.iter().filter_map(|point| plot.at(point.x, point.mean))).into_iter().for_each(|at| path.to(at));
        stroke(out, &path.open(), look(curve));
    }
    for run in runs(plot, points) {
        if let [alone] = run {
            error_bar(out, plot, colour, alone);
        }
    }
}

/// Draws markers: at every point if there are few, otherwise at some, in other places for curves of other looks, so that curves
/// on top of each other keep theirs apart. Markers can reach over the frame, so that no half is cut off.
fn markers(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    let look = look(curve);
    let inside = |point: &&Point| plot.x.inside(point.x).is_some() && plot.y.inside(point.mean).is_some();
    let every = if points.len() <= style::FEW { 1 } else { points.len().div_ceil(style::MARKERS) };
    let first = (2 * (curve.colour as usize % 4) + 1) * every / 8;
    for run in runs(plot, points) {
        let marked = run.iter().enumerate().filter(|(i, _)| run.len() == 1 || i % every == first % every);
        for at in marked.map(|(_, point)| point).filter(inside).filter_map(|point| plot.at(point.x, point.mean)) {
            marks::line_dot(out, at, look, curve.dashed);
        }
    }
}

pub(super) fn error_bar(out: &mut Writer, plot: &Plot, colour: &str, point: &Point) {
    if let (Some((x, _)), true) = (plot.at(point.x, point.mean), point.is_spread()) {
        // A bar that reaches over the frame ends there, without a cap.
        let (top, bottom) = (plot.area.y, plot.area.y + plot.area.height);
        let (high, low) = plot.band(point);
        let (from, to) = (high.clamp(top, bottom), low.clamp(top, bottom));
        let cap = |end: f64, y: f64| {
            if end == y { line((x - style::CROSS, y), (x + style::CROSS, y)) } else { String::new() }
        };
        let bar = if from < to { line((x, from), (x, to)) } else { String::new() };
        let shape = [bar, cap(high, from), cap(low, to)].concat();
        if !shape.is_empty() {
            thin(out, &shape, colour, style::FRAME);
        }
    }
}

/// Returns the points where more replicas diverge than before.
pub(super) fn divergences(points: &[Point]) -> impl Iterator<Item = &Point> {
    let mut most = 0;
    points.iter().filter(move |point| {
        let before = most;
        most = before.max(point.diverged);
        point.diverged > before
    })
}

/// Draws crosses at the top edge where replicas diverge, `row` rows down, so that curves do not cover each other's crosses.
/// Returns whether there is a cross.
fn crosses(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point], row: u32) -> bool {
    let half = style::CROSS;
    let (left, right) = (plot.area.x + 2.0 * half, plot.area.x + plot.area.width - 2.0 * half);
    let y = plot.area.y + 2.0 * half + 2.8 * half * f64::from(row);
    let mut path = String::new();
    for place in divergences(points).filter_map(|point| plot.x.inside(point.x)) {
        let x = plot.across(place).clamp(left, right);
        path += &line((x - half, y - half), (x + half, y + half));
        path += &line((x - half, y + half), (x + half, y - half));
    }
    if !path.is_empty() {
        thin(out, &path, colour(curve), style::CURVE);
    }
    !path.is_empty()
}

fn tick_marks(out: &mut Writer, cell: &Cell) {
    let (plot, area) = (&cell.plot, cell.plot.area);
    let (bottom, left) = (area.y + area.height, area.x);
    let length = |tick: &Tick| if tick.label.is_empty() { style::MINOR_TICK } else { style::TICK };
    let mut path = String::new();
    for tick in &cell.x_ticks {
        let x = plot.across(tick.place);
        path += &line((x, bottom), (x, bottom + length(tick)));
    }
    for tick in &cell.y_ticks {
        let y = plot.down(tick.place);
        path += &line((left - length(tick), y), (left, y));
    }
    if !path.is_empty() {
        thin(out, &path, style::INK, style::FRAME);
    }
    for tick in cell.x_ticks.iter().filter(|tick| !tick.label.is_empty()) {
        let y = bottom + style::TICK + 4.5 + style::ASCENT * style::TICK_LABEL;
        out.label((plot.across(tick.place), y), "middle", style::TICK_LABEL, &tick.label);
    }
    for tick in cell.y_ticks.iter().filter(|tick| !tick.label.is_empty()) {
        let y = plot.down(tick.place) + style::MIDDLE * style::TICK_LABEL;
        out.label((left - style::TICK - 3.0, y), "end", style::TICK_LABEL, &tick.label);
    }
}

fn labels(out: &mut Writer, cell: &Cell) {
    let area = cell.plot.area;
    let centre = (area.x + area.width / 2.0, area.y + area.height / 2.0);
    let first = area.y - style::PAD - cell.over - cell.title.len() as f64 * style::LINE * style::PANEL_TITLE;
    for (i, text) in cell.title.iter().enumerate() {
        let y = first + (i as f64 * style::LINE + style::ASCENT) * style::PANEL_TITLE;
        out.label((centre.0, y), "middle", style::PANEL_TITLE, text);
    }
    let first = area.y + area.height + style::TICK + 5.0 + style::LINE * style::TICK_LABEL;
    for (i, text) in cell.x_label.iter().enumerate() {
        let y = first + (i as f64 * style::LINE + style::ASCENT) * style::AXIS_LABEL;
        out.label((centre.0, y), "middle", style::AXIS_LABEL, text);
    }
    for (i, text) in cell.y_label.iter().enumerate() {
        let x = area.x - cell.left + (i as f64 * style::LINE + style::ASCENT) * style::AXIS_LABEL;
        let turn = format!("translate({} {}) rotate(-90)", Px(x), Px(centre.1));
        out.text(&[("transform", &turn), ("text-anchor", &"middle")], style::AXIS_LABEL, text);
    }
}

/// Draws a text with the reason if there is nothing to see.
fn nothing(out: &mut Writer, cell: &Cell) {
    let (plot, area) = (&cell.plot, cell.plot.area);
    let points: Vec<(&Curve, &Point)> = cell
        .panel
        .curves
        .iter()
        .zip(cell.series)
        .flat_map(|(curve, all)| all.iter().map(move |p| (curve, p)))
        .collect();
    let any = |is: &dyn Fn(&Curve, &Point) -> bool| points.iter().any(|(curve, point)| is(curve, point));
    let place = |curve: &Curve, point: &Point| notices::position(curve, point);
    let is_inside = |curve: &Curve, point: &Point| {
        let [x, y] = place(curve, point);
        plot.x.inside(x).is_some() && plot.y.inside(y).is_some()
    };
    let is_placed = |curve: &Curve, point: &Point| {
        let [x, y] = place(curve, point);
        plot.at(x, y).is_some()
    };
    let text = if any(&is_inside) {
        return;
    } else if any(&is_placed) {
        "no data within these limits"
    } else if any(&|curve, point| place(curve, point).iter().all(|value| value.is_finite())) {
        "no value above 0"
    } else if any(&|_, point| point.diverged > 0) {
        "no finite value"
    } else {
        "no data"
    };
    let (x, y) = (area.x + area.width / 2.0, area.y + area.height / 2.0 + style::MIDDLE * style::AXIS_LABEL);
    out.tinted((x, y), "middle", style::AXIS_LABEL, style::PALE_INK, text);
}

#[cfg(test)]
mod tests {
    use super::thinned;

    #[test]
    fn thinning_keeps_the_outline_and_few_points() {
        let sparse: Vec<(f64, f64)> = (0..50).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        assert_eq!(thinned(sparse.iter().copied()), sparse);
        let dense = (0..1000).map(|i| (f64::from(i) / 1000.0, f64::from(i * 7 % 101)));
        let kept = thinned(dense);
        assert_eq!(
            kept,
            [
                (0.0, 0.0),
                (0.274, 100.0),
                (0.319, 11.0),
                (0.32, 18.0),
                (0.404, 0.0),
                (0.577, 100.0),
                (0.639, 29.0),
                (0.64, 36.0),
                (0.707, 0.0),
                (0.88, 100.0),
                (0.959, 47.0),
                (0.96, 54.0),
                (0.967, 2.0),
                (0.981, 100.0),
                (0.999, 24.0)
            ]
        );
    }
}
