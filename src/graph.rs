//! The stages of a pipeline as a directed acyclic graph: plain data, in dependency order.

mod pattern;

use std::collections::BTreeMap;

pub use pattern::Pattern;

use base::digest::Description;
use base::value::ValueError;
use base::work::{Curve, Policy, Work};
use draw::claim::looks::Runs;
use draw::claim::{Statement, Window};

/// Index of a stage in its [`Graph`].
pub type StageId = usize;

/// An output of another stage that a stage reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// The reader's name for it, such as `weights`.
    pub role: String,
    /// The stage that produces it.
    pub stage: StageId,
    /// The name of that stage's output.
    pub output: &'static str,
}

/// One node of the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Its name, unique in the graph: pipeline, stage, sweep values and, for a segment of training, the
    /// epoch at its end, as in `fig3/trunk[lr=0.1,seed=0]@3`.
    pub name: String,
    /// The work that it does.
    pub work: Work,
    /// The outputs of other stages that it reads. Imports are not among them: they are looked up when the key is computed.
    pub inputs: Vec<Input>,
}

/// Stages in dependency order, and the targets that can be requested.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// The stages; inputs always refer to earlier ones.
    pub stages: Vec<Stage>,
    /// The numeric policy.
    pub policy: Policy,
    /// Figures and panels by name (`fig3`, `fig3c`).
    pub figures: BTreeMap<String, Drawn>,
    /// Claims about the numbers of the figures.
    pub claims: Vec<Claim>,
    /// Published values.
    pub published: Vec<Published>,
    /// Other names of stages, which equal stages in other pipelines have.
    pub aliases: BTreeMap<String, StageId>,
}

/// A claim about the numbers of a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Its name, such as `ema-below-sgd`.
    pub id: String,
    /// The figure that it is about.
    pub figure: String,
    /// The claim in words.
    pub text: String,
    /// The statement that is tested.
    pub statement: Statement,
    /// The part of the horizontal range over which it is tested.
    pub window: Window,
    /// The curves that are compared.
    pub sets: Vec<Vec<Curve>>,
    /// The tables that they are read from.
    pub inputs: Vec<Input>,
    /// Number of runs that the profile plans, and number of runs after `--set`.
    pub runs: Runs,
}

/// Published values of a panel's curves.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// The figure.
    pub figure: String,
    /// The panel.
    pub panel: String,
    /// Number of epochs of the published runs, if the horizontal axis counts them.
    pub epochs: Option<f64>,
    /// Number of epochs after which the learning rate was lowered, if it was.
    pub decay: Option<f64>,
    /// The profile with the scale of the published runs.
    pub profile: String,
    /// The properties of the values that carry over to another scale.
    pub carries: Vec<Carry>,
    /// Values below this are compared only by their order.
    pub order_below: f64,
    /// Number of runs per value.
    pub runs: u32,
    /// The difference within which values count as equal. It is at least the reading uncertainty.
    pub tolerance: Tolerance,
    /// The source of the values.
    pub source: String,
    /// The values.
    pub values: Vec<PublishedValue>,
}

/// A property of published values that also holds at another scale, such as that of a smaller network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carry {
    /// The order of two curves: which of them is above the other.
    Order,
    /// The ratio of two curves.
    Ratio,
    /// The levels over ranges of epochs.
    Plateau,
}

/// The deviation of a value that is allowed in addition to the spread of runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// In the unit of the value.
    Absolute(f64),
    /// As a fraction of the value.
    Relative(f64),
}

/// One published value.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedValue {
    /// The curve's label.
    pub curve: String,
    /// The range on the horizontal axis over which it is the mean.
    pub x: [f64; 2],
    /// The mean over runs.
    pub mean: f64,
    /// The sample standard deviation over runs, if known.
    pub std: Option<f64>,
}

/// A figure or panel that is drawn under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// The stage that draws it.
    pub stage: StageId,
    /// The figure itself, or the figure that the panel belongs to.
    pub figure: String,
    /// Whether it is a whole figure, and not a panel of a figure with several.
    pub whole: bool,
    /// The pipeline that it belongs to.
    pub pipeline: String,
}

impl Graph {
    /// Returns the description of every stage: a hash of its kind, its parameters, the descriptions of its inputs and, if
    /// its numbers depend on it, the policy. Unlike a key, a description needs no results; unlike a name, it is the same in
    /// every pipeline.
    ///
    /// # Errors
    /// If a parameter is NaN.
    pub fn descriptions(&self) -> Result<Vec<Description>, ValueError> {
        let mut found: Vec<Description> = Vec::with_capacity(self.stages.len());
        for Stage { work, inputs, .. } in &self.stages {
            found.push(self.described(work, inputs, &found)?);
        }
        Ok(found)
    }

    /// Returns the description of a stage with the given work and inputs, given those of the stages before it.
    ///
    /// # Errors
    /// If a parameter is NaN.
    pub fn described(&self, work: &Work, inputs: &[Input], of: &[Description]) -> Result<Description, ValueError> {
        let mut hasher = blake3::Hasher::new_derive_key("wdpipe 2026 stage description v1");
        let mut add = |bytes: &[u8]| {
            hasher.update(&(bytes.len() as u64).to_le_bytes()).update(bytes);
        };
        add(work.kind().as_bytes());
        add(&work.encoded()?);
        add(if work.needs_torch() { self.policy.name() } else { "" }.as_bytes());
        for Input { role, stage, output } in inputs {
            add(role.as_bytes());
            add(output.as_bytes());
            add(of[*stage].as_bytes());
        }
        Ok(Description::from_bytes(hasher.finalize().into()))
    }

    /// Returns which stages some targets need: the targets and all their dependencies.
    pub fn closure(&self, targets: &[StageId]) -> Vec<bool> {
        let mut needed = vec![false; self.stages.len()];
        for &target in targets {
            needed[target] = true;
        }
        for id in (0..self.stages.len()).rev() {
            if needed[id] {
                for input in &self.stages[id].inputs {
                    needed[input.stage] = true;
                }
            }
        }
        needed
    }

    /// Returns the readers of every stage.
    pub fn dependents(&self) -> Vec<Vec<StageId>> {
        let mut dependents = vec![Vec::new(); self.stages.len()];
        for (id, stage) in self.stages.iter().enumerate() {
            for input in &stage.inputs {
                if dependents[input.stage].last() != Some(&id) {
                    dependents[input.stage].push(id);
                }
            }
        }
        dependents
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use base::work::{Dataset, Source};

    /// Makes a graph of data-set stages (their kind does not matter) with the given edges.
    pub(crate) fn graph(edges: &[Vec<StageId>]) -> Graph {
        let work = Work::Dataset(Dataset { source: Source::Shapes10, train: 1, test: 1, classes: None, seed: 0 });
        let stage = |(id, inputs): (usize, &Vec<StageId>)| Stage {
            name: format!("s{id}"),
            work: work.clone(),
            inputs: inputs.iter().map(|&stage| Input { role: format!("r{stage}"), stage, output: "train" }).collect(),
        };
        Graph { stages: edges.iter().enumerate().map(stage).collect(), ..Graph::default() }
    }
}
