//! Shortcomings of a drawing: numbers that cannot be drawn within its axes, and looks that two curves share.

use std::collections::BTreeMap;

use super::look::Look;
use super::series::Point;
use super::{FigureError, legend, scale, series};
use base::table::Table;
use base::work::{Axis, Curve, Figure, Mark, Panel};

/// The reason why a point is not drawn at its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Absence {
    /// The point is 0 on a logarithmic axis.
    Zero,
    /// The point is below 0 on a logarithmic axis.
    Negative,
    /// The point is outside the limits that the figure sets for an axis.
    Beyond,
    /// The point is not finite. (For means, that is a divergence, which has its own sign.)
    NotFinite,
}

/// Returns the reason why a point of a curve cannot be drawn within the axes, or `None` if it can be drawn.
pub(super) fn absence(panel: &Panel, curve: &Curve, point: &Point) -> Option<Absence> {
    let [x, y] = position(curve, point);
    if !x.is_finite() || !y.is_finite() {
        return (!curve.mark.is_mean() && point.diverged > 0).then_some(Absence::NotFinite);
    }
    let off = |axis: &Axis, value: f64| {
        let has_row = curve.mark == Mark::Heat && value == 0.0;
        (!scale::stands(axis.scale, value) && !has_row).then_some(value)
    };
    let beyond = |axis: &Axis, value: f64| axis.range.is_some_and(|[low, high]| !(low..=high).contains(&value));
    // Bars are drawn side by side, independently of their x.
    let both = [(&panel.x, x), (&panel.y, y)];
    let axes = if curve.mark == Mark::Bars { &both[1..] } else { &both[..] };
    match axes.iter().filter_map(|(axis, value)| off(axis, *value)).reduce(f64::min) {
        Some(least) if least < 0.0 => Some(Absence::Negative),
        Some(_) => Some(Absence::Zero),
        None => axes.iter().any(|(axis, value)| beyond(axis, *value)).then_some(Absence::Beyond),
    }
}

/// Returns the position of a point according to its numbers.
pub(super) fn position(curve: &Curve, point: &Point) -> [f64; 2] {
    [point.x, if curve.mark == Mark::Heat { point.y } else { point.mean }]
}

/// Returns the number of absent points of a curve, by the reason. Lines, paths, bars and arrows visibly reach over the limits;
/// their points outside the limits count only if no point of the curve is inside.
pub(super) fn absences(panel: &Panel, curve: &Curve, points: &[Point]) -> BTreeMap<Absence, usize> {
    let mut counts = BTreeMap::new();
    let all: Vec<Option<Absence>> = points.iter().map(|point| absence(panel, curve, point)).collect();
    let leads_out = matches!(curve.mark, Mark::Line | Mark::Path | Mark::Bars | Mark::Arrows);
    let is_seen = |(point, absence): (&Point, &Option<Absence>)| absence.is_none() && point.mean.is_finite();
    let seen = leads_out && points.iter().zip(&all).any(is_seen);
    for reason in all.into_iter().flatten().filter(|reason| !(seen && *reason == Absence::Beyond)) {
        *counts.entry(reason).or_default() += 1;
    }
    counts
}

/// Returns notices for the reader of the figure, one sentence each: curves with numbers that are not drawn at their place,
/// and curves that look like another.
///
/// # Errors
/// If the numbers do not belong to this figure.
pub fn notices(figure: &Figure, numbers: &Table) -> Result<Vec<String>, FigureError> {
    let series = series::series(figure, numbers)?;
    let mut notices = Vec::new();
    for (panel, all) in figure.panels.iter().zip(&series) {
        let mut found: BTreeMap<Absence, (Vec<&str>, usize)> = BTreeMap::new();
        for (curve, points) in panel.curves.iter().zip(all) {
            for (reason, count) in absences(panel, curve, points) {
                let (curves, total) = found.entry(reason).or_default();
                curves.push(&curve.label);
                *total += count;
            }
        }
        for (reason, (curves, count)) in found {
            let whose = match curves[..] {
                [one] => format!("curve `{one}`"),
                [one, other] => format!("curves `{one}` and `{other}`"),
                _ => format!("{} curves, the first `{}`", curves.len(), curves[0]),
            };
            let values = if count == 1 { "1 value is".to_owned() } else { format!("{count} values are") };
            let why = match reason {
                Absence::Zero => "0, which a log axis cannot show: look for triangles at the edge",
                Absence::Negative => "below 0, which a log axis cannot show: look for triangles at the edge",
                Absence::Beyond => "outside the limits (`range`) of the axes, so not drawn",
                Absence::NotFinite => "not finite, so not drawn",
            };
            notices.push(format!("panel {}, {whose}: {values} {why}", panel.id));
        }
        notices.extend(alike(panel));
    }
    Ok(notices)
}

/// Returns a sentence for each pair of curves of a panel's legend that look the same.
fn alike(panel: &Panel) -> impl Iterator<Item = String> {
    let mut first: BTreeMap<(Look, &str), &str> = BTreeMap::new();
    let mut found = Vec::new();
    for curve in panel.curves.iter().filter(|curve| legend::is_named(curve)) {
        let look = (Look::of(curve.colour, curve.dashed), curve.mark.name());
        match first.get(&look) {
            Some(other) => found.push(format!(
                "panel {}: `{other}` and `{}` look the same; give them different `colours` (0 to {})",
                panel.id,
                curve.label,
                super::LOOKS - 1
            )),
            None => {
                first.insert(look, &curve.label);
            }
        }
    }
    found.into_iter()
}
