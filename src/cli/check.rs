//! `wdpipe check`: checks every pipeline in every profile.

use clap::Args;

use super::format::count;
use super::ui::Ui;
use crate::project::{CheckedPipelines, Failure, Project};

/// Check every pipeline in every profile, and list all mistakes.
#[derive(Debug, Args)]
pub struct CheckCommand {}

impl CheckCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pipeline is wrong in a profile, or there are no pipelines.
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
