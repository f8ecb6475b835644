//! Notes: short texts that the holder of a claim shows to other processes, such as the progress of its stage.
//!
//! `claims/KEY.note` exists only beside `claims/KEY`. A note is replaced as a whole and never synced, because it is of
//! no use after a crash. Its first lines repeat who holds the claim: a note that an earlier holder left is not shown.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::text::{ClaimText, Holder};
use crate::layout::Layout;
use crate::{Store, StoreError};
use base::digest::StageKey;
use files::{Draft, FsError};

/// Maximum number of bytes of a note; longer ones are not written.
const LIMIT: usize = 64 << 10;

/// A note on a claim. Anyone who can write to the store can write anything there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The key.
    pub key: StageKey,
    /// Who computes it.
    pub holder: Holder,
    /// What the holder says about it.
    pub text: Vec<u8>,
}

/// The note of a claim that this process holds.
#[derive(Debug)]
pub(super) struct OwnNote {
    path: PathBuf,
    /// Folder for files that have no name yet.
    drafts: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The text to write next.
    next: Option<Vec<u8>>,
    /// Whether there can be a file.
    is_there: bool,
    is_over: bool,
}

impl OwnNote {
    /// Prepares the note of a key. `is_left` says that an earlier holder can have left one.
    pub(super) fn new(layout: &Layout, key: &StageKey, is_left: bool) -> Self {
        let state = Mutex::new(State { is_there: is_left, ..State::default() });
        Self { path: layout.note(key), drafts: layout.temporary(), state }
    }

    /// Replaces the text to write next.
    pub(super) fn set(&self, text: Vec<u8>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).next = Some(text);
    }

    /// Writes the latest text, if it is new.
    pub(super) fn write(&self, holder: &Holder) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(text) = state.next.take().filter(|text| text.len() <= LIMIT && !state.is_over) else { return };
        state.is_there = true;
        let bytes = [header(holder).as_bytes(), &text].concat();
        if let Err(error) = put(&self.drafts, &self.path, &bytes) {
            tracing::debug!(%error, "a note was not written");
        }
    }

    /// Removes the note. Nothing is written afterwards.
    pub(super) fn end(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_over = true;
        if std::mem::take(&mut state.is_there) {
            // Whoever claims the key next replaces a note that stays.
            let _ = files::remove(&self.path);
        }
    }
}

/// Returns the lines before the text.
fn header(holder: &Holder) -> String {
    format!("wdpipe note 1\n{} {} {}\n", holder.process, holder.since, holder.host)
}

fn put(drafts: &Path, path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    let mut draft = Draft::of(&drafts.join("note"))?;
    draft.append(bytes)?;
    draft.put_unsynced(path)
}

impl Store {
    /// Returns the notes on all claims whose holders are not known to be dead, in the order of their keys.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn notes(&self) -> Result<Vec<Note>, StoreError> {
        let read = |key: StageKey| {
            let bytes = files::read_regular(&self.layout.note(&key), 2 * LIMIT as u64).ok()?;
            let claim = files::read_regular(&self.layout.claim(&key), LIMIT as u64).ok()?;
            let claim = ClaimText::read(&claim).filter(|claim| !claim.has_ended())?;
            let text = bytes.strip_prefix(header(&claim.holder).as_bytes())?.to_vec();
            Some(Note { key, holder: claim.holder, text })
        };
        Ok(self.layout.all_notes()?.into_iter().filter_map(read).collect())
    }
}
