//! Runs a program in the caller's terminal, for a user who tries something by hand.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;

use super::child::Terminal;
use super::descendants::kill_children;
use super::layout::prepare;
use super::run::{command, how};
use crate::order::{How, Order, SandboxError};

/// Runs an order with the standard input, output and error of the caller. When the function returns, all processes of
/// the program have ended: the caller must have no other children, because they are ended too. The order's limits of
/// time, memory and files do not apply, except for the size of one file. Keys that interrupt the program do not interrupt
/// the caller.
///
/// # Errors
/// If the order is wrong, the level is not available, or the program cannot be started.
pub fn shell(order: &Order) -> Result<How, SandboxError> {
    prepare(order)?;
    let (mut command, restrictions) = command(order, Terminal::Shared, None)?;
    // SAFETY: the closure makes only system calls, on memory and descriptors that were prepared before the fork.
    unsafe {
        command.pre_exec(move || restrictions.apply());
    }
    let keys = IgnoredKeys::new();
    // SAFETY: a system call that takes only numbers. Processes that the program leaves behind become children.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    let program = PathBuf::from(command.get_program());
    let started = command.spawn().map_err(|source| SandboxError::Start { program, source });
    let status = started.and_then(|mut child| child.wait().map_err(SandboxError::system("wait for the program")));
    end_children();
    drop(keys);
    Ok(how(status?.into_raw(), order.level))
}

/// Kills children and their descendants until none is left.
fn end_children() {
    loop {
        kill_children();
        // SAFETY: the call takes numbers, and no pointer.
        let reaped = unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) };
        if reaped < 0 {
            return;
        }
    }
}

/// Ignores the signals of the keys Ctrl-C and `Ctrl-\` as long as this value lives.
struct IgnoredKeys([(libc::c_int, libc::sighandler_t); 2]);

impl IgnoredKeys {
    fn new() -> Self {
        // SAFETY: the call takes only numbers.
        Self([libc::SIGINT, libc::SIGQUIT].map(|signal| (signal, unsafe { libc::signal(signal, libc::SIG_IGN) })))
    }
}

impl Drop for IgnoredKeys {
    fn drop(&mut self) {
        for (signal, before) in self.0 {
            // SAFETY: the handler is the one that was in force before.
            unsafe { libc::signal(signal, before) };
        }
    }
}
