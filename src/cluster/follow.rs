//! Begins a run and follows it until it is done. The run does not depend on a process that follows it, as long as its
//! workers can submit others.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::executor::{Executor, JobId, Launch, State, TaskEnd, WorkerTask};
use super::failed::{Failed, of_end};
use super::open::Open;
use super::run::{Run, WorkerState};
use super::top_up::{Pulses, TopUps, living};
use crate::project::{Failure, Selection};
use base::digest::StageKey;
use store::Store;

/// Largest share of the time that is spent on finding out which stages are left.
const SHARE: f64 = 0.05;
/// How many times in a row workers are submitted again although the previous ones achieved nothing.
const BARREN: usize = 3;

/// A snapshot of a run.
#[derive(Debug)]
pub struct View<'a> {
    /// The stages that are left.
    pub open: &'a Open,
    /// Number of tasks that wait for a machine, and why.
    pub waiting: (usize, String),
    /// The running workers.
    pub workers: Vec<&'a (JobId, WorkerState)>,
}

/// News about a run.
#[derive(Debug)]
pub enum News<'a> {
    /// Workers were submitted.
    Submitted(usize),
    /// The state of the run.
    View(View<'a>),
    /// An attempt at a stage failed.
    Failed(&'a Failed),
    /// The executor cannot be asked. Reported once per outage.
    Unreachable(&'a Failure),
}

/// How following a run ended.
#[derive(Debug, PartialEq)]
pub enum Followed {
    /// The run is complete.
    Complete,
    /// All remaining stages are given up or depend on such stages. Holds the names of the given-up stages, with the
    /// reasons.
    Stuck(Vec<(String, String)>),
    /// The run was cancelled.
    Cancelled,
    /// Workers end without achieving anything. The text says how the last one ended.
    Barren(String),
    /// The user stopped following the run.
    Interrupted,
}

/// A run and what is needed to follow it.
pub struct Watch<'a> {
    /// The run.
    pub run: &'a Run,
    /// Its stages.
    pub selection: &'a Selection,
    /// The store.
    pub store: &'a Store,
    /// What starts workers.
    pub executor: &'a dyn Executor,
    /// How they are started.
    pub launch: &'a Launch,
    /// Time between two checks of the run's state.
    pub every: Duration,
    /// Flag that stops following when it is set.
    pub cancel: &'a AtomicBool,
}

impl Watch<'_> {
    /// Submits the missing workers of a run, and returns their number. Each of them gets `generations` tasks: when one
    /// task runs out of time, the next one replaces it. If the run has no workers, its earlier failures and a
    /// cancellation are deleted first.
    ///
    /// # Errors
    /// If the executor refuses or cannot be asked, or the store fails.
    pub fn begin(&self, open: &Open, generations: usize) -> Result<usize, Failure> {
        let Self { run, executor, launch, .. } = *self;
        let (tasks, workers, mut pulses) = (executor.look(&run.jobs()?)?, run.workers()?, Pulses::default());
        pulses.see(&workers);
        let living = living(&tasks, &workers, &pulses, run.request.times.beat);
        if living == 0 {
            run.reopen()?;
        }
        let missing = run.request.engine.workers().min(open.left.len()).saturating_sub(living);
        if missing > 0 {
            run.note_jobs(&executor.submit(launch, missing * generations.max(1))?)?;
        }
        Ok(missing)
    }

    /// Follows the run until it ends.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn follow(&self, tell: &mut dyn FnMut(News<'_>)) -> Result<Followed, Failure> {
        let mut seen = Seen::new(self)?;
        while !self.cancel.load(Ordering::Relaxed) {
            seen.look(tell)?;
            if let Some(followed) = seen.replace(tell)? {
                return Ok(followed);
            }
            tell(News::View(seen.view()));
            if let Some(followed) = seen.end() {
                return Ok(followed);
            }
            self.pause();
        }
        Ok(Followed::Interrupted)
    }

    fn pause(&self) {
        let until = Instant::now() + self.every;
        while Instant::now() < until && !self.cancel.load(Ordering::Relaxed) {
            thread::sleep(self.every.min(Duration::from_millis(50)));
        }
    }
}

/// What a process that follows a run knows about it.
struct Seen<'a> {
    watch: &'a Watch<'a>,
    /// The stages that are left, when this was determined, and how long that took.
    open: Open,
    counted: Instant,
    cost: Duration,
    /// The executor's last answer, and whether it answered the last query.
    tasks: Vec<WorkerTask>,
    is_reachable: bool,
    /// The last status updates of the workers.
    workers: Vec<(JobId, WorkerState)>,
    pulses: Pulses,
    top_ups: TopUps,
    /// Value of [`Seen::achieved`] when workers were last submitted because none were alive, and how many times in a
    /// row such workers achieved nothing.
    barren: (usize, usize),
    /// Failures that were already reported.
    told: BTreeSet<(StageKey, JobId, String)>,
}

impl<'a> Seen<'a> {
    fn new(watch: &'a Watch<'a>) -> Result<Self, Failure> {
        let mut seen = Self {
            watch,
            open: Open::default(),
            counted: Instant::now(),
            cost: Duration::ZERO,
            tasks: Vec::new(),
            is_reachable: true,
            workers: Vec::new(),
            pulses: Pulses::default(),
            top_ups: TopUps::watch(watch.run)?,
            barren: (0, 0),
            told: BTreeSet::new(),
        };
        seen.count()?;
        seen.barren.0 = seen.achieved()?;
        Ok(seen)
    }

    /// Determines which stages are left.
    fn count(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        self.open = Open::of(self.watch.run, self.watch.selection, self.watch.store)?;
        (self.counted, self.cost) = (Instant::now(), began.elapsed());
        Ok(())
    }

