//! Adds the figures of a pipeline and their panels as stages that draw.

use std::collections::{BTreeMap, BTreeSet};

use super::contents::{RESERVED, drawings, panel_name, place};
use super::curves::{self, Curves, Sources};
use super::drawing;
use super::fields::Fields;
use super::layouts::{self, Layout};
use super::made::made_with;
use super::node::{Data, Diagnostic, Node, Origin};
use super::pipeline::Pipeline;
use crate::graph::{Drawn, Graph, Input, Stage};
use base::expr::Expr;
use base::name::is_plain;
use base::work::{Axis, Curve, Figure, Guide, Panel, Scale, Work};
use draw::figure;

/// A panel, its figure, and the tables that its curves read.
struct Read<'a> {
    node: &'a Node,
    figure: String,
    panel: Panel,
    inputs: BTreeMap<String, Input>,
}

/// Returns a stage that draws each figure, and one for each of its panels if it has several.
pub fn add_figures(
    pipeline: &Pipeline,
    sources: Sources<'_>,
    complaints: &mut Vec<Diagnostic>,
) -> Vec<(String, Drawn, Stage)> {
    let places: Vec<(&str, &str)> = pipeline.panels.iter().map(|node| place(node, &pipeline.name)).collect();
    let is_left_out = |(figure, id): (&str, &str)| pipeline.left_out.contains(&(figure.to_owned(), id.to_owned()));
    let mut panels: Vec<Read<'_>> = Vec::new();
    for (node, _) in pipeline.panels.iter().zip(&places).filter(|(_, place)| !is_left_out(**place)) {
        let read = panel(node, &pipeline.name, sources, complaints);
        if panels.iter().any(|other| (&other.figure, &other.panel.id) == (&read.figure, &read.panel.id)) {
            complaints.push(node.complain(format!("there are two panels `{}`", read.panel.id)));
        }
        panels.push(read);
    }
    let commands: BTreeMap<&str, &str> = drawings(pipeline.figure.as_ref(), &pipeline.name).into_iter().collect();
    let single = pipeline.node_at(&["panel"]);
    if pipeline.panels.is_empty() && matches!(single.data, Data::Table(_)) && *single != pipeline.root {
        complaints.push(single.complain("panels are a list: write [[panel]] in two pairs of brackets"));
    } else if pipeline.panels.is_empty() && commands.is_empty() {
        complaints.push(pipeline.root.complain(
            "the pipeline has no [[panel]], so there is nothing to draw: add one, or name a command that draws the figure in \
             [figure] with drawing = \"STAGE\"",
        ));
    }
    check_texts(pipeline, complaints);
    let names: BTreeSet<&str> = places.iter().map(|(figure, _)| *figure).collect();
    let mut layouts = layouts::read(pipeline, &names, complaints);
    let is_drawn = |name: &str| names.contains(name) || commands.contains_key(name);
    for name in layouts.keys().filter(|name| !is_drawn(name) && **name != pipeline.name) {
        complaints.push(pipeline.root.complain(format!("[figure.{name}] has no [[panel]] with figure = \"{name}\"")));
    }
    let mut found: Vec<(String, Drawn, Stage)> = Vec::new();
    for (&name, &command) in commands.iter().filter(|(name, _)| !is_left_out((name, ""))) {
        let Some(layout) = layouts.remove(name) else { continue };
        let node = pipeline.node_at(&["figure"]);
        if names.contains(name) {
            complaints
                .push(node.complain(format!("`{name}` has panels and a `drawing`: a figure has one or the other")));
        }
        let stage = drawing::stage((name, &layout.title), (command, node), sources, complaints);
        let (figure, pipeline) = (name.to_owned(), pipeline.name.clone());
        found.extend(stage.map(|stage| (figure.clone(), Drawn { stage: 0, figure, whole: true, pipeline }, stage)));
    }
    for name in names {
        let own: Vec<&Read<'_>> = panels.iter().filter(|panel| panel.figure == *name).collect();
        let count = places.iter().filter(|(figure, _)| *figure == name).count();
        if count > 1 {
            let layout = Layout { title: String::new(), columns: 1, ..layouts.get(name).cloned().unwrap_or_default() };
            found.extend(own.iter().map(|one| {
                drawn(
                    (&panel_name(name, &one.panel.id), name),
                    &layout,
                    std::slice::from_ref(one),
                    pipeline,
                    sources.graph,
                )
            }));
        }
        if own.len() < count {
            continue;
        }
        let layout = layouts.remove(name).unwrap_or_default();
        let whole = drawn((name, name), &layout, &own, pipeline, sources.graph);
        if let (true, Work::Figure(figure)) = (complaints.is_empty(), &whole.2.work)
            && let Err(error) = figure::check(figure)
        {
            let at = error.panel().and_then(|id| own.iter().find(|one| one.panel.id == id)).or(own.first());
            let node = at.map_or(&pipeline.root, |one| one.node);
            complaints.push(node.complain(format!("figure `{name}`: {error}")));
        }
        found.push(whole);
    }
    let mut taken = BTreeMap::new();
    for (name, drawn, _) in &found {
        if let Some(other) = taken.insert(name, &drawn.figure) {
            let figure = if *other == *name { &drawn.figure } else { other };
            let at = panels.iter().find(|panel| panel.figure == *name).map_or(&pipeline.root, |panel| panel.node);
            complaints.push(at.complain(format!("`{name}` is a figure and a panel of `{figure}`: rename the figure")));
        }
    }
    found
}

