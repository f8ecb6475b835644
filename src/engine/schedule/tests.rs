//! Tries everything that can happen to a stage at every stage of a small graph.

mod duty;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Once};

use super::*;
use crate::engine::{Duty, Environment, Everything, Indifferent, Outcome};
use crate::graph::{Graph, Input, Stage};
use crate::plan::MissReason;
use crate::stages::{Device, Notes, Outputs, Product, Progress, Read, Report, StageError};
use base::digest::ObjectDigest;
use base::record::{Output, Provenance, Record};
use base::work::{Dataset, Source, Work};
use store::{Claim, object_path};

/// The inputs of each stage: a diamond and a separate stage.
const EDGES: [&[StageId]; 5] = [&[], &[0], &[0], &[1, 2], &[]];
const TARGETS: [StageId; 2] = [3, 4];
const OUTPUTS: [&str; 2] = ["train", "test"];
/// Longer than any run takes: a run that is not done by then hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Message of an intentional panic.
const ON_PURPOSE: &str = "on purpose";

/// Trouble that happens to one stage.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    Nothing,
    /// It fails.
    Fails,
    /// It panics.
    Panics,
    /// The user interrupts it.
    Cancelled,
    /// The device runs out of memory once.
    OutOfMemory,
    /// The device runs out of memory once, while another stage records a step.
    WhileRecording,
    /// It is computed, but the device was short of memory once.
    Short,
    /// It is computed, but the device was short of memory once, while the separate stage ran in parallel.
    ShortBeside,
    /// The device is short of memory whenever it is computed.
    AlwaysShort,
    /// Its steps cannot be recorded.
    NotRecorded,
    /// The device never has enough memory.
    NeverRoom,
    /// Another process computes it.
    Elsewhere,
    /// Another process starts it and dies.
    ElsewhereDies,
    /// Another process starts it and dies. After that, it fails here.
    ElsewhereThenFails,
    /// Its record is present, but its bytes are missing.
    Dropped,
    /// Its record is present but its bytes are missing, and another process restores them.
    DroppedElsewhere,
    /// Its outputs cannot be stored.
    NotStored,
}

use Trouble::{
    AlwaysShort, Cancelled, Dropped, DroppedElsewhere, Elsewhere, ElsewhereDies, ElsewhereThenFails, Fails, NeverRoom,
    NotRecorded, NotStored, Nothing, OutOfMemory, Panics, Short, ShortBeside, WhileRecording,
};

const TROUBLES: [Trouble; 15] = [
    Fails,
    Panics,
    Cancelled,
    OutOfMemory,
    WhileRecording,
    Short,
    AlwaysShort,
    NotRecorded,
    NeverRoom,
    Elsewhere,
    ElsewhereDies,
    ElsewhereThenFails,
    Dropped,
    DroppedElsewhere,
    NotStored,
];

impl Trouble {
    fn is_elsewhere(self) -> bool {
        matches!(self, Elsewhere | ElsewhereDies | ElsewhereThenFails | DroppedElsewhere)
    }
}

/// A store, a graph that no other trial uses, and the trouble that happens.
struct Trial {
    store: Arc<Store>,
    graph: Graph,
    /// The records of the graph's stages.
    records: Vec<Record>,
    bytes: BTreeMap<ObjectDigest, Vec<u8>>,
    /// The seed of the first stage; seeds identify stages.
    base: u64,
    at: StageId,
    trouble: Trouble,
    cancel: AtomicBool,
    ran: Vec<AtomicUsize>,
}

