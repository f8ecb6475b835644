//! The fields of commands other than their inputs.

use std::collections::BTreeMap;

use super::FIELDS;
use crate::spec::fields::Fields;
use crate::spec::node::{Data, Node, did_you_mean};
use crate::spec::stages::Site;
use base::name::is_plain;
use base::work::{Command, Image, LockFile, Out, OutputFormat, Parameter, Tolerance, is_bulk};

/// Reads `deterministic` and `tolerance`: a relative tolerance, or a table with `relative` and `absolute`.
pub fn tolerance(fields: &Fields<'_>) -> Option<Tolerance> {
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
pub fn environment(site: &Site<'_>) -> (Option<LockFile>, Option<Image>) {
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

/// Reads `out`.
pub fn out(fields: &Fields<'_>) -> BTreeMap<String, Out> {
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
pub fn variables(fields: &Fields<'_>) -> BTreeMap<String, String> {
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
pub fn parameters(fields: &Fields<'_>) -> BTreeMap<String, Parameter> {
    let mut parameters = BTreeMap::new();
    for (name, node) in fields.others(&FIELDS) {
        match scalar(node) {
            Some(value) => drop(parameters.insert(name.to_owned(), value)),
            None => fields.complain("run", format!("`{name}` must be a number, text, true or false")),
        }
    }
    parameters
}

pub fn scalar(node: &Node) -> Option<Parameter> {
    Some(match &node.data {
        Data::Bool(value) => Parameter::Bool(*value),
        Data::Int(value) => Parameter::Int(*value),
        Data::Float(value) if value.is_finite() => Parameter::Float(*value),
        Data::Text(value) => Parameter::Text(value.clone()),
        _ => return None,
    })
}
