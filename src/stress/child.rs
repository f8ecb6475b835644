//! The tasks of the race's processes, which run until they or their parent are killed.

use std::path::PathBuf;
use std::time::Duration;

use super::work::{MOST, OLD, content, key, record};
use base::digest::ObjectDigest;
use base::rng::Stream;
use files::Lock;
use store::{Claiming, GcPolicy, Store, StoreError};

/// The role of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Puts objects and publishes records.
    Writer,
    /// Reads both and compares every byte.
    Reader,
    /// Removes old, unneeded objects.
    Collector,
    /// Holds a lock.
    Holder,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Writer, Self::Reader, Self::Collector, Self::Holder];

    /// Returns the name of the role.
    pub fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Collector => "collector",
            Self::Holder => "holder",
        }
    }
}

/// The task of a process.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its role.
    pub role: Role,
    /// The folder of the race.
    pub folder: PathBuf,
    /// Seed of its random choices.
    pub seed: u64,
    /// Time in seconds since 1970; files last changed at or before it may be collected.
    pub old: u64,
}

/// Returns the path of the race's store.
pub(super) fn store_of(task: &Task) -> PathBuf {
    task.folder.join("store")
}

/// Returns the paths of a lock that all writers sometimes take and of a file that only its holder writes.
pub(super) fn witness(folder: &std::path::Path) -> (PathBuf, PathBuf) {
    (folder.join("witness/lock"), folder.join("witness/token"))
}

impl Task {
    /// Runs the task until `goes_on` returns false, and reports each event as a line.
    ///
    /// # Errors
    /// If the store fails.
    pub fn run(&self, goes_on: &dyn Fn() -> bool, tell: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        let mut chance = Stream::new(self.seed, self.role.name(), &[]);
        if self.role == Role::Holder {
            let (path, _) = witness(&self.folder);
            let _lock = Lock::try_acquire(&path, &self.folder)?;
            tell("held");
            while goes_on() {
                std::thread::sleep(Duration::from_millis(20));
            }
            return Ok(());
        }
        let store = Store::open(&store_of(self))?;
        // The policy keeps all keys but the old odd ones, because work on a key that it does not keep would block the collector.
        let keep = if self.role == Role::Collector {
            (0..MOST).filter(|n| *n >= OLD || n % 2 == 0).map(key).collect()
        } else {
            [].into()
        };
        let policy = GcPolicy { keys: keep, ..GcPolicy::default() };
        for step in 0.. {
            if !goes_on() {
                break;
            }
            // The range of numbers grows with time, so that processes meet both new and old objects.
            let new = OLD + chance.below((64 + step / 2).min(MOST - OLD));
            let done = match self.role {
                Role::Writer => self.write(&store, new, &mut chance, tell),
                Role::Reader => {
                    let number = if chance.below(3) == 0 { chance.below(OLD) } else { new };
                    read(&store, number, tell)
                }
                Role::Collector | Role::Holder => collect(&store, &policy, self.old, tell),
            };
            match done {
                // Damage is what the test looks for, and no reason to stop.
                Err(StoreError::Damaged { object, reason, .. }) => tell(&format!("torn {object}: {reason}")),
                done => done?,
            }
        }
        Ok(())
    }

    fn write(
        &self,
        store: &Store,
        number: u64,
        chance: &mut Stream,
        tell: &mut dyn FnMut(&str),
    ) -> Result<(), StoreError> {
        if chance.below(4) == 0 {
            self.hold(tell)?;
        }
        let Claiming::Ours(_claim) = store.claim(&key(number))? else {
            // Any process may put objects at any time.
            store.put(&content(number))?;
            tell(&format!("put {number}"));
            return Ok(());
        };
        store.put(&content(number))?;
        store.publish(&record(number))?;
        tell(&format!("done {number}"));
        Ok(())
    }

    /// Takes the lock and checks that no other process writes to its file in the meantime.
    fn hold(&self, tell: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        let (lock, token) = witness(&self.folder);
        let held = match Lock::try_acquire(&lock, &self.folder) {
            // This was found out before the race.
            Err(error) if error.is_without_locks() => None,
            held => held?,
        };
        if let Some(_lock) = held {
            let mine = format!("{} {}", std::process::id(), files::now());
            files::replace(&token, mine.as_bytes())?;
            std::thread::sleep(Duration::from_millis(1));
            let there = files::read(&token, 100)?;
            tell(if there == mine.as_bytes() { "alone" } else { "overlap" });
        }
        Ok(())
    }
}

fn collect(store: &Store, policy: &GcPolicy, old: u64, tell: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
    let done = store.execute_gc(&store.plan_gc(policy, old)?)?;
    tell(&format!("collected {}", done.objects));
    std::thread::sleep(Duration::from_millis(50));
    Ok(())
}

/// Reads the object and record of a number; each must be right or missing.
fn read(store: &Store, number: u64, tell: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
    let right = content(number);
    match store.get(&ObjectDigest::of(&right)) {
        Ok(bytes) if bytes == right => tell("right"),
        Ok(_) => tell(&format!("wrong {number}")),
        Err(StoreError::Missing(_)) => {}
        Err(error) => return Err(error),
    }
    match store.record(&key(number))? {
        Some(there) if there == record(number) => tell("right"),
        Some(_) => tell(&format!("wrong {number}")),
        None => {}
    }
    Ok(())
}
