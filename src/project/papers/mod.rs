//! Figures in papers: packs a locked figure with RO-Crate metadata, writes captions and badges that lead back to its root, and
//! finds the figure of a root.

mod actions;
mod badge;
pub mod caption;
mod citation;
pub mod deposit;
mod metadata;
mod rooted;

use crate::project::{ExitCode, Failure, Project, Subject, quoted};
use crate::reports::{ReportError, bare, stamp_of};
use crate::verify::{self, Verdict};
use draw::stamp::Stamp;
use store::lockfile::Lock;

/// A figure of the reports folder that a paper shows.
pub struct CitedFigure {
    /// Its files.
    pub subject: Subject,
    /// What its files carry: name, key and root.
    pub stamp: Stamp,
    /// Its lock, if there is one. The files were compared with it.
    pub lock: Option<Lock>,
}

impl Project {
    /// Finds a figure of the reports folder, and compares its files with its lock.
    ///
    /// # Errors
    /// If there is no such figure, a file of it is missing or differs from the lock, or nothing says how it was made.
    pub fn cited(&self, figure: &str, profile: &str) -> Result<CitedFigure, Failure> {
        let (subjects, variants) = self.committed(Some(profile), &[figure.to_owned()])?;
        let own = |subject: &Subject| subject.place.name == figure;
        let Some(subject) = subjects.into_iter().chain(variants).find(own) else {
            let hint = format!("run `wdpipe lock {} --profile {}`", quoted(figure), quoted(profile));
            return Err(Failure::new(ExitCode::Missing, format!("there is no figure `{figure}` in {profile}"), hint));
        };
        let place = &subject.place;
        let Some(lock) = place.lock()? else {
            let drawn = ["svg", "png", "pdf"].into_iter().find_map(|extension| {
                let bytes = place.read(extension).ok()??;
                bare(extension, &bytes).ok()?.1
            });
            let nothing = || {
                let message = format!("no drawing of `{figure}` in {} says how it was made", place.folder.display());
                Failure::new(
                    ExitCode::Missing,
                    message,
                    format!("run `wdpipe make {} --profile {profile}`", quoted(figure)),
                )
            };
            return Ok(CitedFigure { stamp: drawn.ok_or_else(nothing)?, lock: None, subject });
        };
        let check = verify::files(&lock, place).map_err(ReportError::from)?;
        if check.verdict != Verdict::Holds {
            let code = if check.verdict == Verdict::Missing { ExitCode::Missing } else { ExitCode::Failed };
            let hint = format!("`wdpipe verify {} --profile {}` says where", quoted(figure), quoted(profile));
            return Err(Failure::new(code, format!("the files of `{figure}` are not those of its lock"), hint));
        }
        // A lock that was read has a stage that draws, and so a stamp.
        let none = || Failure::new(ExitCode::Storage, format!("the lock of `{figure}` has no stages"), "");
        let stamp = stamp_of(&lock).ok_or_else(none)?;
        Ok(CitedFigure { subject, stamp, lock: Some(lock) })
    }
}

/// Returns the address of the project's repository, if CITATION.cff has it.
///
/// # Errors
/// If the file cannot be read.
pub fn repository(project: &Project) -> Result<Option<String>, Failure> {
    Ok(citation::Citation::of(project.root())?.repository)
}

impl CitedFigure {
    /// Returns what is recorded about the figure, as a word: whether a lock holds its files.
    pub fn standing(&self) -> &'static str {
        if self.lock.is_some() { "locked" } else { "not locked" }
    }
}
