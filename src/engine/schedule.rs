//! The threads: workers that run stages, and one thread that stores their outputs.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use super::EngineError;
use super::events::Event;
use super::execute::{Context, Executed, Job, Runner};
use super::frontier::Frontier;
use super::live::Live;
use super::packing::Packing;
use super::queue::{Next, Queue, Stored, Tell};
use super::request::{Request, Summary};
use super::resolve::Resolver;
use super::write_queue::{OnTheWay, Unstored};
use crate::graph::StageId;
use crate::plan::{Bytes, Knowledge, plan};
use crate::stages::{self, Notes, Worker};
use store::Store;

/// Time from the first attempt to claim a stage that another process is running to the second, and between checks whether
/// to stop.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Longest time until new values of running stages are passed on.
const LOOK: Duration = Duration::from_millis(200);

/// Creates the runners and threads.
struct Crew<'a> {
    /// Creates the runner of the worker with a given number.
    runner: &'a (dyn Fn(usize) -> Box<dyn Runner + 'a> + Sync),
    /// Creates the threads.
    thread: &'a (dyn Fn() -> Builder + Sync),
    ask_again: Duration,
}

/// Makes the targets and passes events to `on_event`, on the calling thread.
///
/// # Errors
/// If the store cannot be read at the start, or no thread can be started. The summary lists later errors.
pub fn make(request: &Request<'_>, on_event: &mut dyn FnMut(Event)) -> Result<Summary, EngineError> {
    let runner =
        |number| -> Box<dyn Runner> { Box::new(Worker::new(request.device.clone(), request.graph.policy, number)) };
    make_with(request, &Crew { runner: &runner, thread: &Builder::new, ask_again: ASK_AGAIN }, on_event)
}

fn make_with(request: &Request<'_>, crew: &Crew<'_>, on_event: &mut dyn FnMut(Event)) -> Result<Summary, EngineError> {
    let Request { graph, targets, store, preference, .. } = *request;
    let resolver = Resolver::new(store, graph, preference);
    let closure = graph.closure(targets);
    let knowledge = resolver.all(&closure)?;
    let first = plan(graph, targets, &knowledge);
    let total = closure.iter().filter(|needed| **needed).count();
    if first.run.iter().any(|run| graph.stages[run.stage].work.needs_torch()) {
        // This must happen while there is only one thread, so before the first claim, which starts another.
        stages::prepare(graph.policy).map_err(EngineError::Policy)?;
    }
    on_event(Event::Planned(first.clone()));
    if first.run.is_empty() {
        note_uses(store, &closure, &knowledge);
        let several = resolver.several();
        return Ok(Summary { total, cached: known(&closure, &knowledge), knowledge, several, ..Summary::default() });
    }
    let workers = request.jobs.get().min(first.run.len());
    let packing = if request.grow { Packing::growing(workers) } else { Packing::fixed(workers) };
    let frontier = Frontier::new(graph, targets, &closure, &first, request.duty.shuffle());
    let queue = Queue::new(
        (graph, &resolver, request.duty),
        frontier,
        knowledge,
        packing,
        (request.keep_going, crew.ask_again),
    );
    let schedule = Schedule {
        request,
        crew,
        resolver: &resolver,
        shared: Mutex::new(Shared { queue, workers }),
        wake: Condvar::new(),
        is_stopped: AtomicBool::new(false),
        on_the_way: OnTheWay::default(),
        live: Live::default(),
        started: Instant::now(),
    };
    schedule.run(workers, on_event)?;
    let Shared { queue, .. } = schedule.shared.into_inner().unwrap_or_else(PoisonError::into_inner);
    let Queue { knowledge, computed, published, left, errors, .. } = queue;
    let cached = known(&closure, &knowledge).saturating_sub(computed);
    let several = resolver.several();
    note_uses(store, &closure, &knowledge);
    Ok(Summary { total, cached, computed, knowledge, published, several, left, errors })
}

