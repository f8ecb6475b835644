//! `wdpipe check`: checks every pipeline in every profile.

use clap::Args;
use serde::Serialize;

use super::format::count;
use super::ui::Ui;
use crate::project::{CheckedPipelines, Failure, Project};

/// Check every pipeline in every profile, and list all mistakes.
#[derive(Debug, Args)]
pub struct CheckCommand {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `check --json`.
#[derive(Serialize)]
struct CheckedAnswer<'a> {
    pipelines: usize,
    variants: usize,
    mistakes: &'a [String],
}

impl CheckCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pipeline is wrong in a profile, or there are no pipelines.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let CheckedPipelines { mistakes, pipelines, variants } = project.check()?;
        if self.json {
            ui.json(&CheckedAnswer { pipelines, variants, mistakes: &mistakes });
        }
        if mistakes.is_empty() {
            let (pipelines, variants) = (count(pipelines, "pipeline"), count(variants, "variant"));
            ui.say(&format!("{pipelines}, {variants} with their profiles: no mistakes"));
            return Ok(());
        }
        if !self.json {
            mistakes.iter().for_each(|line| ui.answer(line));
        }
        let folder = project.pipelines.display();
        Err(Failure::usage(format!("{} in the pipelines of {folder}", count(mistakes.len(), "mistake")), ""))
    }
}
