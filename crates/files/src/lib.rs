//! File system access; imported images have a separate module, `learn/src/data/files.rs`.
//!
//! Every error names the attempted operation and the path. A written file appears complete under its final name or
//! not at all, even if the process is killed; only files with temporary names can be left over.

#![allow(clippy::disallowed_methods, reason = "this crate is the door to the file system")]

mod batch;
mod beneath;
mod copy;
mod draft;
mod faults;
mod hold;
mod kernel;
mod lock;
mod look;
mod modes;
mod named;
mod pointer;
mod private;
mod process;
mod stream;
mod system;

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use batch::Batch;
pub use beneath::{Usage, hand_over, read_beneath, remove_untrusted, usage};
pub use draft::{Draft, freshen, publish};
use faults::{Step, pass};
pub use hold::Hold;
#[cfg(target_os = "linux")]
pub use kernel::open_path;
pub use kernel::{create_one_folder, link_target, open_to_tell, owner, tell, unlinked};
pub use lock::{Attempt, Found, Lock, Locks, Terms};
pub use look::Lookout;
pub use modes::{
    Access, Account, SHARED_FILE, SHARED_FOLDER, access, device, group_name, group_number, may_add, publish_folder,
    set_access, survey, user_name,
};
pub use named::{Named, replace, write_named};
pub use pointer::{IS_POINTER, is_pointer};
pub use private::{create_private, private_folder, read_private};
pub use process::Process;
pub use stream::Stream;
pub use system::{Reach, System, can_link, can_reflink, change_shows, free_space, system};

/// A failed operation on a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {}: {source}", path.display())]
pub struct FsError {
    /// The attempted operation: "read", "write", ….
    pub operation: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// Error reported by the system.
    pub source: io::Error,
}

impl FsError {
    /// Whether the disk is full or the user's quota is exceeded.
    pub fn is_disk_full(&self) -> bool {
        matches!(self.source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
    }

    /// Whether the path can be read but not written.
    pub fn is_read_only(&self) -> bool {
        matches!(self.source.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
    }

    /// Whether the file system has no file locks.
    pub fn is_without_locks(&self) -> bool {
        lock::lacks_locks(&self.source)
    }

    /// Whether there is no such file or folder.
    pub fn is_missing(&self) -> bool {
        is_gone(&self.source) || self.source.kind() == ErrorKind::NotADirectory
    }
}

/// Whether a file does not exist, or was removed by another machine while it was in use: then a network file system
/// calls it stale.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::StaleNetworkFileHandle)
}

/// Repeats an operation on a path while it reports a stale file: another machine can have put another file in its
/// place, which the next attempt finds.
fn afresh<T>(mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 0..STALE_TRIES {
        match attempt() {
            Err(error) if error.kind() == ErrorKind::StaleNetworkFileHandle => {}
            other => return other,
        }
    }
    attempt()
}

/// Number of times that a stale file is looked for again; after that, it counts as missing.
const STALE_TRIES: usize = 4;

/// Returns a closure that adds the operation and path to an error.
fn failed(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> FsError {
    move |source| FsError { operation, path: path.to_owned(), source }
}

/// Returns the folder of a file.
fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

/// Turns the error for a missing file into `None`.
fn optional<T>(result: Result<T, FsError>) -> Result<Option<T>, FsError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Modification time of published files. Any later write sets a different one, however coarse the file system's
/// clock: a file that still has it has not been written since.
const PUBLISHED: Duration = Duration::from_secs(1);

/// Identifies a version of a file's bytes without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Number of bytes.
    pub size: u64,
    /// Time of the last write, in nanoseconds since 1970.
    pub modified: i64,
    /// Time of the last change of any kind (names, mode or bytes), in nanoseconds since 1970.
    pub changed: i64,
    /// Inode number.
    pub inode: u64,
}

impl Identity {
    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    fn of_status(status: &libc::stat) -> Self {
        Self {
            size: u64::try_from(status.st_size).unwrap_or_default(),
            modified: nanoseconds(status.st_mtime, status.st_mtime_nsec),
            changed: nanoseconds(status.st_ctime, status.st_ctime_nsec),
            inode: status.st_ino,
        }
    }

