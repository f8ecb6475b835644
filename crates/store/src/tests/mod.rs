//! Tests of the store as a whole.
#![allow(clippy::disallowed_methods, reason = "they damage files behind the store's back")]

mod damage;
mod housekeeping;
mod model;
mod newer;
mod processes;
mod recall;
mod sharing;
mod signatures;
mod stream;

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::{GcPolicy, ObjectState, Store, StoreError, Timing};
use base::digest::ObjectDigest;
use base::record::{KeyParts, Output, Provenance, Record};
use base::value::{Map, Value};

pub(super) fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

/// Returns bytes that do not compress.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Returns a record of key number `key`, finished at the given time, with one inline output and some objects.
pub(super) fn record(kind: &str, key: i64, finished: u64, inline: &[u8], objects: &[&[u8]]) -> Record {
    let output = |(i, bytes): (usize, &&[u8])| Output {
        name: format!("o{i}"),
        object: ObjectDigest::of(bytes),
        bytes: bytes.len() as u64,
        inline: None,
    };
    let mut outputs: Vec<_> = objects.iter().enumerate().map(output).collect();
    outputs.push(Output {
        name: "metrics".into(),
        object: ObjectDigest::of(inline),
        bytes: inline.len() as u64,
        inline: Some(inline.to_vec()),
    });
    Record {
        parts: KeyParts {
            kind: kind.into(),
            version: 1,
            parameters: [("number".into(), Value::Int(key))].into(),
            inputs: [].into(),
            policy: Map::new(),
        },
        outputs,
        tensors: vec![],
        provenance: Provenance {
            stage: format!("fig/{kind}@{key}"),
            finished,
            seconds: finished as f64 / 10.0,
            flops: 1e9,
            device: "cpu".into(),
            ..Provenance::default()
        },
    }
}

fn object_file(store: &Store, bytes: &[u8]) -> PathBuf {
    store.layout.object(&ObjectDigest::of(bytes))
}

/// Overwrites a read-only file in place, as a failing disk or a careless program would.
fn overwrite(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(path, bytes).unwrap();
}

fn sound(store: &Store) -> super::CheckReport {
    let report = store.check(&mut |_| {}).unwrap();
    assert!(report.is_sound(), "{report:?}");
    report
}

#[test]
fn objects_round_trip_in_this_store_and_another_on_the_same_folder() {
    let (folder, store) = store();
    let other = Store::open(folder.path()).unwrap();
    let text = b"epoch,loss\n".repeat(500_000);
    for bytes in [&b""[..], b"x", &noise(5 << 20, 1), &text] {
        let digest = store.put(bytes).unwrap();
        assert_eq!(digest, ObjectDigest::of(bytes));
        for store in [&store, &other, &Store::open(folder.path()).unwrap()] {
            assert_eq!(store.get(&digest).unwrap(), bytes);
            assert_eq!(store.state(&digest).unwrap(), ObjectState::Present);
        }
    }
    assert!(fs::metadata(object_file(&store, &text)).unwrap().len() < 100_000);
    let stats = other.stats().unwrap();
    assert_eq!((stats.objects, stats.raw_bytes), (4, 1 + (5 << 20) + text.len() as u64));
    assert!(fs::read_dir(folder.path().join("tmp")).unwrap().next().is_none());

    let absent = ObjectDigest::of(b"absent");
    assert!(matches!(store.get(&absent), Err(StoreError::Missing(object)) if object == absent));
    assert_eq!(store.state(&absent).unwrap(), ObjectState::Missing);
}

#[test]
fn putting_twice_writes_once_and_files_are_read_only() {
    use std::os::unix::fs::MetadataExt;
    let (_folder, store) = store();
    store.put(b"once").unwrap();
    let first = fs::metadata(object_file(&store, b"once")).unwrap();
    store.put(b"once").unwrap();
    let second = fs::metadata(object_file(&store, b"once")).unwrap();
    assert_eq!((first.ino(), first.mtime()), (second.ino(), second.mtime()));
    assert_ne!(first.ctime_nsec(), second.ctime_nsec(), "a collector that saw the first keeps the second");
    assert_eq!(second.mode() & 0o777, 0o444);
}

