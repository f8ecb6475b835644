//! Threads and processes that use one folder at the same time, are killed, or fill the disk.

use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use super::*;

#[test]
fn threads_put_and_publish_the_same_and_different_things() {
    let (folder, store) = store();
    let other = Store::open(folder.path()).unwrap();
    let shared = noise(100_000, 0);
    thread::scope(|scope| {
        for (id, store) in [(1, &store), (2, &store), (3, &other), (4, &other)] {
            let shared = &shared;
            scope.spawn(move || {
                for i in 0..10 {
                    let own = noise(5000, id * 100 + i);
                    store.put(shared).unwrap();
                    store.put(&own).unwrap();
                    store.publish(&record("train", i as i64, 1, b"same", &[shared])).unwrap();
                    store.publish(&record("probe", i as i64, id, b"", &[&own])).unwrap();
                }
            });
        }
    });
    let report = sound(&other);
    assert_eq!((report.objects, report.records, report.dropped.len()), (41, 50, 0));
    for i in 0..10 {
        assert_eq!(store.records(&record("train", i, 0, b"", &[]).parts.key()).unwrap().len(), 1);
        assert_eq!(store.records(&record("probe", i, 0, b"", &[]).parts.key()).unwrap().len(), 4);
    }
    assert_eq!(report.index_corrections, 0);
}

#[test]
fn a_claim_excludes_others_and_ends_with_its_value() {
    let (folder, store) = store();
    let other = Store::open(folder.path()).unwrap();
    let [one, two] = [1, 2].map(|key| record("train", key, 0, b"", &[]).parts.key());
    let claim = store.claim(&one).unwrap().ours().unwrap();
    assert!(store.claim(&one).unwrap().ours().is_none());
    assert!(other.claim(&one).unwrap().ours().is_none());
    assert!(other.claim(&two).unwrap().ours().is_some());
    drop(claim);
    assert!(other.claim(&one).unwrap().ours().is_some());
    assert!(fs::read_dir(folder.path().join("claims")).unwrap().next().is_none());
}

#[test]
fn of_many_that_claim_and_leave_only_one_is_in_at_a_time() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let (folder, _) = store();
    let inside = AtomicU32::new(0);
    let key = record("train", 1, 0, b"", &[]).parts.key();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let store = Store::open(folder.path()).unwrap();
                let mut entered = 0;
                while entered < 200 {
                    let Some(claim) = store.claim(&key).unwrap().ours() else { continue };
                    assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                    thread::yield_now();
                    assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
                    drop(claim);
                    entered += 1;
                }
            });
        }
    });
}

const FOLDER: &str = "WDPIPE_TEST_STORE";

/// Body of the child of the test below.
#[test]
#[ignore = "runs forever: it is started and killed by another test"]
fn works_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = Store::open(Path::new(&folder)).unwrap();
    let _claim = store.claim(&record("train", -1, 0, b"", &[]).parts.key()).unwrap().ours().unwrap();
    for i in std::process::id() as u64 * 1_000_000.. {
        let bytes = noise(300_000, i);
        store.put(&bytes).unwrap();
        store.publish(&record("train", i as i64, 1, b"", &[&bytes])).unwrap();
    }
}

#[test]
fn a_process_that_is_killed_leaves_a_sound_store_and_no_claim() {
    let (folder, store) = store();
    let key = record("train", -1, 0, b"", &[]).parts.key();
    let mut records = 0;
    for milliseconds in [0, 3, 7, 19, 41] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "tests::processes::works_until_it_is_killed"]);
        let mut child = child.env(FOLDER, folder.path()).stdout(std::process::Stdio::null()).spawn().unwrap();
        let start = Instant::now();
        while store.stats().unwrap().kinds.get("train").map_or(0, |kind| kind.records) <= records {
            assert!(start.elapsed() < Duration::from_secs(60) && child.try_wait().unwrap().is_none());
        }
        assert!(store.claim(&key).unwrap().ours().is_none());
        thread::sleep(Duration::from_millis(milliseconds));
        Child::kill(&mut child).unwrap();
        child.wait().unwrap();
        assert!(store.claim(&key).unwrap().ours().is_some());
        let report = sound(&store);
        // Every record has its object, and each of the killed processes left at most one without a record.
        assert!(report.dropped.is_empty() && report.objects <= report.records + 5, "{report:?}");
        records = report.records;
    }
}

/// A separate file system of a few MB; `None`, with a message, if it cannot be mounted.
struct Disk(TempDir);

impl Disk {
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted =
            Self::run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(folder.path()));
        if !mounted {
            println!("skipped: this user cannot mount a file system for the test");
        }
        mounted.then(|| Self(folder))
    }

    fn run(command: &mut Command) -> bool {
        command.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Self::run(Command::new("umount").arg("-l").arg(self.0.path()));
    }
}

#[test]
fn a_full_disk_is_an_error_that_leaves_nothing_half_written() {
    let Some(disk) = Disk::new() else { return };
    let store = Store::open(disk.0.path()).unwrap();
    let mut put = 0;
    let error = loop {
        match store.put(&noise(200_000, put)) {
            Ok(_) => put += 1,
            Err(error) => break error,
        }
    };
    assert!(error.is_disk_full() && error.to_string().contains("No space left"), "{error}");
    assert!(put > 10);
    assert_eq!(sound(&store).objects, put);
    assert!(fs::read_dir(disk.0.path().join("tmp")).unwrap().next().is_none());
    // When there is space again, the store works again, including the index.
    fs::remove_file(object_file(&store, &noise(200_000, 0))).unwrap();
    store.publish(&record("train", 1, 1, b"", &[])).unwrap();
    assert_eq!(store.last_named("fig/train@1").unwrap().unwrap().provenance.finished, 1);
}

#[test]
fn a_read_only_store_is_read_and_says_that_it_cannot_be_written() {
    let Some(disk) = Disk::new() else { return };
    let store = Store::open(disk.0.path()).unwrap();
    let one = record("train", 1, 1, b"a", &[b"x"]);
    store.put(b"x").unwrap();
    store.publish(&one).unwrap();
    drop(store);
    let remounted = Disk::run(Command::new("mount").args(["-o", "remount,ro"]).arg(disk.0.path()));
    assert!(remounted);
    let store = Store::open(disk.0.path()).unwrap();
    assert_eq!(store.get(&ObjectDigest::of(b"x")).unwrap(), b"x");
    assert_eq!(store.record(&one.parts.key()).unwrap().as_ref(), Some(&one));
    assert_eq!(store.last_named("fig/train@1").unwrap().as_ref(), Some(&one));
    assert_eq!(store.put(b"x").unwrap(), ObjectDigest::of(b"x"));
    store.publish(&one).unwrap();
    sound(&store);
    for error in [
        store.put(b"y").unwrap_err(),
        store.publish(&record("train", 2, 1, b"", &[])).unwrap_err(),
        store.claim(&one.parts.key()).unwrap_err(),
    ] {
        assert!(error.is_read_only() && error.to_string().contains("Read-only file system"), "{error}");
    }
}
