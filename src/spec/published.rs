//! Reads the published values of a pipeline's figures.

use std::collections::BTreeMap;

use super::fields::Fields;
use super::node::{Data, Diagnostic, Node, did_you_mean};
use super::pipeline::{Pipeline, table};
use crate::graph::{Carry, Published, PublishedValue, Tolerance};
use base::work::{Figure, Panel};
use draw::claim::phase::{Phase, phases, place};

/// The default profile of published values.
const PAPER: &str = "paper";
/// The words of a pipeline for properties that carry over to another scale.
const CARRIES: [(&str, Carry); 3] = [("order", Carry::Order), ("ratio", Carry::Ratio), ("plateau", Carry::Plateau)];

/// Reads every `[[published]]`, about panels of `figures`.
pub fn published<'a>(
    pipeline: &Pipeline,
    figures: impl Iterator<Item = &'a Figure> + Clone,
    complaints: &mut Vec<Diagnostic>,
) -> Vec<Published> {
    let profiles: Vec<&str> = table(pipeline.node_at(&["profile"])).keys().map(String::as_str).collect();
    let read = |node: &Node| {
        let published = published_values(node, &pipeline.name, &profiles, complaints);
        let Some(figure) = figures.clone().find(|figure| figure.name == published.figure) else { return published };
        let (wanted, ids) = (&published.panel, figure.panels.iter().map(|panel| panel.id.as_str()));
        match figure.panels.iter().find(|panel| panel.id == *wanted) {
            Some(panel) => complaints.extend(ambiguous(node, &published, panel)),
            None => {
                let hint = did_you_mean(wanted, ids.clone());
                let known: Vec<_> = ids.collect();
                let message =
                    format!("figure `{}` has no panel `{wanted}`{hint}, only {}", figure.name, known.join(", "));
                complaints.push(node.complain(message));
            }
        }
        published
    };
    pipeline.published.iter().map(read).collect()
}

/// Returns a complaint if a published value refers to two curves, a solid and a dashed one.
fn ambiguous(node: &Node, published: &Published, panel: &Panel) -> Option<Diagnostic> {
    let named = |label: &str| panel.curves.iter().filter(|curve| curve.label == label).count();
    let label = &published.values.iter().find(|value| named(&value.curve) > 1)?.curve;
    let message =
        format!("panel `{}` has two curves `{label}`, one of them dashed: give them different labels", panel.id);
    Some(node.complain(message))
}

fn published_values(node: &Node, pipeline: &str, profiles: &[&str], complaints: &mut Vec<Diagnostic>) -> Published {
    let none = BTreeMap::new();
    let fields = Fields::new(node, &none);
    let figure = fields.text("figure", Some(pipeline));
    let panel = fields.text("panel", None);
    let epochs = fields.has("epochs").then(|| fields.number("epochs", None, 1.0..=1e9));
    let decay = fields.has("decay").then(|| fields.number("decay", None, 1.0..=1e9));
    if decay.is_some_and(|decay| epochs.is_none_or(|epochs| decay >= epochs)) {
        fields.complain(
            "decay",
            "`decay` is the number of epochs before the learning rate is lowered, less than `epochs`",
        );
    }
    let runs = fields.integer("runs", Some(5), 1..=1_000_000);
    let source = fields.text("source", Some(""));
    let tolerance = match (fields.has("within"), fields.has("within_share")) {
        (true, false) => Tolerance::Absolute(fields.number("within", None, 0.0..=1e9)),
        (false, true) => Tolerance::Relative(fields.number("within_share", None, 0.0..=1e3)),
        _ => {
            fields.complain(
                "within",
                "give either `within` (in the value's unit) or `within_share`: the tolerance besides noise",
            );
            Tolerance::Absolute(0.0)
        }
    };
    let carries = carries(&fields, tolerance);
    let order_below = fields.number("order_below", Some(0.0), 0.0..=1e9);
    if order_below > 0.0 && !carries.contains(&Carry::Order) {
        fields.complain("order_below", "`order_below` compares only the order: say carries = [\"order\"] too");
    }
    let profile = fields.text("profile", Some(PAPER));
    if fields.has("profile") && !profiles.contains(&profile.as_str()) {
        let hint = did_you_mean(&profile, profiles.iter().copied());
        fields.complain("profile", format!("there is no profile `{profile}`{hint}"));
    }
    let run = epochs.map(|epochs| phases(epochs, decay));
    let mut values = Vec::new();
    match fields.node("values").map(|node| &node.data) {
        Some(Data::List(rows)) => {
            for row in rows {
                match value(row) {
                    Some(PublishedValue { x, .. }) if run.as_ref().is_some_and(|run| !is_in_one(run, x)) => complaints
                        .push(row.complain(format!(
                            "no phase of the published run has the epochs {} to {}: they are indices from 0 to `epochs` \
                             − 1, and no stretch goes across the `decay`",
                            x[0], x[1]
                        ))),
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
    Published { figure, panel, epochs, decay, profile, carries, order_below, runs, tolerance, source, values }
}

/// Reads `carries`, such as `carries = ["order"]`: the properties of the values that hold at another scale.
fn carries(fields: &Fields<'_>, tolerance: Tolerance) -> Vec<Carry> {
    let words = if fields.has("carries") { fields.texts("carries") } else { Vec::new() };
    let known = |word: &String| CARRIES.iter().find(|(name, _)| name == word).map(|(_, carry)| *carry);
    if let Some(wrong) = words.iter().find(|word| known(word).is_none()) {
        let all = CARRIES.map(|(name, _)| name);
        let hint = did_you_mean(wrong, all);
        fields.complain("carries", format!("`carries` lists {}, not `{wrong}`{hint}", all.join(", ")));
    }
    let carries: Vec<Carry> = words.iter().filter_map(known).collect();
    if carries.contains(&Carry::Ratio) && matches!(tolerance, Tolerance::Absolute(_)) {
        fields.complain("carries", "a ratio has a relative tolerance: say `within_share`");
    }
    carries
}

/// Returns whether an epoch or a range of epochs is within one phase.
fn is_in_one(run: &[Phase], x: [f64; 2]) -> bool {
    match x.map(|x| place(run, x)) {
        [Some((from, _)), Some((to, _))] => from == to,
        _ => false,
    }
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
            [from, to] => Some([number(from)?, number(to)?]).filter(|[from, to]| from <= to)?,
            _ => return None,
        },
        _ => [number(x)?; 2],
    };
    Some(PublishedValue { curve: curve.clone(), x, mean, std })
}
