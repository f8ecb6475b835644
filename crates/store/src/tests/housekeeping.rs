//! Pins, recent use, and files that cannot be removed.

use std::collections::BTreeSet;

use super::*;
use crate::Pin;

const DAY: u64 = 24 * 60 * 60;

fn now() -> u64 {
    files::now() as u64 / 1_000_000_000
}

fn pin(name: &str, record: &Record) -> Pin {
    let keys = [record.parts.key()].into();
    Pin { name: name.parse().unwrap(), made: now(), who: "me".into(), reason: "why".into(), keys, objects: [].into() }
}

/// Returns the objects that a policy would remove in a day.
fn goes(store: &Store, policy: &GcPolicy) -> BTreeSet<ObjectDigest> {
    let plan = store.plan_gc(policy, now() + DAY).unwrap();
    plan.objects.values().flatten().map(|planned| planned.object).collect()
}

#[test]
fn a_pin_keeps_what_its_stages_read_and_yielded_until_it_is_removed() {
    let (folder, store) = store();
    assert!(store.pins().unwrap().is_empty() && !folder.path().join("pins").exists());
    let [input, output, alone] = [b"input", b"outpt", b"alone"].map(|bytes| store.put(bytes).unwrap());
    let mut train = record("train", 1, 1, b"", &[b"outpt"]);
    train.parts.inputs.insert("weights".into(), input);
    store.publish(&train).unwrap();
    assert_eq!(goes(&store, &GcPolicy::default()).len(), 3);
    let everything = GcPolicy { keep_bytes: Some(0), ..GcPolicy::default() };
    store.pin(&pin("a", &train)).unwrap();
    for policy in [&GcPolicy::default(), &everything] {
        assert_eq!(goes(&store, policy), [alone].into());
    }
    let other = Pin { objects: [alone].into(), keys: [].into(), ..pin("b", &train) };
    store.pin(&other).unwrap();
    assert!(goes(&store, &everything).is_empty());
    // Other processes see the pins; repeating a pin is allowed, but using its name for something else is not.
    assert_eq!(Store::open(folder.path()).unwrap().pins().unwrap(), [pin("a", &train), other.clone()]);
    store.pin(&Pin { reason: "again".into(), ..other.clone() }).unwrap();
    let refused = store.pin(&Pin { name: pin("a", &train).name, ..other }).unwrap_err();
    assert!(refused.to_string().contains("choose another name"), "{refused}");
    assert!(store.unpin(&pin("a", &train).name).unwrap() && !store.unpin(&pin("a", &train).name).unwrap());
    assert_eq!(goes(&store, &everything), [input, output].into());
    // It is unknown what an unreadable pin keeps, so nothing is removed.
    fs::write(folder.path().join("pins/c"), "wdpipe pin, version 2\n").unwrap();
    let refused = store.plan_gc(&everything, now() + DAY).unwrap_err();
    assert!(matches!(&refused, StoreError::Pin { .. }) && refused.to_string().contains("newer wdpipe"), "{refused}");
}

#[test]
fn what_was_used_lately_is_needed_and_noting_it_again_writes_nothing() {
    let (folder, store) = store();
    let used = store.put(b"used").unwrap();
    store.put(b"unused").unwrap();
    store.publish(&record("train", 1, 1, b"", &[b"used"])).unwrap();
    store.note_uses(&[(used, 4)]);
    let index = folder.path().join("index.sqlite");
    let noted = fs::metadata(&index).unwrap().modified().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    store.note_uses(&[(used, 4)]);
    assert_eq!(fs::metadata(&index).unwrap().modified().unwrap(), noted);
    // Hashing an object again does not change when it was used.
    store.get(&used).unwrap();
    let policy = |recent| GcPolicy { recent, ..GcPolicy::default() };
    assert_eq!(goes(&store, &policy(7)), [ObjectDigest::of(b"unused")].into());
    for recent in [0, 1] {
        assert_eq!(goes(&store, &policy(recent)).len(), 2, "the day after {recent}");
    }
    // A size limit removes it nevertheless: it can be recomputed.
    assert_eq!(goes(&store, &GcPolicy { keep_bytes: Some(0), ..policy(7) }).len(), 2);
    drop(store);
    // Only the index remembers uses.
    fs::remove_file(&index).unwrap();
    assert_eq!(goes(&Store::open(folder.path()).unwrap(), &policy(7)).len(), 2);
}

