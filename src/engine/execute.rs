//! One stage: claimed, run, stored, recorded.

use std::time::Instant;

use super::EngineError;
use super::events::Event;
use super::resolve::{Import, Inputs, Resolver};
use crate::cost;
use crate::digest::RecordDigest;
use crate::graph::{Graph, StageId};
use crate::plan::{Bytes, Knowledge, MissReason};
use crate::record::{Output, Provenance, Record};
use crate::stages::{Progress, StageError, Worker};
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
    /// It was computed, in so many seconds; with the new record's name, unless the record was there already.
    Computed(Knowledge, f64, Option<RecordDigest>),
    /// Another process had computed it by the time it was claimed.
    Cached(Knowledge),
    /// Another process is at it.
    Elsewhere,
}

/// What all jobs share.
pub struct Context<'a> {
    /// The stages.
    pub graph: &'a Graph,
    /// Where inputs come from and outputs go.
    pub store: &'a Store,
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
        let Some(_claim) = self.store.claim(&key)? else { return Ok(Executed::Elsewhere) };
        if let Knowledge::Absent { .. } = job.known
            && let Some(known) = self.resolver.known(&key)?
        {
            return Ok(Executed::Cached(known));
        }
        (self.report)(Event::Started { stage: job.stage, reason: job.reason.clone() });
        let started = Instant::now();
        let read = |role: &str| {
            let output = job.inputs.get(role).ok_or_else(|| StageError::NoInput(role.to_owned()))?;
            Ok(self.store.output(output)?)
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
        let mut outputs = Vec::new();
        for (name, bytes) in made.outputs {
            let small = bytes.len() <= INLINE;
            let object = if small { crate::digest::ObjectDigest::of(&bytes) } else { self.store.put(&bytes)? };
            let (length, inline) = (bytes.len() as u64, small.then_some(bytes));
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
        let bytes = vec![Bytes::Present; record.outputs.len()];
        // Dropped or damaged bytes, computed again: the record is there already.
        if let Knowledge::Known { outline: old, .. } = &job.known {
            let differs = |output: &&Output| old.output(&output.name).is_none_or(|o| o.object != output.object);
            let outputs: Vec<_> = record.outputs.iter().filter(differs).map(|output| output.name.clone()).collect();
            if outputs.is_empty() && old.outputs.len() == record.outputs.len() {
                let outline = record.into_outline(old.digest);
                return Ok(Executed::Computed(Knowledge::Known { key, outline, bytes }, seconds, None));
            }
            (self.report)(Event::Differs { stage: job.stage, outputs });
        }
        let published = self.store.publish(&record)?;
        let outline = record.into_outline(published);
        Ok(Executed::Computed(Knowledge::Known { key, outline, bytes }, seconds, Some(published)))
    }
}
