//! The program's process between its start and the program itself.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use super::landlock::Ruleset;
use super::notify::Microphone;
use super::seccomp::Filter;

/// What a program gets of the caller's terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// Nothing.
    None,
    /// The terminal itself, as a shell needs it.
    Shared,
}

/// Everything that the process does to itself before it becomes the program. All of it is prepared before the fork,
/// because other threads can hold the locks of the allocator at that moment.
#[derive(Debug)]
pub(crate) struct Restrictions {
    /// The caller's terminal.
    pub terminal: Terminal,
    /// Largest size of one file in bytes.
    pub file_size: u64,
    /// The file through which a process joins a control group.
    pub group: Option<File>,
    /// Rules about files.
    pub landlock: Option<Ruleset>,
    /// Refused system calls.
    pub filter: Filter,
    /// Makes system calls heard.
    pub microphone: Option<Microphone>,
}

impl Restrictions {
    /// Applies them to the calling process. Async-signal-safe.
    ///
    /// # Errors
    /// If the kernel refuses one of them.
    pub fn apply(&self) -> io::Result<()> {
        separate(self.terminal)?;
        for (resource, limit) in [(libc::RLIMIT_CORE, 0), (libc::RLIMIT_FSIZE, self.file_size)] {
            let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
            // SAFETY: the call reads a structure that outlives it.
            check(unsafe { libc::setrlimit(resource, &raw const limit) })?;
        }
        close_others_on_exec();
        if let Some(group) = &self.group {
            // Where the kernel refuses it, the caller still watches the memory.
            // SAFETY: the call reads a constant of the given size.
            unsafe { libc::write(group.as_raw_fd(), c"0".as_ptr().cast(), 1) };
        }
        // SAFETY: a system call that takes only numbers.
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
        if let Some(rules) = &self.landlock {
            rules.impose()?;
            drop_capabilities();
        }
        self.filter.install(0)?;
        reset_signals();
        self.microphone.as_ref().map_or(Ok(()), Microphone::open)
    }
}

/// Leaves the session of the caller unless its terminal is shared, and fixes what is inherited from it.
fn separate(terminal: Terminal) -> io::Result<()> {
    // SAFETY: these system calls take only numbers and change only this process.
    unsafe {
        if terminal == Terminal::None {
            check(libc::setsid())?;
        }
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0))?;
        libc::umask(0o022);
        // Addresses that differ from run to run change the order of sets of objects in some languages. Where the kernel
        // refuses this, they differ.
        libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
    }
    Ok(())
}

/// Takes the powers of root from the program. Other accounts have none to lose.
fn drop_capabilities() {
    for capability in 0..64 {
        // SAFETY: a system call that takes only numbers; unknown ones are refused.
        unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    }
}

/// Makes all descriptors but the first three end with the call of `exec`.
fn close_others_on_exec() {
    // SAFETY: a system call that takes only numbers.
    if unsafe { libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) } != 0 {
        for descriptor in 3..descriptors() {
            // SAFETY: the call takes only numbers; numbers that are not open descriptors are refused.
            unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
    }
}

/// Returns a number above all open descriptors.
pub(crate) fn descriptors() -> RawFd {
    let mut limit = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
    // SAFETY: the call fills a structure that outlives it.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    limit.rlim_cur.min(1 << 20) as RawFd
}

/// Gives all signals their default effect, and unblocks them.
fn reset_signals() {
    for signal in 1..32 {
        // SAFETY: the call takes only numbers; the two signals that cannot be changed are refused.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: all zeros is a valid value.
    let mut none: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: both calls use a set that outlives them.
    unsafe {
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

pub(crate) fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
