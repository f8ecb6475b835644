//! The data layer's only access to the file system: every error names the operation and the path. Only regular files are
//! opened: a device has no end, and opening a pipe blocks.

#![allow(clippy::disallowed_methods, reason = "this module is the door to imported files")]

use std::fs::{self, File, FileType};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Largest number of entries of a folder that are read.
const ENTRIES: usize = 100_000;

/// A failed operation on a file.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} `{}`: {source}", path.display())]
pub struct FileError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl FileError {
    /// Checks whether the error is that the file does not exist.
    pub fn is_not_found(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Adds operation and path to an error.
pub(super) fn failed(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { operation, path, source }
}

/// Opens a regular file for reading.
pub(super) fn open(path: &Path) -> Result<File, FileError> {
    open_regular(path, File::options().read(true))
}

/// Opens a regular file for reading and writing. The file is created if it does not exist, and never truncated.
pub(super) fn open_to_extend(path: &Path) -> Result<File, FileError> {
    open_regular(path, File::options().read(true).write(true).create(true).truncate(false))
}

fn open_regular(path: &Path, options: &mut fs::OpenOptions) -> Result<File, FileError> {
    let regular = |kind: FileType| match other_than_file(kind) {
        Some(what) => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a file"))),
        None => Ok(()),
    };
    // Check before opening, because opening a device can have effects, and after, because the file can have been replaced.
    let looked = fs::metadata(path).map_or(Ok(()), |metadata| regular(metadata.file_type()));
    let opened = looked.and_then(|()| options.custom_flags(libc::O_NONBLOCK).open(path));
    let file = opened.map_err(failed("open", path))?;
    file.metadata().and_then(|metadata| regular(metadata.file_type())).map_err(failed("open", path))?;
    Ok(file)
}

/// Names the kind of a file that is not a regular file.
fn other_than_file(kind: FileType) -> Option<&'static str> {
    match kind {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a folder"),
        kind if kind.is_fifo() => Some("a pipe"),
        kind if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

/// Checks whether the path is a folder.
///
/// # Errors
/// If there is nothing at the path, or it cannot be accessed.
pub(super) fn is_folder(path: &Path) -> Result<bool, FileError> {
    Ok(fs::metadata(path).map_err(failed("find", path))?.is_dir())
}

/// Returns the sorted names in a folder: those that are UTF-8, and at most [`ENTRIES`].
pub(super) fn names(folder: &Path) -> Result<Vec<String>, FileError> {
    let entries = fs::read_dir(folder).map_err(failed("read", folder))?;
    let mut names = Vec::new();
    for entry in entries.take(ENTRIES) {
        names.extend(entry.map_err(failed("read", folder))?.file_name().into_string());
    }
    names.sort();
    Ok(names)
}

/// Creates a folder and its parents.
pub(super) fn make_folder(path: &Path) -> Result<(), FileError> {
    fs::create_dir_all(path).map_err(failed("make the folder", path))
}

/// Removes a file if it exists.
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
    // Sync the folder so that the new name survives a power failure; not every platform can open a folder.
    if let Some(folder) = to.parent().and_then(|folder| File::open(folder).ok()) {
        folder.sync_all().map_err(failed("sync the folder of", to))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path("link")).unwrap();
        for (path, what) in [
            (path("pipe"), "a pipe"),
            (path("socket"), "a socket"),
            (path("link"), "a device"),
            (folder.path().to_owned(), "a folder"),
        ] {
            for error in [open(&path).unwrap_err(), open_to_extend(&path).unwrap_err()] {
                let error = error.to_string();
                assert!(error.contains(what) && error.contains(path.to_str().unwrap()), "{error}");
            }
        }
        open_to_extend(&path("new")).unwrap();
        open(&path("new")).unwrap();
        assert!(open(&path("none")).unwrap_err().is_not_found());
        assert_eq!(names(folder.path()).unwrap(), ["link", "new", "pipe", "socket"]);
    }
}
