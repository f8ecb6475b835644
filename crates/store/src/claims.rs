//! Claims: the right to compute a key, which one process has at a time.
//!
//! `claims/KEY` is the file of a name ([`files::Lock`]) whose text says who holds it ([`text`]). A thread renews the
//! text of every held claim ([`keeper`]), and writes what the holder says about its stage ([`notes`]). A holder is dead if its file is not locked, or if its text has not changed
//! for [`BEATS`] heartbeats: of the heartbeat that the text states, and by the clock of whoever waits. Clocks of two
//! machines are never compared. Two processes that compute one key are harmless: they publish the same record, or two.

mod keeper;
mod notes;
mod text;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

pub use notes::Note;
pub use text::{Holder, HolderName};

use super::sharing::Finding;
use super::{Store, StoreError};
use base::digest::StageKey;
use files::{Attempt, Found, Lock, Locks, Reach, System, Terms};
use keeper::{Keeper, Lease};
use notes::OwnNote;
use text::ClaimText;

/// Time between two signs of life of a holder, unless the caller sets another.
pub(super) const HEARTBEAT: Duration = Duration::from_secs(30);

/// Number of heartbeats after which a holder without a sign of life counts as dead.
const BEATS: u32 = 20;

/// Result of an attempt to claim a key.
#[derive(Debug)]
pub enum Claiming {
    /// The key is claimed.
    Ours(Claim),
    /// Somebody else has claimed it, who is named if that is known.
    Theirs(Option<Holder>),
}

impl Claiming {
    /// Returns the claim, if there is one.
    pub fn ours(self) -> Option<Claim> {
        match self {
            Self::Ours(claim) => Some(claim),
            Self::Theirs(_) => None,
        }
    }
}

/// The right to compute a key, held by one process and thread at a time; it ends with this value or with the process.
#[derive(Debug)]
pub struct Claim {
    orphan: Option<Holder>,
    lease: Lease,
}

impl Claim {
    /// Returns the dead holder from whom the claim was taken over.
    pub fn orphan(&self) -> Option<&Holder> {
        self.orphan.as_ref()
    }

    /// Shows a text to other processes while the claim is held ([`Store::notes`]). The thread that renews claims writes it
    /// within a second, so the caller never waits. Only the latest text is written, and none that is too long.
    pub fn note(&self, text: Vec<u8>) {
        self.lease.note(text);
    }
}

/// The claims of one store.
#[derive(Debug)]
pub(super) struct Claims {
    holder: HolderName,
    heartbeat: Duration,
    system: System,
    /// What the texts of this process begin with; written when the first key is claimed.
    own: OnceLock<ClaimText>,
    /// Whether a file could not be locked.
    lacks_locks: AtomicBool,
    is_told: AtomicBool,
    /// Claims of others: what their files were and said, and since when.
    seen: Mutex<HashMap<StageKey, (Found, Instant)>>,
    keeper: Keeper,
}

impl Claims {
    pub(super) fn new(holder: HolderName, heartbeat: Duration, system: System) -> Self {
        let heartbeat = text::bounded(heartbeat);
        Self {
            holder,
            heartbeat,
            system,
            own: OnceLock::new(),
            lacks_locks: AtomicBool::new(false),
            is_told: AtomicBool::new(false),
            seen: Mutex::default(),
            keeper: Keeper::new(heartbeat),
        }
    }

    /// Returns the terms on which keys are claimed.
    fn terms<'a>(&self, temporary: &'a Path, text: &'a [u8]) -> Terms<'a> {
        let locks = if self.system.locks == Reach::All { Locks::Trusted } else { Locks::Unseen };
        // On a local disk, every process sees what was written.
        let syncs = self.system.is_network || self.system == System::UNKNOWN;
        Terms { temporary, text, locks, syncs }
    }

