//! Runs the stages that have to run: walks the graph, computes every stage's key, uses outputs that the store has
//! and computes the others on several threads.
//!
//! A stage runs under a claim on its key, so that two processes on one store share the work. A separate thread stores
//! the outputs of a stage while the next stages run, always before the outputs of its readers. Killing the process
//! loses at most the stages in progress and the few that wait to be stored.

mod ahead;
mod closure;
mod duty;
mod events;
mod execute;
mod frontier;
mod import;
mod live;
mod packing;
mod preference;
mod queue;
mod repair;
mod request;
mod rerun;
mod resolve;
mod schedule;
mod waiting;
mod write_queue;

pub use ahead::Ahead;
pub use base::work::Import;
pub use closure::{closure, closure_root, known};
pub use duty::{Duty, Everything};
pub use events::{Event, Outcome};
pub use execute::Environment;
pub use live::{Reading, RunningStage, Trail, chain, running};
pub use packing::Packing;
pub use preference::{Indifferent, Preference, Recorded, Standing};
pub use repair::{Elsewhere, Repair, Repaired};
pub use request::{Request, Summary, divergence};
pub use rerun::{Again, AllowedCommands, RerunError, Rerunner};
pub use resolve::{Inputs, Resolver, policy};
pub use schedule::make;

use crate::stages::StageError;
use base::value::ValueError;
use base::work::Source;
use store::StoreError;

/// Why a figure could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A required data set was not imported.
    #[error("the data set {} has not been imported", .0.name())]
    NotImported(Source),
    /// Required weights were not imported.
    #[error("no weights have been imported under the name `{0}`")]
    NoWeights(String),
    /// An import has no trusted signature, and the project uses only signed records.
    #[error("{0} was imported, but is not signed by a key that the project trusts, and its policy is use = \"signed\"")]
    Unsigned(String),
    /// A stage has not been run with these settings.
    #[error("`{0}` was not run yet with these settings")]
    NotMade(String),
    /// A record lacks an output that its kind has.
    #[error("the record of `{stage}` has no output `{output}`")]
    NoOutput {
        /// The stage.
        stage: String,
        /// The output.
        output: String,
    },
    /// The parameters of a stage cannot be hashed.
    #[error("parameters of `{0}`: {1}")]
    Parameters(String, ValueError),
    /// A stage failed.
    #[error("stage `{stage}` failed: {source}")]
    Stage {
        /// The stage.
        stage: String,
        /// The cause.
        source: Box<StageError>,
    },
    /// Processes of the same run have tried the stage before, and gave it up.
    #[error("stage `{stage}` is not tried again: {why}")]
    GivenUp {
        /// The stage.
        stage: String,
        /// How it failed.
        why: String,
    },
    /// Another numeric policy is in force in this process.
    #[error("{0}")]
    Policy(String),
    /// A stage or the code that runs it panicked.
    #[error("`{stage}` panicked: {message}; this is a defect in wdpipe")]
    Panicked {
        /// The stage.
        stage: String,
        /// The panic's message.
        message: String,
    },
    /// A thread cannot be started.
    #[error("cannot start a thread: {0}")]
    Threads(std::io::Error),
    /// The user interrupted the run (Ctrl-C).
    #[error("interrupted")]
    Interrupted,
}
