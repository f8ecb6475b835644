//! Removing objects that nothing needs, and where room is asked for also some that can be computed again. Records stay:
//! they are small, and they tell what the bytes were, so that these can be had again and compared.

mod decide;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::records::ReadRecord;
use super::{Store, StoreError};
use crate::digest::{ObjectDigest, RecordDigest, StageKey};
use crate::fsx;
use crate::makers::{Makers, Making};
use crate::record::Record;
use decide::{Held, Present, Standing, decide};

/// Leftovers of processes that died are swept up when they are this old, in seconds.
const DAY: u64 = 24 * 60 * 60;

/// What to keep, besides pins, imported data and what running stages have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcPolicy {
    /// What records of these keys read and yielded is needed. Those without a record may be worked on meanwhile.
    pub keys: BTreeSet<StageKey>,
    /// These objects are needed.
    pub objects: BTreeSet<ObjectDigest>,
    /// These objects stay whatever is asked for.
    pub fast: BTreeSet<ObjectDigest>,
    /// Objects that came less than so many seconds ago stay whatever is asked for.
    pub grace: u64,
    /// Objects that were used here on one of so many days, today counted, are needed.
    pub recent: u64,
    /// If given, objects go only as far as their files have more than so many bytes in all; and if what nobody needs is
    /// not enough, what is needed goes as well, if it can be computed again: first what is cheap for its size.
    pub keep_bytes: Option<u64>,
    /// Whether damaged files that were moved aside are removed, if older than the grace time.
    pub quarantine: bool,
}

/// An object that is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedObject {
    /// The object.
    pub object: ObjectDigest,
    /// Bytes that it occupies.
    pub bytes: u64,
    /// Whether something needs it, so that it may have to be computed again.
    pub needed: bool,
    /// Its file when the plan was made; if it is another one by now, it is left alone.
    identity: fsx::Identity,
}

/// What a collection would remove: nothing is touched until it is executed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GcPlan {
    /// Objects by the kind of stage that yielded them (the first in order, if several did; empty if no
    /// record names it).
    pub objects: BTreeMap<String, Vec<PlannedObject>>,
    /// Leftovers in `tmp/` and, if the policy says so, files in `quarantine/`; with their bytes.
    pub files: Vec<(PathBuf, u64)>,
    /// What having all the objects again would take: seconds of the stages that would run, by their kind. Some may be of
    /// other kinds than the objects: their bytes are gone already, and would be needed.
    pub again: BTreeMap<String, f64>,
    /// How many of the objects nothing here can make again.
    pub lost: usize,
    /// Bytes of the objects that stay.
    pub stays: u64,
    /// Stages that are running; while there are any, nothing goes that is needed.
    pub running: usize,
    /// The policy's keys: at the execution no other key may be claimed.
    keys: BTreeSet<StageKey>,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcDone {
    /// Objects removed.
    pub objects: u64,
    /// Other files removed.
    pub files: u64,
    /// Bytes freed.
    pub bytes: u64,
    /// Files that could not be removed, such as those of another account in a shared folder.
    pub left: u64,
    /// Why the first of them could not.
    pub why: Option<String>,
}

impl Store {
    /// Finds out what can be removed. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// If the store cannot be read, or has a pin or record that this program does not know to read.
    pub fn plan_gc(&self, policy: &GcPolicy, now: u64) -> Result<GcPlan, StoreError> {
        let held: BTreeSet<_> = self.held_claims()?.into_iter().collect();
        let makers = Makers::new(self.makings()?);
        let (needed, fast) = self.roots(policy, &makers, &held, now)?;
        let (mut present, mut files) = (Present::new(), BTreeMap::new());
        for object in self.layout.all_objects()? {
            let Some(identity) = fsx::identity(&self.layout.object(&object))? else { continue };
            let standing = if fast.contains(&object) || !is_older(&identity, policy.grace, now) {
                Standing::Fast
            } else if needed.contains(&object) {
                Standing::Needed
            } else {
                Standing::Loose
            };
            present.insert(object, Held { bytes: identity.size, standing });
            files.insert(object, identity);
        }
        let going = decide(&makers, &present, policy.keep_bytes, !held.is_empty());
        let mut plan = Self::plan(&makers, &present, &going, &files);
        (plan.keys, plan.running) = (policy.keys.clone(), held.len());
        let mut leftovers = vec![(self.layout.temporary(), DAY)];
        if policy.quarantine {
            leftovers.push((self.layout.quarantine(), policy.grace));
        }
        for (folder, age) in leftovers.into_iter().filter(|(folder, _)| folder.is_dir()) {
            let old = fsx::walk(&folder)?.into_iter().filter(|(_, identity)| is_older(identity, age, now));
            plan.files.extend(old.map(|(path, identity)| (path, identity.size)));
        }
        Ok(plan)
    }

