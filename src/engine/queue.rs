//! Decides which stage runs next and handles the results of stages. This module does not use threads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::EngineError;
use super::duty::Duty;
use super::events::{Event, Outcome};
use super::execute::{Executed, Job};
use super::frontier::Frontier;
use super::packing::Packing;
use super::request::divergence;
use super::resolve::Resolver;
use super::waiting::Waiting;
use super::write_queue::Unstored;
use crate::cost;
use crate::graph::{Graph, StageId};
use crate::plan::Knowledge;
use base::digest::{RecordDigest, StageKey};
use base::work::{Precision, Work};

/// Longest time for looking for what other processes have computed, since the other workers of this process wait.
const LOOKING: Duration = Duration::from_millis(100);

/// Number of computed stages that may wait to be stored before workers wait, too.
const UNSTORED: usize = 4;

/// Receives events.
pub type Tell<'a> = &'a (dyn Fn(Event) + Sync);

/// What a worker does next.
pub enum Next {
    /// Run a stage.
    Job(Box<Job>),
    /// Wait: a stage may become ready when another one ends, another process is done, or time passes.
    Wait,
    /// End: no stage will become ready.
    Nothing,
}

/// A running stage.
#[derive(Debug)]
struct Running {
    key: StageKey,
    /// Its progress in operations.
    done: f64,
    /// Maximum number of stages that ran in parallel since it began, including itself.
    most: usize,
}

/// The stages that have to run, the running ones, and the results of the others.
pub struct Queue<'a> {
    graph: &'a Graph,
    resolver: &'a Resolver<'a>,
    duty: &'a dyn Duty,
    frontier: Frontier<'a>,
    packing: Packing,
    /// Whether to continue with stages that do not depend on a failed one.
    keep_going: bool,
    running: BTreeMap<StageId, Running>,
    /// Keys that this process has claimed. Stages with the same work and inputs share a key and wait for each other.
    claimed: BTreeSet<StageKey>,
    /// Stages that were put back because of a temporary failure.
    forgiven: BTreeSet<StageId>,
    /// Stages that another process was running at the last attempt to claim them.
    elsewhere: Waiting,
    /// When this process last did anything but wait.
    idle_since: Instant,
    /// Computed outputs that have to be stored, in the order in which they were made.
    unstored: VecDeque<Box<Unstored>>,
    /// What is known about every stage.
    pub knowledge: Vec<Knowledge>,
    /// Number of computed stages.
    pub computed: usize,
    /// The new records.
    pub published: Vec<RecordDigest>,
    /// Whether stages were left to other processes.
    pub left: bool,
    /// The errors, in order.
    pub errors: Vec<EngineError>,
}

impl<'a> Queue<'a> {
    /// Creates the queue of a plan from its initial frontier and knowledge.
    pub fn new(
        (graph, resolver, duty): (&'a Graph, &'a Resolver<'a>, &'a dyn Duty),
        frontier: Frontier<'a>,
        knowledge: Vec<Knowledge>,
        packing: Packing,
        (keep_going, ask_again): (bool, Duration),
    ) -> Self {
        Self {
            graph,
            resolver,
            duty,
            frontier,
            packing,
            keep_going,
            running: BTreeMap::new(),
            claimed: BTreeSet::new(),
            forgiven: BTreeSet::new(),
            elsewhere: Waiting::new(ask_again),
            idle_since: Instant::now(),
            unstored: VecDeque::new(),
            knowledge,
            computed: 0,
            published: Vec::new(),
            left: false,
            errors: Vec::new(),
        }
    }

