//! Executing a plan.

use super::{GcDone, GcPlan};
use crate::{Claiming, Store, StoreError};
use base::digest::StageKey;

impl Store {
    /// Removes the planned objects, except those that have been written again since. Files that cannot be removed are
    /// left and counted.
    ///
    /// # Errors
    /// If a key is being computed that is not in the policy (so its inputs are unknown), if any key is being computed while
    /// needed objects are to be removed, or if something was pinned after planning. In these cases, nothing is removed. It
    /// also fails if the store cannot be read.
    pub fn execute_gc(&self, plan: &GcPlan) -> Result<GcDone, StoreError> {
        let takes_needed = plan.objects.values().flatten().any(|planned| planned.needed);
        let mut running = self.held_claims()?;
        running.retain(|key| takes_needed || !plan.keys.contains(key));
        if !running.is_empty() && !plan.objects.is_empty() {
            return Err(StoreError::Busy(running));
        }
        if let Some(new) = self.pins()?.iter().find(|pin| !plan.pins.contains(pin)) {
            let reason = "it was created after the collection was planned: run the command again".to_owned();
            return Err(StoreError::Pin { path: self.layout.pin(&new.name), reason });
        }
        let (mut done, mut removed) = (GcDone::default(), Vec::new());
        for planned in plan.objects.values().flatten() {
            let path = self.layout.object(&planned.object);
            if files::identity(&path)? == Some(planned.identity) && done.take(files::remove(&path), planned.bytes) {
                done.objects += 1;
                removed.push(planned.object);
            }
        }
        self.index.forget_objects(&removed);
        for (path, bytes) in &plan.files {
            done.files += u64::from(done.take(files::remove(path), *bytes));
        }
        Ok(done)
    }

    /// Returns the keys that are being computed. This also removes what dead processes left in `claims/`.
    pub(crate) fn held_claims(&self) -> Result<Vec<StageKey>, StoreError> {
        let mut held = Vec::new();
        for key in self.layout.all_claims()? {
            match self.claim(&key) {
                Ok(Claiming::Ours(_free)) => drop(files::remove(&self.layout.note(&key))),
                Ok(Claiming::Theirs(_)) => held.push(key),
                // A read-only file system does not allow locks; nothing is removed there either.
                Err(error) if error.is_read_only() => held.push(key),
                Err(error) => return Err(error),
            }
        }
        Ok(held)
    }
}

impl GcDone {
    /// Counts a file of this size; returns whether it existed and has been removed.
    fn take(&mut self, removed: Result<bool, files::FsError>, bytes: u64) -> bool {
        match removed {
            Ok(gone) => {
                self.bytes += if gone { bytes } else { 0 };
                gone
            }
            Err(error) => {
                self.left += 1;
                self.left_bytes += bytes;
                self.why.get_or_insert_with(|| error.to_string());
                false
            }
        }
    }
}
