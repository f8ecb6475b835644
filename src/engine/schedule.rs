//! Which stage runs next, on which thread.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::EngineError;
use super::events::{Event, Outcome};
use super::execute::{Context, Executed, Job};
use super::frontier::Frontier;
use super::keep::{OnTheWay, Unstored};
use super::packing::Packing;
use super::request::{Request, Summary, divergence};
use super::resolve::Resolver;
use crate::cost;
use crate::digest::RecordDigest;
use crate::graph::StageId;
use crate::plan::{Bytes, Knowledge, plan};
use crate::stages::{self, Worker};
use crate::store::Store;
use crate::work::Work;

/// So many stages may be computed and wait to be stored; then who computes waits, too.
const UNSTORED: usize = 4;

/// How often a stage that another process runs is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// What the threads share.
struct State<'a> {
    knowledge: Vec<Knowledge>,
    frontier: Frontier<'a>,
    /// How many stages run.
    running: usize,
    /// Stages that another process runs, and when they were last asked for.
    elsewhere: BTreeMap<StageId, Instant>,
    /// What was made and is to be stored, in the order in which it was made.
    unstored: VecDeque<Box<Unstored>>,
    /// Workers that have not ended.
    workers: usize,
    packing: Packing,
    /// How far the stages that run are, in operations.
    progress: BTreeMap<StageId, f64>,
    computed: usize,
    published: Vec<RecordDigest>,
    errors: Vec<EngineError>,
}

/// Makes the targets, telling `on_event` what happens (on the calling thread).
///
/// # Errors
/// If the store cannot be read to begin with. What goes wrong later stands in the summary.
pub fn make(request: &Request<'_>, on_event: &mut dyn FnMut(Event)) -> Result<Summary, EngineError> {
    let Request { graph, targets, store, preference, .. } = *request;
    let resolver = Resolver::new(store, graph, preference);
    let closure = graph.closure(targets);
    let knowledge = resolver.all(&closure)?;
    let first = plan(graph, targets, &knowledge);
    let total = closure.iter().filter(|needed| **needed).count();
    if first.run.iter().any(|run| graph.stages[run.stage].work.needs_torch()) {
        // While this is the only thread.
        stages::prepare(graph.policy).map_err(EngineError::Policy)?;
    }
    on_event(Event::Planned(first.clone()));
    if first.run.is_empty() {
        note_uses(store, &closure, &knowledge);
        let several = resolver.several();
        return Ok(Summary { total, cached: known(&closure, &knowledge), knowledge, several, ..Summary::default() });
    }
    let workers = request.jobs.get().min(first.run.len());
    let state = State {
        knowledge,
        frontier: Frontier::new(graph, targets, &closure, &first),
        running: 0,
        elsewhere: BTreeMap::new(),
        unstored: VecDeque::new(),
        workers,
        packing: if request.grow { Packing::growing(workers) } else { Packing::fixed(workers) },
        progress: BTreeMap::new(),
        computed: 0,
        published: Vec::new(),
        errors: Vec::new(),
    };
    let (sender, events) = mpsc::channel();
    let schedule = Schedule {
        request,
        resolver: &resolver,
        state: Mutex::new(state),
        wake: Condvar::new(),
        on_the_way: OnTheWay::default(),
        started: Instant::now(),
    };
    std::thread::scope(|scope| {
        let schedule = &schedule;
        for number in 0..workers {
            let sender = sender.clone();
            scope.spawn(move || schedule.work(number, &|event| drop(sender.send(event))));
        }
        scope.spawn(move || schedule.keep(&|event| drop(sender.send(event))));
        for event in events {
            on_event(event);
        }
    });
    let state = schedule.state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let State { knowledge, computed, published, errors, .. } = state;
    let cached = known(&closure, &knowledge).saturating_sub(computed);
    let several = resolver.several();
    note_uses(store, &closure, &knowledge);
    Ok(Summary { total, cached, computed, knowledge, published, several, errors })
}

/// How many of the stages that are needed are known.
fn known(closure: &[bool], knowledge: &[Knowledge]) -> usize {
    let needed = closure.iter().zip(knowledge).filter(|(needed, _)| **needed);
    needed.filter(|(_, known)| matches!(known, Knowledge::Known { .. })).count()
}

/// Notes that what the targets rest on is in use: all outputs behind them whose bytes are there.
fn note_uses(store: &Store, closure: &[bool], knowledge: &[Knowledge]) {
    let mut used = Vec::new();
    for (_, known) in closure.iter().zip(knowledge).filter(|(needed, _)| **needed) {
        let Knowledge::Known { outline, bytes, .. } = known else { continue };
        let outputs = outline.outputs.iter().zip(bytes);
        let there = outputs.filter(|(output, bytes)| output.inline.is_none() && **bytes == Bytes::Present);
        used.extend(there.map(|(output, _)| (output.object, output.bytes)));
    }
    store.note_uses(&used);
}