    /// Decides what a worker does next; `last` is the stage that it ran most recently. Workers with low numbers take precedence.
    pub fn next(&mut self, number: usize, last: Option<StageId>, tell: Tell<'_>) -> Next {
        self.look_elsewhere(tell);
        loop {
            let is_stopped = !self.errors.is_empty() && !self.keep_going;
            if is_stopped || self.left || (self.running.is_empty() && self.frontier.ready().next().is_none()) {
                return Next::Nothing;
            }
            let limit = self.packing.limit();
            if self.unstored.len() >= UNSTORED || number >= limit || self.running.len() >= limit {
                return Next::Wait;
            }
            let Some(stage) = self.choose(last) else {
                self.left |= self.is_over();
                return if self.left { Next::Nothing } else { Next::Wait };
            };
            match self.job(stage) {
                Ok(Some(job)) => {
                    self.frontier.take(stage);
                    self.claimed.insert(job.key);
                    self.elsewhere.claims(stage, Instant::now());
                    let most = self.running.len() + 1;
                    self.running.insert(stage, Running { key: job.key, done: 0.0, most });
                    self.running.values_mut().for_each(|beside| beside.most = beside.most.max(most));
                    return Next::Job(Box::new(job));
                }
                // The inputs have changed since the stage was looked up.
                Ok(None) => self.look(stage, tell),
                Err(error) => self.fails(stage, error, tell),
            }
        }
    }

    /// Chooses the stage to start: the next segment of the training run that this worker has on its device, or else the
    /// ready stage with the greatest height.
    fn choose(&self, last: Option<StageId>) -> Option<StageId> {
        let frontier = &self.frontier;
        let is_free = |&id: &StageId| {
            let is_ours = key(&self.knowledge[id]).is_some_and(|key| self.claimed.contains(&key));
            !is_ours && self.fits(id) && self.goes_beside(id)
        };
        let is_new = |id: &StageId| is_free(id) && !self.elsewhere.contains(*id);
        let continues = |id: &StageId| {
            let stage = &self.graph.stages[*id];
            let weights = stage.inputs.iter().find(|input| input.role == "weights");
            matches!(stage.work, Work::Train(_)) && weights.map(|input| input.stage) == last
        };
        let next = last.and_then(|last| {
            let ready = frontier.readers(last).iter().copied().filter(|&id| frontier.is_ready(id));
            ready.filter(is_new).filter(continues).min_by_key(|&id| frontier.rank(id))
        });
        // One that another process may have left can be more important than one that was never tried.
        let new = || frontier.ready().find(is_new);
        let due = || {
            let mut stages = self.elsewhere.to_claim(Instant::now()).into_iter();
            stages.find(|id| frontier.is_ready(*id) && is_free(id))
        };
        next.or_else(|| due().into_iter().chain(new()).min_by_key(|&id| frontier.rank(id)))
    }

    /// Returns whether a stage can run in parallel with the running ones. TF32 is a setting of the whole process, so all
    /// running stages that use libtorch must agree on it. A worker that took another stage would block inside it while
    /// holding its claim.
    fn goes_beside(&self, id: StageId) -> bool {
        let tf32 = |id: StageId| {
            let work = &self.graph.stages[id].work;
            work.needs_torch().then(|| work.precision() == Precision::Tf32)
        };
        tf32(id).is_none_or(|wanted| self.running.keys().filter_map(|&id| tf32(id)).all(|held| held == wanted))
    }

    /// Checks whether this process can start a stage now.
    fn fits(&self, id: StageId) -> bool {
        // A stage without a key is looked up first.
        key(&self.knowledge[id]).is_none_or(|key| self.duty.fits(id, &key))
    }

    /// Checks whether this process should end although stages have to run: it runs none, and only other processes can
    /// run those that are ready. It waits a while for them if they run stages now, since these can make more ready.
    fn is_over(&self) -> bool {
        let (mut ready, mut others) = (self.frontier.ready(), 0);
        let is_theirs = |id: StageId| {
            others += usize::from(self.elsewhere.contains(id));
            self.elsewhere.contains(id) || !self.fits(id)
        };
        self.running.is_empty()
            && self.claimed.is_empty()
            && ready.all(is_theirs)
            && (others == 0 || self.idle_since.elapsed() >= self.duty.patience())
    }

    /// Looks for the records of stages that other processes compute, for a short time.
    fn look_elsewhere(&mut self, tell: Tell<'_>) {
        let now = Instant::now();
        for id in self.elsewhere.to_look_for(now) {
            if now.elapsed() > LOOKING {
                break;
            }
            self.elsewhere.looked_for(id, now);
            // Whether bytes were restored is seen once the stage is claimed, and so is an error.
            if let Ok(known @ Knowledge::Known { .. }) = self.resolver.look(id, &self.knowledge)
                && matches!(self.knowledge[id], Knowledge::Absent { .. })
                && self.frontier.is_ready(id)
            {
                tell(Event::Ended { stage: id, outcome: Outcome::Cached });
                self.learn(id, known, tell);
            }
        }
    }