/// Counts the needed stages whose outputs are known.
fn known(closure: &[bool], knowledge: &[Knowledge]) -> usize {
    let needed = closure.iter().zip(knowledge).filter(|(needed, _)| **needed);
    needed.filter(|(_, known)| matches!(known, Knowledge::Known { .. })).count()
}

/// Marks all outputs in the closure of the targets whose bytes are present as in use.
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

/// The state that the threads share.
struct Shared<'a> {
    queue: Queue<'a>,
    /// Workers that have not ended.
    workers: usize,
}

struct Schedule<'a, 'c> {
    request: &'a Request<'a>,
    crew: &'a Crew<'c>,
    resolver: &'a Resolver<'a>,
    shared: Mutex<Shared<'a>>,
    wake: Condvar,
    /// Whether all threads should end, since one of them panicked or nobody receives the events any more.
    is_stopped: AtomicBool,
    on_the_way: OnTheWay,
    live: Live,
    started: Instant,
}

/// Guard of a participating thread; dropping it signs the thread off, also after a panic.
struct Part<'s, 'a, 'c> {
    schedule: &'s Schedule<'a, 'c>,
    is_worker: bool,
}

impl Drop for Part<'_, '_, '_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.schedule.is_stopped.store(true, Ordering::Relaxed);
        }
        if self.is_worker {
            self.schedule.lock().workers -= 1;
        }
        self.schedule.wake.notify_all();
    }
}

