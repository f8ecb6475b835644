//! Expands a pipeline to the graph of its stages: every stage once for each combination of the values of the sweeps that it
//! uses, itself or through the stages that it starts from.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::OWN;
use super::claims;
use super::code::Code;
use super::command;
use super::contents::{drawings, place};
use super::curves::Sources;
use super::fields::Fields;
use super::forms::form;
use super::gather::{Gather, Gathered, gathers};
use super::node::{Data, Diagnostic, Node, Origin, did_you_mean};
use super::panels;
use super::pipeline::Pipeline;
use super::published;
use super::stages::{Form, Instance, Site};
use super::sweep::{MOST, Point, Settings, label, restrict};
use crate::graph::{Drawn, Graph};
use base::work::{KindName, Policy};

/// Maximum number of stages, and of settings, in a file. There is a limit because chains of stages are followed recursively.
const NAMES: usize = 1000;

/// The instances of one stage of the pipeline.
#[derive(Debug, Default)]
pub struct Family {
    /// The stage's kind. It is absent if the stage has mistakes.
    pub kind: Option<KindName>,
    /// The sweeps that multiply it.
    pub axes: BTreeSet<String>,
    /// The tables of its stages with name and columns, the default table first.
    pub tables: Vec<(&'static str, &'static [&'static str])>,
    /// Its instances, by their values of the sweeps.
    pub instances: BTreeMap<Point, Instance>,
}

impl Family {
    /// Lists the tables of its stages with name and columns, the default table first.
    pub fn tables(&self) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
        self.tables.iter().copied()
    }
}

/// Checks a whole pipeline and expands it.
///
/// # Errors
/// All mistakes in the pipeline, each with its place.
pub fn expand(pipeline: &Pipeline) -> Result<Graph, Vec<Diagnostic>> {
    let mut complaints = Vec::new();
    for (what, count) in [("stages", pipeline.stages.len()), ("settings", pipeline.settings.len())] {
        if count > NAMES {
            complaints.push(pipeline.root.complain(format!("the file has {count} {what}, more than {NAMES}")));
        }
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    let settings = Settings::read(&pipeline.settings, &mut complaints);
    let templates = templates(pipeline, &mut complaints);
    let order = order(&templates, &mut complaints);
    if !complaints.is_empty() {
        return Err(complaints);
    }
    let mut graph = Graph { policy: policy(pipeline, &mut complaints), ..Graph::default() };
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let code = Code::new(pipeline.home.clone());
    for name in order {
        let template = &templates[&name];
        let family = instantiate(pipeline, &name, template, (&settings, &code), &families, &mut graph, &mut complaints);
        families.insert(name, family);
        if graph.stages.len() > MOST {
            break;
        }
    }
    unused(pipeline, &settings, &mut complaints);
    if complaints.is_empty() {
        let sources = Sources { settings: &settings, families: &families, graph: &graph };
        let figures = panels::add_figures(pipeline, sources, &mut complaints);
        let by_commands = drawings(pipeline.figure.as_ref(), &pipeline.name);
        let of_panels = || pipeline.panels.iter().map(|panel| place(panel, &pipeline.name).0);
        let drawn = || of_panels().chain(by_commands.iter().map(|(figure, _)| *figure));
        claims::misnamed(&pipeline.claims, drawn(), &mut complaints);
        claims::misnamed(&pipeline.published, drawn(), &mut complaints);
        let whole = figures.iter().filter(|(_, drawn, _)| drawn.whole);
        let works = whole.filter_map(|(.., stage)| stage.work.figure());
        let published = published::published(pipeline, works, &mut complaints);
        let claims = claims::claims(pipeline, sources, &mut complaints);
        (graph.claims, graph.published) = (claims, published);
        for (name, drawn, stage) in figures {
            graph.figures.insert(name, Drawn { stage: graph.stages.len(), ..drawn });
            graph.stages.push(stage);
        }
    }
    // A mistake in a stage is found in each of its instances, but must be reported only once.
    let mut said = HashSet::new();
    complaints.retain(|complaint| said.insert(complaint.clone()));
    if complaints.is_empty() { Ok(graph) } else { Err(complaints) }
}

/// Returns the numeric policy.
fn policy(pipeline: &Pipeline, complaints: &mut Vec<Diagnostic>) -> Policy {
    let Some(node) = &pipeline.policy else { return Policy::default() };
    let named = Policy::ALL.into_iter().find(|(name, _)| node.data == Data::Text((*name).to_owned()));
    named.map_or_else(
        || {
            let words = Policy::ALL.map(|(name, _)| name).join(" or ");
            complaints.push(node.complain(format!("`policy` must be {words}, not {}", node.describe())));
            Policy::default()
        },
        |(_, policy)| policy,
    )
}

/// A stage's table, its kind, and the stages that it names.
struct Template<'a> {
    node: &'a Node,
    kind: KindName,
    form: Form,
    start: Vec<String>,
    gathers: Vec<Gather>,
    data: Option<String>,
}

impl Template<'_> {
    /// Returns the names of all stages that the stage names.
    fn named(&self) -> impl Iterator<Item = &str> {
        let plain = self.start.iter().chain(&self.data).map(String::as_str);
        plain.chain(self.gathers.iter().map(Gather::stage))
    }
}