    /// Returns the job of a stage, or `None` if what is known about the stage is out of date.
    fn job(&self, stage: StageId) -> Result<Option<Job>, EngineError> {
        let known = self.knowledge[stage].clone();
        let reason = self.frontier.reason(stage, &self.knowledge);
        let (Some(reason), Some(inputs)) = (reason, self.resolver.inputs(stage, &self.knowledge)?) else {
            return Ok(None);
        };
        let parts = self.resolver.parts(stage, &inputs)?;
        let own = parts.key();
        if key(&known) != Some(own) {
            return Ok(None);
        }
        let demanded = self.frontier.demanded(stage);
        Ok(Some(Job { stage, reason, known, inputs, parts, key: own, demanded }))
    }

    /// Notes the progress of a stage; returns whether the limit has risen. `room` gets the number of running stages and says
    /// whether the device has room for another one like them.
    pub fn progressed(&mut self, id: StageId, done: f64, now: f64, room: impl FnOnce(usize) -> bool) -> bool {
        let limit = self.packing.limit();
        let running = self.running.len();
        if let Some(stage) = self.running.get_mut(&id) {
            let done = done * cost::flops(self.graph, id);
            let more = done - std::mem::replace(&mut stage.done, done);
            self.packing.done(more, running, now, || room(running));
        }
        self.packing.limit() > limit
    }

    /// Puts back a stage that ran out of device memory, if running fewer stages in parallel can help; returns whether it
    /// did. If the cause is `passing`, that is temporary, the limit stays the same the first time.
    pub fn makes_room(&mut self, id: StageId, passing: bool) -> bool {
        let running = self.running.len();
        let helps = (passing && running > 1 && self.forgiven.insert(id)) || self.packing.out_of_memory(running);
        if helps {
            self.leaves(id);
            self.frontier.put_back(id);
        }
        helps
    }

    /// Puts back a stage that was computed while the device was short of memory, if others ran in parallel: libraries may
    /// have chosen other algorithms, which return different bits. From then on fewer stages run in parallel.
    pub fn repeats(&mut self, id: StageId) -> bool {
        let most = self.running.get(&id).map_or(1, |running| running.most);
        // Several stages can be put back for one shortage, and one of them has already lowered the limit.
        let again = self.packing.limit() < most || self.packing.out_of_memory(most);
        if again {
            self.leaves(id);
            self.frontier.put_back(id);
        }
        again
    }

    /// Removes a stage from the running ones and releases its key.
    fn leaves(&mut self, id: StageId) {
        if let Some(Running { key, .. }) = self.running.remove(&id) {
            self.claimed.remove(&key);
        }
    }

    /// Handles the result of a stage. Its outputs are queued to be stored, and its readers may start in the meantime.
    pub fn ended(&mut self, id: StageId, result: Result<Executed, EngineError>, tell: Tell<'_>) {
        // To find out that others are done is work too, but not to have waited for them.
        let waited = matches!(result, Ok(Executed::Elsewhere(_))) || self.elsewhere.contains(id);
        if !waited || matches!(result, Ok(Executed::Made(_))) {
            self.idle_since = Instant::now();
        }
        match result {
            Ok(Executed::Elsewhere(holder)) => {
                self.leaves(id);
                self.frontier.put_back(id);
                if self.elsewhere.failed(id, holder.as_ref(), Instant::now()) {
                    tell(Event::Elsewhere { stage: id, holder });
                }
            }
            Ok(Executed::Made(unstored)) => {
                // The key stays claimed until everything is stored.
                self.running.remove(&id);
                self.frontier.put_back(id);
                self.learn(id, unstored.known(), tell);
                // This comes before a reader can start, so that the reader is stored after this stage.
                self.unstored.push_back(unstored);
            }
            Ok(Executed::Cached(known)) => {
                self.leaves(id);
                self.frontier.put_back(id);
                tell(Event::Ended { stage: id, outcome: Outcome::Cached });
                self.learn(id, known, tell);
            }
            Err(error) => {
                self.leaves(id);
                self.fails(id, error, tell);
            }
        }
    }

