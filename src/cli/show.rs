//! `wdpipe show`: prints what a stage yielded.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::arguments::VariantArgs;
use super::explain::computed;
use super::format::{bytes, columns, count};
use super::ui::{Ui, is_text, not_for_eyes};
use crate::project::{EventFolder, ExitCode, Failure, Project, Selection, StageTable, TableFormat, quoted};
use base::record::{Output, Record};
use base::table::Table;
use files::Named;
use store::Store;

/// Print the outputs of a stage, or what its program printed.
///
/// With --csv or --json, prints one table over all stages that the target names. The settings that tell the stages apart, such
/// as seed and lr, are columns; a recorded column of the same name becomes recorded_NAME. A target that is the whole name of
/// a stage has only the recorded columns.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("form").args(["output", "csv", "json"]).multiple(true)))]
pub struct ShowCommand {
    /// Stages, such as fig3/trunk or 'fig3/probe[after=21,lr=0.1,seed=0]', or a figure.
    #[arg(value_name = "STAGE")]
    stage: String,
    #[command(flatten)]
    variant: VariantArgs,
    /// Output to print, such as weights (safetensors), metrics, trace, svg.
    #[arg(long, value_name = "NAME")]
    output: Option<String>,
    /// File for that output or table instead of the terminal; - means standard output.
    #[arg(long, value_name = "FILE", requires = "form")]
    to: Option<PathBuf>,
    /// Print what the program of a command printed when it ran.
    #[arg(long, conflicts_with_all = ["output", "csv", "json"])]
    log: bool,
    /// Print the table as comma-separated values.
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Print the table as JSON.
    #[arg(long)]
    json: bool,
    /// Write the numbers as runs of TensorBoard into a folder; of a figure, those of all stages that it needs.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["form", "log"])]
    tensorboard: Option<PathBuf>,
}

impl ShowCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such stage, it was not run yet, or the store cannot be read.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let selection = project.select(&self.variant.to_variant(), std::slice::from_ref(&self.stage))?;
        let store = project.store_of(std::slice::from_ref(&self.stage))?;
        let resolved = selection.resolve_imported(&store)?;
        if let Some(folder) = &self.tensorboard {
            let written = resolved.events(&mut EventFolder::new(folder), &store)?;
            if written == 0 {
                return Err(self.not_run(&selection));
            }
            ui.say(&format!("wrote {} to {}", count(written, "stage"), folder.display()));
            return Ok(());
        }
        if self.csv || self.json {
            let table = resolved.table(&self.stage, self.output.as_deref())?;
            return if table.is_empty() { Err(self.not_run(&selection)) } else { self.write(&table, &store, ui) };
        }
        let mut records = Vec::new();
        for &id in &selection.targets {
            let name = selection.graph.stages[id].name.as_str();
            records.extend(resolved.record(id, &store)?.map(|record| (name, record)));
        }
        let known: Vec<_> = records.iter().map(|(name, record)| (*name, record)).collect();
        if known.is_empty() {
            return Err(self.not_run(&selection));
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
            tables(name, record, &store, ui)?;
        }
        Ok(())
    }

    fn not_run(&self, selection: &Selection) -> Failure {
        let message = format!("`{}` was not run yet with these settings", self.stage);
        Failure::new(ExitCode::Missing, message, selection.ways_to_result(&self.stage))
    }

    /// Writes the table of all targets.
    fn write(&self, table: &StageTable<'_>, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let format = if self.csv { TableFormat::Csv } else { TableFormat::Json };
        match &self.to {
            None => table.write(format, store, |lines| {
                ui.answer(lines);
                Ok(())
            })?,
            Some(file) => {
                let mut named = Named::create(file)?;
                let place = named.path().display().to_string();
                table.write(format, store, |lines| Ok(named.append(format!("{lines}\n").as_bytes())?))?;
                named.put()?;
                ui.say(&format!("wrote {place}"));
            }
        }
        if !table.others.is_empty() && self.output.is_none() {
            let others = table.others.iter().copied().collect::<Vec<_>>().join(", ");
            ui.say(&format!("this is the table `{}`; --output NAME selects another: {others}", table.output));
        }
        if let [first, ..] = table.missing[..] {
            let (missing, target) = (count(table.missing.len(), "stage"), quoted(&self.stage));
            ui.warn(&format!(
                "the table lacks {missing} without a record, such as {first}; `wdpipe make {target}` runs what is missing"
            ));
        }
        Ok(())
    }

    fn raw(&self, name: &str, known: &[(&str, &Record)], store: &Store, ui: &Ui) -> Result<(), Failure> {
        let [(stage, record)] = known else {
            let message = format!("`{}` names {} stages, but --output needs one", self.stage, known.len());
            return Err(Failure::usage(message, format!("name one of them; the first is '{}'", known[0].0)));
        };
        // The drawings, weights and files of a command are recorded with their extensions.
        let stem = |output: &&Output| output.name.split('.').next() == Some(name);
        let Some(output) = record.output(name).or_else(|| record.outputs.iter().find(stem)) else {
            let names: Vec<_> = record.outputs.iter().map(|output| output.name.as_str()).collect();
            return Err(Failure::usage(
                format!("`{stage}` has no output `{name}`"),
                format!("it has {}", names.join(", ")),
            ));
        };
        let place = self.to.clone().unwrap_or_else(|| "-".into());
        let named = Named::create(&place)?;
        let place = named.path().to_owned();
        let length = if output.inline.is_some() || named.is_terminal() {
            let content = store.output(output)?;
            if named.is_terminal() && Table::from_bytes(&content).is_ok() {
                let message = format!("`{name}` of `{stage}` is a table in a binary format");
                return Err(Failure::usage(message, "use --csv or --json to show it"));
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
}

/// Prints the outputs of a stage for people.
fn tables(name: &str, record: &Record, store: &Store, ui: &Ui) -> Result<(), Failure> {
    ui.answer(name);
    ui.answer(&format!("  computed {}", computed(record)));
    for output in &record.outputs {
        let table = match output.inline.is_some() || output.name == "numbers" {
            true => Table::from_bytes(&store.output(output)?).ok(),
            false => None,
        };
        match table {
            Some(table) => {
                ui.answer(&format!("  {}", output.name));
                let rows: Vec<Vec<String>> =
                    table.to_csv().lines().map(|line| line.split(',').map(shorten).collect()).collect();
                columns(&rows).iter().for_each(|line| ui.answer(&format!("    {line}")));
            }
            None => ui.answer(&format!("  {}  {}  {}", output.name, output.object, bytes(output.bytes))),
        }
    }
    Ok(())
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
