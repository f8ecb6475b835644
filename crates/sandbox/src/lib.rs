//! Runs a program that sees only what it was given.
//!
//! An [`Order`] lists everything that the program may read, the one folder that it may write, and its whole
//! environment. [`run`] enforces the order at one of three [`Level`]s, bounds its time, memory, files and log, and
//! returns after the last process of the program has ended. [`trace`] runs it once more and lists the files that it
//! looked for. [`shell`] runs it in the caller's terminal. [`collect`] reads its outputs as untrusted input, and [`remove`] removes the
//! folder.

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod linux;
mod order;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{INSIDE, available, prepare, run, shell, trace, why_not};
#[cfg(target_os = "linux")]
pub use linux::{INSIDE, available, prepare, run, shell, trace, why_not};
pub use order::{Access, AccessKind, Ended, How, Level, Limits, Order, PROCESSES, SandboxError, collect, remove};
