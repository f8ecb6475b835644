//! Holding a folder, so that processes change the files in it one after another.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;

use super::faults::{Step, pass};
use super::lock::lacks_locks;
use super::{FsError, failed};

/// A folder that this process holds until the value is dropped or the process ends. Nothing is written for that: the lock is on
/// the folder itself.
#[derive(Debug)]
pub struct Hold {
    /// Closing the folder unlocks it.
    _folder: File,
}

impl Hold {
    /// Holds a folder, and waits for a process that holds it; `waits` is called before. Where folders cannot be locked (on some
    /// network file systems), it is held without excluding others.
    ///
    /// # Errors
    /// If the folder cannot be opened or locked.
    pub fn of(folder: &Path, waits: impl FnOnce()) -> Result<Self, FsError> {
        let open = File::open(folder).map_err(failed("open", folder))?;
        let tried = pass(Step::Lock).map_err(TryLockError::Error).and_then(|()| open.try_lock());
        let locked = match tried {
            Ok(()) => Ok(()),
            Err(TryLockError::WouldBlock) => {
                waits();
                open.lock()
            }
            Err(TryLockError::Error(error)) => Err(error),
        };
        match locked {
            Err(error) if !cannot_lock_folders(&error) => Err(failed("lock", folder)(error)),
            _ => Ok(Self { _folder: open }),
        }
    }
}

/// Whether an error says that the file system locks no folders: NFS locks only what is open for writing.
fn cannot_lock_folders(error: &io::Error) -> bool {
    lacks_locks(error) || error.raw_os_error() == Some(libc::EBADF)
}

#[cfg(test)]
mod tests {
    use super::super::faults::failing;
    use super::*;

    #[test]
    fn a_folder_is_held_by_one_at_a_time_and_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let held = Hold::of(folder.path(), || panic!("nobody holds it")).unwrap();
        let (told, telling) = std::sync::mpsc::channel();
        std::thread::scope(|scope| {
            let other = scope.spawn(move || Hold::of(folder.path(), || told.send(()).unwrap()).map(|_| folder));
            telling.recv().unwrap();
            assert!(!other.is_finished());
            drop(held);
            let folder = other.join().unwrap().unwrap();
            Hold::of(folder.path(), || panic!("it is free again")).unwrap();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        });
    }

    #[test]
    fn without_locks_of_folders_nobody_is_excluded_and_other_errors_count() {
        let folder = tempfile::tempdir().unwrap();
        let hold = || Hold::of(folder.path(), || panic!("nobody holds it"));
        for number in [libc::EBADF, libc::ENOLCK, libc::EOPNOTSUPP] {
            failing(Step::Lock, 1, number, hold).unwrap();
        }
        assert!(failing(Step::Lock, 1, libc::EIO, hold).is_err());
        assert!(Hold::of(&folder.path().join("missing"), || ()).unwrap_err().is_missing());
    }
}
