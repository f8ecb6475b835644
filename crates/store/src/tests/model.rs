//! Compares the store with a model in memory, under random sequences of operations and faults.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use base::digest::{RecordDigest, StageKey};

#[derive(Debug, Clone)]
enum Step {
    Put(u64),
    Publish { key: i64, finished: u64, yielded: u64 },
    Flip { object: u64, at: usize },
    Remove(u64),
    Collect { keep: Vec<i64>, limit: Option<u64> },
    Pin(i64),
    Unpin(i64),
    DeleteIndex,
    SpoilIndex,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..8_u64).prop_map(Step::Put),
        6 => (0..4_i64, 0..3_u64, 0..8_u64).prop_map(|(key, finished, yielded)| Step::Publish { key, finished, yielded }),
        2 => (0..8_u64, any::<usize>()).prop_map(|(object, at)| Step::Flip { object, at }),
        1 => (0..8_u64).prop_map(Step::Remove),
        2 => (prop::collection::vec(0..4_i64, 0..3), prop::option::of(0..2500_u64))
            .prop_map(|(keep, limit)| Step::Collect { keep, limit }),
        1 => (0..4_i64).prop_map(Step::Pin),
        1 => (0..4_i64).prop_map(Step::Unpin),
        1 => Just(Step::DeleteIndex),
        1 => Just(Step::SpoilIndex),
        2 => Just(Step::Reopen),
    ]
}

/// Returns object number `i`; objects have different lengths, and some are compressible.
fn bytes(i: u64) -> Vec<u8> {
    if i.is_multiple_of(2) { noise(i as usize * 100, i) } else { vec![i as u8; 500] }
}

fn made(key: i64, finished: u64, yielded: u64) -> Record {
    record("train", key, finished, &yielded.to_le_bytes(), &[&bytes(yielded)])
}

#[derive(Default)]
struct Model {
    objects: BTreeSet<u64>,
    records: BTreeMap<StageKey, BTreeMap<RecordDigest, Record>>,
    pins: BTreeSet<i64>,
}

impl Model {
    /// Returns the objects named by records of some keys.
    fn named(&self, keys: impl IntoIterator<Item = i64>) -> BTreeSet<u64> {
        let digests: BTreeSet<_> = keys
            .into_iter()
            .filter_map(|key| self.records.get(&made(key, 0, 0).parts.key()))
            .flat_map(|of| of.values().map(|record| record.outputs[0].object))
            .collect();
        (0..8).filter(|&i| digests.contains(&ObjectDigest::of(&bytes(i)))).collect()
    }

    /// Checks that exactly the right objects remain after a collection, and takes them over. Every named object can
    /// be recomputed here, since no stage has inputs.
    fn collected(&mut self, keep: &[i64], limit: Option<u64>, sizes: &BTreeMap<u64, u64>, there: BTreeSet<u64>) {
        let pinned = self.named(self.pins.iter().copied());
        let needed = &self.named(keep.iter().copied()) - &pinned;
        let gone = &self.objects - &there;
        let loose: BTreeSet<_> =
            self.objects.iter().filter(|i| !pinned.contains(i) && !needed.contains(i)).copied().collect();
        assert!(there.is_subset(&self.objects) && gone.is_disjoint(&pinned));
        match limit {
            None => assert_eq!(gone, loose),
            Some(limit) => {
                let stays: u64 = there.iter().map(|i| sizes[i]).sum();
                let last = if gone.is_disjoint(&needed) { &loose } else { &needed };
                assert!(gone.is_disjoint(&needed) || loose.is_subset(&gone), "loose objects are removed first");
                assert!(gone.intersection(last).all(|i| stays + sizes[i] > limit), "no more than necessary");
                assert!(stays <= limit || there.is_subset(&pinned), "no fewer than possible");
            }
        }
        self.objects = there;
    }
}

