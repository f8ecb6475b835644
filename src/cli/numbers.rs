//! `wdpipe numbers`: prints the numbers of a figure, run by run.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::VariantArgs;
use super::ui::Ui;
use crate::project::{ExitCode, Failure, Project, TableFormat, quoted};
use files::Named;

/// Number of differing lines that a check shows of each side.
const SHOWN: usize = 8;

/// Maximum size of a checked file in bytes.
const LARGEST: u64 = 16 << 20;

/// Print the numbers of a figure, run by run.
///
/// There is one row for each panel, curve, x and seed. The settings of each run are columns, and the drawn numbers (mean, std, low, high, n, diverged) stand beside its value.
/// With --tex, print LaTeX macros for the sentences of a paper instead: the figure's root, the last numbers of its curves, the
/// verdicts and p-values of its claims, and our values beside published ones. Nothing is computed: make the figure first.
#[derive(Debug, Args)]
pub struct NumbersCommand {
    /// A figure or a panel, such as fig3 or fig3c.
    #[arg(value_name = "FIGURE")]
    figure: String,
    #[command(flatten)]
    variant: VariantArgs,
    /// Print JSON instead of comma-separated values.
    #[arg(long)]
    json: bool,
    /// Print LaTeX macros.
    #[arg(long, conflicts_with = "json")]
    tex: bool,
    /// Check that FILE holds these macros, instead of printing them; exit code 1 if not.
    #[arg(long, value_name = "FILE", requires = "tex", conflicts_with = "to")]
    check: Option<PathBuf>,
    /// File to write instead of the terminal; - means standard output.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl NumbersCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the target is not a figure, its numbers are not recorded yet, or a file cannot be read or written.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let selection = project.select(&self.variant.to_variant(), std::slice::from_ref(&self.figure))?;
        let store = project.store_of(std::slice::from_ref(&self.figure))?;
        let resolved = selection.resolve(&store)?;
        let (id, figure) = resolved.one_figure()?;
        if self.tex {
            let text = resolved.macros(id, figure, &store)?;
            return match &self.check {
                Some(file) => self.compare(&text, file, ui),
                None => self.print(&text, ui),
            };
        }
        let format = if self.json { TableFormat::Json } else { TableFormat::Csv };
        let text = resolved.replicas(id, figure, format, &store)?;
        self.print(&text, ui)
    }

    /// Compares a file with the macros of the present records.
    fn compare(&self, text: &str, file: &Path, ui: &Ui) -> Result<(), Failure> {
        let name = file.display();
        let found =
            files::read_text(file, LARGEST).map_err(|error| Failure::new(ExitCode::Missing, error.to_string(), ""))?;
        // Git can have converted the ends of the lines.
        let (there, here): (BTreeSet<&str>, BTreeSet<&str>) = (found.lines().collect(), text.lines().collect());
        if found.lines().eq(text.lines()) {
            ui.answer(&format!("{name}: ok, the numbers of {}", self.figure));
            return Ok(());
        }
        for line in there.difference(&here).take(SHOWN) {
            ui.answer(&format!("only in the file:  {line}"));
        }
        for line in here.difference(&there).take(SHOWN) {
            ui.answer(&format!("only in the cache: {line}"));
        }
        let again = format!(
            "`wdpipe numbers {} --tex --to {}` writes it again",
            quoted(&self.figure),
            quoted(&name.to_string())
        );
        Err(Failure::new(
            ExitCode::Failed,
            format!("{name} does not hold the recorded numbers of {}", self.figure),
            again,
        ))
    }

    fn print(&self, text: &str, ui: &Ui) -> Result<(), Failure> {
        let Some(file) = &self.to else {
            ui.answer(text.trim_end_matches('\n'));
            return Ok(());
        };
        let named = Named::create(file)?;
        let place = named.path().display().to_string();
        named.write_whole(text.as_bytes())?;
        ui.say(&format!("wrote {place}"));
        Ok(())
    }
}
