//! Files that appear complete: written under a temporary name, then linked or moved to their own.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use super::copy::{clone_range, copy_range};
use super::faults::{Step, pass};
use super::{FsError, Identity, PUBLISHED, SHARED_FILE, afresh, failed, folder_of, is_gone, now, publish_folder};

/// A file under a temporary name, written piece by piece; removed on drop unless it was published or moved into
/// place.
#[derive(Debug)]
pub struct Draft {
    file: File,
    path: PathBuf,
    /// Whether the file is kept when this value is dropped.
    stays: bool,
}

impl Draft {
    /// Creates a new file in `folder` that no other account can open before it is published: a process that opened it
    /// for writing could write to it later.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn new(folder: &Path) -> Result<Self, FsError> {
        Self::create(folder, "", 0o600)
    }

    /// Creates a file that will be moved to `path`.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn of(path: &Path) -> Result<Self, FsError> {
        Self::beside(path, 0o666)
    }

    /// Like [`Draft::of`], but no other account can read the file at any time.
    pub(super) fn private(path: &Path) -> Result<Self, FsError> {
        Self::beside(path, 0o600)
    }

    fn beside(path: &Path, mode: u32) -> Result<Self, FsError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The name can have the maximum length, and the temporary name is longer.
        let start: String = name.chars().take(40).collect();
        Self::create(folder_of(path), &format!(".{start}."), mode)
    }

    /// The mode (minus the umask) is set at creation.
    fn create(folder: &Path, prefix: &str, mode: u32) -> Result<Self, FsError> {
        loop {
            let path = temporary_name(folder, prefix);
            let mut options = OpenOptions::new();
            match afresh(|| options.read(true).write(true).create_new(true).mode(mode).open(&path)) {
                Ok(file) => return Ok(Self { file, path, stays: false }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("write", &path)(error)),
            }
        }
    }

    /// Continues the file `name` in `folder` that an earlier attempt left, or creates it; it is kept for the next
    /// attempt unless it is published. `None` if another process uses it, or it cannot be opened.
    pub fn resumed(folder: &Path, name: &str) -> Option<Self> {
        let path = folder.join(name);
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).ok()?;
        file.try_lock().ok()?;
        // Its last holder may have published or removed it between our opening and locking it.
        let there = fs::symlink_metadata(&path).ok()?;
        let ours = file.metadata().ok()?;
        (there.ino() == ours.ino() && there.is_file()).then_some(Self { file, path, stays: true })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the number of bytes written so far.
    ///
    /// # Errors
    /// If the file cannot be inspected.
    pub fn length(&self) -> Result<u64, FsError> {
        Ok(self.file.metadata().map_err(failed("inspect", &self.path))?.len())
    }

    /// Discards the bytes written so far.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn restart(&mut self) -> Result<(), FsError> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(failed("write", &self.path))
    }

    /// Copies `length` bytes of a file, from `start` on, into this draft, which must be empty; repeatedly reports the
    /// number of copied bytes, which can already be read.
    ///
    /// # Errors
    /// If the file is shorter, or anything cannot be read or written.
    pub fn copy_range(&self, from: &File, start: u64, length: u64, copied: &mut dyn FnMut(u64)) -> Result<(), FsError> {
        copy_range(from, start, length, &self.file, copied).map_err(failed("write", &self.path))
    }

    /// Clones the bytes instead, so that both files share them on disk; returns whether the file system could.
    pub fn clone_range(&self, from: &File, start: u64, length: u64) -> bool {
        clone_range(from, start, length, &self.file).is_ok()
    }

    /// Removes the file, even if it would be kept for another attempt.
    pub fn discard(mut self) {
        self.stays = false;
    }

    /// Opens the written bytes for reading, from the start.
    ///
    /// # Errors
    /// If it cannot be opened again.
    pub fn reader(&self) -> Result<impl Read + Seek + use<>, FsError> {
        File::open(&self.path).map_err(failed("read", &self.path))
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        self.file.write_all(bytes).map_err(failed("write", &self.path))
    }

    /// Replaces written bytes; later appends still go to the end.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_at(&self, start: u64, bytes: &[u8]) -> Result<(), FsError> {
        self.file.write_all_at(bytes, start).map_err(failed("write", &self.path))
    }

    /// Fills `bytes` with written bytes from `start` on.
    ///
    /// # Errors
    /// If they cannot be read, or the file is shorter.
    pub fn read_at(&self, start: u64, bytes: &mut [u8]) -> Result<(), FsError> {
        self.file.read_exact_at(bytes, start).map_err(failed("read", &self.path))
    }

    /// Links the file to another name if that is free; returns whether it was.
    pub(super) fn link(&self, path: &Path) -> Result<bool, FsError> {
        self.sync()?;
        match fs::hard_link(&self.path, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            linked => linked.map(|()| true).map_err(failed("write", path)),
        }
    }

    fn sync(&self) -> Result<(), FsError> {
        self.file.sync_all().map_err(failed("write", &self.path))
    }

    /// Publishes the file as an immutable one: synced, then linked to `target` (on the same file system), which is
    /// never replaced. Returns the identity of the new file, or `None` if the name is taken. The folder of `target`
    /// is not synced: see [`super::sync_folder`].
    ///
    /// # Errors
    /// If anything cannot be written. In that case, the final name does not exist.
    pub fn publish(mut self, target: &Path) -> Result<Option<Identity>, FsError> {
        self.make_immutable()?;
        self.sync()?;
        let linked = link_or_move(&self.path, target)?;
        self.stays = false;
        if !linked {
            return Ok(None);
        }
        let file = self.file.try_clone().map_err(failed("write", target))?;
        // Removing the temporary name changes the file's identity, so that comes first.
        drop(self);
        let metadata = file.metadata().map_err(failed("write", target))?;
        Ok(Some(Identity::of(&metadata)))
    }

    /// Prepares the file for later publication: immutable and closed, under its temporary name, which the caller must
    /// remove.
    pub(super) fn finish(mut self) -> Result<PathBuf, FsError> {
        self.make_immutable()?;
        if self.stays {
            // A finished file must not be continued by another attempt.
            let mut own = Self::create(folder_of(&self.path), "", 0o600)?;
            fs::rename(&self.path, &own.path).map_err(failed("move", &self.path))?;
            own.stays = true;
            self.path.clone_from(&own.path);
        }
        self.stays = true;
        Ok(self.path.clone())
    }

    fn make_immutable(&mut self) -> Result<(), FsError> {
        // The mode is set explicitly, not left to the umask: others who share the store must be able to read, and
        // nobody to write.
        self.file.set_permissions(Permissions::from_mode(SHARED_FILE)).map_err(failed("write", &self.path))?;
        // If times cannot be set, the file is only hashed more often than necessary.
        let _ = self.file.set_modified(UNIX_EPOCH + PUBLISHED);
        Ok(())
    }

    /// Moves the file as [`Draft::put`] does, but after a system crash it may be incomplete: for copies of data that
    /// is kept elsewhere.
    ///
    /// # Errors
    /// If it cannot be moved. In that case, the existing file is unchanged.
    pub fn put_unsynced(mut self, path: &Path) -> Result<(), FsError> {
        fs::rename(&self.path, path).map_err(failed("write", path))?;
        self.stays = true;
        Ok(())
    }

    /// Moves the file to a path (on the same file system), atomically replacing an existing file.
    ///
    /// # Errors
    /// If it cannot be written. In that case, the existing file is unchanged.
    pub fn put(self, path: &Path) -> Result<(), FsError> {
        self.sync()?;
        self.put_unsynced(path)
    }
}

