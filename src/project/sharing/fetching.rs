//! Fetches what a selection needs: first the records that a remote lists, then bytes.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};

use super::admission::{Accepted, Gate};
use super::remotes::ChosenRemote;
use crate::engine::Ahead;
use crate::plan::{Bytes, Knowledge, MissReason, Plan};
use crate::project::targets::select::Selection;
use crate::project::{Failure, Project, count};
use base::digest::{ObjectDigest, RecordDigest, StageKey};
use base::record::Record;
use store::remote::{self, Fetch, Fetched, RemoteError, Transport, Watch};
use store::sign;
use store::{Catalogue, Store};

/// A remote from which results are fetched.
pub struct Through<'a> {
    /// Name or URL, as the user or the list of remotes has it.
    name: String,
    remote: Box<dyn Transport>,
    catalogue: Catalogue,
    gate: Gate,
    watch: &'a dyn Watch,
    /// Files that the remote lists but lacks, or has damaged.
    trouble: RefCell<Vec<RemoteError>>,
}

impl<'a> Through<'a> {
    /// Opens a remote and reads its catalogue. `watch` observes the transfers.
    ///
    /// # Errors
    /// If the remote cannot be read.
    pub fn open(
        project: &Project,
        chosen: ChosenRemote,
        accept: &[Accepted],
        watch: &'a dyn Watch,
    ) -> Result<Self, Failure> {
        let gate = chosen.gate(project, accept)?;
        let remote = chosen.open(false)?;
        let catalogue = remote::listed(remote.as_ref(), watch)?;
        let lost = catalogue.lost.iter().map(|(number, reason)| RemoteError::Wrong {
            at: remote.name().to_owned(),
            path: format!("part {number} of its catalogue"),
            reason: reason.clone(),
        });
        let trouble = RefCell::new(lost.collect());
        Ok(Self { name: chosen.name, remote, catalogue, gate, watch, trouble })
    }

    /// Reports files that the remote lists and lacks, or has damaged; `None` if there was none. The hint says how to
    /// repair the remote; `what` names the targets.
    pub fn trouble(&self, what: &str) -> Option<Failure> {
        let trouble = std::mem::take(&mut *self.trouble.borrow_mut());
        let is_damaged = trouble.iter().any(|error| matches!(error, RemoteError::Wrong { .. }));
        let others = trouble.len().saturating_sub(1);
        let mut failure = Failure::from(trouble.into_iter().next()?);
        if others > 0 {
            let others = count(others, "other file");
            failure.message = format!("{}; also missing or damaged: {others}", failure.message);
        }
        let unused = if is_damaged { "nothing of it was used; " } else { "" };
        failure.hint = match &self.name {
            name if name.starts_with("http") => format!("{unused}tell the person who maintains the remote"),
            name => {
                let check = if is_damaged { " --check" } else { "" };
                format!(
                    "{unused}to repair the remote, run `wdpipe push {what} --to {name}{check}` from a cache that has it"
                )
            }
        };
        Some(failure)
    }

    /// Returns the number of requests so far.
    pub fn requests(&self) -> u64 {
        self.remote.requests()
    }

    /// Fetches the records that the targets need and that this store lacks.
    ///
    /// # Errors
    /// If the remote fails, a needed record is not admitted, or the store cannot be written.
    pub fn records(&self, selection: &Selection, store: &Store) -> Result<usize, Failure> {
        let (mut brought, mut skipped) = (0, HashSet::new());
        // Ignore the policy on signatures in the first round, because signatures come with the records.
        let lenient = selection.preference.lenient();
        let mut preference = &lenient;
        loop {
            let ahead = Ahead::new(store, &self.catalogue);
            selection.resolve_by(&ahead, preference, &selection.targets)?;
            let mut lacking = ahead.lacking();
            lacking.retain(|listed| !skipped.contains(&listed.record));
            if lacking.is_empty() {
                return Ok(brought);
            }
            let digests: HashSet<RecordDigest> = lacking.iter().map(|listed| listed.record).collect();
            let signatures = self.catalogue.batches_for(&digests);
            let wanted = Fetch { records: lacking, signatures, objects: Vec::new() };
            let fetched = self.fetch(store, &wanted)?;
            self.trouble.borrow_mut().extend(fetched.trouble);
            brought += fetched.records;
            for (key, record, error) in fetched.refused {
                if self.is_needed(store, &key, &error)? {
                    return Err(error.into());
                }
                skipped.insert(record);
            }
            skipped.extend(fetched.lost);
            preference = &selection.preference;
        }
    }

