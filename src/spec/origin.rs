//! Where the values of a stage were written (in the file, in a profile or in a `--set`), and what they override.

use std::collections::BTreeMap;

use super::node::{Data, Node, Origin};
use super::pipeline::Pipeline;
use super::sweep::{Settings, label};

/// Parameters that a stage inherits from the stage that it starts from, unless it sets them itself.
pub(super) const INHERITED: [&str; 11] = [
    "model",
    "width",
    "classes",
    "conv_bias",
    "input_norm",
    "radius",
    "projection",
    "precision",
    "channels_last",
    "eval_images",
    "batch",
];

/// A value that a pipeline gives to a parameter of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The value, as TOML.
    pub value: String,
    /// Where it was written, such as `profile smoke at pipelines/fig3.toml:80`.
    pub origin: String,
    /// The value that it overrides, and where that was written.
    pub instead_of: Option<(String, String)>,
    /// The stage that it is inherited from, if it is not the stage's own.
    pub handed_down_by: Option<String>,
}

impl Pipeline {
    /// Returns the values that the pipeline gives to a stage of the graph, by the names of its parameters; parameters that
    /// it does not name are not listed. `name` is the name in the graph, such as `fig3/trunk[lr=0.1,seed=0]@3`.
    pub fn told(&self, name: &str) -> BTreeMap<String, Told> {
        let name = name.split_once('/').map_or(name, |(_, name)| name);
        let end = name.find(['[', '@']).unwrap_or(name.len());
        let (stage, rest) = name.split_at(end);
        let point = rest.strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or_default();
        let point: BTreeMap<&str, &str> = point.split(',').filter_map(|part| part.split_once('=')).collect();
        let settings = Settings::read(&self.settings, &mut Vec::new());
        let mut told = BTreeMap::new();
        let (mut at, mut seen) = (Some(stage.to_owned()), Vec::new());
        while let Some(stage) = at.take() {
            if seen.contains(&stage) {
                break;
            }
            let Some(Node { data: Data::Table(fields), .. }) = self.stages.get(&stage) else { break };
            for (field, node) in fields {
                let is_own = seen.is_empty();
                if told.contains_key(field) || !(is_own || INHERITED.contains(&field.as_str())) {
                    continue;
                }
                let handed_down_by = (!is_own).then(|| stage.clone());
                told.insert(field.clone(), self.tell(&stage, field, node, &settings, &point, handed_down_by));
            }
            let start = ["start", "of"].iter().find_map(|field| fields.get(*field));
            at = start.and_then(|node| match &node.data {
                Data::Text(name) => Some(name.clone()),
                Data::List(names) => names.first().map(label),
                _ => None,
            });
            seen.push(stage);
        }
        told
    }

    fn tell(
        &self,
        stage: &str,
        field: &str,
        node: &Node,
        settings: &Settings,
        point: &BTreeMap<&str, &str>,
        handed_down_by: Option<String>,
    ) -> Told {
        let name = match &node.data {
            Data::Text(text) => text.strip_prefix('$').filter(|name| self.settings.contains_key(*name)),
            _ => None,
        };
        let (holds, path) = match name {
            Some(name) => (&self.settings[name], vec![name]),
            None => (node, vec![stage, field]),
        };
        // For a sweep, this is the value of this instance, but the origin of the whole sweep.
        let one = name.and_then(|name| {
            let values = settings.values.get(name)?;
            values.iter().find(|value| point.get(name).is_some_and(|wanted| label(value) == *wanted))
        });
        let instead_of = self.before(&path).into_iter().rfind(|other| other.origin != holds.origin);
        Told {
            value: toml(one.unwrap_or(holds)),
            origin: self.place(&holds.origin),
            instead_of: instead_of.map(|other| (toml(other), self.place(&other.origin))),
            handed_down_by,
        }
    }

    /// Returns the values of the file and the profile at a path; later ones take precedence.
    fn before(&self, path: &[&str]) -> Vec<&Node> {
        let of_file = match path {
            [setting] => at(&self.root, &["settings", setting]),
            _ => at(&self.root, &[&["stage"], path].concat()),
        };
        of_file.into_iter().chain(at(&self.root, &[&["profile", &self.profile], path].concat())).collect()
    }

