//! Begins a run, and follows it until it is done. Whoever follows only looks: a run goes on without.

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

/// Finding out what is left may take this share of the time.
const SHARE: f64 = 0.05;
/// How often workers are submitted although those before got nothing done.
const BARREN: usize = 3;

/// A run, seen at one moment.
#[derive(Debug)]
pub struct View<'a> {
    /// The stages that are left.
    pub open: &'a Open,
    /// Number of tasks that wait for a machine, and why.
    pub waiting: (usize, String),
    /// The workers that run.
    pub workers: Vec<&'a (JobId, WorkerState)>,
}

/// News about a run.
#[derive(Debug)]
pub enum News<'a> {
    /// Workers were submitted.
    Submitted(usize),
    /// Its state.
    View(View<'a>),
    /// An attempt at a stage failed.
    Failed(&'a Failed),
    /// The executor cannot be asked. Said once.
    Unreachable(&'a Failure),
}

/// How following a run ended.
#[derive(Debug, PartialEq)]
pub enum Followed {
    /// The run is complete.
    Complete,
    /// What is left waits for stages that are not tried again: their names, with the reasons.
    Stuck(Vec<(String, String)>),
    /// The run was cancelled.
    Cancelled,
    /// Workers end without getting anything done. The text says how the last ended.
    Barren(String),
    /// The user does not want to follow any more.
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
    /// Time between looks at what the workers say.
    pub every: Duration,
    /// Flag that ends following when it is set.
    pub cancel: &'a AtomicBool,
}

impl Watch<'_> {
    /// Submits the workers that a run lacks, and returns their number. Each of them gets `generations` tasks: when the time
    /// of one is over, the next takes its place. A run without workers is begun anew: its earlier failures are forgotten.
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

/// What somebody who follows a run has seen of it.
struct Seen<'a> {
    watch: &'a Watch<'a>,
    /// What is left, when that was found out, and how long it took.
    open: Open,
    counted: Instant,
    cost: Duration,
    /// What the executor says, and whether it said it at the last attempt.
    tasks: Vec<WorkerTask>,
    is_reachable: bool,
    /// What the workers say.
    workers: Vec<(JobId, WorkerState)>,
    pulses: Pulses,
    top_ups: TopUps,
    /// Stages that were done when workers were last submitted because there were none, and how often that was in vain.
    barren: (usize, usize),
    /// Failures that were told.
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
        seen.barren.0 = seen.open.done;
        Ok(seen)
    }

    /// Finds out what is left.
    fn count(&mut self) -> Result<(), Failure> {
        let began = Instant::now();
        self.open = Open::of(self.watch.run, self.watch.selection, self.watch.store)?;
        (self.counted, self.cost) = (Instant::now(), began.elapsed());
        Ok(())
    }

    /// Looks at the store, the workers and the executor.
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
                // The workers go on without it.
                if self.is_reachable {
                    tell(News::Unreachable(&failure));
                }
                self.is_reachable = false;
            }
        }
        Ok(())
    }

    /// Submits workers if there are too few; returns how following ends if this is in vain.
    fn replace(&mut self, tell: &mut dyn FnMut(News<'_>)) -> Result<Option<Followed>, Failure> {
        let Watch { run, executor, launch, .. } = *self.watch;
        if !self.is_reachable || self.end().is_some() {
            return Ok(None);
        }
        let living = living(&self.tasks, &self.workers, &self.pulses, run.request.times.beat);
        if living == 0 {
            // They may have done everything before they ended.
            self.count()?;
            if self.end().is_some() {
                return Ok(None);
            }
            let in_vain = if self.open.done > self.barren.0 { 0 } else { self.barren.1 + 1 };
            self.barren = (self.open.done, in_vain);
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
        // What a worker says is newer than what the executor said.
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

    /// Notes what workers could not note themselves: that they were killed for their memory, or that their time was over.
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

/// Says how the last worker ended.
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
