//! A checkout, and what every command needs of it: its folders and its store, what a target names, what is known of it and
//! what has to run, what that costs, what must be kept, and who is trusted. It knows neither the command line nor the
//! terminal, and reads no variable of the environment: the caller hands over what the user said.

mod admission;
mod archives;
mod behind;
mod check;
mod closures;
mod committed;
mod discovery;
mod estimates;
mod explained;
mod export;
mod failure;
mod fetching;
mod folder;
mod forecast;
mod imports;
mod judged;
mod listings;
mod locking;
mod making;
mod page;
mod parameters;
mod preference;
mod published;
mod remotes;
mod repairing;
mod resolved;
mod roots;
mod seeds;
mod select;
mod signing;
#[cfg(test)]
mod tests;
mod text;
mod variants;
mod weights;
mod workers;

use std::path::PathBuf;

use store::{Options, Store, StoreError};

use admission::OTHER_IMPORT;
pub use admission::{Accepted, Objection};
pub use archives::{archive_failure, write_archive};
pub use behind::is_hex;
pub use check::CheckedPipelines;
pub use closures::{Extent, Loaded};
pub use committed::{Rebuilding, Subject, VerifyLevels};
pub use discovery::NamedPlaces;
pub use explained::Explained;
pub use export::Exported;
pub use failure::{ExitCode, Failure};
pub use fetching::Through;
pub use folder::Folder;
pub use forecast::{Bill, Forecast, StageFamily, family};
pub use imports::{Before, ImportedData, ImportedWeights, imported_data, record_data, record_weights};
pub use judged::{Compared, Judged};
pub use listings::{relation_rows, tally, value_rows};
pub use locking::{Departure, Locked};
pub use making::{Making, Notice};
pub use page::WrittenPage;
pub use published::{ComparedValue, Ours, Relation};
pub use remotes::ChosenRemote;
pub use repairing::{Outcomes, Repairing};
pub use resolved::is_imported;
pub use roots::CurrentFigure;
pub use seeds::{Limits, MOST_SEEDS, MoreSeeds, Widest};
pub use select::{Selection, Variant};
pub use signing::{Signable, Signer, obstacle, sign, trusted_name};
pub use text::{all_quoted, command, count, quoted, short};
pub use weights::evaluation_of;
pub use workers::{Workers, cores};

/// The places of a checkout.
#[derive(Debug, Clone)]
pub struct Project {
    /// The store: objects, records and their index.
    pub cache: PathBuf,
    /// Where figures are written, in a folder for each profile.
    pub reports: PathBuf,
    /// The pipelines, one TOML file per figure.
    pub pipelines: PathBuf,
    /// The file of the keys that the project trusts.
    pub trust: PathBuf,
    /// The file of the project's remotes.
    pub remotes: PathBuf,
    /// Where this account keeps indexes of stores that other accounts write to.
    pub private: Option<PathBuf>,
}

impl Project {
    /// Opens the store, which must exist: a mistyped name makes no new one.
    ///
    /// # Errors
    /// As [`Store::existing`].
    pub fn store(&self) -> Result<Store, StoreError> {
        Store::existing(&self.cache, &self.options())
    }

    /// Opens the store to put something into it, and makes one if there is none.
    ///
    /// # Errors
    /// As [`Store::open_with`].
    pub fn store_to_fill(&self) -> Result<Store, StoreError> {
        Store::open_with(&self.cache, &self.options())
    }

    fn options(&self) -> Options {
        Options { private: self.private.clone() }
    }
}
