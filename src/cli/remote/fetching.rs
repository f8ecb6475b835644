//! Bringing in what a selection needs: records first, as far as a remote lists them; then bytes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::super::admit::{Accepting, Gate};
use super::super::make::planned;
use super::super::select::Selection;
use super::super::ui::Ui;
use super::super::{Failure, Global};
use super::Chosen;
use super::watch::Moving;
use crate::digest::{ObjectDigest, RecordDigest};
use crate::engine::{Ahead, Indifferent, Preference, Resolver};
use crate::plan::{Knowledge, MissReason, Plan, plan};
use crate::record::Record;
use crate::remote::{self, Fetch, Fetched, RemoteError, Transport};
use crate::sign;
use crate::store::{Catalogue, Store};

/// A remote that is read through.
pub struct Through {
    remote: Box<dyn Transport>,
    catalogue: Catalogue,
    gate: Gate,
    moving: Moving,
}

impl Through {
    /// Opens a remote and reads its catalogue.
    ///
    /// # Errors
    /// If there is no such remote, or it cannot be read.
    pub fn open(
        global: &Global,
        name: Option<&str>,
        accepting: &Accepting,
        cancel: Arc<AtomicBool>,
        ui: &Ui,
    ) -> Result<Self, Failure> {
        let chosen = Chosen::find(global, name)?;
        let gate = chosen.gate(global, accepting)?;
        let remote = chosen.open(false)?;
        let moving = Moving::new("fetched", cancel, ui);
        let catalogue = remote::catalogue(remote.as_ref(), &moving)?;
        Ok(Self { remote, catalogue, gate, moving })
    }

    /// What was moved, in words, and in bytes.
    pub fn moved(&self) -> (String, u64) {
        (self.moving.so_far(), self.moving.bytes())
    }

    /// Requests that were made.
    pub fn requests(&self) -> u64 {
        self.remote.requests()
    }

    /// Brings in the records that the targets need and that are not here.
    ///
    /// # Errors
    /// If the remote fails, no record of a stage that it has may come in, or the store cannot be written.
    pub fn records(&self, selection: &Selection, store: &Store) -> Result<usize, Failure> {
        let needed = selection.graph.closure(&selection.targets);
        let (mut brought, mut refused) = (0, BTreeMap::new());
        // What only signatures admit is found without them first: they come with the records.
        let first: &dyn Preference =
            if selection.preference.is_strict() { &Indifferent } else { &selection.preference };
        let mut preference = first;
        loop {
            let ahead = Ahead::new(store, &self.catalogue);
            Resolver::new(&ahead, &selection.graph, preference).outlook(&needed)?;
            let mut lacking = ahead.lacking();
            lacking.retain(|listed| !refused.contains_key(&listed.record));
            if lacking.is_empty() {
                return Ok(brought);
            }
            let digests: HashSet<RecordDigest> = lacking.iter().map(|listed| listed.record).collect();
            let signatures = self.catalogue.batches_for(&digests);
            let wanted = Fetch { records: lacking, signatures, objects: Vec::new() };
            let fetched = self.fetch(store, &wanted)?;
            brought += fetched.records;
            for (key, record, error) in fetched.refused {
                // Where another outcome may come in, or is here, this one is no reason to stop.
                if store.records(&key)?.is_empty() {
                    return Err(error.into());
                }
                refused.insert(record, error);
            }
            preference = &selection.preference;
        }
    }

    /// Brings in objects that are not here, as far as the remote has them.
    ///
    /// # Errors
    /// If the remote fails, or the store cannot be written.
    pub fn objects(&self, store: &Store, objects: impl IntoIterator<Item = ObjectDigest>) -> Result<Fetched, Failure> {
        let listed: BTreeMap<ObjectDigest, u64> =
            objects.into_iter().filter_map(|object| Some((object, self.catalogue.object(&object)?))).collect();
        let wanted = Fetch { objects: listed.into_iter().collect(), ..Fetch::default() };
        Ok(self.fetch(store, &wanted)?)
    }

    /// Brings in what keeps targets from being there: bytes that were dropped or never fetched, or damaged, and that
    /// something which has to run reads.
    ///
    /// # Errors
    /// As [`Self::objects`].
    pub fn bytes(&self, selection: &Selection, store: &Store) -> Result<usize, Failure> {
        let mut tried = HashSet::new();
        let mut brought = 0;
        loop {
            let needed = selection.graph.closure(&selection.targets);
            let knowledge = Resolver::new(store, &selection.graph, &selection.preference).outlook(&needed)?;
            let plan = planned(selection, store)?;
            let mut wanted = Vec::new();
            for run in &plan.run {
                let (MissReason::Dropped(_) | MissReason::Damaged(_), Knowledge::Known { outline, bytes, .. }) =
                    (&run.reason, &knowledge[run.stage])
                else {
                    continue;
                };
                let outputs = outline.outputs.iter().zip(bytes);
                let lacking = outputs.filter(|(_, bytes)| **bytes != crate::plan::Bytes::Present);
                wanted.extend(lacking.map(|(output, _)| output.object).filter(|object| tried.insert(*object)));
            }
            if wanted.is_empty() {
                return Ok(brought);
            }
            brought += self.objects(store, wanted)?.objects;
        }
    }

    /// What would have to run if all that the remote lists were here, and how many records would be fetched for it.
    /// Nothing is fetched: signatures are looked at when records come in.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn planned(&self, selection: &Selection, store: &Store) -> Result<(Plan, usize), Failure> {
        let ahead = Ahead::new(store, &self.catalogue);
        let needed = selection.graph.closure(&selection.targets);
        let knowledge = Resolver::new(&ahead, &selection.graph, &selection.preference).outlook(&needed)?;
        Ok((plan(&selection.graph, &selection.targets, &knowledge), ahead.lacking().len()))
    }

    fn fetch(&self, store: &Store, wanted: &Fetch<'_>) -> Result<Fetched, RemoteError> {
        let admits = |digest: RecordDigest, record: &Record, batches: &[sign::Batch]| {
            self.gate.admits(digest, batches).map_err(|reason| RemoteError::NotAdmitted {
                at: self.remote.name().to_owned(),
                stage: record.provenance.stage.clone(),
                reason,
            })
        };
        remote::fetch(self.remote.as_ref(), store, wanted, &admits, &self.moving)
    }
}
