//! Claims judged and published values compared, by the recorded numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::Failure;
use super::select::Selection;
use crate::claim::{Outcome, Series, Weighed, decide, weigh};
use crate::figure::replica_points;
use crate::graph::{Claim, Input, Published, PublishedValue, Tolerance};
use crate::plan::Knowledge;
use crate::stats;
use crate::store::Store;
use crate::table::Table;
use crate::work::{Curve, Work};

/// What the recorded numbers say of a claim.
pub struct Judged<'a> {
    /// The claim.
    pub claim: &'a Claim,
    /// The verdict and its statistics.
    pub outcome: Outcome,
}

/// A published value and ours.
pub struct Beside<'a> {
    /// The panel.
    pub published: &'a Published,
    /// The value.
    pub value: &'a PublishedValue,
    /// Ours; nothing if there is no such curve, or no number at that place.
    pub ours: Option<Ours>,
}

/// Our number beside a published one.
pub struct Ours {
    /// From where to where it is the mean.
    pub x: [f64; 2],
    /// Mean over runs.
    pub mean: f64,
    /// Sample standard deviation over runs; NaN for one.
    pub std: f64,
    /// Number of runs.
    pub runs: usize,
    /// Whether it is within the tolerance: twice the standard error of the difference, and what the pipeline allows.
    pub agrees: bool,
}

/// The names of the figures that the targets are, or are panels of, in order.
pub fn figures(selection: &Selection) -> Vec<String> {
    let drawn = selection.graph.figures.values().filter(|drawn| selection.targets.contains(&drawn.stage));
    let names: BTreeSet<String> = drawn.map(|drawn| drawn.figure.clone()).collect();
    names.into_iter().collect()
}

/// Judges the claims about a figure.
///
/// # Errors
/// If the store cannot be read, or a claim does not fit its numbers.
pub fn claims<'a>(
    selection: &'a Selection,
    knowledge: &[Knowledge],
    store: &Store,
    figure: &str,
) -> Result<Vec<Judged<'a>>, Failure> {
    let claims: Vec<&Claim> = selection.graph.claims.iter().filter(|claim| claim.figure == figure).collect();
    // All claims of a figure are decided together: each corrects for the others.
    let weighed = claims.iter().map(|claim| weighed(claim, knowledge, store)).collect::<Result<Vec<_>, _>>()?;
    Ok(claims.into_iter().zip(decide(&weighed)).map(|(claim, outcome)| Judged { claim, outcome }).collect())
}

fn weighed(claim: &Claim, knowledge: &[Knowledge], store: &Store) -> Result<Weighed, Failure> {
    let tables = match tables(&claim.inputs, knowledge, store)? {
        Ok(tables) => tables,
        Err(missing) => {
            let all = claim.inputs.len();
            let why = format!("{missing} of {all} tables are not recorded yet with these settings");
            return Ok(Weighed::without(why, claim.runs));
        }
    };
    let series = |curve: &Curve| {
        let replicas = replica_points(&claim.id, curve, &tables).map_err(unfit)?;
        Ok::<_, Failure>(Series { label: curve.label.clone(), replicas })
    };
    let sets: Vec<Vec<Series>> =
        claim.sets.iter().map(|set| set.iter().map(series).collect()).collect::<Result<_, Failure>>()?;
    // A sweep of one value, or a window that no point of a short run lies in, decides nothing.
    let weighed = weigh(&claim.statement, &sets, claim.window, claim.runs);
    Ok(weighed.unwrap_or_else(|error| Weighed::without(error.to_string(), claim.runs)))
}

fn unfit(error: crate::figure::FigureError) -> Failure {
    Failure::new(super::ExitCode::Failed, error.to_string(), "")
}

