//! Reduces a pipeline to the parts that some targets need, so that mistakes elsewhere do not affect them.

use std::collections::BTreeSet;

use super::command;
use super::contents::{Need, drawings, place};
use super::node::{Data, Node};
use super::pipeline::{Pipeline, list, table};

impl Pipeline {
    /// Leaves out the stages, panels, claims and published values that `needs` do not require. Names do not change.
    pub fn reduce_to(&mut self, needs: &[Need]) {
        let name = self.name.clone();
        let whole = |figure: &str| needs.contains(&Need::Figure(figure.to_owned()));
        let shows =
            |figure: &str, id: &str| whole(figure) || needs.contains(&Need::Panel(figure.to_owned(), id.to_owned()));
        let is_left_out = |panel: &Node| {
            let (figure, id) = place(panel, &name);
            !shows(figure, id)
        };
        self.left_out =
            self.panels.iter().filter(|panel| is_left_out(panel)).map(|panel| owned(place(panel, &name))).collect();
        let drawings = drawings(self.figure.as_ref(), &name);
        let (drawn, idle): (Vec<_>, Vec<_>) = drawings.into_iter().partition(|(figure, _)| whole(figure));
        self.left_out.extend(idle.into_iter().map(|(figure, _)| owned((figure, ""))));
        self.claims.retain(|claim| whole(place(claim, &name).0));
        self.published.retain(|published| whole(place(published, &name).0));
        let panels = self.panels.iter().filter(|panel| !is_left_out(panel));
        let curves = panels.chain(&self.claims).flat_map(|node| list(table(node).get("curve")));
        let mut open: Vec<String> = curves.flat_map(|curve| names(&curve, &["from", "only"])).collect();
        open.extend(drawn.into_iter().map(|(_, stage)| stage.to_owned()));
        open.extend(
            needs.iter().filter_map(|need| if let Need::Stage(stage) = need { Some(stage.clone()) } else { None }),
        );
        let mut needed = BTreeSet::new();
        while let Some(stage) = open.pop() {
            let Some(node) = self.stages.get(&stage) else {
                // The name is a mistake, and the complaint about it suggests one of all stages.
                return;
            };
            if needed.insert(stage) {
                open.extend(names(node, &["start", "of", "data"]));
                open.extend(command::all_named(node));
            }
        }
        let stages = std::mem::take(&mut self.stages).into_iter();
        (self.stages, self.unneeded) = stages.partition(|(stage, _)| needed.contains(stage));
    }
}

fn owned((figure, id): (&str, &str)) -> (String, String) {
    (figure.to_owned(), id.to_owned())
}

/// Returns the stages that some fields of a table name.
fn names(node: &Node, fields: &[&str]) -> Vec<String> {
    let text = |node: &Node| if let Data::Text(text) = &node.data { Some(text.clone()) } else { None };
    let named = fields.iter().filter_map(|field| table(node).get(*field));
    named
        .flat_map(|node| {
            if let Data::List(nodes) = &node.data {
                nodes.iter().filter_map(text).collect()
            } else {
                Vec::from_iter(text(node))
            }
        })
        .collect()
}
