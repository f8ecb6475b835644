//! A pipeline file with a profile and `--set` options applied: the resulting settings, stages and panels.
//!
//! Later values take precedence: first the file, then the profile, then every `--set` in order. A path is the
//! name of a setting (`lr`), of a stage with its parameter (`trunk.epochs`), `policy`, or a field of the figure (`figure.width`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::node::{Data, Diagnostic, Node, Origin, are_like, did_you_mean, parse_file, parse_set};
use base::name::{PLAIN, is_plain};

/// A pipeline after applying profile and `--set` options, before its stages are checked.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The file's stem, such as `fig3`: the figure's name.
    pub name: String,
    /// The project's folder, in which commands declare files. Unless it is changed, the folder above that of the file.
    pub home: PathBuf,
    /// Title of the figure; may be empty.
    pub title: String,
    /// The chosen profile.
    pub profile: String,
    /// The profile's description of itself.
    pub about: String,
    /// The `--set` options that change something.
    pub sets: Vec<String>,
    /// The numeric policy, if the pipeline names one.
    pub policy: Option<Node>,
    /// The settings. A list is a sweep.
    pub settings: BTreeMap<String, Node>,
    /// The settings of file and profile, without `--set` options.
    pub planned: BTreeMap<String, Node>,
    /// The stages' tables by name.
    pub stages: BTreeMap<String, Node>,
    /// Layout of the figures: titles, panels per row, size on paper.
    pub figure: Option<Node>,
    /// The panels in order.
    pub panels: Vec<Node>,
    /// The claims.
    pub claims: Vec<Node>,
    /// The published values.
    pub published: Vec<Node>,
    /// The whole file, for complaints that concern all of it.
    pub root: Node,
    /// Values that replaced a `$setting` of a stage by a `--set` or the profile: the setting, the path, and the value.
    pub replaced: Vec<(String, String, Node)>,
    /// Stages that were left out because no target needs them; see [`Pipeline::reduce_to`].
    pub unneeded: BTreeMap<String, Node>,
    /// Panels that are not drawn, by their figure and id.
    pub left_out: BTreeSet<(String, String)>,
}

/// Keys of a pipeline file.
pub(super) const KEYS: [&str; 9] =
    ["title", "policy", "settings", "stage", "figure", "panel", "claim", "published", "profile"];

/// Returns the tables of a `[[list]]`.
pub(super) fn list(node: Option<&Node>) -> Vec<Node> {
    match node.map(|node| &node.data) {
        Some(Data::List(nodes)) => nodes.clone(),
        _ => Vec::new(),
    }
}

impl Pipeline {
    /// Returns whether a `--set` changes something that this pipeline has. This is true for a `--set` that cannot be read,
    /// since the complaint about it is made when it is applied.
    pub fn knows(&self, set: &str) -> bool {
        let Ok((path, _)) = split_set(set) else { return true };
        let root = path.split('.').next().unwrap_or_default().trim();
        ["policy", "figure"].contains(&root) || self.settings.contains_key(root) || self.stages.contains_key(root)
    }

