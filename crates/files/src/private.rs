//! Files that only their owner can read.

use std::fs::{self, DirBuilder, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::draft::Draft;
use super::{FsError, create_folder, failed, folder_of, read_limited, sync_folder};

/// Reads a private file of at most `limit` bytes.
///
/// # Errors
/// If it cannot be read, is larger, is a link or not a regular file, belongs to another account, can be read or
/// written by others, or others can write to its folder. The message says what to do.
pub fn read_private(path: &Path, limit: u64) -> Result<Vec<u8>, FsError> {
    check_folder(folder_of(path))?;
    let failed = failed("read", path);
    // Open the file before checking it, because nobody can replace an opened file. Opening a pipe must not block.
    let opened = OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let mut file = opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => failed(io::Error::other("it is a link: put the file itself there")),
        _ => failed(error),
    })?;
    let metadata = file.metadata().map_err(&failed)?;
    let mode = metadata.mode() & 0o7777;
    let fault = match metadata.is_file() {
        false => Some("it is not a regular file".to_owned()),
        true if mode & 0o077 != 0 => {
            Some(format!("others can read or write it (mode {mode:04o}): run `chmod 600 {}`", path.display()))
        }
        true => belongs_to_other(&metadata),
    };
    match fault {
        Some(fault) => Err(failed(io::Error::other(fault))),
        None => read_limited(&mut file, metadata.len(), limit).map_err(failed),
    }
}

/// Creates a file that no other account can read at any time, and its folder with the same protection. Returns whether the
/// file was created. An existing file is left unchanged.
///
/// # Errors
/// If it cannot be written, or others can write to its folder.
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<bool, FsError> {
    let folder = folder_of(path);
    private_folder(folder)?;
    let mut draft = Draft::private(path)?;
    draft.append(bytes)?;
    // File systems without hard links have no modes either, and are not suitable for secrets.
    if !draft.link(path)? {
        return Ok(false);
    }
    sync_folder(folder)?;
    Ok(true)
}

/// Creates a private folder; an existing one is left unchanged.
///
/// # Errors
/// If it cannot be created, or others can write to it.
pub fn private_folder(folder: &Path) -> Result<(), FsError> {
    if let Some(parent) = folder.parent().filter(|parent| *parent != Path::new("")) {
        create_folder(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(failed("create", folder)(error)),
        _ => check_folder(folder),
    }
}

/// Refuses a folder in which others could replace files.
fn check_folder(folder: &Path) -> Result<(), FsError> {
    let failed = failed("use", folder);
    let metadata = fs::symlink_metadata(folder).map_err(&failed)?;
    let mode = metadata.mode() & 0o7777;
    let fault = match metadata.is_dir() {
        false => Some("it is a link or not a folder: name the folder itself".to_owned()),
        true if mode & 0o022 != 0 => {
            Some(format!("others can write to it (mode {mode:04o}): run `chmod 700 {}`", folder.display()))
        }
        true => belongs_to_other(&metadata),
    };
    fault.map_or(Ok(()), |fault| Err(failed(io::Error::other(fault))))
}

fn belongs_to_other(metadata: &Metadata) -> Option<String> {
    // SAFETY: takes no arguments, always succeeds and changes nothing.
    let own = unsafe { libc::geteuid() };
    (metadata.uid() != own).then(|| format!("it belongs to user number {}, but you are number {own}", metadata.uid()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "they look at the file system from outside")]

    use std::fs::Permissions;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn private_files_are_private_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/keys/x.key");
        assert!(create_private(&path, b"secret").unwrap());
        assert!(!create_private(&path, b"other").unwrap());
        assert_eq!(read_private(&path, 6).unwrap(), b"secret");
        assert!(read_private(&path, 5).is_err());
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(super::super::list(path.parent().unwrap()).unwrap(), ["x.key"]);
        assert!(read_private(&folder.path().join("a/keys/y"), 9).unwrap_err().is_missing());
    }

    #[test]
    fn files_that_others_may_use_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/x.key");
        create_private(&path, b"secret").unwrap();
        let refusal = || read_private(&path, 9).unwrap_err().to_string();
        for bits in [0o644, 0o640, 0o620, 0o604, 0o601, 0o660] {
            chmod(&path, bits);
            assert!(refusal().contains(&format!("run `chmod 600 {}`", path.display())), "{}", refusal());
        }
        chmod(&path, 0o400);
        assert!(read_private(&path, 9).is_ok());
        for bits in [0o777, 0o770, 0o702, 0o1777] {
            chmod(path.parent().unwrap(), bits);
            assert!(refusal().contains("run `chmod 700"), "{}", refusal());
            assert!(create_private(&path.with_file_name("y.key"), b"").is_err());
        }
        chmod(path.parent().unwrap(), 0o755);
        assert!(read_private(&path, 9).is_ok(), "others may see the names");

        // Root can give files to others.
        if chown(&path, Some(12_345), None).is_ok() {
            assert!(refusal().contains("belongs to user number 12345"), "{}", refusal());
            chown(&path, Some(fs::metadata(folder.path()).unwrap().uid()), None).unwrap();
            chown(path.parent().unwrap(), Some(12_345), None).unwrap();
            assert!(refusal().contains("belongs to user number 12345"), "{}", refusal());
        }
    }

    #[test]
    fn links_and_what_is_no_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys/x.key");
        create_private(&path, b"secret").unwrap();
        let beside = |name: &str| path.with_file_name(name);
        symlink(&path, beside("link")).unwrap();
        assert!(read_private(&beside("link"), 9).unwrap_err().to_string().contains("it is a link"));
        assert!(!create_private(&beside("link"), b"").unwrap());
        fs::create_dir(beside("folder")).unwrap();
        chmod(&beside("folder"), 0o700);
        assert!(read_private(&beside("folder"), 9).unwrap_err().to_string().contains("not a regular file"));
        symlink(folder.path().join("keys"), folder.path().join("elsewhere")).unwrap();
        assert!(read_private(&folder.path().join("elsewhere/x.key"), 9).unwrap_err().to_string().contains("link"));
        assert!(create_private(&folder.path().join("elsewhere/y.key"), b"").is_err());
    }
}