/// The tables of some inputs, or how many are not known.
fn tables(
    inputs: &[Input],
    knowledge: &[Knowledge],
    store: &Store,
) -> Result<Result<BTreeMap<String, Table>, usize>, Failure> {
    let mut tables = BTreeMap::new();
    let mut missing = 0;
    for input in inputs {
        let output = match &knowledge[input.stage] {
            Knowledge::Known { outline, .. } => outline.output(input.output),
            _ => None,
        };
        let Some(output) = output else {
            missing += 1;
            continue;
        };
        let table = Table::from_bytes(&store.output(output)?)
            .map_err(|error| Failure::new(super::ExitCode::Storage, error.to_string(), ""))?;
        tables.insert(input.role.clone(), table);
    }
    Ok(if missing == 0 { Ok(tables) } else { Err(missing) })
}

/// The published values of a figure beside ours.
///
/// # Errors
/// If the store cannot be read, or numbers do not fit the figure.
pub fn published<'a>(
    selection: &'a Selection,
    knowledge: &[Knowledge],
    store: &Store,
    figure: &str,
) -> Result<Vec<Beside<'a>>, Failure> {
    let graph = &selection.graph;
    let mut found = Vec::new();
    let Some(drawn) = graph.figures.get(figure) else { return Ok(found) };
    let stage = &graph.stages[drawn.stage];
    let Work::Figure(work) = &stage.work else { return Ok(found) };
    let tables = tables(&stage.inputs, knowledge, store)?.ok();
    for published in graph.published.iter().filter(|published| published.figure == figure) {
        let panel = work.panels.iter().find(|panel| panel.id == published.panel);
        for value in &published.values {
            let curve = panel.and_then(|panel| {
                let named = |curve: &&Curve| curve.label == value.curve;
                // A curve without a name, alone in its panel, is what the values are of; one with another name is not.
                let alone = |curve: &&Curve| panel.curves.len() == 1 && curve.label.is_empty();
                panel.curves.iter().find(named).or_else(|| panel.curves.iter().find(alone))
            });
            let ours = match (&tables, curve) {
                (Some(tables), Some(curve)) => {
                    let replicas = replica_points(&published.panel, curve, tables).map_err(unfit)?;
                    ours(published, value, &replicas)
                }
                _ => None,
            };
            found.push(Beside { published, value, ours });
        }
    }
    Ok(found)
}

/// Our number at the place of a published one: the same place, or for runs of another length the same share of it.
fn ours(published: &Published, value: &PublishedValue, replicas: &[Vec<(f64, f64)>]) -> Option<Ours> {
    let last = replicas.iter().flatten().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
    let share = published.epochs.map_or(1.0, |epochs| last / (epochs - 1.0).max(1.0));
    let nearest = |x: f64| {
        let all = replicas.iter().flatten().map(|point| point.0);
        all.min_by(|a, b| (a - x).abs().total_cmp(&(b - x).abs()))
    };
    let x = match published.epochs {
        Some(_) => [nearest(value.x[0] * share)?, nearest(value.x[1] * share)?],
        // A learning rate is that one or another.
        None => [nearest(value.x[0])?; 2],
    };
    if published.epochs.is_none() && (x[0] - value.x[0]).abs() > 1e-9 * value.x[0].abs() {
        return None;
    }
    let level = |replica: &Vec<(f64, f64)>| {
        let inside: Vec<f64> = replica.iter().filter(|(at, _)| (x[0]..=x[1]).contains(at)).map(|(_, y)| *y).collect();
        let mean = stats::mean(&inside);
        (!inside.is_empty() && mean.is_finite()).then_some(mean)
    };
    let levels: Vec<f64> = replicas.iter().filter_map(level).collect();
    if levels.is_empty() {
        return None;
    }
    let (mean, std) = (stats::mean(&levels), stats::deviation(&levels));
    let square = |std: f64, runs: usize| if std.is_finite() { std * std / runs as f64 } else { 0.0 };
    let error = square(std, levels.len()) + square(value.std.unwrap_or(0.0), published.runs as usize);
    let allowed = match published.tolerance {
        Tolerance::Absolute(allowed) => allowed,
        Tolerance::Relative(share) => share * value.mean.abs(),
    };
    let agrees = (mean - value.mean).abs() <= 2.0 * error.sqrt() + allowed;
    Some(Ours { x, mean, std, runs: levels.len(), agrees })
}
