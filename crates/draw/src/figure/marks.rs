//! Marks other than lines and bands (dots, bars, cells, arrows, stars), and guides.

use std::collections::BTreeSet;
use std::fmt::Display;

use super::layout::{Plot, Rect};
use super::legend::{colour, look};
use super::look::{Look, Marker};
use super::notices::{self, Absence};
use super::panel::{error_bar, thin};
use super::series::Point;
use super::style;
use super::svg::{Path, Px, Writer, line};
use base::expr::Expr;
use base::work::{Curve, Guide, Panel};

/// Draws a dot in the shape of a marker. All shapes cover about the same area.
pub(super) fn dot(
    out: &mut Writer,
    (x, y): (f64, f64),
    marker: Marker,
    radius: f64,
    (fill, edge): (&str, &str),
    opacity: f64,
) {
    // The edge is never pale: it shows where the dot is.
    let corners = match marker {
        Marker::Circle => Vec::new(),
        Marker::Triangle => [(0.0, -1.3), (1.25, 0.85), (-1.25, 0.85)].to_vec(),
        Marker::Square => [(-0.89, -0.89), (0.89, -0.89), (0.89, 0.89), (-0.89, 0.89)].to_vec(),
        Marker::Diamond => [(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)].to_vec(),
    };
    let mut path = Path::default();
    corners.iter().for_each(|(dx, dy)| path.to((x + radius * dx, y + radius * dy)));
    let (path, x, y, radius, width) = (path.closed(), Px(x), Px(y), Px(radius), Px(style::FRAME));
    let mut look: Vec<(&str, &dyn Display)> = match marker {
        Marker::Circle => vec![("cx", &x), ("cy", &y), ("r", &radius)],
        _ => vec![("d", &path)],
    };
    look.extend([("fill", &fill as &dyn Display), ("stroke", &edge), ("stroke-width", &width)]);
    if opacity < 1.0 {
        look.push(("fill-opacity", &opacity));
    }
    out.leaf(if marker == Marker::Circle { "circle" } else { "path" }, &look);
}

/// Draws a dot on a line. On a dashed line it is empty.
pub(super) fn line_dot(out: &mut Writer, at: (f64, f64), look: Look, dashed: bool) {
    let fill = if dashed { style::BACKGROUND } else { look.colour };
    dot(out, at, look.marker, style::DOT, (fill, look.colour), 1.0);
}

/// Draws a dot for a row.
pub(super) fn row_dot(out: &mut Writer, at: (f64, f64), look: Look, opacity: f64) {
    dot(out, at, look.marker, style::DOT, (look.colour, look.colour), opacity);
}

fn inside(plot: &Plot, point: &Point) -> Option<(f64, f64)> {
    plot.x.inside(point.x).and(plot.y.inside(point.mean))?;
    plot.at(point.x, point.mean)
}

/// Draws means as dots with error bars, joined by a dotted line.
pub(super) fn points(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    let edge = colour(curve);
    for run in super::panel::runs(plot, points).filter(|run| run.len() > 1) {
        let mut path = Path::default();
        run.iter().filter_map(|point| plot.at(point.x, point.mean)).for_each(|at| path.to(at));
        let look: [(&str, &dyn Display); 5] = [
            ("d", &path.open()),
            ("fill", &"none"),
            ("stroke", &edge),
            ("stroke-width", &Px(style::FRAME)),
            ("stroke-dasharray", &style::DOTTED),
        ];
        out.leaf("path", &look);
    }
    points.iter().for_each(|point| error_bar(out, plot, edge, point));
    for at in points.iter().filter_map(|point| inside(plot, point)) {
        dot(out, at, look(curve).marker, style::MEAN_DOT, (edge, edge), 1.0);
    }
}

/// Draws every row as a dot, the first ones of each replica pale.
pub(super) fn dots(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    for replica in points.split(Point::is_break) {
        for (i, point) in replica.iter().enumerate() {
            let Some(at) = inside(plot, point) else { continue };
            let share = if replica.len() > 1 { i as f64 / (replica.len() - 1) as f64 } else { 1.0 };
            // Rounded to be written in few digits.
            let opacity = ((style::PALEST + (1.0 - style::PALEST) * share) * 100.0).round() / 100.0;
            error_bar(out, plot, colour(curve), point);
            row_dot(out, at, look(curve), opacity);
        }
    }
}

