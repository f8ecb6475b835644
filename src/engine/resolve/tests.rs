use super::*;
use crate::engine::Indifferent;
use crate::graph::{Input, Stage};
use base::digest::{ObjectDigest, RecordDigest};
use base::record::{Provenance, Record};
use base::work::{Dataset, Source, Work};
use store::StoreError;
use store::sign::PublicKey;

/// Records and objects in memory.
#[derive(Default)]
struct Memory {
    outlines: BTreeMap<StageKey, Vec<Outline>>,
    objects: BTreeSet<ObjectDigest>,
}

impl Recorded for Memory {
    fn outlines(&self, key: &StageKey) -> Result<Vec<Outline>, StoreError> {
        Ok(self.outlines.get(key).cloned().unwrap_or_default())
    }

    fn last_named(&self, _: &str) -> Result<Option<Record>, StoreError> {
        Ok(None)
    }

    fn recorded(&self, _: &StageKey, _: &RecordDigest) -> Result<Option<Record>, StoreError> {
        Ok(None)
    }

    fn state(&self, object: &ObjectDigest) -> Result<ObjectState, StoreError> {
        Ok(if self.objects.contains(object) { ObjectState::Present } else { ObjectState::Missing })
    }

    fn signers(&self, _: &RecordDigest) -> Result<Vec<PublicKey>, StoreError> {
        Ok(Vec::new())
    }
}

/// Assigns standings to records by name.
struct Named(BTreeMap<RecordDigest, Standing>);

impl Preference for Named {
    fn standing(&self, _: &dyn Recorded, _: &StageKey, outline: &Outline) -> Result<Standing, StoreError> {
        Ok(self.0.get(&outline.digest).copied().unwrap_or(Standing::Known))
    }

    fn is_strict(&self) -> bool {
        self.0.values().any(|standing| matches!(standing, Standing::Refused(_)))
    }
}

fn graph(source: Source) -> Graph {
    let stage = |name: &str, seed, inputs: &[StageId]| Stage {
        name: name.into(),
        work: Work::Dataset(Dataset { source, train: 1, test: 1, classes: None, seed }),
        inputs: inputs.iter().map(|&stage| Input { role: "train".into(), stage, output: "train" }).collect(),
    };
    Graph { stages: vec![stage("first", 0, &[]), stage("second", 1, &[0])], ..Graph::default() }
}

fn outline(name: &str) -> Outline {
    let output = |output: &str| Output {
        name: output.into(),
        object: ObjectDigest::of(format!("{output} of {name}").as_bytes()),
        bytes: 1,
        inline: None,
    };
    Outline { digest: RecordDigest::of(name.as_bytes()), outputs: vec![output("train"), output("test")] }
}

/// Returns which of these outcomes of one key is used, given the outcomes whose bytes are present and their standings,
/// and whether the key is reported to have several outcomes.
fn used(outcomes: &[&str], at_hand: &[&str], standings: &[(&str, Standing)]) -> (Option<String>, bool) {
    let graph = graph(Source::Shapes10);
    let preference = Named(standings.iter().map(|(name, s)| (RecordDigest::of(name.as_bytes()), *s)).collect());
    let mut memory = Memory::default();
    let key = Resolver::new(&memory, &graph, &preference).parts(0, &Inputs::new()).unwrap().key();
    memory.outlines.insert(key, outcomes.iter().map(|name| outline(name)).collect());
    memory.objects = at_hand.iter().flat_map(|name| outline(name).outputs).map(|output| output.object).collect();
    let resolver = Resolver::new(&memory, &graph, &preference);
    let name = |outline: &Outline| {
        let is_it = |name: &&&str| RecordDigest::of(name.as_bytes()) == outline.digest;
        (*outcomes.iter().find(is_it).unwrap()).to_owned()
    };
    let known = resolver.known(&key).unwrap();
    let used = known.map(|known| match known {
        Knowledge::Known { outline, .. } => name(&outline),
        other => panic!("{other:?}"),
    });
    (used, !resolver.several().is_empty())
}

#[test]
fn of_several_outcomes_the_best_that_is_at_hand_is_used() {
    use Standing::{Locked, Trusted};
    let refused = Standing::Refused(Refusal::Unsigned);
    let is = |name: &str, several| (Some(name.to_owned()), several);
    assert_eq!(used(&[], &[], &[]), (None, false));
    assert_eq!(used(&["a"], &[], &[]), is("a", false));
    assert_eq!(used(&["a", "b"], &["a", "b"], &[]), is("a", true));
    assert_eq!(used(&["a", "b"], &["b"], &[]), is("b", true), "the first that is at hand");
    assert_eq!(used(&["a", "b"], &[], &[]), is("a", true), "else the first");
    assert_eq!(used(&["a", "b"], &["a", "b"], &[("b", Trusted)]), is("b", true));
    assert_eq!(used(&["a", "b"], &["a"], &[("b", Trusted)]), is("b", true), "trust comes before bytes");
    assert_eq!(used(&["a", "b", "c"], &["c"], &[("b", Locked), ("c", Trusted)]), is("b", true));
    assert_eq!(used(&["a"], &["a"], &[("a", refused)]), (None, false));
    assert_eq!(used(&["a", "b"], &["a"], &[("a", refused)]), is("b", true));
}

