#![allow(clippy::disallowed_methods, reason = "they look at the file system from outside")]

use tempfile::TempDir;

use super::super::faults::failing;
use super::*;

/// A folder with the names `a` and so on, and the texts that are written into their files.
struct Names(TempDir);

impl Names {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn attempt(&self, text: &str, locks: Locks) -> Attempt {
        let terms = Terms { temporary: self.0.path(), text: text.as_bytes(), locks, syncs: true };
        Lock::attempt(&self.path("a"), &terms).unwrap()
    }

    fn ours(&self, text: &str, locks: Locks) -> Lock {
        match self.attempt(text, locks) {
            Attempt::Ours(lock) => lock,
            other => panic!("{other:?}"),
        }
    }

    fn theirs(&self, locks: Locks) -> Found {
        match self.attempt("late", locks) {
            Attempt::Theirs(found) => found,
            other => panic!("{other:?}"),
        }
    }

    fn names(&self) -> Vec<String> {
        super::super::list(self.0.path()).unwrap()
    }
}

#[test]
fn a_lock_on_a_name_that_cannot_be_had_is_refused() {
    let names = Names::new();
    let acquire = |name: &str| Lock::try_acquire(&names.path(name), names.0.path());
    assert!(acquire("no/such").unwrap_err().is_missing());
    assert!(Lock::try_acquire(&names.path("a"), &names.path("no")).unwrap_err().is_missing());
    std::os::unix::fs::symlink("nowhere/at/all", names.path("link")).unwrap();
    fs::write(names.path("target"), "kept").unwrap();
    std::os::unix::fs::symlink("target", names.path("another")).unwrap();
    for link in ["link", "another"] {
        assert!(acquire(link).unwrap_err().to_string().contains("remove it"));
    }
    let lock = acquire("a").unwrap();
    assert!(lock.is_some() && acquire("a").unwrap().is_none());
    drop(lock);
    assert_eq!(names.names(), ["another", "link", "target"]);
}

#[test]
fn in_a_shared_folder_the_group_can_open_it_and_nobody_else() {
    let names = Names::new();
    let mode = || fs::metadata(names.path("a")).unwrap().mode() & 0o777;
    fs::set_permissions(names.0.path(), Permissions::from_mode(0o3775)).unwrap();
    let lock = Lock::try_acquire(&names.path("a"), names.0.path()).unwrap();
    assert_eq!(mode(), 0o660);
    drop(lock);
    // A leftover file of any account is locked unchanged.
    fs::write(names.path("a"), "").unwrap();
    let before = mode();
    let lock = Lock::try_acquire(&names.path("a"), names.0.path()).unwrap();
    assert!(lock.is_some());
    assert_eq!(mode(), before);
}

#[test]
fn who_holds_a_name_is_read_from_its_file_and_what_a_dead_holder_left_too() {
    let names = Names::new();
    let lock = names.ours("mine 1", Locks::Trusted);
    assert!(lock.is_locked() && lock.left().is_empty());
    let found = names.theirs(Locks::Trusted);
    assert!(found.is_locked && found.text == b"mine 1");
    lock.write(b"mine 2").unwrap();
    assert_eq!(names.theirs(Locks::Trusted).text, b"mine 2");
    drop(lock);
    assert!(names.names().is_empty());
    fs::write(names.path("a"), "left 3").unwrap();
    let lock = names.ours("mine 4", Locks::Trusted);
    assert_eq!((lock.left(), &*fs::read(names.path("a")).unwrap()), (&b"left 3"[..], &b"mine 4"[..]));
}

#[test]
fn a_file_that_cannot_be_removed_is_emptied() {
    let names = Names::new();
    let lock = names.ours("mine", Locks::Trusted);
    assert_eq!(fs::read(names.path("a")).unwrap(), b"mine");
    // This keeps its file, as the sticky bit of a folder does for the files of others.
    failing(Step::Remove, 1, libc::EPERM, || drop(lock));
    assert_eq!(fs::read(names.path("a")).unwrap(), b"");
    assert!(names.ours("next", Locks::Trusted).left().is_empty());
}

