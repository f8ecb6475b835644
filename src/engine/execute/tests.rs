use super::*;
use crate::engine::Indifferent;
use crate::graph::Stage;
use base::work::{Dataset, Source};
use store::ObjectState;

/// Returns the products that it was given, or fails.
struct Scripted(Option<Result<Vec<Product>, StageError>>);

impl Runner for Scripted {
    fn run(
        &mut self,
        _: &Work,
        _: &BTreeMap<String, ObjectDigest>,
        _: &Read<'_>,
        report: &mut Report<'_>,
    ) -> Result<Outputs, StageError> {
        if !report(Progress::Done(0.5)) {
            return Err(StageError::Cancelled);
        }
        let outputs = self.0.take().expect("it runs once")?;
        Ok(Outputs { outputs, ..Outputs::new([], 1.0) })
    }

    fn device(&self) -> String {
        "scripted".into()
    }

    fn machine(&self) -> String {
        "scripted".into()
    }
}

fn product(name: &'static str, bytes: &[u8]) -> Product {
    Product { name, object: ObjectDigest::of(bytes), bytes: bytes.to_vec() }
}

/// A stage with images of a source, in its own store.
struct Bench {
    _folder: tempfile::TempDir,
    store: Store,
    graph: Graph,
    on_the_way: OnTheWay,
}

impl Bench {
    fn new(source: Source) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let work = Work::Dataset(Dataset { source, train: 1, test: 1, classes: None, seed: 0 });
        let stage = Stage { name: "images".into(), work, inputs: vec![] };
        let graph = Graph { stages: vec![stage], ..Graph::default() };
        Self { _folder: folder, store, graph, on_the_way: OnTheWay::default() }
    }

    fn job(&self, demanded: &[&'static str]) -> Job {
        let resolver = Resolver::new(&self.store, &self.graph, &Indifferent);
        let known = resolver.look(0, &[Knowledge::Waits]).unwrap();
        let inputs = Inputs::new();
        let parts = resolver.parts(0, &inputs).unwrap();
        let key = parts.key();
        Job { stage: 0, reason: MissReason::New, known, inputs, parts, key, demanded: demanded.to_vec() }
    }

    fn execute(&self, job: &Job, is_cancelled: bool, runner: &mut Scripted) -> Result<Executed, EngineError> {
        let resolver = Resolver::new(&self.store, &self.graph, &Indifferent);
        let environment = Environment { who: "me@here".into(), now: || 7 };
        let context = Context {
            graph: &self.graph,
            store: &self.store,
            on_the_way: &self.on_the_way,
            resolver: &resolver,
            duty: &crate::engine::Everything,
            environment: &environment,
            report: &|_| {},
            progressed: &|_, _| {},
            live: &Live::default(),
            cancelled: &|| is_cancelled,
        };
        context.execute(runner, job)
    }

    fn made(&self, outputs: Vec<Product>) -> Box<Unstored> {
        match self.execute(&self.job(&[]), false, &mut Scripted(Some(Ok(outputs)))) {
            Ok(Executed::Made(made)) => made,
            other => panic!("{:?}", other.err()),
        }
    }
}

#[test]
fn few_bytes_travel_in_the_record_and_many_apart() {
    let bench = Bench::new(Source::Shapes10);
    let (few, many) = (vec![1; INLINE], vec![2; INLINE + 1]);
    let made = bench.made(vec![product("train", &many), product("test", &few)]);
    assert_eq!(made.record.outputs[0].inline, None);
    assert_eq!(made.record.outputs[1].inline.as_deref(), Some(&few[..]));
    assert_eq!(made.objects.iter().map(|(object, _)| *object).collect::<Vec<_>>(), [ObjectDigest::of(&many)]);
    let Provenance { stage, who, finished, device, machine, .. } = &made.record.provenance;
    // Images do not depend on the device or machine.
    assert_eq!((&**stage, &**who, *finished, &**device, &**machine), ("images", "me@here", 7, "cpu", ""));
}

#[test]
fn a_key_of_another_process_is_left_alone() {
    let bench = Bench::new(Source::Shapes10);
    let job = bench.job(&[]);
    let claim = bench.store.claim(&job.key).unwrap();
    assert!(matches!(bench.execute(&job, false, &mut Scripted(None)), Ok(Executed::Elsewhere(_))));
    drop(claim);
    assert!(matches!(bench.execute(&job, true, &mut Scripted(None)), Err(EngineError::Interrupted)));
    assert!(bench.store.claim(&job.key).unwrap().ours().is_some(), "whoever was interrupted has it no more");
}

#[test]
fn what_another_process_brought_is_not_computed_again() {
    let bench = Bench::new(Source::Shapes10);
    let first = bench.job(&["train"]);
    let (train, test) = (vec![1; INLINE + 1], vec![2; INLINE + 1]);
    let outputs = || vec![product("train", &train), product("test", &test)];
    let made = bench.made(outputs());
    let record = made.record.clone();
    drop(made);
    bench.store.publish(&record).unwrap();
    // The stage was looked up before there was a record.
    assert!(matches!(bench.execute(&first, false, &mut Scripted(None)), Ok(Executed::Cached(_))));
    // All of its bytes are missing.
    let dropped = bench.job(&["train"]);
    assert_eq!(bench.store.state(&ObjectDigest::of(&train)).unwrap(), ObjectState::Missing);
    let again = bench.execute(&dropped, false, &mut Scripted(Some(Ok(outputs()))));
    assert!(matches!(again, Ok(Executed::Made(_))));
    drop(again);
    // Then the needed bytes arrived.
    bench.store.put(&train).unwrap();
    let Ok(Executed::Cached(known)) = bench.execute(&dropped, false, &mut Scripted(None)) else { panic!() };
    let Knowledge::Known { bytes, .. } = known else { panic!() };
    assert_eq!(bytes, [Bytes::Present, Bytes::Dropped]);
    let both = Job { demanded: vec!["train", "test"], ..dropped };
    assert!(matches!(bench.execute(&both, false, &mut Scripted(Some(Ok(outputs())))), Ok(Executed::Made(_))));
}

#[test]
fn an_import_whose_bytes_are_gone_is_to_be_imported_again() {
    let bench = Bench::new(Source::Cifar10);
    let gone = || StageError::Store(StoreError::Missing(ObjectDigest::of(b"images")));
    let job = Job { known: Knowledge::Waits, ..Bench::new(Source::Shapes10).job(&[]) };
    let failed = bench.execute(&job, false, &mut Scripted(Some(Err(gone()))));
    assert!(matches!(failed, Err(EngineError::NotImported(Source::Cifar10))));
    // For any other source, the stage has failed.
    let bench = Bench::new(Source::Shapes10);
    let failed = bench.execute(&bench.job(&[]), false, &mut Scripted(Some(Err(gone()))));
    assert!(matches!(failed, Err(EngineError::Stage { stage, .. }) if stage == "images"));
}
