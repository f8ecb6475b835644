//! Inputs of a command that collect the outputs of many instances of a stage: `{ from = "sharpness", over = ["seed"] }`.

use std::collections::{BTreeMap, BTreeSet};

use super::expand::Family;
use super::node::{Data, Node};
use super::stages::Instance;
use super::sweep::{Point, Settings, label, restrict};

/// The word in `over` that stands for all checkpoints.
pub const CHECKPOINTS: &str = "after";

/// An input that collects the outputs of several instances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gather {
    /// Name of the input.
    pub role: String,
    /// The stage, with the output that is selected, if any: `stage` or `stage:output`.
    pub from: String,
    /// The settings over which instances are collected.
    pub over: BTreeSet<String>,
}

/// The instances that an input collects.
pub struct Gathered<'a> {
    /// The input.
    pub gather: Gather,
    /// The instances, each with its values of the settings.
    pub instances: Vec<(BTreeMap<String, Node>, &'a Instance)>,
}

/// Reads the inputs of a command that collect instances. Leaves out those with mistakes.
pub fn gathers(node: &Node) -> Vec<Gather> {
    let Data::Table(fields) = &node.data else { return Vec::new() };
    let Some(Node { data: Data::Table(roles), .. }) = fields.get("in") else { return Vec::new() };
    roles.iter().filter_map(|(role, node)| gather(role, node)).collect()
}

/// Reads one input; returns `None` if it is not of the form `{ from = "STAGE", over = ["SETTING"] }`.
pub fn gather(role: &str, node: &Node) -> Option<Gather> {
    let Data::Table(fields) = &node.data else { return None };
    let (Data::Text(from), Data::List(over)) = (&fields.get("from")?.data, &fields.get("over")?.data) else {
        return None;
    };
    let text = |node: &Node| if let Data::Text(text) = &node.data { Some(text.clone()) } else { None };
    let over: BTreeSet<String> = over.iter().map(text).collect::<Option<_>>()?;
    (fields.len() == 2 && !over.is_empty()).then(|| Gather { role: role.to_owned(), from: from.clone(), over })
}

impl Gather {
    /// Returns the name of the stage.
    pub fn stage(&self) -> &str {
        self.from.split(':').next().unwrap_or_default()
    }

    /// Returns the settings that still multiply a stage that has this input.
    pub fn axes(&self, family: &Family) -> BTreeSet<String> {
        family.axes.difference(&self.over).cloned().collect()
    }

    /// Returns a complaint if a setting in `over` does not multiply the stage.
    pub fn unfit(&self, family: &Family) -> Option<String> {
        let wrong = self.over.iter().find(|name| *name != CHECKPOINTS && !family.axes.contains(*name))?;
        let axes: Vec<&str> = family.axes.iter().map(String::as_str).chain([CHECKPOINTS]).collect();
        Some(format!("`over` names `{wrong}`, but `{}` is swept over {}", self.stage(), axes.join(", ")))
    }

    /// Collects the instances at a point.
    pub fn at<'a>(&self, point: &Point, family: &'a Family, settings: &Settings) -> Gathered<'a> {
        let axes = self.axes(family);
        let here = restrict(point, &axes);
        let fits = family.instances.iter().filter(|(other, _)| restrict(other, &axes) == here);
        let instances = fits.map(|(other, instance)| {
            let over = other.iter().filter(|(name, _)| self.over.contains(*name));
            let values = over.map(|(name, &index)| (name.clone(), settings.values[name][index].clone()));
            (values.collect(), instance)
        });
        Gathered { gather: self.clone(), instances: instances.collect() }
    }
}

/// Returns the name of the file or folder with the outputs of an instance: `rho-0.1_seed-0`, and `_after-5` at its end for a
/// checkpoint.
pub fn file_name(values: &BTreeMap<String, Node>, after: Option<u32>) -> String {
    let mut parts: Vec<String> = values.iter().map(|(name, value)| format!("{name}-{}", label(value))).collect();
    parts.extend(after.map(|after| format!("{CHECKPOINTS}-{after}")));
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '-' };
    parts.join("_").chars().map(plain).collect()
}
