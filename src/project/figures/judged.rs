//! Claims judged by the recorded numbers.

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

/// What the recorded numbers say of a claim.
pub struct Judged<'a> {
    /// The claim.
    pub claim: &'a Claim,
    /// The verdict and its statistics.
    pub outcome: Outcome,
}

/// A figure, what is claimed and what was published of it, beside the recorded numbers.
pub struct Compared<'a> {
    /// Its name.
    pub figure: String,
    /// The claims, judged.
    pub claims: Vec<Judged<'a>>,
    /// The published values, beside ours.
    pub published: Comparison<'a>,
}

impl Selection {
    /// Compares the figures that the targets are, or are panels of, with the paper: in order, each with its claims and
    /// published values.
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
            Ok(Compared { figure: figure.clone(), claims, published })
        };
        figures.iter().map(compared).collect()
    }

    /// Names the figures that the targets are, or are panels of, in order.
    pub fn whole_figures(&self) -> Vec<String> {
        let drawn = self.graph.figures.values().filter(|drawn| self.targets.contains(&drawn.stage));
        let names: BTreeSet<String> = drawn.map(|drawn| drawn.figure.clone()).collect();
        names.into_iter().collect()
    }

    /// Asks a store about some targets, and about the tables that the claims about some figures read.
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

/// Reports numbers that do not fit the figure that is drawn from them.
pub fn unfit(error: draw::figure::FigureError) -> Failure {
    Failure::new(ExitCode::Failed, error.to_string(), "")
}

/// Reads the tables of some inputs, or counts those that are not known.
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
