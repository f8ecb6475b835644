//! Owners, groups and modes: several accounts use one folder, and none can damage the files of another.

use std::ffi::{CStr, CString};
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::draft::temporary_name;
use super::{FsError, afresh, create_folder, failed, folder_of, is_gone, optional};

/// Mode of a folder that a group shares: its members can add files, which get the folder's group (setgid), and only
/// the owners of a file and of the folder can remove or replace it (sticky).
pub const SHARED_FOLDER: u32 = 0o3775;

/// Mode of a published file: everybody can read it, nobody can write it.
pub const SHARED_FILE: u32 = 0o444;

/// Owner, group and mode of a file or folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Number of the owner.
    pub owner: u32,
    /// Number of the group.
    pub group: u32,
    /// Mode, with the setgid and sticky bits.
    pub mode: u32,
    /// Whether it is a folder.
    pub is_folder: bool,
}

impl Access {
    fn of(metadata: &Metadata) -> Self {
        let (owner, group, mode) = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
        Self { owner, group, mode, is_folder: metadata.is_dir() }
    }

    /// Whether accounts other than the owner can write to it. A group with the owner's number counts as private: many
    /// systems give every account such a group, and let it write to everything.
    pub fn is_shared(&self) -> bool {
        self.mode & 0o002 != 0 || (self.mode & 0o020 != 0 && self.group != self.owner)
    }
}

/// Returns the owner, group and mode of a file or folder; `None` if it is missing. Links are not followed.
///
/// # Errors
/// If its folder cannot be searched.
pub fn access(path: &Path) -> Result<Option<Access>, FsError> {
    let metadata = optional(afresh(|| fs::symlink_metadata(path)).map_err(failed("inspect", path)))?;
    Ok(metadata.as_ref().map(Access::of))
}

/// Returns the number of the file system that contains a file or folder. Links are followed.
///
/// # Errors
/// If it is not there, or its folder cannot be searched.
pub fn device(path: &Path) -> Result<u64, FsError> {
    Ok(fs::metadata(path).map_err(failed("inspect", path))?.dev())
}

/// Visits a folder and everything in it; links are not followed. Returns the folders that cannot be read.
pub fn survey(root: &Path, visit: &mut dyn FnMut(&Path, Access)) -> Vec<PathBuf> {
    let mut unreadable = Vec::new();
    for entry in walkdir::WalkDir::new(root) {
        match entry.and_then(|entry| Ok((entry.metadata()?, entry))) {
            Ok((metadata, entry)) if !metadata.is_symlink() => visit(entry.path(), Access::of(&metadata)),
            Ok(_) => {}
            // Files that disappeared in the meantime are ignored.
            Err(error) if error.io_error().is_some_and(is_gone) => {}
            Err(error) => unreadable.push(error.path().unwrap_or(root).to_owned()),
        }
    }
    unreadable
}

/// Sets the group and mode of a file or folder; returns whether they changed. Links are refused.
///
/// # Errors
/// If it belongs to somebody else, or this account is not in the group.
pub fn set_access(path: &Path, group: u32, mode: u32) -> Result<bool, FsError> {
    let failed = failed("set the group and mode of", path);
    // Change the opened file, because nobody can replace it by a link.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(&failed)?;
    let there = Access::of(&file.metadata().map_err(&failed)?);
    if there.group != group {
        std::os::unix::fs::fchown(&file, None, Some(group)).map_err(&failed)?;
    }
    // Changing the group can clear mode bits.
    if there.mode != mode || there.group != group {
        file.set_permissions(Permissions::from_mode(mode)).map_err(&failed)?;
    }
    if Access::of(&file.metadata().map_err(&failed)?).mode != mode {
        let what = format!("mode {mode:04o} was not set: are you in the group, and does the file system store modes?");
        return Err(failed(io::Error::new(ErrorKind::PermissionDenied, what)));
    }
    Ok(there.mode != mode || there.group != group)
}