impl Trial {
    fn new(store: &Arc<Store>, base: u64, trouble: Trouble, at: StageId) -> Self {
        let stages = EDGES.iter().enumerate().map(|(id, inputs)| {
            let seed = base + id as u64;
            let data = Dataset { source: Source::Shapes10, train: 1, test: 1, classes: None, seed };
            let input = |&stage: &StageId| Input { role: format!("from{stage}"), stage, output: "train" };
            Stage { name: format!("s{id}"), work: Work::Dataset(data), inputs: inputs.iter().map(input).collect() }
        });
        let graph = Graph { stages: stages.collect(), ..Graph::default() };
        let (mut records, mut bytes) = (Vec::<Record>::new(), BTreeMap::new());
        let resolver = Resolver::new(&**store, &graph, &Indifferent);
        for (id, edges) in EDGES.iter().enumerate() {
            let inputs =
                edges.iter().map(|&input| (format!("from{input}"), records[input].outputs[0].clone())).collect();
            let parts = resolver.parts(id, &inputs).unwrap();
            let output = |name: &&str| {
                let mut made = format!("{name} of {id} from {base}").into_bytes();
                if matches!(trouble, Dropped | DroppedElsewhere | NotStored) {
                    made.resize(20_000, b' ');
                }
                let object = ObjectDigest::of(&made);
                bytes.insert(object, made.clone());
                let inline = (made.len() < 1000).then(|| made.clone());
                Output { name: (*name).to_owned(), object, bytes: made.len() as u64, inline }
            };
            let outputs = OUTPUTS.iter().map(output).collect();
            records.push(Record { parts, outputs, tensors: vec![], provenance: Provenance::default() });
        }
        let (store, cancel, ran) =
            (Arc::clone(store), AtomicBool::new(false), EDGES.map(|_| AtomicUsize::new(0)).into());
        Self { store, graph, records, bytes, base, at, trouble, cancel, ran }
    }

    fn ran(&self, id: StageId) -> usize {
        self.ran[id].load(Ordering::SeqCst)
    }

    /// Returns whether a stage is the one with the trouble or depends on it.
    fn needs(&self, id: StageId) -> bool {
        id == self.at || EDGES[id].iter().any(|&input| self.needs(input))
    }

    /// Stores a stage's record and, if `with_bytes`, its bytes.
    fn publish(&self, id: StageId, with_bytes: bool) {
        for output in self.records[id].outputs.iter().filter(|output| with_bytes && output.inline.is_none()) {
            self.store.put(&self.bytes[&output.object]).unwrap();
        }
        self.store.publish(&self.records[id]).unwrap();
    }

    /// Sets up the store's state before the run; returns another process's claim, if there is one.
    fn prepare(&self) -> Option<Claim> {
        if matches!(self.trouble, Dropped | DroppedElsewhere) {
            fn all_before(id: StageId, found: &mut Vec<StageId>) {
                for &input in EDGES[id] {
                    all_before(input, found);
                    found.push(input);
                }
            }
            let mut before = Vec::new();
            all_before(self.at, &mut before);
            before.into_iter().for_each(|id| self.publish(id, true));
            self.publish(self.at, false);
        }
        if self.trouble == NotStored {
            self.block(true);
        }
        self.trouble
            .is_elsewhere()
            .then(|| self.store.claim(&self.records[self.at].parts.key()).unwrap().ours().unwrap())
    }

    /// Creates a folder under the name of an object, or removes it.
    fn block(&self, blocked: bool) {
        let path = self.store.root().join(object_path(&self.records[self.at].outputs[0].object));
        #[allow(clippy::disallowed_methods, reason = "it disturbs the store from outside")]
        if blocked { std::fs::create_dir(path) } else { std::fs::remove_dir(path) }.unwrap();
    }

    /// Makes the targets. When another process is found to be running the stage, that process ends.
    fn make(&self, jobs: usize, keep_going: bool) -> (Summary, Vec<Event>) {
        self.make_under(&Everything, jobs, keep_going)
    }

