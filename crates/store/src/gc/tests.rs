//! Tests of the decision against an independent oracle.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::decide::{Candidate, Present, Status, decide};
use crate::{GcPolicy, Pin, Store, StoreError};
use base::digest::{ObjectDigest, RecordDigest, StageKey};
use base::producers::{Producer, Producers};

/// Names of the objects in these tests.
const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

fn object(name: &str) -> ObjectDigest {
    ObjectDigest::of(name.as_bytes())
}

/// Returns a stage that reads and yields objects of these names; those in capitals are inline in the record.
fn producer(kind: &str, seconds: f64, reads: &[&str], yields: &[&str]) -> Producer {
    let named = format!("{kind} {seconds} {reads:?} {yields:?}");
    let is_inline = |name: &&&str| name.chars().all(char::is_uppercase);
    Producer {
        key: StageKey::from_bytes(*object(&format!("key of {named}")).as_bytes()),
        record: RecordDigest::of(named.as_bytes()),
        kind: kind.to_owned(),
        stage: kind.to_owned(),
        seconds,
        inputs: reads.iter().map(|name| object(name)).collect(),
        outputs: yields.iter().filter(|name| !is_inline(name)).map(|name| object(name)).collect(),
        inline: yields.iter().filter(is_inline).map(|name| object(name)).collect(),
    }
}

fn held(name: &str, bytes: u64, status: Status) -> (ObjectDigest, Candidate) {
    (object(name), Candidate { bytes, status })
}

fn names(going: &[ObjectDigest]) -> Vec<&'static str> {
    let name = |digest: &ObjectDigest| NAMES.into_iter().find(|name| object(name) == *digest);
    going.iter().filter_map(name).collect()
}

#[test]
fn loose_goes_first_then_what_is_cheap_for_its_size() {
    let producers = Producers::new(vec![
        producer("data", 1.0, &[], &["a"]),
        producer("train", 100.0, &["a"], &["b"]),
        producer("train", 100.0, &["b"], &["c"]),
        producer("probe", 30.0, &["c"], &["d"]),
        producer("other", 1000.0, &["a"], &["e"]),
    ]);
    let needed = Status::Needed;
    let mut present: Present =
        NAMES[..4].iter().map(|name| held(name, 100, needed)).chain([held("e", 100, Status::Loose)]).collect();
    let goes = |present: &Present, limit, spare| names(&decide(&producers, present, limit, spare));
    assert_eq!(goes(&present, None, false), ["e"]);
    assert!(goes(&present, Some(500), false).is_empty());
    assert_eq!(goes(&present, Some(450), false), ["e"]);
    assert_eq!(goes(&present, Some(300), false), ["e", "a"]);
    assert_eq!(goes(&present, Some(300), true), ["e"], "stages are running");
    // After `a` is removed, `b` costs 101. `c` costs only 100, because `b` is still there, so `c` is removed before `b`.
    assert_eq!(goes(&present, Some(100), false), ["e", "a", "d", "c"]);
    // Objects that are already missing count: without `b`, `c` costs 200 and more.
    present.remove(&object("b"));
    assert_eq!(goes(&present, Some(100), false), ["e", "a", "d"]);
    present.insert(object("a"), Candidate { bytes: 100, status: Status::Fast });
    assert_eq!(goes(&present, Some(0), false), ["e", "d", "c"]);
    // A needed object that no stage can recompute is kept.
    present.extend([held("f", 100, needed)]);
    assert_eq!(goes(&present, Some(0), false), ["e", "d", "c"]);
}

#[test]
fn a_large_one_that_came_late_lets_small_ones_stay() {
    let producers = Producers::new(vec![
        producer("small", 1.0, &[], &["a"]),
        producer("small", 1.0, &[], &["b", "I"]),
        producer("large", 900.0, &[], &["c"]),
    ]);
    let present: Present =
        [held("a", 10, Status::Needed), held("b", 10, Status::Needed), held("c", 1000, Status::Needed)].into();
    assert_eq!(names(&decide(&producers, &present, Some(30), false)), ["c"]);
    assert_eq!(names(&decide(&producers, &present, Some(5), false)).len(), 3);
}

/// Whether an object can be recomputed, found by running all possible records until nothing new appears.
fn can_be_made(producers: &[Producer], there: &BTreeSet<ObjectDigest>, wanted: &ObjectDigest) -> bool {
    let mut have = there.clone();
    have.extend(producers.iter().flat_map(|producer| &producer.inline));
    loop {
        let runs = producers.iter().filter(|producer| producer.inputs.is_subset(&have));
        let new: BTreeSet<_> = runs.flat_map(|producer| &producer.outputs).copied().collect();
        if new.is_subset(&have) {
            return have.contains(wanted);
        }
        have.extend(new);
    }
}

fn producers() -> impl Strategy<Value = Vec<Producer>> {
    let subset = |most| prop::collection::vec(0..NAMES.len(), 0..most);
    let one = (0..40_u32, subset(3), subset(3)).prop_map(|(seconds, reads, yields)| {
        let named = |places: &[usize]| places.iter().map(|&place| NAMES[place]).collect::<Vec<_>>();
        producer("train", f64::from(seconds), &named(&reads), &named(&yields))
    });
    prop::collection::vec(one, 0..14)
}

