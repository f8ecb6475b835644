//! Removing what a plan says.

use super::{GcDone, GcPlan};
use crate::{Store, StoreError};
use base::digest::StageKey;

impl Store {
    /// Removes what the plan says, except objects that have been written anew since. What cannot be removed is left, and
    /// counted.
    ///
    /// # Errors
    /// If a key is being worked on that the policy did not have (what it reads cannot be known), or any while something
    /// needed is to go; or if something was pinned since the plan was made. Nothing is removed then. Or if the store
    /// cannot be read.
    pub fn execute_gc(&self, plan: &GcPlan) -> Result<GcDone, StoreError> {
        let takes_needed = plan.objects.values().flatten().any(|planned| planned.needed);
        let mut running = self.held_claims()?;
        running.retain(|key| takes_needed || !plan.keys.contains(key));
        if !running.is_empty() && !plan.objects.is_empty() {
            return Err(StoreError::Busy(running));
        }
        if let Some(new) = self.pins()?.iter().find(|pin| !plan.pins.contains(pin)) {
            let reason = "it was made while it was found out what may go: run that again".to_owned();
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

    /// The keys that are being worked on. Lock files of dead processes are removed in passing.
    pub(super) fn held_claims(&self) -> Result<Vec<StageKey>, StoreError> {
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
}

impl GcDone {
    /// Counts a file of so many bytes that was to be removed; says whether it was there and is gone.
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
