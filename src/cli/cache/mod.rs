//! `wdpipe cache`: inspects, checks, cleans and shares the store.

mod catalogue;
mod check;
mod du;
mod gc;
mod pin;
mod stats;

use clap::{Args, Subcommand};

use super::archive::{ExportArchiveCommand, ImportArchiveCommand};
use super::share::ShareCommand;
use super::stress::{StressChildCommand, StressTestCommand};
use super::ui::Ui;
use crate::cli::arguments::plain;
use crate::project::{Failure, Project};

/// Inspect, check, clean and share the cache.
#[derive(Debug, Subcommand)]
pub enum CacheCommand {
    Stats(stats::CacheStatsCommand),
    Du(du::DuCommand),
    Check(check::CacheCheckCommand),
    Gc(gc::GcCommand),
    Pin(pin::PinCommand),
    Unpin(pin::UnpinCommand),
    Pins(pin::PinsCommand),
    Catalogue(catalogue::CatalogueCommand),
    Export(ExportArchiveCommand),
    Import(ImportArchiveCommand),
    Share(ShareCommand),
    #[command(alias = "torture")]
    StressTest(StressTestCommand),
    #[command(hide = true)]
    StressChild(StressChildCommand),
}

/// Profiles of the current pipelines.
#[derive(Debug, Clone, Args)]
pub struct ProfileArgs {
    /// Profile under which pipelines are current [default: all their profiles]. Repeatable.
    #[arg(long, value_name = "NAME", value_parser = plain)]
    profile: Vec<String>,
}

impl CacheCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the store cannot be read, or is damaged.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let store = || project.store();
        match self {
            Self::Stats(command) => command.run(project, &store()?, ui),
            Self::Du(command) => command.run(project, &store()?, ui),
            Self::Check(command) => command.run(project, &store()?, ui),
            Self::Gc(command) => command.run(project, &store()?, ui),
            Self::Pin(command) => command.run(project, &store()?, ui),
            Self::Unpin(command) => command.run(&store()?, ui),
            Self::Pins(command) => command.run(&store()?, ui),
            Self::Catalogue(command) => command.run(&store()?, ui),
            Self::Export(command) => command.run(project, &store()?, ui),
            Self::Import(command) => command.run(project, ui),
            Self::Share(command) => command.run(ui),
            Self::StressTest(command) => command.run(ui),
            Self::StressChild(command) => command.run(ui),
        }
    }
}