/// Complains about characters that the font lacks in texts that every figure of the pipeline shows.
fn check_texts(pipeline: &Pipeline, complaints: &mut Vec<Diagnostic>) {
    let path = ["profile", &pipeline.profile, "about"];
    let texts = [(&pipeline.title, &["title"][..]), (&pipeline.about, &path[..])];
    for (text, path) in texts {
        if let Err(error) = figure::check_text(text) {
            complaints.push(pipeline.node_at(path).complain(error.to_string()));
        }
    }
    for set in &pipeline.sets {
        if let Err(error) = figure::check_text(set) {
            complaints.push(Diagnostic { origin: Origin::whole_set(set), message: error.to_string() });
        }
    }
}

fn drawn(
    (name, figure_name): (&str, &str),
    layout: &Layout,
    panels: &[&Read<'_>],
    pipeline: &Pipeline,
    graph: &Graph,
) -> (String, Drawn, Stage) {
    let inputs: BTreeMap<_, _> = panels.iter().flat_map(|one| one.inputs.clone()).collect();
    let panels = panels.iter().map(|one| one.panel.clone()).collect();
    let note = note(pipeline, graph, &inputs);
    let figure = Figure {
        name: name.to_owned(),
        title: layout.title.clone(),
        note,
        columns: layout.columns,
        width: layout.width,
        font_size: layout.font_size,
        panels,
        drawn: Vec::new(),
    };
    let stage = Stage { name: name.to_owned(), work: Work::Figure(figure), inputs: inputs.into_values().collect() };
    let (whole, pipeline) = (name == figure_name, pipeline.name.clone());
    (name.to_owned(), Drawn { stage: 0, figure: figure_name.to_owned(), whole, pipeline }, stage)
}

/// Returns the note at the foot of a figure: the scale of its runs, and the changes by `--set`, except changes of the drawing
/// itself and of the seeds, which `made_with` counts.
fn note(pipeline: &Pipeline, graph: &Graph, behind: &BTreeMap<String, Input>) -> String {
    let path = |set: &str| set.split('=').next().unwrap_or_default().trim().to_owned();
    let other = |set: &&str| !["seed", "policy"].contains(&&*path(set)) && !path(set).starts_with("figure.");
    let changed: Vec<&str> = pipeline.sets.iter().map(String::as_str).filter(other).collect();
    let changed = match changed.len() {
        0 => String::new(),
        1..=3 => format!(" with {}", changed.join(", ")),
        count => format!(" with {count} changes"),
    };
    let made = made_with(graph, behind.values().map(|input| input.stage));
    // The profile's own description applies only to the unchanged profile.
    let words = if made.is_empty() && changed.is_empty() { pipeline.about.trim_end_matches('.') } else { &made };
    let colon = if words.is_empty() { "" } else { ": " };
    format!("Profile {}{changed}{colon}{words}.", pipeline.profile)
}

fn panel<'a>(node: &'a Node, pipeline: &str, sources: Sources<'_>, complaints: &mut Vec<Diagnostic>) -> Read<'a> {
    let none = BTreeMap::new();
    let fields = Fields::new(node, &none);
    let figure = fields.text("figure", Some(pipeline));
    check_name(&fields, &figure, pipeline);
    let id = fields.text("id", None);
    if !is_plain(&id) || !id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        fields.complain("id", "the `id` of a panel must be lower-case letters or digits, such as \"a\"");
    }
    let title = fields.drawn_text("title", Some(""));
    let mut axis = |name: &'static str| match fields.node(name) {
        Some(node) => read_axis(node, &format!("the axis `{name}`"), complaints),
        None => {
            fields.complain(name, format!("the panel has no axis `{name}`: {name} = {{ label = \"…\" }}"));
            Axis { label: String::new(), scale: Scale::Linear, range: None, ticks: None }
        }
    };
    let (x, y) = (axis("x"), axis("y"));
    let z = fields.has("z").then(|| axis("z"));
    let mut found = Curves::default();
    let tables = fields.tables("curve");
    if tables.is_empty() {
        fields.complain("curve", "the panel has no [[panel.curve]]");
    }
    let mut names = BTreeSet::new();
    for node in tables {
        let before = found.curves.len();
        curves::read(node, sources, &mut found, complaints);
        let is_second = |curve: &&Curve| !names.insert((curve.label.clone(), curve.dashed));
        if let Some(Curve { label, .. }) = found.curves[before..].iter().find(is_second) {
            let what = if label.is_empty() { "have no `label`".to_owned() } else { format!("are called `{label}`") };
            let cure = "tell them apart in `label`, in which {lr} stands for the value of the setting lr of `per`";
            complaints.push(node.complain(format!("two curves of the panel {what}: {cure}")));
        }
    }
    let guides = fields.tables("guide").iter().map(|node| guide(node, complaints)).collect();
    complaints.extend(fields.finish("a panel"));
    Read { node, figure, panel: Panel { id, title, x, y, z, curves: found.curves, guides }, inputs: found.inputs }
}