#[test]
fn a_file_with_another_name_keeps_its_bytes() {
    let names = Names::new();
    fs::write(names.path("of somebody"), "precious").unwrap();
    fs::hard_link(names.path("of somebody"), names.path("a")).unwrap();
    let lock = names.ours("mine", Locks::Trusted);
    lock.write(b"MINE").unwrap();
    drop(lock);
    assert_eq!(fs::read_to_string(names.path("of somebody")).unwrap(), "precious");
}

#[test]
fn without_locks_a_name_is_held_by_whoever_created_its_file() {
    for number in [libc::ENOSYS, libc::ENOLCK, libc::EOPNOTSUPP] {
        let names = Names::new();
        failing(Step::Lock, usize::MAX, number, || {
            let lock = names.ours("mine", Locks::Trusted);
            assert!(!lock.is_locked());
            let found = names.theirs(Locks::Trusted);
            assert!(!found.is_locked && found.text == b"mine");
            drop(lock);
            assert!(names.names().is_empty());
            let needed = Lock::try_acquire(&names.path("a"), names.0.path());
            assert!(needed.unwrap_err().is_without_locks(), "locks are needed");
        });
        assert!(names.names().is_empty(), "{:?}", names.names());
    }
    // Locks that other machines do not see say nothing.
    let names = Names::new();
    let lock = names.ours("mine", Locks::Unseen);
    assert!(!lock.is_locked() && !names.theirs(Locks::Unseen).is_locked);
    let broken = |times| failing(Step::Lock, times, libc::EIO, || Lock::try_acquire(&names.path("b"), names.0.path()));
    assert!(!broken(usize::MAX).unwrap_err().is_without_locks(), "another failure is one");
    assert!(broken(BROKEN_TRIES).unwrap().is_some());
}

#[test]
fn a_file_that_another_machine_removes_is_looked_for_again() {
    for step in [Step::Open, Step::Lock, Step::Inspect, Step::Read, Step::Link] {
        for number in [libc::ESTALE, libc::ENOENT] {
            for is_left in [false, true] {
                let names = Names::new();
                let leave = || is_left.then(|| fs::write(names.path("a"), "left").unwrap());
                leave();
                let what = format!("{step:?} {number} {is_left}");
                drop(failing(step, 3, number, || names.ours("mine", Locks::Trusted)));
                assert!(names.names().is_empty(), "{what}");
                leave();
                let attempt = failing(step, usize::MAX, number, || names.attempt("mine", Locks::Trusted));
                // What is never needed does not fail: a leftover is not linked, and a new file is not read.
                match (step, is_left) {
                    (Step::Link, true) | (Step::Open | Step::Inspect | Step::Read, false) => {
                        assert!(matches!(attempt, Attempt::Ours(_)), "{what}")
                    }
                    _ => assert!(matches!(attempt, Attempt::Unclear), "{what}: {attempt:?}"),
                }
            }
        }
    }
}

#[test]
fn a_holder_that_counts_as_dead_loses_its_name_and_does_not_disturb_the_next() {
    for locks in [Locks::Trusted, Locks::Unseen] {
        let names = Names::new();
        let stopped = names.ours("old", locks);
        let found = names.theirs(locks);
        assert!(Lock::evict(&names.path("a"), &found, names.0.path()));
        let next = names.ours("new", locks);
        // Another waiter has seen the same holder, and must not evict the new one.
        assert!(!Lock::evict(&names.path("a"), &found, names.0.path()));
        assert_eq!(names.theirs(locks).text, b"new");
        // The old holder wakes up.
        stopped.write(b"OLD").unwrap();
        drop(stopped);
        assert_eq!(names.theirs(locks).text, b"new");
        drop(next);
        assert!(names.names().is_empty());
    }
}

#[test]
fn of_many_that_evict_and_take_no_file_is_left_over() {
    let names = Names::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let names = &names;
            scope.spawn(move || {
                for round in 0..200 {
                    match names.attempt(&format!("{thread} {round:3}"), Locks::Unseen) {
                        Attempt::Theirs(found) => drop(Lock::evict(&names.path("a"), &found, names.0.path())),
                        other => drop(other),
                    }
                }
            });
        }
    });
    assert!(names.names().len() <= 1, "{:?}", names.names());
}