fn pin(key: i64) -> crate::Pin {
    let (name, keys) = (format!("k{key}").parse().unwrap(), [made(key, 0, 0).parts.key()].into());
    crate::Pin { name, made: 1, who: "me".into(), reason: String::new(), keys, objects: BTreeSet::new() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_answers_as_a_map_in_memory_would(steps in prop::collection::vec(step(), 1..30)) {
        // In memory if possible: thousands of files are synced.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut store = Store::open(folder.path()).unwrap();
        let other = Store::open(folder.path()).unwrap();
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Put(i) => {
                    store.put(&bytes(i)).unwrap();
                    model.objects.insert(i);
                }
                Step::Publish { key, finished, yielded } => {
                    let record = made(key, finished, yielded);
                    let digest = store.publish(&record).unwrap();
                    model.records.entry(record.parts.key()).or_default().insert(digest, record);
                }
                Step::Flip { object, at } => {
                    if model.objects.remove(&object) {
                        let path = object_file(&store, &bytes(object));
                        let mut file = fs::read(&path).unwrap();
                        let at = at % file.len();
                        file[at] ^= 0x20;
                        overwrite(&path, &file);
                        prop_assert_eq!(store.state(&ObjectDigest::of(&bytes(object))).unwrap(), ObjectState::Damaged);
                    }
                }
                Step::Remove(i) => {
                    if model.objects.remove(&i) {
                        fs::remove_file(object_file(&store, &bytes(i))).unwrap();
                    }
                }
                Step::Collect { keep, limit } => {
                    let keys = keep.iter().map(|&key| made(key, 0, 0).parts.key()).collect();
                    let size = |i: &u64| (*i, fs::metadata(object_file(&store, &bytes(*i))).unwrap().len());
                    let sizes: BTreeMap<_, _> = model.objects.iter().map(size).collect();
                    let plan = store.plan_gc(&GcPolicy { keys, keep_bytes: limit, ..GcPolicy::default() }, u64::MAX).unwrap();
                    let done = store.execute_gc(&plan).unwrap();
                    let there: BTreeSet<_> = model.objects.iter().copied().filter(|&i| object_file(&store, &bytes(i)).exists()).collect();
                    prop_assert_eq!(done.objects as usize, model.objects.len() - there.len());
                    prop_assert_eq!(plan.stays, there.iter().map(|i| sizes[i]).sum::<u64>());
                    model.collected(&keep, limit, &sizes, there);
                }
                Step::Pin(key) => {
                    store.pin(&pin(key)).unwrap();
                    model.pins.insert(key);
                }
                Step::Unpin(key) => prop_assert_eq!(store.unpin(&pin(key).name).unwrap(), model.pins.remove(&key)),
                Step::DeleteIndex => drop(fs::remove_file(folder.path().join("index.sqlite"))),
                Step::SpoilIndex => fs::write(folder.path().join("index.sqlite"), noise(9000, 1)).unwrap(),
                Step::Reopen => store = Store::open(folder.path()).unwrap(),
            }
            for store in [&store, &other] {
                for i in 0..8 {
                    let digest = ObjectDigest::of(&bytes(i));
                    let there = if model.objects.contains(&i) { ObjectState::Present } else { ObjectState::Missing };
                    prop_assert_eq!(store.state(&digest).unwrap(), there);
                    prop_assert_eq!(store.get(&digest).ok(), model.objects.contains(&i).then(|| bytes(i)));
                }
                for key in 0..4 {
                    let key = made(key, 0, 0).parts.key();
                    let expected = model.records.get(&key).cloned().unwrap_or_default();
                    prop_assert_eq!(store.records(&key).unwrap().into_iter().collect::<BTreeMap<_, _>>(), expected.clone());
                    let oldest = expected.iter().min_by_key(|(digest, record)| (record.provenance.finished, **digest));
                    prop_assert_eq!(store.record(&key).unwrap(), oldest.map(|(_, record)| record.clone()));
                }
            }
        }
        let report = sound(&store);
        prop_assert_eq!(report.objects as usize, model.objects.len());
        prop_assert_eq!(report.records as usize, model.records.values().map(BTreeMap::len).sum::<usize>());
        let stats = store.stats().unwrap();
        prop_assert_eq!(stats.objects, report.objects);
        prop_assert_eq!(stats.kinds.values().map(|kind| kind.records).sum::<u64>(), report.records);
        prop_assert_eq!(stats.raw_bytes, model.objects.iter().map(|&i| bytes(i).len() as u64).sum::<u64>());
    }
}