impl<'a> Schedule<'a, '_> {
    /// Runs the threads until they end.
    fn run(&self, workers: usize, on_event: &mut dyn FnMut(Event)) -> Result<(), EngineError> {
        let (sender, events) = mpsc::channel();
        let tell = |sender: &mpsc::Sender<Event>| {
            let sender = sender.clone();
            move |event| drop(sender.send(event))
        };
        thread::scope(|scope| {
            let _part = Part { schedule: self, is_worker: false };
            let teller = tell(&sender);
            let keeper = (self.crew.thread)().spawn_scoped(scope, move || self.keep(&teller));
            let mut threads = vec![keeper.map_err(EngineError::Threads)?];
            let mut refused = None;
            for number in 0..workers {
                let teller = tell(&sender);
                match (self.crew.thread)().spawn_scoped(scope, move || self.work(number, &teller)) {
                    Ok(thread) => threads.push(thread),
                    Err(error) => {
                        refused = Some(error);
                        break;
                    }
                }
            }
            drop(sender);
            let started = threads.len() - 1;
            if started < workers {
                self.lock().workers -= workers - started;
                self.wake.notify_all();
            }
            loop {
                let event = events.recv_timeout(LOOK);
                // The last values of a stage come before the event that it has ended.
                for (stage, reading, rows) in self.live.take() {
                    on_event(Event::Progress { stage, reading: Box::new(reading), rows });
                }
                match event {
                    Ok(event) => on_event(event),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            for panic in threads.into_iter().filter_map(|thread| thread.join().err()) {
                let (stage, message) = ("the scheduler".to_owned(), message(&*panic));
                self.lock().queue.errors.push(EngineError::Panicked { stage, message });
            }
            match refused {
                // Fewer workers suffice.
                Some(error) if started == 0 => Err(EngineError::Threads(error)),
                _ => Ok(()),
            }
        })
    }

    fn lock(&self) -> MutexGuard<'_, Shared<'a>> {
        // After a panic inside the lock all threads end, and only the results are read from the queue.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed) || self.request.cancel.load(Ordering::Relaxed)
    }

    /// Runs one worker: takes stages until none is left, and passes on their outputs.
    fn work(&self, number: usize, tell: Tell<'_>) {
        let _part = Part { schedule: self, is_worker: true };
        let Request { graph, store, duty, environment, .. } = *self.request;
        let context = Context {
            graph,
            store,
            on_the_way: &self.on_the_way,
            resolver: self.resolver,
            duty,
            environment,
            report: tell,
            progressed: &|stage, done| self.progressed(stage, done),
            live: &self.live,
            cancelled: &|| self.is_stopped(),
        };
        let mut runner = (self.crew.runner)(number);
        let mut last = None;
        while let Some(job) = self.take(number, last, tell) {
            let ended = catch_unwind(AssertUnwindSafe(|| context.execute(&mut *runner, &job)));
            let result = ended.unwrap_or_else(|panic| {
                let (stage, message) = (graph.stages[job.stage].name.clone(), message(&*panic));
                let error = EngineError::Panicked { stage, message };
                duty.fails(job.stage, &job.key, &error);
                Err(error)
            });
            last = Some(job.stage);
            let failure = if let Err(EngineError::Stage { source, .. }) = &result { Some(source) } else { None };
            let out_of_memory = failure.is_some_and(|source| source.is_out_of_memory());
            let passing = failure.is_some_and(|source| source.is_passing());
            let notes =
                if let Ok(Executed::Made(unstored)) = &result { unstored.notes.clone() } else { Notes::default() };
            if let Some(reason) = notes.one_by_one {
                tell(Event::OneByOne { stage: job.stage, reason });
            }
            if out_of_memory || matches!(result, Err(EngineError::Panicked { .. })) {
                // A new runner releases the old one's device memory and any state that a panic left inconsistent.
                runner = (self.crew.runner)(number);
                last = None;
            }
            let mut shared = self.lock();
            // Other stages need the memory; this one starts again after one of them has ended.
            let waits = out_of_memory && shared.queue.makes_room(job.stage, passing);
            if let (true, false, Err(error)) = (out_of_memory, waits, &result) {
                duty.fails(job.stage, &job.key, error);
            }
            let again = notes.was_short && shared.queue.repeats(job.stage);
            if again {
                // This releases the key and discards the outputs.
                drop(result);
                tell(Event::Again(job.stage));
            } else if !waits {
                if let Ok(Executed::Made(unstored)) = &result {
                    self.on_the_way.begin(unstored);
                }
                shared.queue.ended(job.stage, result, tell);
            }
            drop(shared);
            self.wake.notify_all();
        }
    }

    /// Waits for the next job of the worker that last ran `last`; returns `None` if there will be none.
    fn take(&self, number: usize, last: Option<StageId>, tell: Tell<'_>) -> Option<Box<Job>> {
        let mut shared = self.lock();
        loop {
            if self.is_stopped() {
                return None;
            }
            match shared.queue.next(number, last, tell) {
                Next::Job(job) => return Some(job),
                Next::Nothing => return None,
                Next::Wait => {}
            }
            shared = match self.wake.wait_timeout(shared, self.crew.ask_again) {
                Ok((shared, _)) => shared,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }

    /// Notes the progress of a stage.
    fn progressed(&self, id: StageId, done: f64) {
        let now = self.started.elapsed().as_secs_f64();
        let room = |running| stages::has_room(self.request.device, running);
        if self.lock().queue.progressed(id, done, now, room) {
            self.wake.notify_all();
        }
    }

    /// Stores the workers' outputs until the workers have ended.
    fn keep(&self, tell: Tell<'_>) {
        let _part = Part { schedule: self, is_worker: false };
        while let Some(made) = self.next_unstored() {
            let of = Stored::of(&made);
            let stored = catch_unwind(AssertUnwindSafe(|| made.store(self.request.store, &self.on_the_way, tell)));
            let result = stored.unwrap_or_else(|panic| {
                let (stage, message) = (self.request.graph.stages[of.stage].name.clone(), message(&*panic));
                Err(EngineError::Panicked { stage, message })
            });
            self.lock().queue.stored(of, result, tell);
            self.wake.notify_all();
        }
    }

    /// Waits for the next outputs to store; returns `None` once all workers have ended.
    fn next_unstored(&self) -> Option<Box<Unstored>> {
        let mut shared = self.lock();
        loop {
            if let Some(made) = shared.queue.next_unstored() {
                // A worker may be waiting for space in the queue.
                self.wake.notify_all();
                return Some(made);
            }
            if shared.workers == 0 {
                return None;
            }
            shared = self.wake.wait(shared).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no reason given").to_owned()
}

#[cfg(test)]
mod tests;
