//! `wdpipe check`: whether every pipeline is right in every profile.

use clap::Args;

use super::format::count;
use super::ui::Ui;
use crate::project::{CheckedPipelines, Failure, Project};

/// Checks every pipeline in every profile, and lists all mistakes.
#[derive(Debug, Args)]
pub struct CheckCommand {}

impl CheckCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pipeline is wrong in a profile, or there are none.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let CheckedPipelines { mistakes, pipelines, variants } = project.check()?;
        if mistakes.is_empty() {
            let (pipelines, variants) = (count(pipelines, "pipeline"), count(variants, "variant"));
            ui.say(&format!("{pipelines}, {variants} with their profiles: no mistakes"));
            return Ok(());
        }
        mistakes.iter().for_each(|line| ui.answer(line));
        let folder = project.pipelines.display();
        Err(Failure::usage(format!("{} in the pipelines of {folder}", count(mistakes.len(), "mistake")), ""))
    }
}
