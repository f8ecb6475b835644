//! One instance of a stage of a pipeline: its table, with the settings filled in, becomes typed work.

use super::fields::Fields;
use crate::graph::{Input, Stage, StageId};
use base::work::{KindName, Model, Numerics, Projection, Sphere, Work};

/// Weights after some epochs of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Checkpoint {
    /// Epochs of training behind them.
    pub epoch: u32,
    /// The stage that makes them.
    pub stage: StageId,
}

/// What one instance of a stage gives to others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Instance {
    /// The graph's stages behind it, in order. Training has several, and so do measurements of it.
    pub checkpoints: Vec<Checkpoint>,
    /// What its weights are handed down with; absent for data.
    pub lineage: Option<Lineage>,
}

/// What a run hands down to stages that start from it, unless they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lineage {
    /// The network.
    pub model: Model,
    /// Arithmetic.
    pub numerics: Numerics,
    /// Images a step.
    pub batch: u32,
    /// Training images of an evaluation; absent: all.
    pub eval_images: Option<u32>,
    /// The stage that makes the data.
    pub data: Option<StageId>,
    /// The sphere on which the weights are held.
    pub radius: Option<f64>,
    /// When they are put back on it; absent: only at the start.
    pub projection: Option<Projection>,
    /// Which conventions hold where the pipeline says nothing.
    pub variant: Convention,
}

/// What gives the defaults where the paper's text and its authors' code differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// The text.
    Text,
    /// The code.
    OfficialCode,
}

impl Lineage {
    /// Returns the norm to which the first weights are scaled. The authors' training script projects at the end of
    /// epochs only, so it does not start on the sphere.
    pub fn start_radius(&self) -> Option<f64> {
        self.radius.filter(|_| self.projection != Some(Projection::Epoch))
    }

    /// Returns the sphere on which training holds the weights.
    pub fn sphere(&self) -> Option<Sphere> {
        Some(Sphere { radius: self.radius?, every: self.projection? })
    }
}

/// How a pipeline describes a kind of stage.
pub struct Form {
    /// The fields that name other stages.
    pub references: &'static [&'static str],
    /// The kinds that it may start from or look at.
    pub starts_from: &'static [KindName],
    /// Whether it trains.
    pub trains: bool,
    /// Reads the other fields and adds the stages of an instance to the graph.
    pub build: fn(&mut Site<'_>) -> Instance,
}

/// What an instance is read from, and where its stages go.
pub struct Site<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its table.
    pub fields: &'a Fields<'a>,
    /// Its form.
    pub form: &'a Form,
    /// The instances that it starts from or looks at.
    pub start: &'a [&'a Instance],
    /// The stage of its data, if it names one.
    pub data: Option<StageId>,
    /// The stages of the graph so far.
    pub stages: &'a mut Vec<Stage>,
}

impl Site<'_> {
    /// Adds a stage that reads nothing from other stages, as the only one of its instance.
    pub fn push_source(&mut self, work: Work, lineage: Option<Lineage>) -> Instance {
        let stage = self.push(self.name.to_owned(), work, Vec::new());
        Instance { checkpoints: vec![Checkpoint { epoch: 0, stage }], lineage }
    }

    /// Adds a stage that looks at a checkpoint. Images come from the stage of the data, and everything else from the
    /// checkpoint, if that yields it.
    pub fn push_from(&mut self, name: String, work: Work, from: StageId, data: Option<StageId>) -> StageId {
        let mut inputs = Vec::new();
        for role in work.inputs() {
            let source = if ["train", "test"].contains(&role) { data } else { Some(from) };
            let Some(stage) = source else { continue };
            let output = self.stages[stage].work.declared().find(|output| output.name == role);
            inputs.extend(output.map(|output| Input { role: role.to_owned(), stage, output: output.name }));
        }
        self.push(name, work, inputs)
    }

    /// Adds a stage.
    fn push(&mut self, name: String, work: Work, inputs: Vec<Input>) -> StageId {
        self.stages.push(Stage { name, work, inputs });
        self.stages.len() - 1
    }

    /// Returns the name of the stage that looks at the checkpoint after some epochs: the instance's own, if there is no
    /// other.
    pub fn name_after(&self, epoch: u32) -> String {
        if self.start.iter().map(|instance| instance.checkpoints.len()).sum::<usize>() > 1 {
            format!("{}@{epoch}", self.name)
        } else {
            self.name.to_owned()
        }
    }

    /// Returns all checkpoints of what it starts from or looks at.
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.start.iter().flat_map(|instance| &instance.checkpoints).copied().collect()
    }

    /// Returns the checkpoints that it looks at: `after = [1, 5]` chooses some by their epochs.
    pub fn chosen(&self) -> Vec<Checkpoint> {
        let all = self.checkpoints();
        let Some(wanted) = self.fields.integers("after") else { return all };
        for epoch in wanted.iter().filter(|epoch| all.iter().all(|checkpoint| checkpoint.epoch != **epoch)) {
            self.fields.complain("after", no_checkpoint(*epoch, &all));
        }
        all.into_iter().filter(|checkpoint| wanted.contains(&checkpoint.epoch)).collect()
    }
}

/// Says that there is no checkpoint after so many epochs.
pub fn no_checkpoint(after: u32, all: &[Checkpoint]) -> String {
    let mut known: Vec<_> = all.iter().take(6).map(|checkpoint| checkpoint.epoch.to_string()).collect();
    if known.len() == 6 {
        known[5] = "…".to_owned();
    }
    format!(
        "there is no checkpoint after {after} epochs, only after {}; choose one of those, or change \
         `checkpoint_first` or `checkpoint_every` of the training",
        known.join(", ")
    )
}
