//! Marks other than lines and bands: dots, bars, cells, arrows, stars; and guides.

use std::fmt::Display;

use super::layout::{Plot, Rect};
use super::legend::colour;
use super::panel::{error_bar, thin};
use super::series::Point;
use super::style;
use super::svg::{Path, Px, Writer, line};
use crate::expr::Expr;
use crate::work::{Curve, Guide};

/// Draws a dot.
pub(super) fn dot(out: &mut Writer, (x, y): (f64, f64), radius: f64, fill: &str, edge: &str, opacity: f64) {
    let (x, y, radius, width) = (Px(x), Px(y), Px(radius), Px(style::FRAME));
    let mut look: Vec<(&str, &dyn Display)> =
        vec![("cx", &x), ("cy", &y), ("r", &radius), ("fill", &fill), ("stroke", &edge), ("stroke-width", &width)];
    if opacity < 1.0 {
        look.extend([("fill-opacity", &opacity as &dyn Display), ("stroke-opacity", &opacity)]);
    }
    out.leaf("circle", &look);
}

fn inside(plot: &Plot, point: &Point) -> Option<(f64, f64)> {
    plot.x.inside(point.x).and(plot.y.inside(point.mean))?;
    plot.at(point.x, point.mean)
}

/// Means as dots with error bars, joined by a dotted line.
pub(super) fn points(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    let edge = style::PALETTE[0];
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
        dot(out, at, style::MEAN_DOT, colour(curve), edge, 1.0);
    }
}

/// Every row as a dot, the first ones pale.
pub(super) fn dots(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    let last = points.len().saturating_sub(1).max(1) as f64;
    for (i, point) in points.iter().enumerate() {
        if let Some(at) = inside(plot, point) {
            // Rounded, so that it is written in few digits.
            let opacity = ((style::PALEST + (1.0 - style::PALEST) * i as f64 / last) * 100.0).round() / 100.0;
            dot(out, at, style::DOT, colour(curve), colour(curve), opacity);
        }
    }
}

/// A bar from the foot of the axis (0, if that is on it) to the mean.
pub(super) fn bars(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    let foot = plot.y.inside(0.0).map_or(plot.area.y + plot.area.height, |place| plot.down(place));
    for point in points {
        let Some((x, y)) = plot.at(point.x, point.mean) else { continue };
        let half = (plot.at(point.x + style::BAR / 2.0, point.mean).map_or(x, |(edge, _)| edge) - x).abs();
        let bar = Rect { x: x - half, y: y.min(foot), width: 2.0 * half, height: (foot - y).abs() };
        bar.draw(out, &[("fill", &colour(curve))]);
        error_bar(out, plot, style::INK, point);
    }
}

/// An arrow from every other point to the one behind it.
pub(super) fn arrows(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    for pair in points.chunks_exact(2) {
        let (Some(from), Some(to)) = (plot.at(pair[0].x, pair[0].mean), plot.at(pair[1].x, pair[1].mean)) else {
            continue;
        };
        arrow(out, from, to, colour(curve));
    }
}

/// One arrow.
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

/// A star at every point.
pub(super) fn stars(out: &mut Writer, plot: &Plot, curve: &Curve, points: &[Point]) {
    points.iter().filter_map(|point| inside(plot, point)).for_each(|at| star(out, at, colour(curve)));
}

/// One star of five rays.
pub(super) fn star(out: &mut Writer, (x, y): (f64, f64), colour: &str) {
    // sin and cos of multiples of 36°, written out so that they are the same on every platform.
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
        [("d", &path.closed()), ("fill", &colour), ("stroke", &style::INK), ("stroke-width", &Px(style::GRID_LINE))];
    out.leaf("path", &look);
}

/// The places of a guide that are inside of the plot, from left to right.
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

/// A guide across the plot: its path, and where it leaves over the top or the right edge or else begins.
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

/// A place on a guide for its label that touches nothing of what is taken; the one nearest to the guide's middle.
pub(super) fn free_place(plot: &Plot, guide: &Guide, taken: &[Rect]) -> Option<Rect> {
    let inside = along(plot, guide);
    let (width, height) = (0.62 * style::CAPTION * guide.label.chars().count() as f64, 1.3 * style::CAPTION);
    let area = plot.area;
    let fits = |rect: &Rect| {
        let within = rect.x >= area.x && rect.x + rect.width <= area.x + area.width;
        let within = within && rect.y >= area.y && rect.y + rect.height <= area.y + area.height;
        within && taken.iter().all(|other| !touch(rect, other))
    };
    let middle = inside.len() as f64 / 2.0;
    let mut order: Vec<usize> = (0..inside.len()).collect();
    order.sort_by(|a, b| (*a as f64 - middle).abs().total_cmp(&(*b as f64 - middle).abs()));
    let rect = |i: usize| Rect { x: inside[i].0 - width / 2.0, y: inside[i].1 - height / 2.0, width, height };
    order.into_iter().map(rect).find(fits)
}

fn touch(a: &Rect, b: &Rect) -> bool {
    a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}
