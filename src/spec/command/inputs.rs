//! The inputs of commands: the files in which a command finds the outputs of other stages.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::scalar;
use crate::graph::{Input, StageId};
use crate::spec::fields::Fields;
use crate::spec::gather::{CHECKPOINTS, Gathered, file_name, gather};
use crate::spec::node::Data;
use crate::spec::stages::{Checkpoint, Site};
use base::name::is_plain;
use base::work::{Content, OutputSpec, Parameter};

/// Splits `stage` or `stage:output`.
pub fn stage_of(text: &str) -> (&str, Option<&str>) {
    text.split_once(':').map_or((text, None), |(stage, output)| (stage, Some(output)))
}

/// Reads the roles of `in`, each with the output that it selects, if any.
pub fn roles(fields: &Fields<'_>) -> Vec<(String, Option<String>)> {
    let Some(node) = fields.node("in") else { return Vec::new() };
    let Data::Table(table) = &node.data else {
        fields.complain("in", "`in` is a table of names and stages, such as { weights = \"trunk\", data = \"data\" }");
        return Vec::new();
    };
    let mut roles = Vec::new();
    for (role, node) in table {
        match &node.data {
            _ if !is_plain(role) => fields.complain("in", format!("`{role}` cannot be the name of an input")),
            Data::Text(text) => roles.push((role.clone(), stage_of(text).1.map(str::to_owned))),
            _ if gather(role, node).is_some() => {}
            _ => fields.complain(
                "in",
                format!(
                    "`{role}` must be the name of a stage, or {{ from = \"STAGE\", over = [\"seed\"] }} to collect its \
                     instances, not {}",
                    node.describe()
                ),
            ),
        }
    }
    roles
}

/// Adds the files of the inputs that collect instances: a folder for each input, with a file or folder for each instance.
/// Returns the settings of the instance that each file is from.
pub fn collect(
    site: &Site<'_>,
    after: Option<u32>,
    inputs: &mut Vec<Input>,
) -> BTreeMap<String, BTreeMap<String, Parameter>> {
    let mut collected = BTreeMap::new();
    for Gathered { gather, instances } in site.gathered {
        let (role, output) = (gather.role.as_str(), stage_of(&gather.from).1);
        let every = gather.over.contains(CHECKPOINTS);
        let mut names = BTreeSet::new();
        for (values, instance) in instances {
            let several = instance.checkpoints.len() > 1;
            let is_read = |checkpoint: &&Checkpoint| every || !several || Some(checkpoint.epoch) == after;
            for checkpoint in instance.checkpoints.iter().filter(is_read) {
                let mut name = file_name(values, (every && several).then_some(checkpoint.epoch));
                // Names that are too long, or the same after their characters were replaced, are numbers.
                if !is_plain(&name) || !names.insert(name.clone()) {
                    name = format!("{:05}", names.len());
                    names.insert(name.clone());
                }
                let mut settings: BTreeMap<String, Parameter> =
                    values.iter().filter_map(|(name, node)| Some((name.clone(), scalar(node)?))).collect();
                if every && several {
                    settings.insert(CHECKPOINTS.to_owned(), Parameter::Int(checkpoint.epoch.into()));
                }
                for input in files_of(site, (&format!("{role}/{name}"), role), output, checkpoint.stage) {
                    collected.insert(input.role.clone(), settings.clone());
                    inputs.push(input);
                }
            }
        }
    }
    collected
}

/// Returns the files of an input, whose names begin with `path`: one output of a stage, or all its outputs in a folder.
pub fn files_of(site: &Site<'_>, (path, role): (&str, &str), output: Option<&str>, stage: StageId) -> Vec<Input> {
    let declared: Vec<&OutputSpec> = site.stages[stage].work.declared().collect();
    let input =
        |path: &str, spec: &OutputSpec| Input { role: format!("{path}.{}", extension(spec)), stage, output: spec.name };
    let named = |name: &str| declared.iter().find(|spec| spec.name == name || base_name(spec.name) == name);
    match (output, &declared[..]) {
        (Some(output), _) => match named(output) {
            Some(spec) => vec![input(path, spec)],
            None => {
                let all: Vec<_> = declared.iter().map(|spec| spec.name).collect();
                let name = &site.stages[stage].name;
                site.fields.complain("in", format!("`{name}` has no output `{output}`, only {}", all.join(", ")));
                Vec::new()
            }
        },
        (None, [one]) => vec![input(path, one)],
        (None, all) => match named(role) {
            Some(spec) => vec![input(path, spec)],
            None => all.iter().map(|spec| input(&format!("{path}/{}", base_name(spec.name)), spec)).collect(),
        },
    }
}

/// Returns the name of an output without its file extension.
fn base_name(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// Returns the extension of the file in which a command finds an output.
fn extension(spec: &OutputSpec) -> &str {
    match spec.content {
        Content::Images | Content::Network | Content::Parameters => "safetensors",
        Content::Table(_) | Content::Plotted => "csv",
        Content::Json => "json",
        Content::LossScale => "bin",
        Content::Drawing | Content::Bytes => spec.name.rsplit('.').next().unwrap_or("bin"),
    }
}