fn templates<'a>(pipeline: &'a Pipeline, complaints: &mut Vec<Diagnostic>) -> BTreeMap<String, Template<'a>> {
    let mut templates = BTreeMap::new();
    let described = KindName::ALL.iter().filter(|kind| form(**kind).is_some());
    let kinds: Vec<_> = described.map(|kind| (kind.name(), *kind)).collect();
    for (name, node) in &pipeline.stages {
        let none = BTreeMap::new();
        let fields = Fields::new(node, &none);
        let Some((kind, form)) = fields.choice_or("kind", None, &kinds, OWN).and_then(|kind| Some((kind, form(kind)?)))
        else {
            // Only this field was read, so other complaints of `finish` would be wrong.
            complaints.extend(fields.finish(name).into_iter().take(1));
            continue;
        };
        let named = |field: &'static str| match form.references.contains(&field) {
            true if field != "data" || fields.has(field) => fields.texts(field),
            _ => Vec::new(),
        };
        let mut start = [named("start"), named("of")].concat();
        let mut gathers = Vec::new();
        if kind == KindName::Command {
            (start, gathers) = (command::named(node), self::gathers(node));
        }
        let data = named("data").into_iter().next();
        let template = Template { node, kind, form, start, gathers, data };
        for other in template.named() {
            if !pipeline.stages.contains_key(other) {
                let hint = did_you_mean(other, pipeline.stages.keys().map(String::as_str));
                complaints.push(node.complain(format!("stage `{name}` names `{other}`, which does not exist{hint}")));
            }
        }
        templates.insert(name.clone(), template);
    }
    templates
}

/// Sorts the stages so that each comes after the stages that it names.
fn order(templates: &BTreeMap<String, Template<'_>>, complaints: &mut Vec<Diagnostic>) -> Vec<String> {
    fn visit<'t>(
        name: &'t str,
        templates: &'t BTreeMap<String, Template<'_>>,
        path: &mut Vec<&'t str>,
        order: &mut Vec<String>,
    ) -> Result<(), Diagnostic> {
        if order.iter().any(|done| done == name) {
            return Ok(());
        }
        let Some(template) = templates.get(name) else { return Ok(()) };
        if let Some(at) = path.iter().position(|&other| other == name) {
            let circle = [&path[at..], &[name]].concat().join(" → ");
            return Err(template.node.complain(format!("these stages start from each other in a circle: {circle}")));
        }
        path.push(name);
        for other in template.named() {
            visit(other, templates, path, order)?;
        }
        path.pop();
        order.push(name.to_owned());
        Ok(())
    }
    let mut order = Vec::new();
    for name in templates.keys() {
        if let Err(complaint) = visit(name, templates, &mut Vec::new(), &mut order) {
            complaints.push(complaint);
            return order;
        }
    }
    order
}

/// Formats a value as it is written in a `--set`.
fn shell(value: &Node) -> String {
    match &value.origin {
        Origin::Set(text, _) => text.split_once('=').map_or_else(|| label(value), |(_, value)| value.trim().to_owned()),
        Origin::File(..) => label(value),
    }
}

/// Reports settings that no stage uses. They are mistakes, since changing them would have no effect.
fn unused(pipeline: &Pipeline, settings: &Settings, complaints: &mut Vec<Diagnostic>) {
    let mut used = BTreeSet::new();
    for node in pipeline.stages.values() {
        used.append(&mut settings.used_in(node, complaints));
    }
    for node in pipeline.unneeded.values() {
        used.append(&mut settings.used_in(node, &mut Vec::new()));
    }
    for (name, node) in pipeline.settings.iter().filter(|(name, _)| !used.contains(*name)) {
        let replaced = pipeline.replaced.iter().rev().find(|(setting, ..)| setting == name);
        complaints.push(match replaced {
            Some((_, path, value)) => {
                let cure = match value.origin {
                    Origin::Set(..) => format!("--set {name}={}", shell(value)),
                    Origin::File(..) => format!("{name} = {}", value.describe()),
                };
                value.complain(format!(
                    "`{path}` was \"${name}\", and now no stage uses the setting `{name}`: change the setting, {cure}"
                ))
            }
            None => node.complain(format!("no stage uses the setting `{name}`: use it as \"${name}\", or delete it")),
        });
    }
}