#[test]
fn the_oldest_computation_and_the_newest_import_are_used_and_differences_are_kept() {
    let (folder, store) = store();
    let other = Store::open(folder.path()).unwrap();
    for (kind, used) in [("train", b"b"), ("import", b"c")] {
        for (finished, yielded) in [(20, b"a"), (10, b"b"), (30, b"c"), (25, b"b")] {
            store.publish(&record(kind, 1, finished, yielded, &[])).unwrap();
        }
        let key = record(kind, 1, 0, b"", &[]).parts.key();
        assert_eq!(other.records(&key).unwrap().len(), 4);
        let chosen = other.record(&key).unwrap().unwrap();
        assert_eq!(other.output(&chosen.outputs[0]).unwrap(), used);
        assert_eq!(other.conflicts(&key).unwrap().len(), 3);
    }
    // Of equally old records, the one with the smaller digest is used, whatever their order.
    let twins = [b"d", b"e"].map(|yielded| record("train", 2, 5, yielded, &[]));
    let digests = twins.each_ref().map(|twin| store.publish(twin).unwrap());
    let smaller = if digests[0] < digests[1] { &twins[0] } else { &twins[1] };
    assert_eq!(store.record(&twins[0].parts.key()).unwrap().as_ref(), Some(smaller));

    let absent = record("train", 3, 0, b"", &[]).parts.key();
    assert_eq!(store.record(&absent).unwrap(), None);
    assert!(store.conflicts(&absent).unwrap().is_empty());
}

#[test]
fn questions_about_names_and_times_are_answered_from_any_instance() {
    let (folder, store) = store();
    let other = Store::open(folder.path()).unwrap();
    for finished in 1..=60 {
        store.publish(&record("train", 1, finished, &finished.to_le_bytes(), &[])).unwrap();
    }
    store.publish(&record("probe", 1, 99, b"", &[])).unwrap();
    let last = other.last_named("fig/train@1").unwrap().unwrap();
    assert_eq!(last.provenance.finished, 60);
    assert_eq!(other.last_named("fig/train@2").unwrap(), None);
    let history = other.history("train", "cpu").unwrap();
    assert_eq!((history.len(), history[0]), (50, Timing { flops: 1e9, seconds: 6.0 }));
    assert!(other.history("train", "cuda").unwrap().is_empty());
    let kinds = other.stats().unwrap().kinds;
    assert_eq!((kinds["train"].records, kinds["train"].seconds), (60, (1..=60).sum::<u64>() as f64 / 10.0));
}

#[test]
fn only_stores_and_empty_folders_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("new/store");
    Store::open(&root).unwrap().put(b"x").unwrap();

    // An interrupted attempt to create a store is continued.
    fs::remove_file(root.join("wdpipe-store")).unwrap();
    fs::remove_dir_all(root.join("records")).unwrap();
    fs::remove_file(root.join("index.sqlite")).unwrap();
    fs::remove_file(root.join("index.sqlite-journal")).unwrap();
    fs::write(root.join("CACHEDIR.TAG"), "Signature").unwrap();
    let store = Store::open(&root).unwrap();
    assert_eq!(store.get(&ObjectDigest::of(b"x")).unwrap(), b"x");

    fs::write(folder.path().join("thesis.tex"), "").unwrap();
    assert!(matches!(Store::open(folder.path()), Err(StoreError::NotAStore { .. })));
    assert!(!folder.path().join("objects").exists());
    assert!(matches!(Store::open(&folder.path().join("thesis.tex")), Err(StoreError::NotAFolder(_))));

    overwrite(&root.join("wdpipe-store"), b"wdpipe store, layout version 7\n");
    let error = Store::open(&root).unwrap_err();
    assert!(matches!(error, StoreError::Version { found: 7, known: 1, .. }), "{error}");
    for text in [&b""[..], b"\xff", b"wdpipe store, layout version x", &[b'x'; 5000]] {
        overwrite(&root.join("wdpipe-store"), text);
        assert!(matches!(Store::open(&root), Err(StoreError::NotAStore { .. })));
    }
}

