//! Judges claims by the recorded numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::published::{Comparison, published};
use crate::graph::{Claim, Input, StageId};
use crate::plan::Knowledge;
use crate::project::known::resolved::Resolved;
use crate::project::targets::select::Selection;
use crate::project::{ExitCode, Failure};
use base::table::Table;
use base::work::Curve;
use draw::claim::{Outcome, Series, Weighed, decide, weigh};
use draw::figure::replica_points;
use store::Store;

/// A claim, judged by the recorded numbers.
pub struct Judged<'a> {
    /// The claim.
    pub claim: &'a Claim,
    /// The verdict and its statistics.
    pub outcome: Outcome,
}

/// Comparison of a figure's claims and published values with the recorded numbers.
pub struct Compared<'a> {
    /// Name of the figure.
    pub figure: String,
    /// The judged claims.
    pub claims: Vec<Judged<'a>>,
    /// The published values, beside ours.
    pub published: Comparison<'a>,
    /// Number of tables that the claims or the figure need and that are not recorded.
    pub missing: usize,
}

impl Selection {
    /// Compares figures with the paper, in the given order: each with its claims and published values.
    ///
    /// # Errors
    /// If the store cannot be read, or a claim does not fit its numbers.
    pub fn compare(&self, figures: &[String], store: &Store) -> Result<Vec<Compared<'_>>, Failure> {
        let wanted = self.graph.figures.values().filter(|drawn| figures.contains(&drawn.figure));
        let targets: Vec<StageId> = wanted.map(|drawn| drawn.stage).collect();
        let Resolved { knowledge, .. } = self.resolve_claims(targets, figures, store)?;
        let compared = |figure: &String| {
            let claims = claims(self, &knowledge, store, figure)?;
            let published = published(self, &knowledge, store, figure)?;
            let drawn =
                self.graph.figures.get(figure).into_iter().flat_map(|drawn| &self.graph.stages[drawn.stage].inputs);
            let read = claims.iter().flat_map(|judged| &judged.claim.inputs).chain(drawn);
            let read: BTreeSet<_> = read.map(|input| (input.stage, input.output)).collect();
            let is_missing = |(stage, _): &&(StageId, _)| !matches!(knowledge[*stage], Knowledge::Known { .. });
            let missing = read.iter().filter(is_missing).count();
            Ok(Compared { figure: figure.clone(), claims, published, missing })
        };
        figures.iter().map(compared).collect()
    }

    /// Lists the names of the figures among the targets, and of the figures whose panels are targets, in order.
    pub fn whole_figures(&self) -> Vec<String> {
        let drawn = self.graph.figures.values().filter(|drawn| self.targets.contains(&drawn.stage));
        let names: BTreeSet<String> = drawn.map(|drawn| drawn.figure.clone()).collect();
        names.into_iter().collect()
    }

    /// Looks up some targets in a store, and the tables that the claims about some figures read.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn resolve_claims(
        &self,
        mut targets: Vec<StageId>,
        figures: &[String],
        store: &Store,
    ) -> Result<Resolved<'_>, Failure> {
        let claims = self.graph.claims.iter().filter(|claim| figures.contains(&claim.figure));
        targets.extend(claims.flat_map(|claim| claim.inputs.iter().map(|input| input.stage)));
        self.resolve_targets(store, &targets)
    }
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
    // All claims of a figure are decided together, because their tests are corrected for their number.
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
    // A claim cannot be decided over a sweep of one value, or in a window that contains no point of a short run.
    let weighed = weigh(&claim.statement, &sets, claim.window, claim.runs);
    Ok(weighed.unwrap_or_else(|error| Weighed::without(error.to_string(), claim.runs)))
}

/// Makes the failure for numbers that do not fit the figure that is drawn from them.
pub fn unfit(error: draw::figure::FigureError) -> Failure {
    Failure::new(ExitCode::Failed, error.to_string(), "")
}

/// Reads the tables of some inputs; if some are not known, returns their number instead.
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
            .map_err(|error| Failure::new(ExitCode::Storage, error.to_string(), ""))?;
        tables.insert(input.role.clone(), table);
    }
    Ok(if missing == 0 { Ok(tables) } else { Err(missing) })
}
