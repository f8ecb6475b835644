//! Claims and runs one stage.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::EngineError;
use super::duty::Duty;
use super::events::Event;
use super::live::Live;
use super::resolve::{Inputs, Resolver};
use super::write_queue::{OnTheWay, Unstored};
use crate::cost;
use crate::graph::{Graph, StageId};
use crate::plan::{Bytes, Knowledge, MissReason};
use crate::stages::{Outputs, Product, Progress, Read, Report, StageError, Worker};
use base::digest::{ObjectDigest, StageKey};
use base::record::{KeyParts, Output, Provenance, Record};
use base::work::Work;
use store::{Claiming, Holder, Store, StoreError};

/// Outputs up to this size are stored inside the record, so that a cheap stage needs only one durable file.
const INLINE: usize = 16 << 10;

/// Where and by whom records are made. The caller provides these values, so that tests can choose them.
pub struct Environment {
    /// `user@host`.
    pub who: String,
    /// Returns the seconds since 1970 (UTC).
    pub now: fn() -> u64,
}

/// Runs stages, one after the other on one thread.
pub trait Runner {
    /// Runs a stage; see [`Worker::run`].
    ///
    /// # Errors
    /// See [`Worker::run`].
    fn run(
        &mut self,
        work: &Work,
        objects: &BTreeMap<String, ObjectDigest>,
        read: &Read<'_>,
        report: &mut Report<'_>,
    ) -> Result<Outputs, StageError>;

    /// Returns the device of numeric stages, for records.
    fn device(&self) -> String;

    /// Returns the class of machines on which numeric stages return the same bytes, for records.
    fn machine(&self) -> String;
}

impl Runner for Worker {
    fn run(
        &mut self,
        work: &Work,
        objects: &BTreeMap<String, ObjectDigest>,
        read: &Read<'_>,
        report: &mut Report<'_>,
    ) -> Result<Outputs, StageError> {
        Self::run(self, work, objects, read, report)
    }

    fn device(&self) -> String {
        Self::device(self)
    }

    fn machine(&self) -> String {
        Self::machine(self)
    }
}

/// A stage that is ready to run, with its inputs.
#[derive(Debug)]
pub struct Job {
    /// The stage.
    pub stage: StageId,
    /// Why it runs.
    pub reason: MissReason,
    /// What is known about it: only its key, or a record with missing bytes.
    pub known: Knowledge,
    /// Its inputs.
    pub inputs: Inputs,
    /// The parts of its key.
    pub parts: KeyParts,
    /// Its key.
    pub key: StageKey,
    /// The outputs whose bytes are needed.
    pub demanded: Vec<&'static str>,
}

impl Job {
    /// Whether everything that the job was to provide is known now.
    fn is_done(&self, known: &Knowledge) -> bool {
        match (&self.known, known) {
            // Missing bytes of its outputs are handled when the stage is next chosen.
            (Knowledge::Waits | Knowledge::Absent { .. }, Knowledge::Known { .. }) => true,
            (Knowledge::Known { outline, bytes, .. }, Knowledge::Known { outline: now, bytes: now_bytes, .. }) => {
                let damaged = outline.outputs.iter().zip(bytes).filter(|(_, bytes)| **bytes == Bytes::Damaged);
                let damaged: Vec<_> = damaged.map(|(output, _)| output.name.as_str()).collect();
                let is_wanted = |name: &str| self.demanded.contains(&name) || damaged.contains(&name);
                let mut outputs = now.outputs.iter().zip(now_bytes);
                outputs.all(|(output, bytes)| *bytes == Bytes::Present || !is_wanted(&output.name))
            }
            _ => false,
        }
    }
}

/// The result of a job.
pub enum Executed {
    /// The stage was computed, and its outputs have to be stored.
    Made(Box<Unstored>),
    /// Another process computed it before it was claimed.
    Cached(Knowledge),
    /// Another process is running it, which is named if it is known.
    Elsewhere(Option<Holder>),
}

