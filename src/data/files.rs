//! The data layer's only door to the file system: every error says what was tried, and where.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// An operation on a file that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} `{}`: {source}", path.display())]
pub struct FileError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    /// Whether the file is not there.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Adds operation and path to an error.
pub(super) fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { operation, path, source }
}

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> Result<File, FileError> {
    File::open(path).map_err(failed("open", path))
}

/// Opens a file for reading and writing, made if it is not there and kept as it is if it is.
pub(super) fn open_to_extend(path: &Path) -> Result<File, FileError> {
    File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed("open", path))
}

/// Whether the path is a folder.
///
/// # Errors
/// If there is nothing, or it may not be looked at.
pub(super) fn is_folder(path: &Path) -> Result<bool, FileError> {
    Ok(fs::metadata(path).map_err(failed("find", path))?.is_dir())
}

/// Whether something is there, of whatever kind.
pub(super) fn exists(path: &Path) -> bool {
    path.exists()
}

/// Makes a folder and those above it.
pub(super) fn make_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(failed("make the folder", path))
}

/// Removes a file; it need not be there.
pub(super) fn remove(path: &Path) -> Result<(), FileError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Gives a synced file its final name in the same folder, durably.
pub(super) fn put_in_place(file: &File, from: &Path, to: &Path) -> Result<(), FileError> {
    file.sync_all().map_err(failed("sync", from))?;
    fs::rename(from, to).map_err(failed("rename", from))?;
    // So that the new name, too, outlives a power cut; a folder cannot be opened on every platform.
    if let Some(folder) = to.parent().and_then(|folder| File::open(folder).ok()) {
        folder.sync_all().map_err(failed("sync the folder of", to))?;
    }
    Ok(())
}

/// The size of a file in bytes.
pub(super) fn size(path: &Path) -> Result<u64, FileError> {
    Ok(fs::metadata(path).map_err(failed("find", path))?.len())
}
