//! Explains what a stage's key consists of, and why the stage has to run or not.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::parameters::{Parameter, parameters};
use crate::engine::EngineError;
use crate::graph::{Graph, Stage};
use crate::plan::{Knowledge, MissReason};
use crate::project::targets::select::{Selection, Variant};
use crate::project::{Failure, Project};
use base::digest::StageKey;
use base::record::{KeyParts, Record};
use base::value::Map;
use store::Store;

/// Explanation of a stage.
pub struct Explained<'a> {
    /// The graph that the stage belongs to.
    pub graph: &'a Graph,
    /// The stage.
    pub stage: &'a Stage,
    /// What the store knows about it.
    pub knowledge: Knowledge,
    /// Its record, if the stage was run.
    pub record: Option<Record>,
    /// Its key and the key's parts, if all its inputs are known.
    pub key: Option<(StageKey, KeyParts)>,
    /// Its parameters as they are hashed.
    pub work: Map,
    /// Its parameters one by one, each with the place where it was written.
    pub parameters: Vec<Parameter>,
    /// Why the stage has to run, if it has to.
    pub reason: Option<MissReason>,
}

impl Project {
    /// Explains the stages that a selection targets, at most `limit` of them.
    ///
    /// # Errors
    /// If an import is missing, a pipeline is wrong, or the store cannot be read.
    pub fn explain<'a>(
        &self,
        variant: &Variant,
        selection: &'a Selection,
        store: &Store,
        limit: usize,
    ) -> Result<Vec<Explained<'a>>, Failure> {
        let graph = &selection.graph;
        let resolved = selection.resolve_imported(store)?;
        let plan = resolved.plan();
        let mut pipelines = BTreeMap::new();
        let mut all = Vec::new();
        for &id in selection.targets.iter().take(limit) {
            let stage = &graph.stages[id];
            let name = &stage.name;
            let pipeline = match pipelines.entry(name.split('/').next().unwrap_or_default().to_owned()) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(new) => new.insert(self.pipeline_of(variant, name)?),
            };
            let told = pipeline.as_ref().map(|pipeline| pipeline.told(name)).unwrap_or_default();
            let work = stage.work.parameters().map_err(|error| EngineError::Parameters(name.clone(), error))?;
            all.push(Explained {
                graph,
                stage,
                knowledge: resolved.knowledge[id].clone(),
                record: resolved.record(id, store)?,
                key: resolved.inputs(id, store)?.map(|(_, parts)| (parts.key(), parts)),
                parameters: parameters(&work, &told),
                work,
                reason: plan.run.iter().find(|run| run.stage == id).map(|run| run.reason.clone()),
            });
        }
        Ok(all)
    }
}
