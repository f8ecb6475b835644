//! `wdpipe cache`: how full the store is, whether it is sound, what is kept, and what may go.

mod catalogue;
mod check;
mod du;
mod gc;
mod pin;
mod stats;

use clap::{Args, Subcommand};

use super::archive::{Export, Import};
use super::share::Share;
use super::stress::{Child, StressTest};
use super::ui::Ui;
use crate::cli::arguments::plain;
use crate::project::{Failure, Project};

/// Looks after the store.
#[derive(Debug, Subcommand)]
pub enum Cache {
    Stats(stats::Stats),
    Du(du::Du),
    Check(check::Check),
    Gc(gc::Gc),
    Pin(pin::Pin),
    Unpin(pin::Unpin),
    Pins(pin::Pins),
    Catalogue(catalogue::Catalogue),
    Export(Export),
    Import(Import),
    Share(Share),
    #[command(alias = "torture")]
    StressTest(StressTest),
    #[command(hide = true)]
    StressChild(Child),
}

/// Which pipelines are current.
#[derive(Debug, Clone, Args)]
pub struct Profiles {
    /// The profiles under which pipelines are current [default: all that they have]. Repeatable.
    #[arg(long, value_name = "NAME", value_parser = plain)]
    profile: Vec<String>,
}

impl Cache {
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
