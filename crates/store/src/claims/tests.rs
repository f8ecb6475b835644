#![allow(clippy::disallowed_methods, reason = "they look at the file system from outside")]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::Options;

const KEY: StageKey = StageKey::from_bytes([7; 32]);

/// A folder with a store that several processes use, as it seems.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Opens the store as a process on another host, whose heartbeat is too long to be seen by a test.
    fn store(&self, host: &str, locks: Reach) -> Store {
        let holder = HolderName { host: host.into(), process: 4711, job: Some("12_3".into()) };
        let options = Options { holder, heartbeat: Duration::from_secs(3600), ..Options::default() };
        let mut store = Store::open_with(self.0.path(), &options).unwrap();
        store.claims.system.locks = locks;
        store
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("claims").join(KEY.to_string())
    }

    fn is_clean(&self) -> bool {
        ["claims", "tmp"].iter().all(|name| fs::read_dir(self.0.path().join(name)).unwrap().next().is_none())
    }
}

fn theirs(claiming: Claiming) -> Option<Holder> {
    match claiming {
        Claiming::Theirs(holder) => holder,
        Claiming::Ours(claim) => panic!("{claim:?}"),
    }
}

/// A moment of a clock that only tests turn.
fn after(start: Instant, hours: u64) -> Instant {
    start + Duration::from_secs(hours * 3600)
}

#[test]
fn a_waiter_learns_who_has_a_key_and_gets_it_afterwards() {
    for locks in [Reach::All, Reach::Machine] {
        let folder = Folder::new();
        let (one, two) = (folder.store("n1", locks), folder.store("n2", locks));
        let claim = one.claim(&KEY).unwrap().ours().unwrap();
        assert!(claim.orphan().is_none());
        let holder = theirs(two.claim(&KEY).unwrap()).unwrap();
        let Holder { host, process, job, user, since, heartbeat } = holder;
        assert_eq!((&*host, process, job.as_deref()), ("n1", 4711, Some("12_3")));
        assert!(!user.is_empty() && since > 1_700_000_000 && heartbeat == Duration::from_secs(3600));
        drop(claim);
        assert!(two.claim(&KEY).unwrap().ours().unwrap().orphan().is_none());
        assert!(folder.is_clean());
    }
}

#[test]
fn a_holder_without_a_sign_of_life_is_dead_by_the_clock_of_the_waiter() {
    for locks in [Reach::All, Reach::Unsure] {
        let folder = Folder::new();
        let [one, two, three] = ["n1", "n2", "n3"].map(|host| folder.store(host, locks));
        let stopped = one.claim(&KEY).unwrap().ours().unwrap();
        let start = Instant::now();
        assert!(theirs(two.claim_at(&KEY, start).unwrap()).is_some());
        assert!(theirs(two.claim_at(&KEY, after(start, 19)).unwrap()).is_some());
        // This one has only just begun to wait.
        assert!(theirs(three.claim_at(&KEY, after(start, 19)).unwrap()).is_some());
        let taken = two.claim_at(&KEY, after(start, 20)).unwrap().ours().unwrap();
        assert_eq!(taken.orphan().unwrap().host, "n1");
        assert_eq!(theirs(three.claim_at(&KEY, after(start, 38)).unwrap()).unwrap().host, "n2");
        // The stopped process wakes up, and ends its stage.
        stopped.lease.beat();
        drop(stopped);
        assert_eq!(theirs(three.claim_at(&KEY, after(start, 39)).unwrap()).unwrap().host, "n2");
        drop(taken);
        assert!(three.claim_at(&KEY, after(start, 40)).unwrap().ours().unwrap().orphan().is_none());
        assert!(folder.is_clean());
    }
}

