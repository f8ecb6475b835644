//! Which stage runs next, and what follows from how a stage ended. It knows nothing of threads.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::EngineError;
use super::events::{Event, Outcome};
use super::execute::{Executed, Job};
use super::frontier::Frontier;
use super::packing::Packing;
use super::request::divergence;
use super::resolve::Resolver;
use super::write_queue::Unstored;
use crate::cost;
use crate::graph::{Graph, StageId};
use crate::plan::Knowledge;
use base::digest::{RecordDigest, StageKey};
use base::work::{Precision, Work};

/// So many stages may be computed and wait to be stored; then workers wait, too.
const UNSTORED: usize = 4;

/// Takes events.
pub type Tell<'a> = &'a (dyn Fn(Event) + Sync);

/// What a worker does next.
pub enum Next {
    /// It runs a stage.
    Job(Box<Job>),
    /// It waits: a stage that ends, another process or time may bring something.
    Wait,
    /// It ends: there will be nothing more.
    Nothing,
}

/// A stage that runs.
#[derive(Debug)]
struct Running {
    key: StageKey,
    /// How far it is, in operations.
    done: f64,
    /// The most that ran at a time since it began, itself among them.
    most: usize,
}

/// The stages that have to run, those that run, and what has become of the others.
pub struct Queue<'a> {
    graph: &'a Graph,
    resolver: &'a Resolver<'a>,
    frontier: Frontier<'a>,
    packing: Packing,
    /// Whether to go on with what does not depend on a stage that failed.
    keep_going: bool,
    /// How often a stage that another process runs is asked for again.
    ask_again: Duration,
    running: BTreeMap<StageId, Running>,
    /// Keys that this process has claimed. Stages that read the same have the same key, and wait for each other.
    claimed: BTreeSet<StageKey>,
    /// Stages that were put back because of what passes by itself.
    forgiven: BTreeSet<StageId>,
    /// Stages that another process ran when they were last asked for, and when that was.
    elsewhere: BTreeMap<StageId, Instant>,
    /// What was made and is to be stored, in the order in which it was made.
    unstored: VecDeque<Box<Unstored>>,
    /// What is known about every stage.
    pub knowledge: Vec<Knowledge>,
    /// How many stages were computed.
    pub computed: usize,
    /// The records that came into being.
    pub published: Vec<RecordDigest>,
    /// What went wrong, in order.
    pub errors: Vec<EngineError>,
}