    /// Reads the text of a pipeline file and applies a profile and `--set PATH=VALUE` options.
    ///
    /// # Errors
    /// Lists every unknown key, profile or path, with its origin.
    pub fn read(name: &str, file: &str, text: &str, profile: &str, sets: &[String]) -> Result<Self, Vec<Diagnostic>> {
        let root = parse_file(file, text).map_err(|error| vec![error])?;
        let mut complaints = Vec::new();
        let fields = table(&root);
        for (key, node) in fields.iter().filter(|(key, _)| !KEYS.contains(&key.as_str())) {
            complaints.push(node.complain(format!("a pipeline has no `{key}`{}", did_you_mean(key, KEYS))));
        }
        let mut pipeline = Self {
            name: name.to_owned(),
            home: Path::new(file).parent().and_then(Path::parent).unwrap_or(Path::new("")).to_owned(),
            title: text_of(fields.get("title")),
            profile: profile.to_owned(),
            about: String::new(),
            sets: Vec::new(),
            policy: fields.get("policy").cloned(),
            settings: section(fields.get("settings"), "settings", &mut complaints),
            planned: BTreeMap::new(),
            stages: section(fields.get("stage"), "stage", &mut complaints),
            figure: fields.get("figure").cloned(),
            panels: list(fields.get("panel")),
            claims: list(fields.get("claim")),
            published: list(fields.get("published")),
            root: root.clone(),
            replaced: Vec::new(),
            unneeded: BTreeMap::new(),
            left_out: BTreeSet::new(),
        };
        for (stage, node) in pipeline.stages.iter().filter(|(name, _)| pipeline.settings.contains_key(*name)) {
            complaints.push(node.complain(format!("`{stage}` is a setting and a stage; rename one")));
        }
        let profiles = section(fields.get("profile"), "profile", &mut complaints);
        // Each profile has a folder in reports/, and some file systems are not case-sensitive.
        let lower: BTreeSet<String> = profiles.keys().map(|name| name.to_lowercase()).collect();
        if lower.len() < profiles.len() {
            complaints.push(root.complain("the names of two profiles differ in upper and lower case only"));
        }
        for (name, node) in profiles.iter().filter(|(name, _)| !is_plain(name)) {
            complaints.push(node.complain(format!("`{name}` cannot be the name of a profile: {PLAIN}")));
        }
        match profiles.get(profile) {
            Some(node) => {
                for (key, value) in table(node) {
                    if key == "about" {
                        pipeline.about = text_of(Some(value));
                    } else {
                        pipeline.overlay(&[key], value, &mut complaints);
                    }
                }
            }
            None => {
                let known: Vec<_> = profiles.keys().map(String::as_str).collect();
                complaints.push(root.complain(match known.is_empty() {
                    true => {
                        format!("the pipeline has no profiles: add a table [profile.{profile}], which may be empty")
                    }
                    false => format!("no profile `{profile}` here; there are: {}", known.join(", ")),
                }));
            }
        }
        pipeline.planned = pipeline.settings.clone();
        for set in sets {
            match split_set(set) {
                Ok((path, value)) => {
                    let path: Vec<_> = path.split('.').map(str::trim).collect();
                    let before = pipeline.values();
                    pipeline.overlay(&path, &value, &mut complaints);
                    if !pipeline.values().iter().zip(&before).all(|(now, before)| are_like(now, before)) {
                        pipeline.sets.push(set.clone());
                    }
                }
                Err(complaint) => complaints.push(complaint),
            }
        }
        if complaints.is_empty() { Ok(pipeline) } else { Err(complaints) }
    }

    /// Returns the profiles of a pipeline file and their descriptions.
    ///
    /// # Errors
    /// If the text is not TOML.
    pub fn profiles(file: &str, text: &str) -> Result<Vec<(String, String)>, Diagnostic> {
        let root = parse_file(file, text)?;
        let profiles = section(table(&root).get("profile"), "profile", &mut Vec::new());
        let plain = profiles.iter().filter(|(name, _)| is_plain(name));
        Ok(plain.map(|(name, node)| (name.clone(), text_of(table(node).get("about")))).collect())
    }

    /// Returns the paths that a `--set` can change: settings, fields of stages, the policy, and the size of figures on paper.
    pub fn paths(&self) -> Vec<String> {
        let fields = |(stage, node): (&String, &Node)| {
            table(node).keys().map(|field| format!("{stage}.{field}")).collect::<Vec<_>>()
        };
        let stages = self.stages.iter().flat_map(fields);
        self.settings
            .keys()
            .cloned()
            .chain(stages)
            .chain(["policy", "figure.width", "figure.font_size"].map(str::to_owned))
            .collect()
    }

    /// Returns everything that a `--set` can change.
    fn values(&self) -> [BTreeMap<String, Node>; 3] {
        let others = [("policy", &self.policy), ("figure", &self.figure)].into_iter();
        let others = others.filter_map(|(name, node)| Some((name.to_owned(), node.clone()?)));
        [self.settings.clone(), self.stages.clone(), others.collect()]
    }

    /// Returns a value of the file, or the innermost existing table around it.
    pub fn node_at(&self, path: &[&str]) -> &Node {
        path.iter().fold(&self.root, |node, name| table(node).get(*name).unwrap_or(node))
    }

