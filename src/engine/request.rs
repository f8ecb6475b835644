//! What is to be made, and what came of it.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::AtomicBool;

use super::EngineError;
use super::execute::Environment;
use super::preference::Preference;
use crate::graph::{Graph, StageId};
use crate::plan::Knowledge;
use crate::stages::{self, Device};
use base::digest::{RecordDigest, StageKey};
use store::Store;

/// What is to be made, and how.
pub struct Request<'a> {
    /// The stages.
    pub graph: &'a Graph,
    /// The stages whose outputs are wanted.
    pub targets: &'a [StageId],
    /// Where inputs come from and outputs go.
    pub store: &'a Store,
    /// Which of several records of a key is used.
    pub preference: &'a dyn Preference,
    /// Where torch's stages run.
    pub device: &'a Device,
    /// Stages at a time, at most.
    pub jobs: NonZeroUsize,
    /// Whether to find out how many of them make it faster, rather than to begin with all.
    pub grow: bool,
    /// Whether to go on with what does not depend on a stage that failed.
    pub keep_going: bool,
    /// For the records.
    pub environment: &'a Environment,
    /// Set it to stop.
    pub cancel: &'a AtomicBool,
}

/// What was made.
#[derive(Debug, Default)]
pub struct Summary {
    /// Stages behind the targets.
    pub total: usize,
    /// Of those, the ones whose outputs were known.
    pub cached: usize,
    /// Of those, the ones that were computed.
    pub computed: usize,
    /// What is known about every stage in the end.
    pub knowledge: Vec<Knowledge>,
    /// The records that came into being.
    pub published: Vec<RecordDigest>,
    /// Keys with several different outcomes in the store.
    pub several: BTreeSet<StageKey>,
    /// What went wrong, in order. Empty if all targets were made.
    pub errors: Vec<EngineError>,
}

/// Where a stage's training left the finite numbers, if it did.
pub fn divergence(known: &Knowledge) -> Option<String> {
    let Knowledge::Known { outline, .. } = known else { return None };
    stages::divergence(outline.output("diverged")?.inline.as_deref()?)
}
