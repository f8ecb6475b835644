//! Fills a folder of TensorBoard while stages run.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::format::count;
use super::ui::Ui;
use crate::engine::Event;
use crate::project::{EventFolder, Failure, Selection};
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

    /// Writes new rows of a stage that is running, or the stages that have ended, if the last time is long enough ago.
    pub fn hear(&mut self, event: &Event, selection: &Selection, store: &Store, ui: &Ui) {
        if let (Event::Progress { stage, rows, .. }, false) = (event, self.failed) {
            let grown = self.folder.grow((*stage, &selection.graph.stages[*stage].name), rows);
            self.check(grown, ui);
        }
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
        let filled = self.folder.fill(selection, store);
        self.written += self.check(filled, ui).unwrap_or_default();
    }

    /// Tells the user about the first failure, after which nothing is written.
    fn check<T>(&mut self, result: Result<T, Failure>, ui: &Ui) -> Option<T> {
        result
            .inspect_err(|failure| {
                ui.warn(&format!("--tensorboard: {}", failure.message));
                self.failed = true;
            })
            .ok()
    }
}
