//! Locks that end with the process that holds them, also across accounts.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::draft::temporary_name;
use super::modes::shared_mode;
use super::{FsError, failed, folder_of, identity};

/// Mode in a shared folder: members of the group must be able to open a lock for writing (NFS requires it for
/// locking), and nobody else must be able to hold it.
const SHARED_LOCK: u32 = 0o660;

/// A file that is locked as long as this value lives, and then removed. The system unlocks it when the process dies,
/// in whatever way; the leftover file can then be locked again by any process.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Locks a file, and creates it if it is missing; `None` if another process or thread holds the lock. New files
    /// are created in the folder `temporary` (on the same file system).
    ///
    /// # Errors
    /// If the file cannot be created or the file system has no locks.
    pub fn try_acquire(path: &Path, temporary: &Path) -> Result<Option<Self>, FsError> {
        let failed = failed("lock", path);
        // Losing a race with a holder that is leaving is rare; losing it a hundred times means that the name cannot
        // be used (for example a dangling link), or that a network file system shows outdated data.
        for _ in 0..100 {
            let file = match open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => match create(path, temporary).map_err(&failed)? {
                    Some(file) => return Ok(Some(Self { file, path: path.to_owned() })),
                    None => continue,
                },
                Err(error) => return Err(failed(error)),
            };
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            // The last holder may have removed the file between our opening and locking it. In that case, this lock is on a
            // file without a name, which excludes nobody.
            let ours = file.metadata().map_err(&failed)?.ino();
            if identity(path)?.is_some_and(|there| there.inode == ours) {
                return Ok(Some(Self { file, path: path.to_owned() }));
            }
        }
        match fs::symlink_metadata(path) {
            // Callers that believed the lock to be held would wait forever.
            Ok(there) if !there.is_file() => Err(failed(io::Error::other("it is not a regular file: remove it"))),
            _ => Ok(None),
        }
    }
}

/// Opens a lock's file without `O_CREAT`, which hardened systems refuse for files of others in shared folders.
fn open(path: &Path) -> io::Result<File> {
    match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => File::open(path),
        other => other,
    }
}

/// Creates a lock's file, locked and with its mode before it gets its name: a process that dies in between leaves no
/// file that others cannot open. `None` if another process created it in the meantime.
fn create(path: &Path, temporary: &Path) -> io::Result<Option<File>> {
    let new = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(0o666).open(path);
    let prepare = |file: &File| {
        if shared_mode(folder_of(path))?.is_some() {
            file.set_permissions(Permissions::from_mode(SHARED_LOCK))?;
        }
        file.try_lock().map_err(io::Error::from)
    };
    let draft = temporary_name(temporary, "lock-");
    let file = new(&draft)?;
    let linked = prepare(&file).and_then(|()| fs::hard_link(&draft, path));
    // A leftover is harmless and removed later.
    let _ = fs::remove_file(&draft);
    let made = match linked {
        // Without hard links, the file gets its name a moment too early.
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
            new(path).and_then(|file| prepare(&file).map(|()| file))
        }
        linked => linked.map(|()| file),
    };
    match made {
        Ok(file) => Ok(Some(file)),
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::WouldBlock) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Remove the file before unlocking it, so that nobody can lock it in between and lose it. A file of another account
        // stays where it is, and can be locked again.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "they look at the file system from outside")]

    use super::*;

    #[test]
    fn a_lock_on_a_name_that_cannot_be_had_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let acquire = |name: &str| Lock::try_acquire(&folder.path().join(name), folder.path());
        assert!(acquire("no/such").unwrap_err().is_missing());
        assert!(Lock::try_acquire(&folder.path().join("a"), &folder.path().join("no")).unwrap_err().is_missing());
        std::os::unix::fs::symlink("nowhere/at/all", folder.path().join("link")).unwrap();
        assert!(acquire("link").unwrap_err().to_string().contains("remove it"));
        let lock = acquire("a").unwrap();
        assert!(lock.is_some() && acquire("a").unwrap().is_none());
        drop(lock);
        assert_eq!(super::super::list(folder.path()).unwrap(), ["link"]);
    }

    #[test]
    fn in_a_shared_folder_the_group_can_open_it_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let mode = || fs::metadata(folder.path().join("a")).unwrap().mode() & 0o777;
        fs::set_permissions(folder.path(), Permissions::from_mode(0o3775)).unwrap();
        let lock = Lock::try_acquire(&folder.path().join("a"), folder.path()).unwrap();
        assert_eq!(mode(), 0o660);
        drop(lock);
        // A leftover file of any account is locked unchanged.
        fs::write(folder.path().join("a"), "").unwrap();
        let before = mode();
        let lock = Lock::try_acquire(&folder.path().join("a"), folder.path()).unwrap();
        assert!(lock.is_some());
        assert_eq!(mode(), before);
    }
}
