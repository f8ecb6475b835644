//! The type and the features of the file system of a folder.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::UNIX_EPOCH;

use super::copy::clone_range;
use super::draft::temporary_name;
use super::{FsError, PUBLISHED, failed, identity};

/// A type of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct System {
    /// Name of the file system.
    pub name: &'static str,
    /// Whether other machines can write to it too, or locks may not work as on a local disk.
    pub is_network: bool,
    /// Who sees its locks.
    pub locks: Reach,
}

/// The processes that see a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// All processes that can open the file.
    All,
    /// Those of this machine; perhaps those of others, which depends on the server.
    Unsure,
    /// Only those of this machine, because it was mounted so.
    Machine,
}

/// Magic numbers of file systems, from linux/magic.h and their own sources.
#[cfg(target_os = "linux")]
const KNOWN: [(u32, &str, bool); 24] = [
    (0x6969, "NFS", true),
    (0xff53_4d42, "CIFS", true),
    (0xfe53_4d42, "SMB2", true),
    (0x517b, "SMB", true),
    (0x6573_5546, "FUSE", true),
    (0x0bd0_0bd0, "Lustre", true),
    (0x4750_4653, "GPFS", true),
    (0x00c3_6400, "Ceph", true),
    (0x1983_0326, "BeeGFS", true),
    (0x0102_1997, "9P", true),
    (0x5346_414f, "AFS", true),
    (0x7461_636f, "OCFS2", true),
    (0x0116_1970, "GFS2", true),
    (0x786f_4256, "VirtualBox shared folder", true),
    (0x00c0_ffee, "hostfs", true),
    (0xef53, "ext4", false),
    (0x5846_5342, "XFS", false),
    (0x9123_683e, "Btrfs", false),
    (0xca45_1a4e, "bcachefs", false),
    (0x2fc1_2fc1, "ZFS", false),
    (0xf2f5_2010, "F2FS", false),
    (0x0102_1994, "tmpfs", false),
    (0x794c_7630, "overlayfs", false),
    (0x4d44, "FAT", false),
];

/// Network file systems that keep locks on each machine, or may do so.
#[cfg(target_os = "linux")]
const LOCKED_HERE: [&str; 6] = ["FUSE", "BeeGFS", "9P", "AFS", "VirtualBox shared folder", "hostfs"];

/// Mount options of NFS and Lustre that keep locks on each machine.
#[cfg(target_os = "linux")]
const LOCAL_LOCKS: [&str; 4] = ["nolock", "local_lock=all", "local_lock=flock", "localflock"];

/// Returns the type of the file system of a folder.
///
/// # Errors
/// If it cannot be queried.
pub fn system(folder: &Path) -> Result<System, FsError> {
    #[cfg(target_os = "linux")]
    {
        let path = c_path(folder)?;
        // SAFETY: all zeros is a valid value.
        let mut about: libc::statfs = unsafe { std::mem::zeroed() };
        // SAFETY: the call reads a NUL-terminated string and fills a structure that outlives it.
        if unsafe { libc::statfs(path.as_ptr(), &raw mut about) } != 0 {
            return Err(failed("inspect", folder)(io::Error::last_os_error()));
        }
        let magic = about.f_type as u32;
        let Some(&(_, name, is_network)) = KNOWN.iter().find(|(number, ..)| *number == magic) else {
            return Ok(System::UNKNOWN);
        };
        let locks = match is_network {
            true if LOCKED_HERE.contains(&name) => Reach::Unsure,
            true if is_mounted_with_local_locks(folder) => Reach::Machine,
            _ => Reach::All,
        };
        Ok(System { name, is_network, locks })
    }
    #[cfg(not(target_os = "linux"))]
    {
        fs::metadata(folder).map_err(failed("inspect", folder))?;
        Ok(System::UNKNOWN)
    }
}

impl System {
    /// A file system that this program does not know, or does not query.
    pub const UNKNOWN: Self = Self { name: "a file system unknown to wdpipe", is_network: false, locks: Reach::All };
}

/// Returns whether a folder lies on a mount whose options keep locks on this machine.
#[cfg(target_os = "linux")]
fn is_mounted_with_local_locks(folder: &Path) -> bool {
    let Ok(device) = super::device(folder) else { return false };
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    has_local_locks(&mounts, &format!("{}:{}", libc::major(device), libc::minor(device)))
}