    /// Whether every write after `now` (nanoseconds since 1970) changes the identity. A file that was changed just
    /// now can be changed again within one tick of the file system's clock.
    pub fn is_settled(&self, now: i64) -> bool {
        let quiet = |time: i64| now.saturating_sub(time) > 2_000_000_000;
        self.modified == PUBLISHED.as_nanos() as i64 || (quiet(self.modified) && quiet(self.changed))
    }
}

fn nanoseconds(seconds: i64, rest: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// Returns the current time in nanoseconds since 1970.
pub fn now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// Returns the identity of a file; `None` if it is missing.
///
/// # Errors
/// If the folder cannot be searched.
pub fn identity(path: &Path) -> Result<Option<Identity>, FsError> {
    let inspect = || pass(Step::Inspect).and_then(|()| fs::symlink_metadata(path));
    let metadata = optional(afresh(inspect).map_err(failed("inspect", path)))?;
    Ok(metadata.as_ref().map(Identity::of))
}

/// Reads a whole file of at most `limit` bytes; also returns its identity before reading.
///
/// # Errors
/// If it cannot be read or is larger; no more than the limit is ever allocated.
pub fn read_identified(path: &Path, limit: u64) -> Result<(Vec<u8>, Identity), FsError> {
    let attempt = || {
        let (mut file, identity) = match limit > ENDLESS {
            true => open_regular(path)?,
            false => {
                let file = File::open(path)?;
                let identity = Identity::of(&file.metadata()?);
                (file, identity)
            }
        };
        pass(Step::Read)?;
        Ok((read_limited(&mut file, identity.size, limit)?, identity))
    };
    afresh(attempt).map_err(failed("read", path))
}

/// Maximum number of bytes read from a file without a size, such as a device or a pipe: it can be endless.
const ENDLESS: u64 = 16 << 20;

/// Reads an open file of `size` bytes and at most `limit` bytes.
fn read_limited(file: &mut File, size: u64, limit: u64) -> io::Result<Vec<u8>> {
    let too_large = || {
        let most =
            if limit.is_multiple_of(1 << 20) { format!("{} MiB", limit >> 20) } else { format!("{limit} bytes") };
        io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {most}"))
    };
    if size > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).map_err(|_| too_large())?);
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// If it cannot be read or is larger.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, FsError> {
    read_identified(path, limit).map(|(bytes, _)| bytes)
}

/// Reads the first `length` bytes of a file, fewer if it is shorter.
///
/// # Errors
/// If it cannot be read.
pub fn read_start(path: &Path, length: u64) -> Result<Vec<u8>, FsError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path).and_then(|file| file.take(length).read_to_end(&mut bytes))?;
        Ok(bytes)
    };
    afresh(read).map_err(failed("read", path))
}

/// Reads a text file of at most `limit` bytes.
///
/// # Errors
/// If it cannot be read, is larger or is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, FsError> {
    let bytes = read(path, limit)?;
    String::from_utf8(bytes).map_err(|e| failed("read", path)(io::Error::new(ErrorKind::InvalidData, e)))
}

/// Opens a regular file for reading piece by piece; also returns its identity before reading. Other types are
/// refused: a device may never end, and reading a FIFO may block forever.
///
/// # Errors
/// If it cannot be opened, or is not a regular file.
pub fn open(path: &Path) -> Result<(File, Identity), FsError> {
    afresh(|| open_regular(path)).map_err(failed("read", path))
}