    /// Returns the outputs to store next.
    pub fn next_unstored(&mut self) -> Option<Box<Unstored>> {
        self.unstored.pop_front()
    }

    /// Handles the result of storing the outputs of a stage.
    pub fn stored(&mut self, of: Stored, result: Result<Option<RecordDigest>, EngineError>, tell: Tell<'_>) {
        let Stored { stage, key, seconds, before, known } = of;
        self.claimed.remove(&key);
        match result {
            Ok(published) => {
                self.computed += 1;
                self.published.extend(published);
                let outcome = match divergence(&known) {
                    Some(message) => Outcome::Diverged(seconds, message),
                    None => Outcome::Computed(seconds),
                };
                tell(Event::Ended { stage, outcome });
            }
            Err(error) => {
                self.fails(stage, error, tell);
                self.learn(stage, before, tell);
            }
        }
    }

    /// Gives a stage up for good.
    fn fails(&mut self, id: StageId, error: EngineError, tell: Tell<'_>) {
        self.frontier.take(id);
        self.elsewhere.remove(id);
        if !matches!(error, EngineError::Interrupted) {
            tell(Event::Ended { stage: id, outcome: Outcome::Failed(error.to_string()) });
            self.errors.push(error);
        }
    }

    /// Handles new knowledge about a stage. The keys of its readers can now be computed, and their outputs may turn out to
    /// be known. If the outputs differ from the record, the keys of the readers change.
    fn learn(&mut self, id: StageId, known: Knowledge, tell: Tell<'_>) {
        self.elsewhere.remove(id);
        let mut open = vec![(id, self.note(id, known))];
        while let Some((id, before)) = open.pop() {
            let is_other = is_other(&before, &self.knowledge[id]);
            for reader in self.frontier.readers(id).to_vec() {
                if !is_other && !matches!(self.knowledge[reader], Knowledge::Waits) {
                    continue;
                }
                match self.resolver.look(reader, &self.knowledge) {
                    Ok(Knowledge::Waits) if matches!(self.knowledge[reader], Knowledge::Waits) => {}
                    Ok(found) => {
                        if is_known(&found) && !is_known(&self.knowledge[reader]) {
                            tell(Event::Ended { stage: reader, outcome: Outcome::Cached });
                        }
                        open.push((reader, self.note(reader, found)));
                    }
                    Err(error) => self.fails(reader, error, tell),
                }
            }
        }
    }

    /// Notes what is known about a stage; returns what was known before.
    fn note(&mut self, id: StageId, known: Knowledge) -> Knowledge {
        let before = std::mem::replace(&mut self.knowledge[id], known);
        self.frontier.learned(id, &self.knowledge);
        before
    }

    /// Looks up a stage again because its knowledge is out of date.
    fn look(&mut self, id: StageId, tell: Tell<'_>) {
        match self.resolver.look(id, &self.knowledge) {
            Ok(Knowledge::Waits) => {
                let stage = self.graph.stages[id].name.clone();
                self.fails(id, EngineError::NotMade(stage), tell);
            }
            Ok(found) => self.learn(id, found, tell),
            Err(error) => self.fails(id, error, tell),
        }
    }
}

/// The facts about a stage that are needed once its outputs are stored.
#[derive(Debug)]
pub struct Stored {
    /// The stage.
    pub stage: StageId,
    /// Its key.
    pub key: StageKey,
    /// Duration of the computation in seconds.
    pub seconds: f64,
    /// What was known about it before.
    pub before: Knowledge,
    /// What is known about it now.
    pub known: Knowledge,
}

impl Stored {
    /// Returns the facts about outputs that are about to be stored.
    pub fn of(made: &Unstored) -> Self {
        let (stage, seconds, before, known) = (made.stage, made.seconds, made.before.clone(), made.known());
        Self { stage, key: made.record.parts.key(), seconds, before, known }
    }
}

