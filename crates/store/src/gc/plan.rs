//! Planning a collection: reads the store's files and records, and describes the decision.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::decide::{Candidate, Present, Status, decide};
use super::{GcPlan, GcPolicy, PlannedObject};
use crate::{Pin, Store, StoreError};
use base::digest::{ObjectDigest, StageKey};
use base::producers::Producers;

/// Age in seconds at which leftovers of dead processes are removed.
const DAY: u64 = 24 * 60 * 60;

impl Store {
    /// Plans a collection. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// If the store cannot be read, or has a pin or record that this program cannot read.
    pub fn plan_gc(&self, policy: &GcPolicy, now: u64) -> Result<GcPlan, StoreError> {
        // Files are listed before records are read: later files are kept, and listed ones may have got a record in
        // the meantime.
        let mut files = BTreeMap::new();
        for object in self.layout.all_objects()? {
            files.extend(files::identity(&self.layout.object(&object))?.map(|identity| (object, identity)));
        }
        let held: BTreeSet<_> = self.held_claims()?.into_iter().collect();
        let producers = Producers::new(self.producers()?);
        let pins = self.pins()?;
        let (needed, fast) = self.roots(policy, &producers, &held, &pins, now);
        let mut present = Present::new();
        for (object, identity) in &files {
            let stays = fast.contains(object) || !is_older(identity, policy.grace, now);
            let status = if stays || !(policy.others || self.is_mine(&self.layout.object(object))?) {
                Status::Fast
            } else if needed.contains(object) {
                Status::Needed
            } else {
                Status::Loose
            };
            present.insert(*object, Candidate { bytes: identity.size, status });
        }
        let going = decide(&producers, &present, policy.keep_bytes, !held.is_empty());
        let mut plan = Self::plan(&producers, &present, &going, &files);
        (plan.keys, plan.running, plan.pins) = (policy.keys.clone(), held.len(), pins);
        let mut leftovers = vec![(self.layout.temporary(), DAY)];
        if policy.quarantine {
            leftovers.push((self.layout.quarantine(), policy.grace));
        }
        for (folder, age) in leftovers {
            // Do not descend into folders: leftovers of another account can be inaccessible.
            for path in files::list(&folder)?.iter().map(|name| folder.join(name)) {
                if let Some(identity) = files::identity(&path)?
                    && is_older(&identity, age, now)
                    && (policy.others || self.is_mine(&path)?)
                {
                    plan.files.push((path, identity.size));
                }
            }
        }
        Ok(plan)
    }

    /// Whether a file belongs to this account, or nobody else can need it: a store that is not shared is its owner's
    /// to clean up.
    fn is_mine(&self, path: &Path) -> Result<bool, StoreError> {
        let me = self.sharing.account.user;
        Ok(!self.sharing.access.is_shared() || files::access(path)?.is_none_or(|file| file.owner == me))
    }

    /// Returns the objects that are needed, and those that are always kept.
    fn roots(
        &self,
        policy: &GcPolicy,
        producers: &Producers,
        held: &BTreeSet<StageKey>,
        pins: &[Pin],
        now: u64,
    ) -> (BTreeSet<ObjectDigest>, BTreeSet<ObjectDigest>) {
        let (mut needed, mut fast) = (policy.objects.clone(), policy.fast.clone());
        let pinned: BTreeSet<_> = pins.iter().flat_map(|pin| &pin.keys).collect();
        fast.extend(pins.iter().flat_map(|pin| &pin.objects));
        for producer in producers.producers() {
            let kept = producer.inputs.iter().chain(&producer.outputs);
            // Imports cannot be recomputed.
            if producer.is_import() || pinned.contains(&producer.key) || held.contains(&producer.key) {
                fast.extend(kept);
            } else if policy.keys.contains(&producer.key) {
                needed.extend(kept);
            }
        }
        let today = now / DAY;
        let uses = self.index.uses().into_iter();
        needed.extend(uses.filter(|(_, day)| today.saturating_sub(*day) < policy.recent).map(|(object, _)| object));
        (needed, fast)
    }

    fn plan(
        producers: &Producers,
        present: &Present,
        going: &[ObjectDigest],
        files: &BTreeMap<ObjectDigest, files::Identity>,
    ) -> GcPlan {
        let mut plan = GcPlan { stays: present.values().map(|held| held.bytes).sum(), ..GcPlan::default() };
        let mut kinds: BTreeMap<ObjectDigest, &str> = BTreeMap::new();
        for producer in producers.producers() {
            for object in &producer.outputs {
                let kind = kinds.entry(*object).or_insert(&producer.kind);
                *kind = (*kind).min(&producer.kind);
            }
        }
        for object in going {
            let (Some(held), Some(identity)) = (present.get(object), files.get(object)) else { continue };
            let needed = held.status == Status::Needed;
            let planned = PlannedObject { object: *object, bytes: held.bytes, needed, identity: *identity };
            let kind = kinds.get(object).copied().unwrap_or_default().to_owned();
            plan.objects.entry(kind).or_default().push(planned);
            plan.stays -= held.bytes;
        }
        let gone: BTreeSet<_> = going.iter().copied().collect();
        let again = producers
            .again(going.iter().copied(), &mut |object| gone.contains(object) || !present.contains_key(object));
        plan.lost = again.lost.intersection(&gone).count();
        for &place in &again.run {
            let producer = &producers.producers()[place];
            *plan.again.entry(producer.kind.clone()).or_default() += producer.seconds;
        }
        plan
    }
}

fn is_older(file: &files::Identity, seconds: u64, now: u64) -> bool {
    // The time of the last change; published files never change later.
    let changed = u64::try_from(file.changed / 1_000_000_000).unwrap_or(0);
    changed.saturating_add(seconds) <= now
}
