//! What the store knows about the stages of a graph.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Mutex;

use super::EngineError;
use super::preference::{Preference, Recorded, Standing};
use crate::digest::StageKey;
use crate::graph::{Graph, Stage, StageId};
use crate::plan::{Bytes, Knowledge, MissReason};
use crate::record::{KeyParts, Output, Record};
use crate::store::ObjectState;
use crate::value::{Map, Value};
use crate::work::{Policy, Source, Work};

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

/// Something that a user brought into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import<'a> {
    /// A data set: outputs `train` and `test`.
    Data(Source),
    /// Weights under a name of the user's: output `weights`.
    Weights(&'a str),
}

impl<'a> Import<'a> {
    /// What a stage takes from outside the graph.
    pub fn of(work: &'a Work) -> Option<Self> {
        match work {
            Work::Dataset(data) if data.source != Source::Shapes10 => Some(Self::Data(data.source)),
            Work::Imported(weights) => Some(Self::Weights(&weights.name)),
            _ => None,
        }
    }

    fn outputs(self) -> &'static [&'static str] {
        match self {
            Self::Data(_) => &["train", "test"],
            Self::Weights(_) => &["weights"],
        }
    }

    /// That somebody must bring it.
    pub fn is_missing(self) -> EngineError {
        match self {
            Self::Data(source) => EngineError::NotImported(source),
            Self::Weights(name) => EngineError::NoWeights(name.to_owned()),
        }
    }

    /// The parts of the key under which it is recorded.
    pub fn parts(self) -> KeyParts {
        let (kind, name, value) = match self {
            Self::Data(source) => ("import", "source", source.name()),
            Self::Weights(name) => ("import_weights", "name", name),
        };
        KeyParts {
            kind: kind.to_owned(),
            version: 1,
            parameters: [(name.to_owned(), Value::Text(value.to_owned()))].into(),
            inputs: BTreeMap::new(),
            policy: Map::new(),
        }
    }
}

impl fmt::Display for Import<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(source) => write!(f, "import {}", source.name()),
            Self::Weights(name) => write!(f, "import weights/{name}"),
        }
    }
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
        let mut knowledge = vec![Knowledge::Waits; self.graph.stages.len()];
        for id in (0..self.graph.stages.len()).filter(|&id| needed[id]) {
            knowledge[id] = self.look(id, &knowledge)?;
        }
        Ok(knowledge)
    }

    /// The same for a plan: a stage whose import is not here waits for it.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn outlook(&self, needed: &[bool]) -> Result<Vec<Knowledge>, EngineError> {
        let mut knowledge = vec![Knowledge::Waits; self.graph.stages.len()];
        for id in (0..self.graph.stages.len()).filter(|&id| needed[id]) {
            knowledge[id] = match self.look(id, &knowledge) {
                Err(EngineError::NotImported(_) | EngineError::NoWeights(_)) => Knowledge::Waits,
                found => found?,
            };
        }
        Ok(knowledge)
    }

    /// What is known about one stage, given what is known about those before it.
    ///
    /// # Errors
    /// As for [`Self::all`].
    pub fn look(&self, id: StageId, knowledge: &[Knowledge]) -> Result<Knowledge, EngineError> {
        let Some(inputs) = self.inputs(id, knowledge)? else { return Ok(Knowledge::Waits) };
        let parts = self.parts(id, &inputs)?;
        let key = parts.key();
        if let Some((record, bytes)) = self.choose(&key)? {
            return Ok(Knowledge::Known { key, record: Box::new(record), bytes });
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
            let Knowledge::Known { record, .. } = &knowledge[input.stage] else { return Ok(None) };
            let output = record.output(input.output).ok_or_else(|| EngineError::NoOutput {
                stage: self.graph.stages[input.stage].name.clone(),
                output: input.output.to_owned(),
            })?;
            inputs.insert(input.role.clone(), output.clone());
        }
        let Some(import) = Import::of(&stage.work) else { return Ok(Some(inputs)) };
        let record = self.imported(import)?;
        for name in import.outputs() {
            let output = record.output(name).cloned().ok_or_else(|| import.is_missing())?;
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
        let found = self.choose(key)?;
        Ok(found.map(|(record, bytes)| Knowledge::Known { key: *key, record: Box::new(record), bytes }))
    }

    /// The record of something imported: the newest, whether or not its bytes are still here, since an older one
    /// holds something else.
    ///
    /// # Errors
    /// If it was never imported here.
    pub fn imported(&self, import: Import<'_>) -> Result<Record, EngineError> {
        let newest = self.store.records(&import.parts().key())?.into_iter().next();
        newest.map(|(_, record)| record).ok_or_else(|| import.is_missing())
    }

    /// Of the records of a key the one that is used: what a lock holds, whether or not its bytes are at hand; else, of
    /// those with the best standing in the store's order (see [`Store::records`]), the first whose outputs are all at
    /// hand, else the first.
    fn choose(&self, key: &StageKey) -> Result<Option<(Record, Vec<Bytes>)>, EngineError> {
        let mut records = Vec::new();
        let found = self.store.records(key)?;
        let matters = found.len() > 1 || self.preference.is_strict();
        if found.windows(2).any(|pair| !pair[0].1.same_outputs(&pair[1].1)) {
            self.several.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(*key);
        }
        for (digest, record) in found {
            let standing = match matters {
                true => self.preference.standing(self.store, &digest, &record)?,
                false => Standing::Known,
            };
            records.push((standing, record));
        }
        records.retain(|(standing, _)| *standing != Standing::Refused);
        // Stable: of equals the store's order holds.
        records.sort_by_key(|(standing, _)| *standing);
        let best = records.first().map(|(standing, _)| *standing);
        let mut first = None;
        for (standing, record) in records.into_iter().filter(|(standing, _)| Some(*standing) == best) {
            let bytes = record.outputs.iter().map(|output| self.bytes(output)).collect::<Result<Vec<_>, _>>()?;
            if standing == Standing::Locked || bytes.iter().all(|bytes| *bytes == Bytes::Present) {
                return Ok(Some((record, bytes)));
            }
            first.get_or_insert((record, bytes));
        }
        Ok(first)
    }

    fn bytes(&self, output: &Output) -> Result<Bytes, EngineError> {
        if output.inline.is_some() {
            return Ok(Bytes::Present);
        }
        Ok(match self.store.state(&output.object)? {
            ObjectState::Present => Bytes::Present,
            ObjectState::Missing => Bytes::Dropped,
            ObjectState::Damaged => Bytes::Damaged,
        })
    }
}