impl<'a> Queue<'a> {
    /// What a plan begins with: its frontier, and what is known.
    pub fn new(
        (graph, resolver): (&'a Graph, &'a Resolver<'a>),
        frontier: Frontier<'a>,
        knowledge: Vec<Knowledge>,
        packing: Packing,
        (keep_going, ask_again): (bool, Duration),
    ) -> Self {
        Self {
            graph,
            resolver,
            frontier,
            packing,
            keep_going,
            ask_again,
            running: BTreeMap::new(),
            claimed: BTreeSet::new(),
            forgiven: BTreeSet::new(),
            elsewhere: BTreeMap::new(),
            unstored: VecDeque::new(),
            knowledge,
            computed: 0,
            published: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// What a worker does that ran `last`. Of the workers those with low numbers come first.
    pub fn next(&mut self, number: usize, last: Option<StageId>, tell: Tell<'_>) -> Next {
        loop {
            let is_stopped = !self.errors.is_empty() && !self.keep_going;
            if is_stopped || (self.running.is_empty() && self.frontier.ready().next().is_none()) {
                return Next::Nothing;
            }
            let limit = self.packing.limit();
            if self.unstored.len() >= UNSTORED || number >= limit || self.running.len() >= limit {
                return Next::Wait;
            }
            let Some(stage) = self.choose(last) else { return Next::Wait };
            match self.job(stage) {
                Ok(Some(job)) => {
                    self.frontier.take(stage);
                    self.claimed.insert(job.key);
                    let most = self.running.len() + 1;
                    self.running.insert(stage, Running { key: job.key, done: 0.0, most });
                    self.running.values_mut().for_each(|beside| beside.most = beside.most.max(most));
                    return Next::Job(Box::new(job));
                }
                // What it reads is not what it was when the stage was looked at.
                Ok(None) => self.look(stage, tell),
                Err(error) => self.fails(stage, error, tell),
            }
        }
    }

    /// Of the stages that can start the one to start: the next segment of the run that this worker has on its device,
    /// else the one with the most work behind it.
    fn choose(&self, last: Option<StageId>) -> Option<StageId> {
        let frontier = &self.frontier;
        let is_free = |&id: &StageId| {
            let is_ours = key(&self.knowledge[id]).is_some_and(|key| self.claimed.contains(&key));
            !is_ours
                && self.goes_beside(id)
                && self.elsewhere.get(&id).is_none_or(|asked| asked.elapsed() >= self.ask_again)
        };
        let continues = |id: &StageId| {
            let stage = &self.graph.stages[*id];
            let weights = stage.inputs.iter().find(|input| input.role == "weights");
            matches!(stage.work, Work::Train(_)) && weights.map(|input| input.stage) == last
        };
        let next = last.and_then(|last| {
            let ready = frontier.readers(last).iter().copied().filter(|&id| frontier.is_ready(id));
            ready.filter(is_free).filter(continues).min_by_key(|&id| frontier.rank(id))
        });
        next.or_else(|| frontier.ready().find(is_free))
    }

    /// Whether a stage can be computed beside those that run: TF32 is a setting of the whole process, so of those that use
    /// libtorch all have it or none. A worker that took one of the others would wait within it, and so would its claim.
    fn goes_beside(&self, id: StageId) -> bool {
        let tf32 = |id: StageId| {
            let work = &self.graph.stages[id].work;
            work.needs_torch().then(|| work.precision() == Precision::Tf32)
        };
        tf32(id).is_none_or(|wanted| self.running.keys().filter_map(|&id| tf32(id)).all(|held| held == wanted))
    }

    /// A stage with all that it needs; nothing if it is known under another key than the one that it has.
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

    /// Notes how far a stage is; says whether more may run now. `room` says whether the device holds another stage like
    /// those that run, of which it is given the number.
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

    /// Puts back a stage for which the device had no room, if fewer at a time can help; or as many, once, if what kept the
    /// room is `passing`.
    pub fn makes_room(&mut self, id: StageId, passing: bool) -> bool {
        let running = self.running.len();
        let helps = (passing && running > 1 && self.forgiven.insert(id)) || self.packing.out_of_memory(running);
        if helps {
            self.leaves(id);
            self.frontier.put_back(id);
        }
        helps
    }

    /// Puts back a stage that was made while the device was short of memory, if others ran beside it: its bits may be those
    /// of another way to compute. From then on fewer run at a time.
    pub fn repeats(&mut self, id: StageId) -> bool {
        let most = self.running.get(&id).map_or(1, |running| running.most);
        // Several are put back for one shortage, and one of them has lowered the limit already.
        let again = self.packing.limit() < most || self.packing.out_of_memory(most);
        if again {
            self.leaves(id);
            self.frontier.put_back(id);
        }
        again
    }

    /// A stage does not run any more, and its key is free.
    fn leaves(&mut self, id: StageId) {
        if let Some(Running { key, .. }) = self.running.remove(&id) {
            self.claimed.remove(&key);
        }
    }

    /// Takes in what became of a stage; what it made is left to be stored, and its readers may start meanwhile.
    pub fn ended(&mut self, id: StageId, result: Result<Executed, EngineError>, tell: Tell<'_>) {
        match result {
            Ok(Executed::Elsewhere) => {
                self.leaves(id);
                self.frontier.put_back(id);
                if self.elsewhere.insert(id, Instant::now()).is_none() {
                    tell(Event::Elsewhere(id));
                }
            }
            Ok(Executed::Made(unstored)) => {
                // The key stays claimed until all is stored.
                self.running.remove(&id);
                self.frontier.put_back(id);
                self.learn(id, unstored.known(), tell);
                // Before a reader can start: it is stored after this one.
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

    /// What is to be stored next.
    pub fn next_unstored(&mut self) -> Option<Box<Unstored>> {
        self.unstored.pop_front()
    }

    /// Takes in that what a stage made is stored, or could not be.
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
        self.elsewhere.remove(&id);
        if !matches!(error, EngineError::Interrupted) {
            tell(Event::Ended { stage: id, outcome: Outcome::Failed(error.to_string()) });
            self.errors.push(error);
        }
    }

    /// Takes in what is now known about a stage. Its readers can be keyed, and may turn out to be known; or they have
    /// other keys, if it came out otherwise than recorded.
    fn learn(&mut self, id: StageId, known: Knowledge, tell: Tell<'_>) {
        self.elsewhere.remove(&id);
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

    /// Looks again at a stage of which something wrong is known.
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

/// What is to be told of a stage when it is stored.
#[derive(Debug)]
pub struct Stored {
    /// Which.
    pub stage: StageId,
    /// Its key.
    pub key: StageKey,
    /// How long it was computed.
    pub seconds: f64,
    /// What was known about it before.
    pub before: Knowledge,
    /// What is known about it now.
    pub known: Knowledge,
}

impl Stored {
    /// Of what is about to be stored.
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

/// Whether readers that were keyed by what was known before have other keys now, or none.
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
    use crate::engine::Indifferent;
    use crate::graph::Stage;
    use crate::plan::plan;
    use base::work::{Loss, Model, ModelName, NoiseScale, NormStatistics};
    use store::Store;

    /// Tries something with a queue of six stages in these precisions, in turns, of which six may run at a time.
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
        let frontier = Frontier::new(&graph, &targets, &closure, &first);
        attempt(Queue::new((&graph, &resolver), frontier, knowledge, Packing::fixed(6), (true, Duration::ZERO)));
    }

    /// Takes all that may begin now.
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
            // Six again: memory that could not be freed while a step was recorded is there.
            assert!(queue.makes_room(0, true) && queue.packing.limit() == 6);
            assert_eq!(taken(&mut queue), [0]);
            assert!(queue.makes_room(0, true) && queue.packing.limit() == 5);
            // All that ran beside each other then are made again, and one fewer runs at a time, not one for each.
            assert!((1..6).all(|id| queue.repeats(id)) && queue.packing.limit() == 5);
            assert_eq!(taken(&mut queue).len(), 5);
            assert!(queue.repeats(0) && queue.packing.limit() == 4);
        });
        with_queue(&[Precision::Fp32], |mut queue| {
            queue.packing = Packing::fixed(1);
            assert_eq!(taken(&mut queue).len(), 1);
            assert!(!queue.repeats(0) && !queue.makes_room(0, true), "alone nothing would be otherwise");
        });
    }
}