/// An edge of the plot area. The corner of both belongs to the lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edge {
    /// The edge nearest to values that the vertical axis cannot show.
    Lower,
    /// The edge nearest to values that the horizontal axis cannot show.
    Left,
}

/// Returns the places of the frame that are nearest to points of 0 or less on logarithmic axes.
pub(super) fn edges<'a>(
    plot: &Plot,
    panel: &'a Panel,
    curve: &'a Curve,
    points: &'a [Point],
) -> impl Iterator<Item = (Edge, (f64, f64))> + use<'a> {
    let plot = *plot;
    let is_off =
        move |point: &&Point| matches!(notices::absence(panel, curve, point), Some(Absence::Zero | Absence::Negative));
    points.iter().filter(is_off).filter_map(move |point| {
        let [x, y] = notices::position(curve, point);
        let (left, bottom) = (plot.area.x, plot.area.y + plot.area.height);
        match (plot.x.place(x).is_some(), plot.y.place(y).is_some()) {
            (true, _) => Some((Edge::Lower, (plot.across(plot.x.inside(x)?), bottom))),
            (false, true) => Some((Edge::Left, (left, plot.down(plot.y.inside(y)?)))),
            (false, false) => Some((Edge::Lower, (left, bottom))),
        }
    })
}

/// Draws triangles that point to values which a logarithmic axis cannot show, `row` rows in, so that curves do not cover each
/// other's triangles. Returns whether there is a triangle.
pub(super) fn triangles(
    out: &mut Writer,
    plot: &Plot,
    panel: &Panel,
    curve: &Curve,
    points: &[Point],
    row: u32,
) -> bool {
    let half = style::CROSS;
    let inset = half + 2.8 * half * f64::from(row % 8);
    let (area, clear) = (plot.area, half + style::FRAME);
    let mut drawn = BTreeSet::new();
    let mut shape = String::new();
    for (edge, (x, y)) in edges(plot, panel, curve, points) {
        let along = if edge == Edge::Lower { x } else { y };
        // Of many triangles next to each other, draw one every few units.
        if !drawn.insert((edge, (along / (2.0 * half)).round() as i64)) {
            continue;
        }
        let corners = match edge {
            Edge::Lower => {
                let (x, tip) = (x.clamp(area.x + clear, area.x + area.width - clear), y - inset);
                [(x, tip), (x - half, tip - 1.6 * half), (x + half, tip - 1.6 * half)]
            }
            Edge::Left => {
                let (tip, y) = (x + inset, y.clamp(area.y + clear, area.y + area.height - clear));
                [(tip, y), (tip + 1.6 * half, y - half), (tip + 1.6 * half, y + half)]
            }
        };
        let mut path = Path::default();
        corners.into_iter().for_each(|at| path.to(at));
        shape += &path.closed();
    }
    if !shape.is_empty() {
        let fill = if curve.dashed { style::BACKGROUND } else { colour(curve) };
        let look: [(&str, &dyn Display); 4] =
            [("d", &shape), ("fill", &fill), ("stroke", &colour(curve)), ("stroke-width", &Px(style::FRAME))];
        out.leaf("path", &look);
    }
    !shape.is_empty()
}

/// Draws a bar from the foot of the axis (0, if that is on it) to the mean.
pub(super) fn bars(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    let foot = plot.y.inside(0.0).map_or(plot.area.y + plot.area.height, |place| plot.down(place));
    for point in points {
        let Some((x, y)) = plot.at(point.x, point.mean) else { continue };
        let half = (plot.at(point.x + style::BAR / 2.0, point.mean).map_or(x, |(edge, _)| edge) - x).abs();
        let bar = Rect { x: x - half, y: y.min(foot), width: 2.0 * half, height: (foot - y).abs() };
        bar.draw(out, &[("fill", &style::BACKGROUND)]);
        // Pale inside, so that the error bar stands out.
        let look: [(&str, &dyn Display); 4] = [
            ("fill", &colour(curve)),
            ("fill-opacity", &style::BAR_OPACITY),
            ("stroke", &colour(curve)),
            ("stroke-width", &Px(style::FRAME)),
        ];
        bar.draw(out, &look);
        error_bar(out, plot, style::INK, point);
    }
}

