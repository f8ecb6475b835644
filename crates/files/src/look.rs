//! Inspecting many files below one folder.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::{FsError, Identity, failed, optional};

/// A folder that stays open: its files are found without resolving its path again. A missing folder counts as empty.
#[derive(Debug)]
pub struct Lookout {
    folder: Option<File>,
    path: PathBuf,
}

impl Lookout {
    /// Opens a folder.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, FsError> {
        let folder = optional(File::open(path).map_err(failed("open", path)))?;
        Ok(Self { folder, path: path.to_owned() })
    }

    /// Returns the identity of the file with this name (relative to the folder); `None` if it is missing.
    ///
    /// # Errors
    /// If a folder in the path cannot be searched.
    pub fn identity(&self, name: &CStr) -> Result<Option<Identity>, FsError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let mut status = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the descriptor is open, the name ends in NUL, and the buffer has room for a `stat`.
        let told =
            unsafe { libc::fstatat(folder.as_raw_fd(), name.as_ptr(), status.as_mut_ptr(), libc::AT_SYMLINK_NOFOLLOW) };
        if told == 0 {
            // SAFETY: a successful call initializes it.
            return Ok(Some(Identity::of_status(unsafe { status.assume_init_ref() })));
        }
        let error = io::Error::last_os_error();
        let path = || self.path.join(name.to_string_lossy().as_ref());
        optional(Err(failed("inspect", &path())(error)))
    }
}
