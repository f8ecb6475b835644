//! Reads the curves of a panel or claim: which tables of which stages they use, and at which values of the sweeps.

use std::collections::{BTreeMap, BTreeSet};

use super::expand::Family;
use super::fields::Fields;
use super::node::{Data, Diagnostic, Node, did_you_mean};
use super::places::{Places, Taken};
use super::sweep::{MOST, Point, Settings, label, restrict};
use crate::graph::{Graph, Input};
use base::expr::Expr;
use base::work::{Curve, KindName, Mark, Rows};
use draw::figure::{LOOKS, SETTING, check_text};

/// The sources of curves.
#[derive(Clone, Copy)]
pub struct Sources<'a> {
    /// The settings and their values.
    pub settings: &'a Settings,
    /// The pipeline's stages.
    pub families: &'a BTreeMap<String, Family>,
    /// The graph to which they were expanded.
    pub graph: &'a Graph,
}

/// Curves and the tables that they read.
#[derive(Debug, Default)]
pub struct Curves {
    /// The curves, in order.
    pub curves: Vec<Curve>,
    /// The tables by role.
    pub inputs: BTreeMap<String, Input>,
    /// The settings over whose values the curves have replicas.
    pub over: BTreeSet<String>,
}

/// A table of a stage that `from` names.
pub struct Source<'a> {
    /// The stage.
    pub name: &'a str,
    /// Its instances.
    pub family: &'a Family,
    /// The output that holds the table.
    output: &'static str,
    /// The table's columns.
    columns: &'static [&'static str],
}

impl Source<'_> {
    /// Whether the table has no column of this name. A command need not declare its columns; then drawing finds out.
    fn lacks(&self, column: &str) -> bool {
        !self.columns.is_empty() && !self.columns.contains(&column)
    }
}

/// The instances that one `[[panel.curve]]` selects.
struct Choice<'a> {
    tables: &'a [Source<'a>],
    /// The settings with a curve for every combination of their values.
    per: Vec<String>,
    over: String,
    /// Indices of the selected values of settings.
    pick: BTreeMap<String, usize>,
    /// A stage that must exist at the selected points.
    only: Option<&'a Family>,
    /// Settings that occur in the expressions.
    named: BTreeSet<String>,
}

