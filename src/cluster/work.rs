//! A worker: computes ready stages of a run until none are left for it.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use super::executor::{Executor, JobId, Launch};
use super::failed::Kind;
use super::open::Open;
use super::run::{Run, seconds};
use super::shift::{Deadline, Shift};
use super::top_up::{Pulses, TopUps, living};
use crate::engine::{EngineError, Environment, Event, Outcome, Summary};
use crate::project::{ExitCode, Failure, Making, Notice, Selection, Signer, Workers};
use crate::stages::{self, Device};
use store::Store;

/// Maximum number of times that a worker goes through the stages, if some of them fail.
const ROUNDS: usize = 3;

/// Identity and resources of a worker.
#[derive(Debug, Clone)]
pub struct Me {
    /// Its name.
    pub name: JobId,
    /// Number of processors that it can use.
    pub cores: usize,
    /// Its time limit, if it has one.
    pub deadline: Option<Deadline>,
}

/// Why a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All stages of the run are done.
    Complete,
    /// The remaining stages are left to other or later workers.
    Left,
    /// All remaining stages are given up or depend on such stages. The text names the first given-up stage.
    Stuck(String),
}

/// Message of a worker while it works.
pub enum Said<'a> {
    /// News about its stages.
    Notice(Notice<'a>),
    /// It could not submit more workers. A command that follows the run can do so.
    NotAdded(&'a Failure),
}

/// A worker with everything that it uses.
pub struct Post<'a> {
    /// The run.
    pub run: &'a Run,
    /// Its stages.
    pub selection: &'a Selection,
    /// The store.
    pub store: &'a Store,
    /// The executor that starts more workers.
    pub executor: &'a dyn Executor,
    /// The command that starts them.
    pub launch: &'a Launch,
    /// This worker.
    pub me: &'a Me,
    /// Key that signs the results, if there is one.
    pub signer: Option<&'a Signer>,
    /// User and machine, for the records.
    pub environment: &'a Environment,
    /// Flag that stops the worker when it is set.
    pub cancel: &'a AtomicBool,
}

