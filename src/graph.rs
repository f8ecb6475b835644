//! The stages of a pipeline as a directed acyclic graph: plain data, in an order in which every stage
//! comes after those that it reads from.

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
    /// What the reader calls it, such as `weights`.
    pub role: String,
    /// The stage that makes it.
    pub stage: StageId,
    /// Which of that stage's outputs.
    pub output: &'static str,
}

/// One node of the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Unique in the graph: pipeline, stage, sweep values and, for a segment of training, the epoch at
    /// its end: `fig3/trunk[lr=0.1,seed=0]@3`.
    pub name: String,
    /// What it does.
    pub work: Work,
    /// What it reads. A data set that is imported has none here: its objects are found when it is keyed.
    pub inputs: Vec<Input>,
}

/// Stages in dependency order, and what can be asked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Graph {
    /// Inputs always refer to earlier stages.
    pub stages: Vec<Stage>,
    /// How its numbers are computed.
    pub policy: Policy,
    /// Figures and panels by name (`fig3`, `fig3c`).
    pub figures: BTreeMap<String, Drawn>,
    /// What is claimed of the numbers behind the figures.
    pub claims: Vec<Claim>,
    /// What was published.
    pub published: Vec<Published>,
    /// Other names of stages: those of equal stages in other pipelines.
    pub aliases: BTreeMap<String, StageId>,
}

/// A claim about the numbers of a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Its name, such as `ema-below-sgd`.
    pub id: String,
    /// The figure that it is about.
    pub figure: String,
    /// In words.
    pub text: String,
    /// What is tested.
    pub statement: Statement,
    /// Over which part of the horizontal range.
    pub window: Window,
    /// The curves that are compared.
    pub sets: Vec<Vec<Curve>>,
    /// The tables that they are read from.
    pub inputs: Vec<Input>,
    /// How many runs the profile plans, and how many `--set` makes of them.
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
    /// After how many of them the learning rate was lowered, if it was.
    pub decay: Option<f64>,
    /// The profile at whose scale the published runs are.
    pub profile: String,
    /// What of the values carries over to another scale.
    pub carries: Vec<Carry>,
    /// Values below this say no more than their order.
    pub order_below: f64,
    /// Runs behind every value.
    pub runs: u32,
    /// What counts as the same value: within a share of it, or an absolute difference. Not less than the reading uncertainty.
    pub tolerance: Tolerance,
    /// Where the values are from.
    pub source: String,
    /// The values.
    pub values: Vec<PublishedValue>,
}

/// What of published values holds at another scale too, such as that of a smaller network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carry {
    /// Which of two curves lies above the other.
    Order,
    /// The ratio of two curves.
    Ratio,
    /// The levels of stretches of epochs.
    Plateau,
}

/// How far a value may be off besides the spread of runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// In the value's unit.
    Absolute(f64),
    /// As a share of it.
    Relative(f64),
}

/// One published value.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedValue {
    /// The curve's label.
    pub curve: String,
    /// From where to where on the horizontal axis it is the mean.
    pub x: [f64; 2],
    /// The mean over runs.
    pub mean: f64,
    /// The sample standard deviation over runs, if it is known.
    pub std: Option<f64>,
}

/// What is drawn under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    /// The stage that draws it.
    pub stage: StageId,
    /// The figure that it is, or is a panel of.
    pub figure: String,
    /// Whether it is a whole figure, rather than a panel of one that has several.
    pub whole: bool,
    /// The pipeline that it belongs to.
    pub pipeline: String,
}

impl Graph {
    /// The description of every stage: a hash of its kind, its parameters and the descriptions of what it reads, and of the
    /// policy where numbers depend on it. Unlike a key it needs no results; unlike a name it is the same in every pipeline.
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

    /// The description that a stage has with another work, given those of the stages before it.
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

    /// Which stages are needed for some targets: the targets and all that they depend on.
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

    /// The readers of every stage.
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