    fn make_under(&self, duty: &dyn Duty, jobs: usize, keep_going: bool) -> (Summary, Vec<Event>) {
        let mut claim = self.prepare();
        let environment = Environment { who: "me".into(), now: || 0 };
        let request = Request {
            graph: &self.graph,
            targets: &TARGETS,
            store: &self.store,
            preference: &Indifferent,
            device: &Device::Cpu,
            jobs: NonZeroUsize::new(jobs).unwrap(),
            grow: false,
            keep_going,
            duty,
            environment: &environment,
            cancel: &self.cancel,
        };
        let runner = |_| -> Box<dyn Runner> { Box::new(Fake(self)) };
        let crew = Crew { runner: &runner, thread: &Builder::new, ask_again: Duration::from_millis(1) };
        let mut events = Vec::new();
        let summary = make_with(&request, &crew, &mut |event| {
            if matches!(event, Event::Elsewhere { stage, .. } if stage == self.at) {
                if matches!(self.trouble, Elsewhere | DroppedElsewhere) {
                    self.publish(self.at, true);
                }
                claim = None;
            }
            events.push(event);
        });
        drop(claim);
        (summary.unwrap(), events)
    }
}

/// Runs nothing, since it knows the outputs in advance.
struct Fake<'a>(&'a Trial);

impl Runner for Fake<'_> {
    fn run(
        &mut self,
        work: &Work,
        objects: &BTreeMap<String, ObjectDigest>,
        read: &Read<'_>,
        report: &mut Report<'_>,
    ) -> Result<Outputs, StageError> {
        let Self(trial) = self;
        let Work::Dataset(data) = work else { panic!("{work:?}") };
        let id = (data.seed - trial.base) as usize;
        let before = trial.ran[id].fetch_add(1, Ordering::SeqCst);
        for (role, object) in objects {
            assert_eq!(read(role)?, trial.bytes[object], "{role} of {id}");
        }
        if id == trial.at {
            let no_room = || StageError::no_room();
            match trial.trouble {
                Fails | ElsewhereThenFails => return Err(StageError::Device("broken".into())),
                Panics => panic!("{ON_PURPOSE}"),
                Cancelled => trial.cancel.store(true, Ordering::SeqCst),
                OutOfMemory if before == 0 => return Err(no_room()),
                WhileRecording if before == 0 => return Err(StageError::no_room_while_recording()),
                NeverRoom => return Err(no_room()),
                _ => {}
            }
        }
        if !report(Progress::Done(0.5)) {
            return Err(StageError::Cancelled);
        }
        let product = |name: &'static str, output: &Output| Product {
            name,
            object: output.object,
            bytes: trial.bytes[&output.object].clone(),
        };
        let outputs = OUTPUTS.iter().zip(&trial.records[id].outputs).map(|(name, output)| product(name, output));
        if trial.trouble == ShortBeside {
            // Both stages have started.
            while trial.ran(0) == 0 || trial.ran(4) == 0 {
                thread::yield_now();
            }
        }
        let once = matches!(trial.trouble, Short | ShortBeside) && before == 0;
        let was_short = id == trial.at && (trial.trouble == AlwaysShort || once);
        let one_by_one = (id == trial.at && trial.trouble == NotRecorded).then(|| "CUDA refused".to_owned());
        let notes = Notes { was_short, one_by_one };
        Ok(Outputs { outputs: outputs.collect(), notes, ..Outputs::new([], 1.0) })
    }

    fn device(&self) -> String {
        "fake".into()
    }

    fn machine(&self) -> String {
        String::new()
    }
}

/// Creates a store in memory where possible, since these tests are not about disks.
fn store() -> (tempfile::TempDir, Arc<Store>) {
    let memory = Path::new("/dev/shm");
    let folder = tempfile::tempdir_in(memory).or_else(|_| tempfile::tempdir()).unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    (folder, Arc::new(store))
}

/// Suppresses the messages of intentional panics.
fn quiet_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if message(panic.payload()) != ON_PURPOSE {
                usual(panic);
            }
        }));
    });
}

/// Runs a function that may hang, and fails if it does.
fn in_time<T: Send + 'static>(what: &str, run: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::spawn(move || {
        let result = run();
        let _ = sender.send(());
        result
    });
    if let Err(mpsc::RecvTimeoutError::Timeout) = receiver.recv_timeout(PATIENCE) {
        panic!("{what} hangs");
    }
    thread.join().unwrap_or_else(|_| panic!("{what}"))
}

