//! Files named by the user, such as those of `--to FILE`, `cache export FIGURE FILE` and `--trust FILE`.
//!
//! Regular files are replaced as a whole and keep their owner and mode. A link is followed, and the file that it
//! leads to is replaced. Other files (devices, FIFOs, descriptors) are never replaced but written through.

use std::fs::{self, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::RawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use super::draft::Draft;
use super::stream::Stream;
use super::{FsError, failed, folder_of, read};

/// Maximum number of links followed in a chain, as in Linux itself.
const LINKS: usize = 40;

/// A file named by the user, while it is being written. A regular file stays unchanged unless the new one is put in
/// place.
#[derive(Debug)]
pub struct Named(Writing);

#[derive(Debug)]
enum Writing {
    /// A new file that replaces an existing one, or is created.
    File { draft: Draft, place: PathBuf },
    /// A stream that is written directly.
    Stream(Stream),
}

/// Result of following a path.
enum Found {
    /// A regular file.
    File(PathBuf, Metadata),
    /// No file. The folder can exist or be missing.
    Nothing(PathBuf),
    /// A descriptor of this process.
    Descriptor(RawFd),
    /// A device, a FIFO, or a file opened by another process.
    Special(PathBuf),
}

impl Named {
    /// Starts to write a file; `-` is standard output.
    ///
    /// # Errors
    /// If it is a folder, or cannot be written.
    pub fn create(path: &Path) -> Result<Self, FsError> {
        if path == Path::new("-") {
            return Ok(Self(Writing::Stream(Stream::standard_output()?)));
        }
        Self::at(path)
    }

    /// Like [`Named::create`], but `-` is an ordinary file name.
    fn at(path: &Path) -> Result<Self, FsError> {
        Ok(Self(match find(path)? {
            Found::Descriptor(descriptor) => Writing::Stream(Stream::inherited(descriptor, path)?),
            Found::Special(special) => Writing::Stream(Stream::open(&special)?),
            Found::Nothing(place) => Writing::File { draft: Draft::of(&place)?, place },
            Found::File(place, old) => {
                if place != path {
                    // A link can lead to a file that must not be changed, such as a file in the store of another
                    // program.
                    OpenOptions::new().write(true).open(&place).map_err(failed("write", &place))?;
                }
                let draft = Draft::private(&place)?;
                draft.resemble(&old)?;
                Writing::File { draft, place }
            }
        }))
    }

    /// Writes all of the bytes.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        match &mut self.0 {
            Writing::File { draft, .. } => draft.append(bytes),
            Writing::Stream(stream) => stream.append(bytes),
        }
    }

    /// Returns the new file, unless this is a stream.
    pub fn draft(&mut self) -> Option<&mut Draft> {
        match &mut self.0 {
            Writing::File { draft, .. } => Some(draft),
            Writing::Stream(_) => None,
        }
    }

    /// Whether the output is a terminal.
    pub fn is_terminal(&self) -> bool {
        matches!(&self.0, Writing::Stream(stream) if stream.is_terminal())
    }

    /// Returns its name for messages.
    pub fn path(&self) -> &Path {
        match &self.0 {
            Writing::File { place, .. } => place,
            Writing::Stream(stream) => stream.path(),
        }
    }

    /// Writes all of the bytes, and moves the file into place.
    ///
    /// # Errors
    /// If they cannot be written. In that case, an existing file is unchanged.
    pub fn write_whole(mut self, bytes: &[u8]) -> Result<(), FsError> {
        self.append(bytes)?;
        self.put()
    }

    /// Moves the new file into place, durably.
    ///
    /// # Errors
    /// If it cannot be written. In that case, an existing file is unchanged.
    pub fn put(self) -> Result<(), FsError> {
        match self.0 {
            Writing::File { draft, place } => draft.put(&place),
            Writing::Stream(_) => Ok(()),
        }
    }

    /// Moves the file as [`Named::put`] does, but after a system crash it may be incomplete: for copies of data that
    /// is kept elsewhere.
    ///
    /// # Errors
    /// If it cannot be moved. In that case, an existing file is unchanged.
    pub fn put_unsynced(self) -> Result<(), FsError> {
        match self.0 {
            Writing::File { draft, place } => draft.put_unsynced(&place),
            Writing::Stream(_) => Ok(()),
        }
    }
}

