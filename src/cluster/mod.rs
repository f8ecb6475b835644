//! Runs whose stages are computed by several workers: processes of this machine, or jobs on a cluster.
//!
//! A worker takes any stage that is ready, so nothing has to be planned in advance. All state of a run is files in the
//! store. An [`Executor`] only starts workers.

#[cfg(test)]
mod conformance;
mod executor;
mod flags;
mod site;
mod slurm;

pub use executor::{End, Executor, Job, JobId, Launch, Limits, State, Task};
pub use site::SlurmSite;
pub use slurm::{Slurm, task_name, time_left};
