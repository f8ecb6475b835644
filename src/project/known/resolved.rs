//! Looks up the stages of a selection in a store, and derives which stages have to run and which records a stage depends
//! on.

use crate::engine::{self, EngineError, Import, Indifferent, Inputs, Preference, Recorded, Resolver};
use crate::graph::{Graph, Stage, StageId};
use crate::plan::{Knowledge, Plan, plan};
use crate::project::Failure;
use crate::project::targets::select::Selection;
use base::closure::{Closure, Member};
use base::digest::{RecordDigest, StageKey};
use base::record::{KeyParts, Outline, Record};
use store::Store;

/// The stages that some targets depend on, and what is known about each.
pub struct Resolved<'a> {
    /// The selection.
    pub selection: &'a Selection,
    /// The targets.
    pub targets: Vec<StageId>,
    /// For every stage of the graph, whether it is a target or a target depends on it.
    pub needed: Vec<bool>,
    /// For every stage of the graph, what is known about it.
    pub knowledge: Vec<Knowledge>,
}

impl Selection {
    /// Looks up the targets, and all stages that they depend on, in a store or another source of records. A stage whose
    /// import is missing counts as waiting.
    ///
    /// # Errors
    /// If the records cannot be read.
    pub fn resolve(&self, source: &dyn Recorded) -> Result<Resolved<'_>, Failure> {
        self.resolve_by(source, &self.preference, &self.targets)
    }

    /// Looks up other targets, like [`Self::resolve`].
    ///
    /// # Errors
    /// If the records cannot be read.
    pub fn resolve_targets(&self, source: &dyn Recorded, targets: &[StageId]) -> Result<Resolved<'_>, Failure> {
        self.resolve_by(source, &self.preference, targets)
    }

    /// Looks up other targets, like [`Self::resolve`]. Among several records of a key, uses the one that `preference` puts
    /// first.
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

    /// Looks up the targets, and all stages that they depend on. All imports that these stages need must be present.
    ///
    /// # Errors
    /// If the records cannot be read, or something was never imported.
    pub fn resolve_imported(&self, source: &dyn Recorded) -> Result<Resolved<'_>, Failure> {
        let needed = self.graph.closure(&self.targets);
        let knowledge = Resolver::new(source, &self.graph, &self.preference).all(&needed)?;
        Ok(Resolved { selection: self, targets: self.targets.clone(), needed, knowledge })
    }

    /// Plans which stages have to run now.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn plan(&self, store: &Store) -> Result<Plan, Failure> {
        Ok(self.resolve(store)?.plan())
    }
}

impl<'a> Resolved<'a> {
    /// Plans which stages have to run.
    pub fn plan(&self) -> Plan {
        plan(&self.selection.graph, &self.targets, &self.knowledge)
    }

    /// Lists the targets and all stages that they depend on, with what is known about each.
    pub fn stages(&self) -> impl Iterator<Item = (StageId, &'a Stage, &Knowledge)> {
        let stages = self.selection.graph.stages.iter().zip(&self.knowledge).enumerate();
        stages.filter(|(id, _)| self.needed[*id]).map(|(id, (stage, known))| (id, stage, known))
    }

    /// Returns a stage's key and outputs, if the stage was run.
    pub fn known(&self, id: StageId) -> Option<(&StageKey, &Outline)> {
        match &self.knowledge[id] {
            Knowledge::Known { key, outline, .. } => Some((key, outline)),
            Knowledge::Absent { .. } | Knowledge::Waits => None,
        }
    }

    /// Reads a stage's record, if the stage was run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn record(&self, id: StageId, store: &Store) -> Result<Option<Record>, Failure> {
        let Some((key, outline)) = self.known(id) else { return Ok(None) };
        Ok(store.recorded(key, &outline.digest)?)
    }

    /// Reads the records of the stages that were run, and of the imports that these stages read.
    ///
    /// # Errors
    /// If the store cannot be read, or the record of an import is gone.
    pub fn members(&self, store: &Store) -> Result<Vec<Member>, Failure> {
        Ok(engine::known(&self.selection.graph, &self.knowledge, &self.needed, store)?)
    }

    /// Reads the records of a stage and of all stages that it depends on.
    ///
    /// # Errors
    /// If one of these stages was not run, or the store cannot be read.
    pub fn closure(&self, id: StageId, store: &Store) -> Result<Closure, EngineError> {
        engine::closure(&self.selection.graph, &self.knowledge, id, store)
    }

    /// Returns a stage's inputs and the parts of its key, if all inputs are known.
    ///
    /// # Errors
    /// If the store cannot be read, or a parameter cannot be hashed.
    pub fn inputs(&self, id: StageId, source: &dyn Recorded) -> Result<Option<(Inputs, KeyParts)>, Failure> {
        let resolver = Resolver::new(source, &self.selection.graph, &self.selection.preference);
        let Some(inputs) = resolver.inputs(id, &self.knowledge)? else { return Ok(None) };
        let parts = resolver.parts(id, &inputs)?;
        Ok(Some((inputs, parts)))
    }

    /// Returns the key and the record of an import, if it is present.
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

/// Checks whether a data set or weights were imported into a store.
pub fn is_imported(store: &Store, import: Import<'_>) -> bool {
    Resolver::new(store, &Graph::default(), &Indifferent).imported(import).is_ok()
}
