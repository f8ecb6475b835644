//! `wdpipe shell`: opens a shell in the sandbox of a command.

use std::ffi::OsString;

use clap::Args;

use super::arguments::VariantArgs;
use super::consent;
use super::environment;
use super::ui::Ui;
use crate::project::{ExitCode, Failure, Project, all_quoted, consent_to};
use base::isolation::Isolation;

/// Open a shell in the sandbox of a command, or run a program there.
///
/// Prints the command of the stage, so that you can paste it. The folder is removed when the shell ends, and nothing in it
/// is recorded.
#[derive(Debug, Args)]
pub struct ShellCommand {
    /// A stage of kind command, such as 'own/sharpness[rho=0.1]@5'.
    #[arg(value_name = "STAGE")]
    stage: String,
    #[command(flatten)]
    variant: VariantArgs,
    /// Sandbox level: namespaces, landlock or none [default: the strictest that this machine offers].
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    sandbox: Option<Isolation>,
    /// Allow the project's files to be used this once.
    #[arg(long)]
    yes: bool,
    /// Program to run instead of a shell, and its arguments.
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

fn level(name: &str) -> Result<Isolation, String> {
    Isolation::named(name).ok_or_else(|| format!("the levels are {}", Isolation::ALL.map(Isolation::name).join(", ")))
}

impl ShellCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such stage, its inputs were not made yet, the sandbox cannot be prepared, or the program fails.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let selection = project.select(&self.variant.to_variant(), std::slice::from_ref(&self.stage))?;
        let (name, command) = selection.only_command()?;
        consent::ensure(&consent_to(command), self.yes, ui)?;
        let sandbox = selection.sandbox(&project.store_of(std::slice::from_ref(&self.stage))?, self.sandbox)?;
        let words = all_quoted(&command.words());
        ui.say(&format!("{name}: sandbox level {}. The command of the stage is:\n  {words}", sandbox.level()));
        let failed = |error: crate::stages::StageError| Failure::new(ExitCode::Failed, error.to_string(), "");
        if self.program.is_empty() {
            ui.say("The folder is removed when you leave the shell with `exit`.");
            return sandbox.shell(environment::terminal()).map_err(failed);
        }
        match sandbox.run(self.program.clone()).map_err(failed)? {
            None => Ok(()),
            Some(why) => Err(Failure::new(ExitCode::Failed, why, "")),
        }
    }
}
