//! Fills a folder of TensorBoard while stages run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::format::count;
use super::ui::Ui;
use crate::engine::Event;
use crate::project::{EventFolder, Selection};
use store::Store;

/// Shortest time between two looks into the store.
const SHORTEST: Duration = Duration::from_secs(5);
/// Looks take at most one part in this many of the time, because a look into a store of very many stages takes long.
const SHARE: u32 = 50;

/// A folder of TensorBoard, and when to write to it next.
pub struct LiveEvents {
    place: PathBuf,
    folder: EventFolder,
    written: usize,
    next: Instant,
    /// Whether writing failed; the user is told only once.
    failed: bool,
}

impl LiveEvents {
    /// Names the folder.
    pub fn new(folder: &Path) -> Self {
        let (place, folder) = (folder.to_owned(), EventFolder::new(folder));
        Self { place, folder, written: 0, next: Instant::now(), failed: false }
    }

    /// Writes the stages that have ended, if the last time is long enough ago.
    pub fn hear(&mut self, event: &Event, selection: &Selection, store: &Store, ui: &Ui) {
        if matches!(event, Event::Ended { .. }) && Instant::now() >= self.next {
            let started = Instant::now();
            self.fill(selection, store, ui);
            self.next = Instant::now() + SHORTEST.max(started.elapsed() * SHARE);
        }
    }

    /// Writes the rest, and says how much was written.
    pub fn end(mut self, selection: &Selection, store: &Store, ui: &Ui) {
        self.fill(selection, store, ui);
        if !self.failed {
            ui.say(&format!("wrote {} to {}", count(self.written, "stage"), self.place.display()));
        }
    }

    /// Writes the stages that are known now. These files are no results, so a folder that cannot be written does not stop the
    /// run.
    fn fill(&mut self, selection: &Selection, store: &Store, ui: &Ui) {
        if self.failed {
            return;
        }
        match self.folder.fill(selection, store) {
            Ok(written) => self.written += written,
            Err(failure) => {
                ui.warn(&format!("--tensorboard: {}", failure.message));
                self.failed = true;
            }
        }
    }
}