#[test]
fn a_holder_with_signs_of_life_is_waited_for() {
    for locks in [Reach::All, Reach::Machine] {
        let folder = Folder::new();
        let (one, two) = (folder.store("n1", locks), folder.store("n2", locks));
        let claim = one.claim(&KEY).unwrap().ours().unwrap();
        let start = Instant::now();
        for hours in (0..100).step_by(10) {
            assert!(theirs(two.claim_at(&KEY, after(start, hours)).unwrap()).is_some());
            claim.lease.beat();
        }
        // A clock that goes backwards changes nothing.
        assert!(theirs(two.claim_at(&KEY, start).unwrap()).is_some());
    }
}

#[test]
fn a_dead_holder_whose_lock_is_gone_is_followed_at_once() {
    let folder = Folder::new();
    let (one, two) = (folder.store("n1", Reach::All), folder.store("n2", Reach::All));
    std::mem::forget(one.claim(&KEY).unwrap());
    let left = fs::read(folder.path()).unwrap();
    fs::remove_file(folder.path()).unwrap();
    for (left, orphan) in [(&left[..], Some("n1")), (b"", None), (b"nonsense", None)] {
        fs::write(folder.path(), left).unwrap();
        let claim = two.claim(&KEY).unwrap().ours().unwrap();
        assert_eq!(claim.orphan().map(|holder| &*holder.host), orphan);
        drop(claim);
        assert!(folder.is_clean());
    }
}

#[test]
fn without_locks_a_process_that_has_ended_here_is_followed_at_once_and_one_elsewhere_later() {
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let folder = Folder::new();
    let two = folder.store("n2", Reach::Machine);
    let mut one = ClaimText::new(
        &HolderName { host: "n1".into(), process: child.id(), job: None },
        "ann",
        Duration::from_secs(3600),
    );
    fs::write(folder.path(), one.to_bytes()).unwrap();
    let start = Instant::now();
    assert!(theirs(two.claim_at(&KEY, start).unwrap()).is_some(), "it lives");
    child.kill().unwrap();
    child.wait().unwrap();
    let claim = two.claim_at(&KEY, start).unwrap().ours().unwrap();
    assert_eq!(claim.orphan().unwrap().process, child.id());
    drop(claim);
    one.moved_to("another-machine");
    fs::write(folder.path(), one.to_bytes()).unwrap();
    assert!(theirs(two.claim_at(&KEY, start).unwrap()).is_some());
    assert!(two.claim_at(&KEY, after(start, 20)).unwrap().ours().is_some());
    assert!(folder.is_clean());
    // What an unknown program left there is followed after the usual time.
    fs::write(folder.path(), "").unwrap();
    assert!(theirs(two.claim_at(&KEY, start).unwrap()).is_none());
    assert!(two.claim_at(&KEY, start + HEARTBEAT * BEATS).unwrap().ours().is_some());
}

#[test]
fn a_file_without_a_text_is_its_lock() {
    let folder = Folder::new();
    let two = folder.store("n2", Reach::All);
    let old = Lock::try_acquire(&folder.path(), &folder.0.path().join("tmp")).unwrap().unwrap();
    let start = Instant::now();
    for hours in [0, 20, 1000] {
        assert_eq!(theirs(two.claim_at(&KEY, after(start, hours)).unwrap()), None);
    }
    drop(old);
    assert!(two.claim_at(&KEY, start).unwrap().ours().is_some());
}

#[test]
fn held_claims_are_renewed_and_no_others() {
    let folder = Folder::new();
    let options = Options { heartbeat: Duration::ZERO, ..Options::default() };
    let store = Store::open_with(folder.0.path(), &options).unwrap();
    let claim = store.claim(&KEY).unwrap().ours().unwrap();
    let beats = || ClaimText::read(&fs::read(folder.path()).unwrap()).map(|text| text.beats());
    let start = Instant::now();
    while beats().is_none_or(|beats| beats < 3) {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::yield_now();
    }
    let file = fs::metadata(folder.path()).unwrap();
    assert_eq!((file.len(), file.nlink()), (512, 1));
    drop(claim);
    assert!(folder.is_clean());
    // A claim outlives its store, and is still released.
    let claim = store.claim(&KEY).unwrap();
    drop(store);
    drop(claim);
    assert!(folder.is_clean());
}

