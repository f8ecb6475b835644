//! `wdpipe make --ci`: seeds are added until every mean is known well enough.

use std::time::Instant;

use super::estimates::estimates;
use super::format::{count, duration};
use super::make::{Once, planned};
use super::select::{Variant, select};
use super::ui::Ui;
use super::{Failure, Global};
use crate::plan::Knowledge;
use crate::stats;
use crate::store::Store;
use crate::table::{Table, Values};
use crate::work::Work;

/// The setting that is extended: curves are averaged over it unless a pipeline says otherwise.
const SEED: &str = "seed";
/// More seeds than this are never tried.
const MOST: usize = 10_000;

/// When to stop.
pub struct Limits {
    /// Widest 95 % interval.
    pub width: f64,
    /// Seconds that may be spent in all.
    pub budget: Option<f64>,
    /// Since when.
    pub started: Instant,
}

/// Reads a width.
///
/// # Errors
/// If it is no number above 0.
pub fn width(text: &str) -> Result<f64, String> {
    let width = text.parse::<f64>().ok().filter(|width| *width > 0.0 && width.is_finite());
    width.ok_or_else(|| "a number above 0 is wanted, such as 0.2".to_owned())
}

/// Reads a time in seconds: `90s`, `20min`, `2h`, or a bare number of seconds.
///
/// # Errors
/// If it is none.
pub fn time(text: &str) -> Result<f64, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => f64::NAN,
    };
    let seconds = number.trim().parse::<f64>().unwrap_or(f64::NAN) * factor;
    if seconds >= 0.0 && seconds.is_finite() {
        Ok(seconds)
    } else {
        Err("a time is wanted, such as 90s, 20min or 2h".to_owned())
    }
}

/// The widest interval of a figure's means.
struct Widest {
    /// Where, in words.
    place: String,
    width: f64,
    std: f64,
    runs: f64,
}

/// The variant with more seeds, or nothing if all intervals are narrow enough or the budget does not allow more.
///
/// # Errors
/// If the numbers cannot be read, or there is no setting `seed` to extend.
pub fn more_seeds(
    once: &Once,
    store: &Store,
    global: &Global,
    variant: &Variant,
    targets: &[String],
    limits: &Limits,
    ui: &Ui,
) -> Result<Option<Variant>, Failure> {
    let seeds = seeds(once);
    let Some(widest) = widest(once, store)? else {
        let hint = "name figures with curves that are means, such as fig2a";
        return Err(Failure::usage("--ci needs a figure with means over seeds", hint));
    };
    let told = if widest.width.is_finite() { format!("{:.3} wide", widest.width) } else { "not known yet".to_owned() };
    ui.say(&format!("{}: the widest 95 % interval is {told}, at {}", count(seeds, "seed"), widest.place));
    if widest.width <= limits.width {
        ui.say(&format!("all intervals are at most {} wide", limits.width));
        return Ok(None);
    }
    // As many as the spread asks for, at least one more and at most twice as many, since spread itself is estimated.
    let asked = if widest.std.is_finite() {
        let t = stats::t_quantile_95((widest.runs - 1.0).max(1.0));
        (2.0 * t * widest.std / limits.width).powi(2).ceil()
    } else {
        3.0
    };
    let missing = seeds as f64 - widest.runs;
    let mut wanted = ((asked + missing.max(0.0)) as usize).clamp(seeds + 1, (2 * seeds).max(3));
    loop {
        if wanted > MOST {
            ui.warn(&format!("more than {MOST} seeds are not tried"));
            return Ok(None);
        }
        let next = with_seeds(variant, wanted);
        let Some(budget) = limits.budget else { return Ok(Some(next)) };
        let selection = select(global, &next, targets)?;
        let estimates = estimates(&selection, store, &once.devices.1)?;
        let needed = estimates.of_plan(&planned(&selection, store)?, once.jobs);
        let spent = limits.started.elapsed().as_secs_f64();
        if spent + needed <= budget {
            return Ok(Some(next));
        }
        if wanted == seeds + 1 {
            ui.warn(&format!(
                "stopped at {}: {} of {} are spent, and one seed more should take {}",
                count(seeds, "seed"),
                duration(spent),
                duration(budget),
                duration(needed)
            ));
            return Ok(None);
        }
        wanted = seeds + 1 + (wanted - seeds - 1) / 2;
    }
}

/// Seeds 0, 1, …; those that were computed before are among them if the pipeline counts from 0.
fn with_seeds(variant: &Variant, count: usize) -> Variant {
    let list: Vec<String> = (0..count).map(|seed| seed.to_string()).collect();
    let mut next = variant.clone();
    next.set.push(format!("{SEED}=[{}]", list.join(",")));
    next
}

/// The number of seeds of the targets: the most replicas that a curve has.
fn seeds(once: &Once) -> usize {
    let graph = &once.selection.graph;
    let figures = once.selection.targets.iter().filter_map(|&id| match &graph.stages[id].work {
        Work::Figure(figure) => Some(figure),
        _ => None,
    });
    let curves = figures.flat_map(|figure| figure.panels.iter().flat_map(|panel| &panel.curves));
    curves.filter(|curve| curve.mark.is_mean()).map(|curve| curve.replicas.len()).max().unwrap_or_default()
}

fn widest(once: &Once, store: &Store) -> Result<Option<Widest>, Failure> {
    let mut widest: Option<Widest> = None;
    for &id in &once.selection.targets {
        let (Work::Figure(figure), Knowledge::Known { outline, .. }) =
            (&once.selection.graph.stages[id].work, &once.summary.knowledge[id])
        else {
            continue;
        };
        let Some(output) = outline.output("numbers") else { continue };
        let table = Table::from_bytes(&store.output(output)?)
            .map_err(|error| Failure::new(super::ExitCode::Storage, error.to_string(), ""))?;
        let column = |name: &str| table.numbers(name).unwrap_or_default();
        let text = |name: &str| match table.columns().iter().find(|column| column.name == name).map(|c| &c.values) {
            Some(Values::Text(values)) => values.clone(),
            _ => Vec::new(),
        };
        let (panels, curves, x, std, n) = (text("panel"), text("curve"), column("x"), column("std"), column("n"));
        for row in 0..table.rows() {
            let shown = figure.panels.iter().filter(|panel| panel.id == panels[row]).flat_map(|panel| &panel.curves);
            // Where all runs diverged, more seeds make nothing narrower.
            if n[row] < 1.0 || !shown.filter(|curve| curve.label == curves[row]).all(|curve| curve.mark.is_mean()) {
                continue;
            }
            let (std, runs) = (std[row], n[row]);
            let width = match runs {
                n if n >= 2.0 => 2.0 * stats::t_quantile_95(n - 1.0) * std / n.sqrt(),
                _ => f64::INFINITY,
            };
            if widest.as_ref().is_none_or(|widest| width > widest.width) {
                let name = if curves[row].is_empty() { String::new() } else { format!(", {}", curves[row]) };
                let place = format!("panel {}{name}, x = {}", panels[row], x[row]);
                widest = Some(Widest { place, width, std, runs });
            }
        }
    }
    Ok(widest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_widths_are_parsed() {
        assert_eq!((time("90s"), time("20min"), time("2h"), time("5")), (Ok(90.0), Ok(1200.0), Ok(7200.0), Ok(5.0)));
        for text in ["", "h", "2 weeks", "-1s", "nan", "infh"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert_eq!(width("0.2"), Ok(0.2));
        for text in ["0", "-1", "x", "inf"] {
            assert!(width(text).is_err(), "{text}");
        }
    }
}