#[test]
fn a_stage_waits_is_absent_or_known_as_its_inputs_are() {
    let graph = graph(Source::Shapes10);
    let mut memory = Memory::default();
    let all = |memory: &Memory| Resolver::new(memory, &graph, &Indifferent).all(&[true, true]).unwrap();
    let [first, second] = &all(&memory)[..] else { panic!() };
    let Knowledge::Absent { key, reason: MissReason::New } = first else { panic!("{first:?}") };
    assert!(matches!(second, Knowledge::Waits));
    memory.outlines.insert(*key, vec![outline("a")]);
    let [first, second] = &all(&memory)[..] else { panic!() };
    let Knowledge::Known { bytes, .. } = first else { panic!("{first:?}") };
    assert_eq!(bytes, &[Bytes::Dropped, Bytes::Dropped]);
    let Knowledge::Absent { key: of_a, .. } = second else { panic!("{second:?}") };
    // The key includes the inputs.
    memory.outlines.insert(*key, vec![outline("b")]);
    let Knowledge::Absent { key: of_b, .. } = &all(&memory)[1] else { panic!() };
    assert_ne!(of_a, of_b);
    // A record that lacks the output that is read is invalid.
    let nothing = Outline { outputs: vec![], ..outline("c") };
    memory.outlines.insert(*key, vec![nothing]);
    let wrong = Resolver::new(&memory, &graph, &Indifferent).all(&[true, true]);
    assert!(matches!(wrong, Err(EngineError::NoOutput { stage, output }) if (&*stage, &*output) == ("first", "train")));
}

#[test]
fn what_was_not_imported_is_an_error_for_a_run_and_waits_in_a_plan() {
    let graph = graph(Source::Cifar10);
    let mut memory = Memory::default();
    let parts = Import::Data(Source::Cifar10).parts().key();
    let resolver = |memory: &Memory| Resolver::new(memory, &graph, &Indifferent).all(&[true, false]);
    assert!(matches!(resolver(&memory), Err(EngineError::NotImported(Source::Cifar10))));
    let plan = Resolver::new(&memory, &graph, &Indifferent).outlook(&[true, true]).unwrap();
    assert!(plan.iter().all(|known| matches!(known, Knowledge::Waits)));
    // The newest record is used, although only the bytes of an older one are present.
    memory.outlines.insert(parts, vec![outline("newest"), outline("older")]);
    memory.objects = outline("older").outputs.iter().map(|output| output.object).collect();
    let Knowledge::Absent { key, .. } = resolver(&memory).unwrap().remove(0) else { panic!() };
    memory.outlines.insert(parts, vec![outline("newest")]);
    let Knowledge::Absent { key: of_newest, .. } = resolver(&memory).unwrap().remove(0) else { panic!() };
    assert_eq!(key, of_newest);
}

#[test]
fn what_a_store_remembers_is_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let graph = graph(Source::Shapes10);
    let publish = |store: &Store, id: StageId, bytes: &[u8]| {
        let resolver = Resolver::new(store, &graph, &Indifferent);
        let knowledge = resolver.all(&[true, true]).unwrap();
        let parts = resolver.parts(id, &resolver.inputs(id, &knowledge).unwrap().unwrap()).unwrap();
        let output = |name: &str| {
            let object = store.put(&[bytes, name.as_bytes()].concat()).unwrap();
            Output { name: name.into(), object, bytes: bytes.len() as u64, inline: None }
        };
        let outputs = vec![output("train"), output("test")];
        store.publish(&Record { parts, outputs, tensors: vec![], provenance: Provenance::default() }).unwrap();
    };
    let told = |knowledge: Vec<Knowledge>| format!("{knowledge:?}");
    let look = |store: &Store| told(Resolver::new(store, &graph, &Indifferent).all(&[true, true]).unwrap());
    // Without an index nothing is cached.
    let anew = || {
        let store = Store::open(folder.path()).unwrap();
        let resolver = Resolver::new(&store, &graph, &Indifferent);
        let mut knowledge = vec![Knowledge::Waits; 2];
        for id in 0..2 {
            knowledge[id] = resolver.look(id, &knowledge).unwrap();
        }
        told(knowledge)
    };
    let store = Store::open(folder.path()).unwrap();
    for id in 0..2 {
        publish(&store, id, b"bytes of ");
        for _ in 0..3 {
            assert_eq!(look(&store), anew());
        }
    }
    // Missing bytes and a second outcome invalidate the cached outcome.
    let object = ObjectDigest::of(b"bytes of train");
    #[allow(clippy::disallowed_methods, reason = "it disturbs the store from outside")]
    std::fs::remove_file(store.root().join(store::object_path(&object))).unwrap();
    assert_eq!(look(&store), anew());
    assert!(look(&store).contains("Dropped"));
    publish(&store, 0, b"others of ");
    assert_eq!(look(&store), anew());
    assert_eq!(look(&Store::open(folder.path()).unwrap()), anew());
}
