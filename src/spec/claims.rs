//! Reads the claims of a pipeline about its numbers.

use std::collections::{BTreeMap, BTreeSet};

use super::curves::{self, Curves, Sources};
use super::fields::Fields;
use super::node::{Data, Diagnostic, Node, did_you_mean};
use super::pipeline::Pipeline;
use super::sweep::Settings;
use crate::graph::Claim;
use draw::claim::looks::Runs;
use draw::claim::{Statement, Window};

/// The words of a pipeline for [`Statement`]s.
const WORDS: [&str; 10] =
    ["below", "ascending", "descending", "drops", "grows", "u-shape", "steady", "alike", "apart", "slope"];

/// Reads every `[[claim]]`.
pub fn claims(pipeline: &Pipeline, sources: Sources<'_>, complaints: &mut Vec<Diagnostic>) -> Vec<Claim> {
    let mut claims: Vec<Claim> = Vec::new();
    // Errors in the file's own settings do not matter if `--set` replaces them.
    let planned = Settings::read(&pipeline.planned, &mut Vec::new());
    for node in &pipeline.claims {
        let claim = claim(node, &pipeline.name, sources, &planned, complaints);
        if claims.iter().any(|other| (&other.figure, &other.id) == (&claim.figure, &claim.id)) {
            complaints.push(node.complain(format!("there are two claims `{}`", claim.id)));
        }
        claims.push(claim);
    }
    claims
}

fn claim(
    node: &Node,
    pipeline: &str,
    sources: Sources<'_>,
    planned: &Settings,
    complaints: &mut Vec<Diagnostic>,
) -> Claim {
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
                fields.complain(name, format!("`{name}` must be a part of the range in fractions, such as [0.5, 1.0]"));
                [0.0, 1.0]
            }
        }
    };
    let factor = || {
        let factor = fields.number("factor", None, 1.0..=1e6);
        if factor == 1.0 && fields.has("factor") {
            fields.complain("factor", "a `factor` of 1 leaves no room: it must be above 1");
        }
        factor
    };
    let statement = match word {
        "ascending" => Statement::Ascending { log },
        "descending" => Statement::Descending { log },
        "drops" => Statement::Drops { before: window("before"), log },
        "grows" => Statement::Grows { before: window("before"), log },
        "u-shape" => Statement::UShape { log },
        "steady" => Statement::Steady { factor: factor() },
        "alike" => Statement::Alike { factor: factor() },
        "apart" => Statement::Apart { factor: factor() },
        "slope" => Statement::Slope {
            low: fields.number("low", None, -100.0..=100.0),
            high: fields.number("high", None, -100.0..=100.0),
        },
        _ => Statement::Below { log },
    };
    let window = window("window");
    if let Statement::Slope { low, high } = statement
        && low >= high
        && fields.has("high")
    {
        fields.complain("high", format!("a slope cannot lie between {low} and {high}: `low` must be below `high`"));
    }
    let (mut sets, mut inputs, mut over) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
    let among_each_other = ["ascending", "descending", "alike", "apart"].contains(&word);
    let before = complaints.len();
    for node in fields.tables("curve") {
        if among_each_other && !matches!(&node.data, Data::Table(table) if table.contains_key("per")) {
            let message =
                format!("a claim of kind {word} compares the curves of a `per` with each other: say per = \"…\"");
            complaints.push(node.complain(message));
        }
        let mut found = Curves::default();
        curves::read(node, sources, &mut found, complaints);
        sets.push(found.curves);
        inputs.append(&mut found.inputs);
        over.append(&mut found.over);
    }
    match (word, sets.len()) {
        (_, 0) => fields.complain("curve", "the claim needs a [[claim.curve]]"),
        ("below", 2) if complaints.len() == before && sets[0].len() != sets[1].len() => {
            let (one, other) = (sets[0].len(), sets[1].len());
            let message = format!("the claim compares {one} with {other} curves: give both the same `per` and `only`");
            fields.complain("curve", message);
        }
        ("below", 2) => {}
        ("below", count) => {
            fields.complain("curve", format!("a claim of kind below needs 2 [[claim.curve]], and has {count}"));
        }
        _ => {}
    }
    complaints.extend(fields.finish("a claim"));
    let runs = runs(&over, planned, sources.settings);
    Claim { id, figure, text, statement, window, sets, inputs: inputs.into_values().collect(), runs }
}

/// Returns the planned and actual number of runs. If runs differ in several settings, the setting with the most looks
/// counts.
fn runs(over: &BTreeSet<String>, planned: &Settings, settings: &Settings) -> Runs {
    let count = |settings: &Settings, name: &String| settings.values.get(name).map_or(1, Vec::len);
    let runs = over.iter().map(|name| Runs { planned: count(planned, name), now: count(settings, name) });
    // If one of them has not reached its first look, neither has the claim.
    runs.max_by_key(|runs| runs.look().unwrap_or(u32::MAX)).unwrap_or(Runs::as_planned(1))
}

/// Complains about claims or published values of a figure that the pipeline does not draw.
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
