//! Requests to make targets, and their summaries.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;

use super::EngineError;
use super::duty::Duty;
use super::execute::Environment;
use super::preference::Preference;
use crate::graph::{Graph, StageId};
use crate::plan::Knowledge;
use crate::stages::{self, Device};
use base::digest::{RecordDigest, StageKey};
use store::Store;

/// The targets to make, and how to make them.
pub struct Request<'a> {
    /// The stages.
    pub graph: &'a Graph,
    /// The stages whose outputs are requested.
    pub targets: &'a [StageId],
    /// The store that inputs are read from and outputs written to.
    pub store: &'a Store,
    /// Decides which of several records of a key is used.
    pub preference: &'a dyn Preference,
    /// The device of the stages that use libtorch.
    pub device: &'a Device,
    /// Maximum number of stages that run in parallel.
    pub jobs: NonZeroUsize,
    /// Whether to find the number of parallel stages that gives the highest throughput, instead of starting with the maximum.
    pub grow: bool,
    /// Whether to continue with stages that do not depend on a failed one.
    pub keep_going: bool,
    /// Limits on what this process computes.
    pub duty: &'a dyn Duty,
    /// The origin written into the records.
    pub environment: &'a Environment,
    /// A flag that stops the run when it is set.
    pub cancel: &'a AtomicBool,
}

/// The result of a run.
#[derive(Debug, Default)]
pub struct Summary {
    /// Number of stages in the closure of the targets.
    pub total: usize,
    /// Number of these stages whose outputs were known.
    pub cached: usize,
    /// Number of these stages that were computed.
    pub computed: usize,
    /// What is known about every stage after the run.
    pub knowledge: Vec<Knowledge>,
    /// The new records.
    pub published: Vec<RecordDigest>,
    /// Keys with several different outcomes in the store.
    pub several: BTreeSet<StageKey>,
    /// Whether stages were left to other processes of the same run.
    pub left: bool,
    /// The errors, in order. Empty if all targets were made, or stages were left to others.
    pub errors: Vec<EngineError>,
}

/// Returns where a stage's training diverged, if it did.
pub fn divergence(known: &Knowledge) -> Option<String> {
    let Knowledge::Known { outline, .. } = known else { return None };
    stages::divergence(outline.output("diverged")?.inline.as_deref()?)
}
