//! The duty of one worker: decides which stages fit into its time, shares failures with the run's other workers, and
//! reports the worker's status.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::executor::{Executor, JobId, State as TaskState};
use super::failed::{Failed, Kind, given_up, of_end};
use super::host::host;
use super::run::{Run, Running, WorkerState, seconds};
use crate::engine::{Duty, EngineError};
use crate::graph::{Graph, StageId};
use base::digest::{ObjectDigest, StageKey};
use store::{Holder, StoreError};

/// Share of a worker's usable time that must be left for it to try a stage whose estimate exceeds the time left.
const FRESH: f64 = 0.9;
/// Factor by which the time left must exceed a stage's estimated duration.
const MARGIN: f64 = 1.3;
/// Longest time in seconds between Slurm's warning and the end of a worker's time.
const WARNING: f64 = 180.0;
/// If a stage ran for this share of a worker's time until the warning, it needs a worker with more time.
const MOST: f64 = 0.75;

/// The time limit of a worker.
#[derive(Debug, Clone, Copy)]
pub struct Deadline {
    /// When the worker began.
    pub began: Instant,
    /// How long the worker can run.
    pub limit: Duration,
}

impl Deadline {
    /// Returns how many of the `limit` seconds of a worker are available for stages. The end is reserved, because
    /// Slurm's warning ends the worker early.
    pub fn usable(limit: f64) -> f64 {
        limit - (limit / 4.0).min(WARNING)
    }

    /// Checks whether the worker's time is too short for a stage that ran for `seconds` until the worker was asked to
    /// end. If the time limit is short, the warning can come while time for stages is left.
    fn is_too_short(&self, seconds: f64) -> bool {
        let elapsed = self.began.elapsed().as_secs_f64();
        let is_warned = self.limit.as_secs_f64() - elapsed <= WARNING && seconds >= MOST * elapsed;
        self.left() <= 0.0 || is_warned
    }

    /// Returns how many seconds are left for stages.
    fn left(&self) -> f64 {
        Self::usable(self.limit.as_secs_f64()) - self.began.elapsed().as_secs_f64()
    }
}

/// One worker of a run while it runs stages.
pub struct Shift<'a> {
    run: &'a Run,
    graph: &'a Graph,
    name: &'a JobId,
    jobs: usize,
    deadline: Option<Deadline>,
    executor: &'a dyn Executor,
    cancel: &'a AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Estimated seconds of every stage of the graph.
    estimates: Vec<f64>,
    running: BTreeMap<StageKey, (StageId, Instant, f64)>,
    /// Failures of stages, as read from the run's folder at the last beat, and newer failures of this worker.
    failed: HashMap<StageKey, Vec<Failed>>,
    /// Number of failures that this worker has recorded.
    attempts: usize,
    computed: usize,
    beat: u64,
    /// When this worker last asked how another worker ended.
    asked: Option<Instant>,
    /// First failure to write the run's state.
    trouble: Option<String>,
}

