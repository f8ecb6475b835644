//! Computing again what a record says was computed, from nothing but the record and the bytes that it read.

use super::resolve::policy;
use crate::stages::{Device, Outputs, Report, StageError, Worker};
use base::digest::ObjectDigest;
use base::record::Record;
use base::value::Map;
use base::work::{Policy, Work, WorkError};

/// Why a stage could not be computed again.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// Another version of the program computed it.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// The numeric policy is none that this program has.
    #[error("it was computed under a numeric policy that this wdpipe does not have")]
    Policy,
    /// The record is of something that somebody brought, not of a computation.
    #[error("it was imported, not computed")]
    Imported,
    /// It was computed, and that failed.
    #[error(transparent)]
    Stage(#[from] StageError),
}

/// What was computed again.
pub struct Again {
    /// The outputs and tensors.
    pub made: Outputs,
    /// The class of this machine; empty where it makes no difference.
    pub machine: String,
}

/// Computes records again, one after the other.
pub struct Rerunner {
    device: Device,
    worker: Option<(Policy, Worker)>,
}

impl Rerunner {
    /// Torch's stages will run on `device`.
    pub fn new(device: Device) -> Self {
        Self { device, worker: None }
    }

    /// The work that a record says was done, and the policy under which.
    ///
    /// # Errors
    /// If this program cannot do it.
    pub fn work(record: &Record) -> Result<(Work, Policy), RerunError> {
        let parts = &record.parts;
        if parts.is_import() {
            return Err(RerunError::Imported);
        }
        let work = Work::from_parameters(&parts.kind, parts.version, &parts.parameters)?;
        let wanted = |of: Policy| if work.needs_torch() { policy(of) } else { Map::new() };
        let policies = [Policy::Native, Policy::Portable];
        let found = policies.into_iter().find(|found| wanted(*found) == parts.policy).ok_or(RerunError::Policy)?;
        Ok((work, found))
    }

    /// Computes a record again. `read` gives the bytes of an object that it read; nothing is stored.
    ///
    /// # Errors
    /// If this program cannot do the work, an input cannot be read, or the work fails.
    pub fn rerun(
        &mut self,
        record: &Record,
        read: &dyn Fn(&ObjectDigest) -> Result<Vec<u8>, StageError>,
        report: &mut Report<'_>,
    ) -> Result<Again, RerunError> {
        let (work, policy) = Self::work(record)?;
        let inputs = &record.parts.inputs;
        let read = |role: &str| {
            let object = inputs.get(role).ok_or_else(|| StageError::NoInput(role.to_owned()))?;
            read(object)
        };
        let worker = match self.worker.take() {
            Some((of, worker)) if of == policy => worker,
            _ => Worker::new(self.device.clone(), policy, 0),
        };
        let (_, worker) = self.worker.insert((policy, worker));
        let made = worker.run(&work, inputs, &read, report)?;
        let machine = if work.needs_torch() { worker.machine() } else { String::new() };
        Ok(Again { made, machine })
    }
}