    /// Says what a `--set` can change, for a path that begins with no setting or stage.
    fn unknown(&self, path: &[&str]) -> String {
        let head = path[0];
        let is_known = |name: &str| self.settings.contains_key(name) || self.stages.contains_key(name);
        let dotted = head.replace('/', ".");
        let mend = if path.get(1).is_some_and(|name| is_known(name)) {
            format!(": leave out `{head}.`")
        } else if dotted.split_once('.').is_some_and(|(stage, _)| is_known(stage)) {
            format!(": write {dotted}")
        } else {
            let close = did_you_mean(head, self.settings.keys().chain(self.stages.keys()).map(String::as_str));
            let list = |names: &BTreeMap<String, Node>| names.keys().cloned().collect::<Vec<_>>().join(", ");
            let parts = [("settings", list(&self.settings)), ("stages", list(&self.stages))];
            let parts = parts.iter().filter(|(_, names)| !names.is_empty());
            match close.is_empty() {
                true => parts.map(|(what, names)| format!("; {what}: {names}")).collect(),
                false => close,
            }
        };
        format!("there is no setting or stage `{head}`{mend}")
    }

    fn overlay(&mut self, path: &[&str], value: &Node, complaints: &mut Vec<Diagnostic>) {
        let head = path[0];
        if let Some(setting) = self.stages.get(head).and_then(|stage| reference(stage, &path[1..])) {
            self.replaced.push((setting, path.join("."), value.clone()));
        }
        if *path == ["policy"] {
            self.policy = Some(value.clone());
        } else if let Some(setting) = self.settings.get_mut(head) {
            match path.len() {
                1 => *setting = value.clone(),
                _ => complaints.push(value.complain(format!("`{head}` is a setting, it has no `{}`", path[1]))),
            }
        } else if let Some(stage) = self.stages.get_mut(head) {
            match (path.len(), &value.data) {
                (1, Data::Table(_)) => merge(stage, value),
                (1, _) => complaints.push(value.complain(format!("`{head}` is a stage: say {head}.PARAMETER = …"))),
                _ => put(stage, &path[1..], value),
            }
        } else if head == "figure" {
            let empty = Node { origin: value.origin.clone(), data: Data::Table(BTreeMap::new()) };
            let figure = self.figure.get_or_insert(empty);
            match (path.len(), &value.data) {
                (1, Data::Table(_)) => merge(figure, value),
                (1, _) => complaints.push(value.complain("`figure` is a table: say figure.FIELD = …")),
                _ => put(figure, &path[1..], value),
            }
        } else {
            complaints.push(value.complain(self.unknown(path)));
        }
    }
}

/// Checks whether a `--set` can be read, independently of a pipeline.
///
/// # Errors
/// If the `--set` cannot be read.
pub fn check_set(assignment: &str) -> Result<(), Diagnostic> {
    split_set(assignment).map(drop)
}

fn split_set(assignment: &str) -> Result<(&str, Node), Diagnostic> {
    let Some((path, value)) = assignment.split_once('=') else {
        let origin = Origin::whole_set(assignment);
        return Err(Diagnostic {
            origin,
            message: "expected PATH=VALUE without spaces, or in quotes, such as 'lr=[0.1, 0.2]' or trunk.wd=0"
                .to_owned(),
        });
    };
    Ok((path.trim(), parse_set(assignment, value.trim())?))
}

/// Returns the setting to which a `$name` at a path of a stage refers.
fn reference(stage: &Node, path: &[&str]) -> Option<String> {
    let node = path.iter().try_fold(stage, |node, name| table(node).get(*name))?;
    if let Data::Text(text) = &node.data { text.strip_prefix('$').map(str::to_owned) } else { None }
}

/// Sets `stage.path = value`, creating tables as needed.
fn put(node: &mut Node, path: &[&str], value: &Node) {
    let Data::Table(fields) = &mut node.data else {
        // A value on the path that is not a table is replaced; reading the stage then reports the error.
        *node = value.clone();
        return;
    };
    match path {
        [last] => drop(fields.insert((*last).to_owned(), value.clone())),
        [first, rest @ ..] => {
            let empty = Node { origin: value.origin.clone(), data: Data::Table(BTreeMap::new()) };
            put(fields.entry((*first).to_owned()).or_insert(empty), rest, value);
        }
        [] => {}
    }
}

/// Merges a table into a table, value by value.
fn merge(node: &mut Node, with: &Node) {
    match (&mut node.data, &with.data) {
        (Data::Table(fields), Data::Table(others)) => {
            for (name, other) in others {
                match fields.get_mut(name) {
                    Some(field) => merge(field, other),
                    None => drop(fields.insert(name.clone(), other.clone())),
                }
            }
        }
        _ => *node = with.clone(),
    }
}

