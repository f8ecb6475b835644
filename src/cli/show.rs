//! `wdpipe show`: prints what a stage yielded.

use std::path::PathBuf;

use clap::Args;

use super::arguments::VariantArgs;
use super::explain::computed;
use super::format::{bytes, columns};
use super::ui::{Ui, is_text, not_for_eyes};
use crate::project::{ExitCode, Failure, Project, quoted};
use base::record::Record;
use base::table::Table;
use files::Named;
use store::Store;

/// Print the outputs of a stage, or what its program printed.
#[derive(Debug, Args)]
pub struct ShowCommand {
    /// A stage, such as 'fig3/probe[after=17,lr=0.1,seed=0]', or a figure.
    #[arg(value_name = "STAGE")]
    stage: String,
    #[command(flatten)]
    variant: VariantArgs,
    /// Output to print, such as weights (safetensors), metrics, trace, svg.
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// File for that output instead of the terminal; - means standard output.
    #[arg(long, value_name = "FILE", requires = "output")]
    to: Option<PathBuf>,
    /// Print what the program of a command printed when it ran.
    #[arg(long, conflicts_with_all = ["output", "csv", "json"])]
    log: bool,
    /// Print tables as comma-separated values.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print tables as JSON.
    #[arg(long)]
    json: bool,
}

impl ShowCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such stage, it was not run yet, or the store cannot be read.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let selection = project.select(&self.variant.to_variant(), std::slice::from_ref(&self.stage))?;
        let store = project.store()?;
        let resolved = selection.resolve_imported(&store)?;
        let mut records = Vec::new();
        for &id in &selection.targets {
            let name = selection.graph.stages[id].name.as_str();
            records.extend(resolved.record(id, &store)?.map(|record| (name, record)));
        }
        let known: Vec<_> = records.iter().map(|(name, record)| (*name, record)).collect();
        if known.is_empty() {
            let message = format!("`{}` was not run yet with these settings", self.stage);
            return Err(Failure::new(
                ExitCode::Missing,
                message,
                format!("`wdpipe make {}` runs it", quoted(&self.stage)),
            ));
        }
        if let Some(name) = &self.output {
            return self.raw(name, &known, &store, ui);
        }
        if self.log {
            for (name, record) in known {
                match record.provenance.log.trim_end() {
                    "" => ui.say(&format!("{name} printed nothing")),
                    log => {
                        ui.say(&format!("{name}:"));
                        ui.answer(log);
                    }
                }
            }
            return Ok(());
        }
        for (name, record) in known {
            self.tables(name, record, &store, ui)?;
        }
        Ok(())
    }

    fn raw(&self, name: &str, known: &[(&str, &Record)], store: &Store, ui: &Ui) -> Result<(), Failure> {
        let [(stage, record)] = known else {
            let message = format!("`{}` names {} stages, but --output needs one", self.stage, known.len());
            return Err(Failure::usage(message, format!("name one of them; the first is '{}'", known[0].0)));
        };
        let Some(output) = record.output(name) else {
            let names: Vec<_> = record.outputs.iter().map(|output| output.name.as_str()).collect();
            return Err(Failure::usage(
                format!("`{stage}` has no output `{name}`"),
                format!("it has {}", names.join(", ")),
            ));
        };
        let place = self.to.clone().unwrap_or_else(|| "-".into());
        let named = Named::create(&place)?;
        let place = named.path().to_owned();
        let length = if output.inline.is_some() || self.csv || self.json || named.is_terminal() {
            let mut content = store.output(output)?;
            if let Ok(table) = Table::from_bytes(&content) {
                if self.csv || self.json {
                    content = if self.csv { table.to_csv() } else { table.to_json().to_string() }.into_bytes();
                } else if named.is_terminal() {
                    let message = format!("`{name}` of `{stage}` is a table in a binary format");
                    return Err(Failure::usage(message, "use --csv or --json to show it"));
                }
            }
            let named = if is_text(&content) { named } else { not_for_eyes(named)? };
            named.write_whole(&content)?;
            content.len() as u64
        } else {
            store.restore(&output.object, named)?
        };
        if self.to.is_some() {
            ui.say(&format!("wrote {} ({})", place.display(), bytes(length)));
        }
        Ok(())
    }

    fn tables(&self, name: &str, record: &Record, store: &Store, ui: &Ui) -> Result<(), Failure> {
        if !self.csv && !self.json {
            ui.answer(name);
            ui.answer(&format!("  computed {}", computed(record)));
        }
        for output in &record.outputs {
            let table = match output.inline.is_some() || output.name == "numbers" {
                true => Table::from_bytes(&store.output(output)?).ok(),
                false => None,
            };
            match table {
                Some(table) if self.csv => ui.answer(table.to_csv().trim_end()),
                Some(table) if self.json => ui.answer(&table.to_json().to_string()),
                Some(table) => {
                    ui.answer(&format!("  {}", output.name));
                    let rows: Vec<Vec<String>> =
                        table.to_csv().lines().map(|line| line.split(',').map(shorten).collect()).collect();
                    columns(&rows).iter().for_each(|line| ui.answer(&format!("    {line}")));
                }
                None if self.csv || self.json => {}
                None => ui.answer(&format!("  {}  {}  {}", output.name, output.object, bytes(output.bytes))),
            }
        }
        Ok(())
    }
}

/// Shortens a number to six significant digits; other text stays unchanged.
fn shorten(cell: &str) -> String {
    match cell.parse::<f64>() {
        Ok(value) if cell.len() > 9 && value.is_finite() => {
            let digits = 5 - (value.abs().log10().floor() as i32).clamp(-3, 5);
            format!("{value:.*}", digits.clamp(0, 8) as usize)
        }
        _ => cell.to_owned(),
    }
}
