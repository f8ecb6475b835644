//! Files that appear whole: written under a temporary name, then linked or moved to their own.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use super::copy::{clone_range, copy_range};
use super::{FsError, Identity, PUBLISHED, SHARED_FILE, failed, folder_of, now, publish_folder};

/// A file under a temporary name, written bit by bit; removed on drop unless it was published or put in a place.
#[derive(Debug)]
pub struct Draft {
    file: File,
    path: PathBuf,
    /// Whether the file stays when this value goes.
    stays: bool,
}

impl Draft {
    /// Creates a file that nobody else has, and nobody else can open before it is published, in `folder`: whoever could
    /// open it for writing now could write to it ever after.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn new(folder: &Path) -> Result<Self, FsError> {
        Self::create(folder, "", 0o600)
    }

    /// Creates one that is to be put in the place `path`.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn of(path: &Path) -> Result<Self, FsError> {
        Self::beside(path, 0o666)
    }

    /// The same, and nobody else can read it at any moment.
    pub(super) fn private(path: &Path) -> Result<Self, FsError> {
        Self::beside(path, 0o600)
    }

    fn beside(path: &Path, mode: u32) -> Result<Self, FsError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A name may be as long as names can be; the temporary one is longer.
        let start: String = name.chars().take(40).collect();
        Self::create(folder_of(path), &format!(".{start}."), mode)
    }

    /// The mode (less the umask) is the file's from the start.
    fn create(folder: &Path, prefix: &str, mode: u32) -> Result<Self, FsError> {
        loop {
            let path = temporary_name(folder, prefix);
            match OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(&path) {
                Ok(file) => return Ok(Self { file, path, stays: false }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("write", &path)(error)),
            }
        }
    }

    /// Goes on with the file `name` in `folder` that an earlier attempt left, or begins it; it is left for the next one
    /// unless it is published. `None` if another process is at it, or it cannot be had.
    pub fn resumed(folder: &Path, name: &str) -> Option<Self> {
        let path = folder.join(name);
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path).ok()?;
        file.try_lock().ok()?;
        // Its last holder may have published or removed it between opening and locking.
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

    /// Bytes written so far.
    ///
    /// # Errors
    /// If the file cannot be inspected.
    pub fn length(&self) -> Result<u64, FsError> {
        Ok(self.file.metadata().map_err(failed("inspect", &self.path))?.len())
    }

    /// Throws away what was written.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn restart(&mut self) -> Result<(), FsError> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(failed("write", &self.path))
    }

    /// Makes it a part of a file, `length` bytes from `start` on; says again and again how many are there, and can be read
    /// meanwhile. It must be empty.
    ///
    /// # Errors
    /// If the file is shorter, or anything cannot be read or written.
    pub fn copy_range(&self, from: &File, start: u64, length: u64, copied: &mut dyn FnMut(u64)) -> Result<(), FsError> {
        copy_range(from, start, length, &self.file, copied).map_err(failed("write", &self.path))
    }

    /// The same, but both files share the bytes on the disk; says whether the file system did so.
    pub fn clone_range(&self, from: &File, start: u64, length: u64) -> bool {
        clone_range(from, start, length, &self.file).is_ok()
    }

    /// Removes it, also if it would be left for another attempt.
    pub fn discard(mut self) {
        self.stays = false;
    }

    /// Reads what was written, from its start.
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

    /// Replaces bytes that were written; what is appended later comes at the end as before.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write_at(&self, start: u64, bytes: &[u8]) -> Result<(), FsError> {
        self.file.write_all_at(bytes, start).map_err(failed("write", &self.path))
    }

    /// Fills `bytes` with what was written.
    ///
    /// # Errors
    /// If it cannot be read or is not so long.
    pub fn read_at(&self, start: u64, bytes: &mut [u8]) -> Result<(), FsError> {
        self.file.read_exact_at(bytes, start).map_err(failed("read", &self.path))
    }

    /// Gives it a name beside its own, if that is free; says whether.
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

    /// Publishes it as an immutable file: synced, then linked to `target` (on the same file system), which is never
    /// replaced. Returns the identity of the new file, or `None` if there is one already. The folder of `target` is not
    /// synced: see [`super::sync_folder`].
    ///
    /// # Errors
    /// If anything cannot be written; then nothing is there under the final name.
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

    /// Makes it what is published later: immutable and closed, under its temporary name, which is the caller's to remove.
    pub(super) fn finish(mut self) -> Result<PathBuf, FsError> {
        self.make_immutable()?;
        if self.stays {
            // Nobody goes on with what is finished.
            let mut own = Self::create(folder_of(&self.path), "", 0o600)?;
            fs::rename(&self.path, &own.path).map_err(failed("move", &self.path))?;
            own.stays = true;
            self.path.clone_from(&own.path);
        }
        self.stays = true;
        Ok(self.path.clone())
    }

    fn make_immutable(&mut self) -> Result<(), FsError> {
        // Set, not left to the umask: others who share the store must be able to read, nobody to write.
        self.file.set_permissions(Permissions::from_mode(SHARED_FILE)).map_err(failed("write", &self.path))?;
        // Where times cannot be set, the file is only hashed more often than it must be.
        let _ = self.file.set_modified(UNIX_EPOCH + PUBLISHED);
        Ok(())
    }

    /// As [`Draft::put`], but after a crash of the system what stands there may be incomplete: for copies of what is kept.
    ///
    /// # Errors
    /// If it cannot be moved there; then what is there is untouched.
    pub fn put_unsynced(mut self, path: &Path) -> Result<(), FsError> {
        fs::rename(&self.path, path).map_err(failed("write", path))?;
        self.stays = true;
        Ok(())
    }

    /// Puts it in a place (on the same file system), atomically and instead of what is there.
    ///
    /// # Errors
    /// If it cannot be written; then what is there is untouched.
    pub fn put(self, path: &Path) -> Result<(), FsError> {
        self.sync()?;
        self.put_unsynced(path)
    }
}

/// Gives a published file of one's own another identity, so that who means to remove the one that it was leaves it. Returns
/// it; `None` if the file is another's or cannot be changed.
pub fn freshen(path: &Path) -> Option<Identity> {
    let file = File::open(path).ok()?;
    file.set_modified(UNIX_EPOCH + PUBLISHED).ok()?;
    file.metadata().ok().map(|metadata| Identity::of(&metadata))
}

/// A name that nobody else should have.
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
            // Left over, it is harmless and swept up later.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Gives a finished file its name, in a folder that is made if it must; says whether that was free. The temporary name
/// may be gone afterwards.
pub(super) fn link_or_move(temporary: &Path, target: &Path) -> Result<bool, FsError> {
    let failed = failed("write", target);
    let mut linked = fs::hard_link(temporary, target);
    if let (Err(error), Some(folder)) = (&linked, target.parent())
        && error.kind() == ErrorKind::NotFound
    {
        publish_folder(folder_of(temporary), folder)?;
        linked = fs::hard_link(temporary, target);
    }
    match linked {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        // Some file systems have no links. Renaming may replace a file that another process published in
        // this instant, by one with the same bytes: the name is their hash.
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

/// Publishes an immutable file of the given parts: see [`Draft::publish`]. It is written in the folder `temporary`.
///
/// # Errors
/// If anything cannot be written; then nothing is there under the final name.
pub fn publish(temporary: &Path, target: &Path, parts: &[&[u8]]) -> Result<Option<Identity>, FsError> {
    let mut draft = Draft::new(temporary)?;
    parts.iter().try_for_each(|part| draft.append(part))?;
    draft.publish(target)
}