fn open_regular(path: &Path) -> io::Result<(File, Identity)> {
    pass(Step::Open)?;
    // Without this flag, opening a pipe blocks until there is a writer.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    match (metadata.is_file(), metadata.is_dir()) {
        (true, _) => Ok((file, Identity::of(&metadata))),
        (_, true) => Err(io::Error::new(ErrorKind::IsADirectory, "it is a folder, not a file")),
        _ => Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file: copy its contents to one first")),
    }
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// If it cannot be read, is larger, or is not a regular file.
pub fn read_regular(path: &Path, limit: u64) -> Result<Vec<u8>, FsError> {
    let read = || {
        let (mut file, identity) = open_regular(path)?;
        read_limited(&mut file, identity.size, limit)
    };
    afresh(read).map_err(failed("read", path))
}

/// Opens a log file for writing at its end, and creates it if it does not exist.
///
/// # Errors
/// If it cannot be written.
pub fn append(path: &Path) -> Result<File, FsError> {
    File::options().create(true).append(true).open(path).map_err(failed("write", path))
}

/// Creates a folder and its parents; existing ones are left unchanged. In a folder that a group (but not everyone)
/// can write to, new folders get the same mode, whatever the umask.
///
/// # Errors
/// If it cannot be created, or exists but is not a folder.
pub fn create_folder(path: &Path) -> Result<(), FsError> {
    if path.is_dir() {
        return Ok(());
    }
    let failed = failed("create", path);
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    if let Some(parent) = parent {
        create_folder(parent)?;
    }
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        Err(error) => return Err(failed(error)),
    }
    let mode = fs::metadata(parent.unwrap_or(Path::new("."))).map_err(&failed)?.mode() & 0o7777;
    let (group_writes, everyone_writes) = (mode & 0o020 != 0, mode & 0o002 != 0);
    // The mode of a folder like /tmp is not copied.
    if group_writes && !everyone_writes {
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(&failed)?;
    }
    Ok(())
}

/// Returns the path that is not a folder but is in place of this folder or one of its parents.
pub fn file_on_the_way(folder: &Path) -> Option<PathBuf> {
    let above = folder.ancestors().find(|path| fs::metadata(path).is_ok())?;
    (!above.is_dir()).then(|| above.to_owned())
}

/// Makes the names in a folder durable.
///
/// # Errors
/// If the folder cannot be opened or synced.
pub fn sync_folder(path: &Path) -> Result<(), FsError> {
    afresh(|| File::open(path)?.sync_all()).map_err(failed("sync", path))
}

/// Returns the names in a folder, sorted; none if the folder is missing. Names that are not UTF-8 contain replacement
/// characters.
///
/// # Errors
/// If it cannot be read.
pub fn list(path: &Path) -> Result<Vec<String>, FsError> {
    let read = || {
        pass(Step::List)?;
        fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    };
    let mut names: Vec<_> = optional(afresh(read).map_err(failed("list", path)))?.unwrap_or_default();
    names.sort_unstable();
    Ok(names)
}

/// Returns all regular files below a folder with their identities, sorted by name; links are not followed.
///
/// # Errors
/// If a folder cannot be read.
pub fn walk(root: &Path) -> Result<Vec<(PathBuf, Identity)>, FsError> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let entry = entry.and_then(|entry| Ok((entry.metadata()?, entry)));
        let (metadata, entry) = entry.map_err(|e| failed("list", root)(e.into()))?;
        if metadata.is_file() {
            files.push((entry.into_path(), Identity::of(&metadata)));
        }
    }
    Ok(files)
}

