//! `wdpipe man`: the help of all commands as pages for `man`.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::Man;

use super::format::count;
use super::help::with_examples;
use super::ui::Ui;
use crate::project::{ExitCode, Failure};

/// Write the pages of all commands for `man`.
///
/// Without DIR, the page of the program alone is printed.
#[derive(Debug, Args)]
pub struct ManCommand {
    /// Folder for wdpipe.1, wdpipe-make.1 and so on; it is created if it does not exist.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl ManCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a page cannot be written.
    pub fn run(&self, ui: &Ui) -> Result<(), Failure> {
        let mut program = with_examples().disable_help_subcommand(true);
        program.build();
        let Some(folder) = &self.folder else {
            let (_, page) = page(program)?;
            ui.answer(String::from_utf8_lossy(&page).trim_end());
            return Ok(());
        };
        files::create_folder(folder)?;
        let pages = pages(program)?;
        for (name, page) in &pages {
            files::replace(&folder.join(name), page)?;
        }
        ui.say(&format!("wrote {} to {}", count(pages.len(), "page"), folder.display()));
        Ok(())
    }
}

/// Returns the names and pages of a command and all its subcommands.
fn pages(command: Command) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let mut all = Vec::new();
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        all.extend(pages(command.clone())?);
    }
    all.push(page(command)?);
    Ok(all)
}

/// Returns the name and the page of a command.
fn page(command: Command) -> Result<(String, Vec<u8>), Failure> {
    let man = Man::new(command);
    let mut page = Vec::new();
    man.render(&mut page).map_err(|error| Failure::new(ExitCode::Failed, error.to_string(), ""))?;
    Ok((man.get_filename(), page))
}
