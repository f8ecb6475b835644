//! `wdpipe cache catalogue`: lists a store's content so that others can use its folder.

use clap::Args;

use crate::cli::format::count;
use crate::cli::ui::Ui;
use crate::project::Failure;
use store::Store;

/// List the cache's content in a few files, for use as a remote.
///
/// Others can then use the folder through a web server, ssh or a bucket.
/// From then on `make` and `pull` keep the list up to date. Run this command again after `cache gc`, or if a run was
/// killed.
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
