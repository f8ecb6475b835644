//! A process between the caller and the program. It adopts everything that the program leaves behind, and kills all
//! of it when the program ends, when the caller asks for it, or when the caller dies.
//!
//! The process is forked from a program with several threads and never calls `exec`, so it makes only system calls.

use std::io;
use std::os::fd::RawFd;

use super::child::{check, descriptors};
use super::{copies, descendants};

/// Splits the calling process, which must be a new child. The function returns in the program's process. The other
/// one becomes the supervisor and ends with the program.
///
/// The supervisor kills everything once nobody can write to `life` any more. It writes the number of the program's
/// process to `report`, and later the status with which the process ended. Async-signal-safe.
///
/// # Errors
/// If the system refuses a second process.
pub(crate) fn split(life: RawFd, report: RawFd) -> io::Result<()> {
    // SAFETY: all zeros is a valid value.
    let mut all: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: these system calls take numbers and a set that outlives them, and change only this process.
    unsafe {
        // Handlers of the caller must not run here.
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        // If the caller ignores this signal, the status of a child is lost.
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        check(libc::setsid())?;
        check(libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))?;
    }
    // The system call itself, because `fork` would run functions that libraries have registered for it.
    // SAFETY: without flags for shared memory, both processes continue with their own copies of everything.
    match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0usize, 0usize, 0usize, 0usize) } {
        0 => Ok(()),
        child if child > 0 => supervise(child as libc::pid_t, life, report),
        _ => Err(io::Error::last_os_error()),
    }
}

fn supervise(program: libc::pid_t, life: RawFd, report: RawFd) -> ! {
    // SAFETY: all zeros is a valid value.
    let mut ended: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: these system calls take numbers and a set that outlives them.
    let signals = unsafe {
        // The log must end with the program, so this process does not keep it open.
        libc::dup2(0, 1);
        libc::dup2(0, 2);
        close_others([life.min(report), life.max(report)]);
        libc::sigemptyset(&raw mut ended);
        libc::sigaddset(&raw mut ended, libc::SIGCHLD);
        libc::signalfd(-1, &raw const ended, libc::SFD_NONBLOCK)
    };
    send(report, program);
    copies::give_back();
    while !wait(life, signals) {
        if has_ended(program) {
            break;
        }
    }
    // One call reaches all processes that stayed in the program's group, however fast they multiply. The program is
    // not reaped yet, so the number of the group is still its own.
    // SAFETY: the call takes only numbers.
    unsafe { libc::kill(-program, libc::SIGKILL) };
    let mut status = 0;
    for _ in 0..ROUNDS {
        descendants::kill_children();
        // Children of a dead child become children of this process.
        while let Some((process, how)) = reap(-1) {
            if process == program {
                status = how;
            }
        }
        if !has_children() {
            break;
        }
        // SAFETY: without descriptors, the call only waits.
        unsafe { libc::poll(std::ptr::null_mut(), 0, 1) };
    }
    send(report, status);
    // SAFETY: the call only ends this process.
    unsafe { libc::_exit(0) }
}

/// Number of times, a millisecond apart, that the supervisor looks for processes to kill.
const ROUNDS: u32 = 60_000;

/// Waits until a child ends or the caller does not want the program any more; returns whether it does not.
fn wait(life: RawFd, signals: RawFd) -> bool {
    let mut events = [life, signals].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    let mut buffer = [0u8; 1024];
    // SAFETY: both calls use buffers that outlive them, of the given sizes.
    unsafe {
        libc::poll(events.as_mut_ptr(), 2, -1);
        libc::read(signals, buffer.as_mut_ptr().cast(), buffer.len());
    }
    events[0].revents != 0
}

/// Whether the program has ended. Reaps adopted processes, but not the program.
fn has_ended(program: libc::pid_t) -> bool {
    loop {
        match look(libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) {
            Some(process) if process == program => return true,
            Some(process) if process > 0 => drop(reap(process)),
            _ => return false,
        }
    }
}

fn has_children() -> bool {
    look(libc::WEXITED | libc::WNOHANG | libc::WNOWAIT).is_some()
}

/// Returns a child that has ended, 0 if there are only running ones, and `None` if there are no children.
fn look(flags: libc::c_int) -> Option<libc::pid_t> {
    // SAFETY: all zeros is a valid value.
    let mut about: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the call fills a structure that outlives it.
    let result = unsafe { libc::waitid(libc::P_ALL, 0, &raw mut about, flags) };
    // SAFETY: the call sets this field, or leaves the zero.
    (result == 0).then(|| unsafe { about.si_pid() })
}

fn reap(process: libc::pid_t) -> Option<(libc::pid_t, libc::c_int)> {
    let mut status = 0;
    // SAFETY: the call fills a number that outlives it.
    let process = unsafe { libc::waitpid(process, &raw mut status, libc::WNOHANG) };
    (process > 0).then_some((process, status))
}

/// Closes all descriptors but the first three and two others.
fn close_others([low, high]: [RawFd; 2]) {
    for (first, last) in [(3, low - 1), (low + 1, high - 1), (high + 1, RawFd::MAX)] {
        // SAFETY: a system call that takes only numbers; nothing here uses the closed descriptors.
        if first > last || unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
            continue;
        }
        for descriptor in first..last.min(descriptors()) {
            // SAFETY: nothing here uses the closed descriptors.
            unsafe { libc::close(descriptor) };
        }
    }
}

fn send(report: RawFd, number: libc::c_int) {
    let bytes = number.to_ne_bytes();
    // SAFETY: the call reads a buffer that outlives it, of the given size.
    unsafe { libc::write(report, bytes.as_ptr().cast(), bytes.len()) };
}
