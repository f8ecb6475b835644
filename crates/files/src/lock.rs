//! Names that one process holds at a time, also across accounts and machines.
//!
//! A name is held by the process that has its file locked: the system unlocks it when the process dies, in whatever
//! way. Where files cannot be locked, whoever created the file holds the name, and its text says who that is.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use super::draft::temporary_name;
use super::faults::{Step, pass};
use super::modes::shared_mode;
use super::{FsError, failed, folder_of, is_gone};

/// Mode in a shared folder: members of the group must be able to open a lock for writing (NFS requires it for
/// locking), and nobody else must be able to hold it.
const SHARED_LOCK: u32 = 0o660;

/// Maximum number of bytes read from the text of a file.
const TEXT_LIMIT: u64 = 1 << 10;

/// Number of attempts. Losing a race with a holder that is leaving is rare; losing it a hundred times means that the
/// name cannot be used, or that a network file system shows outdated data.
const TRIES: usize = 100;

/// Number of attempts after an error of the disk or the server.
const BROKEN_TRIES: usize = 5;

/// Whether the locks of the file system tell who holds a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Locks {
    /// They do; without them, nothing can be held.
    Needed,
    /// They do, if there are any.
    Trusted,
    /// They do not, because other machines do not see them.
    Unseen,
}

/// How names are held.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// Folder for files that have no name yet, on the same file system.
    pub temporary: &'a Path,
    /// Text for the file of a name that is taken. It must always have the same length.
    pub text: &'a [u8],
    /// Whether locks tell who holds a name.
    pub locks: Locks,
    /// Whether other machines see a text only after it is synced.
    pub syncs: bool,
}

/// Result of trying to take a name.
#[derive(Debug)]
pub enum Attempt {
    /// It is held by this process now.
    Ours(Lock),
    /// Another holder has it, or has left it without locks that would show that.
    Theirs(Found),
    /// It changes hands faster than it can be looked at.
    Unclear,
}

/// A file that somebody else created for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    file: Number,
    /// The start of its bytes; empty if they cannot be read. They are not to be trusted.
    pub text: Vec<u8>,
    /// Whether it is locked, so that its holder is alive.
    pub is_locked: bool,
}

/// Identifies a file, whatever its names are: device and inode.
type Number = (u64, u64);

/// A held name. Its file is removed when this value is dropped. The system unlocks the file of a process that dies; the
/// leftover can then be locked by any process.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    /// The text that a dead holder left.
    left: Vec<u8>,
    is_locked: bool,
    /// Whether the file's bytes can be replaced by this process's text.
    is_own: bool,
    syncs: bool,
    is_released: AtomicBool,
}

impl Lock {
    /// Locks a file, and creates it if it is missing; `None` if another process or thread holds the lock. New files
    /// are created in the folder `temporary` (on the same file system).
    ///
    /// # Errors
    /// If the file cannot be created or the file system has no locks.
    pub fn try_acquire(path: &Path, temporary: &Path) -> Result<Option<Self>, FsError> {
        let terms = Terms { temporary, text: b"", locks: Locks::Needed, syncs: false };
        match Self::attempt(path, &terms)? {
            Attempt::Ours(lock) => Ok(Some(lock)),
            Attempt::Theirs(_) | Attempt::Unclear => Ok(None),
        }
    }

