//! Tests what a file system guarantees, in a folder created for the test: first small experiments ([`probe`]), then a race
//! of writers, readers and collectors on one store, killed at random times ([`race`]), after which everything is checked.
//!
//! The test covers the view of one machine. Other machines on a network file system can see something else.

mod child;
mod probe;
mod race;
#[cfg(test)]
mod tests;
mod work;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

pub use child::{Role, Task};

use files::FsError;
use store::StoreError;

/// Required free space. With less space, the disk could fill up before the test is conclusive.
const ROOM: u64 = 64 << 20;

/// The settings of a test.
pub struct Trial<'a> {
    /// A new or empty folder.
    pub folder: &'a Path,
    /// Duration of the race.
    pub length: Duration,
    /// Seed of all random choices.
    pub seed: u64,
    /// Returns the command that runs a child's task ([`Task::run`]) and prints each event as a line on standard output.
    pub child: &'a dyn Fn(&Task) -> Command,
    /// Returns whether to stop.
    pub cancelled: &'a dyn Fn() -> bool,
}

/// A guarantee that a file system gives or does not give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarantee {
    /// Its name.
    pub name: &'static str,
    /// Whether it held.
    pub is_given: bool,
    /// Whether wdpipe needs it.
    pub is_needed: bool,
    /// The observation.
    pub seen: String,
    /// The consequence of its absence, and the remedy.
    pub without: &'static str,
}

/// The result of a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StressReport {
    /// The kind of file system.
    pub system: &'static str,
    /// All tested guarantees, in order.
    pub guarantees: Vec<Guarantee>,
}

impl StressReport {
    /// Returns the guarantees that wdpipe needs and that did not hold.
    pub fn lacking(&self) -> impl Iterator<Item = &Guarantee> {
        self.guarantees.iter().filter(|guarantee| guarantee.is_needed && !guarantee.is_given)
    }
}

/// Why the test could not be completed.
#[derive(Debug, thiserror::Error)]
pub enum StressError {
    /// The folder is not empty.
    #[error("{} is not empty: name an empty or new folder on the file system to be tested", .0.display())]
    NotEmpty(PathBuf),
    /// There is too little free space.
    #[error("{} has {free} bytes free, but the test needs {ROOM}", folder.display())]
    Full {
        /// The folder.
        folder: PathBuf,
        /// Free space in bytes.
        free: u64,
    },
    /// The file system reported an error.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The store reported an error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A process of the race failed.
    #[error("a process of the race failed: {0}")]
    Child(String),
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// The test was interrupted.
    #[error("interrupted")]
    Interrupted,
}

/// Runs the whole test. Removes its files afterwards, and also the folder if it was new.
///
/// # Errors
/// If the folder is not empty, cannot be written or has too little space, or a process fails for another reason.
pub fn stress_test(trial: &Trial<'_>) -> Result<StressReport, StressError> {
    let folder = trial.folder;
    let is_new = files::identity(folder)?.is_none();
    files::create_folder(folder)?;
    if !files::list(folder)?.is_empty() {
        return Err(StressError::NotEmpty(folder.to_owned()));
    }
    let place = folder.join("wdpipe-stress");
    let found = found_out(trial, &place);
    let cleared =
        files::remove_all(&place).and_then(|()| if is_new { files::remove(folder).map(drop) } else { Ok(()) });
    let report = found?;
    cleared?;
    Ok(report)
}

fn found_out(trial: &Trial<'_>, place: &Path) -> Result<StressReport, StressError> {
    let free = files::free_space(trial.folder)?;
    if free < ROOM {
        return Err(StressError::Full { folder: trial.folder.to_owned(), free });
    }
    files::create_folder(place)?;
    let mut guarantees = probe::all(trial, &place.join("probe"))?;
    guarantees.extend(race::run(trial, &place.join("race"))?);
    // Needed guarantees come first.
    guarantees.sort_by_key(|guarantee| !guarantee.is_needed);
    Ok(StressReport { system: files::system(place)?.name, guarantees })
}