/// Returns the mode for new entries of a folder, if a group (but not everyone) can write to it.
pub(super) fn shared_mode(folder: &Path) -> io::Result<Option<u32>> {
    let mode = fs::metadata(folder)?.mode() & 0o7777;
    // The mode of a folder like /tmp is not copied.
    Ok((mode & 0o022 == 0o020).then_some(mode))
}

/// Creates a folder like [`create_folder`]. In a shared folder it gets its mode before its name: a process that dies
/// in between leaves no folder that others cannot use. It is created in `temporary`, on the same file system.
///
/// # Errors
/// If it cannot be created.
pub fn publish_folder(temporary: &Path, path: &Path) -> Result<(), FsError> {
    let failed = failed("create", path);
    let mode = match shared_mode(folder_of(path)) {
        Ok(Some(mode)) if !path.is_dir() => mode,
        _ => return create_folder(path),
    };
    let draft = temporary_name(temporary, "folder-");
    fs::create_dir(&draft).map_err(&failed)?;
    let moved = File::open(&draft).and_then(|folder| folder.set_permissions(Permissions::from_mode(mode)));
    match moved.and_then(|()| fs::rename(&draft, path)) {
        Ok(()) => Ok(()),
        Err(error) => {
            let _ = fs::remove_dir(&draft);
            // Another process was faster.
            if path.is_dir() { Ok(()) } else { Err(failed(error)) }
        }
    }
}

/// Whether this account can add files to a folder.
pub fn may_add(folder: &Path) -> bool {
    let Ok(path) = CString::new(folder.as_os_str().as_bytes()) else { return false };
    // SAFETY: a system call that reads a NUL-terminated string.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK | libc::X_OK, libc::AT_EACCESS) == 0 }
}

/// The account that the program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Number of the user.
    pub user: u32,
    /// Numbers of its groups.
    pub groups: Vec<u32>,
}

impl Account {
    /// Returns the account of this process.
    pub fn current() -> Self {
        // SAFETY: these calls take no arguments, always succeed and change nothing.
        let (user, own) = unsafe { (libc::geteuid(), libc::getegid()) };
        let mut groups = vec![0; 1 << 16];
        // SAFETY: the system writes at most as many numbers as the buffer has room for.
        let count = unsafe { libc::getgroups(groups.len() as libc::c_int, groups.as_mut_ptr()) };
        groups.truncate(usize::try_from(count).unwrap_or(0));
        groups.push(own);
        Self { user, groups }
    }

    /// Whether the account is in a group, according to this process.
    pub fn is_in(&self, group: u32) -> bool {
        self.user == 0 || self.groups.contains(&group)
    }
}

/// Returns the name of an account, or `user number N`.
pub fn user_name(user: u32) -> String {
    // SAFETY: all zeros is a valid value: numbers and null pointers.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let found = looked_up(|buffer, found| {
        // SAFETY: entry, buffer and result outlive the call, and the length is the buffer's.
        unsafe { libc::getpwuid_r(user, &raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), found) }
    });
    found.map_or(format!("user number {user}"), |_buffer| text(entry.pw_name))
}

/// Returns the name of a group, or its number.
pub fn group_name(group: u32) -> String {
    // SAFETY: all zeros is a valid value.
    let mut entry: libc::group = unsafe { std::mem::zeroed() };
    let found = looked_up(|buffer, found| {
        // SAFETY: entry, buffer and result outlive the call, and the length is the buffer's.
        unsafe { libc::getgrgid_r(group, &raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), found) }
    });
    found.map_or(group.to_string(), |_buffer| text(entry.gr_name))
}

/// Returns the number of a group that is given by its name or number.
pub fn group_number(name: &str) -> Option<u32> {
    let text = CString::new(name).ok()?;
    // SAFETY: all zeros is a valid value.
    let mut entry: libc::group = unsafe { std::mem::zeroed() };
    let found = looked_up(|buffer, found| {
        // SAFETY: entry, buffer and result outlive the call, the length is the buffer's, and the name is a NUL-terminated string.
        unsafe { libc::getgrnam_r(text.as_ptr(), &raw mut entry, buffer.as_mut_ptr().cast(), buffer.len(), found) }
    });
    // The number that means "leave unchanged" is not a group.
    found.map(|_buffer| entry.gr_gid).or_else(|| name.parse().ok().filter(|number| *number != u32::MAX))
}