    /// Notes whether a file could be locked.
    fn note_locks(&self, is_locked: bool, terms: &Terms<'_>) {
        if !is_locked && terms.locks == Locks::Trusted {
            self.lacks_locks.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the holder of a file is dead as far as this process knows at `now`.
    fn is_dead(&self, key: &StageKey, found: &Found, text: Option<&ClaimText>, now: Instant) -> bool {
        // A lock says that the process exists, and its absence says nothing.
        if !found.is_locked && text.is_some_and(ClaimText::has_ended) {
            return true;
        }
        let patience = match text {
            Some(text) => text.holder.heartbeat * BEATS,
            // An older program wrote no text, and is alive as long as the file is locked.
            None if found.is_locked => return false,
            None => HEARTBEAT * BEATS,
        };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match seen.get(key) {
            Some((before, since)) if before == found => now.saturating_duration_since(*since) >= patience,
            _ => {
                seen.insert(*key, (found.clone(), now));
                false
            }
        }
    }
}

impl Store {
    /// Claims a key.
    ///
    /// # Errors
    /// If the claim cannot be created.
    pub fn claim(&self, key: &StageKey) -> Result<Claiming, StoreError> {
        self.claim_at(key, Instant::now())
    }

    pub(super) fn claim_at(&self, key: &StageKey, now: Instant) -> Result<Claiming, StoreError> {
        let (claims, path, drafts) = (&self.claims, self.layout.claim(key), self.drafts()?);
        let user = || files::user_name(self.sharing.account.user);
        let own = claims.own.get_or_init(|| ClaimText::new(&claims.holder, &user(), claims.heartbeat));
        let text = own.begun();
        let mut orphan = None;
        // Whoever is evicted can be followed by another waiter.
        for _ in 0..3 {
            let bytes = text.to_bytes();
            let terms = claims.terms(&drafts, &bytes);
            match Lock::attempt(&path, &terms)? {
                Attempt::Ours(lock) => {
                    claims.note_locks(lock.is_locked(), &terms);
                    claims.seen.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
                    let orphan = orphan.or_else(|| ClaimText::read(lock.left())).map(|text: ClaimText| text.holder);
                    tracing::debug!(key = %key.short(), claimed = true, orphan = orphan.is_some(), "claim");
                    let note = OwnNote::new(&self.layout, key, orphan.is_some());
                    return Ok(Claiming::Ours(Claim { orphan, lease: claims.keeper.keep(lock, text, note) }));
                }
                Attempt::Theirs(found) => {
                    claims.note_locks(found.is_locked, &terms);
                    let theirs = ClaimText::read(&found.text);
                    if !claims.is_dead(key, &found, theirs.as_ref(), now) || !Lock::evict(&path, &found, &drafts) {
                        tracing::debug!(key = %key.short(), claimed = false, "claim");
                        return Ok(Claiming::Theirs(theirs.map(|text| text.holder)));
                    }
                    orphan = theirs;
                }
                Attempt::Unclear => break,
            }
        }
        Ok(Claiming::Theirs(None))
    }

    /// Returns a warning if locks of this store say nothing about processes on other machines: once, after a key was
    /// claimed.
    pub fn warning_about_locks(&self) -> Option<Finding> {
        let Claims { lacks_locks, is_told, .. } = &self.claims;
        let warning = self.about_locks(lacks_locks.load(Ordering::Relaxed));
        warning.filter(|_| !is_told.swap(true, Ordering::Relaxed))
    }

    /// Returns a notice if the file system has no locks, or keeps them on each machine.
    pub(super) fn about_locks(&self, lacks_locks: bool) -> Option<Finding> {
        let Claims { system, heartbeat, .. } = &self.claims;
        let how = match lacks_locks {
            true => "has no file locks",
            false if system.locks == Reach::Machine => "keeps file locks on each machine (a mount option)",
            false => return None,
        };
        let seconds = (*heartbeat * BEATS).as_secs_f64();
        Some(Finding {
            is_fault: false,
            what: format!(
                "{} is on {}, which {how}: if a process is killed, others wait {seconds} s before they compute its stage",
                self.root().display(),
                system.name,
            ),
            mend: "ask the administrator to mount it with locks (`flock` on Lustre; without `nolock` on NFS)"
                .to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
