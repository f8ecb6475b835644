//! What a process may do that shares a run with others.

use std::time::Duration;

use super::EngineError;
use crate::graph::StageId;
use base::digest::StageKey;
use store::{Holder, StoreError};

/// Limits on the stages that a process computes.
pub trait Duty: Sync {
    /// Checks whether a stage can start now, for example whether enough time is left for it.
    fn fits(&self, stage: StageId, key: &StageKey) -> bool;

    /// Returns why a stage must not be tried again, if so. The caller holds the claim on its key.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn refuses(&self, key: &StageKey) -> Result<Option<String>, StoreError>;

    /// Notes that this process took a stage over from one that died. The caller holds the claim on its key.
    fn inherits(&self, stage: StageId, key: &StageKey, dead: &Holder);

    /// Notes that a stage begins. The caller holds the claim on its key.
    fn begins(&self, stage: StageId, key: &StageKey);

    /// Notes that a stage that began was not finished. The caller holds the claim on its key, unless the stage panicked.
    fn fails(&self, stage: StageId, key: &StageKey, error: &EngineError);

    /// Returns how long to wait while only other processes have stages to run, and may make more stages ready.
    fn patience(&self) -> Duration;
}

/// The duty of a process that makes its targets alone, or beside others that know nothing of it.
pub struct Everything;

impl Duty for Everything {
    fn fits(&self, _: StageId, _: &StageKey) -> bool {
        true
    }

    fn refuses(&self, _: &StageKey) -> Result<Option<String>, StoreError> {
        Ok(None)
    }

    fn inherits(&self, _: StageId, _: &StageKey, _: &Holder) {}

    fn begins(&self, _: StageId, _: &StageKey) {}

    fn fails(&self, _: StageId, _: &StageKey, _: &EngineError) {}

    fn patience(&self) -> Duration {
        Duration::MAX
    }
}