/// The state that all jobs share.
pub struct Context<'a> {
    /// The stages.
    pub graph: &'a Graph,
    /// The store that inputs are read from.
    pub store: &'a Store,
    /// Inputs that are not in the store yet.
    pub on_the_way: &'a OnTheWay,
    /// Looks up what is known about stages.
    pub resolver: &'a Resolver<'a>,
    /// Limits on what this process computes.
    pub duty: &'a dyn Duty,
    /// The origin written into the records.
    pub environment: &'a Environment,
    /// Receives events.
    pub report: &'a (dyn Fn(Event) + Sync),
    /// Receives the share of a stage's work that is done, after every step.
    pub progressed: &'a (dyn Fn(StageId, f64) + Sync),
    /// Receives the values of running stages.
    pub live: &'a Live,
    /// Returns whether to stop.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl Context<'_> {
    /// Runs a job.
    ///
    /// # Errors
    /// If the stage or the store fails, or the run was interrupted.
    pub fn execute(&self, runner: &mut dyn Runner, job: &Job) -> Result<Executed, EngineError> {
        let stage = &self.graph.stages[job.stage];
        // Claims start a thread. Environment variables of libtorch are set before: see `stages::prepare`.
        let claiming = self.store.claim(&job.key)?;
        if let Some(warning) = self.store.warning_about_locks() {
            (self.report)(Event::NoLocks(warning));
        }
        let claim = match claiming {
            Claiming::Ours(claim) => claim,
            Claiming::Theirs(holder) => {
                tracing::debug!(stage = stage.name, "another process computes it");
                return Ok(Executed::Elsewhere(holder));
            }
        };
        // Another process may have computed the stage or restored its bytes before the claim.
        let known = self.resolver.known(&job.key)?;
        let known = match known {
            Some(known) if job.is_done(&known) => return Ok(Executed::Cached(known)),
            Some(known) => known,
            None => job.known.clone(),
        };
        if let Some(dead) = claim.orphan() {
            tracing::debug!(stage = stage.name, "taken over from a process that died");
            self.duty.inherits(job.stage, &job.key, dead);
            if !self.duty.fits(job.stage, &job.key) {
                return Ok(Executed::Elsewhere(None));
            }
        }
        if let Some(why) = self.duty.refuses(&job.key)? {
            return Err(EngineError::GivenUp { stage: stage.name.clone(), why });
        }
        self.duty.begins(job.stage, &job.key);
        (self.report)(Event::Started { stage: job.stage, reason: job.reason.clone() });
        tracing::debug!(stage = stage.name, key = %job.key.short(), "run");
        let started = Instant::now();
        let read = |role: &str| {
            let output = job.inputs.get(role).ok_or_else(|| StageError::NoInput(role.to_owned()))?;
            match self.on_the_way.get(&output.object) {
                Some(bytes) => Ok(bytes.to_vec()),
                None => Ok(self.store.output(output)?),
            }
        };
        self.live.begin(job.stage, stage, &job.parts);
        let mut progress = |progress: Progress| {
            let (done, shown) = self.live.hear(job.stage, &progress);
            (self.progressed)(job.stage, done);
            if let Some(note) = shown {
                claim.note(note);
            }
            !(self.cancelled)()
        };
        let made = runner.run(&stage.work, &job.parts.inputs, &read, &mut progress).map_err(|source| match source {
            StageError::Cancelled => EngineError::Interrupted,
            // The bytes of an import were dropped, and no stage can recompute them.
            StageError::Store(StoreError::Missing(_)) if let Some(import) = stage.work.import() => {
                EngineError::not_imported(import)
            }
            source => EngineError::Stage { stage: stage.name.clone(), source: Box::new(source) },
        });
        // The failure is noted before the claim ends, so that another process sees it when it claims the key.
        // One that ran out of memory may run again here.
        let made = made.inspect_err(|error| match error {
            EngineError::Stage { source, .. } if source.is_out_of_memory() => {}
            error => self.duty.fails(job.stage, &job.key, error),
        })?;
        let seconds = started.elapsed().as_secs_f64();
        let (mut outputs, mut objects) = (Vec::new(), Vec::new());
        for Product { name, object, bytes } in made.outputs {
            let length = bytes.len() as u64;
            let inline = match bytes.len() <= INLINE {
                true => Some(bytes),
                false => {
                    objects.push((object, Arc::new(bytes)));
                    None
                }
            };
            outputs.push(Output { name: name.to_owned(), object, bytes: length, inline });
        }
        let provenance = Provenance {
            stage: stage.name.clone(),
            wdpipe: env!("CARGO_PKG_VERSION").to_owned(),
            finished: (self.environment.now)(),
            seconds,
            flops: cost::flops(self.graph, job.stage) * made.done,
            who: self.environment.who.clone(),
            device: match made.device {
                None if stage.work.needs_torch() => runner.device(),
                device => device.unwrap_or("cpu").to_owned(),
            },
            machine: match made.machine {
                Some(machine) => machine,
                None if stage.work.needs_torch() => runner.machine(),
                None => String::new(),
            },
            log: made.log,
        };
        let record = Record { parts: job.parts.clone(), outputs, tensors: made.tensors, provenance };
        let (stage, before) = (job.stage, known);
        let digest = match &before {
            // Dropped or damaged bytes were recomputed; the record exists already.
            Knowledge::Known { outline, .. } if outline.says(&record.outputs) => outline.digest,
            _ => {
                record.to_bytes().map_err(|source| StoreError::Record { path: self.store.root().to_owned(), source })?.0
            }
        };
        Ok(Executed::Made(Box::new(Unstored {
            stage,
            seconds,
            before,
            digest,
            record,
            objects,
            claim,
            notes: made.notes,
        })))
    }
}

#[cfg(test)]
mod tests;
