//! Runs whose stages are computed by several workers: processes of this machine, or jobs on a cluster.
//!
//! A worker takes any stage that is ready, so nothing has to be planned in advance. All state of a run is kept in files
//! in the store ([`run`]). An [`Executor`] only starts and cancels workers, and reports their states.

#[cfg(test)]
mod conformance;
mod executor;
mod failed;
mod flags;
mod follow;
mod host;
mod local;
mod open;
mod run;
mod shift;
mod site;
mod slurm;
mod sparing;
#[cfg(test)]
mod tests;
mod top_up;
mod work;

pub use executor::{Executor, JobId, Launch, State, Submission};
pub use failed::Failed;
pub use follow::{Followed, News, View, Watch};
pub use host::host;
pub use local::{Local, TASK};
pub use open::Open;
pub use run::{Engine, Run, RunId, RunRequest, Running, Times, WorkerState, program_hash};
pub use shift::Deadline;
pub use site::SlurmSite;
pub use slurm::{SCRATCH, Slurm, task_name, time_left};
pub use sparing::Sparing;
pub use work::{Ended, Me, Post, Said};
