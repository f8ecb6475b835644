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
mod shell;
mod supervisor;
mod trace;
mod watch;

pub use layout::{INSIDE, prepare};
pub use levels::{available, why_not};
pub use run::run;
pub use shell::shell;
pub use trace::trace;