    /// Returns the number of done stages plus the number of recorded failures. Workers that only find out which stages
    /// fail have achieved something too.
    fn achieved(&self) -> Result<usize, Failure> {
        let failed = self.watch.run.all_failed()?;
        Ok(self.open.done + failed.iter().map(|(_, attempts)| attempts.len()).sum::<usize>())
    }

    /// Reads the state from the store, the workers and the executor.
    fn look(&mut self, tell: &mut dyn FnMut(News<'_>)) -> Result<(), Failure> {
        let Watch { run, executor, .. } = *self.watch;
        if self.counted.elapsed() >= self.watch.every.max(self.cost.div_f64(SHARE)) {
            self.count()?;
        }
        for (key, failed) in run.all_failed()? {
            for failed in failed {
                if self.told.insert((key, failed.worker.clone(), failed.message.clone())) {
                    tell(News::Failed(&failed));
                }
            }
        }
        self.workers = run.workers()?;
        self.pulses.see(&self.workers);
        match executor.look(&run.jobs()?) {
            Ok(tasks) => {
                self.tasks = tasks;
                self.is_reachable = true;
                self.account()?;
            }
            Err(failure) => {
                // The workers continue without the executor.
                if self.is_reachable {
                    tell(News::Unreachable(&failure));
                }
                self.is_reachable = false;
            }
        }
        Ok(())
    }

    /// Submits workers if there are too few. Returns how following ends if new workers keep achieving nothing.
    fn replace(&mut self, tell: &mut dyn FnMut(News<'_>)) -> Result<Option<Followed>, Failure> {
        let Watch { run, executor, launch, .. } = *self.watch;
        if !self.is_reachable || self.end().is_some() {
            return Ok(None);
        }
        let living = living(&self.tasks, &self.workers, &self.pulses, run.request.times.beat);
        if living == 0 {
            // The workers may have completed all stages before they ended.
            self.count()?;
            if self.end().is_some() {
                return Ok(None);
            }
            let achieved = self.achieved()?;
            let in_vain = if achieved > self.barren.0 { 0 } else { self.barren.1 + 1 };
            self.barren = (achieved, in_vain);
            if in_vain > BARREN {
                return Ok(Some(Followed::Barren(last_words(&self.workers, &self.tasks))));
            }
        } else if !self.top_ups.is_time(run)? {
            return Ok(None);
        }
        let added = self.top_ups.submit(run, executor, launch, (self.open.ready.len(), living))?;
        if added > 0 {
            tell(News::Submitted(added));
        }
        Ok(None)
    }

    /// Returns how following ends, if the run has ended.
    fn end(&self) -> Option<Followed> {
        if self.open.is_done() {
            return Some(Followed::Complete);
        }
        if self.watch.run.is_stopped() {
            return Some(Followed::Cancelled);
        }
        let stages = &self.watch.selection.graph.stages;
        let name = |(stage, why): &(usize, String)| (stages[*stage].name.clone(), why.clone());
        self.open.is_stuck().then(|| Followed::Stuck(self.open.given_up.iter().map(name).collect()))
    }

    fn view(&self) -> View<'_> {
        let Self { tasks, workers, pulses, .. } = self;
        // A worker's status is newer than the executor's answer.
        let has_begun = |task: &WorkerTask| workers.iter().any(|(name, _)| name.as_str() == task.name);
        let waits = |task: &WorkerTask| match &task.state {
            State::Waiting(why) if !has_begun(task) => Some(why.clone()),
            _ => None,
        };
        let waits: Vec<String> = tasks.iter().filter_map(waits).collect();
        let why = waits.iter().find(|why| !why.is_empty()).cloned().unwrap_or_default();
        let beat = self.watch.run.request.times.beat;
        let has_ended =
            |name: &JobId| tasks.iter().any(|task| task.name == name.as_str() && matches!(task.state, State::Ended(_)));
        let running = |(name, worker): &&(JobId, WorkerState)| pulses.is_alive(name, worker, beat) && !has_ended(name);
        View { open: &self.open, waiting: (waits.len(), why), workers: workers.iter().filter(running).collect() }
    }

    /// Records failures that workers could not record themselves: that they were killed for their memory use, or that
    /// they reached their time limit.
    fn account(&self) -> Result<(), Failure> {
        let has_lost =
            |task: &&WorkerTask| matches!(task.state, State::Ended(TaskEnd::OutOfMemory | TaskEnd::TimeLimit));
        for task in self.tasks.iter().filter(has_lost) {
            let is_it = |(name, worker): &&(JobId, WorkerState)| name.as_str() == task.name && worker.ended.is_none();
            let found = self.workers.iter().find(is_it);
            let (Some((name, worker)), Some(kind)) = (found, of_end(&task.state)) else { continue };
            for running in &worker.stages {
                if let Ok(key) = running.key.parse::<StageKey>() {
                    self.watch.run.note_end((&running.stage, &key), (name, worker), kind)?;
                }
            }
        }
        Ok(())
    }
}

/// Describes how the last worker ended.
fn last_words(workers: &[(JobId, WorkerState)], tasks: &[WorkerTask]) -> String {
    let task = tasks.iter().rev().find(|task| matches!(task.state, State::Ended(_)));
    let said = |task: &WorkerTask| {
        let found = workers.iter().find(|(name, _)| name.as_str() == task.name);
        found.and_then(|(_, worker)| worker.ended.clone())
    };
    match task {
        Some(task) => match (said(task), &task.state) {
            (Some(words), _) => format!("{}: {words}", task.name),
            (None, State::Ended(end)) => format!("{}: {end:?}", task.name),
            (None, _) => task.name.clone(),
        },
        None => "no worker started".to_owned(),
    }
}