/// Returns the fields of a table; empty if the node is not a table.
pub(super) fn table(node: &Node) -> &BTreeMap<String, Node> {
    static EMPTY: BTreeMap<String, Node> = BTreeMap::new();
    match &node.data {
        Data::Table(fields) => fields,
        _ => &EMPTY,
    }
}

pub(super) fn text_of(node: Option<&Node>) -> String {
    match node.map(|node| &node.data) {
        Some(Data::Text(text)) => text.clone(),
        _ => String::new(),
    }
}

fn section(node: Option<&Node>, name: &str, complaints: &mut Vec<Diagnostic>) -> BTreeMap<String, Node> {
    match node {
        None => BTreeMap::new(),
        Some(Node { data: Data::Table(fields), .. }) => fields.clone(),
        Some(other) => {
            complaints.push(other.complain(format!("`{name}` must be a table")));
            BTreeMap::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "title = \"T\"\n[settings]\nlr = [0.1, 0.2]\n[stage.trunk]\nkind = \"train\"\nepochs = 10\n\
        [stage.init]\nmodel = { width = 64 }\n[profile.smoke]\nabout = \"small\"\nlr = [0.1]\ntrunk.epochs = 2\n\
        init.model.width = 4\n[profile.paper]\n";

    fn read(profile: &str, sets: &[&str]) -> Result<Pipeline, Vec<String>> {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        Pipeline::read("p", "p.toml", TEXT, profile, &sets)
            .map_err(|complaints| complaints.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn later_wins() {
        let epochs = |pipeline: Pipeline| table(&pipeline.stages["trunk"])["epochs"].data.clone();
        assert_eq!(epochs(read("paper", &[]).unwrap()), Data::Int(10));
        assert_eq!(epochs(read("smoke", &[]).unwrap()), Data::Int(2));
        assert_eq!(epochs(read("smoke", &["trunk.epochs=3", "trunk.epochs = 4"]).unwrap()), Data::Int(4));
        let pipeline = read("smoke", &["lr=0.3", "init.model.width=8"]).unwrap();
        assert_eq!(pipeline.settings["lr"].data, Data::Float(0.3));
        assert_eq!(table(&table(&pipeline.stages["init"])["model"])["width"].data, Data::Int(8));
        assert_eq!((pipeline.title.as_str(), pipeline.about.as_str()), ("T", "small"));
        let pipeline = read("smoke", &["lr=[0.1]", "trunk={epochs=2}", "trunk.epochs=3", "trunk.epochs=3"]).unwrap();
        assert_eq!(pipeline.sets, ["trunk.epochs=3"], "a --set that changes nothing is dropped");
    }

    #[test]
    fn what_is_unknown_is_said() {
        let elsewhere = Pipeline::read("p", "p.toml", "[profile.\"../x\"]\n[profile.a]\n", "../x", &[]).unwrap_err();
        let said = elsewhere[0].to_string();
        assert!(said.starts_with("p.toml:1: `../x` cannot be the name of a profile: "), "{said}");
        assert_eq!(read("smok", &[]).unwrap_err(), ["p.toml:1: no profile `smok` here; there are: paper, smoke"]);
        assert_eq!(
            read("paper", &["trnk.epochs=1", "lr.x=1", "trunk=1", "lr"]).unwrap_err(),
            [
                "--set 'trnk.epochs=1': there is no setting or stage `trnk`; did you mean `trunk`?",
                "--set 'lr.x=1': `lr` is a setting, it has no `x`",
                "--set 'trunk=1': `trunk` is a stage: say trunk.PARAMETER = …",
                "--set 'lr': expected PATH=VALUE without spaces, or in quotes, such as 'lr=[0.1, 0.2]' or trunk.wd=0",
            ]
        );
        let error = Pipeline::read("p", "p.toml", "titel = 1\n[profile.a]\n", "a", &[]).unwrap_err();
        assert_eq!(error[0].to_string(), "p.toml:1: a pipeline has no `titel`; did you mean `title`?");
        let error = Pipeline::read("p", "p.toml", "[profile.a]\n[profile.A]\n", "a", &[]).unwrap_err();
        assert!(error[0].message.contains("differ in upper and lower case only"), "{error:?}");
    }
}
