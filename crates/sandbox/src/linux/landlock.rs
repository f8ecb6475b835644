//! Landlock: rules about files, and about sockets and signals, that a process imposes on itself.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::OnceLock;

use crate::order::{Order, SandboxError};

const EXECUTE: u64 = 1 << 0;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_BLOCK: u64 = 1 << 11;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;

/// Rights that apply to a file; the others apply only to folders.
const OF_FILES: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV;

/// Rights to read and run what is below a path.
const READ: u64 = EXECUTE | READ_FILE | READ_DIR;

/// Devices that have no state and reach nobody.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Facts about the machine that libraries read.
const FACTS: [&str; 8] = [
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/filesystems",
    "/proc/version",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/sys",
];

/// Newest version of the interface that this module knows.
const NEWEST: u32 = 7;

#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Handled {
    files: u64,
    network: u64,
    scoped: u64,
}

#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: RawFd,
}

/// Returns the version of Landlock's interface; `None` if the kernel has none.
pub(crate) fn abi() -> Option<u32> {
    static ABI: OnceLock<Option<u32>> = OnceLock::new();
    *ABI.get_or_init(|| {
        const ASK_VERSION: u32 = 1;
        let nothing = std::ptr::null::<Handled>();
        // SAFETY: with this flag, the call only returns a number.
        let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, nothing, 0usize, ASK_VERSION) };
        u32::try_from(version).ok().filter(|version| *version > 0).map(|version| version.min(NEWEST))
    })
}

/// Returns everything that a version of the interface can refuse, and how many bytes describe it.
fn handled(abi: u32) -> (Handled, usize) {
    let files = match abi {
        0 | 1 => (1 << 13) - 1,
        2 => (1 << 14) - 1,
        3 | 4 => (1 << 15) - 1,
        _ => (1 << 16) - 1,
    };
    // Binding and connecting TCP sockets; abstract sockets and signals outside.
    let (network, scoped) = (if abi >= 4 { 3 } else { 0 }, if abi >= 6 { 3 } else { 0 });
    let size = match abi {
        0..4 => 8,
        4 | 5 => 16,
        _ => 24,
    };
    (Handled { files, network, scoped }, size)
}

/// Rules that are ready to be imposed.
#[derive(Debug)]
pub(crate) struct Ruleset {
    rules: OwnedFd,
    handled: Handled,
}

impl Ruleset {
    /// Prepares the rules of an order.
    ///
    /// # Errors
    /// If the kernel refuses them.
    pub fn new(order: &Order, abi: u32) -> Result<Self, SandboxError> {
        let (handled, size) = handled(abi);
        // SAFETY: the call reads a structure that outlives it.
        let rules = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, size, 0u32) };
        if rules < 0 {
            return Err(SandboxError::system("make rules for Landlock")(io::Error::last_os_error()));
        }
        // SAFETY: the descriptor was opened just now, and nothing else owns it.
        let ruleset = Self { rules: unsafe { OwnedFd::from_raw_fd(rules as RawFd) }, handled };
        ruleset.allow(&order.folder, handled.files & !(MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV))?;
        for path in &order.system {
            ruleset.allow(path, READ)?;
        }
        for path in FACTS {
            ruleset.allow(Path::new(path), READ_FILE | READ_DIR)?;
        }
        for path in DEVICES.iter().map(Path::new).chain(order.devices.iter().map(|device| device.as_path())) {
            ruleset.allow(path, READ_FILE | READ_DIR | WRITE_FILE | IOCTL_DEV)?;
        }
        if !order.devices.is_empty() {
            // The library of a GPU looks up the device there.
            for path in ["/sys", "/proc/driver"] {
                ruleset.allow(Path::new(path), READ_FILE | READ_DIR)?;
            }
        }
        Ok(ruleset)
    }

    /// Allows rights on a path and everything below it. A path that is missing or cannot be reached is left out.
    fn allow(&self, path: &Path, rights: u64) -> Result<(), SandboxError> {
        let Ok(Some(opened)) = files::open_path(path) else { return Ok(()) };
        let rights = if path.is_dir() { rights } else { rights & OF_FILES };
        self.add(opened.as_raw_fd(), rights).map_err(SandboxError::system("allow a path in Landlock"))
    }

    fn add(&self, path: RawFd, rights: u64) -> io::Result<()> {
        const PATH_BENEATH: u32 = 1;
        let rule = PathBeneath { allowed: rights & self.handled.files, parent: path };
        let rules = self.rules.as_raw_fd();
        // SAFETY: the call reads a structure that outlives it, and two open descriptors.
        match unsafe { libc::syscall(libc::SYS_landlock_add_rule, rules, PATH_BENEATH, &raw const rule, 0u32) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Imposes the rules on the calling thread and everything that it will start, for ever. The process can also read
    /// its own folder in `/proc`. Async-signal-safe.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn impose(&self) -> io::Result<()> {
        // SAFETY: the call reads a NUL-terminated constant.
        let own = unsafe { libc::open(c"/proc/self".as_ptr(), libc::O_PATH | libc::O_CLOEXEC) };
        if own >= 0 {
            self.add(own, READ_FILE | READ_DIR)?;
        }
        // SAFETY: a system call on an open descriptor.
        match unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.rules.as_raw_fd(), 0u32) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_refuses_what_it_knows() {
        assert_eq!(handled(1), (Handled { files: 0x1fff, network: 0, scoped: 0 }, 8));
        assert_eq!(handled(2), (Handled { files: 0x3fff, network: 0, scoped: 0 }, 8));
        assert_eq!(handled(3), (Handled { files: 0x7fff, network: 0, scoped: 0 }, 8));
        assert_eq!(handled(4), (Handled { files: 0x7fff, network: 3, scoped: 0 }, 16));
        assert_eq!(handled(5), (Handled { files: 0xffff, network: 3, scoped: 0 }, 16));
        assert_eq!(handled(7), (Handled { files: 0xffff, network: 3, scoped: 3 }, 24));
        assert_eq!(size_of::<PathBeneath>(), 12);
    }
}
