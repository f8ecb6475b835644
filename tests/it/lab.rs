//! People with separate accounts who share one folder. Only root can act as other accounts.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::environment::{Ended, ended, number};

pub const GROUP: u32 = 61_000;

/// A user of the folder. The numbers need no entry in the system's list of accounts.
#[derive(Clone, Copy)]
pub struct Person {
    pub user: u32,
    pub umask: u32,
    pub is_member: bool,
}

pub const ROOT: Person = Person { user: 0, umask: 0o022, is_member: false };
pub const ALICE: Person = Person { user: 61_001, umask: 0o077, is_member: true };
pub const BOB: Person = Person { user: 61_002, umask: 0o022, is_member: true };
pub const GUEST: Person = Person { user: 61_003, umask: 0o022, is_member: false };

impl Person {
    fn groups(self) -> Vec<u32> {
        if self.is_member { vec![GROUP] } else { vec![] }
    }

    /// Runs an action as this person. On Linux, direct system calls change the account of a single thread.
    pub fn does<T: Send>(self, action: impl FnOnce() -> T + Send) -> T {
        let groups = self.groups();
        std::thread::scope(|scope| {
            let acting = scope.spawn(|| {
                // SAFETY: system calls on plain numbers, for this thread only, which ends afterwards.
                let done = unsafe {
                    libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr())
                        | libc::syscall(libc::SYS_setresgid, self.user, self.user, self.user)
                        | libc::syscall(libc::SYS_setresuid, self.user, self.user, self.user)
                };
                assert_eq!(done, 0, "{}", io::Error::last_os_error());
                action()
            });
            acting.join().unwrap()
        })
    }
}

/// A folder that everybody can access: the program, a pipeline, a cache, and a home for each person.
pub struct Lab {
    pub folder: tempfile::TempDir,
}

impl Lab {
    /// Makes an empty lab; prints a line and returns `None` if this user is not root.
    pub fn new() -> Option<Self> {
        // SAFETY: the call has no arguments, always succeeds and changes nothing.
        if unsafe { libc::geteuid() } != 0 {
            println!("skipped: only root can act for two accounts");
            return None;
        }
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        fs::set_permissions(lab.folder.path(), Permissions::from_mode(0o755)).unwrap();
        let program = lab.path("wdpipe");
        let built = env!("CARGO_BIN_EXE_wdpipe");
        fs::hard_link(built, &program).or_else(|_| fs::copy(built, &program).map(drop)).unwrap();
        fs::create_dir(lab.path("pipelines")).unwrap();
        let pipeline = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/fig4.toml");
        fs::copy(pipeline, lab.path("pipelines/fig4.toml")).unwrap();
        [ROOT, ALICE, BOB, GUEST].iter().for_each(|person| lab.home(*person));
        Some(lab)
    }

    fn home(&self, Person { user, .. }: Person) {
        let home = self.path(&format!("home{user}"));
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, Permissions::from_mode(0o700)).unwrap();
        chown(&home, Some(user), Some(user)).unwrap();
    }

    /// Makes a person who runs no other process on this machine.
    pub fn newcomer(&self) -> Person {
        let person = Person { user: 100_000 + std::process::id(), umask: 0o022, is_member: false };
        self.home(person);
        person
    }

    /// Makes a lab with a cache that root owns and the group shares.
    pub fn shared() -> Option<Self> {
        let lab = Self::new()?;
        lab.runs(ROOT, &["cache", "share", lab.cache().to_str().unwrap(), "--group", &GROUP.to_string()]);
        Some(lab)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn cache(&self) -> PathBuf {
        self.path("cache")
    }

    fn command(&self, person: Person, arguments: &[&str]) -> Command {
        let home = self.path(&format!("home{}", person.user));
        let mut command = Command::new(self.path("wdpipe"));
        command.args(arguments).env_clear().env("HOME", &home).env("WDPIPE_PIPELINES", self.path("pipelines"));
        command.env("WDPIPE_CACHE", self.cache()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let groups = person.groups();
        let (path, home) = (self.folder.path().to_owned(), std::ffi::CString::new(home.to_str().unwrap()).unwrap());
        let become_them = move || {
            // SAFETY: system calls on plain values and a terminated string, between fork and exec.
            let done = unsafe {
                libc::umask(person.umask as libc::mode_t);
                libc::setgroups(groups.len(), groups.as_ptr())
                    | libc::setgid(person.user)
                    | libc::setuid(person.user)
                    | libc::chdir(home.as_ptr())
            };
            if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        };
        command.current_dir(path);
        // SAFETY: the closure allocates nothing and takes no lock.
        unsafe { command.pre_exec(become_them) };
        command
    }

    pub fn tries(&self, person: Person, arguments: &[&str]) -> Ended {
        ended(&self.command(person, arguments).output().unwrap())
    }

    /// Runs the program with at most this number of threads.
    pub fn tries_with_threads(&self, person: Person, threads: u64, arguments: &[&str]) -> Ended {
        let mut command = self.command(person, arguments);
        let limited = move || {
            let limit = libc::rlimit { rlim_cur: threads, rlim_max: threads };
            // SAFETY: a plain value, between fork and exec.
            let done = unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit) };
            if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
        };
        // SAFETY: the closure allocates nothing and takes no lock.
        unsafe { command.pre_exec(limited) };
        ended(&command.output().unwrap())
    }

    pub fn runs(&self, person: Person, arguments: &[&str]) -> String {
        let Ended { code, stdout, stderr } = self.tries(person, arguments);
        assert_eq!(code, Some(0), "{arguments:?} of {}: {stdout}{stderr}", person.user);
        stdout
    }

    pub fn starts(&self, person: Person, seed: u32) -> Child {
        self.command(person, &make(&format!("seed=[{seed}]"))).spawn().unwrap()
    }

    pub fn makes(&self, person: Person, seed: u32) -> serde_json::Value {
        finished(self.starts(person, seed))
    }

    /// Lists the files of one person below a folder of the cache.
    pub fn files(&self, folder: &str, person: Person) -> Vec<PathBuf> {
        let files = walkdir::WalkDir::new(self.cache().join(folder)).sort_by_file_name().into_iter();
        let files = files
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().is_file() && entry.metadata().unwrap().uid() == person.user);
        files.map(|entry| entry.into_path()).collect()
    }
}

pub fn make(set: &str) -> [&str; 5] {
    ["make", "fig4", "--json", "--set", set]
}

pub fn finished(child: Child) -> serde_json::Value {
    let ended = ended(&child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

pub fn run(made: &serde_json::Value) -> u64 {
    number(made, "stages_run")
}

pub fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}
