//! Events reported while stages run.

use super::live::Reading;
use crate::graph::StageId;
use crate::plan::{MissReason, Plan};
use crate::stages::MetricsRow;
use store::{Finding, Holder};

/// How a stage ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was computed, in this many seconds.
    Computed(f64),
    /// It was computed, in this many seconds, but its training diverged. The text says where.
    Diverged(f64, String),
    /// The outputs of the stage turned out to be known: a recomputed input was unchanged, or another process computed the stage.
    Cached,
    /// It failed, with this message.
    Failed(String),
}

/// An event of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The plan is made. This is the first event and is sent once.
    Planned(Plan),
    /// A stage starts on a worker.
    Started {
        /// The stage.
        stage: StageId,
        /// Why it has to run.
        reason: MissReason,
    },
    /// The progress of a stage. Sent a few times per second, with the latest values only.
    Progress {
        /// The stage.
        stage: StageId,
        /// Its latest values.
        reading: Box<Reading>,
        /// The rows of its table `metrics` since the last such event.
        rows: Vec<MetricsRow>,
    },
    /// A stage waits because another process is running it. Sent again when it is another process, and from time to time.
    Elsewhere {
        /// The stage.
        stage: StageId,
        /// The process, if it is known.
        holder: Option<Holder>,
    },
    /// File locks do not tell which processes on other machines are alive. Sent at most once.
    NoLocks(Finding),
    /// A stage runs again with fewer others in parallel, since the device was short of memory while it ran.
    Again(StageId),
    /// Training steps are submitted to a GPU one at a time, since recording them as a graph failed.
    OneByOne {
        /// The stage.
        stage: StageId,
        /// Why recording failed.
        reason: String,
    },
    /// A stage ended.
    Ended {
        /// The stage.
        stage: StageId,
        /// How it ended.
        outcome: Outcome,
    },
    /// A stage that was run again returned bytes that differ from its record; both records are kept.
    Differs {
        /// The stage.
        stage: StageId,
        /// The outputs that differ.
        outputs: Vec<String>,
    },
}