#[test]
fn collecting_drops_what_no_kept_key_needs_and_no_record() {
    let (folder, store) = store();
    let [input, kept, dropped, orphan] = [noise(1000, 1), noise(1000, 2), noise(3000, 3), noise(500, 4)];
    for bytes in [&input, &kept, &dropped, &orphan] {
        store.put(bytes).unwrap();
    }
    let mut keeper = record("train", 1, 1, b"", &[&kept]);
    keeper.parts.inputs.insert("weights".into(), ObjectDigest::of(&input));
    let loser = record("probe", 2, 1, b"", &[&dropped, &kept]);
    store.publish(&keeper).unwrap();
    store.publish(&loser).unwrap();
    fs::write(folder.path().join("tmp/1-2-3"), "left over").unwrap();
    let now = files::now() as u64 / 1_000_000_000;

    let policy = GcPolicy { keys: [keeper.parts.key()].into(), grace: 1000, ..GcPolicy::default() };
    assert_eq!(store.plan_gc(&policy, now + 999 - 60).unwrap().object_count(), 0);
    let plan = store.plan_gc(&policy, now + 2 * 86400).unwrap();
    let planned: Vec<_> = plan.objects.iter().map(|(kind, objects)| (kind.as_str(), objects[0].object)).collect();
    assert_eq!(planned, [("", ObjectDigest::of(&orphan)), ("probe", ObjectDigest::of(&dropped))]);
    assert_eq!(plan.bytes(), 3000 + 500 + 2 * 16 + 9);

    // The inputs of a key that is being computed but not kept are unknown.
    let claim = store.claim(&record("train", 9, 1, b"", &[]).parts.key()).unwrap();
    assert!(matches!(store.execute_gc(&plan), Err(StoreError::Busy(keys)) if keys.len() == 1));
    drop(claim);
    // A kept key can be computed. A key whose record is known counts as kept.
    let _claim = store.claim(&keeper.parts.key()).unwrap();
    let claim = store.claim(&loser.parts.key()).unwrap();
    assert_eq!(store.plan_gc(&policy, now + 2000).unwrap().object_count(), 1);
    drop(claim);

    let done = store.execute_gc(&plan).unwrap();
    assert_eq!((done.objects, done.files, done.bytes), (2, 1, plan.bytes()));
    let states = [&input, &kept, &dropped, &orphan].map(|bytes| store.state(&ObjectDigest::of(bytes)).unwrap());
    let (present, missing) = (ObjectState::Present, ObjectState::Missing);
    assert_eq!(states, [present, present, missing, missing]);
    assert_eq!(store.record(&loser.parts.key()).unwrap().as_ref(), Some(&loser));
    assert_eq!(sound(&store).dropped, [ObjectDigest::of(&dropped)].into());
    assert_eq!(store.execute_gc(&plan).unwrap(), super::GcDone::default());
}