struct Schedule<'a> {
    request: &'a Request<'a>,
    resolver: &'a Resolver<'a>,
    state: Mutex<State<'a>>,
    wake: Condvar,
    on_the_way: OnTheWay,
    started: Instant,
}

/// A worker, until it ends, however it does.
struct Working<'s, 'a>(&'s Schedule<'a>);

impl Drop for Working<'_, '_> {
    fn drop(&mut self) {
        self.0.lock().workers -= 1;
        self.0.wake.notify_all();
    }
}

impl<'a> Schedule<'a> {
    fn lock(&self) -> MutexGuard<'_, State<'a>> {
        // A worker that panicked left the state whole: it is changed only after a stage has ended.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// One worker: takes stages until none is left, and hands on what they made.
    fn work(&self, number: usize, report: &(dyn Fn(Event) + Sync)) {
        let _working = Working(self);
        let Request { graph, store, environment, cancel, .. } = *self.request;
        let (resolver, on_the_way) = (self.resolver, &self.on_the_way);
        let cancelled = || cancel.load(Ordering::Relaxed);
        let watched = |event: Event| {
            if let Event::Progress { stage, done, .. } = event {
                self.progressed(stage, done);
            }
            report(event);
        };
        let report: &(dyn Fn(Event) + Sync) = &watched;
        let context = Context { graph, store, on_the_way, resolver, environment, report, cancelled: &cancelled };
        let mut worker = Worker::new(self.request.device.clone(), graph.policy, number);
        let mut last = None;
        while let Some(job) = self.take(number, last) {
            let result = context.execute(&mut worker, &job);
            last = Some(job.stage);
            if let Err(EngineError::Stage { source, .. }) = &result
                && source.is_out_of_memory()
                && self.makes_room(job.stage)
            {
                // Others need the memory; the stage is begun again when one of them has ended.
                worker = Worker::new(self.request.device.clone(), graph.policy, number);
                last = None;
                continue;
            }
            self.ended(job.stage, result, report);
        }
    }

    /// Stores what the workers make, until they have ended.
    fn keep(&self, report: &(dyn Fn(Event) + Sync)) {
        while let Some(made) = self.next_unstored() {
            let (id, seconds, before, known) = (made.stage, made.seconds, made.before.clone(), made.known());
            let stored = made.store(self.request.store, &self.on_the_way, report);
            let mut state = self.lock();
            let outcome = match stored {
                Ok(published) => {
                    state.computed += 1;
                    state.published.extend(published);
                    match divergence(&known) {
                        Some(message) => Outcome::Diverged(seconds, message),
                        None => Outcome::Computed(seconds),
                    }
                }
                Err(error) => {
                    let message = error.to_string();
                    state.errors.push(error);
                    let State { frontier, knowledge, .. } = &mut *state;
                    knowledge[id] = before;
                    frontier.take(id);
                    frontier.learned(id, knowledge);
                    Outcome::Failed(message)
                }
            };
            report(Event::Ended { stage: id, outcome });
            self.wake.notify_all();
        }
    }

    /// Notes how far a stage is.
    fn progressed(&self, id: StageId, done: f64) {
        let mut state = self.lock();
        let now = done * cost::flops(self.request.graph, id);
        let before = state.progress.insert(id, now).unwrap_or_default();
        let running = state.running;
        let limit = state.packing.limit();
        let room = || stages::has_room(self.request.device, running);
        state.packing.done(now - before, running, self.started.elapsed().as_secs_f64(), room);
        if state.packing.limit() > limit {
            self.wake.notify_all();
        }
    }

    /// Puts back a stage for which the device had no room, if fewer at a time can help.
    fn makes_room(&self, id: StageId) -> bool {
        let mut state = self.lock();
        let running = state.running;
        if !state.packing.out_of_memory(running) {
            return false;
        }
        state.running -= 1;
        state.frontier.put_back(id);
        state.progress.remove(&id);
        self.wake.notify_all();
        true
    }

    /// What is to be stored next; waits for it. Nothing once all workers have ended.
    fn next_unstored(&self) -> Option<Box<Unstored>> {
        let mut state = self.lock();
        loop {
            if let Some(made) = state.unstored.pop_front() {
                // A worker may wait for the place.
                self.wake.notify_all();
                return Some(made);
            }
            if state.workers == 0 {
                return None;
            }
            state = self.wake.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        }
    }

    /// The next job for a worker that ran `last`; waits for one. Nothing if there will be none. Of the workers those with
    /// low numbers come first.
    fn take(&self, number: usize, last: Option<StageId>) -> Option<Job> {
        let mut state = self.lock();
        loop {
            let stop =
                self.request.cancel.load(Ordering::Relaxed) || (!state.errors.is_empty() && !self.request.keep_going);
            if stop {
                return None;
            }
            if state.unstored.len() < UNSTORED {
                let limit = state.packing.limit();
                match self.ready(&mut state, last) {
                    Some(job) if number < limit && state.running < limit => {
                        state.running += 1;
                        state.frontier.take(job.stage);
                        return Some(job);
                    }
                    None if state.running == 0 && state.elsewhere.is_empty() => return None,
                    _ => {}
                }
            }
            state = match self.wake.wait_timeout(state, ASK_AGAIN) {
                Ok((state, _)) => state,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Of the stages that can start the one to start: the next segment of the run that this worker has
    /// on its device, else the one with the most work behind it.
    fn ready(&self, state: &mut State<'_>, last: Option<StageId>) -> Option<Job> {
        let State { frontier, knowledge, elsewhere, .. } = &*state;
        let is_asked = |id: &StageId| elsewhere.get(id).is_none_or(|asked| asked.elapsed() >= ASK_AGAIN);
        let continues = |id: &StageId| {
            let stage = &self.request.graph.stages[*id];
            let weights = stage.inputs.iter().find(|input| input.role == "weights");
            matches!(stage.work, Work::Train(_)) && weights.map(|input| input.stage) == last
        };
        let next = last.and_then(|last| {
            let ready = frontier.readers(last).iter().copied().filter(|&id| frontier.is_ready(id));
            ready.filter(is_asked).filter(continues).min_by_key(|&id| frontier.rank(id))
        });
        let stage = next.or_else(|| frontier.ready().find(is_asked))?;
        let reason = frontier.reason(stage, knowledge)?;
        match self.resolver.inputs(stage, &state.knowledge) {
            Ok(Some(inputs)) => Some(Job { stage, reason, known: state.knowledge[stage].clone(), inputs }),
            Ok(None) => None,
            Err(error) => {
                state.frontier.take(stage);
                state.errors.push(error);
                None
            }
        }
    }

    /// Takes in what became of a stage; what it made is left to be stored, and its readers may start meanwhile.
    fn ended(&self, id: StageId, result: Result<Executed, EngineError>, report: &(dyn Fn(Event) + Sync)) {
        let mut state = self.lock();
        state.running -= 1;
        state.progress.remove(&id);
        if result.is_ok() {
            state.frontier.put_back(id);
        }
        let end = |outcome| report(Event::Ended { stage: id, outcome });
        match result {
            Ok(Executed::Elsewhere) => {
                if state.elsewhere.insert(id, Instant::now()).is_none() {
                    report(Event::Elsewhere(id));
                }
            }
            Ok(Executed::Made(unstored)) => {
                self.on_the_way.begin(&unstored);
                self.learn(&mut state, id, unstored.known(), report);
                // Before a reader can start: it is stored after this one.
                state.unstored.push_back(unstored);
            }
            Ok(Executed::Cached(known)) => {
                end(Outcome::Cached);
                self.learn(&mut state, id, known, report);
            }
            Err(error) => {
                if !matches!(error, EngineError::Interrupted) {
                    end(Outcome::Failed(error.to_string()));
                    state.errors.push(error);
                }
            }
        }
        self.wake.notify_all();
    }

    /// Takes in what is now known about a stage: its readers can be keyed, and may turn out to be known.
    fn learn(&self, state: &mut State<'_>, id: StageId, known: Knowledge, report: &(dyn Fn(Event) + Sync)) {
        let State { frontier, knowledge, elsewhere, errors, .. } = state;
        elsewhere.remove(&id);
        knowledge[id] = known;
        frontier.learned(id, knowledge);
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let is_known = |stage: StageId| matches!(knowledge[stage], Knowledge::Known { .. });
            let waits = |reader: StageId| matches!(knowledge[reader], Knowledge::Waits);
            let can_be_keyed =
                |reader: StageId| self.request.graph.stages[reader].inputs.iter().all(|i| is_known(i.stage));
            let readers = frontier.readers(id).iter().copied();
            let readers: Vec<StageId> = readers.filter(|&reader| waits(reader) && can_be_keyed(reader)).collect();
            for reader in readers {
                match self.resolver.look(reader, knowledge) {
                    Ok(found) => {
                        if matches!(found, Knowledge::Known { .. }) {
                            report(Event::Ended { stage: reader, outcome: Outcome::Cached });
                            open.push(reader);
                        }
                        knowledge[reader] = found;
                        frontier.learned(reader, knowledge);
                    }
                    Err(error) => errors.push(error),
                }
            }
        }
    }
}
