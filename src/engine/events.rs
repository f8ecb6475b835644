//! What is reported while stages run.

use crate::graph::StageId;
use crate::plan::{MissReason, Plan};

/// How a stage ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It was computed, in so many seconds.
    Computed(f64),
    /// It was computed, in so many seconds, and left the finite numbers: where.
    Diverged(f64, String),
    /// It turned out to be known: an input was computed again and came out as before, or another
    /// process computed it.
    Cached,
    /// It failed, with a message.
    Failed(String),
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// What has to run is decided; said once, first.
    Planned(Plan),
    /// A stage starts on a worker.
    Started {
        /// Which.
        stage: StageId,
        /// Why.
        reason: MissReason,
    },
    /// How far a stage is.
    Progress {
        /// Which.
        stage: StageId,
        /// Share of the work done, from 0 to 1.
        done: f64,
        /// Mean training loss lately, if it trains.
        loss: Option<f64>,
        /// Training images a second, if it trains.
        images_per_second: Option<f64>,
    },
    /// A stage waits because another process runs it.
    Elsewhere(StageId),
    /// A stage runs again with fewer beside it: the device was short of memory while it ran.
    Again(StageId),
    /// Steps of training are given to a GPU one by one, since recording them failed.
    OneByOne {
        /// Of which stage.
        stage: StageId,
        /// Why it failed.
        reason: String,
    },
    /// A stage ended.
    Ended {
        /// Which.
        stage: StageId,
        /// How.
        outcome: Outcome,
    },
    /// A stage that was run again gave other bytes than recorded; both records are kept.
    Differs {
        /// Which.
        stage: StageId,
        /// The outputs that differ.
        outputs: Vec<String>,
    },
}