/// Changes the identity of one of this account's published files, so that a process that planned to remove the old
/// identity leaves it alone. Returns the new identity; `None` if the file belongs to another account or cannot be
/// changed.
pub fn freshen(path: &Path) -> Option<Identity> {
    let file = File::open(path).ok()?;
    file.set_modified(UNIX_EPOCH + PUBLISHED).ok()?;
    file.metadata().ok().map(|metadata| Identity::of(&metadata))
}

/// Returns a name that no other process uses.
pub(super) fn temporary_name(folder: &Path, prefix: &str) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let (process, count) = (std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
    folder.join(format!("{prefix}{process}-{count}-{}", now()))
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.stays {
            // A leftover is harmless and removed later.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives a finished file its name, and creates the folder if necessary; returns whether the name was free. The
/// temporary name can be gone afterwards.
pub(super) fn link_or_move(temporary: &Path, target: &Path) -> Result<bool, FsError> {
    let failed = failed("write", target);
    let mut linked = pass(Step::Link).and_then(|()| fs::hard_link(temporary, target));
    if let (Err(error), Some(folder)) = (&linked, target.parent())
        && is_gone(error)
    {
        publish_folder(folder_of(temporary), folder)?;
        linked = afresh(|| fs::hard_link(temporary, target));
    }
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        // Some file systems have no hard links. Renaming can replace a file that another process has just published,
        // but only by one with the same bytes: the name is their hash.
        Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
            if fs::symlink_metadata(target).is_ok() {
                return Ok(false);
            }
            fs::rename(temporary, target).map_err(|_| failed(error))?;
            Ok(true)
        }
        Err(error) => Err(failed(error)),
    }
}

/// Publishes an immutable file made of the given parts: see [`Draft::publish`]. It is written in the folder
/// `temporary`.
///
/// # Errors
/// If anything cannot be written. In that case, the final name does not exist.
pub fn publish(temporary: &Path, target: &Path, parts: &[&[u8]]) -> Result<Option<Identity>, FsError> {
    let mut draft = Draft::new(temporary)?;
    parts.iter().try_for_each(|part| draft.append(part))?;
    draft.publish(target)
}
