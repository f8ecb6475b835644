//! A checkout, and all operations on it that commands need: its folders and its store, the stages that a target names,
//! what is known about them, which have to run and at what cost, what must be kept, and who is trusted. This module knows
//! neither the command line nor the terminal, and reads no environment variables: the caller passes the user's choices.

mod consent;
mod discovery;
mod failure;
mod figures;
mod installing;
mod known;
mod papers;
mod running;
mod sharing;
mod tables;
mod targets;
#[cfg(test)]
mod tests;
mod text;

use std::path::{Path, PathBuf};

use store::{Options, Store, StoreError};

pub use consent::Consent;
pub use discovery::NamedPlaces;
pub use failure::{ExitCode, Failure};
pub use figures::committed::{Rebuilding, Subject, VerifyLevels};
pub use figures::export::Exported;
pub use figures::judged::{Compared, Judged};
pub use figures::listings::{relation_rows, tally, value_rows};
pub use figures::locking::{Departure, Locked};
pub use figures::page::{PageWish, WrittenPage};
pub use figures::published::{ComparedValue, Ours, Relation};
pub use installing::install_libtorch;
pub use known::behind::{is_hash, is_hex};
pub use known::closures::{Extent, Loaded};
pub use known::explained::Explained;
pub use known::resolved::is_imported;
pub use known::roots::CurrentFigure;
pub use papers::caption::Markup;
pub use papers::deposit::DepositOptions;
pub use papers::repository;
pub use running::commands::{Declared, consent_to};
pub use running::forecast::{Bill, Forecast, StageFamily, family};
pub use running::making::{Making, Notice};
pub use running::room::Room;
pub use running::seeds::{Limits, MOST_SEEDS, MoreSeeds, Widest};
pub use running::workers::{Workers, cores};
use sharing::admission::OTHER_IMPORT;
pub use sharing::admission::{Accepted, Objection};
pub use sharing::archives::{archive_failure, write_archive};
pub use sharing::fetching::Through;
pub use sharing::imports::{Before, ImportedData, ImportedWeights, imported_data, record_data, record_weights};
pub use sharing::remotes::ChosenRemote;
pub use sharing::repairing::{Outcomes, Repairing};
pub use sharing::signing::{Signable, Signer, obstacle, sign, trusted_name};
pub use sharing::weights::evaluation_of;
pub use tables::sheet::TableFormat;
pub use tables::stages::StageTable;
pub use tables::tensorboard::EventFolder;
pub use targets::check::CheckedPipelines;
pub use targets::folder::Folder;
pub use targets::select::{Selection, Variant};
pub use text::{all_quoted, command, count, date, quoted, short};

/// The places of a checkout.
#[derive(Debug, Clone)]
pub struct Project {
    /// The store: objects, records and their index.
    pub cache: PathBuf,
    /// Folder of the figures, with a subfolder for each profile.
    pub reports: PathBuf,
    /// The pipelines, one TOML file per figure.
    pub pipelines: PathBuf,
    /// The file with the keys that the project trusts.
    pub trust: PathBuf,
    /// The file with the project's remotes.
    pub remotes: PathBuf,
    /// The file that says how the site's cluster runs workers.
    pub cluster: PathBuf,
    /// How this account opens the store.
    pub options: Options,
}

impl Project {
    /// Returns the folder of the project, where the files of its commands are.
    pub fn root(&self) -> &Path {
        self.pipelines.parent().unwrap_or(Path::new(""))
    }

    /// Checks whether several accounts share the store. A store that does not exist is not shared.
    fn is_shared(&self) -> bool {
        let access = files::canonical(&self.cache).and_then(|place| files::access(&place));
        access.is_ok_and(|access| access.is_some_and(|access| access.is_shared()))
    }

    /// Opens the store, which must exist, so that a mistyped path does not create a new one.
    ///
    /// # Errors
    /// The same as for [`Store::existing`].
    pub fn store(&self) -> Result<Store, StoreError> {
        Store::existing(&self.cache, &self.options)
    }

    /// Opens the store to read the results of targets. Without a store, they were not made.
    ///
    /// # Errors
    /// If there is no store, or [`Store::existing`] fails.
    pub fn store_of(&self, targets: &[String]) -> Result<Store, Failure> {
        self.store().map_err(|error| match error {
            StoreError::NoStore(_) => {
                let targets = if targets.is_empty() { "all".to_owned() } else { all_quoted(targets) };
                let hint = format!("run `wdpipe make {targets}`, or give the folder of the store with --cache DIR");
                Failure::new(ExitCode::Missing, format!("nothing was made yet: {error}"), hint)
            }
            error => error.into(),
        })
    }

    /// Opens the store for writing, and creates it if it does not exist.
    ///
    /// # Errors
    /// The same as for [`Store::open_with`].
    pub fn store_to_fill(&self) -> Result<Store, StoreError> {
        Store::open_with(&self.cache, &self.options)
    }

    /// Opens the store, if it exists. A command that only compares does not create one.
    pub fn store_if_any(&self) -> Option<Store> {
        let there = files::identity(&self.cache).ok().flatten().is_some();
        if there { self.store().ok() } else { None }
    }
}