    /// The objects that are needed, and those that stay whatever is asked for.
    fn roots(
        &self,
        policy: &GcPolicy,
        makers: &Makers,
        held: &BTreeSet<StageKey>,
        now: u64,
    ) -> Result<(BTreeSet<ObjectDigest>, BTreeSet<ObjectDigest>), StoreError> {
        let (mut needed, mut fast) = (policy.objects.clone(), policy.fast.clone());
        let mut pinned = BTreeSet::new();
        for pin in self.pins()? {
            pinned.extend(pin.keys);
            fast.extend(pin.objects);
        }
        for making in makers.makings() {
            let kept = making.inputs.iter().chain(&making.outputs);
            // What a user brought in cannot be computed again.
            if making.is_import() || pinned.contains(&making.key) || held.contains(&making.key) {
                fast.extend(kept);
            } else if policy.keys.contains(&making.key) {
                needed.extend(kept);
            }
        }
        let today = now / DAY;
        let uses = self.index.uses().into_iter();
        needed.extend(uses.filter(|(_, day)| today.saturating_sub(*day) < policy.recent).map(|(object, _)| object));
        Ok((needed, fast))
    }

    fn plan(
        makers: &Makers,
        present: &Present,
        going: &[ObjectDigest],
        files: &BTreeMap<ObjectDigest, fsx::Identity>,
    ) -> GcPlan {
        let mut plan = GcPlan { stays: present.values().map(|held| held.bytes).sum(), ..GcPlan::default() };
        let mut kinds: BTreeMap<ObjectDigest, &str> = BTreeMap::new();
        for making in makers.makings() {
            for object in &making.outputs {
                let kind = kinds.entry(*object).or_insert(&making.kind);
                *kind = (*kind).min(&making.kind);
            }
        }
        for object in going {
            let (Some(held), Some(identity)) = (present.get(object), files.get(object)) else { continue };
            let needed = held.standing == Standing::Needed;
            let planned = PlannedObject { object: *object, bytes: held.bytes, needed, identity: *identity };
            let kind = kinds.get(object).copied().unwrap_or_default().to_owned();
            plan.objects.entry(kind).or_default().push(planned);
            plan.stays -= held.bytes;
        }
        let gone: BTreeSet<_> = going.iter().copied().collect();
        let again =
            makers.again(going.iter().copied(), &mut |object| gone.contains(object) || !present.contains_key(object));
        plan.lost = again.lost.intersection(&gone).count();
        for &place in &again.run {
            let making = &makers.makings()[place];
            *plan.again.entry(making.kind.clone()).or_default() += making.seconds;
        }
        plan
    }

    /// Removes what the plan says, except objects that have been written anew since. What cannot be removed is left, and
    /// counted.
    ///
    /// # Errors
    /// If a key is being worked on that the policy did not have (what it reads cannot be known), or any while something
    /// needed is to go; nothing is removed then. Or if the store cannot be read.
    pub fn execute_gc(&self, plan: &GcPlan) -> Result<GcDone, StoreError> {
        let takes_needed = plan.objects.values().flatten().any(|planned| planned.needed);
        let mut running = self.held_claims()?;
        running.retain(|key| takes_needed || !plan.keys.contains(key));
        if !running.is_empty() && !plan.objects.is_empty() {
            return Err(StoreError::Busy(running));
        }
        let (mut done, mut removed) = (GcDone::default(), Vec::new());
        for planned in plan.objects.values().flatten() {
            let path = self.layout.object(&planned.object);
            if fsx::identity(&path)? == Some(planned.identity) && done.take(fsx::remove(&path), planned.bytes) {
                done.objects += 1;
                removed.push(planned.object);
            }
        }
        self.index.forget_objects(&removed);
        for (path, bytes) in &plan.files {
            done.files += u64::from(done.take(fsx::remove(path), *bytes));
        }
        Ok(done)
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

    /// What matters of all records for having objects again.
    ///
    /// # Errors
    /// If one cannot be read, or another version of the program wrote it.
    pub fn makings(&self) -> Result<Vec<Making>, StoreError> {
        let mut makings = Vec::new();
        for key in self.layout.all_keys()? {
            for digest in self.layout.records_of(&key)? {
                if let ReadRecord::Good { record, .. } = self.read_record(&key, &digest)? {
                    makings.push(Making::of(digest, &record));
                }
            }
        }
        Ok(makings)
    }

    /// The record of a name.
    ///
    /// # Errors
    /// If it cannot be read, or another version of the program wrote it.
    pub fn recorded(&self, key: &StageKey, digest: &RecordDigest) -> Result<Option<Record>, StoreError> {
        match self.read_record(key, digest)? {
            ReadRecord::Good { record, .. } => Ok(Some(*record)),
            ReadRecord::Missing | ReadRecord::Damaged => Ok(None),
        }
    }
}

impl GcDone {
    /// Counts a file of so many bytes that was to be removed; says whether it was there and is gone.
    fn take(&mut self, removed: Result<bool, fsx::FsError>, bytes: u64) -> bool {
        match removed {
            Ok(gone) => {
                self.bytes += if gone { bytes } else { 0 };
                gone
            }
            Err(error) => {
                self.left += 1;
                self.why.get_or_insert_with(|| error.to_string());
                false
            }
        }
    }
}

fn is_older(file: &fsx::Identity, seconds: u64, now: u64) -> bool {
    // The time of the last change: published files have no other.
    let changed = u64::try_from(file.changed / 1_000_000_000).unwrap_or(0);
    changed.saturating_add(seconds) <= now
}
