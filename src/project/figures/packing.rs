//! Packs the archives beside the locks of a pipeline's figures. These figures are made from mostly the same stages. So the
//! archive of the *main* figure, which has the pipeline's name, is packed alone, and the others against it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::project::Failure;
use crate::project::sharing::archives::archive_failure;
use crate::reports::{Place, ReportError};
use base::digest::ObjectDigest;
use store::archive::{self, ArchiveError};
use store::lockfile::Lock;

/// Extension of the files.
const ARCHIVE: &str = "wdpipe";
/// Maximum size in bytes of a file.
const LIMIT: u64 = 256 << 20;

/// Runs `write`, which may replace the archive of a figure. At any moment, the other archives in the folder can be read:
/// before, those that are packed against this one are packed alone; afterwards, against the new one. Also returns the paths of
/// the other archives whose bytes have changed.
///
/// # Errors
/// If an archive in the folder cannot be read or written, or with the error of `write`.
pub fn replacing<T>(
    place: &Place,
    lock: &Lock,
    write: impl FnOnce() -> Result<T, Failure>,
) -> Result<(T, Vec<PathBuf>), Failure> {
    let mut others = Others::default();
    release(place, &lock.pipeline, &mut others)?;
    let written = write();
    let packed = pack(place, lock, &mut others);
    let written = written?;
    packed?;
    Ok((written, others.changed()?))
}

/// Packs each archive alone that is packed against this figure's.
fn release(place: &Place, pipeline: &str, others: &mut Others) -> Result<(), Failure> {
    let names = files::list(&place.folder).map_err(ReportError::from)?;
    for name in names.iter().filter_map(|name| name.strip_suffix(".wdpipe")) {
        let other = Place { folder: place.folder.clone(), name: name.to_owned() };
        if other.lock().ok().flatten().is_some_and(|lock| lock.pipeline != pipeline) {
            continue;
        }
        let path = other.path(ARCHIVE);
        let reference = readable(archive::reference(&path), &path)?.flatten();
        if reference.is_some_and(|found| place.folder.join(found.file) == place.path(ARCHIVE)) {
            others.repack(&path, None)?;
        }
    }
    Ok(())
}

/// Packs the archive of a figure against that of its pipeline's main figure, or, if it is the latter, the others against it.
fn pack(place: &Place, lock: &Lock, others: &mut Others) -> Result<(), Failure> {
    let main = Place { folder: place.folder.clone(), name: lock.pipeline.clone() };
    // A lock that cannot be read is for `verify` to report.
    let locked = |place: &Place| place.lock().ok().flatten().filter(|lock| lock.name == lock.figure);
    if locked(&main).is_none_or(|main| main.figure != main.pipeline) {
        return Ok(());
    }
    let places = match *place == main {
        true => Place::all(&place.folder).map_err(ReportError::from)?,
        false => vec![place.clone()],
    };
    for other in places.iter().filter(|other| **other != main) {
        // A variant has other stages.
        if locked(other).is_some_and(|other| other.pipeline == lock.pipeline) {
            others.repack(&other.path(ARCHIVE), Some(&main.path(ARCHIVE)))?;
        }
    }
    if *place != main {
        others.0.retain(|(path, _)| *path != place.path(ARCHIVE));
    }
    Ok(())
}

/// Archives that were packed again, each with its hash before.
#[derive(Default)]
struct Others(Vec<(PathBuf, ObjectDigest)>);

impl Others {
    /// Packs an archive again. An invalid one stays as it is: it is for `verify` to report.
    fn repack(&mut self, path: &Path, against: Option<&Path>) -> Result<(), Failure> {
        let Some(bytes) = readable(archive::repack(path, against), path)? else { return Ok(()) };
        let before = hash(path)?;
        files::replace(path, &bytes).map_err(ReportError::from)?;
        self.0.push((path.to_owned(), before));
        Ok(())
    }

    /// Returns the archives that are no longer as they were at first.
    fn changed(self) -> Result<Vec<PathBuf>, Failure> {
        let (mut seen, mut changed) = (BTreeSet::new(), Vec::new());
        for (path, before) in self.0 {
            if seen.insert(path.clone()) && hash(&path)? != before {
                changed.push(path);
            }
        }
        Ok(changed)
    }
}

fn hash(path: &Path) -> Result<ObjectDigest, Failure> {
    Ok(ObjectDigest::of(&files::read(path, LIMIT).map_err(ReportError::from)?))
}

/// Returns `None` for an invalid or missing archive. That a file cannot be read now does not mean that it is invalid.
fn readable<T>(read: Result<T, ArchiveError>, path: &Path) -> Result<Option<T>, Failure> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(ArchiveError::Fs(error)) if error.is_missing() => Ok(None),
        Err(error @ (ArchiveError::Fs(_) | ArchiveError::Io(_) | ArchiveError::Pointer)) => {
            Err(archive_failure(error, path))
        }
        Err(_) => Ok(None),
    }
}