fn key(known: &Knowledge) -> Option<StageKey> {
    match known {
        Knowledge::Waits => None,
        Knowledge::Absent { key, .. } | Knowledge::Known { key, .. } => Some(*key),
    }
}

fn is_known(known: &Knowledge) -> bool {
    matches!(known, Knowledge::Known { .. })
}

/// Returns whether keys of readers that were computed from the earlier knowledge are no longer valid.
fn is_other(before: &Knowledge, now: &Knowledge) -> bool {
    match (before, now) {
        (Knowledge::Known { outline: before, .. }, Knowledge::Known { outline: now, .. }) => !before.same_outputs(now),
        (Knowledge::Known { .. }, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Everything, Indifferent};
    use crate::graph::Stage;
    use crate::plan::plan;
    use base::work::{Loss, Model, ModelName, NoiseScale, NormStatistics};
    use store::Store;

    /// Calls `attempt` with a queue of six stages, whose precisions alternate as given and which may all run in parallel.
    fn with_queue(precisions: &[Precision], attempt: impl FnOnce(Queue<'_>)) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let model = Model::new(ModelName::PreactResnet18, 1, 10);
        let loss = Loss { model, images: 1, batch: 1, statistics: NormStatistics::Running };
        let stage = |(seed, &precision)| {
            let work = NoiseScale { loss, draws: None, precision, after: 1, seed };
            Stage { name: seed.to_string(), work: Work::NoiseScale(work), inputs: Vec::new() }
        };
        let stages = (0..6).zip(precisions.iter().cycle()).map(stage).collect();
        let graph = Graph { stages, ..Graph::default() };
        let resolver = Resolver::new(&store, &graph, &Indifferent);
        let (targets, closure) = ([0, 1, 2, 3, 4, 5], [true; 6]);
        let knowledge = resolver.all(&closure).unwrap();
        let first = plan(&graph, &targets, &knowledge);
        let frontier = Frontier::new(&graph, &targets, &closure, &first, 0);
        attempt(Queue::new(
            (&graph, &resolver, &Everything),
            frontier,
            knowledge,
            Packing::fixed(6),
            (true, Duration::ZERO),
        ));
    }

    /// Takes all stages that may start now.
    fn taken(queue: &mut Queue<'_>) -> Vec<StageId> {
        let next = || match queue.next(0, None, &|_| {}) {
            Next::Job(job) => Some(job.stage),
            _ => None,
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn tf32_and_ieee_stages_take_turns() {
        with_queue(&[Precision::Fp32, Precision::Tf32], |mut queue| {
            for turn in 0..2 {
                let begun = taken(&mut queue);
                assert_eq!(begun.len(), 3, "turn {turn}: {begun:?}");
                assert!(begun.iter().all(|id| id % 2 == begun[0] % 2), "turn {turn}: {begun:?}");
                assert!(turn == 1 || matches!(queue.next(0, None, &|_| {}), Next::Wait));
                for id in begun {
                    queue.ended(id, Err(EngineError::Interrupted), &|_| {});
                }
            }
        });
    }

    #[test]
    fn what_passes_by_itself_is_forgiven_once_and_a_shortage_counts_once() {
        with_queue(&[Precision::Fp32], |mut queue| {
            assert_eq!(taken(&mut queue).len(), 6);
            // Six may run again: memory that could not be freed while a step was recorded is available now.
            assert!(queue.makes_room(0, true) && queue.packing.limit() == 6);
            assert_eq!(taken(&mut queue), [0]);
            assert!(queue.makes_room(0, true) && queue.packing.limit() == 5);
            // All stages that ran in parallel at that time are repeated, and the limit drops by one in total.
            assert!((1..6).all(|id| queue.repeats(id)) && queue.packing.limit() == 5);
            assert_eq!(taken(&mut queue).len(), 5);
            assert!(queue.repeats(0) && queue.packing.limit() == 4);
        });
        with_queue(&[Precision::Fp32], |mut queue| {
            queue.packing = Packing::fixed(1);
            assert_eq!(taken(&mut queue).len(), 1);
            assert!(!queue.repeats(0) && !queue.makes_room(0, true), "repeating it alone changes nothing");
        });
    }
}
