//! The figure of a pipeline and each of its panels as stages that draw.

use std::collections::BTreeMap;

use super::expand::{Family, table_of};
use super::fields::Fields;
use super::node::{Diagnostic, Node, did_you_mean};
use super::pipeline::Pipeline;
use super::stages::Checkpoint;
use super::sweep::{Settings, label};
use crate::graph::{Graph, Input, Stage};
use crate::work::{Axis, Curve, Figure, Panel, Scale, Work};

/// A panel and the tables that its curves are drawn from.
struct Drawn {
    panel: Panel,
    inputs: BTreeMap<String, Input>,
}

/// Adds a stage that draws the whole figure, and one for each panel if there are several.
pub fn add_figures(
    pipeline: &Pipeline,
    settings: &Settings,
    families: &BTreeMap<String, Family>,
    graph: &mut Graph,
    complaints: &mut Vec<Diagnostic>,
) {
    let mut drawn: Vec<Drawn> = Vec::new();
    for node in &pipeline.panels {
        let panel = panel(node, settings, families, graph, complaints);
        if drawn.iter().any(|other| other.panel.id == panel.panel.id) {
            complaints.push(node.complain(format!("there are two panels `{}`", panel.panel.id)));
        }
        drawn.push(panel);
    }
    if drawn.is_empty() {
        complaints.push(pipeline.root.complain("the pipeline has no [[panel]], so there is nothing to draw"));
    }
    let none = BTreeMap::new();
    let columns = match &pipeline.figure {
        Some(node) => {
            let fields = Fields::new(node, &none);
            let columns = fields.integer("columns", Some(2), 1..=8);
            complaints.extend(fields.finish("the table `figure`"));
            columns
        }
        None => 2,
    };
    if drawn.len() > 1 {
        for one in &drawn {
            add(&format!("{}{}", pipeline.name, one.panel.id), "", 1, &[one], graph);
        }
    }
    add(&pipeline.name, &pipeline.title, columns, &drawn.iter().collect::<Vec<_>>(), graph);
}

fn add(name: &str, title: &str, columns: u32, drawn: &[&Drawn], graph: &mut Graph) {
    let inputs: BTreeMap<_, _> = drawn.iter().flat_map(|one| one.inputs.clone()).collect();
    let panels = drawn.iter().map(|one| one.panel.clone()).collect();
    let figure = Figure { name: name.to_owned(), title: title.to_owned(), columns, panels };
    graph.figures.insert(name.to_owned(), graph.stages.len());
    graph.stages.push(Stage {
        name: name.to_owned(),
        work: Work::Figure(figure),
        inputs: inputs.into_values().collect(),
    });
}

fn panel(
    node: &Node,
    settings: &Settings,
    families: &BTreeMap<String, Family>,
    graph: &Graph,
    complaints: &mut Vec<Diagnostic>,
) -> Drawn {
    let none = BTreeMap::new();
    let fields = Fields::new(node, &none);
    let id = fields.text("id", None);
    if id.is_empty() || !id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        fields.complain("id", "the `id` of a panel must be lower-case letters or digits, such as \"a\"");
    }
    let title = fields.text("title", Some(""));
    let mut axis = |name: &'static str| match fields.node(name) {
        Some(node) => read_axis(node, &format!("the axis `{name}`"), complaints),
        None => {
            fields.complain(name, format!("the panel has no axis `{name}`: {name} = {{ label = \"…\" }}"));
            Axis { label: String::new(), scale: Scale::Linear, range: None, ticks: None }
        }
    };
    let (x, y) = (axis("x"), axis("y"));
    let (mut curves, mut inputs) = (Vec::new(), BTreeMap::new());
    let tables = fields.tables("curve");
    if tables.is_empty() {
        fields.complain("curve", "the panel has no [[panel.curve]]");
    }
    for node in tables {
        read_curves(node, settings, families, graph, &mut curves, &mut inputs, complaints);
    }
    complaints.extend(fields.finish("a panel"));
    Drawn { panel: Panel { id, title, x, y, curves }, inputs }
}