impl Post<'_> {
    /// Runs stages until none are left for this worker. Reports progress to `tell`.
    ///
    /// # Errors
    /// If the device or the store fails, or the worker was told to stop.
    pub fn work(&self, tell: &mut dyn FnMut(Said<'_>)) -> Result<Ended, Failure> {
        let Self { run, selection, store, .. } = *self;
        // This must happen while there is only one thread.
        stages::prepare(selection.graph.policy).map_err(|error| Failure::from(EngineError::Policy(error)))?;
        let mut top_ups = Replacements { top_ups: TopUps::watch(run)?, pulses: Pulses::default(), asked: None };
        for _ in 0..ROUNDS {
            let summary = self.shift(tell, &mut top_ups)?;
            if self.cancel.load(Ordering::Relaxed) {
                return Err(EngineError::Interrupted.into());
            }
            let open = Open::of(run, selection, store)?;
            if open.is_done() {
                // Tasks that are still waiting for a machine are not needed any more.
                self.executor.cancel(&run.jobs()?, true)?;
                return Ok(Ended::Complete);
            }
            if open.is_stuck() {
                let first = open.given_up.first();
                let why = first.map(|(stage, why)| format!("{}: {why}", selection.graph.stages[*stage].name));
                return Ok(Ended::Stuck(why.unwrap_or_default()));
            }
            let of_machine = |error: &EngineError| Kind::of(error).is_none() && !is_given_up(error);
            if let Some(at) = summary.errors.iter().position(of_machine)
                && let Some(error) = summary.errors.into_iter().nth(at)
            {
                // The disk or the device of this machine is at fault, so another worker can succeed.
                return Err(error.into());
            }
            if summary.left {
                if let Err(failure) = self.replace(&mut top_ups) {
                    tell(Said::NotAdded(&failure));
                }
                return Ok(Ended::Left);
            }
        }
        Ok(Ended::Left)
    }

    /// Goes through the stages once.
    fn shift(&self, tell: &mut dyn FnMut(Said<'_>), top_ups: &mut Replacements) -> Result<Summary, Failure> {
        let Self { run, selection, store, me, signer, environment, cancel, .. } = *self;
        let workers = self.workers()?;
        let tools = (self.executor, cancel);
        let shift = Shift::new(run, &selection.graph, (&me.name, workers.most().get()), me.deadline, tools);
        let making = Making { store, workers: &workers, signer, keep_going: true, duty: &shift, environment, cancel };
        let is_over = AtomicBool::new(false);
        let made = thread::scope(|scope| {
            let beat = thread::Builder::new().spawn_scoped(scope, || shift.beat(&is_over));
            let made = match beat {
                Err(error) => Err(EngineError::Threads(error).into()),
                Ok(_) => selection.make(&making, &mut |notice| {
                    match &notice {
                        Notice::Planned { seconds, .. } => shift.plan(seconds),
                        Notice::Event(Event::Progress { stage, reading, .. }) => shift.progressed(*stage, reading.done),
                        Notice::Event(Event::Ended { stage, outcome }) => {
                            let computed = matches!(outcome, Outcome::Computed(_) | Outcome::Diverged(..));
                            shift.ended(*stage, computed);
                            // A worker that cannot submit others still does its own work.
                            if computed && let Err(failure) = self.replace(top_ups) {
                                tell(Said::NotAdded(&failure));
                            }
                        }
                        _ => {}
                    }
                    tell(Said::Notice(notice));
                }),
            };
            is_over.store(true, Ordering::Relaxed);
            made
        });
        let why = match &made {
            _ if cancel.load(Ordering::Relaxed) => "stopped".to_owned(),
            Ok(summary) if summary.left => "nothing left for it".to_owned(),
            Ok(_) => "done".to_owned(),
            Err(failure) => failure.message.clone(),
        };
        shift.say(Some(why));
        match shift.trouble() {
            Some(trouble) if made.is_ok() => Err(Failure::new(
                ExitCode::Storage,
                format!("the state of run {} cannot be written: {trouble}", run.id),
                "",
            )),
            _ => made,
        }
    }

    /// Chooses the device and the number of stages to run at a time. The number is lower if a worker of this run has
    /// run out of memory.
    fn workers(&self) -> Result<Workers, Failure> {
        let usage = |error: String| Failure::usage(error, "");
        let device: Device = self.run.request.device.parse().map_err(usage)?;
        let jobs = self.run.request.jobs.and_then(NonZeroUsize::new);
        let chosen = Workers::choose(&device, self.selection.graph.policy, jobs.or(NonZeroUsize::new(self.me.cores)));
        let mut workers = chosen.map_err(usage)?;
        if jobs.is_none() && matches!(workers.likely, Device::Cuda(_)) {
            workers = Workers::choose(&device, self.selection.graph.policy, None).map_err(usage)?;
        }
        let memory = self.run.all_failed()?.into_iter().flat_map(|(_, failed)| failed);
        if let Some(most) = memory.filter(|failed| failed.kind == Kind::Memory).map(|failed| failed.jobs).min()
            && workers.most().get() >= most
        {
            let fewer = NonZeroUsize::new(most / 2).unwrap_or(NonZeroUsize::MIN);
            workers = Workers { jobs: fewer, grow: false, ..workers };
        }
        Ok(workers)
    }

    /// Submits workers if there are more ready stages than workers.
    fn replace(&self, by: &mut Replacements) -> Result<(), Failure> {
        let Self { run, selection, store, executor, launch, .. } = *self;
        let times = run.request.times;
        if by.asked.is_some_and(|asked| asked.elapsed() < seconds(times.ask)) || !by.top_ups.is_time(run)? {
            return Ok(());
        }
        by.asked = Some(Instant::now());
        let ready = Open::of(run, selection, store)?.ready.len();
        let workers = run.workers()?;
        by.pulses.see(&workers);
        let tasks = executor.look(&run.jobs()?)?;
        by.top_ups.submit(run, executor, launch, (ready, living(&tasks, &workers, &by.pulses, times.beat)))?;
        Ok(())
    }
}

/// What a worker needs to know to submit other workers.
struct Replacements {
    top_ups: TopUps,
    pulses: Pulses,
    /// When this worker last asked the executor.
    asked: Option<Instant>,
}

fn is_given_up(error: &EngineError) -> bool {
    matches!(error, EngineError::GivenUp { .. })
}
