//! Recomputes the outputs of a record from the record and the bytes of its inputs alone.

use super::resolve::policy;
use crate::stages::{Device, Outputs, Report, StageError, Worker};
use base::digest::ObjectDigest;
use base::record::Record;
use base::value::Map;
use base::work::{Policy, Work, WorkError};

/// Why a stage could not be recomputed.
#[derive(Debug, thiserror::Error)]
pub enum RerunError {
    /// Another version of the program computed it.
    #[error(transparent)]
    Work(#[from] WorkError),
    /// This program does not have the record's numeric policy.
    #[error("it was computed under a numeric policy that this version of wdpipe does not have")]
    Policy,
    /// The record describes an import, not a computation.
    #[error("it was imported, not computed")]
    Imported,
    /// A record can come from anybody, and its command is not run without the user's consent.
    #[error("it is a command: only `make` runs commands, and asks first")]
    Command,
    /// The computation failed.
    #[error(transparent)]
    Stage(#[from] StageError),
}

/// The result of a recomputation.
pub struct Again {
    /// The outputs and tensors.
    pub made: Outputs,
    /// The class of this machine; empty if the bytes do not depend on it.
    pub machine: String,
}

/// Recomputes records, one after the other.
pub struct Rerunner {
    device: Device,
    worker: Option<(Policy, Worker)>,
}

impl Rerunner {
    /// Creates a rerunner that runs the stages that use libtorch on `device`.
    pub fn new(device: Device) -> Self {
        Self { device, worker: None }
    }

    /// Returns the work that a record describes and its numeric policy.
    ///
    /// # Errors
    /// If this program cannot do this work.
    pub fn work(record: &Record) -> Result<(Work, Policy), RerunError> {
        let parts = &record.parts;
        if parts.is_import() {
            return Err(RerunError::Imported);
        }
        let work = Work::from_parameters(&parts.kind, parts.version, &parts.parameters)?;
        if matches!(work, Work::Command(_)) {
            return Err(RerunError::Command);
        }
        let wanted = |of: Policy| if work.needs_torch() { policy(of) } else { Map::new() };
        let policies = [Policy::Native, Policy::Portable];
        let found = policies.into_iter().find(|found| wanted(*found) == parts.policy).ok_or(RerunError::Policy)?;
        Ok((work, found))
    }

    /// Recomputes a record. `read` returns the bytes of an input object; nothing is stored.
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
        let machine = match &made.machine {
            Some(machine) => machine.clone(),
            None if work.needs_torch() => worker.machine(),
            None => String::new(),
        };
        Ok(Again { made, machine })
    }
}
