//! The tables of fields and outputs in docs/reference.md.

use std::collections::{BTreeMap, BTreeSet};

use super::files::compare;
use super::{Absent, Field, forms, places, root, schema};
use crate::spec::accepts::Accepts;
use base::work::{Content, KindName, OutputSpec, Presence};

/// The page with the tables.
const PAGE: &str = "docs/reference.md";
/// Begins the line before a table, which ends with the table's name and [`CLOSE`].
const OPEN: &str = "<!-- made from the code: ";
const CLOSE: &str = " -->";
/// The line after a table.
const END: &str = "<!-- end -->";

#[test]
fn the_reference_says_what_the_code_does() {
    let places = places();
    let mut sections: BTreeMap<String, String> =
        places.iter().map(|(place, fields)| (place.clone(), table_of_fields(place, fields))).collect();
    for kind in KindName::ALL {
        let Some(form) = forms::form(*kind) else { continue };
        let place = format!("stage {}", kind.name());
        let fields = sections.get(&place).unwrap_or_else(|| panic!("no sample has a stage of kind {}", kind.name()));
        let references = references(form.references, form.starts_from);
        let section = [references, fields.clone(), table_of_outputs(kind.outputs())];
        sections.insert(place, section.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n"));
    }
    let text = std::fs::read_to_string(root().join(PAGE)).unwrap();
    for kind in KindName::ALL.iter().filter(|kind| forms::form(**kind).is_some()) {
        let row = format!("| [`{0}`](#{0}) |", kind.name());
        assert!(text.contains(&row), "{PAGE} has a row for each kind: {row}");
    }
    compare(PAGE, &filled(&text, &sections));
}

/// Returns the page with the sections between its markers.
fn filled(page: &str, sections: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    let (mut found, mut inside) = (BTreeSet::new(), false);
    for line in page.lines() {
        inside &= line != END;
        if !inside {
            text.push_str(line);
            text.push('\n');
        }
        if let Some(name) = line.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix(CLOSE)) {
            let section = sections.get(name).unwrap_or_else(|| panic!("{PAGE}: nothing is called `{name}`"));
            text.push_str(&format!("\n{section}\n"));
            inside = found.insert(name);
        }
    }
    assert!(!inside, "{PAGE}: a section has no end");
    let missing: Vec<&String> = sections.keys().filter(|name| !found.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "{PAGE} has no section for {missing:?}: add {OPEN}NAME{CLOSE} and {END}");
    text
}

/// Says which kinds of stages the fields name that name other stages.
fn references(fields: &[&str], starts_from: &[KindName]) -> String {
    let kinds: Vec<String> = starts_from.iter().map(|kind| format!("`{}`", kind.name())).collect();
    let named = |field: &&str| match *field {
        "data" => "`data` names a stage of kind `dataset`; it is inherited if it is absent.".to_owned(),
        field if starts_from == KindName::ALL => format!("`{field}` names stages of any kind."),
        field => format!("`{field}` names a stage of kind {}, or several.", either(&kinds)),
    };
    let sentences: Vec<String> = fields.iter().map(named).collect();
    if sentences.is_empty() { String::new() } else { format!("{}\n", sentences.join("\n")) }
}

fn either(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [others @ .., last] => format!("{} or {last}", others.join(", ")),
    }
}

fn table_of_fields(place: &str, fields: &[Field]) -> String {
    if fields.is_empty() {
        return String::new();
    }
    let row = |field: &Field| format!("| `{}` | {} | {} |\n", field.name, value(place, field), absent(field));
    let rows: String = fields.iter().map(row).collect();
    format!("| field | value | if it is absent |\n| --- | --- | --- |\n{rows}")
}

/// Describes the values of a field.
fn value(place: &str, field: &Field) -> String {
    let value = match &field.accepts {
        Some(Accepts::Words(words)) => either(&words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>()),
        Some(Accepts::Truth) => "`true` or `false`".to_owned(),
        Some(Accepts::Expression) => "an expression of columns".to_owned(),
        Some(other) => other.to_string(),
        None => schema::description(&schema::untyped(place, field.name)),
    };
    match &field.only_if {
        Some((choice, words)) => {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            format!("{value}; only with `{choice}` {}", either(&words))
        }
        None => value,
    }
}

/// Describes the value of an absent field.
fn absent(field: &Field) -> String {
    let is_listed = matches!(field.accepts, Some(Accepts::Words(_) | Accepts::Truth));
    match &field.absent {
        Absent::Refused => "required".to_owned(),
        Absent::Inherited => "inherited".to_owned(),
        Absent::Nothing => String::new(),
        Absent::Values(values) if values.len() == 1 || is_listed => {
            let shown: Vec<String> =
                values.iter().filter(|value| *value != "\"\"").map(|value| format!("`{value}`")).collect();
            let other = if values.len() > 1 { ", depending on other fields" } else { "" };
            format!("{}{other}", either(&shown))
        }
        Absent::Values(_) => "depends on other fields".to_owned(),
    }
}

fn table_of_outputs(outputs: &[OutputSpec]) -> String {
    if outputs.is_empty() {
        return String::new();
    }
    let row = |output: &OutputSpec| {
        let which = match output.presence {
            Presence::Always => "",
            Presence::Sometimes => "; only of some stages",
            Presence::OnDivergence => "; only if the run diverged",
        };
        format!("| `{}` | {}{which} |\n", output.name, content(output.content))
    };
    let rows: String = outputs.iter().map(row).collect();
    format!("| output | contents |\n| --- | --- |\n{rows}")
}

fn content(content: Content) -> String {
    match content {
        Content::Images => "images with their labels".to_owned(),
        Content::Network => "all tensors of a network".to_owned(),
        Content::Parameters => "one number for each trained parameter".to_owned(),
        Content::LossScale => "the state of the loss scale of float16".to_owned(),
        Content::Drawing => "a drawing".to_owned(),
        Content::Plotted => "the plotted numbers".to_owned(),
        Content::Table(columns) => {
            let columns: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
            format!("a table with the columns {}", columns.join(", "))
        }
        Content::Json => "a JSON value".to_owned(),
        Content::Bytes => "a file".to_owned(),
    }
}