/// Checks everything that must hold after a run.
fn check(trial: &Trial, jobs: usize, keep_going: bool, what: &str) {
    let (summary, events) = trial.make(jobs, keep_going);
    let Trial { trouble, at, .. } = *trial;
    let is_known = |id: StageId| matches!(summary.knowledge[id], Knowledge::Known { .. });
    let ended = |id: StageId| -> Vec<&Outcome> {
        let of = events.iter().filter_map(|event| match event {
            Event::Ended { stage, outcome } if *stage == id => Some(outcome),
            _ => None,
        });
        of.collect()
    };
    let all = 0..EDGES.len();
    // Running out of memory is a failure if no other stage is running.
    let fails = match trouble {
        Fails | Panics | NeverRoom | ElsewhereThenFails | NotStored => true,
        OutOfMemory | WhileRecording => !summary.errors.is_empty(),
        _ => false,
    };
    if fails {
        let [error, rest @ ..] = &summary.errors[..] else { panic!("{what}: no error") };
        // Readers that started while it was being stored lack their input.
        assert!(rest.is_empty() || trouble == NotStored, "{what}: {:?}", summary.errors);
        let panicked = matches!(error, EngineError::Panicked { stage, .. } if *stage == format!("s{at}"));
        assert_eq!(panicked, trouble == Panics, "{what}: {error}");
        assert!(matches!(ended(at)[..], [Outcome::Failed(_)]), "{what}: {events:?}");
        assert!(!is_known(at), "{what}");
    } else {
        assert!(summary.errors.is_empty(), "{what}: {:?}", summary.errors);
    }
    let stops = trouble == Cancelled || (fails && !keep_going);
    for id in all.clone() {
        let ran = trial.ran(id);
        let (again, not_here) = (
            matches!(trouble, OutOfMemory | WhileRecording | NeverRoom | Short | AlwaysShort),
            matches!(trouble, Elsewhere | DroppedElsewhere),
        );
        match id {
            _ if id == at && not_here => assert_eq!(ran, 0, "{what}: it is computed twice"),
            _ if id == at && again => assert!(ran >= 1, "{what}"),
            _ if id == at => assert_eq!(ran, 1, "{what}"),
            // Outputs are in memory until they are stored, and readers may start.
            _ if trial.needs(id) && trouble == NotStored => assert!(ran <= 1, "{what}"),
            _ if trial.needs(id) && (fails || trouble == Cancelled) => assert_eq!(ran, 0, "{what}: {id} ran"),
            _ if stops => assert!(ran <= 1, "{what}"),
            _ => assert!(ran <= 1 && is_known(id), "{what}: {id} ran {ran} times"),
        }
        assert!(ended(id).len() <= 1, "{what}: {events:?}");
        // Whether readers of outputs that could not be stored had ended by then is random.
        if trouble != NotStored || !trial.needs(id) {
            let is_computed = ended(id).iter().any(|outcome| matches!(outcome, Outcome::Computed(_)));
            assert_eq!(is_computed, is_known(id) && ran > 0, "{what}: {id}");
        }
    }
    let said = Event::OneByOne { stage: at, reason: "CUDA refused".into() };
    assert_eq!(events.iter().filter(|event| **event == said).count(), usize::from(trouble == NotRecorded), "{what}");
    let again = events.iter().filter(|event| matches!(event, Event::Again(_))).count();
    match trouble {
        // If the stage runs alone, running it again changes nothing. If it runs beside one other stage, the lower limit makes
        // it run alone.
        Short | AlwaysShort => assert!(again < jobs && trial.ran(at) == 1 + again, "{what}: {events:?}"),
        _ => assert_eq!(again, 0, "{what}"),
    }
    if !trouble.is_elsewhere() {
        assert!(!events.iter().any(|event| matches!(event, Event::Elsewhere { .. })), "{what}: nobody else was there");
    }
    let is_computed = |event: &&Event| matches!(event, Event::Ended { outcome: Outcome::Computed(_), .. });
    let computed = events.iter().filter(is_computed).count();
    assert_eq!(summary.computed, computed, "{what}");
    // Restored bytes do not create a new record.
    assert_eq!(summary.published.len(), computed - usize::from(trouble == Dropped), "{what}");
}

