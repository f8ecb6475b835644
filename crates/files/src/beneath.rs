//! Folders whose contents an untrusted program wrote, and files that are copied for such a program.
//!
//! Links in such a folder are never followed: they can lead to any file of this account.

use std::ffi::{CString, OsString};
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path};
use std::time::UNIX_EPOCH;

use super::copy::{clone_range, copy_range};
use super::{FsError, PUBLISHED, create_folder, failed, folder_of, is_gone, open_regular, read_limited};

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
/// Stops counting at `most` files. A folder that cannot be listed could hide anything, so it counts as endless.
pub fn usage(folder: &Path, most: u64) -> Usage {
    let mut usage = Usage::default();
    for entry in walkdir::WalkDir::new(folder).min_depth(1).max_open(4) {
        let found = entry.and_then(|entry| Ok((entry.metadata()?.len(), entry.file_type().is_dir())));
        match found {
            Ok((bytes, is_folder)) => {
                usage.files += 1;
                usage.bytes = usage.bytes.saturating_add(if is_folder { 0 } else { bytes });
            }
            Err(error) if error.io_error().is_some_and(is_gone) => {}
            Err(_) => usage.bytes = u64::MAX,
        }
        if usage.files >= most {
            break;
        }
    }
    usage
}

/// Removes a folder with everything in it, however deep it is and whatever modes its folders have. Nobody may change
/// it at the same time.
///
/// # Errors
/// If anything cannot be removed.
pub fn remove_untrusted(folder: &Path) -> Result<(), FsError> {
    let mut moved = 0;
    // Folders are moved to the top before they are emptied: deep paths are too long, and deep recursion needs a
    // descriptor for each level.
    loop {
        let names = opened(folder)?;
        if names.is_empty() {
            return fs::remove_dir(folder).map_err(failed("remove", folder));
        }
        for path in names.into_iter().map(|name| folder.join(name)) {
            if is_folder(&path)? {
                flatten(&path, folder, &mut moved)?;
                fs::remove_dir(&path).map_err(failed("remove", &path))?;
            } else {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
        }
    }
}

/// Removes the files in a folder, and moves the folders in it to another one under new names.
fn flatten(folder: &Path, to: &Path, moved: &mut u64) -> Result<(), FsError> {
    for path in opened(folder)?.into_iter().map(|name| folder.join(name)) {
        if !is_folder(&path)? {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
            continue;
        }
        // A folder that this account may not change cannot be moved.
        opened(&path)?;
        // A name can be taken by something that is not empty.
        let mut tries = (0..MOVES).map(|_| {
            *moved += 1;
            fs::rename(&path, to.join(format!("moved-{moved}")))
        });
        let last = tries.find(|result| !result.as_ref().is_err_and(is_taken));
        last.unwrap_or(Ok(())).map_err(failed("move", &path))?;
    }
    Ok(())
}

/// Number of names that are tried for a folder to be moved.
const MOVES: u64 = 1 << 20;

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AlreadyExists | ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory | ErrorKind::IsADirectory
    )
}

fn is_folder(path: &Path) -> Result<bool, FsError> {
    fs::symlink_metadata(path).map(|there| there.is_dir()).map_err(failed("inspect", path))
}

/// Lets this account change a folder, and returns the names in it.
fn opened(folder: &Path) -> Result<Vec<OsString>, FsError> {
    let failed = failed("list", folder);
    fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(&failed)?;
    let names = fs::read_dir(folder).map_err(&failed)?.map(|entry| entry.map(|entry| entry.file_name()));
    names.collect::<Result<_, _>>().map_err(&failed)
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
    fn a_folder_is_removed_however_deep_it_is() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "x").unwrap();
        let top = tempfile::tempdir().unwrap();
        let folder = top.path().join("work");
        fs::create_dir_all(folder.join("closed/moved-1/b")).unwrap();
        fs::write(folder.join("moved-2"), "x").unwrap();
        symlink(outside.path(), folder.join("closed/link")).unwrap();
        // Deeper than a path can be long: built from the inside.
        let mut chain = top.path().join("0");
        fs::create_dir(&chain).unwrap();
        for depth in 1..2100 {
            let next = top.path().join(depth.to_string());
            fs::create_dir(&next).unwrap();
            fs::rename(&chain, next.join("d")).unwrap();
            chain = next;
        }
        fs::rename(&chain, folder.join("deep")).unwrap();
        assert_eq!(usage(&folder, 10_000).bytes, u64::MAX);
        fs::set_permissions(folder.join("closed"), Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(&folder, Permissions::from_mode(0o500)).unwrap();
        remove_untrusted(&folder).unwrap();
        assert!(!folder.exists() && outside.path().join("kept").exists());
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
