//! Stages of a graph by the name that a user types.

use crate::graph::{Graph, StageId};
use crate::project::Failure;
use crate::spec::did_you_mean;

/// Finds the figure or panel with a name, or all panels of a figure whose panels are in several pipelines, such as fig6a and
/// fig6b for fig6.
pub fn drawn(graph: &Graph, name: &str) -> Vec<StageId> {
    if let Some(drawn) = graph.figures.get(name) {
        return vec![drawn.stage];
    }
    let is_panel = |other: &String| {
        other.strip_prefix(name).is_some_and(|rest| rest.len() == 1 && rest.chars().all(|c| c.is_ascii_lowercase()))
    };
    let panels = graph.figures.iter().filter(|(other, drawn)| drawn.whole && is_panel(other));
    panels.map(|(_, drawn)| drawn.stage).collect()
}

/// Finds the stages that match a pattern.
///
/// # Errors
/// If there are none; the message suggests similar names.
pub fn find(graph: &Graph, pattern: &str) -> Result<Vec<StageId>, Failure> {
    if pattern.matches('[').count() > pattern.matches(']').count() {
        return Err(Failure::usage(format!("`{pattern}` lacks its closing bracket `]`"), ""));
    }
    let found = graph.find(pattern);
    if !found.is_empty() {
        return Ok(found);
    }
    if let Some(why) = graph.why_none(pattern) {
        return Err(Failure::usage(why, "`wdpipe graph --format json` lists the stages by their names"));
    }
    let family = |name: &str| name.split(['[', '@']).next().unwrap_or_default().to_owned();
    let mut known: Vec<String> = graph.figures.keys().cloned().collect();
    known.extend(graph.stages.iter().map(|stage| family(&stage.name)));
    known.extend(graph.stages.iter().filter_map(|s| s.name.split_once('/')).map(|(_, name)| family(name)));
    known.push("all".to_owned());
    known.sort_unstable();
    known.dedup();
    let close = did_you_mean(pattern, known.iter().map(String::as_str));
    let figures: Vec<_> = graph.figures.keys().map(String::as_str).collect();
    Err(Failure::usage(
        format!("there is no figure, panel or stage `{pattern}`{close}"),
        format!("figures and panels: {}, all; `wdpipe graph` lists the stages", figures.join(", ")),
    ))
}