fn instantiate(
    pipeline: &Pipeline,
    name: &str,
    template: &Template<'_>,
    (settings, code): (&Settings, &Code),
    families: &BTreeMap<String, Family>,
    graph: &mut Graph,
    complaints: &mut Vec<Diagnostic>,
) -> Family {
    let mut axes: BTreeSet<String> = settings.used_in(template.node, complaints);
    axes.retain(|name| settings.swept.contains(name));
    let named = || template.named().filter_map(|name| families.get(name));
    let plain = template.start.iter().chain(&template.data).filter_map(|name| families.get(name));
    let gathers = || template.gathers.iter().filter_map(|gather| Some((gather, families.get(gather.stage())?)));
    axes.extend(plain.flat_map(|family| family.axes.iter().cloned()));
    axes.extend(gathers().flat_map(|(gather, family)| gather.axes(family)));
    complaints.extend(gathers().filter_map(|(gather, family)| Some(template.node.complain(gather.unfit(family)?))));
    if let Some(complaint) = unfit(name, template, families) {
        complaints.push(complaint);
        return Family::default();
    }
    if named().any(|family| family.instances.is_empty()) {
        // The mistakes of that stage are already reported.
        return Family::default();
    }
    let points = settings.points(&axes).unwrap_or_else(|message| {
        complaints.push(template.node.complain(message));
        Vec::new()
    });
    let mut family = Family { kind: Some(template.kind), axes, ..Family::default() };
    let allowed = only(template, settings, complaints);
    for point in points {
        let at = |name: &String| {
            let family = families.get(name)?;
            family.instances.get(&restrict(&point, &family.axes))
        };
        let is_kept = allowed.iter().all(|(name, places)| point.get(name).is_none_or(|place| places.contains(place)));
        let start: Vec<&Instance> = template.start.iter().filter_map(at).collect();
        let gathered: Vec<Gathered<'_>> =
            gathers().map(|(gather, family)| gather.at(&point, family, settings)).collect();
        let data = template.data.as_ref().and_then(at);
        if !is_kept || start.len() < template.start.len() || data.is_some() != template.data.is_some() {
            continue;
        }
        let data = data.and_then(|instance| instance.checkpoints.first().map(|checkpoint| checkpoint.stage));
        let values = settings.at(&point);
        let fields = Fields::new(template.node, &values);
        fields.node("kind");
        fields.node("only");
        for field in template.form.references {
            fields.node(field);
        }
        let full = format!("{}/{name}{}", pipeline.name, settings.suffix(&point));
        let form = &template.form;
        let mut site = Site {
            name: &full,
            fields: &fields,
            form,
            start: &start,
            gathered: &gathered,
            data,
            code,
            stages: &mut graph.stages,
        };
        let instance = (form.build)(&mut site);
        complaints.extend(fields.finish(&format!("stage `{name}`")));
        if let Some(checkpoint) = instance.checkpoints.first() {
            family.tables = graph.stages[checkpoint.stage].work.tables().collect();
        }
        family.instances.insert(point, instance);
        if graph.stages.len() > MOST {
            let message = format!("with stage `{name}` the pipeline has more than {MOST} stages");
            complaints.push(template.node.complain(message));
            break;
        }
    }
    if family.instances.is_empty() && !allowed.is_empty() {
        let message = format!(
            "`only` leaves nothing of stage `{name}`: none of its values is in the sweep any more. Change it together \
             with the sweep, such as --set '{name}.only={{lr=[0.1]}}'"
        );
        complaints.push(template.node.complain(message));
    }
    family
}

/// Reads `only = { lr = [0.1, 0.2] }` and returns the places of these values in the sweep `lr`. Ignores values that are not in
/// the sweep.
fn only(
    template: &Template<'_>,
    settings: &Settings,
    complaints: &mut Vec<Diagnostic>,
) -> BTreeMap<String, BTreeSet<usize>> {
    let Data::Table(fields) = &template.node.data else { return BTreeMap::new() };
    let Some(node) = fields.get("only") else { return BTreeMap::new() };
    let Data::Table(table) = &node.data else {
        complaints.push(node.complain("`only` is a table of settings and their values: { lr = [0.1, 0.2] }"));
        return BTreeMap::new();
    };
    let mut allowed = BTreeMap::new();
    for (name, wanted) in table {
        let Some(values) = settings.values.get(name) else {
            let hint = did_you_mean(name, settings.values.keys().map(String::as_str));
            complaints.push(wanted.complain(format!("there is no setting `{name}`{hint}")));
            continue;
        };
        let wanted: Vec<String> = match &wanted.data {
            Data::List(wanted) => wanted.iter().map(label).collect(),
            _ => vec![label(wanted)],
        };
        let places = (0..values.len()).filter(|&place| wanted.contains(&label(&values[place])));
        allowed.insert(name.clone(), places.collect());
    }
    allowed
}

/// Returns a complaint if a stage starts from, measures or reads data from a stage of an unsuitable kind.
fn unfit(name: &str, template: &Template<'_>, families: &BTreeMap<String, Family>) -> Option<Diagnostic> {
    let wrong = |other: &String, allowed: &[KindName]| {
        let kind = families.get(other)?.kind?;
        let names: Vec<_> = allowed.iter().map(|kind| kind.name()).collect();
        let (kind_name, names) = (kind.name(), names.join(" or "));
        let own =
            if kind == KindName::Command { format!(", which only commands can read; {OWN}") } else { String::new() };
        let message = format!("stage `{name}` needs a stage of kind {names}, but `{other}` is a {kind_name}{own}");
        (!allowed.contains(&kind)).then(|| template.node.complain(message))
    };
    let data = template.data.iter().find_map(|other| wrong(other, &[KindName::Dataset]));
    data.or_else(|| template.start.iter().find_map(|other| wrong(other, template.form.starts_from)))
}
