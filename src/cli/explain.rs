//! `wdpipe explain`: explains a stage's key, and why the stage would run or not.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::arguments::VariantArgs;
use super::format::{bytes, columns, date, duration, plain};
use super::parse::whole;
use super::share::store_or_none;
use super::ui::Ui;
use crate::plan::{Bytes, Knowledge, MissReason};
use crate::project::{Explained, Failure, Project};
use base::digest::{ObjectDigest, StageKey};
use base::record::{Output, Provenance, Record};

/// Explain what a stage computes, and why it would run or not.
///
/// Prints its parameters and where each was set, its inputs, its key, and the records of this key.
#[derive(Debug, Args)]
pub struct ExplainCommand {
    /// A stage, such as 'fig3/trunk[lr=0.1,seed=0]@5', or several (fig3/trunk[lr=0.1]).
    #[arg(value_name = "STAGE")]
    stage: String,
    #[command(flatten)]
    variant: VariantArgs,
    /// Largest number of stages to explain.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = whole(0..=usize::MAX))]
    limit: usize,
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
}

impl ExplainCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such stage, or the store cannot be read.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let variant = self.variant.to_variant();
        let selection = project.select(&variant, std::slice::from_ref(&self.stage))?;
        let store = store_or_none(project, ui)?;
        let all = project.explain(&variant, &selection, &store, self.limit)?;
        if self.json {
            ui.json(&all.iter().map(ExplainAnswer::of).collect::<Vec<_>>());
            return Ok(());
        }
        all.iter().for_each(|explained| text(explained, ui));
        let left = selection.targets.len().saturating_sub(self.limit);
        if left > 0 {
            ui.say(&format!("… and {left} more; --limit N explains more of them"));
        }
        Ok(())
    }
}

fn text(explained: &Explained<'_>, ui: &Ui) {
    let Explained { graph, stage, knowledge, record, key, parameters, reason, .. } = explained;
    ui.answer(&stage.name);
    let state = match (reason, knowledge) {
        (Some(reason), _) => format!("would run: {reason}"),
        (None, Knowledge::Known { .. }) => "cached".to_owned(),
        (None, _) => "not needed".to_owned(),
    };
    let mut rows = vec![vec!["  state".to_owned(), state]];
    let mut row = |name: &str, value: String| rows.push(vec![format!("  {name}"), value]);
    row("kind", format!("{}, version {}", stage.work.kind(), stage.work.version()));
    if let Some((key, _)) = key {
        row("key", key.to_string());
    }
    columns(&rows).iter().for_each(|line| ui.answer(line));
    let short = |value: &str| match value.char_indices().nth(100) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    };
    let told: Vec<Vec<String>> =
        parameters.iter().map(|p| vec![format!("  {}", p.name), short(&p.value), plain(&p.origin)]).collect();
    columns(&told).iter().for_each(|line| ui.answer(line));
    let mut rows = Vec::new();
    let mut row = |name: &str, value: String| rows.push(vec![format!("  {name}"), value]);
    if let Some((_, parts)) = key {
        for (role, object) in parts.inputs.iter().take(8) {
            let from = stage.inputs.iter().find(|input| input.role == *role);
            let from = from.map(|input| format!(" from {}", graph.stages[input.stage].name)).unwrap_or_default();
            row(&format!("input {role}"), format!("{}{from}", object.short()));
        }
        if parts.inputs.len() > 8 {
            row("inputs", format!("and {} more", parts.inputs.len() - 8));
        }
        for (name, value) in &parts.policy {
            row(&format!("policy {name}"), value.to_string());
        }
    } else {
        for input in &stage.inputs {
            row(&format!("input {}", input.role), format!("from {}", graph.stages[input.stage].name));
        }
    }
    if let Knowledge::Known { outline, bytes: at_hand, .. } = knowledge {
        for (output, at_hand) in outline.outputs.iter().zip(at_hand) {
            let note = match at_hand {
                Bytes::Present => "",
                Bytes::Dropped => ", bytes not in this cache",
                Bytes::Damaged => ", bytes damaged",
            };
            row(&format!("output {}", output.name), format!("{}  {}{note}", output.object, bytes(output.bytes)));
        }
    }
    if let Some(record) = record {
        row("computed", computed(record));
    }
    columns(&rows).iter().for_each(|line| ui.answer(line));
}

/// Describes who computed a record, where, when and for how long.
pub fn computed(record: &Record) -> String {
    let made = &record.provenance;
    let machine = if made.machine.is_empty() { String::new() } else { format!(" ({})", made.machine) };
    format!(
        "{} by {} on {}{machine}, in {}, with wdpipe {}",
        date(made.finished),
        made.who,
        made.device,
        duration(made.seconds),
        made.wdpipe
    )
}

/// A stage in the output of `explain --json`.
#[derive(Serialize)]
struct ExplainAnswer<'a> {
    stage: &'a str,
    kind: &'static str,
    version: u32,
    would_run: bool,
    reason: &'a Option<MissReason>,
    key: Option<StageKey>,
    parameters: BTreeMap<&'a str, String>,
    origins: BTreeMap<&'a str, &'a str>,
    inputs: Option<&'a BTreeMap<String, ObjectDigest>>,
    outputs: Option<BTreeMap<&'a str, OutputAnswer<'a>>>,
    provenance: Option<&'a Provenance>,
}

#[derive(Serialize)]
struct OutputAnswer<'a> {
    blake3: &'a ObjectDigest,
    bytes: u64,
}

impl<'a> ExplainAnswer<'a> {
    fn of(explained: &'a Explained<'_>) -> Self {
        let Explained { stage, record, key, work, parameters, reason, .. } = explained;
        let output =
            |output: &'a Output| (output.name.as_str(), OutputAnswer { blake3: &output.object, bytes: output.bytes });
        Self {
            stage: &stage.name,
            kind: stage.work.kind(),
            version: stage.work.version(),
            would_run: reason.is_some(),
            reason,
            key: key.as_ref().map(|(key, _)| *key),
            parameters: work.iter().map(|(name, value)| (name.as_str(), value.to_string())).collect(),
            origins: parameters.iter().map(|p| (p.name.as_str(), p.origin.as_str())).collect(),
            inputs: key.as_ref().map(|(_, parts)| &parts.inputs),
            outputs: record.as_ref().map(|record| record.outputs.iter().map(output).collect()),
            provenance: record.as_ref().map(|record| &record.provenance),
        }
    }
}
