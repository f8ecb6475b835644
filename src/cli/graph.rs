//! `wdpipe graph`: prints the stages of a target and their dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::arguments::VariantArgs;
use super::format::columns;
use super::ui::Ui;
use crate::graph::{Input, Stage};
use crate::project::{Failure, Project, Selection, family};

/// Print the stages of a target and the inputs of each.
#[derive(Debug, Args)]
pub struct GraphCommand {
    /// Figures, panels or stages [default: all].
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: VariantArgs,
    /// Output format. text: one line for stages that differ only in sweep values; dot: for Graphviz; json: every stage.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    Text,
    Dot,
    Json,
}

impl GraphCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pipeline or target is wrong.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let selection = project.select(&self.variant.to_variant(), &self.targets)?;
        match self.format {
            Form::Text => ui.answer(&text(&selection)),
            Form::Dot => ui.answer(&dot(&selection)),
            Form::Json => ui.json(&answers(&selection)),
        }
        Ok(())
    }
}

/// Groups stages by name: returns the name, the kind, the number of stages, and the names of the stages that they read.
fn families(selection: &Selection) -> Vec<(String, &'static str, usize, BTreeSet<String>)> {
    let mut index: BTreeMap<String, usize> = BTreeMap::new();
    let mut families: Vec<(String, &'static str, usize, BTreeSet<String>)> = Vec::new();
    for stage in selection.stages() {
        let name = family(&stage.name).to_owned();
        let at = *index.entry(name.clone()).or_insert_with(|| {
            families.push((name.clone(), stage.work.kind(), 0, BTreeSet::new()));
            families.len() - 1
        });
        families[at].2 += 1;
        let from = stage.inputs.iter().map(|input| family(&selection.graph.stages[input.stage].name).to_owned());
        families[at].3.extend(from.filter(|from| *from != name));
    }
    families
}

fn text(selection: &Selection) -> String {
    let row = |(name, kind, count, from): (String, &str, usize, BTreeSet<String>)| {
        let from = from.into_iter().collect::<Vec<_>>().join(", ");
        vec![name, kind.to_owned(), format!("×{count}"), if from.is_empty() { from } else { format!("← {from}") }]
    };
    columns(&families(selection).into_iter().map(row).collect::<Vec<_>>()).join("\n")
}

fn dot(selection: &Selection) -> String {
    let mut text = String::from("digraph wdpipe {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n");
    for (name, kind, count, from) in families(selection) {
        let _ = writeln!(text, "  \"{name}\" [label=\"{name}\\n{kind} ×{count}\"];");
        for from in from {
            let _ = writeln!(text, "  \"{from}\" -> \"{name}\";");
        }
    }
    text.push('}');
    text
}

/// A stage in the output of `graph --format json`.
#[derive(Serialize)]
struct StageAnswer<'a> {
    name: &'a str,
    kind: &'static str,
    inputs: Vec<InputAnswer<'a>>,
}

#[derive(Serialize)]
struct InputAnswer<'a> {
    role: &'a str,
    stage: &'a str,
    output: &'static str,
}

fn answers<'a>(selection: &'a Selection) -> Vec<StageAnswer<'a>> {
    let input = |input: &'a Input| InputAnswer {
        role: &input.role,
        stage: &selection.graph.stages[input.stage].name,
        output: input.output,
    };
    let stage = |stage: &'a Stage| StageAnswer {
        name: &stage.name,
        kind: stage.work.kind(),
        inputs: stage.inputs.iter().map(input).collect(),
    };
    selection.stages().map(stage).collect()
}