    /// Tries to take a name.
    ///
    /// # Errors
    /// If the file cannot be created, or the file system lacks locks that are needed. A file that another machine
    /// removes in the meantime is no error.
    pub fn attempt(path: &Path, terms: &Terms<'_>) -> Result<Attempt, FsError> {
        let failed = failed("lock", path);
        let mut broken = 0;
        for _ in 0..TRIES {
            match once(path, terms) {
                Ok(Some(attempt)) => return Ok(attempt),
                Ok(None) => {}
                Err(error) if is_gone(&error) => {}
                // Servers of NFS 3 report this for a file that is just being removed.
                Err(error) if error.raw_os_error() == Some(libc::EIO) && broken < BROKEN_TRIES => broken += 1,
                Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
                    return Err(failed(io::Error::other("it is not a regular file: remove it")));
                }
                Err(error) => return Err(failed(error)),
            }
        }
        match [folder_of(path), terms.temporary].into_iter().find(|folder| !folder.is_dir()) {
            // Callers that believed the name to be held would wait forever.
            Some(missing) => Err(super::failed("lock", missing)(ErrorKind::NotFound.into())),
            None => Ok(Attempt::Unclear),
        }
    }

    /// Frees the name of a holder that counts as dead, although its file may still be locked. A file that somebody
    /// created in the meantime keeps the name. Returns whether the name was freed.
    pub fn evict(path: &Path, found: &Found, temporary: &Path) -> bool {
        let aside = temporary_name(temporary, "lock-");
        if number_at(path).ok() != Some(found.file) || fs::rename(path, &aside).is_err() {
            return false;
        }
        // Another process may have evicted the same holder and taken the name just before.
        let is_right = number_at(&aside).is_ok_and(|there| there == found.file);
        if !is_right {
            // If the name was taken meanwhile, two processes hold it, which is rare and harmless.
            let _ = fs::hard_link(&aside, path);
        }
        // A leftover is harmless and removed later.
        let _ = fs::remove_file(&aside);
        is_right
    }

    /// Returns the text that a dead holder left in the file; empty if there was none.
    pub fn left(&self) -> &[u8] {
        &self.left
    }

    /// Whether the file is locked. If not, only its existence and its text keep others away.
    pub fn is_locked(&self) -> bool {
        self.is_locked
    }

    fn of(file: File, path: &Path, terms: &Terms<'_>, is_locked: bool, left: Vec<u8>) -> io::Result<Self> {
        // In a shared folder, somebody may have given this name to an unrelated file, which must keep its bytes.
        let is_own = file.metadata()?.nlink() == 1;
        let (path, syncs, is_released) = (path.to_owned(), terms.syncs, AtomicBool::new(false));
        Ok(Self { file, path, left, is_locked, is_own, syncs, is_released })
    }

    /// Replaces the text by one of the same length, and makes it visible to other machines.
    ///
    /// # Errors
    /// If it cannot be written, for example because another process has taken the name over.
    pub fn write(&self, text: &[u8]) -> Result<(), FsError> {
        self.put(text).map_err(failed("write", &self.path))
    }

    fn put(&self, text: &[u8]) -> io::Result<()> {
        if !self.is_own || text.is_empty() || self.is_released.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.file.write_all_at(text, 0)?;
        if self.syncs { self.file.sync_data() } else { Ok(()) }
    }

    /// Frees the name. The value can be used afterwards, but holds nothing.
    pub fn release(&self) {
        if self.is_released.swap(true, Ordering::Relaxed) {
            return;
        }
        // Remove the file before unlocking it, so that nobody can lock it in between and lose it. The name can belong to
        // another process: one that stood still for long counts as dead.
        let is_named = number(&self.file).is_ok_and(|own| number_at(&self.path).is_ok_and(|there| there == own));
        let removed = || pass(Step::Remove).and_then(|()| fs::remove_file(&self.path));
        if is_named && removed().is_err() && self.is_own {
            // A file of another account stays where it is, and can be locked again. Nobody holds it then.
            let _ = self.file.set_len(0);
        }
        let _ = self.file.unlock();
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.release();
    }
}

/// Makes one attempt; `None` if the name changed hands in the meantime.
fn once(path: &Path, terms: &Terms<'_>) -> io::Result<Option<Attempt>> {
    let file = match open(path) {
        Ok(file) => file,
        Err(error) if is_gone(&error) => return Ok(create(path, terms)?.map(Attempt::Ours)),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file: remove it"));
    }
    let held = try_lock(&file, terms.locks)?;
    if held != Held::Ours {
        let (file, text) = (number(&file)?, text_of(&file)?);
        return Ok(Some(Attempt::Theirs(Found { file, text, is_locked: held == Held::Theirs })));
    }
    // The last holder may have removed the file between our opening and locking it. In that case, this lock is on a
    // file without a name, which excludes nobody.
    if number_at(path)? != number(&file)? {
        return Ok(None);
    }
    let left = text_of(&file)?;
    let lock = Lock::of(file, path, terms, true, left)?;
    // Without a text the name is held nevertheless: a full disk must not prevent a collection.
    let _ = lock.put(terms.text);
    Ok(Some(Attempt::Ours(lock)))
}