/// Queries the system's list of accounts with growing buffers; the buffer holds the texts of the result.
fn looked_up<T>(mut ask: impl FnMut(&mut [u8], *mut *mut T) -> libc::c_int) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 1 << 10];
    loop {
        let mut found = std::ptr::null_mut();
        match ask(&mut buffer, &raw mut found) {
            0 if !found.is_null() => return Some(buffer),
            libc::ERANGE if buffer.len() < 1 << 20 => buffer.resize(2 * buffer.len(), 0),
            _ => return None,
        }
    }
}

/// Copies a text from the system while its buffer is alive.
fn text(name: *const libc::c_char) -> String {
    // SAFETY: it points into the buffer, which is alive in the caller, and ends with NUL.
    unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "they look at the file system from outside")]

    use super::*;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_folder_in_a_shared_one_has_its_mode_and_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (temporary, shard) = (folder.path().join("tmp"), folder.path().join("ab"));
        for path in [&temporary, &shard] {
            create_folder(path).unwrap();
        }
        publish_folder(&temporary, &shard.join("plain")).unwrap();
        assert_eq!(access(&shard.join("plain")).unwrap().unwrap().mode & 0o3020, 0);
        chmod(&shard, SHARED_FOLDER);
        publish_folder(&temporary, &shard.join("key")).unwrap();
        let made = access(&shard.join("key")).unwrap().unwrap();
        assert_eq!(made, access(&shard).unwrap().unwrap());
        fs::write(shard.join("key/record"), "").unwrap();
        publish_folder(&temporary, &shard.join("key")).unwrap();
        assert_eq!(super::super::list(&shard.join("key")).unwrap(), ["record"]);
        assert!(super::super::list(&temporary).unwrap().is_empty());
        fs::write(shard.join("file"), "").unwrap();
        assert!(publish_folder(&temporary, &shard.join("file")).is_err());
        assert!(super::super::list(&temporary).unwrap().is_empty());
    }

    #[test]
    fn modes_are_set_once_and_never_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "").unwrap();
        let group = access(&path).unwrap().unwrap().group;
        assert!(set_access(&path, group, SHARED_FILE).unwrap());
        assert!(!set_access(&path, group, SHARED_FILE).unwrap());
        std::os::unix::fs::symlink(&path, folder.path().join("link")).unwrap();
        assert!(set_access(&folder.path().join("link"), group, 0o666).is_err());
        assert_eq!(access(&path).unwrap().unwrap().mode, SHARED_FILE);
        let mut seen = Vec::new();
        assert!(survey(folder.path(), &mut |path, _| seen.push(path.to_owned())).is_empty());
        assert_eq!(seen, [folder.path().to_owned(), path]);
    }

    #[test]
    fn accounts_and_groups_have_names_or_numbers() {
        let (root, zero) = (user_name(0), group_name(0));
        assert_eq!(root, "root");
        assert_eq!(group_number(&zero), Some(0));
        assert_eq!(
            (user_name(3_999_999_998), group_name(3_999_999_998)),
            ("user number 3999999998".into(), "3999999998".into())
        );
        assert_eq!(group_number("61000"), Some(61_000));
        for name in ["no such group", "4294967295", "-1", "", "a\0b"] {
            assert_eq!(group_number(name), None, "{name:?}");
        }
        let account = Account::current();
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(access(folder.path()).unwrap().unwrap().owner, account.user);
        assert!(may_add(folder.path()) && !may_add(&folder.path().join("no")) && account.is_in(account.groups[0]));
    }

    #[test]
    fn a_group_of_ones_own_shares_nothing() {
        let access = |owner, group, mode| Access { owner, group, mode, is_folder: true };
        assert!(access(5, 7, 0o775).is_shared() && access(5, 5, 0o777).is_shared());
        assert!(!access(5, 5, 0o775).is_shared() && !access(5, 7, 0o755).is_shared());
    }
}
