//! One stage: claimed and run.

use std::sync::Arc;
use std::time::Instant;

use super::EngineError;
use super::events::Event;
use super::keep::{OnTheWay, Unstored};
use super::resolve::{Import, Inputs, Resolver};
use crate::cost;
use crate::graph::{Graph, StageId};
use crate::plan::{Knowledge, MissReason};
use crate::record::{Output, Provenance, Record};
use crate::stages::{Product, Progress, StageError, Worker};
use crate::store::{Store, StoreError};

/// Outputs up to this size travel inside the record: one durable file for a cheap stage.
const INLINE: usize = 16 << 10;

/// What a record says about where and by whom it was made. It comes from outside, since the library
/// reads neither the environment nor the clock.
pub struct Environment {
    /// `user@host`.
    pub who: String,
    /// Seconds since 1970 (UTC).
    pub now: fn() -> u64,
}

/// A stage that is ready to run, with all that it needs.
pub struct Job {
    /// Which.
    pub stage: StageId,
    /// Why it runs.
    pub reason: MissReason,
    /// What is known about it: nothing but its key, or a record whose bytes are gone.
    pub known: Knowledge,
    /// What it reads.
    pub inputs: Inputs,
}

/// What became of a job.
pub enum Executed {
    /// It was computed, and is to be stored.
    Made(Box<Unstored>),
    /// Another process had computed it by the time it was claimed.
    Cached(Knowledge),
    /// Another process is at it.
    Elsewhere,
}

/// What all jobs share.
pub struct Context<'a> {
    /// The stages.
    pub graph: &'a Graph,
    /// Where inputs come from.
    pub store: &'a Store,
    /// Where they may be as well.
    pub on_the_way: &'a OnTheWay,
    /// Answers what is known.
    pub resolver: &'a Resolver<'a>,
    /// For the records.
    pub environment: &'a Environment,
    /// Takes events.
    pub report: &'a (dyn Fn(Event) + Sync),
    /// Whether to stop.
    pub cancelled: &'a (dyn Fn() -> bool + Sync),
}

impl Context<'_> {
    /// Runs a job on a worker.
    ///
    /// # Errors
    /// If the stage fails, the store does, or the run was interrupted.
    pub fn execute(&self, worker: &mut Worker, job: &Job) -> Result<Executed, EngineError> {
        let stage = &self.graph.stages[job.stage];
        let parts = self.resolver.parts(job.stage, &job.inputs)?;
        let key = parts.key();
        let Some(claim) = self.store.claim(&key)? else { return Ok(Executed::Elsewhere) };
        if let Knowledge::Absent { .. } = job.known
            && let Some(known) = self.resolver.known(&key)?
        {
            return Ok(Executed::Cached(known));
        }
        (self.report)(Event::Started { stage: job.stage, reason: job.reason.clone() });
        let started = Instant::now();
        let read = |role: &str| {
            let output = job.inputs.get(role).ok_or_else(|| StageError::NoInput(role.to_owned()))?;
            match self.on_the_way.get(&output.object) {
                Some(bytes) => Ok(bytes.to_vec()),
                None => Ok(self.store.output(output)?),
            }
        };
        let objects = &parts.inputs;
        let mut progress = |progress: Progress| {
            let Progress { done, loss, images_per_second } = progress;
            (self.report)(Event::Progress { stage: job.stage, done, loss, images_per_second });
            !(self.cancelled)()
        };
        let made = worker.run(&stage.work, objects, &read, &mut progress).map_err(|source| match source {
            StageError::Cancelled => EngineError::Interrupted,
            // An import's bytes were dropped: nothing here makes them again.
            StageError::Store(StoreError::Missing(_)) if let Some(import) = Import::of(&stage.work) => {
                import.is_missing()
            }
            source => EngineError::Stage { stage: stage.name.clone(), source: Box::new(source) },
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
            device: if stage.work.needs_torch() { worker.device() } else { "cpu".to_owned() },
            machine: if stage.work.needs_torch() { worker.machine() } else { String::new() },
        };
        let record = Record { parts, outputs, tensors: made.tensors, provenance };
        let (stage, before) = (job.stage, job.known.clone());
        let digest = match &before {
            // Dropped or damaged bytes, computed again: the record is there already.
            Knowledge::Known { outline, .. } if outline.says(&record.outputs) => outline.digest,
            _ => {
                record.to_bytes().map_err(|source| StoreError::Record { path: self.store.root().to_owned(), source })?.0
            }
        };
        Ok(Executed::Made(Box::new(Unstored { stage, seconds, before, digest, record, objects, claim })))
    }
}
