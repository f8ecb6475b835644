//! The axes of panels as data, for a page on which readers zoom. Every limit, tick and label is computed here, by the
//! same rules as those of the drawing.

use base::table::Table;
use base::work::{Axis, Figure, Mark, Panel, Scale as Kind};

use super::font::Font;
use super::layout::Layout;
use super::replicas::ReplicaValue;
use super::scale::{Scale, stands};
use super::series::{Point, series};
use super::ticks::{Tick, chosen};
use super::{FigureError, style};

/// How often an axis is halved: the ticks of the last level are for a 16th of the axis.
const HALVINGS: u32 = 4;

/// The axes of one panel.
#[derive(Debug, Clone, PartialEq)]
pub struct PanelAxes {
    /// The horizontal axis.
    pub x: AxisScales,
    /// The vertical axis.
    pub y: AxisScales,
}

/// The scales that an axis can have.
#[derive(Debug, Clone, PartialEq)]
pub struct AxisScales {
    /// Whether the drawing has the logarithmic scale.
    pub is_log: bool,
    /// The linear scale, if a reader can choose it.
    pub linear: Option<TickedScale>,
    /// The logarithmic scale, if a reader can choose it and a value is above 0.
    pub log: Option<TickedScale>,
}

/// The limits of a scale, and ticks for ever smaller parts of it.
#[derive(Debug, Clone, PartialEq)]
pub struct TickedScale {
    /// Lower limit: half of the value on a linear scale, its natural logarithm on a logarithmic one.
    pub low: f64,
    /// Upper limit.
    pub high: f64,
    /// The ticks of the whole axis, then those for halves of it, quarters, and so on: the place of each as a fraction of
    /// the axis, ascending, and its label.
    pub levels: Vec<Vec<(f64, String)>>,
}

