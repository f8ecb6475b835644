//! Adds seeds until every mean is known precisely enough, by the rules of [`draw::claim::precision`].

use std::time::Instant;

use super::estimates::estimates;
use super::workers::Workers;
use crate::plan::Knowledge;
use crate::project::targets::select::{Selection, Variant};
use crate::project::{ExitCode, Failure, Project};
use base::table::{Table, Values};
use base::work::Work;
use draw::claim::looks::at_step;
use draw::claim::precision::Known;
use store::Store;

/// Name of the setting that is extended. Curves are averaged over it unless a pipeline says otherwise.
const SEED: &str = "seed";
/// Maximum number of seeds.
pub const MOST_SEEDS: usize = 10_000;

/// When to stop adding seeds.
pub struct Limits {
    /// Largest allowed width of a 95 % interval.
    pub width: f64,
    /// Time limit for the whole run, in seconds.
    pub budget: Option<f64>,
    /// Start of the run.
    pub started: Instant,
}

/// Precision of the means of some figures.
#[derive(Default)]
pub struct Means {
    /// The number of seeds.
    pub seeds: usize,
    /// The mean with the widest interval.
    pub widest: Option<Widest>,
    /// Number of places without an interval, because the runs agree there to the last digit.
    pub agree: usize,
}

/// The mean with the widest interval.
pub struct Widest {
    /// Its place, in words.
    pub place: String,
    /// Its mean, spread and number of runs.
    pub known: Known,
    /// The width of its interval; infinite if it is not known yet.
    pub width: f64,
}

/// Decision about further seeds.
pub enum MoreSeeds {
    /// Make this variant next.
    Make(Variant),
    /// More than [`MOST_SEEDS`] would be needed.
    TooMany,
    /// The budget does not allow the further seeds.
    TooLong {
        /// Number of seeds to add.
        added: usize,
        /// Seconds spent so far.
        spent: f64,
        /// Estimated seconds for these seeds.
        needed: f64,
    },
}

impl Project {
    /// Decides which seeds to make next for targets with the precision `means`, of which `widest` has the widest interval.
    ///
    /// # Errors
    /// If there is no setting `seed` to extend, or the store cannot be read.
    pub fn more_seeds(
        &self,
        (means, widest): (&Means, &Widest),
        (variant, targets): (&Variant, &[String]),
        (store, workers): (&Store, &Workers),
        limits: &Limits,
    ) -> Result<MoreSeeds, Failure> {
        let seeds = means.seeds;
        let mut look = widest.known.next(seeds, limits.width);
        loop {
            let wanted = at_step(look);
            if wanted > MOST_SEEDS {
                return Ok(MoreSeeds::TooMany);
            }
            let next = with_seeds(variant, wanted);
            let Some(budget) = limits.budget else { return Ok(MoreSeeds::Make(next)) };
            let selection = self.select(&next, targets)?;
            let estimates = estimates(&selection, store, &workers.likely)?;
            let needed = estimates.of_plan(&selection.plan(store)?, workers.jobs);
            let spent = limits.started.elapsed().as_secs_f64();
            if spent + needed <= budget {
                return Ok(MoreSeeds::Make(next));
            }
            // Try the look before that, unless it has already happened.
            if look == 1 || at_step(look - 1) <= seeds {
                return Ok(MoreSeeds::TooLong { added: wanted - seeds, spent, needed });
            }
            look -= 1;
        }
    }
}

/// Sets the seeds 0, 1, …. They include the seeds computed before if the pipeline counts from 0.
fn with_seeds(variant: &Variant, count: usize) -> Variant {
    let list: Vec<String> = (0..count).map(|seed| seed.to_string()).collect();
    let mut next = variant.clone();
    next.set.push(format!("{SEED}=[{}]", list.join(",")));
    next
}

impl Selection {
    /// Counts the seeds of the targets: the largest number of replicas of a curve.
    fn seeds(&self) -> usize {
        let figures = self.targets.iter().filter_map(|&id| match &self.graph.stages[id].work {
            Work::Figure(figure) => Some(figure),
            _ => None,
        });
        let curves = figures.flat_map(|figure| figure.panels.iter().flat_map(|panel| &panel.curves));
        curves.filter(|curve| curve.mark.is_mean()).map(|curve| curve.replicas.len()).max().unwrap_or_default()
    }

    /// Computes the precision of the means of the figures among the targets.
    ///
    /// # Errors
    /// If there is no mean, or the numbers cannot be read.
    pub fn means(&self, knowledge: &[Knowledge], store: &Store) -> Result<Means, Failure> {
        let mut means = Means { seeds: self.seeds(), ..Means::default() };
        for &id in &self.targets {
            let (Work::Figure(figure), Knowledge::Known { outline, .. }) =
                (&self.graph.stages[id].work, &knowledge[id])
            else {
                continue;
            };
            let Some(output) = outline.output("numbers").filter(|_| !figure.is_of_command()) else { continue };
            let table = Table::from_bytes(&store.output(output)?)
                .map_err(|error| Failure::new(ExitCode::Storage, error.to_string(), ""))?;
            let column = |name: &str| table.numbers(name).unwrap_or_default();
            let text = |name: &str| match table.columns().iter().find(|column| column.name == name).map(|c| &c.values) {
                Some(Values::Text(values)) => values.clone(),
                _ => Vec::new(),
            };
            let (panels, curves, x) = (text("panel"), text("curve"), column("x"));
            let (mean, std, n) = (column("mean"), column("std"), column("n"));
            for row in 0..table.rows() {
                let shown =
                    figure.panels.iter().filter(|panel| panel.id == panels[row]).flat_map(|panel| &panel.curves);
                // Where all runs diverged, more seeds do not narrow the interval.
                if n[row] < 1.0 || !shown.filter(|curve| curve.label == curves[row]).all(|curve| curve.mark.is_mean()) {
                    continue;
                }
                let known = Known { mean: mean[row], std: std[row], runs: n[row] as usize };
                let Some(width) = known.width(means.seeds) else {
                    means.agree += 1;
                    continue;
                };
                if means.widest.as_ref().is_none_or(|widest| width > widest.width) {
                    let name = if curves[row].is_empty() { String::new() } else { format!(", {}", curves[row]) };
                    let place = format!("panel {}{name}, x = {}", panels[row], x[row]);
                    means.widest = Some(Widest { place, known, width });
                }
            }
        }
        if means.widest.is_none() && means.agree == 0 {
            let hint = "choose figures whose curves are means, such as fig2a";
            return Err(Failure::usage("--until-width needs a figure with means over seeds", hint));
        }
        Ok(means)
    }
}
