//! Types for turning one instance of a stage (its table, with the settings filled in) into typed work.

use super::code::Code;
use super::fields::Fields;
use super::gather::Gathered;
use crate::graph::{Input, Stage, StageId};
use base::work::{KindName, Model, Numerics, Projection, Sphere, Work};

/// Weights after some epochs of training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Checkpoint {
    /// Number of epochs of training before the checkpoint.
    pub epoch: u32,
    /// The stage that makes the weights.
    pub stage: StageId,
}

/// The parts of an instance of a stage that other stages use.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Instance {
    /// The instance's stages in the graph, in order. Training has several, and so do measurements of training.
    pub checkpoints: Vec<Checkpoint>,
    /// Properties that stages starting from it inherit. Data and measurements have none.
    pub lineage: Option<Lineage>,
}

/// Properties of a run that stages starting from it inherit, unless they override them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lineage {
    /// The network.
    pub model: Model,
    /// Arithmetic.
    pub numerics: Numerics,
    /// Batch size: number of images per step.
    pub batch: u32,
    /// Number of training images in an evaluation. If absent, all images are used.
    pub eval_images: Option<u32>,
    /// The stage that makes the data.
    pub data: Option<StageId>,
    /// Radius of the sphere on which the weights are kept.
    pub radius: Option<f64>,
    /// When the weights are projected onto the sphere. If absent, only the start weights are projected.
    pub projection: Option<Projection>,
    /// Source of the defaults.
    pub variant: Convention,
}

/// Source of the defaults where the paper's text and its authors' code differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// The paper's text.
    Text,
    /// The authors' code.
    OfficialCode,
}

impl Lineage {
    /// Returns the norm to which the initial weights are scaled. The authors' training script projects only at the end of
    /// epochs, so it does not start on the sphere.
    pub fn start_radius(&self) -> Option<f64> {
        self.radius.filter(|_| self.projection != Some(Projection::Epoch))
    }

    /// Returns the sphere on which training keeps the weights.
    pub fn sphere(&self) -> Option<Sphere> {
        Some(Sphere { radius: self.radius?, every: self.projection? })
    }
}

/// How a pipeline describes a kind of stage.
pub struct Form {
    /// The fields that name other stages.
    pub references: &'static [&'static str],
    /// The kinds of stages that it can start from or measure.
    pub starts_from: &'static [KindName],
    /// Whether it trains.
    pub trains: bool,
    /// Reads the other fields and adds the stages of an instance to the graph.
    pub build: fn(&mut Site<'_>) -> Instance,
}

/// Context for building an instance: its table, the instances that it refers to, and the graph's stages.
pub struct Site<'a> {
    /// Name of the instance.
    pub name: &'a str,
    /// Table of the instance.
    pub fields: &'a Fields<'a>,
    /// Form of the instance's kind.
    pub form: &'a Form,
    /// The instances that it starts from or measures.
    pub start: &'a [&'a Instance],
    /// The instances that its inputs collect.
    pub gathered: &'a [Gathered<'a>],
    /// The stage that makes its data, if it names one.
    pub data: Option<StageId>,
    /// The files of the project that commands can declare.
    pub code: &'a Code,
    /// The stages of the graph so far.
    pub stages: &'a mut Vec<Stage>,
}

impl Site<'_> {
    /// Adds a stage without inputs from other stages, as the only stage of its instance.
    pub fn push_source(&mut self, work: Work, lineage: Option<Lineage>) -> Instance {
        let stage = self.push(self.name.to_owned(), work, Vec::new());
        Instance { checkpoints: vec![Checkpoint { epoch: 0, stage }], lineage }
    }

    /// Adds a stage that starts from or measures a checkpoint. Images come from the stage of the data, and other inputs from
    /// the checkpoint's stage, if that stage yields them.
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
    pub fn push(&mut self, name: String, work: Work, inputs: Vec<Input>) -> StageId {
        self.stages.push(Stage { name, work, inputs });
        self.stages.len() - 1
    }

    /// Returns the name of the stage that measures the checkpoint after some epochs. If there is only one checkpoint, this is
    /// the name of the instance.
    pub fn name_after(&self, epoch: u32) -> String {
        if self.start.iter().map(|instance| instance.checkpoints.len()).sum::<usize>() > 1 {
            format!("{}@{epoch}", self.name)
        } else {
            self.name.to_owned()
        }
    }

    /// Returns all checkpoints of the instances that it starts from or measures.
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.start.iter().flat_map(|instance| &instance.checkpoints).copied().collect()
    }

    /// Returns the checkpoints that it measures: those that `after = [1, 5]` chooses by their epochs, or all.
    pub fn chosen(&self) -> Vec<Checkpoint> {
        let all = self.checkpoints();
        let Some(wanted) = self.fields.integers("after") else { return all };
        for epoch in wanted.iter().filter(|epoch| all.iter().all(|checkpoint| checkpoint.epoch != **epoch)) {
            self.fields.complain("after", no_checkpoint(*epoch, &all));
        }
        all.into_iter().filter(|checkpoint| wanted.contains(&checkpoint.epoch)).collect()
    }
}

/// Makes the message that there is no checkpoint after a number of epochs.
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
