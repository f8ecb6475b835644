//! Inspecting many files below one folder.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::{FsError, Identity, afresh, failed, optional};

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
        let folder = optional(afresh(|| File::open(path)).map_err(failed("open", path)))?;
        Ok(Self { folder, path: path.to_owned() })
    }

    /// Returns the identity of the file with this name (relative to the folder); `None` if it is missing.
    ///
    /// # Errors
    /// If a folder in the path cannot be searched.
    pub fn identity(&self, name: &CStr) -> Result<Option<Identity>, FsError> {
        let Some(folder) = &self.folder else { return Ok(None) };
        let inspect = || {
            let mut status = MaybeUninit::<libc::stat>::uninit();
            let (folder, to) = (folder.as_raw_fd(), status.as_mut_ptr());
            // SAFETY: the descriptor is open, the name ends in NUL, and the buffer has room for a `stat`.
            match unsafe { libc::fstatat(folder, name.as_ptr(), to, libc::AT_SYMLINK_NOFOLLOW) } {
                // SAFETY: a successful call initializes it.
                0 => Ok(Identity::of_status(unsafe { status.assume_init_ref() })),
                _ => Err(io::Error::last_os_error()),
            }
        };
        let path = || self.path.join(name.to_string_lossy().as_ref());
        optional(afresh(inspect).map_err(|error| failed("inspect", &path())(error)))
    }
}