/// Opens a lock's file without `O_CREAT`, which hardened systems refuse for files of others in shared folders. Links are
/// not followed: in a shared folder, somebody else can create them.
fn open(path: &Path) -> io::Result<File> {
    pass(Step::Open)?;
    let with = |write| {
        let mut options = OpenOptions::new();
        options.read(true).write(write).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path)
    };
    match with(true) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => with(false),
        other => other,
    }
}

/// Who holds the lock of an open file.
#[derive(Debug, PartialEq, Eq)]
enum Held {
    Ours,
    Theirs,
    /// There are no locks that tell.
    Unknown,
}

fn try_lock(file: &File, locks: Locks) -> io::Result<Held> {
    if locks == Locks::Unseen {
        return Ok(Held::Unknown);
    }
    let tried = pass(Step::Lock).map_err(TryLockError::Error).and_then(|()| file.try_lock());
    match tried {
        Ok(()) => Ok(Held::Ours),
        Err(TryLockError::WouldBlock) => Ok(Held::Theirs),
        Err(TryLockError::Error(error)) if locks == Locks::Trusted && lacks_locks(&error) => Ok(Held::Unknown),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether an error says that a file system has no locks.
pub(super) fn lacks_locks(error: &io::Error) -> bool {
    let lacking = [libc::ENOSYS, libc::ENOLCK, libc::EOPNOTSUPP, libc::ENOTSUP, libc::EPROTONOSUPPORT];
    error.raw_os_error().is_some_and(|number| lacking.contains(&number))
}

/// Creates a lock's file, locked, with its text and its mode before it gets its name: a process that dies in between
/// leaves no file that others cannot open. `None` if another process created it in the meantime.
fn create(path: &Path, terms: &Terms<'_>) -> io::Result<Option<Lock>> {
    let new = |path: &Path| OpenOptions::new().read(true).write(true).create_new(true).mode(0o666).open(path);
    let draft = temporary_name(terms.temporary, "lock-");
    let made = prepare(new(&draft)?, path, terms).and_then(|lock| {
        let linked = pass(Step::Link).and_then(|()| fs::hard_link(&draft, path));
        match linked {
            Ok(()) => Ok(lock),
            // If the answer was lost on the network and the request repeated, the name is taken by this file.
            Err(error) if error.kind() == ErrorKind::AlreadyExists && lock.file.metadata()?.nlink() == 2 => Ok(lock),
            // Without hard links, the file gets its name a moment too early.
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::PermissionDenied) => {
                prepare(new(path)?, path, terms)
            }
            Err(error) => Err(error),
        }
    });
    // A leftover is harmless and removed later.
    let _ = fs::remove_file(&draft);
    match made {
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::WouldBlock) => Ok(None),
        made => made.map(Some),
    }
}

/// Gives a new file its mode, its lock and its text.
fn prepare(file: File, path: &Path, terms: &Terms<'_>) -> io::Result<Lock> {
    if shared_mode(folder_of(path))?.is_some() {
        file.set_permissions(Permissions::from_mode(SHARED_LOCK))?;
    }
    let held = try_lock(&file, terms.locks)?;
    if held == Held::Theirs {
        return Err(ErrorKind::WouldBlock.into());
    }
    let lock = Lock::of(file, path, terms, held == Held::Ours, Vec::new())?;
    let _ = lock.put(terms.text);
    Ok(lock)
}

fn number(file: &File) -> io::Result<Number> {
    pass(Step::Inspect)?;
    let metadata = file.metadata()?;
    Ok((metadata.dev(), metadata.ino()))
}

/// Returns which file has a name. Opening it makes a network file system ask its server, which inspecting it does not.
fn number_at(path: &Path) -> io::Result<Number> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    number(&OpenOptions::new().read(true).custom_flags(flags).open(path)?)
}

/// Reads the start of a file; empty if that is not possible.
fn text_of(file: &File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    match pass(Step::Read).and_then(|()| file.take(TEXT_LIMIT).read_to_end(&mut text)) {
        Err(error) if is_gone(&error) => Err(error),
        Err(_) => Ok(Vec::new()),
        Ok(_) => Ok(text),
    }
}

#[cfg(test)]
mod tests;
