//! Looks up what a store knows about the stages of a graph.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::EngineError;
use super::preference::{Preference, Recorded, Standing};
use crate::graph::{Graph, Stage, StageId};
use crate::plan::{Bytes, Knowledge, MissReason, Refusal};
use base::digest::StageKey;
use base::parallel::beside;
use base::record::{self, KeyParts, Outline, Output};
use base::value::{Map, Value, encode_map};
use base::work::{Import, Policy};
use store::{ObjectState, Store, Witnesses};

/// Version of the numeric policy; see [`policy`].
const POLICY: i64 = 1;

/// Returns how numbers are computed, which is part of the key of every stage that needs libtorch:
/// deterministic algorithms only, and one thread within an operator, since the order of a sum over
/// threads changes its last bits. Stages run in parallel instead. The portable policy also fixes the
/// instruction set.
pub fn policy(policy: Policy) -> Map {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut map: Map = [
        ("determinism".to_owned(), text("strict")),
        ("threads".to_owned(), Value::Int(1)),
        ("version".to_owned(), Value::Int(POLICY)),
    ]
    .into();
    if policy == Policy::Portable {
        map.insert("instructions".to_owned(), text("avx2"));
    }
    map
}

/// The inputs of a stage, by role.
pub type Inputs = BTreeMap<String, Output>;

/// Looks up the stages of a graph in a store or another source of records.
pub struct Resolver<'a> {
    store: &'a dyn Recorded,
    graph: &'a Graph,
    policy: Map,
    preference: &'a dyn Preference,
    /// Keys for which several different outcomes were found.
    several: Mutex<BTreeSet<StageKey>>,
}

impl<'a> Resolver<'a> {
    /// Creates a resolver that looks up the stages of `graph` in `store`.
    pub fn new(store: &'a dyn Recorded, graph: &'a Graph, preference: &'a dyn Preference) -> Self {
        Self { store, graph, policy: policy(graph.policy), preference, several: Mutex::default() }
    }

    /// Returns the keys with several different outcomes among those looked up so far.
    pub fn several(&self) -> BTreeSet<StageKey> {
        self.several.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Returns what is known about every needed stage, in one walk.
    ///
    /// # Errors
    /// If the store cannot be read, or a data set was never imported.
    pub fn all(&self, needed: &[bool]) -> Result<Vec<Knowledge>, EngineError> {
        self.walk(needed, Err)
    }

    /// Returns the same for a plan, in which a stage whose import is missing waits for the import.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn outlook(&self, needed: &[bool]) -> Result<Vec<Knowledge>, EngineError> {
        self.walk(needed, |error| match error {
            EngineError::NotImported(_) | EngineError::NoWeights(_) | EngineError::Unsigned(_) => Ok(Knowledge::Waits),
            error => Err(error),
        })
    }

    /// Looks up the needed stages. The outcomes cached in the index come first and are checked against the files in one
    /// pass; stages whose cached outcome is no longer valid, and their dependents, are looked up one by one.
    fn walk(
        &self,
        needed: &[bool],
        unless: impl Fn(EngineError) -> Result<Knowledge, EngineError>,
    ) -> Result<Vec<Knowledge>, EngineError> {
        let mut knowledge = vec![Knowledge::Waits; self.graph.stages.len()];
        let mut holds = vec![false; self.graph.stages.len()];
        let index = self.store.index().filter(|_| !self.preference.is_strict());
        if let Some(store) = index {
            self.recall(store, needed, &mut knowledge, &mut holds)?;
        }
        for id in (0..self.graph.stages.len()).filter(|&id| needed[id]) {
            holds[id] &= self.graph.stages[id].inputs.iter().all(|input| holds[input.stage]);
            if !holds[id] {
                knowledge[id] = self.look(id, &knowledge).or_else(&unless)?;
            }
        }
        if let Some(store) = index {
            store.remember_outlines();
        }
        Ok(knowledge)
    }

