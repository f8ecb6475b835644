//! What the store knows about the stages of a graph.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::EngineError;
use super::preference::{Preference, Recorded, Standing};
use crate::graph::{Graph, Stage, StageId};
use crate::plan::{Bytes, Knowledge, MissReason};
use base::digest::StageKey;
use base::parallel::beside;
use base::record::{self, KeyParts, Outline, Output};
use base::value::{Map, Value, encode_map};
use base::work::{Import, Policy};
use store::{ObjectState, Store, Witnesses};

/// Version of the numeric policy; see [`policy`].
const POLICY: i64 = 1;

/// How numbers are computed, part of the key of every stage that needs libtorch: deterministic
/// algorithms only, and one thread within an operator, since the order of a sum over threads shows in
/// its last bits. Stages run side by side instead. Under the portable policy also the instructions.
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

/// What a stage reads, by role.
pub type Inputs = BTreeMap<String, Output>;

/// Asks a store, or whatever else has records, about the stages of a graph.
pub struct Resolver<'a> {
    store: &'a dyn Recorded,
    graph: &'a Graph,
    policy: Map,
    preference: &'a dyn Preference,
    /// Keys that turned out to have several different outcomes.
    several: Mutex<BTreeSet<StageKey>>,
}

impl<'a> Resolver<'a> {
    /// Asks `store` about `graph`.
    pub fn new(store: &'a dyn Recorded, graph: &'a Graph, preference: &'a dyn Preference) -> Self {
        Self { store, graph, policy: policy(graph.policy), preference, several: Mutex::default() }
    }

    /// The keys, among those that were asked for, that have several different outcomes.
    pub fn several(&self) -> BTreeSet<StageKey> {
        self.several.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// What is known about every stage that is needed, in one walk.
    ///
    /// # Errors
    /// If the store cannot be read, or a data set was never imported.
    pub fn all(&self, needed: &[bool]) -> Result<Vec<Knowledge>, EngineError> {
        self.walk(needed, Err)
    }

    /// The same for a plan: a stage whose import is not here waits for it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn outlook(&self, needed: &[bool]) -> Result<Vec<Knowledge>, EngineError> {
        self.walk(needed, |error| match error {
            EngineError::NotImported(_) | EngineError::NoWeights(_) | EngineError::Unsigned(_) => Ok(Knowledge::Waits),
            error => Err(error),
        })
    }

    /// Looks at the stages that are needed: first at what is remembered of them, which is then held against the files, all
    /// together; what does not hold, and what follows from it, is looked at one by one.
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

    /// What a store remembers of the stages, and whether it holds.
    fn recall(
        &self,
        store: &Store,
        needed: &[bool],
        knowledge: &mut [Knowledge],
        holds: &mut [bool],
    ) -> Result<(), EngineError> {
        let mut recall = store.recall(needed.iter().filter(|needed| **needed).count());
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // What is wrong with the store is said when it is looked at stage by stage.
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

    /// The key of a stage, given the encoded policy of stages without libtorch and of those with it; nothing if an input is
    /// not known. What is wrong is complained of when the stage is looked at.
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

    /// What is known about one stage, given what is known about those before it.
    ///
    /// # Errors
    /// As for [`Self::all`].
    pub fn look(&self, id: StageId, knowledge: &[Knowledge]) -> Result<Knowledge, EngineError> {
        let Some(inputs) = self.inputs(id, knowledge)? else { return Ok(Knowledge::Waits) };
        let parts = self.parts(id, &inputs)?;
        let key = parts.key();
        if let Some(known) = self.known(&key)? {
            return Ok(known);
        }
        let last = self.store.last_named(&self.graph.stages[id].name)?;
        let reason = MissReason::between(last.as_ref().map(|last| &last.parts), &parts);
        Ok(Knowledge::Absent { key, reason })
    }

    /// What a stage reads, by role; nothing if an input is not known yet.
    ///
    /// # Errors
    /// As for [`Self::all`].
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

    /// The parts of the key of a stage that reads `inputs`.
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

    /// What is known under a key, if there is a record of it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn known(&self, key: &StageKey) -> Result<Option<Knowledge>, EngineError> {
        Ok(self.choose(key)?.map(|(outline, bytes)| Knowledge::Known { key: *key, outline, bytes }))
    }

    /// What the record of something imported says: the newest that may be used, whether or not its bytes are still here,
    /// since an older one holds something else.
    ///
    /// # Errors
    /// If it was never imported here, or none of its records may be used.
    pub fn imported(&self, import: Import<'_>) -> Result<Outline, EngineError> {
        let key = import.parts().key();
        let all = self.store.outlines(&key)?;
        if all.is_empty() {
            return Err(EngineError::not_imported(import));
        }
        for outline in all {
            if !self.preference.is_strict()
                || self.preference.standing(self.store, &key, &outline)? != Standing::Refused
            {
                return Ok(outline);
            }
        }
        Err(EngineError::unsigned(import))
    }

    /// Of the records of a key the one that is used: what a lock holds, whether or not its bytes are at hand; else, of
    /// those with the best standing in the store's order (see [`Store::records`]), the first whose outputs are all at
    /// hand, else the first.
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
        standings.retain(|(standing, _)| *standing != Standing::Refused);
        // Stable: of equals the store's order holds.
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