impl Write for Named {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(|error| error.source)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft {
    /// Copies the owner and mode of the file that it replaces, as far as this account can.
    fn resemble(&self, old: &Metadata) -> Result<(), FsError> {
        let failed = failed("write", self.path());
        let own = self.file().metadata().map_err(&failed)?;
        let mut mode = old.mode() & 0o777;
        if own.gid() != old.gid() && fchown(self.file(), None, Some(old.gid())).is_err() {
            // Permissions of one group must not pass to another.
            mode &= 0o707;
        }
        if own.uid() != old.uid() {
            // Only root can change the owner.
            let _ = fchown(self.file(), Some(old.uid()), None);
        }
        self.file().set_permissions(Permissions::from_mode(mode)).map_err(failed)
    }
}

/// Follows the links in a path.
fn find(path: &Path) -> Result<Found, FsError> {
    let failed = failed("write", path);
    let mut at = path.to_owned();
    for _ in 0..=LINKS {
        // Links in /proc are special: opening one opens the file that the process has open.
        let folder = fs::canonicalize(folder_of(&at)).unwrap_or_default();
        if folder.starts_with("/proc") {
            let number = at.file_name().and_then(|name| name.to_str()?.parse().ok());
            let is_own = fs::canonicalize("/proc/self/fd").is_ok_and(|own| own == folder);
            return Ok(number.filter(|_| is_own).map_or(Found::Special(at), Found::Descriptor));
        }
        let there = match fs::symlink_metadata(&at) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing(at)),
            there => there.map_err(&failed)?,
        };
        match there.file_type() {
            kind if kind.is_symlink() => at = folder_of(&at).join(fs::read_link(&at).map_err(&failed)?),
            kind if kind.is_dir() => return Err(failed(io::Error::other("it is a folder: name a file in it"))),
            kind if kind.is_file() => return Ok(Found::File(at, there)),
            _ => return Ok(Found::Special(at)),
        }
    }
    Err(failed(io::Error::from_raw_os_error(libc::ELOOP)))
}

/// Writes a file named by the user; `-` is standard output.
///
/// # Errors
/// If it cannot be written. In that case, an existing regular file is unchanged.
pub fn write_named(path: &Path, bytes: &[u8]) -> Result<(), FsError> {
    Named::create(path)?.write_whole(bytes)
}

