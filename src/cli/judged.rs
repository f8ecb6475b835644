//! Claims judged by the recorded numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::Failure;
use super::select::Selection;
use crate::graph::{Claim, Input};
use crate::plan::Knowledge;
use base::table::Table;
use base::work::Curve;
use draw::claim::{Outcome, Series, Weighed, decide, weigh};
use draw::figure::replica_points;
use store::Store;

/// What the recorded numbers say of a claim.
pub struct Judged<'a> {
    /// The claim.
    pub claim: &'a Claim,
    /// The verdict and its statistics.
    pub outcome: Outcome,
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

/// Numbers that do not fit what is drawn of them.
pub fn unfit(error: draw::figure::FigureError) -> Failure {
    Failure::new(super::ExitCode::Failed, error.to_string(), "")
}

/// The tables of some inputs, or how many are not known.
///
/// # Errors
/// If the store cannot be read.
pub fn tables(
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