/// Reads the table of a curve: one curve for each combination of values of the settings `per`, with replicas over the
/// setting `over`.
pub fn read(node: &Node, sources: Sources<'_>, found: &mut Curves, complaints: &mut Vec<Diagnostic>) {
    let Sources { settings, families, .. } = sources;
    let none = BTreeMap::new();
    let fields = Fields::new(node, &none);
    let mark = fields.choice("mark", Some(Mark::Line), &Mark::ALL).unwrap_or_default();
    let from = fields.texts("from");
    let table = fields.has("table").then(|| fields.text("table", None));
    let (x, y) = (fields.expression("x", Some("epoch")), fields.expression("y", None));
    let tip = (mark == Mark::Arrows).then(|| (fields.expression("to_x", None), fields.expression("to_y", None)));
    let z = (mark == Mark::Heat).then(|| fields.expression("z", None));
    let error = fields.has("error").then(|| fields.expression("error", None));
    if error.is_some() && !matches!(mark, Mark::Line | Mark::Points | Mark::Bars | Mark::Dots) {
        fields.complain("error", format!("curves of mark {} cannot show errors", mark.name()));
    }
    let per = if fields.has("per") { fields.texts("per") } else { Vec::new() };
    let over = fields.text("over", Some("seed"));
    let template = fields.text("label", Some(if per.is_empty() { "" } else { "{per}" }));
    let dashed = fields.truth("dashed", false);
    let last = fields.truth("last", false);
    let unnamed = !fields.truth("legend", true);
    let colour = fields.integer("colour", Some(0), 0..=LOOKS - 1);
    let colours = fields.numbers("colours").unwrap_or_default();
    if colours.iter().any(|&c| c.fract() != 0.0 || !(0.0..=f64::from(LOOKS - 1)).contains(&c)) {
        fields.complain("colours", format!("`colours` are integers from 0 to {}", LOOKS - 1));
    }
    for name in per.iter().filter(|name| !settings.values.contains_key(*name)) {
        let hint = did_you_mean(name, settings.values.keys().map(String::as_str));
        fields.complain("per", format!("there is no setting `{name}`{hint}"));
    }
    if fields.has("over") && !settings.values.contains_key(&over) {
        let hint = did_you_mean(&over, settings.values.keys().map(String::as_str));
        fields.complain("over", format!("there is no setting `{over}`{hint}"));
    }
    let known = known_tables(&fields, &from, table.as_deref(), families);
    if let Some(source) = known.iter().find(|source| last && source.lacks("epoch")) {
        fields.complain(
            "last",
            format!("the {} of `{}` has no epochs, so it has no last one", source.output, source.name),
        );
    }
    let mut named = BTreeSet::new();
    let (to_x, to_y) = tip.unzip();
    let texts = [
        ("x", Some(x.as_str())),
        ("y", Some(y.as_str())),
        ("z", z.as_deref()),
        ("error", error.as_deref()),
        ("to_x", to_x.as_deref()),
        ("to_y", to_y.as_deref()),
    ];
    let rewritten = texts.map(|(field, text)| expression(&fields, field, text?, &known, settings, &mut named));
    let (pick, only) = (picked(&fields, settings), only(&fields, families));
    for (field, names) in [("per", per.iter().collect::<Vec<_>>()), ("pick", pick.keys().collect())] {
        for name in names.into_iter().filter(|name| is_foreign(name, &known, settings)) {
            fields.complain(
                field,
                format!("`{field}` names the setting `{name}`, on which no stage of this curve depends"),
            );
        }
    }
    let choice = Choice { tables: &known, pick, only, over, named, per };
    let problems = fields.finish("a curve");
    let fine = problems.is_empty();
    complaints.extend(problems);
    let ([Some(x), Some(y), z, error, to_x, to_y], true) = (rewritten, fine) else { return };
    let axes: BTreeSet<String> = choice.per.iter().filter(|name| settings.swept.contains(*name)).cloned().collect();
    let groups = match groups(&choice.per, &axes, settings) {
        Ok(groups) => groups,
        Err(message) => return complaints.push(node.complain(message)),
    };
    let parsed: Vec<Expr> = [Some(&x), Some(&y).filter(|_| mark == Mark::Heat)]
        .into_iter()
        .flatten()
        .filter_map(|text| Expr::parse(text).ok())
        .collect();
    let places = Places {
        axes: parsed.iter().collect(),
        last,
        every_row: !mark.is_mean(),
        per: &choice.per,
        over: &choice.over,
    };
    found.over.insert(choice.over.clone());
    let mut shown = 0;
    for group in groups {
        let taken = taken(&choice, &group, sources);
        if taken.is_empty() && choice.only.is_some() {
            continue;
        }
        let label = labelled(&template, &choice.per, &group, settings);
        if let Err(error) = check_text(&label) {
            return complaints.push(node.complain(error.to_string()));
        }
        let problem = match taken.is_empty() {
            true => Some(nowhere(&choice, &group, settings)),
            false => places.complaint(&taken, settings),
        };
        if let Some(problem) = problem {
            let what = if label.is_empty() {
                format!("the curve of `{}`", from.join("` and `"))
            } else {
                format!("curve `{label}`")
            };
            return complaints.push(node.complain(format!("{what}: {problem}")));
        }
        let replicas = replicas(&choice, &taken, sources, &mut found.inputs);
        let colour = colours.get(shown).map_or((colour + shown as u32) % LOOKS, |&colour| colour as u32);
        shown += 1;
        found.curves.push(Curve {
            label,
            colour,
            dashed,
            mark,
            unnamed,
            x: x.clone(),
            y: y.clone(),
            z: z.clone(),
            error: error.clone(),
            to: to_x.clone().zip(to_y.clone()),
            last,
            replicas,
        });
    }
    if shown == 0 {
        complaints.push(node.complain("the curve is empty: the stage of `only` does not exist where its stages do"));
    }
}