/// Complains about a name that no figure can have.
pub(super) fn check_name(fields: &Fields<'_>, figure: &str, pipeline: &str) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !is_plain(figure) || !figure.chars().all(plain) {
        let cure = if figure == pipeline { ": rename the file, or say figure = \"…\" in the panel" } else { "" };
        fields.complain(
            "figure",
            format!("the name of a figure is lower-case letters, digits, - and _, at most 64{cure}"),
        );
    }
    if RESERVED.contains(&figure) {
        fields.complain("figure", format!("no figure can be called `{figure}`: rename the file or the figure"));
    }
}

fn guide(node: &Node, complaints: &mut Vec<Diagnostic>) -> Guide {
    let none = BTreeMap::new();
    let fields = Fields::new(node, &none);
    let (label, y) = (fields.drawn_text("label", Some("")), fields.expression("y", None));
    match Expr::parse(&y) {
        Ok(expression) if expression.names().iter().all(|name| *name == "x") => {}
        Ok(_) => fields.complain("y", "the height of a guide is an expression in x alone, such as \"0.001 / x\""),
        Err(error) => fields.complain("y", format!("`y`: {error}")),
    }
    complaints.extend(fields.finish("a guide"));
    Guide { label, y }
}

fn read_axis(node: &Node, what: &str, complaints: &mut Vec<Diagnostic>) -> Axis {
    let none = BTreeMap::new();
    let fields = Fields::new(node, &none);
    let label = fields.drawn_text("label", None);
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
