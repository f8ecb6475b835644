//! Engines that start workers: this machine, or Slurm. To add an engine, implement [`Executor`].

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::project::Failure;

/// Identifier of a job in its executor: a job array of Slurm, or a group of processes on this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobId(String);

impl JobId {
    /// Returns the identifier as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        // The identifier becomes part of command lines and file names.
        match !text.is_empty() && text.len() <= 128 && !text.starts_with(['-', '.']) && text.chars().all(is_fine) {
            true => Ok(Self(text.to_owned())),
            false => Err(format!("`{}` is not a job", text.escape_default())),
        }
    }
}

impl TryFrom<String> for JobId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Tasks that were submitted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// Their identifier.
    pub id: JobId,
    /// Number of tasks.
    pub tasks: usize,
}

/// The command that starts one worker of a run.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Name of the run, used to name its jobs.
    pub run: String,
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Absolute path of the folder for the logs, which has one file per worker.
    pub logs: PathBuf,
}

/// Why a task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskEnd {
    /// It ended by itself, with exit code 0.
    Done,
    /// It ended by itself with another exit code, or was killed.
    Failed,
    /// It took more memory than it was given.
    OutOfMemory,
    /// It reached its time limit.
    TimeLimit,
    /// It was preempted by another job.
    Preempted,
    /// Its machine failed.
    NodeLost,
    /// A user or administrator cancelled it.
    Cancelled,
}

/// State of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The task has not started. The reason can be empty.
    Waiting(String),
    /// The task is running on the named machine.
    Running(String),
    /// The task has ended.
    Ended(TaskEnd),
    /// The executor does not know the task, or cannot be asked. The task can be in any state.
    Unknown,
}

/// A task: one worker, which is waiting, running or has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerTask {
    /// Name of the worker and of its log: `JOB_INDEX`, such as `4711_3`.
    pub name: String,
    /// Its state.
    pub state: State,
}

/// What an executor allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Time limit of a task in seconds, if there is one.
    pub seconds: Option<u64>,
    /// Description of where tasks run, such as `partition gpu, 1 GPU, 4 h`.
    pub place: String,
}

/// Starts and cancels workers, and reports their states. The store holds everything else: which stages are done, and
/// what each worker is doing.
pub trait Executor: Sync {
    /// Checks, without submitting anything, whether workers can be submitted.
    ///
    /// # Errors
    /// If the executor is missing or cannot be reached, or would refuse the request.
    fn check(&self) -> Result<Allowance, Failure>;

    /// Submits `tasks` workers, and returns the jobs that they belong to.
    ///
    /// # Errors
    /// If the executor refuses them. Tasks of this call that were already submitted are cancelled.
    fn submit(&self, launch: &Launch, tasks: usize) -> Result<Vec<Submission>, Failure>;

    /// Returns the state of every task of some jobs, in order. Tasks that the executor does not know are
    /// [`State::Unknown`].
    ///
    /// # Errors
    /// If the executor cannot be asked. Such an error implies nothing about the tasks.
    fn look(&self, jobs: &[Submission]) -> Result<Vec<WorkerTask>, Failure>;

    /// Cancels jobs, or only those of their tasks that have not started. Has no effect on jobs that have ended.
    ///
    /// # Errors
    /// If the executor cannot be asked, or refuses.
    fn cancel(&self, jobs: &[Submission], only_waiting: bool) -> Result<(), Failure>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_a_word_that_no_shell_and_no_path_reads_otherwise() {
        for fine in ["4711", "n1.lab-4711-9", "a_b"] {
            assert_eq!(fine.parse::<JobId>().unwrap().as_str(), fine);
        }
        for wrong in ["", "-9", "..", "4711 4712", "a/b", "4711;x", "\u{e9}", &"1".repeat(129)] {
            assert!(wrong.parse::<JobId>().is_err(), "{wrong}");
        }
    }
}
