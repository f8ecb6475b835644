//! Packs the archives beside the locks of a pipeline's figures. These figures are made from mostly the same stages. So the
//! archive of the figure with the pipeline's name is packed alone, and the others against it.

use std::path::Path;

use crate::project::Failure;
use crate::reports::{Place, ReportError};
use files::FsError;
use store::archive;
use store::lockfile::Lock;

/// Runs `write`, which may replace the archive of a figure. At any moment, every other archive in the folder can be read:
/// before, the archives that are packed against this one are packed alone; afterwards, against the new one.
///
/// # Errors
/// If the folder cannot be read or written, or with the error of `write`.
pub fn replacing<T>(place: &Place, lock: &Lock, write: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    release(place).map_err(ReportError::from)?;
    let written = write();
    pack(place, lock)?;
    written
}

/// Packs the archives alone that are packed against the archive of a figure.
fn release(place: &Place) -> Result<(), FsError> {
    let archive = format!("{}.wdpipe", place.name);
    for name in files::list(&place.folder)?.iter().filter(|name| name.ends_with(".wdpipe")) {
        let path = place.folder.join(name);
        if archive::reference(&path).is_ok_and(|reference| reference.is_some_and(|found| found.file == archive)) {
            repack(&path, None)?;
        }
    }
    Ok(())
}

/// Packs the archive of a figure against that of its pipeline, or, if it is the latter, the others against it.
fn pack(place: &Place, lock: &Lock) -> Result<(), Failure> {
    let path = |name: &str| place.folder.join(format!("{name}.wdpipe"));
    let main = path(&lock.pipeline);
    let mut names = vec![place.name.clone()];
    if place.name == lock.pipeline {
        names = Place::all(&place.folder).map_err(ReportError::from)?.into_iter().map(|place| place.name).collect();
    }
    for name in names.iter().filter(|name| **name != lock.pipeline) {
        let other = Place { folder: place.folder.clone(), name: name.clone() };
        // A variant has other stages. A lock that cannot be read is for `verify` to report.
        let of_it = |other: &Lock| other.pipeline == lock.pipeline && other.name == other.figure;
        if other.lock().is_ok_and(|lock| lock.as_ref().is_some_and(of_it)) {
            repack(&path(name), Some(&main)).map_err(ReportError::from)?;
        }
    }
    Ok(())
}

/// Packs an archive again. One that cannot be packed stays as it is, since it can be read so or is for `verify` to report.
fn repack(path: &Path, against: Option<&Path>) -> Result<(), FsError> {
    match archive::repack(path, against) {
        Ok(bytes) => files::replace(path, &bytes).map(drop),
        Err(_) => Ok(()),
    }
}