    /// Checks whether a refused record is needed: either this store has no other outcome of its key, or the record is an
    /// import and the remote does not list the import that this store has.
    fn is_needed(&self, store: &Store, key: &StageKey, error: &RemoteError) -> Result<bool, RemoteError> {
        let here = store.record(key)?;
        let is_theirs = |here: &Record| {
            let objects: Vec<_> = here.outputs.iter().map(|output| (&output.name, output.object)).collect();
            let listed = self.catalogue.outcomes(key).iter();
            listed.map(|listed| &listed.outputs).any(|outputs| {
                outputs.len() == objects.len() && outputs.iter().all(|o| objects.contains(&(&o.name, o.object)))
            })
        };
        Ok(match here {
            None => true,
            Some(here) => matches!(error, RemoteError::OtherImport { .. }) && !is_theirs(&here),
        })
    }

    /// Fetches objects, as far as the remote lists them.
    ///
    /// # Errors
    /// If the remote fails, or the store cannot be written.
    pub fn objects(&self, store: &Store, objects: impl IntoIterator<Item = ObjectDigest>) -> Result<Fetched, Failure> {
        let listed: BTreeMap<ObjectDigest, u64> =
            objects.into_iter().filter_map(|object| Some((object, self.catalogue.object(&object)?))).collect();
        let wanted = Fetch { objects: listed.into_iter().collect(), ..Fetch::default() };
        let mut fetched = self.fetch(store, &wanted)?;
        self.trouble.borrow_mut().append(&mut fetched.trouble);
        Ok(fetched)
    }

    /// Fetches the bytes that the targets lack: bytes that were dropped, damaged or never fetched, and that a target consists
    /// of or a stage that has to run reads.
    ///
    /// # Errors
    /// The same as for [`Self::objects`].
    pub fn bytes(&self, selection: &Selection, store: &Store) -> Result<usize, Failure> {
        let mut tried = HashSet::new();
        let mut brought = 0;
        loop {
            let resolved = selection.resolve(store)?;
            let mut wanted = Vec::new();
            for run in &resolved.plan().run {
                let (MissReason::Dropped(_) | MissReason::Damaged(_), Knowledge::Known { outline, bytes, .. }) =
                    (&run.reason, &resolved.knowledge[run.stage])
                else {
                    continue;
                };
                let outputs = outline.outputs.iter().zip(bytes);
                let lacking = outputs.filter(|(_, bytes)| **bytes != Bytes::Present);
                wanted.extend(lacking.map(|(output, _)| output.object).filter(|object| tried.insert(*object)));
            }
            if wanted.is_empty() {
                return Ok(brought);
            }
            brought += self.objects(store, wanted)?.objects;
        }
    }

    /// Plans which stages would have to run if everything that the remote lists were here, and counts the records to fetch for
    /// that. Fetches nothing, so signatures are not checked.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn planned(&self, selection: &Selection, store: &Store) -> Result<(Plan, usize), Failure> {
        let ahead = Ahead::new(store, &self.catalogue);
        let plan = selection.resolve(&ahead)?.plan();
        Ok((plan, ahead.lacking().len()))
    }

    fn fetch(&self, store: &Store, wanted: &Fetch<'_>) -> Result<Fetched, RemoteError> {
        let (gate, at) = (&self.gate, self.remote.name());
        let admits = |digest: RecordDigest, record: &Record, batches: &[sign::Batch]| {
            gate.admits(digest, batches).map_err(|refusal| RemoteError::NotAdmitted {
                at: at.to_owned(),
                stage: record.provenance.stage.clone(),
                refusal,
            })
        };
        remote::fetch(self.remote.as_ref(), store, wanted, &admits, self.watch)
    }
}
