//! Folders whose contents an untrusted program wrote, and files that are copied for such a program.
//!
//! Links in such a folder are never followed: they can lead to any file of this account.

use std::ffi::CString;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path};
use std::time::UNIX_EPOCH;

use super::copy::{clone_range, copy_range};
use super::{FsError, PUBLISHED, create_folder, failed, folder_of, open_regular, read_limited};

/// Reads a file below a folder without following any link in its name. The file must be regular, have no second name,
/// and have at most `limit` bytes.
///
/// # Errors
/// If it cannot be read, its name contains `..` or begins with `/`, or it is not such a file.
pub fn read_beneath(folder: &Path, name: &Path, limit: u64) -> Result<Vec<u8>, FsError> {
    let path = folder.join(name);
    let read = || {
        let mut file = open_beneath(folder, name)?;
        let metadata = file.metadata()?;
        let fault = match (metadata.is_file(), metadata.nlink()) {
            (false, _) if metadata.is_dir() => "it is a folder, not a file",
            (false, _) => "it is not a regular file",
            // The other name can be a file outside the folder.
            (true, 2..) => "it is a hard link: the file has another name",
            (true, _) => return read_limited(&mut file, metadata.len(), limit),
        };
        Err(io::Error::new(ErrorKind::InvalidInput, fault))
    };
    read().map_err(failed("read", &path))
}

fn open_beneath(folder: &Path, name: &Path) -> io::Result<File> {
    let outside = || io::Error::new(ErrorKind::InvalidInput, "the name leads out of the folder");
    let mut file = File::open(folder)?;
    let mut parts = name.components().peekable();
    if parts.peek().is_none() {
        return Err(outside());
    }
    while let Some(part) = parts.next() {
        let Component::Normal(part) = part else { return Err(outside()) };
        let part = CString::new(part.as_bytes())?;
        let only_folders = if parts.peek().is_some() { libc::O_DIRECTORY } else { 0 };
        // Without O_NONBLOCK, opening a FIFO blocks until there is a writer.
        let flags = libc::O_RDONLY | libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_CLOEXEC | only_folders;
        // SAFETY: the call reads a NUL-terminated string that outlives it, relative to an open folder.
        let opened: RawFd = unsafe { libc::openat(file.as_raw_fd(), part.as_ptr(), flags) };
        if opened < 0 {
            let error = io::Error::last_os_error();
            return Err(match error.raw_os_error() {
                Some(libc::ELOOP) => io::Error::new(ErrorKind::InvalidInput, "it is a symbolic link"),
                _ => error,
            });
        }
        // SAFETY: the descriptor was opened just now, and nothing else owns it.
        file = unsafe { File::from_raw_fd(opened) };
    }
    Ok(file)
}

/// Contents of a folder, as a number and a size.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Sum of the sizes of all files in bytes.
    pub bytes: u64,
    /// Number of files, folders and links below the folder.
    pub files: u64,
}

/// Measures a folder that can change at the same time: files that vanish are not counted, and links are not followed.
/// Stops counting at `most` files.
pub fn usage(folder: &Path, most: u64) -> Usage {
    let mut usage = Usage::default();
    for entry in walkdir::WalkDir::new(folder).min_depth(1).max_open(4).into_iter().filter_map(Result::ok) {
        usage.files += 1;
        if let Ok(metadata) = entry.metadata()
            && !metadata.is_dir()
        {
            usage.bytes = usage.bytes.saturating_add(metadata.len());
        }
        if usage.files >= most {
            break;
        }
    }
    usage
}

/// Copies a regular file to a name that must be free, and creates the folders on the way. All copies have the same
/// modification time, and only the mode of programs differs. If the file system can, the copy shares the bytes.
///
/// # Errors
/// If it cannot be copied.
pub fn hand_over(from: &Path, to: &Path) -> Result<(), FsError> {
    create_folder(folder_of(to))?;
    let (source, identity) = open_regular(from).map_err(failed("read", from))?;
    let copy = || {
        let executable = source.metadata()?.mode() & 0o100 != 0;
        let target = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(to)?;
        if identity.size > 0 && clone_range(&source, 0, 0, &target).is_err() {
            copy_range(&source, 0, identity.size, &target, &mut |_| ())?;
        }
        target.set_permissions(Permissions::from_mode(if executable { 0o555 } else { 0o444 }))?;
        target.set_modified(UNIX_EPOCH + PUBLISHED)
    };
    copy().map_err(failed("copy to", to))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "they look at the file system from outside")]

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn refusal(folder: &Path, name: &str) -> String {
        read_beneath(folder, Path::new(name), 100).unwrap_err().to_string()
    }

    #[test]
    fn only_plain_files_of_the_folder_are_read() {
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("work");
        fs::create_dir_all(folder.join("a")).unwrap();
        fs::write(top.path().join("secret"), "secret").unwrap();
        fs::write(folder.join("a/table.csv"), "1,2").unwrap();
        assert_eq!(read_beneath(&folder, Path::new("a/table.csv"), 3).unwrap(), b"1,2");
        assert!(read_beneath(&folder, Path::new("a/table.csv"), 2).unwrap_err().to_string().contains("larger"));
        symlink("../secret", folder.join("link")).unwrap();
        symlink("..", folder.join("up")).unwrap();
        fs::hard_link(top.path().join("secret"), folder.join("hard")).unwrap();
        let fifo = CString::new(folder.join("fifo").as_os_str().as_bytes()).unwrap();
        // SAFETY: the call reads a NUL-terminated string that outlives it.
        assert_eq!(unsafe { libc::mkfifo(fifo.as_ptr(), 0o600) }, 0);
        for (name, why) in [
            ("link", "symbolic link"),
            ("up/secret", ""),
            ("hard", "hard link"),
            ("fifo", "not a regular file"),
            ("a", "folder, not a file"),
            ("../secret", "out of the folder"),
            ("/etc/passwd", "out of the folder"),
            ("", "out of the folder"),
        ] {
            assert!(refusal(&folder, name).contains(why), "{name}: {}", refusal(&folder, name));
        }
        assert!(read_beneath(&folder, Path::new("none"), 9).unwrap_err().is_missing());
    }

    #[test]
    fn a_folder_is_measured_without_its_links() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/one"), [0; 1000]).unwrap();
        symlink("/usr", folder.path().join("usr")).unwrap();
        let usage_now = usage(folder.path(), 100);
        assert_eq!(usage_now.files, 3);
        assert!((1000..1100).contains(&usage_now.bytes));
        assert_eq!(usage(folder.path(), 2).files, 2);
    }

    #[test]
    fn copies_do_not_show_when_they_were_made() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("run.sh"), folder.path().join("b/c/run.sh"));
        fs::write(&from, "x").unwrap();
        fs::set_permissions(&from, Permissions::from_mode(0o700)).unwrap();
        hand_over(&from, &to).unwrap();
        let metadata = fs::metadata(&to).unwrap();
        assert_eq!((metadata.mtime(), metadata.mode() & 0o7777, metadata.len()), (1, 0o555, 1));
        assert!(hand_over(&from, &to).is_err());
    }
}
