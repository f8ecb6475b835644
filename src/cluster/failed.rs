//! Failures that the workers of a run share, so that not every worker tries a stage that always fails.

use serde::{Deserialize, Serialize};

use super::executor::{JobId, State, TaskEnd};
use super::run::{Run, WorkerState};
use crate::engine::EngineError;
use crate::project::Failure;
use base::digest::StageKey;

/// Why an attempt at a stage ended without a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The stage failed.
    Stage,
    /// The stage took more memory than was available.
    Memory,
    /// The worker ran out of time before the stage was done.
    Time,
    /// The worker died for an unknown reason.
    Lost,
}

impl Kind {
    /// Returns the number of attempts with this end after which the stage is given up. A worker can die for many
    /// reasons that have nothing to do with the stage.
    pub fn allowed(self) -> usize {
        match self {
            Self::Stage | Self::Memory | Self::Time => 2,
            Self::Lost => 20,
        }
    }

    /// Returns the kind of an engine's error, or `None` if the stage is not at fault, for example because the worker
    /// was stopped or its disk is full.
    pub fn of(error: &EngineError) -> Option<Self> {
        match error {
            EngineError::Interrupted | EngineError::GivenUp { .. } => None,
            EngineError::Store(error) if error.is_disk_full() => None,
            EngineError::Stage { source, .. } if source.is_storage() || source.is_missing() => None,
            EngineError::Stage { source, .. } if source.is_out_of_memory() => Some(Self::Memory),
            _ => Some(Self::Stage),
        }
    }
}

/// An attempt at a stage that ended without a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failed {
    /// Name of the stage.
    pub stage: String,
    /// Name of the worker.
    pub worker: JobId,
    /// Why the attempt ended.
    pub kind: Kind,
    /// The error message, or how the worker ended.
    pub message: String,
    /// Number of stages that the worker ran at a time.
    pub jobs: usize,
    /// Seconds that the attempt took.
    pub seconds: f64,
}

impl Run {
    /// Records a failed attempt. `attempt` distinguishes the attempts of a worker.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn note_failed(&self, key: &StageKey, attempt: usize, failed: &Failed) -> Result<(), Failure> {
        self.write(&format!("failed/{key}/{}-{attempt}", failed.worker), failed)
    }

    /// Returns the failed attempts at a stage.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn failed(&self, key: &StageKey) -> Result<Vec<Failed>, Failure> {
        let names = files::list(&self.path(&format!("failed/{key}")))?;
        Ok(names.iter().filter_map(|name| self.read(&format!("failed/{key}/{name}"))).collect())
    }

    /// Returns the failed attempts at all stages.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn all_failed(&self) -> Result<Vec<(StageKey, Vec<Failed>)>, Failure> {
        let keys = files::list(&self.path("failed"))?;
        keys.iter().filter_map(|name| name.parse().ok()).map(|key| Ok((key, self.failed(&key)?))).collect()
    }
}

/// Offset of the numbers of attempts that others record for a worker. It keeps them apart from the worker's own
/// numbers.
const NOTED: u64 = 1 << 40;

impl Run {
    /// Records a failed attempt for a worker that ended before it could do so itself. If several observers record it,
    /// it counts once.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn note_end(
        &self,
        (stage, key): (&str, &StageKey),
        (name, worker): (&JobId, &WorkerState),
        kind: Kind,
    ) -> Result<Failed, Failure> {
        let failed = Failed {
            stage: stage.to_owned(),
            worker: name.clone(),
            kind,
            message: "the worker was killed".to_owned(),
            jobs: worker.jobs,
            seconds: 0.0,
        };
        self.note_failed(key, (NOTED + worker.beat) as usize, &failed)?;
        Ok(failed)
    }
}

/// Returns how a worker's end counts for the stages that it was running, or `None` if these are not at fault.
pub fn of_end(state: &State) -> Option<Kind> {
    match state {
        State::Ended(TaskEnd::OutOfMemory) => Some(Kind::Memory),
        State::Ended(TaskEnd::TimeLimit) => Some(Kind::Time),
        State::Ended(TaskEnd::Preempted | TaskEnd::NodeLost | TaskEnd::Cancelled) => None,
        State::Ended(TaskEnd::Done | TaskEnd::Failed) | State::Waiting(_) | State::Running(_) | State::Unknown => {
            Some(Kind::Lost)
        }
    }
}

/// Returns why a stage is not tried again, if it has failed too often.
pub fn given_up(failed: &[Failed]) -> Option<String> {
    let last = |kind: Kind| {
        let mut same = failed.iter().filter(|failed| failed.kind == kind);
        let count = same.clone().count();
        same.next_back().filter(|_| count >= kind.allowed()).map(|last| (count, last))
    };
    let (count, last) = [Kind::Stage, Kind::Memory, Kind::Time, Kind::Lost].into_iter().find_map(last)?;
    let attempts = format!("{count} attempts, the last by worker {}", last.worker);
    Some(match last.kind {
        Kind::Stage => format!("it failed ({attempts}): {}", last.message),
        Kind::Memory => {
            format!("it ran out of memory, even with fewer stages beside it ({attempts}): {}", last.message)
        }
        Kind::Time => {
            format!("it takes longer than a worker's time, {:.0} s were not enough ({attempts})", last.seconds)
        }
        Kind::Lost => format!("its workers died ({attempts}): {}", last.message),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: Kind) -> Failed {
        let worker = "4711_1".parse().unwrap();
        Failed { stage: "a".into(), worker, kind, message: "no".into(), jobs: 4, seconds: 9.0 }
    }

    #[test]
    fn a_stage_is_given_up_after_two_failures_of_its_own() {
        assert_eq!(given_up(&[]), None);
        assert_eq!(given_up(&[failed(Kind::Stage), failed(Kind::Memory), failed(Kind::Time)]), None);
        for kind in [Kind::Stage, Kind::Memory, Kind::Time] {
            assert!(given_up(&[failed(Kind::Lost), failed(kind), failed(kind)]).unwrap().contains("2 attempts"));
        }
        let lost = vec![failed(Kind::Lost); 19];
        assert_eq!(given_up(&lost), None, "workers die for many reasons");
        assert!(given_up(&[lost, vec![failed(Kind::Lost)]].concat()).is_some());
    }

    #[test]
    fn what_says_nothing_about_the_stage_does_not_count() {
        use crate::stages::StageError;
        let of = |source: StageError| Kind::of(&EngineError::Stage { stage: "a".into(), source: Box::new(source) });
        assert_eq!(of(StageError::NoInput("x".into())), Some(Kind::Stage));
        assert_eq!(of(StageError::no_room()), Some(Kind::Memory));
        assert_eq!(of(StageError::Device("no GPU".into())), None);
        // A worker whose disk is full says nothing about a command either.
        let full = std::io::Error::from_raw_os_error(libc::ENOSPC);
        let full = files::FsError { operation: "write", path: "/tmp/x".into(), source: full };
        assert_eq!(of(StageError::Files(full)), None);
        assert_eq!(Kind::of(&EngineError::Interrupted), None);
        let panicked = EngineError::Panicked { stage: "a".into(), message: "b".into() };
        assert_eq!(Kind::of(&panicked), Some(Kind::Stage));
    }
}
