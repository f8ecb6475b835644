//! Removing objects that nothing needs. Records stay: they are small, and they tell what the bytes
//! were, so that these can be computed again and compared.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::records::ReadRecord;
use super::{Store, StoreError};
use crate::digest::{ObjectDigest, StageKey};
use crate::fsx;
use crate::record::Record;

/// Leftovers of processes that died are swept up when they are this old, in seconds.
const DAY: u64 = 24 * 60 * 60;

/// What to keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcPolicy {
    /// What records of these keys read and yielded is kept.
    pub keep: BTreeSet<StageKey>,
    /// Objects younger than this, in seconds, are kept.
    pub grace: u64,
    /// Whether damaged files that were moved aside are removed, if older than the grace time.
    pub quarantine: bool,
    /// Whether files of other accounts are removed too, where this one may: in a shared store the owner may.
    pub others: bool,
}

/// An object that is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedObject {
    /// The object.
    pub object: ObjectDigest,
    /// Bytes that it occupies.
    pub bytes: u64,
    /// Its file when the plan was made; if it is another one by now, it is left alone.
    identity: fsx::Identity,
}

/// What a collection would remove: nothing is touched until it is executed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcPlan {
    /// Objects by the kind of stage that yielded them (the first in order, if several did; empty if no
    /// record names it).
    pub objects: BTreeMap<String, Vec<PlannedObject>>,
    /// Leftovers in `tmp/` and, if the policy says so, files in `quarantine/`; with their bytes.
    pub files: Vec<(PathBuf, u64)>,
    /// The policy's keys: at the execution no other key may be claimed.
    keep: BTreeSet<StageKey>,
}

impl GcPlan {
    /// Number of objects that are to be removed.
    pub fn object_count(&self) -> usize {
        self.objects.values().map(Vec::len).sum()
    }

    /// Bytes that will be free, leftovers included.
    pub fn bytes(&self) -> u64 {
        let objects = self.objects.values().flatten().map(|object| object.bytes);
        objects.chain(self.files.iter().map(|(_, bytes)| *bytes)).sum()
    }
}

/// What a collection removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GcDone {
    /// Objects removed.
    pub objects: u64,
    /// Other files removed.
    pub files: u64,
    /// Bytes freed.
    pub bytes: u64,
    /// Files that only their owners, or the store's, may remove.
    pub left: u64,
}

impl Store {
    /// Finds out what can be removed. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn plan_gc(&self, policy: &GcPolicy, now: u64) -> Result<GcPlan, StoreError> {
        let mut plan = GcPlan { keep: policy.keep.clone(), ..GcPlan::default() };
        let (mut kept, mut kinds) = (BTreeSet::new(), BTreeMap::<_, String>::new());
        let held: BTreeSet<_> = self.held_claims()?.into_iter().collect();
        self.each_record(|key, record| {
            for output in record.outputs.iter().filter(|output| output.inline.is_none()) {
                let kind = kinds.entry(output.object).or_insert_with(|| record.parts.kind.clone());
                if *kind > record.parts.kind {
                    kind.clone_from(&record.parts.kind);
                }
            }
            // What a user brought in cannot be computed again.
            let imported = record.parts.kind.starts_with("import");
            if imported || policy.keep.contains(key) || held.contains(key) {
                kept.extend(record.outputs.iter().map(|output| output.object));
                kept.extend(record.parts.inputs.values());
            }
        })?;
        for object in self.layout.all_objects()? {
            if let Some(identity) = fsx::identity(&self.layout.object(&object))?
                && !kept.contains(&object)
                && is_older(&identity, policy.grace, now)
                && (policy.others || self.is_mine(&self.layout.object(&object))?)
            {
                let kind = kinds.get(&object).cloned().unwrap_or_default();
                let planned = PlannedObject { object, bytes: identity.size, identity };
                plan.objects.entry(kind).or_default().push(planned);
            }
        }
        let mut leftovers = vec![(self.layout.temporary(), DAY)];
        if policy.quarantine {
            leftovers.push((self.layout.quarantine(), policy.grace));
        }
        for (folder, age) in leftovers {
            // Not walked: what another account left over may be closed to this one.
            for path in fsx::list(&folder)?.iter().map(|name| folder.join(name)) {
                if let Some(identity) = fsx::identity(&path)?
                    && is_older(&identity, age, now)
                    && (policy.others || self.is_mine(&path)?)
                {
                    plan.files.push((path, identity.size));
                }
            }
        }
        Ok(plan)
    }

    /// Removes what the plan says, except objects that have been written anew since.
    ///
    /// # Errors
    /// If a key is being worked on that the plan does not keep (what it reads cannot be known; nothing
    /// is removed then), or a file cannot be removed.
    pub fn execute_gc(&self, plan: &GcPlan) -> Result<GcDone, StoreError> {
        let running: Vec<_> = self.held_claims()?.into_iter().filter(|key| !plan.keep.contains(key)).collect();
        if !running.is_empty() && !plan.objects.is_empty() {
            return Err(StoreError::Busy(running));
        }
        let mut done = GcDone::default();
        for planned in plan.objects.values().flatten() {
            let path = self.layout.object(&planned.object);
            if fsx::identity(&path)? == Some(planned.identity) && self.removed(&path, &mut done)? {
                done.objects += 1;
                done.bytes += planned.bytes;
            }
        }
        let removed: Vec<_> = plan.objects.values().flatten().map(|planned| planned.object).collect();
        self.index.forget_objects(&removed);
        for (path, bytes) in &plan.files {
            if self.removed(path, &mut done)? {
                done.files += 1;
                done.bytes += bytes;
            }
        }
        Ok(done)
    }

    /// Whether a file belongs to this account, or to nobody else who could need it: a store that is not shared is its
    /// owner's to tidy up.
    fn is_mine(&self, path: &Path) -> Result<bool, StoreError> {
        let me = self.sharing.account.user;
        Ok(!self.sharing.access.is_shared() || fsx::access(path)?.is_none_or(|file| file.owner == me))
    }

    /// Removes a file, unless it is another account's and has to stay; says whether it did.
    fn removed(&self, path: &Path, done: &mut GcDone) -> Result<bool, StoreError> {
        match fsx::remove(path) {
            Err(error) if error.source.kind() == ErrorKind::PermissionDenied && !self.is_mine(path)? => {
                done.left += 1;
                Ok(false)
            }
            removed => Ok(removed?),
        }
    }

    /// The keys that are being worked on. Lock files of dead processes are removed in passing.
    fn held_claims(&self) -> Result<Vec<StageKey>, StoreError> {
        let mut held = Vec::new();
        for key in self.layout.all_claims()? {
            match self.claim(&key) {
                Ok(Some(_free)) => {}
                Ok(None) => held.push(key),
                // It cannot be told on a read-only file system, where nothing is removed either.
                Err(error) if error.is_read_only() => held.push(key),
                Err(error) => return Err(error),
            }
        }
        Ok(held)
    }

    /// Reads all records that this program can read.
    fn each_record(&self, mut visit: impl FnMut(&StageKey, &Record)) -> Result<(), StoreError> {
        for key in self.layout.all_keys()? {
            for digest in self.layout.records_of(&key)? {
                if let ReadRecord::Good { record, .. } = self.read_record(&key, &digest)? {
                    visit(&key, &record);
                }
            }
        }
        Ok(())
    }
}

fn is_older(file: &fsx::Identity, seconds: u64, now: u64) -> bool {
    // The time of the last change: published files have no other.
    let changed = u64::try_from(file.changed / 1_000_000_000).unwrap_or(0);
    changed.saturating_add(seconds) <= now
}