    /// Reads the cached outcomes of the stages from a store's index, and checks whether they are still valid.
    fn recall(
        &self,
        store: &Store,
        needed: &[bool],
        knowledge: &mut [Knowledge],
        holds: &mut [bool],
    ) -> Result<(), EngineError> {
        let mut recall = store.recall(needed.iter().filter(|needed| **needed).count());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // Errors of the store are reported when the stages are looked up one by one.
        let Ok(files) = store.held() else { return Ok(()) };
        let hold = |(id, witnesses): (StageId, Witnesses)| (id, files.holds(&witnesses));
        let policies = [&Map::new(), &self.policy].map(|policy| {
            let mut bytes = Vec::new();
            encode_map(&mut bytes, policy);
            bytes
        });
        let (recalled, held) = beside(cores, hold, |give| {
            for id in (0..self.graph.stages.len()).filter(|&id| needed[id]) {
                if let Some(key) = self.key(id, knowledge, &policies)?
                    && let Some((outline, witnesses)) = recall.outline(&key)
                {
                    knowledge[id] = Knowledge::Known { key, outline, bytes: Vec::new() };
                    give((id, witnesses));
                }
            }
            Ok::<_, EngineError>(())
        });
        recalled?;
        for (id, states) in held {
            if let (Knowledge::Known { outline, bytes, .. }, Some(states)) = (&mut knowledge[id], states) {
                let mut apart = states.into_iter().map(Bytes::from);
                let at_hand = |output: &Output| if output.inline.is_some() { None } else { apart.next() };
                bytes.extend(outline.outputs.iter().map(at_hand).map(|state| state.unwrap_or(Bytes::Present)));
                holds[id] = true;
            }
        }
        Ok(())
    }

    /// Returns the key of a stage, given the encoded policies of stages without and with libtorch; `None` if an input is not
    /// known. Other errors are reported when the stage is looked up.
    fn key(
        &self,
        id: StageId,
        knowledge: &[Knowledge],
        policies: &[Vec<u8>; 2],
    ) -> Result<Option<StageKey>, EngineError> {
        let Stage { name, work, inputs } = &self.graph.stages[id];
        let mut objects = Vec::with_capacity(inputs.len());
        for input in inputs {
            let Knowledge::Known { outline, .. } = &knowledge[input.stage] else { return Ok(None) };
            let Some(output) = outline.output(input.output) else { return Ok(None) };
            objects.push((input.role.as_str(), &output.object));
        }
        let brought = work.import().map(|import| (import, self.imported(import)));
        if let Some((import, brought)) = &brought {
            let Ok(brought) = brought else { return Ok(None) };
            for name in import.outputs() {
                let Some(output) = brought.output(name) else { return Ok(None) };
                objects.push((name, &output.object));
            }
        }
        objects.sort_by_key(|(role, _)| *role);
        let parameters = work.encoded().map_err(|error| EngineError::Parameters(name.clone(), error))?;
        let [none, policy] = policies;
        let policy = if work.needs_torch() { policy } else { none };
        Ok(Some(record::key(work.kind(), work.version(), &parameters, objects.into_iter(), policy)))
    }

    /// Looks up one stage, given what is known about its dependencies.
    ///
    /// # Errors
    /// See [`Self::all`].
    pub fn look(&self, id: StageId, knowledge: &[Knowledge]) -> Result<Knowledge, EngineError> {
        let Some(inputs) = self.inputs(id, knowledge)? else { return Ok(Knowledge::Waits) };
        let parts = self.parts(id, &inputs)?;
        let key = parts.key();
        if let Some(known) = self.known(&key)? {
            return Ok(known);
        }
        if let Some(refusal) = self.refusal(&key)? {
            return Ok(Knowledge::Absent { key, reason: MissReason::Refused(refusal) });
        }
        let last = self.store.last_named(&self.graph.stages[id].name)?;
        let reason = MissReason::between(last.as_ref().map(|last| &last.parts), &parts);
        Ok(Knowledge::Absent { key, reason })
    }

    /// Returns why the first record of a key that has no usable record is not used; `None` if there is no record.
    fn refusal(&self, key: &StageKey) -> Result<Option<Refusal>, EngineError> {
        if !self.preference.is_strict() {
            return Ok(None);
        }
        let Some(first) = self.store.outlines(key)?.into_iter().next() else { return Ok(None) };
        Ok(match self.preference.standing(self.store, key, &first)? {
            Standing::Refused(refusal) => Some(refusal),
            Standing::Locked | Standing::Trusted | Standing::Known => None,
        })
    }

