//! Runs a program that sees only what it was given.
//!
//! An [`Order`] lists everything that the program may read, the one folder that it may write, and its whole
//! environment. [`run`] enforces the order at one of three [`Level`]s, bounds its time, memory, files and log, and
//! returns after the last process of the program has ended. [`trace`] runs it once more and lists the files that it
//! looked for. [`collect`] reads its outputs as untrusted input.

mod order;

#[cfg(target_os = "linux")]
mod bwrap;
#[cfg(target_os = "linux")]
mod cgroup;
#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod copies;
#[cfg(target_os = "linux")]
mod descendants;
#[cfg(target_os = "linux")]
mod landlock;
#[cfg(target_os = "linux")]
mod layout;
#[cfg(target_os = "linux")]
mod levels;
#[cfg(target_os = "linux")]
mod log;
#[cfg(target_os = "linux")]
mod notify;
#[cfg(target_os = "linux")]
mod run;
#[cfg(target_os = "linux")]
mod seccomp;
#[cfg(target_os = "linux")]
mod supervisor;
#[cfg(target_os = "linux")]
mod trace;
#[cfg(target_os = "linux")]
mod watch;

pub use order::{Access, AccessKind, Ended, How, Level, Limits, Order, PROCESSES, SandboxError, collect};

#[cfg(not(target_os = "linux"))]
mod elsewhere;

#[cfg(target_os = "linux")]
pub use bwrap::shell_command;
#[cfg(not(target_os = "linux"))]
pub use elsewhere::{INSIDE, available, prepare, run, shell_command, trace, why_not};
#[cfg(target_os = "linux")]
pub use layout::{INSIDE, prepare};
#[cfg(target_os = "linux")]
pub use levels::{available, why_not};
#[cfg(target_os = "linux")]
pub use run::run;
#[cfg(target_os = "linux")]
pub use trace::trace;
