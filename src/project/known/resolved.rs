//! What a store knows of the stages of a selection, and what follows from it: what has to run, and what is behind a
//! stage.

use crate::engine::{self, EngineError, Import, Indifferent, Inputs, Preference, Recorded, Resolver};
use crate::graph::{Graph, Stage, StageId};
use crate::plan::{Knowledge, Plan, plan};
use crate::project::Failure;
use crate::project::targets::select::Selection;
use base::closure::{Closure, Member};
use base::digest::{RecordDigest, StageKey};
use base::record::{KeyParts, Outline, Record};
use store::Store;

/// The stages behind some targets, and what is known of each.
pub struct Resolved<'a> {
    /// What was asked for.
    pub selection: &'a Selection,
    /// The stages whose needs were looked at.
    pub targets: Vec<StageId>,
    /// For every stage of the graph, whether it is behind a target.
    pub needed: Vec<bool>,
    /// For every stage of the graph, what is known of it.
    pub knowledge: Vec<Knowledge>,
}

impl Selection {
    /// Asks a store, or whatever else has records, about the stages behind the targets. A stage whose import is missing
    /// waits for it.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub fn resolve(&self, source: &dyn Recorded) -> Result<Resolved<'_>, Failure> {
        self.resolve_by(source, &self.preference, &self.targets)
    }

    /// Does the same for other targets.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub fn resolve_targets(&self, source: &dyn Recorded, targets: &[StageId]) -> Result<Resolved<'_>, Failure> {
        self.resolve_by(source, &self.preference, targets)
    }

    /// Does the same, and takes of several records of a key the one that `preference` puts first.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub fn resolve_by(
        &self,
        source: &dyn Recorded,
        preference: &dyn Preference,
        targets: &[StageId],
    ) -> Result<Resolved<'_>, Failure> {
        let needed = self.graph.closure(targets);
        let knowledge = Resolver::new(source, &self.graph, preference).outlook(&needed)?;
        Ok(Resolved { selection: self, targets: targets.to_vec(), needed, knowledge })
    }

    /// Asks about the stages behind the targets, all imports of which must be here.
    ///
    /// # Errors
    /// If the records cannot be read, or something was never imported.
    pub fn resolve_imported(&self, source: &dyn Recorded) -> Result<Resolved<'_>, Failure> {
        let needed = self.graph.closure(&self.targets);
        let knowledge = Resolver::new(source, &self.graph, &self.preference).all(&needed)?;
        Ok(Resolved { selection: self, targets: self.targets.clone(), needed, knowledge })
    }

    /// Plans what has to run now.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn plan(&self, store: &Store) -> Result<Plan, Failure> {
        Ok(self.resolve(store)?.plan())
    }
}

impl<'a> Resolved<'a> {
    /// Plans what has to run.
    pub fn plan(&self) -> Plan {
        plan(&self.selection.graph, &self.targets, &self.knowledge)
    }

    /// Lists the stages behind the targets, with what is known of each.
    pub fn stages(&self) -> impl Iterator<Item = (StageId, &'a Stage, &Knowledge)> {
        let stages = self.selection.graph.stages.iter().zip(&self.knowledge).enumerate();
        stages.filter(|(id, _)| self.needed[*id]).map(|(id, (stage, known))| (id, stage, known))
    }

    /// Returns a stage's key and outputs, if it was run.
    pub fn known(&self, id: StageId) -> Option<(&StageKey, &Outline)> {
        match &self.knowledge[id] {
            Knowledge::Known { key, outline, .. } => Some((key, outline)),
            Knowledge::Absent { .. } | Knowledge::Waits => None,
        }
    }

    /// Reads a stage's record, if it was run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn record(&self, id: StageId, store: &Store) -> Result<Option<Record>, Failure> {
        let Some((key, outline)) = self.known(id) else { return Ok(None) };
        Ok(store.recorded(key, &outline.digest)?)
    }

    /// Reads the records of the stages that were run, and of the imports that these read.
    ///
    /// # Errors
    /// If the store cannot be read, or the record of an import is gone.
    pub fn members(&self, store: &Store) -> Result<Vec<Member>, Failure> {
        Ok(engine::known(&self.selection.graph, &self.knowledge, &self.needed, store)?)
    }

    /// Reads all that is behind a stage.
    ///
    /// # Errors
    /// If a stage of it was not run, or the store cannot be read.
    pub fn closure(&self, id: StageId, store: &Store) -> Result<Closure, EngineError> {
        engine::closure(&self.selection.graph, &self.knowledge, id, store)
    }

    /// Returns what a stage reads, and the parts of its key, if all that it reads is known.
    ///
    /// # Errors
    /// If the store cannot be read, or a parameter cannot be hashed.
    pub fn inputs(&self, id: StageId, source: &dyn Recorded) -> Result<Option<(Inputs, KeyParts)>, Failure> {
        let resolver = Resolver::new(source, &self.selection.graph, &self.selection.preference);
        let Some(inputs) = resolver.inputs(id, &self.knowledge)? else { return Ok(None) };
        let parts = resolver.parts(id, &inputs)?;
        Ok(Some((inputs, parts)))
    }

    /// Returns the key and the record of an import that is here.
    pub fn imported(
        &self,
        import: Import<'_>,
        store: &Store,
        preference: &dyn Preference,
    ) -> Option<(StageKey, RecordDigest)> {
        let brought = Resolver::new(store, &self.selection.graph, preference).imported(import).ok()?;
        Some((import.parts().key(), brought.digest))
    }
}

/// Tells whether something was imported into a store.
pub fn is_imported(store: &Store, import: Import<'_>) -> bool {
    Resolver::new(store, &Graph::default(), &Indifferent).imported(import).is_ok()
}
