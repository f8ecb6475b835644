//! Submits more workers if a run has more ready stages than workers.
//!
//! A part of a run with little parallelism, such as a chain of training segments, keeps few workers busy, and the
//! others exit. So a process that makes stages ready must ensure that there are workers for them.

use std::collections::BTreeMap;
use std::time::Instant;

use super::executor::{Executor, JobId, Launch, State, WorkerTask};
use super::run::{Run, WorkerState, seconds};
use crate::project::Failure;

/// Number of beats without a status update after which a worker counts as dead.
const SILENT: f64 = 5.0;

/// Tracks which workers are alive, as seen by one process.
#[derive(Debug, Default)]
pub struct Pulses(BTreeMap<JobId, (u64, Instant)>);

impl Pulses {
    /// Takes the last status of each worker. A worker is alive if its status has changed recently by this process's own
    /// clock, so the clocks of different machines are never compared.
    pub fn see(&mut self, workers: &[(JobId, WorkerState)]) {
        for (name, worker) in workers {
            match self.0.get_mut(name) {
                Some((beat, _)) if *beat == worker.beat => {}
                _ => drop(self.0.insert(name.clone(), (worker.beat, Instant::now()))),
            }
        }
    }

    /// Checks whether a worker has not ended, and its status has changed or was first seen recently.
    pub fn is_alive(&self, name: &JobId, worker: &WorkerState, beat: f64) -> bool {
        let heard = self.0.get(name).is_some_and(|(_, since)| since.elapsed() <= seconds(SILENT * beat));
        worker.ended.is_none() && heard
    }
}

/// Counts the workers that are running or waiting. A task that the executor does not know counts if its worker is
/// alive.
pub fn living(tasks: &[WorkerTask], workers: &[(JobId, WorkerState)], pulses: &Pulses, beat: f64) -> usize {
    let is_living = |task: &WorkerTask| match task.state {
        State::Waiting(_) | State::Running(_) => true,
        State::Ended(_) => false,
        State::Unknown => {
            let found = workers.iter().find(|(name, _)| name.as_str() == task.name);
            found.is_some_and(|(name, worker)| pulses.is_alive(name, worker, beat))
        }
    };
    tasks.iter().filter(|task| is_living(task)).count()
}

/// The top-ups of a run, as one process sees them.
#[derive(Debug)]
pub struct TopUps {
    /// Last seen number of top-ups, and when this process first saw it.
    seen: (usize, Instant),
}

impl TopUps {
    /// Starts watching the top-ups of a run.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn watch(run: &Run) -> Result<Self, Failure> {
        Ok(Self { seen: (run.top_ups()?, Instant::now()) })
    }

    /// Checks whether the last top-up was long enough ago, by this process's own clock.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn is_time(&mut self, run: &Run) -> Result<bool, Failure> {
        let number = run.top_ups()?;
        if number != self.seen.0 {
            self.seen = (number, Instant::now());
        }
        Ok(number == 0 || self.seen.1.elapsed() >= seconds(run.request.times.top_up))
    }

    /// Submits workers until there is one for each ready stage, up to the run's maximum. Returns the number submitted.
    ///
    /// # Errors
    /// If the executor refuses, or the store cannot be written.
    pub fn submit(
        &mut self,
        run: &Run,
        executor: &dyn Executor,
        launch: &Launch,
        (ready, living): (usize, usize),
    ) -> Result<usize, Failure> {
        let wanted = run.request.engine.workers().min(ready);
        let missing = wanted.saturating_sub(living);
        if missing == 0 || run.is_stopped() || !run.take_top_up(self.seen.0 + 1)? {
            return Ok(0);
        }
        self.seen = (self.seen.0 + 1, Instant::now());
        run.note_jobs(&executor.submit(launch, missing)?)?;
        Ok(missing)
    }
}