/// Lists the regular files below a folder, sorted by name: paths relative to `root`, and sizes. Hidden ones, folders with
/// the names `skipped`, and whatever cannot be read are left out. Links are not followed.
pub fn visible<'a>(root: &'a Path, below: &Path, skipped: &'a [&str]) -> impl Iterator<Item = (PathBuf, u64)> + 'a {
    let is_skipped = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        name.starts_with('.') || (entry.file_type().is_dir() && skipped.contains(&&*name))
    };
    let entries = walkdir::WalkDir::new(root.join(below)).sort_by_file_name().into_iter();
    let entries = entries.filter_entry(move |entry| entry.depth() == 0 || !is_skipped(entry)).flatten();
    entries.filter(|entry| entry.file_type().is_file()).filter_map(move |entry| {
        let size = entry.metadata().map_or(0, |metadata| metadata.len());
        Some((entry.path().strip_prefix(root).ok()?.to_owned(), size))
    })
}

/// Moves a file to a name that must be free; returns whether the file existed.
///
/// # Errors
/// If it cannot be moved.
pub fn rename(from: &Path, to: &Path) -> Result<bool, FsError> {
    let rename = || pass(Step::Move).and_then(|()| fs::rename(from, to));
    optional(afresh(rename).map_err(failed("move", from))).map(|moved| moved.is_some())
}

/// Creates a symbolic link.
///
/// # Errors
/// If it cannot be created, or the name is taken.
pub fn link_to(target: &Path, path: &Path) -> Result<(), FsError> {
    std::os::unix::fs::symlink(target, path).map_err(failed("create", path))
}

/// Removes a file or an empty folder; returns whether it existed.
///
/// # Errors
/// If it cannot be removed.
pub fn remove(path: &Path) -> Result<bool, FsError> {
    let removed = match afresh(|| pass(Step::Remove).and_then(|()| fs::remove_file(path))) {
        // Systems report different errors for trying to remove a folder as a file.
        Err(error) if matches!(error.kind(), ErrorKind::IsADirectory | ErrorKind::PermissionDenied) => {
            if fs::symlink_metadata(path).is_ok_and(|there| there.is_dir()) {
                fs::remove_dir(path)
            } else {
                Err(error)
            }
        }
        other => other,
    };
    optional(removed.map_err(failed("remove", path))).map(|removed| removed.is_some())
}

/// Removes a folder with its contents; links are removed, not followed.
///
/// # Errors
/// If anything cannot be removed.
pub fn remove_all(path: &Path) -> Result<(), FsError> {
    optional(fs::remove_dir_all(path).map_err(failed("remove", path))).map(drop)
}

