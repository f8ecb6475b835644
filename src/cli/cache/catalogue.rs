//! `wdpipe cache catalogue`: makes a store's folder fit to be served to others.

use clap::Args;

use crate::cli::format::count;
use crate::cli::ui::Ui;
use crate::project::Failure;
use store::Store;

/// Lists what the store holds in a few files, so that others can use its folder through a web server, ssh or a bucket.
///
/// From then on `make` and `pull` keep it up to date; run it again after `cache gc`, or when a run was killed.
#[derive(Debug, Args)]
pub struct CatalogueCommand {}

impl CatalogueCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn run(&self, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let new = store.list_all()?;
        let (records, objects) = store.catalogue()?.unwrap_or_default().counts();
        let (records, objects) = (count(records, "record"), count(objects, "object"));
        ui.say(&format!("{records} and {objects} are listed, {new} of them new"));
        Ok(())
    }
}