#[test]
fn whatever_happens_to_whichever_stage() {
    quiet_panics();
    let (folder, store) = store();
    let mut base = 0;
    for trouble in TROUBLES {
        for at in 0..EDGES.len() {
            for (jobs, keep_going) in [(1, false), (1, true), (2, false), (2, true)] {
                base += EDGES.len() as u64;
                let what = format!("{trouble:?} at {at}, {jobs} jobs, keep going {keep_going}");
                let store = Arc::clone(&store);
                let name = what.clone();
                let known = in_time(&what, move || {
                    let trial = Trial::new(&store, base, trouble, at);
                    check(&trial, jobs, keep_going, &name);
                    if trouble == NotStored {
                        trial.block(false);
                    }
                    // Finished stages are kept: the next run computes only the others.
                    let next = Trial {
                        trouble: Nothing,
                        cancel: AtomicBool::new(false),
                        ran: EDGES.map(|_| AtomicUsize::new(0)).into(),
                        ..trial
                    };
                    let (summary, _) = next.make(jobs, keep_going);
                    assert_eq!(summary.computed, (0..EDGES.len()).map(|id| next.ran(id)).sum::<usize>(), "{name}");
                    assert!(summary.errors.is_empty(), "{name}: {:?}", summary.errors);
                    summary.knowledge.iter().filter(|known| matches!(known, Knowledge::Known { .. })).count()
                });
                assert_eq!(known, EDGES.len(), "{what}");
            }
        }
    }
    drop(folder);
}

#[test]
fn what_was_made_while_memory_was_short_is_made_again_with_fewer_beside_it() {
    let (_folder, store) = store();
    in_time("a repeated stage", move || {
        let trial = Trial::new(&store, 500, ShortBeside, 0);
        let (summary, events) = trial.make(2, false);
        assert!(summary.errors.is_empty() && summary.computed == EDGES.len(), "{:?}", summary.errors);
        assert_eq!(events.iter().filter(|event| **event == Event::Again(0)).count(), 1, "{events:?}");
        assert_eq!((trial.ran(0), trial.ran(4)), (2, 1));
    });
}

#[test]
fn stages_of_one_key_wait_for_each_other_and_not_for_another_process() {
    let (_folder, store) = store();
    in_time("two stages of one key", move || {
        for base in [1000, 2000, 3000] {
            let mut trial = Trial::new(&store, base, Nothing, 0);
            // The second and third stage read the same input; now they also do the same work.
            trial.graph.stages[2].work = trial.graph.stages[1].work.clone();
            trial.records[2] = trial.records[1].clone();
            let third = trial.records[2].outputs[0].object;
            trial.records[3].parts.inputs.insert("from2".into(), third);
            let (summary, events) = trial.make(2, false);
            assert!(summary.errors.is_empty() && summary.computed == 4, "{:?}", summary.errors);
            assert_eq!(trial.ran(1), 1, "computed once");
            assert!(!events.iter().any(|event| matches!(event, Event::Elsewhere { .. })), "{events:?}");
        }
    });
}

