//! What does a file system guarantee? Tried in a folder made for it: small experiments first ([`probe`]), then a race of
//! writers, readers and collectors on one store, killed at random instants ([`race`]), after which everything is checked.
//!
//! What is tried is one machine's view. Other machines of a network file system may see more or less.

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

/// Less free space than this, and the disk may be full before anything is found out.
const ROOM: u64 = 64 << 20;

/// What is to be tried.
pub struct Trial<'a> {
    /// An empty folder, or a new one.
    pub folder: &'a Path,
    /// How long the race lasts.
    pub length: Duration,
    /// What all chance comes from.
    pub seed: u64,
    /// The command that does a child's task ([`Task::run`]) and gives what it tells on its standard output, a line each.
    pub child: &'a dyn Fn(&Task) -> Command,
    /// Whether to stop.
    pub cancelled: &'a dyn Fn() -> bool,
}

/// Something that a file system gives, or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guarantee {
    /// What.
    pub name: &'static str,
    /// Whether it held.
    pub is_given: bool,
    /// Whether wdpipe needs it.
    pub is_needed: bool,
    /// What was seen.
    pub seen: String,
    /// What to do without it.
    pub without: &'static str,
}

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StressReport {
    /// The kind of file system.
    pub system: &'static str,
    /// Everything that was tried, in order.
    pub guarantees: Vec<Guarantee>,
}

impl StressReport {
    /// What wdpipe needs and did not get.
    pub fn lacking(&self) -> impl Iterator<Item = &Guarantee> {
        self.guarantees.iter().filter(|guarantee| guarantee.is_needed && !guarantee.is_given)
    }
}

/// Why it could not be found out.
#[derive(Debug, thiserror::Error)]
pub enum StressError {
    /// The folder holds something.
    #[error("{} is not empty: name an empty or new folder on the file system that is to be tried", .0.display())]
    NotEmpty(PathBuf),
    /// Too little space.
    #[error("{} has {free} bytes free, and {ROOM} are needed: nothing can be told of a full disk", folder.display())]
    Full {
        /// The folder.
        folder: PathBuf,
        /// Bytes that are free.
        free: u64,
    },
    /// The file system refused.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The store did.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A process could not do its part.
    #[error("a process of the race failed: {0}")]
    Child(String),
    /// No thread can be started.
    #[error("cannot start a thread: {0}")]
    Thread(std::io::Error),
    /// It was to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Tries it all. What was made in the folder is removed, and the folder too if it was new.
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
    // In the order in which they matter: what is needed first.
    guarantees.sort_by_key(|guarantee| !guarantee.is_needed);
    Ok(StressReport { system: files::system(place)?.name, guarantees })
}