/// Returns whether a setting is a sweep on which none of the tables' stages depend.
fn is_foreign(name: &str, known: &[Source<'_>], settings: &Settings) -> bool {
    settings.is_several(name) && !known.is_empty() && known.iter().all(|source| !source.family.axes.contains(name))
}

/// Explains why there is nothing to draw at some values of the sweeps.
fn nowhere(choice: &Choice<'_>, group: &Point, settings: &Settings) -> String {
    let at: Point = group.iter().chain(&choice.pick).map(|(name, index)| (name.clone(), *index)).collect();
    let name = choice.tables.first().map_or("", |source| source.name);
    format!(
        "`{name}` does not exist at {}: say only = \"{name}\" to leave such curves out, or let `{name}` have that value",
        settings.suffix(&at)
    )
}

/// Returns the tables of the stages that `from` names.
fn known_tables<'a>(
    fields: &Fields<'_>,
    from: &'a [String],
    wanted: Option<&str>,
    families: &'a BTreeMap<String, Family>,
) -> Vec<Source<'a>> {
    let mut known = Vec::new();
    for name in from {
        let Some(family) = families.get(name) else {
            let hint = match name.split_once(':') {
                Some((stage, table)) if families.contains_key(stage) => {
                    format!("; a curve names a table in a field of its own: from = \"{stage}\", table = \"{table}\"")
                }
                _ => did_you_mean(name, families.keys().map(String::as_str)),
            };
            fields.complain("from", format!("there is no stage `{name}`{hint}"));
            continue;
        };
        let tables: Vec<_> = family.tables().collect();
        let found = match wanted {
            None => tables.first(),
            Some(wanted) => tables.iter().find(|(output, _)| *output == wanted),
        };
        match (found, wanted) {
            (Some(&(output, columns)), _) => known.push(Source { name, family, output, columns }),
            (None, None) => {
                fields.complain(
                    "from",
                    format!("`{name}` is a {}, which has no numbers to draw", family.kind.map_or("", KindName::name)),
                );
            }
            (None, Some(wanted)) => {
                let all: Vec<_> = tables.iter().map(|(output, _)| *output).collect();
                let message = format!("`{name}` has no table `{wanted}`, only {}", all.join(", "));
                fields.complain("table", message);
            }
        }
    }
    known
}