fn present() -> impl Strategy<Value = Present> {
    let status = prop_oneof![Just(Status::Loose), Just(Status::Needed), Just(Status::Fast)];
    let one = (any::<bool>(), 1..100_u64, status);
    prop::collection::vec(one, NAMES.len()).prop_map(|all| {
        let there = NAMES.into_iter().zip(all).filter(|(_, (there, ..))| *there);
        there.map(|(name, (_, bytes, status))| held(name, bytes, status)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_goes_that_must_stay_and_no_more_than_asked_for(
        producers in producers(), present in present(), limit in prop::option::of(0..600_u64), spare in any::<bool>(),
    ) {
        let all = Producers::new(producers.clone());
        let going = decide(&all, &present, limit, spare);
        let gone: BTreeSet<_> = going.iter().copied().collect();
        prop_assert_eq!(gone.len(), going.len(), "no object is removed twice");
        let of = |status| -> BTreeMap<_, _> { present.iter().filter(|(_, held)| held.status == status).collect() };
        let (loose, needed) = (of(Status::Loose), of(Status::Needed));
        prop_assert!(gone.iter().all(|object| loose.contains_key(object) || needed.contains_key(object)));
        let Some(limit) = limit else {
            prop_assert!(gone.iter().eq(loose.keys().copied()));
            return Ok(());
        };
        let stays: u64 = present.iter().filter(|(object, _)| !gone.contains(object)).map(|(_, held)| held.bytes).sum();
        let takes_needed = gone.iter().any(|object| needed.contains_key(object));
        if takes_needed {
            prop_assert!(!spare && loose.keys().all(|object| gone.contains(object)), "loose objects are removed first");
        }
        // No removed object could have been kept, in the class that was removed last.
        for object in gone.iter().filter(|object| !takes_needed || needed.contains_key(object)) {
            prop_assert!(stays + present[object].bytes > limit);
        }
        // Everything that is needed and was removed can be recomputed from the kept objects.
        let there: BTreeSet<_> = present.keys().filter(|object| !gone.contains(object)).copied().collect();
        for object in gone.iter().filter(|object| needed.contains_key(object)) {
            prop_assert!(can_be_made(&producers, &there, object));
        }
        // The limit is exceeded only if all remaining objects must be kept.
        if stays > limit {
            prop_assert!(loose.keys().all(|object| gone.contains(object)));
            for object in needed.keys().filter(|object| !gone.contains(**object) && !spare) {
                let without: BTreeSet<_> = there.iter().filter(|other| other != object).copied().collect();
                let loses = |wanted: &ObjectDigest| !can_be_made(&producers, &without, wanted);
                let lost = gone.iter().filter(|object| needed.contains_key(object)).chain([*object]);
                prop_assert!(lost.clone().any(loses) || chosen_producers_lose(&all, &present, &gone, object));
            }
        }
    }
}

/// Checks whether the producer records that were chosen cannot recompute an object, even if other records could.
fn chosen_producers_lose(
    producers: &Producers,
    present: &Present,
    gone: &BTreeSet<ObjectDigest>,
    wanted: &ObjectDigest,
) -> bool {
    let again = producers.again([*wanted], &mut |object| gone.contains(object) || !present.contains_key(object));
    !again.lost.is_empty()
}

#[test]
fn what_is_pinned_after_the_plan_was_made_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let object = store.put(b"pinned late").unwrap();
    let plan = store.plan_gc(&GcPolicy::default(), u64::MAX).unwrap();
    let (who, reason) = (String::new(), String::new());
    let pin =
        Pin { name: "late".parse().unwrap(), made: 1, who, reason, keys: BTreeSet::new(), objects: [object].into() };
    store.pin(&pin).unwrap();
    let refused = store.execute_gc(&plan).unwrap_err();
    assert!(
        matches!(&refused, StoreError::Pin { .. }) && refused.to_string().contains("run the command again"),
        "{refused}"
    );
    assert_eq!(store.get(&object).unwrap(), b"pinned late");
    let plan = store.plan_gc(&GcPolicy::default(), u64::MAX).unwrap();
    assert_eq!((plan.object_count(), store.execute_gc(&plan).unwrap().objects), (0, 0));
}

#[test]
fn what_is_stored_again_after_the_plan_was_made_stays() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let [again, loose] = [b"stored again".as_slice(), b"loose"].map(|bytes| store.put(bytes).unwrap());
    let plan = store.plan_gc(&GcPolicy::default(), u64::MAX).unwrap();
    assert_eq!(plan.object_count(), 2);
    store.put(b"stored again").unwrap();
    assert_eq!(store.execute_gc(&plan).unwrap().objects, 1);
    assert_eq!(store.get(&again).unwrap(), b"stored again");
    assert!(matches!(store.get(&loose), Err(StoreError::Missing(_))));
}
