//! `wdpipe report`: writes the page with all figures of a profile.

use clap::Args;

use super::arguments::VariantArgs;
use super::ui::Ui;
use crate::project::{Failure, PageWish, Project, WrittenPage};

/// Write the page of a profile: figures, claims and origins.
///
/// The page is reports/PROFILE/index.html. It is one file and needs no network. `wdpipe make all` writes it too.
/// Figures that are on the page but were not made here stay unchanged. With settings that change figures, the page is
/// index@HASH8.html.
#[derive(Debug, Args)]
pub struct ReportCommand {
    /// Figures whose sections are rewritten [default: all that were made].
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: VariantArgs,
    /// Name the git commit of the project on the page, with its date. The page then changes with every commit.
    #[arg(long)]
    commit: bool,
}

impl ReportCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pipeline or target is wrong, nothing was made yet, or the page cannot be written.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let selection = project.select(&self.variant.to_variant(), &self.targets)?;
        let all = self.targets.is_empty() || self.targets.iter().any(|target| target == "all");
        let wish = PageWish { all, commit: self.commit };
        tell(&selection.write_page(wish, &project.store()?, project)?, ui);
        Ok(())
    }
}

/// Prints which figures a written page keeps from the previous page, and which it leaves out.
pub fn tell(WrittenPage { path, changed, kept, unmade, gone }: &WrittenPage, ui: &Ui) {
    ui.say(&format!("{} {}", if *changed { "wrote" } else { "unchanged" }, path.display()));
    for (names, why) in [
        (kept, "kept as they were on the page, since they are not made here"),
        (unmade, "left out, since they are not made yet"),
        (gone, "no longer on the page, since no pipeline draws them"),
    ] {
        if !names.is_empty() {
            ui.say(&format!("{why}: {}", names.join(", ")));
        }
    }
}
