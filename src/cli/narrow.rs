//! `wdpipe make --ci`: seeds are added until every mean is known well enough, by the rules of [`draw::claim::precision`].

use std::time::Instant;

use super::estimates::estimates;
use super::format::{count, duration};
use super::make::{Once, planned};
use super::select::{Variant, select};
use super::ui::Ui;
use super::{Failure, Global};
use crate::plan::Knowledge;
use base::table::{Table, Values};
use base::work::Work;
use draw::claim::looks::at_step;
use draw::claim::precision::Known;
use store::Store;

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

/// The means of a figure.
#[derive(Default)]
struct Means {
    /// The one that is known least well: where, in words, what is known, and the width of its interval.
    widest: Option<(String, Known, f64)>,
    /// Places without an interval, since many runs agree to the last digit.
    agree: usize,
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
    let Means { widest, agree } = means(once, store, seeds)?;
    if widest.is_none() && agree == 0 {
        let hint = "name figures with curves that are means, such as fig2a";
        return Err(Failure::usage("--ci needs a figure with means over seeds", hint));
    }
    if agree > 0 {
        let places = count(agree, "mean");
        ui.say(&format!("{places} without an interval: the runs agree there to the last digit, so no spread is known"));
    }
    let Some((place, known, width)) = widest else { return Ok(None) };
    let told = if width.is_finite() { format!("{width:.3} wide") } else { "not known yet".to_owned() };
    let survivors = if known.runs < seeds {
        format!(" (of {} that did not diverge)", count(known.runs, "run"))
    } else {
        String::new()
    };
    ui.say(&format!("{}: the widest 95 % interval is {told}, at {place}{survivors}", count(seeds, "seed")));
    if width <= limits.width {
        ui.say(&format!("all intervals are at most {} wide", limits.width));
        return Ok(None);
    }
    let mut look = known.next(seeds, limits.width);
    loop {
        let wanted = at_step(look);
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
        // The look before that, if it is still to come.
        if look == 1 || at_step(look - 1) <= seeds {
            ui.warn(&format!(
                "stopped at {}: {} of {} are spent, and {} more should take {}",
                count(seeds, "seed"),
                duration(spent),
                duration(budget),
                count(wanted - seeds, "seed"),
                duration(needed)
            ));
            return Ok(None);
        }
        look -= 1;
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
    let figures = once.selection.targets.iter().filter_map(|&id| graph.stages[id].work.figure());
    let curves = figures.flat_map(|figure| figure.panels.iter().flat_map(|panel| &panel.curves));
    curves.filter(|curve| curve.mark.is_mean()).map(|curve| curve.replicas.len()).max().unwrap_or_default()
}

fn means(once: &Once, store: &Store, seeds: usize) -> Result<Means, Failure> {
    let mut means = Means::default();
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
        let (panels, curves, x) = (text("panel"), text("curve"), column("x"));
        let (mean, std, n) = (column("mean"), column("std"), column("n"));
        for row in 0..table.rows() {
            let shown = figure.panels.iter().filter(|panel| panel.id == panels[row]).flat_map(|panel| &panel.curves);
            // Where all runs diverged, more seeds make nothing narrower.
            if n[row] < 1.0 || !shown.filter(|curve| curve.label == curves[row]).all(|curve| curve.mark.is_mean()) {
                continue;
            }
            let known = Known { mean: mean[row], std: std[row], runs: n[row] as usize };
            let Some(width) = known.width(seeds) else {
                means.agree += 1;
                continue;
            };
            if means.widest.as_ref().is_none_or(|(_, _, widest)| width > *widest) {
                let name = if curves[row].is_empty() { String::new() } else { format!(", {}", curves[row]) };
                means.widest = Some((format!("panel {}{name}, x = {}", panels[row], x[row]), known, width));
            }
        }
    }
    Ok(means)
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
