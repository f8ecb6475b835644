//! The contents of a pipeline file, read without expanding it: the names of its figures, panels and stages.

use std::collections::{BTreeMap, BTreeSet};

use super::node::{Data, Diagnostic, Node, parse_file};
use super::pipeline::{list, table};

/// Names that no figure can have: `make all` makes every figure, and index.html is the page with all figures.
pub const RESERVED: [&str; 2] = ["all", "index"];

/// The contents of a pipeline file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// Its figures and panels by name.
    pub drawn: BTreeMap<String, Need>,
    /// The names of its stages.
    pub stages: BTreeSet<String>,
}

/// A part of a pipeline that is requested.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// A figure with all its panels and claims.
    Figure(String),
    /// A panel of a figure, by their names.
    Panel(String, String),
    /// A stage.
    Stage(String),
}

impl Contents {
    /// Reads the text of the pipeline `name`.
    ///
    /// # Errors
    /// If it is not TOML.
    pub fn of(name: &str, file: &str, text: &str) -> Result<Self, Diagnostic> {
        let root = parse_file(file, text)?;
        let panels = list(table(&root).get("panel"));
        let commands = drawings(table(&root).get("figure"), name);
        let stages = table(&root).get("stage").map(|stages| table(stages).keys().cloned().collect());
        let mut drawn = drawn(&panels, name);
        drawn.extend(commands.into_iter().map(|(figure, _)| (figure.to_owned(), Need::Figure(figure.to_owned()))));
        Ok(Self { drawn, stages: stages.unwrap_or_default() })
    }
}

/// Returns the figure and the id of a panel, as far as they can be read.
pub fn place<'a>(panel: &'a Node, pipeline: &'a str) -> (&'a str, &'a str) {
    let text = |name: &str| match table(panel).get(name).map(|node| &node.data) {
        Some(Data::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    (text("figure").unwrap_or(pipeline), text("id").unwrap_or_default())
}

/// Returns the figures that commands draw, with the names of these stages: those with a `drawing` in `[figure]`, which
/// describes the figure with the pipeline's name, or in `[figure.NAME]`.
pub fn drawings<'a>(figure: Option<&'a Node>, pipeline: &'a str) -> Vec<(&'a str, &'a str)> {
    let Some(Node { data: Data::Table(own), .. }) = figure else { return Vec::new() };
    let others = own.iter().filter_map(|(name, node)| match &node.data {
        Data::Table(fields) => Some((name.as_str(), fields)),
        _ => None,
    });
    let stage = |(name, fields): (&'a str, &'a BTreeMap<String, Node>)| match &fields.get("drawing")?.data {
        Data::Text(stage) => Some((name, stage.as_str())),
        _ => None,
    };
    std::iter::once((pipeline, own)).chain(others).filter_map(stage).collect()
}

/// Returns the figures to which the panels belong, and the panels of figures with several.
fn drawn(panels: &[Node], pipeline: &str) -> BTreeMap<String, Need> {
    let places: Vec<_> = panels.iter().map(|panel| place(panel, pipeline)).collect();
    let mut drawn = BTreeMap::new();
    for &(figure, id) in &places {
        drawn.insert(figure.to_owned(), Need::Figure(figure.to_owned()));
        if places.iter().filter(|(other, _)| *other == figure).count() > 1 {
            drawn.insert(panel_name(figure, id), Need::Panel(figure.to_owned(), id.to_owned()));
        }
    }
    drawn
}

/// Returns the name of a panel: fig3c for panel c of fig3, effective-lr-c for panel c of effective-lr.
pub fn panel_name(figure: &str, panel: &str) -> String {
    if figure.ends_with(|c: char| c.is_ascii_digit()) {
        format!("{figure}{panel}")
    } else {
        format!("{figure}-{panel}")
    }
}