impl<'a> Shift<'a> {
    /// Creates the duty of a worker that runs `jobs` stages at a time.
    pub fn new(
        run: &'a Run,
        graph: &'a Graph,
        (name, jobs): (&'a JobId, usize),
        deadline: Option<Deadline>,
        (executor, cancel): (&'a dyn Executor, &'a AtomicBool),
    ) -> Self {
        Self { run, graph, name, jobs, deadline, executor, cancel, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores the estimated durations of the stages in seconds, and reads the recorded failures.
    pub fn plan(&self, estimates: &[f64]) {
        self.state().estimates = estimates.to_vec();
        self.learn();
    }

    /// Reads the failures that all workers recorded.
    fn learn(&self) {
        if let Ok(all) = self.run.all_failed() {
            self.state().failed = all.into_iter().collect();
        }
    }

    /// Notes the progress of a stage.
    pub fn progressed(&self, stage: StageId, done: f64) {
        let mut state = self.state();
        if let Some(running) = state.running.values_mut().find(|running| running.0 == stage) {
            running.2 = done;
        }
    }

    /// Notes that a stage ended. `computed` says whether this worker computed it.
    pub fn ended(&self, stage: StageId, computed: bool) {
        let mut state = self.state();
        state.running.retain(|_, running| running.0 != stage);
        state.computed += usize::from(computed);
    }

    /// Reports the worker's status and reads the recorded failures at regular intervals, until `until` is set.
    pub fn beat(&self, until: &AtomicBool) {
        let mut next = Instant::now();
        while !until.load(Ordering::Relaxed) {
            if Instant::now() >= next {
                self.say(None);
                self.learn();
                if self.run.is_stopped() {
                    self.cancel.store(true, Ordering::Relaxed);
                }
                next = Instant::now() + seconds(self.run.request.times.beat);
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Writes the worker's status. `ended` says why the worker ends.
    pub fn say(&self, ended: Option<String>) {
        let worker = {
            let mut state = self.state();
            state.beat += 1;
            let stage = |(key, &(stage, _, done)): (&StageKey, &(StageId, Instant, f64))| Running {
                stage: self.graph.stages[stage].name.clone(),
                key: key.to_string(),
                done,
            };
            WorkerState {
                host: host(),
                process: std::process::id(),
                beat: state.beat,
                stages: state.running.iter().map(stage).collect(),
                computed: state.computed,
                jobs: self.jobs,
                ended,
            }
        };
        if let Err(failure) = self.run.note_worker(self.name, &worker) {
            self.state().trouble.get_or_insert(failure.message);
        }
    }

    /// Returns the first failure to write the run's state, if there was one.
    pub fn trouble(&self) -> Option<String> {
        self.state().trouble.clone()
    }

    /// Asks the executor how a worker ended, unless it was asked recently.
    fn end_of(&self, name: &JobId) -> TaskState {
        let is_time = {
            let mut state = self.state();
            let is_time = state.asked.is_none_or(|asked| asked.elapsed() >= seconds(self.run.request.times.ask));
            if is_time {
                state.asked = Some(Instant::now());
            }
            is_time
        };
        let job = |id: &str| self.run.jobs().ok()?.into_iter().find(|job| job.id.as_str() == id);
        let job = name.as_str().rsplit_once('_').filter(|_| is_time).and_then(|(id, _)| job(id));
        let tasks = job.and_then(|job| self.executor.look(&[job]).ok()).unwrap_or_default();
        tasks.into_iter().find(|task| task.name == name.as_str()).map_or(TaskState::Unknown, |task| task.state)
    }

    /// Records a failed attempt.
    fn note(&self, key: &StageKey, failed: Failed) {
        let attempt = {
            let mut state = self.state();
            state.failed.entry(*key).or_default().push(failed.clone());
            state.attempts += 1;
            state.attempts
        };
        if let Err(failure) = self.run.note_failed(key, attempt, &failed) {
            self.state().trouble.get_or_insert(failure.message);
        }
    }
}

impl Duty for Shift<'_> {
    fn fits(&self, stage: StageId, key: &StageKey) -> bool {
        let state = self.state();
        let failed = state.failed.get(key).map(Vec::as_slice).unwrap_or_default();
        // The stage ran out of memory on a worker that ran at most as many stages as this one.
        if self.jobs > 1 && failed.iter().any(|failed| failed.kind == Kind::Memory && failed.jobs <= self.jobs) {
            return false;
        }
        let Some(deadline) = self.deadline else { return true };
        let left = deadline.left();
        let estimate = MARGIN * state.estimates.get(stage).copied().unwrap_or_default();
        let tried = failed.iter().filter(|failed| failed.kind == Kind::Time).map(|failed| failed.seconds);
        let needed = tried.fold(estimate, f64::max);
        // An estimate can be wrong, so a fresh worker tries even a stage that seems too long.
        let is_fresh = left >= FRESH * Deadline::usable(deadline.limit.as_secs_f64());
        left > 0.0 && (needed <= left || is_fresh)
    }

    fn refuses(&self, key: &StageKey) -> Result<Option<String>, StoreError> {
        // The list of failures from the last beat can be outdated. If only that was used, every worker would try a
        // failing stage.
        Ok(self.run.failed(key).ok().and_then(|failed| given_up(&failed)))
    }

    fn inherits(&self, stage: StageId, key: &StageKey, dead: &Holder) {
        let Some(name) = dead.job.as_ref().and_then(|job| job.parse::<JobId>().ok()) else { return };
        let Some(kind) = of_end(&self.end_of(&name)) else { return };
        let workers = self.run.workers().unwrap_or_default();
        let Some((_, worker)) = workers.iter().find(|(other, _)| *other == name) else { return };
        match self.run.note_end((&self.graph.stages[stage].name, key), (&name, worker), kind) {
            Ok(failed) => self.state().failed.entry(*key).or_default().push(failed),
            Err(failure) => drop(self.state().trouble.get_or_insert(failure.message)),
        }
    }

    fn begins(&self, stage: StageId, key: &StageKey) {
        self.state().running.insert(*key, (stage, Instant::now(), 0.0));
        let until = Instant::now() + seconds(self.run.request.times.linger);
        while Instant::now() < until && !self.cancel.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn fails(&self, stage: StageId, key: &StageKey, error: &EngineError) {
        let running = self.state().running.remove(key);
        let seconds = running.map_or(0.0, |(_, since, _)| since.elapsed().as_secs_f64());
        let is_late = self.deadline.is_some_and(|deadline| deadline.is_too_short(seconds));
        let kind = match error {
            EngineError::Interrupted if is_late => Some(Kind::Time),
            error => Kind::of(error),
        };
        if let Some(kind) = kind {
            let (worker, stage) = (self.name.clone(), self.graph.stages[stage].name.clone());
            self.note(key, Failed { stage, worker, kind, message: error.to_string(), jobs: self.jobs, seconds });
        }
    }

    fn shuffle(&self) -> usize {
        let hash = ObjectDigest::of(self.name.as_str().as_bytes());
        let [a, b, ..] = *hash.as_bytes();
        usize::from(u16::from_le_bytes([a, b]))
    }

    fn patience(&self) -> Duration {
        seconds(self.run.request.times.patience)
    }
}
