//! The graph of a figure's stages as a picture: stages of one name and kind are one node, with their number.

use std::collections::BTreeMap;

use super::StageInfo;
use super::text::{esc, plural};

/// Largest number of nodes before stages are joined by their kind alone.
const MOST_NODES: usize = 24;
/// Size of a node, gaps between nodes, and the margin, in pixels.
const NODE: (f64, f64) = (146.0, 44.0);
const GAP: (f64, f64) = (34.0, 14.0);
const MARGIN: f64 = 4.0;
/// Longest name in characters that fits into a node.
const LONGEST: usize = 17;

/// Stages that the picture shows as one.
pub(super) struct Group<'a> {
    /// The name in the pipeline, or the kind.
    pub name: &'a str,
    /// The kind of work.
    pub kind: &'a str,
    /// Indices of the stages.
    pub stages: Vec<usize>,
}

/// Returns the name of a stage in its pipeline: `trunk` of `fig3/trunk[lr=0.1,seed=0]@5`.
fn stem(name: &str) -> &str {
    let base = name.split(['[', '@']).next().unwrap_or(name);
    base.rsplit_once('/').map_or(base, |(_, stem)| stem)
}

/// Joins stages of one name and kind, or of one kind if there are very many names, in the order of the first stages.
pub(super) fn groups(stages: &[StageInfo]) -> Vec<Group<'_>> {
    let by = |name: fn(&StageInfo) -> &str| {
        let mut groups: Vec<Group<'_>> = Vec::new();
        let mut known: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for (i, stage) in stages.iter().enumerate() {
            let at = *known.entry((name(stage), &stage.kind)).or_insert_with(|| {
                groups.push(Group { name: name(stage), kind: &stage.kind, stages: Vec::new() });
                groups.len() - 1
            });
            groups[at].stages.push(i);
        }
        groups
    };
    let named = by(|stage| stem(&stage.name));
    if named.len() <= MOST_NODES { named } else { by(|stage| &stage.kind) }
}

