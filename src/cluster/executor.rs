//! What starts workers: this machine, or Slurm. Another engine is one more implementation of [`Executor`].

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::project::Failure;

/// Identifier of a job, as the executor knows it: an array of Slurm, or processes of this machine.
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
        // It becomes part of command lines and of names of files.
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
    /// The run, as a name for its jobs.
    pub run: String,
    /// The program. Absolute.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Folder of the logs, one file per worker. Absolute.
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
    /// Its time was over.
    TimeLimit,
    /// Another job took its place.
    Preempted,
    /// Its machine was lost.
    NodeLost,
    /// Somebody cancelled it.
    Cancelled,
}

/// State of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It has not started, for this reason; the reason can be empty.
    Waiting(String),
    /// It runs on this machine.
    Running(String),
    /// It has ended.
    Ended(TaskEnd),
    /// The executor does not know it, or cannot be asked. It may be in any state.
    Unknown,
}

/// A task: one worker that was, is, or will be running.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerTask {
    /// Name of its worker, and of its log: `JOB_INDEX`, such as `4711_3`.
    pub name: String,
    /// Its state.
    pub state: State,
}

/// What an executor allows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Seconds that a task may take, if they are limited.
    pub seconds: Option<u64>,
    /// The place in words, such as `partition gpu, 1 GPU, 4 h`.
    pub place: String,
}

/// Starts workers, and says what became of them. Everything else is in the store: which stages are done, and which
/// worker does what.
pub trait Executor: Sync {
    /// Checks, without submitting anything, whether workers can be submitted.
    ///
    /// # Errors
    /// If the executor is missing or cannot be reached, or would refuse the request.
    fn check(&self) -> Result<Allowance, Failure>;

    /// Submits `tasks` workers, and returns the jobs that they belong to.
    ///
    /// # Errors
    /// If they are refused. If some were submitted before, these are cancelled.
    fn submit(&self, launch: &Launch, tasks: usize) -> Result<Vec<Submission>, Failure>;

    /// Returns the state of every task of some jobs, in order. Tasks that the executor does not know are
    /// [`State::Unknown`].
    ///
    /// # Errors
    /// If the executor cannot be asked. This says nothing about the tasks.
    fn look(&self, jobs: &[Submission]) -> Result<Vec<WorkerTask>, Failure>;

    /// Cancels jobs, or only their tasks that have not started. Jobs that have ended are left alone.
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
