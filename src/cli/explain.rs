//! `wdpipe explain`: what a stage's key is made of, and why it would run or not.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use clap::Args;

use super::format::{bytes, columns, date, duration, plain};
use super::parameters::{Parameter, parameters};
use super::parse::whole;
use super::select::{Variant, pipeline_of, select};
use super::ui::Ui;
use super::{Failure, Global};
use crate::engine::{EngineError, Resolver};
use crate::graph::Graph;
use crate::plan::{Bytes, Knowledge, MissReason, plan};
use base::record::{KeyParts, Record};
use base::value::Map;

/// Says what a stage computes, from what, and why it would run or not.
#[derive(Debug, Args)]
pub struct Explain {
    /// A stage, such as 'fig3/trunk[lr=0.1,seed=0]@5', or several (fig3/trunk[lr=0.1]).
    #[arg(value_name = "STAGE")]
    stage: String,
    #[command(flatten)]
    variant: Variant,
    /// Explain this many stages at most.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = whole(0..=usize::MAX))]
    limit: usize,
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
}

impl Explain {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such stage, or the store cannot be read.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let selection = select(global, &self.variant, std::slice::from_ref(&self.stage))?;
        let graph = &selection.graph;
        let found = &selection.targets;
        let store = global.store_or_none(ui)?;
        let resolver = Resolver::new(&store, graph, &selection.preference);
        let knowledge = resolver.all(&graph.closure(found))?;
        let plan = plan(graph, found, &knowledge);
        let mut explained = Vec::new();
        let mut pipelines = BTreeMap::new();
        for &id in found.iter().take(self.limit) {
            let parts = match resolver.inputs(id, &knowledge)? {
                Some(inputs) => Some(resolver.parts(id, &inputs)?),
                None => None,
            };
            let reason = plan.run.iter().find(|run| run.stage == id).map(|run| &run.reason);
            let record = match &knowledge[id] {
                Knowledge::Known { key, outline, .. } => store.recorded(key, &outline.digest)?,
                _ => None,
            };
            let name = &graph.stages[id].name;
            let pipeline = match pipelines.entry(name.split('/').next().unwrap_or_default().to_owned()) {
                Entry::Occupied(read) => read.into_mut(),
                Entry::Vacant(new) => new.insert(pipeline_of(global, &self.variant, name)?),
            };
            let told = pipeline.as_ref().map(|pipeline| pipeline.told(name)).unwrap_or_default();
            let work = graph.stages[id].work.parameters();
            let work = work.map_err(|error| EngineError::Parameters(name.clone(), error))?;
            let listed = parameters(&work, &told);
            if self.json {
                explained.push(json(graph, id, record.as_ref(), parts.as_ref(), (&work, &listed), reason));
            } else {
                text(graph, id, (&knowledge[id], record.as_ref()), (parts.as_ref(), &listed), reason, ui);
            }
        }
        if self.json {
            ui.answer(&serde_json::Value::from(explained).to_string());
        } else if found.len() > self.limit {
            ui.say(&format!("… and {} more; --limit N explains more of them", found.len() - self.limit));
        }
        Ok(())
    }
}

fn text(
    graph: &Graph,
    id: usize,
    (knowledge, record): (&Knowledge, Option<&Record>),
    (parts, parameters): (Option<&KeyParts>, &[Parameter]),
    reason: Option<&MissReason>,
    ui: &Ui,
) {
    let stage = &graph.stages[id];
    ui.answer(&stage.name);
    let state = match (reason, knowledge) {
        (Some(reason), _) => format!("would run: {reason}"),
        (None, Knowledge::Known { .. }) => "cached".to_owned(),
        (None, _) => "not needed".to_owned(),
    };
    let mut rows = vec![vec!["  state".to_owned(), state]];
    let mut row = |name: &str, value: String| rows.push(vec![format!("  {name}"), value]);
    row("kind", format!("{}, version {}", stage.work.kind(), stage.work.version()));
    if let Some(parts) = parts {
        row("key", parts.key().to_string());
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
    if let Some(parts) = parts {
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
                Bytes::Dropped => ", bytes dropped",
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

/// Who computed a record, where, when and for how long.
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

fn json(
    graph: &Graph,
    id: usize,
    record: Option<&Record>,
    parts: Option<&KeyParts>,
    (work, parameters): (&Map, &[Parameter]),
    reason: Option<&MissReason>,
) -> serde_json::Value {
    let outputs = record.map(|record| {
        let output = |output: &base::record::Output| {
            (output.name.clone(), serde_json::json!({ "blake3": output.object, "bytes": output.bytes }))
        };
        record.outputs.iter().map(output).collect::<serde_json::Map<_, _>>()
    });
    serde_json::json!({
        "stage": graph.stages[id].name,
        "kind": graph.stages[id].work.kind(),
        "version": graph.stages[id].work.version(),
        "would_run": reason.is_some(),
        "reason": reason,
        "key": parts.map(|parts| parts.key().to_string()),
        "parameters": work.iter().map(|(k, v)| (k.clone(), v.to_string().into())).collect::<serde_json::Map<_, _>>(),
        "origins": parameters.iter().map(|p| (p.name.clone(), p.origin.clone().into())).collect::<serde_json::Map<_, _>>(),
        "inputs": parts.map(|parts| &parts.inputs),
        "outputs": outputs,
        "provenance": record.map(|record| &record.provenance),
    })
}