/// Returns whether the last mount of a device in a `mountinfo` keeps locks on this machine.
#[cfg(target_os = "linux")]
fn has_local_locks(mounts: &str, device: &str) -> bool {
    let last = mounts.lines().rfind(|line| line.split(' ').nth(2) == Some(device));
    let options = last.and_then(|line| line.split_once(" - ")?.1.split(' ').nth(2));
    options.is_some_and(|options| options.split(',').any(|option| LOCAL_LOCKS.contains(&option)))
}

/// Returns the number of bytes that this account can still write to the file system of a folder.
///
/// # Errors
/// If it cannot be queried.
pub fn free_space(folder: &Path) -> Result<u64, FsError> {
    let path = c_path(folder)?;
    // SAFETY: all zeros is a valid value.
    let mut about: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the call reads a NUL-terminated string and fills a structure that outlives it.
    if unsafe { libc::statvfs(path.as_ptr(), &raw mut about) } != 0 {
        return Err(failed("inspect", folder)(io::Error::last_os_error()));
    }
    Ok((about.f_bavail as u64).saturating_mul(about.f_frsize as u64))
}

fn c_path(path: &Path) -> Result<CString, FsError> {
    let text = CString::new(path.as_os_str().as_bytes());
    text.map_err(|error| failed("inspect", path)(io::Error::new(ErrorKind::InvalidInput, error)))
}

/// Whether a file can have two names.
///
/// # Errors
/// If no file can be created in the folder.
pub fn can_link(folder: &Path) -> Result<bool, FsError> {
    with_files(folder, &mut |one, two| fs::hard_link(one, two).is_ok())
}

/// Whether a file can be cloned without copying its bytes.
///
/// # Errors
/// If no file can be created in the folder.
pub fn can_reflink(folder: &Path) -> Result<bool, FsError> {
    with_files(folder, &mut |one, two| {
        let from = fs::write(one, [7; 8192]).and_then(|()| OpenOptions::new().read(true).open(one));
        let to = OpenOptions::new().write(true).create_new(true).open(two);
        matches!((from, to), (Ok(from), Ok(to)) if clone_range(&from, 0, 0, &to).is_ok())
    })
}

/// Returns whether a write to a published file changes its identity. If it does, all damage is noticed.
///
/// # Errors
/// If no file can be created in the folder.
pub fn change_shows(folder: &Path) -> Result<bool, FsError> {
    with_files(folder, &mut |one, _| {
        let published = fs::write(one, "right").and_then(|()| OpenOptions::new().write(true).open(one));
        let _ = published.and_then(|file| file.set_modified(UNIX_EPOCH + PUBLISHED));
        let before = identity(one);
        let written = fs::write(one, "wrong");
        matches!((before, identity(one)), (Ok(before), Ok(after)) if written.is_ok() && before != after)
    })
}

/// Runs a test with a new file and a free name; both are removed afterwards.
fn with_files(folder: &Path, attempt: &mut dyn FnMut(&Path, &Path) -> bool) -> Result<bool, FsError> {
    let (one, two) = (temporary_name(folder, "try-"), temporary_name(folder, "try-"));
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(&one).map_err(failed("write", &one))?;
    let worked = attempt(&one, &two);
    for path in [one, two] {
        let _ = fs::remove_file(path);
    }
    Ok(worked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn mount_options_tell_whether_other_machines_see_locks() {
        let mounts = "50 1 0:41 / /n rw,relatime shared:1 - nfs4 s:/x rw,vers=4.2,local_lock=none,addr=1\n\
                      51 1 0:42 / /m rw - nfs s:/x rw,vers=3,nolock,proto=tcp,local_lock=all\n\
                      52 1 0:43 / /l rw - lustre s:/x rw,localflock\n\
                      53 1 0:44 / /nolock rw,nolock - nfs s:/nolock rw\ntorn";
        let found = ["0:41", "0:42", "0:43", "0:44", "0:45"].map(|device| has_local_locks(mounts, device));
        assert_eq!(found, [false, true, true, false, false]);
    }

    #[test]
    fn a_folder_of_this_machine_is_known_and_nothing_is_left_in_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!system(folder.path()).unwrap().is_network);
        assert!(free_space(folder.path()).unwrap() > 0);
        assert!(can_link(folder.path()).unwrap() && change_shows(folder.path()).unwrap());
        can_reflink(folder.path()).unwrap();
        assert!(super::super::list(folder.path()).unwrap().is_empty());
        for fails in [system(&folder.path().join("no")).is_err(), can_link(&folder.path().join("no")).is_err()] {
            assert!(fails);
        }
    }
}
