//! Builds instances of stages that run the user's own program.

mod fields;
mod inputs;

use std::collections::{BTreeMap, BTreeSet};

use self::fields::{environment, out, parameters, tolerance, variables};
use self::inputs::{collect, files_of, roles, stage_of};
use super::fields::Fields;
use super::gather::{CHECKPOINTS, gathers};
use super::node::{Data, Node, did_you_mean};
use super::stages::{Checkpoint, Instance, Site, no_checkpoint};
use crate::graph::StageId;
use base::isolation::Isolation;
use base::work::{Command, SECONDS, Terms, Work};

/// Fields of a stage of kind `command` that are not parameters.
const FIELDS: [&str; 14] = [
    "kind",
    "only",
    "run",
    "in",
    "code",
    "env",
    "out",
    "after",
    "variables",
    "seconds",
    "memory",
    "sandbox",
    "deterministic",
    "tolerance",
];

/// The words for the weakest isolation of a command.
const ISOLATION: [(&str, Option<Isolation>); 2] =
    [("require", Some(Isolation::Landlock)), ("try", Some(Isolation::None))];

/// Returns the names of the stages in the table `in` of a command, in the order of its roles.
pub fn named(node: &Node) -> Vec<String> {
    let Data::Table(fields) = &node.data else { return Vec::new() };
    let Some(Node { data: Data::Table(roles), .. }) = fields.get("in") else { return Vec::new() };
    let text = |node: &Node| if let Data::Text(text) = &node.data { Some(stage_of(text).0.to_owned()) } else { None };
    roles.values().filter_map(text).collect()
}

/// Returns all stages that the table `in` of a command names, with those whose instances are collected.
pub fn all_named(node: &Node) -> Vec<String> {
    let gathers = gathers(node);
    named(node).into_iter().chain(gathers.iter().map(|gather| gather.stage().to_owned())).collect()
}

/// Reads a stage of kind `command`, and adds a stage for each checkpoint that the command reads.
pub fn command(site: &mut Site<'_>) -> Instance {
    let fields = site.fields;
    let command = read(site);
    let roles = roles(fields);
    // Instances whose checkpoints are not collected have the same ones.
    let one_by_one = site.gathered.iter().filter(|gathered| !gathered.gather.over.contains(CHECKPOINTS));
    let first = one_by_one.filter_map(|gathered| gathered.instances.first()).map(|(_, instance)| *instance);
    let several = site.start.iter().copied().chain(first).filter(|instance| instance.checkpoints.len() > 1);
    let epochs = several.map(|instance| instance.checkpoints.iter().map(|checkpoint| checkpoint.epoch).collect());
    let common: Option<BTreeSet<u32>> = epochs.reduce(|a: BTreeSet<u32>, b| a.intersection(&b).copied().collect());
    let chosen: Vec<Option<u32>> = match (&common, fields.integers("after")) {
        (None, _) => vec![None],
        (Some(common), None) => common.iter().copied().map(Some).collect(),
        (Some(common), Some(wanted)) => {
            let all: Vec<Checkpoint> =
                common.iter().map(|&epoch| Checkpoint { epoch, stage: StageId::default() }).collect();
            for epoch in wanted.iter().filter(|epoch| !common.contains(epoch)) {
                fields.complain("after", no_checkpoint(*epoch, &all));
            }
            wanted.into_iter().filter(|epoch| common.contains(epoch)).map(Some).collect()
        }
    };
    let mut checkpoints = Vec::new();
    for after in chosen {
        let mut inputs = Vec::new();
        for (instance, (role, output)) in site.start.iter().zip(&roles) {
            let at = |checkpoint: &&Checkpoint| instance.checkpoints.len() == 1 || Some(checkpoint.epoch) == after;
            if let Some(checkpoint) = instance.checkpoints.iter().find(at) {
                inputs.extend(files_of(site, (role, role), output.as_deref(), checkpoint.stage));
            }
        }
        let collected = collect(site, after, &mut inputs);
        let inputs_named = inputs.iter().map(|input| input.role.clone()).collect();
        let work = Command { inputs: inputs_named, collected, after, ..command.clone() };
        check_placeholders(fields, &work);
        let name = match after {
            Some(epoch) if common.as_ref().is_some_and(|common| common.len() > 1) => format!("{}@{epoch}", site.name),
            _ => site.name.to_owned(),
        };
        let stage = site.push(name, Work::Command(work), inputs);
        checkpoints.push(Checkpoint { epoch: after.unwrap_or_default(), stage });
    }
    Instance { checkpoints, lineage: None }
}

/// Reads the fields that all stages of an instance share.
fn read(site: &Site<'_>) -> Command {
    let fields = site.fields;
    let run = fields.texts("run");
    if run.first().is_none_or(String::is_empty) && fields.has("run") {
        fields.complain("run", "`run` is empty: name a program and its arguments, such as [\"python3\", \"a.py\"]");
    }
    if let [line] = &run[..]
        && line.contains(char::is_whitespace)
    {
        let words: Vec<String> = line.split_whitespace().map(|word| format!("\"{word}\"")).collect();
        fields.complain("run", format!("`run` has one text for each argument: run = [{}]", words.join(", ")));
    }
    let mut code = BTreeMap::new();
    for pattern in fields.texts("code") {
        match site.code.named(&pattern) {
            Ok(found) => code.extend(found),
            Err(message) => fields.complain("code", message),
        }
    }
    let memory = if fields.has("memory") { fields.integer("memory", None, 1..=u32::MAX) } else { 0 };
    let terms = Terms {
        root: site.code.home().to_owned(),
        seconds: u64::from(fields.integer("seconds", Some(SECONDS), 1..=10_000_000)),
        memory: u64::from(memory) << 20,
        isolation: fields.choice("sandbox", Some(None), &ISOLATION).flatten(),
    };
    let ((lock, image), out, variables) = (environment(site), out(fields), variables(fields));
    let (parameters, tolerance) = (parameters(fields), tolerance(fields));
    Command {
        run,
        inputs: Vec::new(),
        code,
        lock,
        image,
        out,
        parameters,
        variables,
        collected: BTreeMap::new(),
        after: None,
        tolerance,
        terms,
    }
}

/// Checks that all placeholders of a command are known, and that the command uses all its parameters and outputs.
fn check_placeholders(fields: &Fields<'_>, work: &Command) {
    let (known, mut used) = (work.values(), BTreeSet::new());
    for name in work.run.iter().flat_map(|word| Command::placeholders(word)) {
        if !known.contains_key(name) {
            let hint = did_you_mean(name, known.keys().map(String::as_str));
            fields.complain("run", format!("`{{{name}}}` names nothing{hint}"));
        }
        used.insert(name.to_owned());
    }
    for name in work.parameters.keys().filter(|name| !used.contains(*name)) {
        let hint = did_you_mean(name, FIELDS);
        fields.complain("run", format!("the command does not use `{name}`: write {{{name}}} where it is needed{hint}"));
    }
    for name in work.out.keys().map(|name| format!("out.{name}")).filter(|name| !used.contains(name)) {
        fields.complain("run", format!("the command does not say where it writes: use {{{name}}}"));
    }
}