    fn place(&self, origin: &Origin) -> String {
        let profile = at(&self.root, &["profile", &self.profile]);
        match profile.is_some_and(|profile| holds(profile, origin)) {
            true => format!("profile {} at {origin}", self.profile),
            false => origin.to_string(),
        }
    }
}

fn at<'a>(node: &'a Node, path: &[&str]) -> Option<&'a Node> {
    path.iter().try_fold(node, |node, name| match &node.data {
        Data::Table(fields) => fields.get(*name),
        _ => None,
    })
}

/// Returns whether a value in a table has this origin.
fn holds(node: &Node, origin: &Origin) -> bool {
    match &node.data {
        Data::Table(fields) => fields.values().any(|node| node.origin == *origin || holds(node, origin)),
        _ => false,
    }
}

/// Formats a value as TOML.
fn toml(node: &Node) -> String {
    match &node.data {
        Data::List(values) => format!("[{}]", values.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Data::Table(fields) => {
            let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name} = {}", toml(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        _ => node.describe(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[settings]\nlr = [0.1, 0.2]\nwd = 0.5\n[stage.init]\nkind = \"init\"\nmodel = \"m\"\nwidth = 64\n\
        [stage.trunk]\nkind = \"train\"\nstart = \"init\"\nlr = \"$lr\"\nwd = \"$wd\"\nepochs = 10\nbatch = 9\n\
        [stage.probe]\nkind = \"probe\"\nstart = [\"trunk\"]\nlr = 0.3\n\
        [profile.smoke]\nlr = [0.1]\ninit.width = 4\n[profile.smoke.trunk]\nepochs = 2\n[profile.paper]\n";

    fn told(profile: &str, stage: &str, field: &str, sets: &[&str]) -> String {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let pipeline = Pipeline::read("p", "p.toml", TEXT, profile, &sets).unwrap();
        let Told { value, origin, instead_of, handed_down_by } = pipeline.told(stage).remove(field).unwrap();
        let instead = instead_of.map_or(String::new(), |(value, at)| format!(", not {value} ({at})"));
        let by = handed_down_by.map_or(String::new(), |by| format!(", by {by}"));
        format!("{value} ({origin}){instead}{by}")
    }

    #[test]
    fn every_value_knows_where_it_is_from_and_what_it_overrides() {
        let run = "p/trunk[lr=0.2]@3";
        assert_eq!(told("paper", run, "lr", &[]), "0.2 (p.toml:2)");
        assert_eq!(told("paper", run, "wd", &[]), "0.5 (p.toml:3)");
        assert_eq!(told("paper", run, "epochs", &[]), "10 (p.toml:13)");
        assert_eq!(told("paper", run, "width", &[]), "64 (p.toml:7), by init");
        let run = "p/trunk[lr=0.1]";
        assert_eq!(told("smoke", run, "lr", &[]), "0.1 (profile smoke at p.toml:20), not [0.1, 0.2] (p.toml:2)");
        assert_eq!(told("smoke", run, "epochs", &[]), "2 (profile smoke at p.toml:23), not 10 (p.toml:13)");
        assert_eq!(
            told("smoke", "p/probe[lr=0.1]", "width", &[]),
            "4 (profile smoke at p.toml:21), not 64 (p.toml:7), by init"
        );
        assert_eq!(told("smoke", "p/probe[lr=0.1]", "batch", &[]), "9 (p.toml:14), by trunk");
        assert_eq!(told("smoke", "p/probe[lr=0.1]", "lr", &[]), "0.3 (p.toml:18)");
        assert_eq!(
            told("smoke", run, "epochs", &["trunk.epochs=7"]),
            "7 (--set 'trunk.epochs=7'), not 2 (profile smoke at p.toml:23)"
        );
        assert_eq!(told("paper", run, "wd", &["wd=1"]), "1 (--set 'wd=1'), not 0.5 (p.toml:3)");
    }

    #[test]
    fn what_the_pipeline_does_not_say_is_not_told() {
        let pipeline = Pipeline::read("p", "p.toml", TEXT, "paper", &[]).unwrap();
        assert!(!pipeline.told("p/trunk[lr=0.1]").contains_key("ema"));
        assert!(!pipeline.told("p/probe[lr=0.1]").contains_key("epochs"), "only some parameters are inherited");
        assert!(pipeline.told("p").is_empty() && pipeline.told("p/nosuch").is_empty());
    }
}
