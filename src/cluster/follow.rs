//! Begins a run, and follows it until it is done. Whoever follows only looks: a run goes on without.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::executor::{End, Executor, JobId, Launch, State, Task};
use super::failed::{Failed, of_end};
use super::open::Open;
use super::run::{Run, Worker};
use super::top_up::{Pulses, TopUps, living};
use crate::project::{Failure, Selection};
use base::digest::StageKey;
use store::Store;

/// Interval between looks at what the workers say.
const LOOK: Duration = Duration::from_secs(1);
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
    pub workers: Vec<&'a (JobId, Worker)>,
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
        let Self { run, selection, executor, launch, cancel, .. } = *self;
        let times = run.request.times;
        let (mut top_ups, mut pulses) = (TopUps::watch(run)?, Pulses::default());
        let (mut tasks, mut asked, mut counted) = (Vec::new(), None::<Instant>, Instant::now());
        let (mut open, mut cost) = self.open()?;
        let (mut barren, mut said, mut unreachable) = ((open.done, 0), BTreeSet::new(), false);
        loop {
            if cancel.load(Ordering::Relaxed) {
                return Ok(Followed::Interrupted);
            }
            if counted.elapsed() >= LOOK.max(cost.div_f64(SHARE)) {
                (open, cost) = self.open()?;
                counted = Instant::now();
            }
            for (key, failed) in
                run.all_failed()?.into_iter().flat_map(|(key, all)| all.into_iter().map(move |f| (key, f)))
            {
                if said.insert((key, failed.worker.clone(), failed.message.clone())) {
                    tell(News::Failed(&failed));
                }
            }
            let workers = run.workers()?;
            pulses.see(&workers);
            if asked.is_none_or(|asked| asked.elapsed() >= LOOK) {
                asked = Some(Instant::now());
                match executor.look(&run.jobs()?) {
                    Ok(found) => {
                        tasks = found;
                        unreachable = false;
                        self.account(&tasks, &workers)?;
                    }
                    // The workers go on without it.
                    Err(failure) if !unreachable => {
                        unreachable = true;
                        tell(News::Unreachable(&failure));
                    }
                    Err(_) => {}
                }
                let living = living(&tasks, &workers, &pulses, times.beat);
                let idle = living == 0 && !unreachable;
                if !open.is_done()
                    && !open.is_stuck()
                    && !run.is_stopped()
                    && !unreachable
                    && (idle || top_ups.is_time(run)?)
                {
                    if idle {
                        // They may have done everything before they ended.
                        (open, cost) = self.open()?;
                        counted = Instant::now();
                        barren = if open.done > barren.0 { (open.done, 0) } else { (barren.0, barren.1 + 1) };
                        if barren.1 > BARREN {
                            return Ok(Followed::Barren(last_words(&workers, &tasks)));
                        }
                    }
                    let added = top_ups.submit(run, executor, launch, (open.ready.len(), living))?;
                    if added > 0 {
                        tell(News::Submitted(added));
                    }
                }
            }
            tell(News::View(self.view(&open, &tasks, &workers, &pulses)));
            if open.is_done() {
                return Ok(Followed::Complete);
            }
            if run.is_stopped() {
                return Ok(Followed::Cancelled);
            }
            if open.is_stuck() {
                let name = |(stage, why): &(usize, String)| (selection.graph.stages[*stage].name.clone(), why.clone());
                return Ok(Followed::Stuck(open.given_up.iter().map(name).collect()));
            }
            self.pause();
        }
    }

    /// Looks up what is left, and measures how long this takes.
    fn open(&self) -> Result<(Open, Duration), Failure> {
        let began = Instant::now();
        Ok((Open::of(self.run, self.selection, self.store)?, began.elapsed()))
    }

    fn pause(&self) {
        let until = Instant::now() + LOOK;
        while Instant::now() < until && !self.cancel.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn view<'v>(&self, open: &'v Open, tasks: &[Task], workers: &'v [(JobId, Worker)], pulses: &Pulses) -> View<'v> {
        // What a worker says is newer than what the executor said.
        let has_begun = |task: &Task| workers.iter().any(|(name, _)| name.as_str() == task.name);
        let waits = |task: &Task| match &task.state {
            State::Waiting(why) if !has_begun(task) => Some(why.clone()),
            _ => None,
        };
        let waits: Vec<String> = tasks.iter().filter_map(waits).collect();
        let why = waits.iter().find(|why| !why.is_empty()).cloned().unwrap_or_default();
        let beat = self.run.request.times.beat;
        let has_ended =
            |name: &JobId| tasks.iter().any(|task| task.name == name.as_str() && matches!(task.state, State::Ended(_)));
        let running = |(name, worker): &&(JobId, Worker)| pulses.is_alive(name, worker, beat) && !has_ended(name);
        View { open, waiting: (waits.len(), why), workers: workers.iter().filter(running).collect() }
    }

    /// Notes what workers could not note themselves: that they were killed for their memory, or that their time was over.
    fn account(&self, tasks: &[Task], workers: &[(JobId, Worker)]) -> Result<(), Failure> {
        for task in tasks.iter().filter(|task| matches!(task.state, State::Ended(End::OutOfMemory | End::TimeLimit))) {
            let is_it = |(name, worker): &&(JobId, Worker)| name.as_str() == task.name && worker.ended.is_none();
            let (Some((name, worker)), Some(kind)) = (workers.iter().find(is_it), of_end(&task.state)) else {
                continue;
            };
            for running in &worker.stages {
                if let Ok(key) = running.key.parse::<StageKey>() {
                    self.run.note_end((&running.stage, &key), (name, worker), kind)?;
                }
            }
        }
        Ok(())
    }
}

/// Says how the last worker ended.
fn last_words(workers: &[(JobId, Worker)], tasks: &[Task]) -> String {
    let task = tasks.iter().rev().find(|task| matches!(task.state, State::Ended(_)));
    let said = |task: &Task| {
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
