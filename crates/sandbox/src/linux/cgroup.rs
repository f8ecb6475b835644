//! Control groups (version 2), where the system lets this account make them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::order::PROCESSES;

/// Largest text that is read from a file of a group.
const TEXT: u64 = 64 << 10;

/// A group for the processes of one program. It is removed when this is dropped, after all of them have ended.
#[derive(Debug)]
pub(crate) struct Group(PathBuf);

/// What the kernel says about the memory of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Used {
    /// Whether the kernel killed a process because the group reached its limit.
    pub is_exhausted: bool,
    /// Largest memory in bytes.
    pub peak: Option<u64>,
}

impl Group {
    /// Makes a group with a limit of memory in bytes; `None` where the system does not let this account do so.
    pub fn create(memory: u64) -> Option<Self> {
        // SAFETY: the call takes no arguments and changes nothing.
        let account = unsafe { libc::geteuid() };
        // The groups of root belong to the system's own manager.
        let own = files::read_text(Path::new("/proc/self/cgroup"), TEXT).ok().filter(|_| account != 0)?;
        Self::create_near(Path::new("/sys/fs/cgroup"), &own, account, memory)
    }

    /// Makes a group in the one of the calling process or in the nearest one above that is delegated to the account
    /// and lets its members have limits of memory. `own` is the text of `/proc/self/cgroup`.
    fn create_near(root: &Path, own: &str, account: u32, memory: u64) -> Option<Self> {
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let own = root.join(own);
        let above = own.ancestors().take_while(|folder| folder.starts_with(root));
        let mut delegated = above.take_while(|folder| files::owner(folder) == Some(account));
        delegated.find_map(|folder| Self::create_in(folder, memory))
    }

    fn create_in(folder: &Path, memory: u64) -> Option<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let controls = files::read_text(&folder.join("cgroup.subtree_control"), TEXT).ok()?;
        if !controls.split_whitespace().any(|control| control == "memory") {
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let group = Self(folder.join(format!("wdpipe-{}-{number}", std::process::id())));
        files::create_one_folder(&group.0).ok()?;
        group.set("memory.max", memory)?;
        // Not every kernel has swap or the limit of processes; the caller also watches both.
        for (name, value) in [("memory.swap.max", 0), ("memory.oom.group", 1), ("pids.max", 4 * PROCESSES as u64)] {
            let _ = group.set(name, value);
        }
        Some(group)
    }

    fn set(&self, name: &str, value: u64) -> Option<()> {
        files::tell(&self.0.join(name), &value.to_string()).ok()
    }

    /// Returns the file through which a process joins the group.
    pub fn door(&self) -> Option<File> {
        files::open_to_tell(&self.0.join("cgroup.procs")).ok()
    }

    /// Returns what the kernel says about the memory of the group.
    pub fn used(&self) -> Used {
        let text = |name: &str| files::read_text(&self.0.join(name), TEXT).unwrap_or_default();
        let kills = text("memory.events");
        let kills = kills.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse::<u64>().ok());
        Used { is_exhausted: kills.is_some_and(|kills| kills > 0), peak: text("memory.peak").trim().parse().ok() }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = files::remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "they look at the file system from outside")]

    use std::fs;

    use super::*;

    /// Makes a folder that looks like a hierarchy of groups, without the kernel behind it.
    fn hierarchy(controls: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("user/app.slice/run.scope")).unwrap();
        fs::write(root.path().join("user/app.slice/cgroup.subtree_control"), controls).unwrap();
        fs::write(root.path().join("user/app.slice/run.scope/cgroup.subtree_control"), "").unwrap();
        root
    }

    const OWN: &str = "9:name=systemd:/x\n0::/user/app.slice/run.scope\n";

    #[test]
    fn without_delegation_there_is_no_group() {
        let (root, account) = (hierarchy("cpu"), files::owner(Path::new("/proc/self")).unwrap());
        assert!(Group::create_near(root.path(), OWN, account, 1).is_none());
        // Without the kernel, a new folder is empty, so the limit cannot be set.
        let root = hierarchy("cpu memory");
        assert!(Group::create_near(root.path(), OWN, account, 1).is_none());
        assert!(Group::create_near(root.path(), OWN, account + 1, 1).is_none());
        assert!(Group::create_near(root.path(), "9:memory:/x\n", account, 1).is_none());
        let names = files::list(&root.path().join("user/app.slice")).unwrap();
        assert_eq!(names, ["cgroup.subtree_control", "run.scope"]);
    }

    #[test]
    fn the_end_of_memory_is_recognized() {
        let folder = tempfile::tempdir().unwrap();
        let group = Group(folder.path().join("group"));
        fs::create_dir(&group.0).unwrap();
        assert_eq!(group.used(), Used::default());
        fs::write(group.0.join("memory.events"), "low 0\nmax 7\noom 1\noom_kill 0\n").unwrap();
        fs::write(group.0.join("memory.peak"), "4096\n").unwrap();
        assert_eq!(group.used(), Used { is_exhausted: false, peak: Some(4096) });
        fs::write(group.0.join("memory.events"), "oom 1\noom_kill 2\n").unwrap();
        assert!(group.used().is_exhausted);
    }
}
