//! The thread that shows that this process is alive: it renews the texts of all held claims, and writes their notes.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::notes::OwnNote;
use super::text::ClaimText;
use files::Lock;

/// Longest time until a new note is written.
const NOTES: Duration = Duration::from_secs(1);

/// Renews claims. Its thread starts with the first claim and ends with this value. It reads no environment variables,
/// because others may set them after the first claim.
#[derive(Debug)]
pub(super) struct Keeper {
    heartbeat: Duration,
    shared: Arc<Shared>,
    begun: Once,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    held: Mutex<All>,
    ends: Condvar,
}

#[derive(Debug, Default)]
struct All {
    claims: BTreeMap<u64, Arc<Kept>>,
    /// Number of the next claim.
    next: u64,
    is_over: bool,
}

#[derive(Debug)]
struct Kept {
    lock: Lock,
    text: Mutex<ClaimText>,
    note: OwnNote,
}

/// A held claim; it is released when this value is dropped.
#[derive(Debug)]
pub(super) struct Lease {
    number: u64,
    kept: Arc<Kept>,
    shared: Arc<Shared>,
}

impl Keeper {
    pub(super) fn new(heartbeat: Duration) -> Self {
        Self { heartbeat, shared: Arc::default(), begun: Once::new(), thread: Mutex::default() }
    }

    /// Keeps a claim alive, whose file has this text.
    pub(super) fn keep(&self, lock: Lock, text: ClaimText, note: OwnNote) -> Lease {
        self.begun.call_once(|| self.begin());
        let kept = Arc::new(Kept { lock, text: Mutex::new(text), note });
        let mut all = self.shared.all();
        let number = all.next;
        all.next += 1;
        all.claims.insert(number, Arc::clone(&kept));
        Lease { number, kept, shared: Arc::clone(&self.shared) }
    }

    fn begin(&self) {
        let (shared, heartbeat) = (Arc::clone(&self.shared), self.heartbeat);
        match Builder::new().name("claims".to_owned()).spawn(move || shared.run(heartbeat)) {
            Ok(thread) => *self.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread),
            // Locks still say that this process is alive.
            Err(error) => tracing::warn!(%error, "no thread to renew claims"),
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.shared.all().is_over = true;
        self.shared.ends.notify_all();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn all(&self) -> MutexGuard<'_, All> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, heartbeat: Duration) {
        let mut renewed = Instant::now();
        loop {
            let waited = self.ends.wait_timeout_while(self.all(), heartbeat.min(NOTES), |all| !all.is_over);
            let (all, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if all.is_over {
                return;
            }
            let claims: Vec<_> = all.claims.values().map(Arc::clone).collect();
            // Others can claim and release keys while a slow file system writes.
            drop(all);
            if renewed.elapsed() >= heartbeat {
                renewed = Instant::now();
                claims.iter().for_each(|kept| kept.renew());
            }
            claims.iter().for_each(|kept| kept.write_note());
        }
    }
}

impl Kept {
    fn renew(&self) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.beat();
        if let Err(error) = self.lock.write(&text.to_bytes()) {
            tracing::warn!(%error, "a claim was not renewed");
        }
    }

    fn write_note(&self) {
        let holder = self.text.lock().unwrap_or_else(PoisonError::into_inner).holder.clone();
        self.note.write(&holder);
    }
}

impl Lease {
    /// Replaces the note of the claim.
    pub(super) fn note(&self, text: Vec<u8>) {
        self.kept.note.set(text);
    }
}

#[cfg(test)]
impl Lease {
    /// Renews the claim and writes its note, as the thread does.
    pub(super) fn beat(&self) {
        self.kept.renew();
        self.kept.write_note();
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shared.all().claims.remove(&self.number);
        self.kept.note.end();
        // The thread can be about to renew it, which does no harm afterwards.
        self.kept.lock.release();
    }
}