/// Returns the edges between groups, without those within a group.
fn edges(stages: &[StageInfo], groups: &[Group<'_>]) -> Vec<(usize, usize)> {
    let mut of = vec![0; stages.len()];
    for (group, index) in groups.iter().zip(0..) {
        group.stages.iter().for_each(|&stage| of[stage] = index);
    }
    let inputs = stages.iter().enumerate().flat_map(|(to, stage)| stage.inputs.iter().map(move |&from| (from, to)));
    let mut edges: Vec<(usize, usize)> =
        inputs.filter_map(|(from, to)| Some((*of.get(from)?, of[to]))).filter(|(from, to)| from != to).collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// Returns the column of every group: one more than the last of its inputs. Edges to an earlier group do not count.
fn columns(count: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let mut columns = vec![0; count];
    for to in 0..count {
        let before = edges.iter().filter(|edge| edge.1 == to && edge.0 < to).map(|edge| columns[edge.0] + 1);
        columns[to] = before.max().unwrap_or(0);
    }
    columns
}

/// Returns the picture, in a box that scrolls; an empty text without stages. Each node links to the id
/// `{anchor}-stages-{index}`.
pub(super) fn picture(stages: &[StageInfo], figure: &str, anchor: &str) -> String {
    let groups = groups(stages);
    if groups.is_empty() {
        return String::new();
    }
    let edges = edges(stages, &groups);
    let columns = columns(groups.len(), &edges);
    let mut heights = vec![0_usize; columns.iter().max().map_or(0, |last| last + 1)];
    let rows: Vec<usize> = columns
        .iter()
        .map(|&column| {
            heights[column] += 1;
            heights[column] - 1
        })
        .collect();
    let tallest = heights.iter().copied().max().unwrap_or(1);
    let at = |group: usize| {
        let unused = (tallest - heights[columns[group]]) as f64 / 2.0;
        (MARGIN + columns[group] as f64 * (NODE.0 + GAP.0), MARGIN + (rows[group] as f64 + unused) * (NODE.1 + GAP.1))
    };
    let width = 2.0 * MARGIN + heights.len() as f64 * (NODE.0 + GAP.0) - GAP.0;
    let height = 2.0 * MARGIN + tallest as f64 * (NODE.1 + GAP.1) - GAP.1;
    let words = format!("{} of {figure}: {}", plural(stages.len(), "stage"), spoken(&groups));
    let mut out = format!(
        "<div class=\"scroll flow\" tabindex=\"0\" role=\"region\" aria-label=\"Graph of the stages of {0}\">\n\
         <svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" role=\"group\" \
         aria-label=\"{1}\">\n",
        esc(figure),
        esc(&words),
    );
    for &(from, to) in &edges {
        let ((x0, y0), (x1, y1)) = (at(from), at(to));
        let (x0, y0, y1) = (x0 + NODE.0, y0 + NODE.1 / 2.0, y1 + NODE.1 / 2.0);
        let bend = GAP.0 / 2.0;
        out.push_str(&format!(
            "<path class=\"edge\" d=\"M{x0} {y0}C{} {y0} {} {y1} {x1} {y1}\"/>\n",
            x0 + bend,
            x1 - bend
        ));
    }
    for (index, group) in groups.iter().enumerate() {
        out.push_str(&node(group, at(index), &format!("{anchor}-stages-{index}")));
    }
    out.push_str("</svg>\n</div>\n");
    out
}

fn node(group: &Group<'_>, (x, y): (f64, f64), target: &str) -> String {
    let count = match group.stages.len() {
        1 => String::new(),
        count => format!(" × {count}"),
    };
    let kind = if group.kind == group.name { "" } else { group.kind };
    let lines: Vec<String> = [short(group.name) + if kind.is_empty() { &count } else { "" }, short(kind) + &count]
        .into_iter()
        .take(if kind.is_empty() { 1 } else { 2 })
        .collect();
    let middle = x + NODE.0 / 2.0;
    let first = y + NODE.1 / 2.0 + 4.5 - 8.0 * (lines.len() as f64 - 1.0);
    let text: String = (lines.iter().zip(["name", "kind"]).enumerate())
        .map(|(i, (line, class))| {
            let y = first + 16.0 * i as f64;
            format!("<text class=\"{class}\" x=\"{middle}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", esc(line))
        })
        .collect();
    format!(
        "<a href=\"#{target}\"><rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" rx=\"5\"/>{text}</a>\n",
        NODE.0, NODE.1
    )
}

/// Shortens a name to the width of a node.
fn short(name: &str) -> String {
    match name.chars().count() {
        ..=LONGEST => name.to_owned(),
        _ => name.chars().take(LONGEST - 1).chain(['…']).collect(),
    }
}

fn spoken(groups: &[Group<'_>]) -> String {
    let one = |group: &Group<'_>| format!("{} {}", group.stages.len(), group.name);
    groups.iter().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, kind: &str, inputs: &[usize]) -> StageInfo {
        let text = |text: &str| text.to_owned();
        StageInfo {
            name: text(name),
            kind: text(kind),
            seconds: 1.0,
            device: text("cpu"),
            machine: text("m"),
            key: text("00"),
            inputs: inputs.to_vec(),
            outputs: Vec::new(),
        }
    }

    #[test]
    fn stages_of_one_name_and_kind_are_one_node() {
        let stages = [
            stage("f/data", "dataset", &[]),
            stage("f/init[seed=0]", "init", &[]),
            stage("f/trunk[seed=0]@1", "train", &[0, 1]),
            stage("f/trunk[seed=0]@5", "train", &[0, 2]),
            stage("f/probe[seed=0]", "probe", &[0, 3]),
            stage("f", "figure", &[3, 4]),
        ];
        let found = groups(&stages);
        let told: Vec<_> = found.iter().map(|group| (group.name, group.kind, group.stages.len())).collect();
        let expected = [
            ("data", "dataset", 1),
            ("init", "init", 1),
            ("trunk", "train", 2),
            ("probe", "probe", 1),
            ("f", "figure", 1),
        ];
        assert_eq!(told, expected);
        let edges = edges(&stages, &found);
        assert_eq!(edges, [(0, 2), (0, 3), (1, 2), (2, 3), (2, 4), (3, 4)], "no edge within a group");
        assert_eq!(columns(found.len(), &edges), [0, 0, 1, 2, 3]);
        let picture = picture(&stages, "f", "figure-f");
        assert!(picture.contains(">trunk</text>") && picture.contains(">train × 2</text>"), "{picture}");
        assert_eq!(picture.matches("<a href=\"#figure-f-stages-").count(), 5);
        assert_eq!(picture.matches("class=\"edge\"").count(), 6);
        assert_eq!(super::picture(&[], "f", "a"), "");
    }

    #[test]
    fn very_many_names_are_joined_by_kind_and_circles_end() {
        let many: Vec<_> = (0..30)
            .map(|i| stage(&format!("f/s{i}"), if i % 2 == 0 { "a" } else { "b" }, &[(i + 1) % 30, 99]))
            .collect();
        let found = groups(&many);
        assert_eq!(found.len(), 2);
        assert_eq!(columns(2, &edges(&many, &found)), [0, 1]);
        assert!(picture(&many, "f", "f").contains(">a × 15</text>"));
    }
}