#[test]
fn without_threads_it_says_so_and_with_few_it_works() {
    let (_folder, store) = store();
    in_time("few threads", move || {
        for (allowed, jobs) in [(0, 2), (1, 2), (2, 2), (2, 1)] {
            let trial = Trial::new(&store, 5000 + 10 * allowed as u64 + 100 * jobs as u64, Nothing, 0);
            let environment = Environment { who: "me".into(), now: || 0 };
            let request = Request {
                graph: &trial.graph,
                targets: &TARGETS,
                store: &trial.store,
                preference: &Indifferent,
                device: &Device::Cpu,
                jobs: NonZeroUsize::new(jobs).unwrap(),
                grow: false,
                keep_going: false,
                duty: &Everything,
                environment: &environment,
                cancel: &trial.cancel,
            };
            let started = AtomicUsize::new(0);
            let builder = || match started.fetch_add(1, Ordering::SeqCst) {
                number if number < allowed => Builder::new(),
                // No system gives a thread a stack of this size.
                _ => Builder::new().stack_size(usize::MAX / 4),
            };
            let runner = |_| -> Box<dyn Runner> { Box::new(Fake(&trial)) };
            let crew = Crew { runner: &runner, thread: &builder, ask_again: ASK_AGAIN };
            let made = make_with(&request, &crew, &mut |_| {});
            match allowed {
                // One thread stores, and one works.
                2 => assert_eq!(made.unwrap().computed, EDGES.len()),
                _ => assert!(matches!(made, Err(EngineError::Threads(_))), "{made:?}"),
            }
        }
    });
}

#[test]
fn a_listener_that_panics_ends_the_run() {
    quiet_panics();
    let (_folder, store) = store();
    in_time("a listener that panics", move || {
        let trial = Trial::new(&store, 9000, Nothing, 0);
        let environment = Environment { who: "me".into(), now: || 0 };
        let request = Request {
            graph: &trial.graph,
            targets: &TARGETS,
            store: &trial.store,
            preference: &Indifferent,
            device: &Device::Cpu,
            jobs: NonZeroUsize::MIN,
            grow: false,
            keep_going: false,
            duty: &Everything,
            environment: &environment,
            cancel: &trial.cancel,
        };
        let runner = |_| -> Box<dyn Runner> { Box::new(Fake(&trial)) };
        let crew = Crew { runner: &runner, thread: &Builder::new, ask_again: ASK_AGAIN };
        let made = catch_unwind(AssertUnwindSafe(|| {
            make_with(&request, &crew, &mut |event| {
                if matches!(event, Event::Started { .. }) {
                    panic!("{ON_PURPOSE}");
                }
            })
        }));
        assert!(made.is_err());
    });
}

#[test]
fn what_comes_out_otherwise_than_recorded_gives_its_readers_other_keys() {
    let (_folder, store) = store();
    in_time("what comes out otherwise", move || {
        let mut trial = Trial::new(&store, 7000, Dropped, 1);
        // All stages but the last were computed from bytes that are missing and cannot be recomputed.
        let honest = trial.records.clone();
        trial.records[1].outputs[0].object = ObjectDigest::of(b"never again");
        let gone = trial.records[1].outputs[0].object;
        trial.records[3].parts.inputs.insert("from1".into(), gone);
        for id in [0, 2, 4] {
            trial.publish(id, true);
        }
        trial.store.publish(&trial.records[1]).unwrap();
        let stale = trial.records[3].clone();
        trial.store.publish(&stale).unwrap();
        trial.records = honest;
        trial.trouble = Nothing;
        let (summary, events) = trial.make(2, false);
        assert!(summary.errors.is_empty(), "{:?}", summary.errors);
        assert!(
            events.iter().any(|event| *event == Event::Differs { stage: 1, outputs: vec!["train".into()] }),
            "{events:?}"
        );
        let Knowledge::Known { key, outline, .. } = &summary.knowledge[3] else { panic!("{:?}", summary.knowledge[3]) };
        assert_eq!(*key, trial.records[3].parts.key());
        assert!(trial.store.recorded(key, &outline.digest).unwrap().is_some(), "its record is there");
        assert_ne!(*key, stale.parts.key());
        let dropped = MissReason::Dropped("train".into());
        assert!(
            events.iter().any(|event| *event == Event::Started { stage: 1, reason: dropped.clone() }),
            "{events:?}"
        );
    });
}