fn read_axis(node: &Node, what: &str, complaints: &mut Vec<Diagnostic>) -> Axis {
    let none = BTreeMap::new();
    let fields = Fields::new(node, &none);
    let label = fields.text("label", None);
    let scales = [("linear", Scale::Linear), ("log", Scale::Log)];
    let scale = fields.choice("scale", Some(Scale::Linear), &scales).unwrap_or_default();
    let range = fields.numbers("range").and_then(|range| match range[..] {
        [low, high] if low < high && high.is_finite() && low.is_finite() && (scale == Scale::Linear || low > 0.0) => {
            Some([low, high])
        }
        _ => {
            fields.complain("range", "`range` must be [low, high] with low < high, above 0 on a log axis");
            None
        }
    });
    let ticks = fields.numbers("ticks");
    if ticks.iter().flatten().any(|tick| !tick.is_finite()) {
        fields.complain("ticks", "`ticks` must be finite numbers");
    }
    complaints.extend(fields.finish(what));
    Axis { label, scale, range, ticks }
}

/// One `[[panel.curve]]`: a curve for each value of the setting `per`, averaged over the setting `over`.
fn read_curves(
    node: &Node,
    settings: &Settings,
    families: &BTreeMap<String, Family>,
    graph: &Graph,
    curves: &mut Vec<Curve>,
    inputs: &mut BTreeMap<String, Input>,
    complaints: &mut Vec<Diagnostic>,
) {
    let none = BTreeMap::new();
    let fields = Fields::new(node, &none);
    let from = fields.texts("from");
    let (x, y) = (fields.text("x", Some("epoch")), fields.text("y", None));
    let (per, over) = (fields.text("per", Some("")), fields.text("over", Some("seed")));
    let template = fields.text("label", Some(if per.is_empty() { "" } else { "{per}" }));
    let dashed = fields.truth("dashed", false);
    let colour = fields.integer("colour", Some(0), 0..=7);
    if !per.is_empty() && !settings.values.contains_key(&per) {
        let hint = did_you_mean(&per, settings.values.keys().map(String::as_str));
        fields.complain("per", format!("there is no setting `{per}`{hint}"));
    }
    let mut sources = Vec::new();
    for name in &from {
        match families.get(name).map(|family| (family, table_of(&family.kind))) {
            Some((family, Some((output, columns)))) => {
                for (field, column) in [("x", &x), ("y", &y)] {
                    if !columns.contains(&column.as_str()) {
                        let hint = did_you_mean(column, columns.iter().copied());
                        let known = columns.join(", ");
                        fields.complain(field, format!("`{name}` has no column `{column}`{hint} Columns: {known}"));
                    }
                }
                sources.push((family, output));
            }
            Some((family, None)) => {
                fields.complain("from", format!("`{name}` is a {}, which has no numbers to draw", family.kind));
            }
            None => {
                let hint = did_you_mean(name, families.keys().map(String::as_str));
                fields.complain("from", format!("there is no stage `{name}`{hint}"));
            }
        }
    }
    complaints.extend(fields.finish("a curve"));
    let groups = settings.values.get(&per).map_or(1, Vec::len);
    for group in 0..groups {
        let replicas = replicas(&sources, settings, (&per, group), &over, graph, inputs);
        let value = settings.values.get(&per).map(|values| label(&values[group])).unwrap_or_default();
        curves.push(Curve {
            label: template.replace("{per}", &value),
            colour: (colour + group as u32) % 8,
            dashed,
            x: x.clone(),
            y: y.clone(),
            replicas,
        });
    }
}

/// For every value of the setting `over` the tables of the sources at one value of the setting `per`.
fn replicas(
    sources: &[(&Family, &'static str)],
    settings: &Settings,
    (per, group): (&str, usize),
    over: &str,
    graph: &Graph,
    inputs: &mut BTreeMap<String, Input>,
) -> Vec<Vec<String>> {
    let mut replicas: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (family, output) in sources {
        for (point, instance) in &family.instances {
            if settings.swept.contains(per) && point.get(per).is_some_and(|&index| index != group) {
                continue;
            }
            let names = replicas.entry(point.get(over).copied().unwrap_or_default()).or_default();
            for Checkpoint { stage, .. } in &instance.checkpoints {
                let role = graph.stages[*stage].name.clone();
                inputs.insert(role.clone(), Input { role: role.clone(), stage: *stage, output });
                names.push(role);
            }
        }
    }
    replicas.into_values().collect()
}