#[test]
fn the_plan_says_what_having_it_again_costs_and_running_stages_protect_what_is_needed() {
    let (_folder, store) = store();
    let objects = [&b"first"[..], b"second"].map(|bytes| store.put(bytes).unwrap());
    let first = record("train", 1, 100, b"", &[b"first"]);
    let mut second = record("probe", 2, 50, b"", &[b"second"]);
    second.parts.inputs.insert("weights".into(), objects[0]);
    for record in [&first, &second] {
        store.publish(record).unwrap();
    }
    let keys: BTreeSet<_> = [&first, &second].map(|record| record.parts.key()).into();
    let policy = GcPolicy { keys, keep_bytes: Some(0), ..GcPolicy::default() };
    let plan = store.plan_gc(&policy, now() + DAY).unwrap();
    assert_eq!(plan.again, [("probe".to_owned(), 5.0), ("train".to_owned(), 10.0)].into());
    assert!(plan.objects.values().flatten().all(|planned| planned.needed) && plan.lost == 0 && plan.stays == 0);
    // A stage that starts in the meantime can read any of them.
    let claim = store.claim(&first.parts.key()).unwrap();
    assert!(matches!(store.execute_gc(&plan), Err(StoreError::Busy(keys)) if keys.len() == 1));
    let careful = store.plan_gc(&policy, now() + DAY).unwrap();
    assert_eq!((careful.object_count(), careful.running), (0, 1));
    drop(claim);
    assert_eq!(store.execute_gc(&plan).unwrap().objects, 2);
    // Objects removed earlier count where they would be needed.
    let again = store.put(b"second").unwrap();
    let plan = store.plan_gc(&policy, now() + DAY).unwrap();
    assert_eq!((plan.object_count(), plan.again.len(), plan.again["train"]), (1, 2, 10.0));
    assert_eq!(plan.objects["probe"][0].object, again);
}

#[test]
fn what_cannot_be_removed_is_left_and_counted() {
    let (_folder, store) = store();
    store.put(b"removable").unwrap();
    // A folder that is not empty cannot be removed like a file.
    fs::create_dir_all(object_file(&store, b"stubborn").join("inside")).unwrap();
    let plan = store.plan_gc(&GcPolicy::default(), now() + DAY).unwrap();
    assert_eq!(plan.object_count(), 2);
    let done = store.execute_gc(&plan).unwrap();
    assert_eq!((done.objects, done.left, done.bytes + done.left_bytes), (1, 1, plan.bytes()));
    assert!(done.why.unwrap().contains("cannot remove"));
}

#[test]
fn what_takes_the_space_is_answered_from_the_index_and_from_none() {
    let (folder, store) = store();
    for bytes in [&b"weights"[..], b"both", b"orphan"] {
        store.put(bytes).unwrap();
    }
    store.publish(&record("train", 1, 1, b"in the record", &[b"weights", b"both"])).unwrap();
    store.publish(&record("probe", 2, 1, b"", &[b"both"])).unwrap();
    let anew = |store: &Store| -> BTreeSet<_> {
        store.occupied().unwrap().into_iter().map(|o| (o.kind, o.stage, o.bytes)).collect()
    };
    let row = |kind: &str, stage: &str, bytes: u64| (kind.to_owned(), stage.to_owned(), bytes + 16);
    let wanted: BTreeSet<_> = [row("", "", 6), row("probe", "fig/probe@2", 4), row("train", "fig/train@1", 7)].into();
    assert_eq!(anew(&store), wanted);
    drop(store);
    fs::remove_file(folder.path().join("index.sqlite")).unwrap();
    assert_eq!(anew(&Store::open(folder.path()).unwrap()), wanted);
}

/// Measures queries with 100,000 records: `cargo test --release -- --ignored --nocapture a_large_store`.
#[test]
#[ignore = "takes minutes"]
fn a_large_store_is_measured() {
    use std::time::Instant;
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = Store::open(folder.path()).unwrap();
    let bytes = |i: i64| i.to_le_bytes();
    for i in 0..100_000 {
        store.put(&bytes(i)).unwrap();
        let mut link = record(["train", "probe", "trace"][i as usize % 3], i, 10, b"numbers", &[&bytes(i)]);
        // Chains of a hundred segments.
        if i % 100 > 0 {
            link.parts.inputs.insert("weights".into(), ObjectDigest::of(&bytes(i - 1)));
        }
        store.publish(&link).unwrap();
    }
    let timed = |what: &str, action: &mut dyn FnMut()| {
        let start = Instant::now();
        action();
        println!("{what}: {:?}", start.elapsed());
    };
    timed("stats", &mut || assert_eq!(store.stats().unwrap().objects, 100_000));
    timed("what takes the space", &mut || assert_eq!(store.occupied().unwrap().len(), 100_000));
    let all: Vec<_> = (0..100_000).map(|i| (ObjectDigest::of(&bytes(i)), 8)).collect();
    timed("note 100,000 uses", &mut || store.note_uses(&all));
    timed("note them again", &mut || store.note_uses(&all));
    let keys: BTreeSet<_> =
        (0..100_000).map(|i| record(["train", "probe", "trace"][i as usize % 3], i, 0, b"", &[]).parts.key()).collect();
    timed("plan gc", &mut || drop(store.plan_gc(&GcPolicy::default(), u64::MAX).unwrap()));
    for share in [1, 50, 99] {
        let keep_bytes = Some(24_000 * (100 - share));
        let policy = GcPolicy { keys: keys.clone(), recent: u64::MAX, keep_bytes, ..GcPolicy::default() };
        timed(&format!("plan gc, {share} % of what is needed"), &mut || {
            assert!(store.plan_gc(&policy, now() + DAY).unwrap().object_count() >= 1000 * share as usize);
        });
    }
    fs::remove_file(folder.path().join("index.sqlite")).unwrap();
    let anew = Store::open(folder.path()).unwrap();
    timed("what takes the space, index anew", &mut || assert_eq!(anew.occupied().unwrap().len(), 100_000));
}
