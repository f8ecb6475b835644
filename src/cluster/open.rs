//! The remaining stages of a run, and those of them that can start.

use std::collections::BTreeSet;

use super::failed::given_up;
use super::run::Run;
use crate::graph::StageId;
use crate::plan::Knowledge;
use crate::project::{Failure, Selection};
use base::digest::StageKey;
use store::Store;

/// The remaining stages of a run.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Open {
    /// Number of stages that are done.
    pub done: usize,
    /// The stages that have to run.
    pub left: Vec<StageId>,
    /// The remaining stages whose inputs are complete, with their keys, except those that are given up. A worker may be
    /// running them already.
    pub ready: Vec<(StageId, StageKey)>,
    /// The stages whose inputs are complete but that are not tried again, with the reasons.
    pub given_up: Vec<(StageId, String)>,
}

impl Open {
    /// Determines which stages are left.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn of(run: &Run, selection: &Selection, store: &Store) -> Result<Self, Failure> {
        let resolved = selection.resolve(store)?;
        let plan = resolved.plan();
        let mut open = Self { done: plan.cached, ..Self::default() };
        open.left = plan.run.iter().map(|to_run| to_run.stage).collect();
        let left: BTreeSet<StageId> = open.left.iter().copied().collect();
        for &stage in &left {
            if selection.graph.stages[stage].inputs.iter().any(|input| left.contains(&input.stage)) {
                continue;
            }
            let (Knowledge::Absent { key, .. } | Knowledge::Known { key, .. }) = &resolved.knowledge[stage] else {
                continue;
            };
            match given_up(&run.failed(key)?) {
                Some(why) => open.given_up.push((stage, why)),
                None => open.ready.push((stage, *key)),
            }
        }
        Ok(open)
    }

    /// Checks whether all stages are done.
    pub fn is_done(&self) -> bool {
        self.left.is_empty()
    }

    /// Checks whether no worker can do anything: all remaining stages are given up or depend on such stages.
    pub fn is_stuck(&self) -> bool {
        !self.left.is_empty() && self.ready.is_empty()
    }
}