    /// Returns the inputs of a stage by role; `None` if one is not known yet.
    ///
    /// # Errors
    /// See [`Self::all`].
    pub fn inputs(&self, id: StageId, knowledge: &[Knowledge]) -> Result<Option<Inputs>, EngineError> {
        let stage = &self.graph.stages[id];
        let mut inputs = Inputs::new();
        for input in &stage.inputs {
            let Knowledge::Known { outline, .. } = &knowledge[input.stage] else { return Ok(None) };
            let output = outline.output(input.output).ok_or_else(|| EngineError::NoOutput {
                stage: self.graph.stages[input.stage].name.clone(),
                output: input.output.to_owned(),
            })?;
            inputs.insert(input.role.clone(), output.clone());
        }
        let Some(import) = stage.work.import() else { return Ok(Some(inputs)) };
        let brought = self.imported(import)?;
        for name in import.outputs() {
            let output = brought.output(name).cloned().ok_or_else(|| EngineError::not_imported(import))?;
            inputs.insert((*name).to_owned(), output);
        }
        Ok(Some(inputs))
    }

    /// Returns the parts of the key of a stage that reads `inputs`.
    ///
    /// # Errors
    /// If a parameter is NaN.
    pub fn parts(&self, id: StageId, inputs: &Inputs) -> Result<KeyParts, EngineError> {
        let Stage { name, work, .. } = &self.graph.stages[id];
        let parameters = work.parameters().map_err(|error| EngineError::Parameters(name.clone(), error))?;
        let inputs = inputs.iter().map(|(role, output)| (role.clone(), output.object)).collect();
        let policy = if work.needs_torch() { self.policy.clone() } else { Map::new() };
        Ok(KeyParts { kind: work.kind().to_owned(), version: work.version(), parameters, inputs, policy })
    }

    /// Looks up a key; returns `None` if it has no record.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn known(&self, key: &StageKey) -> Result<Option<Knowledge>, EngineError> {
        Ok(self.choose(key)?.map(|(outline, bytes)| Knowledge::Known { key: *key, outline, bytes }))
    }

    /// Returns the newest record of an import that may be used, even if its bytes are missing, since an older record has
    /// other contents.
    ///
    /// # Errors
    /// If the import has no record, or none of its records may be used.
    pub fn imported(&self, import: Import<'_>) -> Result<Outline, EngineError> {
        let key = import.parts().key();
        let all = self.store.outlines(&key)?;
        if all.is_empty() {
            return Err(EngineError::not_imported(import));
        }
        for outline in all {
            if !self.preference.is_strict()
                || !matches!(self.preference.standing(self.store, &key, &outline)?, Standing::Refused(_))
            {
                return Ok(outline);
            }
        }
        Err(EngineError::unsigned(import))
    }

    /// Chooses one of the records of a key. A locked record is chosen even if its bytes are missing. Without a locked record,
    /// the choice is among the records with the best standing in the store's order (see [`Store::records`]): the first whose
    /// outputs are all present, or else the first.
    fn choose(&self, key: &StageKey) -> Result<Option<(Outline, Vec<Bytes>)>, EngineError> {
        let mut standings = Vec::new();
        let found = self.store.outlines(key)?;
        let matters = found.len() > 1 || self.preference.is_strict();
        if found.windows(2).any(|pair| !pair[0].same_outputs(&pair[1])) {
            self.several.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(*key);
        }
        for outline in found {
            let standing = match matters {
                true => self.preference.standing(self.store, key, &outline)?,
                false => Standing::Known,
            };
            standings.push((standing, outline));
        }
        standings.retain(|(standing, _)| !matches!(standing, Standing::Refused(_)));
        // The sort is stable, so that equal records stay in the store's order.
        standings.sort_by_key(|(standing, _)| *standing);
        let best = standings.first().map(|(standing, _)| *standing);
        let mut first = None;
        for (standing, outline) in standings.into_iter().filter(|(standing, _)| Some(*standing) == best) {
            let bytes = outline.outputs.iter().map(|output| self.bytes(output)).collect::<Result<Vec<_>, _>>()?;
            if standing == Standing::Locked || bytes.iter().all(|bytes| *bytes == Bytes::Present) {
                return Ok(Some((outline, bytes)));
            }
            first.get_or_insert((outline, bytes));
        }
        Ok(first)
    }

    fn bytes(&self, output: &Output) -> Result<Bytes, EngineError> {
        if output.inline.is_some() {
            return Ok(Bytes::Present);
        }
        Ok(self.store.state(&output.object)?.into())
    }
}

impl From<ObjectState> for Bytes {
    fn from(state: ObjectState) -> Self {
        match state {
            ObjectState::Present => Self::Present,
            ObjectState::Missing => Self::Dropped,
            ObjectState::Damaged => Self::Damaged,
        }
    }
}

#[cfg(test)]
mod tests;