/// Returns the axes of the panels of a figure. They have room for the drawn numbers and for the values of every run.
///
/// # Errors
/// If the numbers do not belong to this figure.
pub fn axes(figure: &Figure, numbers: &Table, runs: &[ReplicaValue<'_>]) -> Result<Vec<PanelAxes>, FigureError> {
    let mut series = series(figure, numbers)?;
    reach(figure, &mut series, runs);
    let font = Font::bundled()?;
    let other = Figure { panels: figure.panels.iter().map(exchanged).collect(), ..figure.clone() };
    let (drawn, others) = (Layout::of(figure, &series, &font)?, Layout::of(&other, &series, &font)?);
    let both = drawn.cells.iter().zip(&others.cells).zip(&series);
    Ok(both
        .map(|((cell, other), points)| {
            let all = || points.iter().flatten();
            let x = [(&cell.plot.x, &cell.x_ticks), (&other.plot.x, &other.x_ticks)];
            let y = [(&cell.plot.y, &cell.y_ticks), (&other.plot.y, &other.y_ticks)];
            PanelAxes {
                x: scales(x, all().any(|point| stands(Kind::Log, point.x))),
                y: scales(y, all().any(|point| stands(Kind::Log, point.mean))),
            }
        })
        .collect())
}

/// Widens the band of every mean to the values of its runs.
fn reach(figure: &Figure, series: &mut [Vec<Vec<Point>>], runs: &[ReplicaValue<'_>]) {
    for run in runs.iter().filter(|run| run.curve.mark.is_mean() && run.value.is_finite()) {
        let Some(p) = figure.panels.iter().position(|panel| panel.id == run.panel.id) else { continue };
        let same = |curve: &base::work::Curve| curve.label == run.curve.label && curve.dashed == run.curve.dashed;
        let Some(c) = figure.panels[p].curves.iter().position(same) else { continue };
        // All bars of a curve have the place of the curve.
        let is_here = |point: &&mut Point| run.curve.mark == Mark::Bars || point.x == run.x;
        for point in series[p][c].iter_mut().filter(is_here) {
            (point.low, point.high) = (point.low.min(run.value), point.high.max(run.value));
        }
    }
}

/// Returns a panel whose axes have the other scale. Names of bars have no other scale.
fn exchanged(panel: &Panel) -> Panel {
    let other = |axis: &Axis| {
        let scale = if axis.scale == Kind::Log { Kind::Linear } else { Kind::Log };
        Axis { scale, range: None, ticks: None, ..axis.clone() }
    };
    let has_bars = panel.curves.iter().any(|curve| curve.mark == Mark::Bars);
    let x = if has_bars { panel.x.clone() } else { other(&panel.x) };
    Panel { x, y: other(&panel.y), ..panel.clone() }
}

/// Returns the scales of an axis, from that of the drawing and the other one.
fn scales([drawn, other]: [(&Scale, &Vec<Tick>); 2], has_log: bool) -> AxisScales {
    let is_log = drawn.0.kind == Kind::Log;
    let of = |kind: Kind| {
        let found = [drawn, other].into_iter().find(|(scale, _)| scale.kind == kind);
        found.map(|(scale, ticks)| ticked(scale, ticks))
    };
    AxisScales { is_log, linear: of(Kind::Linear), log: of(Kind::Log).filter(|_| is_log || has_log) }
}

fn ticked(scale: &Scale, ticks: &[Tick]) -> TickedScale {
    let whole = ticks.iter().filter(|tick| !tick.label.is_empty()).map(|tick| (tick.place, tick.label.clone()));
    let mut levels = vec![whole.collect()];
    levels.extend((1..=HALVINGS).map(|halving| parts(scale, 1 << halving)));
    TickedScale { low: scale.low, high: scale.high, levels }
}

/// Returns the ticks of an axis that is cut into parts, each with ticks of its own.
fn parts(scale: &Scale, count: u32) -> Vec<(f64, String)> {
    let apart = |a: &Tick, b: &Tick| b.place - a.place >= 1.0 / style::MOST_TICKS as f64;
    let mut all: Vec<(f64, String)> = Vec::new();
    for part in 0..count {
        let [low, high] = [part, part + 1].map(|end| {
            let share = f64::from(end) / f64::from(count);
            scale.low + share * (scale.high - scale.low)
        });
        let values =
            (scale.value(f64::from(part) / f64::from(count)), scale.value(f64::from(part + 1) / f64::from(count)));
        for tick in chosen(&Scale { low, high, values, ..*scale }, apart) {
            let place = (f64::from(part) + tick.place) / f64::from(count);
            // A tick between two parts belongs to both.
            if all.last().is_none_or(|last| place - last.0 > 1e-6) {
                all.push((place, tick.label));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::figure::tests::{curve, figure_of};
    use crate::figure::{numbers, replica_values};
    use base::work::Curve;

    fn of(figure: &Figure, rows: &[&[[f64; 2]]]) -> PanelAxes {
        let names = ["a", "b", "c"].into_iter().zip(rows);
        let tables: BTreeMap<String, Table> =
            names.map(|(name, rows)| (name.to_owned(), Table::of_rows(["x", "y"], rows))).collect();
        let runs = replica_values(figure, &tables).unwrap();
        axes(figure, &numbers(figure, &tables).unwrap(), &runs).unwrap().remove(0)
    }

    fn labels(level: &[(f64, String)]) -> String {
        level.iter().map(|(_, label)| label.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_ticks_are_those_of_the_drawing_and_then_finer_ones() {
        let figure = figure_of(vec![curve("c", vec![vec!["a".into()]])]);
        let PanelAxes { x, y } = of(&figure, &[&[[0.0, 1.0], [10.0, 1000.0]]]);
        let linear = x.linear.unwrap();
        assert_eq!((x.is_log, labels(&linear.levels[0])), (false, "0 2 4 6 8 10".to_owned()));
        assert_eq!(labels(&linear.levels[1]), "0 1 2 3 4 5 6 7 8 9 10");
        assert_eq!(linear.levels.len(), 5);
        for (level, most) in linear.levels.iter().zip([8, 15, 30, 60, 120]) {
            assert!(level.len() >= most / 3 && level.len() <= most, "{level:?}");
            assert!(level.windows(2).all(|pair| pair[0].0 < pair[1].0), "{level:?}");
            for (place, label) in level {
                let value = 2.0 * (linear.low + place * (linear.high - linear.low));
                assert!((value - label.replace('−', "-").parse::<f64>().unwrap()).abs() < 1e-9, "{label} at {place}");
            }
        }
        let log = y.log.unwrap();
        assert_eq!(labels(&log.levels[0]), "1 3 10 30 100 300 1000");
        // Each part of a logarithmic axis has steps of its own.
        let finer = labels(&log.levels[3]);
        assert!(finer.starts_with("1 1.5 2 3 ") && finer.ends_with(" 600 800 1000 1200 1400"), "{finer}");
    }

    #[test]
    fn every_run_has_room_and_only_positive_values_have_a_logarithm() {
        let figure = figure_of(vec![curve("c", vec![vec!["a".into()], vec!["b".into()], vec!["c".into()]])]);
        let at = |y: f64| [[-1.0, y], [-2.0, y]];
        let axes = of(&figure, &[&at(1.0), &at(1.0), &at(7.0)]);
        assert!(axes.x.log.is_none() && axes.y.log.is_some());
        // The band ends at 3 + 3.46.
        assert!(axes.y.linear.unwrap().high * 2.0 > 7.0);
    }

    #[test]
    fn bars_are_named_by_their_axis() {
        let bar = |label: &str| Curve { mark: Mark::Bars, ..curve(label, vec![vec!["a".into()]]) };
        let axes = of(&figure_of(vec![bar("up"), bar("down")]), &[&[[3.0, 1.0]]]);
        assert_eq!(labels(&axes.x.linear.unwrap().levels[0]), "up down");
        assert!(axes.x.log.is_none());
    }
}
