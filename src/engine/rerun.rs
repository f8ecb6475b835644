//! Recomputes the outputs of a record from the record and the bytes of its inputs alone.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::resolve::policy;
use crate::stages::{Device, Outputs, Report, StageError, Worker, other_files};
use base::digest::{ObjectDigest, StageKey};
use base::isolation::Isolation;
use base::record::{Provenance, Record};
use base::value::Map;
use base::work::{Command, Policy, SECONDS, Terms, Work, WorkError};

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
    #[error("it is a command: only `make` and `verify --rebuild` run commands, and only those that you allow")]
    Command,
    /// The project's folder does not have the files that a command declares.
    #[error("{0}")]
    Files(String),
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

/// The recorded commands that the user allows to run.
#[derive(Debug, Clone, Default)]
pub struct AllowedCommands {
    /// The project's folder, which has the files that commands declare.
    pub root: PathBuf,
    /// The keys of the records.
    pub keys: BTreeSet<StageKey>,
}

impl AllowedCommands {
    /// Returns a recorded command with the conditions under which it runs again. A result that was made in a sandbox is
    /// made again in one. The record does not hold the time limit, but the duration.
    fn prepared(&self, record: &Record, command: Command) -> Result<Command, RerunError> {
        if let Some(wrong) = other_files(&command, &self.root) {
            return Err(RerunError::Files(wrong));
        }
        if !self.keys.contains(&record.parts.key()) {
            return Err(RerunError::Command);
        }
        let Provenance { seconds, machine, .. } = &record.provenance;
        let terms = Terms {
            root: self.root.clone(),
            seconds: u64::from(SECONDS).max((10.0 * seconds) as u64),
            memory: 0,
            isolation: Some(Isolation::recorded(machine).min(Isolation::Landlock)),
        };
        Ok(Command { terms, ..command })
    }
}

/// Recomputes records, one after the other.
pub struct Rerunner {
    device: Device,
    commands: Option<AllowedCommands>,
    worker: Option<(Policy, Worker)>,
}

impl Rerunner {
    /// Creates a rerunner that runs the stages that use libtorch on `device`, and no commands.
    pub fn new(device: Device) -> Self {
        Self { device, commands: None, worker: None }
    }

    /// Lets it run these commands.
    pub fn allowing(self, commands: AllowedCommands) -> Self {
        Self { commands: Some(commands), ..self }
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
        let work = match work {
            Work::Command(command) => {
                let allowed = self.commands.as_ref().ok_or(RerunError::Command)?;
                Work::Command(allowed.prepared(record, command)?)
            }
            work => work,
        };
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