/// Measures the store on this machine: `cargo test --release -- --ignored --nocapture the_store_is_measured`.
#[test]
#[ignore = "takes a minute and 2 GiB of disk"]
fn the_store_is_measured() {
    use std::time::Instant;
    let (folder, store) = store();
    let timed = |what: &str, count: u32, action: &mut dyn FnMut()| {
        let start = Instant::now();
        action();
        println!("{what}: {:?} ({:?} each)", start.elapsed(), start.elapsed() / count);
    };
    let bytes = noise(1 << 30, 1);
    timed("hash 1 GiB", 1, &mut || assert_ne!(ObjectDigest::of(&bytes), ObjectDigest::of(b"")));
    timed("dd conv=fsync of 1 GiB", 1, &mut || {
        let mut of = std::ffi::OsString::from("of=");
        of.push(folder.path().join("tmp/dd"));
        let mut dd = std::process::Command::new("dd");
        dd.args(["bs=1M", "iflag=fullblock", "conv=fsync", "status=none", "if=/dev/stdin"]).arg(of);
        let mut child = dd.stdin(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), &bytes).unwrap();
        assert!(child.wait().unwrap().success());
    });
    fs::remove_file(folder.path().join("tmp/dd")).unwrap();
    timed("put 1 GiB", 1, &mut || assert!(store.put(&bytes).is_ok()));
    timed("get 1 GiB", 1, &mut || drop(store.get(&ObjectDigest::of(&bytes)).unwrap()));
    let small: Vec<_> = (0..1000).map(|i| noise(40_000, i)).collect();
    timed("put 40 kB", 1000, &mut || small.iter().for_each(|bytes| assert!(store.put(bytes).is_ok())));
    let digests: Vec<_> = small.iter().map(|bytes| ObjectDigest::of(bytes)).collect();
    timed("state", 1000, &mut || {
        digests.iter().for_each(|d| assert_eq!(store.state(d).unwrap(), ObjectState::Present))
    });
    let records: Vec<_> = (0..10_000).map(|i| record("train", i, 1, &noise(2000, i as u64), &[])).collect();
    timed("publish", 10_000, &mut || records.iter().for_each(|record| assert!(store.publish(record).is_ok())));
    let keys: Vec<_> = records[..5000].iter().map(|record| record.parts.key()).collect();
    timed("record", 5000, &mut || keys.iter().for_each(|key| assert!(store.record(key).unwrap().is_some())));
    timed("open with 10,000 records", 1, &mut || drop(Store::open(folder.path()).unwrap()));
    timed("stats", 1, &mut || drop(store.stats().unwrap()));
    fs::remove_file(folder.path().join("index.sqlite")).unwrap();
    let anew = Store::open(folder.path()).unwrap();
    timed("rebuild the index", 1, &mut || assert_eq!(anew.history("train", "cpu").unwrap().len(), 50));
    timed("last_named", 1, &mut || assert!(anew.last_named("fig/train@7").unwrap().is_some()));
    timed("check of it all", 1, &mut || drop(sound(&store)));
}

#[test]
fn records_are_found_by_the_beginning_of_their_digest_or_key() {
    let (folder, store) = store();
    let records =
        [record("train", 1, 1, b"a", &[]), record("train", 1, 2, b"b", &[]), record("probe", 2, 1, b"c", &[])];
    let digests: Vec<_> = records.iter().map(|record| store.publish(record).unwrap()).collect();
    let find = |prefix: &str| -> Vec<_> { store.find(prefix).unwrap().into_iter().map(|(digest, _)| digest).collect() };
    assert_eq!(find(&records[0].parts.key().to_string()[..16]), digests[..2], "the older one first");
    assert_eq!(find(&digests[1].to_string()), [digests[1]]);
    assert_eq!(find("").len(), 3);
    assert!(find("0123456789abcdef").is_empty());

    // The index is not used, and damaged files are skipped.
    fs::remove_file(folder.path().join("index.sqlite")).unwrap();
    let (key, digest) = (records[2].parts.key().to_string(), digests[2].to_string());
    let path = folder.path().join("records").join(&key[..2]).join(&key[2..]).join(&digest);
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"no record").unwrap();
    let all: Vec<_> = store.every_record().unwrap().into_keys().collect();
    assert_eq!(all, std::collections::BTreeSet::from([digests[0], digests[1]]).into_iter().collect::<Vec<_>>());
    assert!(find(&digest).is_empty());
}
