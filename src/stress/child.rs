//! What the processes of the race do until they are killed, or their parent is.

use std::path::PathBuf;
use std::time::Duration;

use super::work::{MOST, OLD, content, key, record};
use base::digest::ObjectDigest;
use base::rng::Stream;
use files::Lock;
use store::{GcPolicy, Store, StoreError};

/// A process's part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Puts objects and publishes records.
    Writer,
    /// Reads both and compares every byte.
    Reader,
    /// Removes old objects that nothing keeps.
    Collector,
    /// Holds a lock.
    Holder,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Writer, Self::Reader, Self::Collector, Self::Holder];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Writer => "writer",
            Self::Reader => "reader",
            Self::Collector => "collector",
            Self::Holder => "holder",
        }
    }
}

/// What a process is to do.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its part.
    pub role: Role,
    /// The folder of the race.
    pub folder: PathBuf,
    /// Its own chance.
    pub seed: u64,
    /// What was changed last at this time, in seconds since 1970, or before, may be collected.
    pub old: u64,
}

/// The store of a race.
pub(super) fn store_of(task: &Task) -> PathBuf {
    task.folder.join("store")
}

/// The lock that everybody takes now and then, and a file that only its holder writes.
pub(super) fn witness(folder: &std::path::Path) -> (PathBuf, PathBuf) {
    (folder.join("witness/lock"), folder.join("witness/token"))
}

impl Task {
    /// Does it, and tells a line for whatever happened, until `goes_on` says no.
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
        // Busy is whoever works on a key that the policy does not keep: so it keeps all but the old odd ones.
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
            // What may be met grows with time, so that there are new things and old ones.
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
                // This is what is looked for, no reason to stop.
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
        let Some(_claim) = store.claim(&key(number))? else {
            // Objects may be put by anyone at any time.
            store.put(&content(number))?;
            tell(&format!("put {number}"));
            return Ok(());
        };
        store.put(&content(number))?;
        store.publish(&record(number))?;
        tell(&format!("done {number}"));
        Ok(())
    }

    /// While the lock is held, nobody else may write to the file that goes with it.
    fn hold(&self, tell: &mut dyn FnMut(&str)) -> Result<(), StoreError> {
        let (lock, token) = witness(&self.folder);
        if let Some(_lock) = Lock::try_acquire(&lock, &self.folder)? {
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

/// Reads a number's object and record; either is right or not there.
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
