//! Runs what has to run: walks the graph, keys every stage, takes what the store has and computes the
//! rest on several threads.
//!
//! A stage is run under a claim on its key, so that two processes on one store share the work. What a
//! stage made is stored by another thread while the next ones run, always before what was made from it;
//! killing the process loses at most the stages in progress and the few that wait to be stored.

mod ahead;
mod closure;
mod events;
mod execute;
mod frontier;
mod import;
mod packing;
mod preference;
mod queue;
mod repair;
mod request;
mod rerun;
mod resolve;
mod schedule;
mod write_queue;

pub use ahead::Ahead;
pub use base::work::Import;
pub use closure::{closure, closure_root, known};
pub use events::{Event, Outcome};
pub use execute::Environment;
pub use packing::Packing;
pub use preference::{Indifferent, Preference, Recorded, Standing};
pub use repair::{Elsewhere, Repair, Repaired};
pub use request::{Request, Summary, divergence};
pub use rerun::{Again, RerunError, Rerunner};
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
    /// A data set is needed that nobody imported.
    #[error("the data set {} is not here", .0.name())]
    NotImported(Source),
    /// Weights are needed that nobody imported.
    #[error("no weights are here under the name `{0}`")]
    NoWeights(String),
    /// Something was imported, and the project uses only what somebody whom it trusts signed.
    #[error("{0} is here, but no key that the project trusts signed it, and its policy is use = \"signed\"")]
    Unsigned(String),
    /// A stage was not run yet with these settings.
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
    /// Parameters that cannot be hashed.
    #[error("parameters of `{0}`: {1}")]
    Parameters(String, ValueError),
    /// A stage failed.
    #[error("stage `{stage}` failed: {source}")]
    Stage {
        /// The stage.
        stage: String,
        /// Why.
        source: Box<StageError>,
    },
    /// Another numeric policy holds in this process.
    #[error("{0}")]
    Policy(String),
    /// A stage or what runs it panicked.
    #[error("`{stage}` panicked: {message}; this is a defect in wdpipe")]
    Panicked {
        /// The stage.
        stage: String,
        /// What the panic says.
        message: String,
    },
    /// No thread can be started.
    #[error("cannot start a thread: {0}")]
    Threads(std::io::Error),
    /// Asked to stop (Ctrl-C).
    #[error("interrupted")]
    Interrupted,
}