/// Returns the canonical path, without links and `..`.
///
/// # Errors
/// If the path does not exist.
pub fn canonical(path: &Path) -> Result<PathBuf, FsError> {
    fs::canonicalize(path).map_err(failed("find", path))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "they look at the file system from outside")]

    use super::*;

    #[test]
    fn a_report_is_replaced_whole_and_only_if_it_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fig3.svg");
        assert!(replace(&path, b"one").unwrap());
        let before = identity(&path).unwrap();
        assert!(!replace(&path, b"one").unwrap());
        assert_eq!(identity(&path).unwrap(), before);
        assert!(replace(&path, b"two").unwrap());
        assert_eq!(read(&path, 3).unwrap(), b"two");
        assert_eq!(list(folder.path()).unwrap(), ["fig3.svg"]);
        assert!(replace(&folder.path().join("no/such"), b"").unwrap_err().is_missing());
    }

    #[test]
    fn what_is_published_stays_and_its_folder_is_made_if_it_must() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/c");
        let new = publish(folder.path(), &path, &[b"on", b"", b"e"]).unwrap().unwrap();
        assert_eq!(identity(&path).unwrap(), Some(new));
        assert!(new.is_settled(0));
        assert_eq!(publish(folder.path(), &path, &[b"two"]).unwrap(), None);
        assert_eq!(read_text(&path, 10).unwrap(), "one");
        assert_eq!(list(folder.path()).unwrap(), ["a"]);
        let lookout = Lookout::open(folder.path()).unwrap();
        assert_eq!(lookout.identity(c"a/b/c").unwrap(), Some(new));
        assert_eq!(lookout.identity(c"a/c").unwrap(), None);
        assert!(lookout.identity(c"a/b/c/d").unwrap().is_none());
        assert_eq!(walk(folder.path()).unwrap(), [(path, new)]);
    }

    #[test]
    fn errors_say_what_and_where_and_limits_hold() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let error = read(&path, 10).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot read {}: No such file or directory (os error 2)", path.display())
        );
        fs::write(&path, [0xff; 11]).unwrap();
        assert!(read(&path, 10).unwrap_err().to_string().ends_with("it is larger than 10 bytes"));
        assert_eq!(read(&path, 11).unwrap().len(), 11);
        assert_eq!(read_start(&path, 4).unwrap(), [0xff; 4]);
        assert!(read_text(&path, 11).is_err());
        // Devices can be endless, and pipes can block forever.
        let pipe = folder.path().join("pipe");
        let name = std::ffi::CString::new(pipe.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the name ends in NUL.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        for (path, reason) in [
            (pipe.as_path(), "not a regular file"),
            (Path::new("/dev/zero"), "not a regular file"),
            (folder.path(), "a folder"),
        ] {
            assert!(open(path).unwrap_err().to_string().contains(reason), "{}", path.display());
            assert!(read(path, ENDLESS + 1).unwrap_err().to_string().contains(reason), "{}", path.display());
        }
        assert!(read(Path::new("/dev/zero"), ENDLESS).unwrap_err().to_string().contains("larger than"));
        assert_eq!(read(Path::new("/dev/null"), 10).unwrap(), b"");
        assert_eq!(identity(&folder.path().join("y")).unwrap(), None);
        assert!(!remove(&folder.path().join("y")).unwrap());
        assert!(create_folder(&path).is_err());
    }

    #[test]
    fn what_another_machine_replaced_or_removed_is_looked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for (times, is_seen) in [(STALE_TRIES, true), (usize::MAX, false)] {
            fs::write(&path, "x").unwrap();
            let stale = |step, run: &dyn Fn() -> bool| faults::failing(step, times, libc::ESTALE, run);
            assert_eq!(stale(Step::Inspect, &|| identity(&path).unwrap().is_some()), is_seen);
            assert_eq!(stale(Step::List, &|| list(folder.path()).unwrap() == ["x"]), is_seen);
            assert_eq!(stale(Step::Open, &|| read_regular(&path, 1).is_ok()), is_seen);
            assert_eq!(stale(Step::Read, &|| read(&path, 1).is_ok()), is_seen);
            assert_eq!(stale(Step::Move, &|| rename(&path, &folder.path().join("y")).unwrap()), is_seen);
            fs::write(&path, "x").unwrap();
            assert_eq!(stale(Step::Remove, &|| remove(&path).unwrap()), is_seen);
            let linked = || publish(folder.path(), &folder.path().join("z"), &[b"z"]).is_ok_and(|new| new.is_some());
            assert!(faults::failing(Step::Link, 1, libc::ESTALE, linked));
            fs::remove_file(folder.path().join("z")).unwrap();
            assert!(faults::failing(Step::Read, usize::MAX, libc::ESTALE, || read(&path, 1)).unwrap_err().is_missing());
            let _ = (fs::remove_file(&path), fs::remove_file(folder.path().join("y")));
        }
    }

    #[test]
    fn folders_in_a_shared_one_are_shared_whatever_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let lab = folder.path().join("lab");
        create_folder(&lab).unwrap();
        fs::set_permissions(&lab, Permissions::from_mode(0o3775)).unwrap();
        create_folder(&lab.join("a/b")).unwrap();
        assert_eq!(fs::metadata(lab.join("a/b")).unwrap().mode() & 0o7777, 0o3775);
        fs::set_permissions(&lab, Permissions::from_mode(0o1777)).unwrap();
        create_folder(&lab.join("c")).unwrap();
        assert_eq!(fs::metadata(lab.join("c")).unwrap().mode() & 0o1002, 0);
    }
}