/// Checks the names in an expression; settings, written as `$name`, become `setting_name`.
fn expression(
    fields: &Fields<'_>,
    field: &'static str,
    text: &str,
    known: &[Source<'_>],
    settings: &Settings,
    named: &mut BTreeSet<String>,
) -> Option<String> {
    if text.is_empty() {
        return None; // The missing field has already been reported.
    }
    let text = text.replace('$', SETTING);
    let parsed = match Expr::parse(&text) {
        Ok(parsed) => parsed,
        Err(error) => {
            fields.complain(field, format!("`{field}`: {error}"));
            return None;
        }
    };
    for name in parsed.names() {
        if let Some(setting) = name.strip_prefix(SETTING) {
            let numeric = |values: &Vec<Node>| values.iter().all(|value| label(value).parse::<f64>().is_ok());
            match settings.values.get(setting) {
                Some(values) if numeric(values) => {
                    named.insert(setting.to_owned());
                    let lacks = |source: &&Source<'_>| !source.family.axes.contains(setting);
                    if let Some(source) = known.iter().find(lacks).filter(|_| settings.is_several(setting)) {
                        let (count, name) = (values.len(), source.name);
                        let message = format!("`${setting}` has {count} values, and `{name}` depends on none of them");
                        fields.complain(field, message);
                    }
                }
                Some(_) => fields.complain(field, format!("the values of `${setting}` are not numbers")),
                None => {
                    let hint = did_you_mean(setting, settings.values.keys().map(String::as_str));
                    fields.complain(field, format!("there is no setting `{setting}`{hint}"));
                }
            }
            continue;
        }
        for Source { name: stage, columns, .. } in known.iter().filter(|source| source.lacks(name)) {
            let hint = did_you_mean(name, columns.iter().copied());
            let all = columns.join(", ");
            fields.complain(field, format!("`{stage}` has no column `{name}`{hint} Columns: {all}"));
        }
    }
    Some(text)
}

/// Reads `pick`, such as `pick = { lr = 0, wd = -1 }` for the first learning rate and the last weight decay.
fn picked(fields: &Fields<'_>, settings: &Settings) -> BTreeMap<String, usize> {
    let Some(node) = fields.node("pick") else { return BTreeMap::new() };
    let Data::Table(table) = &node.data else {
        fields.complain(
            "pick",
            "`pick` is a table of settings and indices into their lists, such as { lr = 0, wd = -1 }",
        );
        return BTreeMap::new();
    };
    let mut picked = BTreeMap::new();
    for (name, place) in table {
        let count = settings.values.get(name).map_or(0, Vec::len) as i64;
        match place.data {
            Data::Int(at) if (-count..count).contains(&at) => {
                picked.insert(name.clone(), at.rem_euclid(count) as usize);
            }
            _ if count == 0 => {
                let hint = did_you_mean(name, settings.values.keys().map(String::as_str));
                fields.complain("pick", format!("there is no setting `{name}`{hint}"));
            }
            _ => fields.complain("pick", format!("`{name}` has the indices 0 to {} (or −1 for the last)", count - 1)),
        }
    }
    picked
}

fn only<'a>(fields: &Fields<'_>, families: &'a BTreeMap<String, Family>) -> Option<&'a Family> {
    if !fields.has("only") {
        return None;
    }
    let name = fields.text("only", None);
    let found = families.get(&name);
    if found.is_none() {
        let hint = did_you_mean(&name, families.keys().map(String::as_str));
        fields.complain("only", format!("there is no stage `{name}`{hint}"));
    }
    found
}

/// Returns every combination of values of the settings `per`; the last setting varies fastest.
///
/// # Errors
/// If there are too many.
fn groups(per: &[String], axes: &BTreeSet<String>, settings: &Settings) -> Result<Vec<Point>, String> {
    let mut groups = vec![Point::new()];
    for name in per.iter().filter(|name| axes.contains(*name)) {
        let count = settings.values.get(name).map_or(0, Vec::len);
        if groups.len().saturating_mul(count) > MOST {
            return Err(format!("`per` gives more than {MOST} curves"));
        }
        let with =
            |group: &Point, i: usize| group.iter().map(|(k, v)| (k.clone(), *v)).chain([(name.clone(), i)]).collect();
        groups =
            groups.iter().flat_map(|group| (0..count).map(move |i| with(group, i)).collect::<Vec<Point>>()).collect();
    }
    Ok(groups)
}

fn labelled(template: &str, per: &[String], group: &Point, settings: &Settings) -> String {
    let value = |name: &String| {
        let values = settings.values.get(name)?;
        values.get(group.get(name).copied().unwrap_or_default()).map(label)
    };
    let mut text = template.replace("{per}", &per.first().and_then(value).unwrap_or_default());
    for name in per {
        text = text.replace(&format!("{{{name}}}"), &value(name).unwrap_or_default());
    }
    text
}

/// Returns the tables at a combination of values of the settings `per`.
fn taken<'a>(choice: &Choice<'a>, group: &Point, sources: Sources<'_>) -> Vec<Taken<'a>> {
    let mut taken = Vec::new();
    for source in choice.tables {
        for (point, instance) in &source.family.instances {
            let differs = |(name, index): (&String, &usize)| point.get(name).is_some_and(|at| at != index);
            let elsewhere =
                || choice.only.is_some_and(|only| !only.instances.keys().any(|other| agree(other, point, &only.axes)));
            if group.iter().any(differs) || choice.pick.iter().any(differs) || elsewhere() {
                continue;
            }
            let replica = point.get(&choice.over).copied().unwrap_or_default();
            taken.extend(instance.checkpoints.iter().map(|checkpoint| Taken {
                source,
                point,
                stage: checkpoint.stage,
                epochs:
                    sources.graph.stages[checkpoint.stage].work.epochs().filter(|_| source.columns.contains(&"epoch")),
                replica,
            }));
        }
    }
    taken
}

/// Groups the tables by the value of the setting `over`.
fn replicas(
    choice: &Choice<'_>,
    taken: &[Taken<'_>],
    sources: Sources<'_>,
    inputs: &mut BTreeMap<String, Input>,
) -> Vec<Vec<Rows>> {
    let Sources { settings, graph, .. } = sources;
    let mut replicas: BTreeMap<usize, Vec<Rows>> = BTreeMap::new();
    for Taken { source, point, stage, replica, .. } in taken {
        let number = |name: &String| {
            let values = settings.values.get(name)?;
            let value = label(values.get(point.get(name).copied().unwrap_or_default())?).parse().ok()?;
            Some((name.clone(), value))
        };
        let values: BTreeMap<String, f64> = choice.named.iter().filter_map(number).collect();
        let (name, output) = (&graph.stages[*stage].name, source.output);
        let is_usual = source.family.tables().next().is_some_and(|(usual, _)| usual == output);
        let role = if is_usual { name.clone() } else { format!("{name}:{output}") };
        inputs.insert(role.clone(), Input { role: role.clone(), stage: *stage, output });
        replicas.entry(*replica).or_default().push(Rows { table: role, settings: values });
    }
    replicas.into_values().collect()
}

/// Returns whether two points have the same values on their common axes.
fn agree(one: &Point, other: &Point, axes: &BTreeSet<String>) -> bool {
    restrict(other, axes).iter().all(|(name, index)| one.get(name).is_none_or(|at| at == index))
}
