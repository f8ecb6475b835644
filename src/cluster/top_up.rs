//! Submits more workers where a run has more ready stages than workers.
//!
//! A narrow part of a run, such as a chain of training segments, keeps few workers busy, and the others leave. So whoever
//! makes stages ready has to see to it that there are workers for them.

use std::collections::BTreeMap;
use std::time::Instant;

use super::executor::{Executor, JobId, Launch, State, WorkerTask};
use super::run::{Run, WorkerState, seconds};
use crate::project::Failure;

/// Beats after which a worker that has not said anything counts as dead.
const SILENT: f64 = 5.0;

/// Which workers are alive, by what one process sees of them.
#[derive(Debug, Default)]
pub struct Pulses(BTreeMap<JobId, (u64, Instant)>);

impl Pulses {
    /// Looks at what the workers said last. Compares no clocks of different machines: a worker is alive if its message has
    /// changed lately.
    pub fn see(&mut self, workers: &[(JobId, WorkerState)]) {
        for (name, worker) in workers {
            match self.0.get_mut(name) {
                Some((beat, _)) if *beat == worker.beat => {}
                _ => drop(self.0.insert(name.clone(), (worker.beat, Instant::now()))),
            }
        }
    }

    /// Checks whether a worker has been heard of lately, or was first seen lately.
    pub fn is_alive(&self, name: &JobId, worker: &WorkerState, beat: f64) -> bool {
        let heard = self.0.get(name).is_some_and(|(_, since)| since.elapsed() <= seconds(SILENT * beat));
        worker.ended.is_none() && heard
    }
}

/// Counts the workers that run or will run. What the executor does not know counts if it is heard of.
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
    /// Number of top-ups when it was last seen to change, and when that was.
    seen: (usize, Instant),
}

impl TopUps {
    /// Begins to watch the top-ups of a run.
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

    /// Submits workers until there are as many as ready stages, at most as many as the run may have. Returns their number.
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