#[test]
fn missing_locks_are_told_once_with_the_file_system() {
    let folder = Folder::new();
    for (locks, lacks, warns) in [
        (Reach::All, false, false),
        (Reach::Unsure, false, false),
        (Reach::Machine, false, true),
        (Reach::All, true, true),
    ] {
        let mut store = folder.store("n1", locks);
        store.claims.system.name = "NFS";
        store.claims.lacks_locks.store(lacks, Ordering::Relaxed);
        let warning = store.warning_about_locks();
        assert_eq!(warning.is_some(), warns);
        if let Some(Finding { what, mend, .. }) = warning {
            assert!(what.contains("is on NFS, which") && what.contains("72000 s") && !mend.is_empty(), "{what}");
        }
        assert!(store.warning_about_locks().is_none());
    }
}

#[test]
fn a_note_is_shown_while_its_claim_is_held() {
    let folder = Folder::new();
    let (one, two) = (folder.store("n1", Reach::All), folder.store("n2", Reach::All));
    let note = folder.path().with_extension("note");
    let claim = one.claim(&KEY).unwrap().ours().unwrap();
    assert_eq!(two.notes().unwrap(), []);
    for text in [&b"half"[..], b"", b"more than half"] {
        claim.note(b"overwritten".to_vec());
        claim.note(text.to_vec());
        claim.lease.beat();
        let [shown] = &two.notes().unwrap()[..] else { panic!() };
        assert_eq!((shown.key, &*shown.holder.host, &shown.text[..]), (KEY, "n1", text));
    }
    // A long one is left out, and so is one that nobody changed.
    let before = fs::metadata(&note).unwrap().ino();
    claim.note(vec![b'x'; 65 << 10]);
    claim.lease.beat();
    claim.lease.beat();
    assert_eq!(fs::metadata(&note).unwrap().ino(), before);
    claim.note(b"too late".to_vec());
    drop(claim);
    assert!(folder.is_clean());
}

#[test]
fn a_note_of_a_dead_holder_is_not_shown_and_removed() {
    let folder = Folder::new();
    let (one, two) = (folder.store("n1", Reach::All), folder.store("n2", Reach::All));
    let note = folder.path().with_extension("note");
    let claim = one.claim(&KEY).unwrap().ours().unwrap();
    claim.note(b"half".to_vec());
    claim.lease.beat();
    let (text, shown) = (fs::read(folder.path()).unwrap(), fs::read(&note).unwrap());
    drop(claim);
    // Killed after writing it: the next holder says nothing yet, and removes it at the end.
    fs::write(folder.path(), &text).unwrap();
    fs::write(&note, &shown).unwrap();
    let claim = two.claim(&KEY).unwrap().ours().unwrap();
    assert_eq!((two.notes().unwrap(), note.exists()), (vec![], true));
    drop(claim);
    assert!(folder.is_clean());
    // Left alone, or with a claim: a collection removes it.
    for claim in [None, Some(&text)] {
        fs::write(&note, &shown).unwrap();
        claim.into_iter().for_each(|text| fs::write(folder.path(), text).unwrap());
        assert!(two.held_claims().unwrap().is_empty());
        assert!(folder.is_clean());
    }
    // A process of this machine that is gone.
    let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let name = HolderName { host: "n1".into(), process: child.id(), job: None };
    let dead = ClaimText::new(&name, "ann", Duration::from_secs(3600)).begun();
    fs::write(folder.path(), dead.to_bytes()).unwrap();
    fs::write(&note, format!("wdpipe note 1\n{} {} n1\nhalf", dead.holder.process, dead.holder.since)).unwrap();
    assert_eq!(two.notes().unwrap().len(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(two.notes().unwrap(), []);
}