/// Creates or replaces a file if its bytes differ; returns whether they did.
///
/// # Errors
/// If it cannot be written. In that case, the old file is unchanged.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<bool, FsError> {
    let length = bytes.len() as u64;
    let has_length = fs::metadata(path).is_ok_and(|old| old.is_file() && old.len() == length);
    if has_length && read(path, length).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let named = Named::at(path)?;
    named.write_whole(bytes)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "they look at the file system from outside")]

    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{FileTypeExt, chown, symlink};
    use std::thread;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    type Writer = fn(&Path, &[u8]) -> Result<(), FsError>;

    /// Creates a FIFO or a device; `false` if this account cannot.
    fn make_node(path: &Path, kind: libc::mode_t, device: libc::dev_t) -> bool {
        let path = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: a system call that reads a NUL-terminated string.
        unsafe { libc::mknod(path.as_ptr(), kind | 0o600, device) == 0 }
    }

    fn writers() -> [Writer; 2] {
        [write_named, |path, bytes| replace(path, bytes).map(drop)]
    }

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode_and_owner() {
        for write in writers() {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("out");
            write(&path, b"one").unwrap();
            let usual = mode(&path);
            for bits in [0o640, 0o600, 0o755, usual] {
                fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
                let is_owned = chown(&path, Some(12_345), Some(12_345)).is_ok();
                let inode = fs::metadata(&path).unwrap().ino();
                write(&path, format!("{bits}").as_bytes()).unwrap();
                let there = fs::metadata(&path).unwrap();
                assert_eq!((mode(&path), fs::read_to_string(&path).unwrap()), (bits, format!("{bits}")));
                assert!(there.ino() != inode && (!is_owned || (there.uid(), there.gid()) == (12_345, 12_345)));
            }
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn what_fails_on_the_way_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        write_named(&path, b"old").unwrap();
        let mut named = Named::create(&path).unwrap();
        named.append(b"half").unwrap();
        drop(named);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn links_are_followed_wherever_they_lead() {
        for write in writers() {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            fs::create_dir(at("far")).unwrap();
            fs::write(at("far/target"), "old").unwrap();
            symlink("target", at("far/near")).unwrap();
            symlink("far/near", at("link")).unwrap();
            symlink("far", at("folder")).unwrap();
            symlink("far/new", at("dangling")).unwrap();
            symlink(at("circle"), at("circle")).unwrap();
            for (name, target) in [("link", "far/target"), ("dangling", "far/new"), ("folder/near", "far/target")] {
                write(&at(name), name.as_bytes()).unwrap();
                assert!(fs::symlink_metadata(at(name)).unwrap().is_symlink(), "{name} is still a link");
                assert!(fs::symlink_metadata(at(target)).unwrap().is_file());
                assert_eq!(fs::read_to_string(at(target)).unwrap(), name);
            }
            assert!(write(&at("circle"), b"").is_err());
            for name in ["far", "folder"] {
                let error = write(&at(name), b"x").unwrap_err().to_string();
                assert!(error.ends_with("it is a folder: name a file in it"), "{error}");
            }
            assert!(write(&at("no/such"), b"").unwrap_err().is_missing());
        }
    }

    #[test]
    fn fifos_and_devices_are_written_through_directly_and_behind_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        assert!(make_node(&at("pipe"), libc::S_IFIFO, 0));
        symlink("pipe", at("to-pipe")).unwrap();
        for write in writers() {
            for name in ["pipe", "to-pipe"] {
                let reader = thread::spawn({
                    let pipe = at("pipe");
                    move || fs::read(pipe).unwrap()
                });
                write(&at(name), b"through").unwrap();
                assert_eq!(reader.join().unwrap(), b"through");
                assert!(fs::symlink_metadata(at("pipe")).unwrap().file_type().is_fifo());
            }
        }
        // Our own devices: /dev/null and /dev/full under other names.
        let [null, full] = [3, 7].map(|minor| libc::makedev(1, minor));
        let made = make_node(&at("null"), libc::S_IFCHR, null) && make_node(&at("full"), libc::S_IFCHR, full);
        if !made || OpenOptions::new().write(true).open(at("null")).is_err() {
            println!("skipped: this account cannot create devices");
            return;
        }
        symlink("null", at("to-null")).unwrap();
        for write in writers() {
            write(&at("null"), b"x").unwrap();
            write(&at("to-null"), b"x").unwrap();
            let error = write(&at("full"), b"x").unwrap_err();
            assert!(error.is_disk_full(), "{error}");
        }
        for name in ["null", "full"] {
            assert!(fs::symlink_metadata(at(name)).unwrap().file_type().is_char_device(), "{name}");
        }
        assert!(fs::symlink_metadata(at("to-null")).unwrap().is_symlink());
    }

    #[test]
    fn only_descriptors_that_the_program_was_started_with_are_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let own = fs::File::create(folder.path().join("own")).unwrap();
        let descriptor = std::os::fd::AsRawFd::as_raw_fd(&own);
        for path in [format!("/proc/self/fd/{descriptor}"), format!("/dev/fd/{descriptor}"), "/dev/fd/777".to_owned()] {
            let error = write_named(Path::new(&path), b"x").unwrap_err();
            assert_eq!(error.source.raw_os_error(), Some(libc::EBADF), "{error}");
        }
        assert_eq!(fs::read(folder.path().join("own")).unwrap(), b"");
    }

    #[test]
    fn names_may_be_as_long_as_the_system_allows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x".repeat(255));
        write_named(&path, b"x").unwrap();
        assert_eq!(fs::read(path).unwrap(), b"x");
    }
}
