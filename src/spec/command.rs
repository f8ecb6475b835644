//! Builds instances of stages that run the user's own program.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::Fields;
use super::gather::{CHECKPOINTS, Gathered, file_name, gather, gathers};
use super::node::{Data, Node, did_you_mean};
use super::stages::{Checkpoint, Instance, Site, no_checkpoint};
use crate::graph::{Input, StageId};
use base::isolation::Isolation;
use base::name::is_plain;
use base::work::{
    Command, Content, Image, LockFile, Out, OutputFormat, OutputSpec, Parameter, SECONDS, Terms, Tolerance, Work,
    is_bulk,
};

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

/// Splits `stage` or `stage:output`.
fn stage_of(text: &str) -> (&str, Option<&str>) {
    text.split_once(':').map_or((text, None), |(stage, output)| (stage, Some(output)))
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

/// Reads `deterministic` and `tolerance`: a relative tolerance, or a table with `relative` and `absolute`.
fn tolerance(fields: &Fields<'_>) -> Option<Tolerance> {
    let node = fields.node("tolerance");
    match (fields.truth("deterministic", true), node) {
        (true, None) => return None,
        (true, Some(_)) => {
            fields.complain(
                "tolerance",
                "a tolerance is for commands that are not deterministic: add `deterministic = false`",
            );
            return None;
        }
        (false, None) => {
            let message = "say how far the numbers of two runs can differ: add `tolerance = 1e-6`, or another share";
            fields.complain("deterministic", message);
            return None;
        }
        (false, Some(_)) => {}
    }
    let share = |node: &Node| match node.data {
        Data::Float(value) if (0.0..=1e9).contains(&value) => Some(value),
        Data::Int(value @ 0..=1_000_000_000) => Some(value as f64),
        _ => None,
    };
    let read = match &node?.data {
        Data::Table(table) => table.iter().try_fold(Tolerance::NONE, |tolerance, (name, node)| match name.as_str() {
            "relative" => Some(Tolerance { relative: share(node)?, ..tolerance }),
            "absolute" => Some(Tolerance { absolute: share(node)?, ..tolerance }),
            _ => None,
        }),
        _ => node.and_then(share).map(|relative| Tolerance { relative, ..Tolerance::NONE }),
    };
    if read.is_none() {
        let message =
            "`tolerance` must be a number such as 1e-6, or a table such as { relative = 1e-6, absolute = 1e-9 }";
        fields.complain("tolerance", message);
    }
    read
}

/// Reads `env`: `"host"`, the lock file of the command's environment, or the image that it runs in.
fn environment(site: &Site<'_>) -> (Option<LockFile>, Option<Image>) {
    let fields = site.fields;
    let wrong = || {
        fields.complain(
            "env",
            "`env` must say what the command runs in: { lock = \"uv.lock\" }, { image = \"…@sha256:…\", with = [\"podman\", \
             …] }, or \"host\" for whatever the machine has",
        );
        (None, None)
    };
    let table = match fields.node("env").map(|node| &node.data) {
        Some(Data::Text(text)) if text == "host" => return (None, None),
        Some(Data::Table(table)) => table,
        _ => return wrong(),
    };
    let get = |name: &str| table.get(name).map(|node| &node.data);
    match (get("lock"), get("image"), get("with")) {
        (Some(Data::Text(path)), None, None) if table.len() == 1 => (lock(site, path), None),
        (None, Some(Data::Text(reference)), Some(Data::List(with))) if table.len() == 2 => {
            (None, image(fields, reference, with))
        }
        (None, Some(Data::Text(_)), None) => {
            fields.complain(
                "env",
                "`env` needs `with`, the program that runs commands in the image: with = [\"podman\", \"run\", …, \
                 \"{image}\"]",
            );
            (None, None)
        }
        _ => wrong(),
    }
}

fn lock(site: &Site<'_>, path: &str) -> Option<LockFile> {
    match site.code.named(path) {
        Ok(found) => found.into_iter().next().map(|(path, hash)| LockFile { path, hash }),
        Err(message) => {
            site.fields.complain("env", message);
            None
        }
    }
}

fn image(fields: &Fields<'_>, reference: &str, with: &[Node]) -> Option<Image> {
    let text = |node: &Node| if let Data::Text(text) = &node.data { Some(text.clone()) } else { None };
    let Some(with) = with.iter().map(text).collect::<Option<Vec<_>>>().filter(|with| !with.is_empty()) else {
        fields.complain("env", "`with` must be a list of words, such as [\"podman\", \"run\", \"{image}\"]");
        return None;
    };
    if !Image::has_digest(reference) {
        let message = format!(
            "`{reference}` does not name one image for ever: write its digest, NAME@sha256: and 64 hexadecimal digits"
        );
        fields.complain("env", message);
    }
    let names: Vec<_> = with.iter().flat_map(|word| Command::placeholders(word)).collect();
    for name in names.iter().filter(|name| !Image::PLACEHOLDERS.contains(name)) {
        let hint = did_you_mean(name, Image::PLACEHOLDERS);
        fields.complain("env", format!("`{{{name}}}` names nothing in `with`{hint}"));
    }
    if !names.contains(&"image") {
        fields.complain("env", "`with` does not name the image: write {image} where the program takes it");
    }
    Some(Image { reference: reference.to_owned(), with })
}

/// Reads the roles of `in`, each with the output that it selects, if any.
fn roles(fields: &Fields<'_>) -> Vec<(String, Option<String>)> {
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
fn collect(
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
fn files_of(site: &Site<'_>, (path, role): (&str, &str), output: Option<&str>, stage: StageId) -> Vec<Input> {
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

/// Reads `out`.
fn out(fields: &Fields<'_>) -> BTreeMap<String, Out> {
    let mut out = BTreeMap::new();
    let formats = || OutputFormat::ALL.map(|(name, _)| name).join(", ");
    let format = |text: &str| OutputFormat::ALL.into_iter().find(|(name, _)| *name == text).map(|(_, format)| format);
    let Some(Node { data: Data::Table(table), .. }) = fields.node("out") else {
        fields.complain("out", "`out` is missing: a table of outputs and their formats, such as { table = \"table\" }");
        return out;
    };
    for (name, node) in table {
        if !is_plain(name) || name.contains('.') {
            fields.complain("out", format!("`{name}` cannot be the name of an output"));
            continue;
        }
        let (word, columns) = match &node.data {
            Data::Text(text) => (Some(text.as_str()), Vec::new()),
            // The columns of a table.
            Data::List(nodes) => {
                let text = |node: &Node| if let Data::Text(text) = &node.data { Some(text.clone()) } else { None };
                let columns: Option<Vec<String>> = nodes.iter().map(text).collect();
                (columns.as_ref().filter(|columns| !columns.is_empty()).map(|_| "table"), columns.unwrap_or_default())
            }
            _ => (None, Vec::new()),
        };
        let Some(format) = word.and_then(format) else {
            let hint = word.map(|word| did_you_mean(word, OutputFormat::ALL.map(|(name, _)| name))).unwrap_or_default();
            let message = format!(
                "`{name}` must be a format ({}) or a list of a table's columns, not {}{hint}",
                formats(),
                node.describe()
            );
            fields.complain("out", message);
            continue;
        };
        if matches!(format, OutputFormat::Table | OutputFormat::Json) && is_bulk(name) {
            fields
                .complain("out", format!("`{name}` names weights, images or drawings elsewhere: choose another name"));
        }
        out.insert(name.clone(), Out { format, columns });
    }
    if table.is_empty() {
        fields.complain("out", "`out` is empty: a command needs an output");
    }
    out
}

/// Reads `variables`.
fn variables(fields: &Fields<'_>) -> BTreeMap<String, String> {
    let Some(node) = fields.node("variables") else { return BTreeMap::new() };
    let Data::Table(table) = &node.data else {
        fields.complain("variables", "`variables` is a table of environment variables and their values");
        return BTreeMap::new();
    };
    let mut variables = BTreeMap::new();
    for (name, node) in table {
        let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
        match scalar(node) {
            Some(value) if is_name => drop(variables.insert(name.clone(), value.to_string())),
            _ => fields.complain("variables", format!("`{name}` is not a variable with a value")),
        }
    }
    variables
}

/// Reads all other fields as parameters.
fn parameters(fields: &Fields<'_>) -> BTreeMap<String, Parameter> {
    let mut parameters = BTreeMap::new();
    for (name, node) in fields.others(&FIELDS) {
        match scalar(node) {
            Some(value) => drop(parameters.insert(name.to_owned(), value)),
            None => fields.complain("run", format!("`{name}` must be a number, text, true or false")),
        }
    }
    parameters
}

fn scalar(node: &Node) -> Option<Parameter> {
    Some(match &node.data {
        Data::Bool(value) => Parameter::Bool(*value),
        Data::Int(value) => Parameter::Int(*value),
        Data::Float(value) if value.is_finite() => Parameter::Float(*value),
        Data::Text(value) => Parameter::Text(value.clone()),
        _ => return None,
    })
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