/// Draws an arrow from every other point to the one after it.
pub(super) fn arrows(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    for pair in points.chunks_exact(2) {
        let (Some(from), Some(to)) = (plot.at(pair[0].x, pair[0].mean), plot.at(pair[1].x, pair[1].mean)) else {
            continue;
        };
        arrow(out, from, to, colour(curve));
    }
}

/// Draws one arrow.
pub(super) fn arrow(out: &mut Writer, from: (f64, f64), to: (f64, f64), colour: &str) {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = (dx * dx + dy * dy).sqrt();
    if length < 1.0 {
        return;
    }
    let (ux, uy) = (dx / length, dy / length);
    let head = style::ARROW.min(length);
    let neck = (to.0 - head * ux, to.1 - head * uy);
    thin(out, &line(from, neck), colour, style::FRAME);
    let mut path = Path::default();
    path.to(to);
    path.to((neck.0 - 0.4 * head * uy, neck.1 + 0.4 * head * ux));
    path.to((neck.0 + 0.4 * head * uy, neck.1 - 0.4 * head * ux));
    out.leaf("path", &[("d", &path.closed()), ("fill", &colour)]);
}

/// Draws a star at every point.
pub(super) fn stars(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    points.iter().filter_map(|point| inside(plot, point)).for_each(|at| star(out, at, colour(curve)));
}

/// Draws one star of five rays.
pub(super) fn star(out: &mut Writer, (x, y): (f64, f64), colour: &str) {
    // The sines and cosines of multiples of 36° are written out so that they are the same on every platform.
    const RAYS: [(f64, f64); 10] = [
        (0.0, -1.0),
        (0.588, -0.809),
        (0.951, -0.309),
        (0.951, 0.309),
        (0.588, 0.809),
        (0.0, 1.0),
        (-0.588, 0.809),
        (-0.951, 0.309),
        (-0.951, -0.309),
        (-0.588, -0.809),
    ];
    let mut path = Path::default();
    for (i, (dx, dy)) in RAYS.into_iter().enumerate() {
        let radius = if i % 2 == 0 { style::STAR } else { 0.45 * style::STAR };
        path.to((x + radius * dx, y + radius * dy));
    }
    let look: [(&str, &dyn Display); 4] =
        [("d", &path.closed()), ("fill", &colour), ("stroke", &style::INK), ("stroke-width", &Px(style::FRAME))];
    out.leaf("path", &look);
}

/// Returns the places of a guide that are inside the plot, from left to right.
fn along(plot: &Plot, guide: &Guide) -> Vec<(f64, f64)> {
    const STEPS: u32 = 200;
    let Ok(expression) = Expr::parse(&guide.y) else { return Vec::new() };
    let at = |step: u32| {
        let x = plot.x.value(f64::from(step) / f64::from(STEPS));
        let y = expression.eval(&|name| (name == "x").then_some(x));
        plot.at(x, y).filter(|(_, y)| (plot.area.y..=plot.area.y + plot.area.height).contains(y))
    };
    (0..=STEPS).filter_map(at).collect()
}

/// Returns the path of a guide across the plot, and the place and anchor of its label: where the guide leaves the plot at the
/// top or right edge, or else where it begins.
pub(super) fn guide(plot: &Plot, guide: &Guide) -> Option<(String, (f64, f64), &'static str)> {
    let inside = along(plot, guide);
    let (first, last) = (*inside.first()?, *inside.last()?);
    let mut path = Path::default();
    inside.iter().for_each(|&at| path.to(at));
    let (right, near) = (plot.area.x + plot.area.width, 0.03 * plot.area.height);
    let place = if last.0 >= right - 1.0 {
        ((right + 4.0, last.1 + style::MIDDLE * style::TICK_LABEL), "start")
    } else if let Some(top) = [last, first].into_iter().find(|at| at.1 <= plot.area.y + near) {
        ((top.0, plot.area.y - 4.0), "middle")
    } else {
        ((first.0 + 4.0, first.1 - 4.0), "start")
    };
    Some((path.open(), place.0, place.1))
}
