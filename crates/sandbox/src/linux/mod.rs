//! The three levels, and what they share.

mod bwrap;
mod cgroup;
mod child;
mod copies;
mod descendants;
mod landlock;
mod layout;
mod levels;
mod log;
mod notify;
mod run;
mod seccomp;
mod supervisor;
mod trace;
mod watch;

pub use bwrap::shell_command;
pub use layout::{INSIDE, prepare};
pub use levels::{available, why_not};
pub use run::run;
pub use trace::trace;
