//! What a pipeline claims of its numbers, and what was published.

use std::collections::BTreeMap;

use super::curves::{self, Curves, Sources};
use super::fields::Fields;
use super::node::{Data, Diagnostic, Node, did_you_mean};
use super::pipeline::Pipeline;
use crate::claim::{Statement, Window};
use crate::graph::{Claim, Published, PublishedValue, Tolerance};

/// The words of a pipeline for [`Statement`]s.
const WORDS: [&str; 9] = ["below", "ascending", "descending", "drops", "grows", "u-shape", "steady", "alike", "slope"];

/// Reads every `[[claim]]`.
pub fn claims(pipeline: &Pipeline, sources: Sources<'_>, complaints: &mut Vec<Diagnostic>) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    for node in &pipeline.claims {
        let claim = claim(node, &pipeline.name, sources, complaints);
        if claims.iter().any(|other| (&other.figure, &other.id) == (&claim.figure, &claim.id)) {
            complaints.push(node.complain(format!("there are two claims `{}`", claim.id)));
        }
        claims.push(claim);
    }
    claims
}

fn claim(node: &Node, pipeline: &str, sources: Sources<'_>, complaints: &mut Vec<Diagnostic>) -> Claim {
    let none = BTreeMap::new();
    let fields = Fields::new(node, &none);
    let (id, text) = (fields.text("id", None), fields.text("text", None));
    let figure = fields.text("figure", Some(pipeline));
    let word = fields.choice("kind", None, &WORDS.map(|word| (word, word))).unwrap_or("below");
    let log = fields.truth("log", false);
    let window = |name: &'static str| -> Window {
        match fields.numbers(name).as_deref() {
            None => [0.0, 1.0],
            Some(&[from, to]) if (0.0..=1.0).contains(&from) && from <= to && to <= 1.0 => [from, to],
            Some(_) => {
                fields.complain(name, format!("`{name}` is a part of the range in shares, such as [0.5, 1.0]"));
                [0.0, 1.0]
            }
        }
    };
    let factor = || fields.number("factor", None, 1.0..=1e6);
    let statement = match word {
        "ascending" => Statement::Ascending { log },
        "descending" => Statement::Descending { log },
        "drops" => Statement::Drops { before: window("before"), log },
        "grows" => Statement::Grows { before: window("before"), log },
        "u-shape" => Statement::UShape { log },
        "steady" => Statement::Steady { factor: factor() },
        "alike" => Statement::Alike { factor: factor() },
        "slope" => Statement::Slope {
            low: fields.number("low", None, -100.0..=100.0),
            high: fields.number("high", None, -100.0..=100.0),
        },
        _ => Statement::Below { log },
    };
    let window = window("window");
    let (mut sets, mut inputs) = (Vec::new(), BTreeMap::new());
    for node in fields.tables("curve") {
        let mut found = Curves::default();
        curves::read(node, sources, &mut found, complaints);
        sets.push(found.curves);
        inputs.append(&mut found.inputs);
    }
    let wanted = if word == "below" { 2 } else { 1 };
    if sets.len() < wanted {
        fields.complain("curve", format!("the claim needs {wanted} [[claim.curve]]"));
    }
    complaints.extend(fields.finish("a claim"));
    Claim { id, figure, text, statement, window, sets, inputs: inputs.into_values().collect() }
}

/// Reads every `[[published]]`.
pub fn published(pipeline: &Pipeline, complaints: &mut Vec<Diagnostic>) -> Vec<Published> {
    pipeline.published.iter().map(|node| published_values(node, &pipeline.name, complaints)).collect()
}

fn published_values(node: &Node, pipeline: &str, complaints: &mut Vec<Diagnostic>) -> Published {
    let none = BTreeMap::new();
    let fields = Fields::new(node, &none);
    let figure = fields.text("figure", Some(pipeline));
    let panel = fields.text("panel", None);
    let epochs = fields.has("epochs").then(|| fields.number("epochs", None, 1.0..=1e9));
    let runs = fields.integer("runs", Some(5), 1..=1_000_000);
    let source = fields.text("source", Some(""));
    let tolerance = match (fields.has("within"), fields.has("within_share")) {
        (true, false) => Tolerance::Absolute(fields.number("within", None, 0.0..=1e9)),
        (false, true) => Tolerance::Relative(fields.number("within_share", None, 0.0..=1e3)),
        _ => {
            fields.complain(
                "within",
                "say `within` (in the value's unit) or `within_share`, what may differ besides noise",
            );
            Tolerance::Absolute(0.0)
        }
    };
    let mut values = Vec::new();
    match fields.node("values").map(|node| &node.data) {
        Some(Data::List(rows)) => {
            for row in rows {
                match value(row) {
                    Some(value) => values.push(value),
                    None => complaints.push(row.complain(
                        "a published value is [\"curve\", x, mean] or [\"curve\", x, mean, std], x a number or [from, to]",
                    )),
                }
            }
        }
        _ => fields.complain("values", "`values` is missing: a list of [\"curve\", x, mean, std]"),
    }
    complaints.extend(fields.finish("a table of published values"));
    Published { figure, panel, epochs, runs, tolerance, source, values }
}

fn value(row: &Node) -> Option<PublishedValue> {
    let number = |node: &Node| match node.data {
        Data::Int(value) => Some(value as f64),
        Data::Float(value) if value.is_finite() => Some(value),
        _ => None,
    };
    let Data::List(cells) = &row.data else { return None };
    let (curve, x, mean, std) = match &cells[..] {
        [curve, x, mean] => (curve, x, number(mean)?, None),
        [curve, x, mean, std] => (curve, x, number(mean)?, Some(number(std)?)),
        _ => return None,
    };
    let Data::Text(curve) = &curve.data else { return None };
    let x = match &x.data {
        Data::List(ends) => match &ends[..] {
            [from, to] => [number(from)?, number(to)?],
            _ => return None,
        },
        _ => [number(x)?; 2],
    };
    Some(PublishedValue { curve: curve.clone(), x, mean, std })
}

/// Complains of a claim or values of a figure or panel that the pipeline does not draw.
pub fn misnamed<'a>(what: &[Node], figures: impl Iterator<Item = &'a str> + Clone, complaints: &mut Vec<Diagnostic>) {
    for node in what {
        let Data::Table(table) = &node.data else { continue };
        let Some(Data::Text(name)) = table.get("figure").map(|node| &node.data) else { continue };
        if !figures.clone().any(|figure| figure == name) {
            let hint = did_you_mean(name, figures.clone());
            complaints.push(node.complain(format!("this pipeline draws no figure `{name}`{hint}")));
        }
    }
}
