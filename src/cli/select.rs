//! From what a user types to stages of a graph: pipelines read, targets found.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use clap::Args;

use super::prefer::Preferred;
use super::{Failure, Global};
use crate::fsx;
use crate::graph::{Drawn, Graph, Input, Stage, StageId};
use crate::reports::Place;
use crate::sign::Trust;
use crate::spec::{Pipeline, did_you_mean, expand};
use crate::value::ValueError;

/// Which profile and settings hold.
#[derive(Debug, Clone, Args)]
pub struct Variant {
    /// The scale: smoke (two CPU cores, minutes), quick (one GPU), paper (the paper's own).
    #[arg(long, default_value = "smoke", value_name = "NAME")]
    pub profile: String,
    /// Changes a setting or a stage's parameter, such as 'lr=[0.1,0.25]' or trunk.wd=0.01. Repeatable.
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

impl Variant {
    /// The options that choose this variant, each with a space before it; empty for the default.
    pub fn options(&self) -> String {
        let profile = (self.profile != "smoke").then(|| format!(" --profile {}", self.profile));
        let sets = self.set.iter().map(|set| format!(" --set '{set}'"));
        profile.into_iter().chain(sets).collect()
    }
}

/// The stages of all pipelines that were asked for, and which of them are wanted.
pub struct Selection {
    /// All stages.
    pub graph: Graph,
    /// What was asked for.
    pub targets: Vec<StageId>,
    /// What the pipelines' profiles say about themselves.
    pub about: Vec<String>,
    /// Which of several records of a key is used: those that the committed locks hold.
    pub preference: Preferred,
}

/// Reads the pipelines that `targets` name under a variant. No target means `all`.
///
/// # Errors
/// If a pipeline is wrong, or a target is unknown.
pub fn select(global: &Global, variant: &Variant, targets: &[String]) -> Result<Selection, Failure> {
    let names = pipelines(&global.pipelines)?;
    let everything = targets.is_empty() || targets.iter().any(|target| target == "all");
    let wanted: Vec<&String> = match everything {
        true => names.iter().collect(),
        false => {
            let mut wanted: Vec<&String> = targets.iter().filter_map(|target| owner(&names, target)).collect();
            for target in targets.iter().filter(|target| owner(&names, target).is_none()) {
                wanted.extend(drawing(global, variant, &names, target)?);
            }
            wanted.sort_unstable();
            wanted.dedup();
            wanted
        }
    };
    let mut selection = read_all(global, variant, &wanted)?;
    if everything {
        let figures = selection.graph.figures.values();
        selection.targets = figures.filter(|drawn| drawn.whole).map(|drawn| drawn.stage).collect();
        selection.targets.sort_unstable();
        selection.targets.dedup();
        return Ok(selection);
    }
    for target in targets {
        match drawn(&selection.graph, target)[..] {
            [] => selection.targets.extend(find(&selection.graph, target)?),
            ref figures => selection.targets.extend(figures),
        }
    }
    selection.targets.sort_unstable();
    selection.targets.dedup();
    Ok(selection)
}

/// Every pipeline alone under every profile that it has, or those of the given ones that it has; nothing is targeted.
///
/// # Errors
/// If a pipeline is wrong, or none has a given profile.
pub fn select_each(global: &Global, profiles: &[String]) -> Result<Vec<(String, Selection)>, Failure> {
    let mut found = Vec::new();
    for name in pipelines(&global.pipelines)? {
        let path = global.pipelines.join(format!("{name}.toml"));
        let has = Pipeline::profiles(&path.display().to_string(), &read(&path)?).map_err(|error| vec![error])?;
        for (profile, _) in has.into_iter().filter(|(profile, _)| profiles.is_empty() || profiles.contains(profile)) {
            let variant = Variant { profile: profile.clone(), set: Vec::new() };
            found.push((profile, read_all(global, &variant, &[&name])?));
        }
    }
    match profiles.iter().find(|wanted| !found.iter().any(|(profile, _)| profile == *wanted)) {
        Some(wanted) => Err(Failure::usage(format!("no pipeline has a profile `{wanted}`"), "")),
        None => Ok(found),
    }
}

/// The stages of some pipelines as one graph.
fn read_all(global: &Global, variant: &Variant, wanted: &[&String]) -> Result<Selection, Failure> {
    let (graph, preference) = (Graph::default(), Preferred::default());
    let mut selection = Selection { graph, targets: Vec::new(), about: Vec::new(), preference };
    let mut complaints = Vec::new();
    let mut policies = Vec::new();
    let mut known = HashMap::new();
    let texts: Vec<(&String, String, String)> = wanted
        .iter()
        .map(|name| {
            let path = global.pipelines.join(format!("{name}.toml"));
            Ok((*name, path.display().to_string(), read(&path)?))
        })
        .collect::<Result<_, Failure>>()?;
    let sets = shared_out(&texts, variant)?;
    for ((name, path, text), sets) in texts.into_iter().zip(sets) {
        let read = Pipeline::read(name, &path, &text, &variant.profile, &sets);
        match read.and_then(|pipeline| expand(&pipeline).map(|graph| (graph, pipeline.about))) {
            Ok((graph, about)) => {
                policies.push((name, graph.policy));
                append(&mut selection.graph, graph, &mut known)
                    .map_err(|error| Failure::usage(format!("{name}: {error}"), ""))?;
                selection.about.push(about);
            }
            Err(found) => complaints.extend(found),
        }
    }
    if !complaints.is_empty() {
        return Err(complaints.into());
    }
    if let Some([(one, a), (other, b)]) = policies.windows(2).find(|pair| pair[0].1 != pair[1].1) {
        let message = format!("`{one}` has policy {} and `{other}` {}", a.name(), b.name());
        return Err(Failure::usage(message, "make them one after the other: a process computes under one policy"));
    }
    let folder = global.reports.join(&variant.profile);
    let place = |figure: &String| Place { folder: folder.clone(), figure: figure.clone() };
    selection.preference =
        Preferred::new(selection.graph.figures.keys().map(place).collect(), Trust::load(&global.trust)?);
    Ok(selection)
}

/// Which `--set`s hold for which of several pipelines: those whose setting or stage it has. One alone takes all, and
/// complains of what it does not know.
///
/// # Errors
/// If none of several knows one.
fn shared_out(texts: &[(&String, String, String)], variant: &Variant) -> Result<Vec<Vec<String>>, Failure> {
    if texts.len() < 2 || variant.set.is_empty() {
        return Ok(vec![variant.set.clone(); texts.len()]);
    }
    // A pipeline that cannot be read takes part, so that it complains.
    let bare = |(name, path, text): &(&String, String, String)| Pipeline::read(name, path, text, &variant.profile, &[]);
    let pipelines: Vec<Option<Pipeline>> = texts.iter().map(|text| bare(text).ok()).collect();
    let knows = |pipeline: &Option<Pipeline>, set: &str| pipeline.as_ref().is_none_or(|pipeline| pipeline.knows(set));
    if let Some(set) = variant.set.iter().find(|set| !pipelines.iter().any(|pipeline| knows(pipeline, set))) {
        let root = set.split(['.', '=']).next().unwrap_or_default().trim();
        let message = format!("--set '{set}': no pipeline has a setting or stage `{root}`");
        return Err(Failure::usage(message, "`wdpipe graph` lists the stages"));
    }
    let own = |pipeline| variant.set.iter().filter(|set| knows(pipeline, set)).cloned().collect();
    Ok(pipelines.iter().map(own).collect())
}

/// The pipelines that may draw a target which does not begin with the name of one: those with such a figure or, if it is
/// none (a bare stage's name, or a mistake), all.
fn drawing<'a>(
    global: &Global,
    variant: &Variant,
    names: &'a [String],
    target: &str,
) -> Result<Vec<&'a String>, Failure> {
    let draws = |name: &&String| -> Result<bool, Failure> {
        let path = global.pipelines.join(format!("{name}.toml"));
        let pipeline = Pipeline::read(name, &path.display().to_string(), &read(&path)?, &variant.profile, &[]);
        // What is wrong in a pipeline is said when it is wanted.
        Ok(pipeline.and_then(|pipeline| expand(&pipeline)).is_ok_and(|graph| !drawn(&graph, target).is_empty()))
    };
    let mut found = Vec::new();
    for name in names {
        if draws(&name)? {
            found.push(name);
        }
    }
    Ok(if found.is_empty() { names.iter().collect() } else { found })
}

/// The figure or panel of a name, or the figures that are panels of one whose panels lie in several pipelines: fig6a
/// and fig6b for fig6.
fn drawn(graph: &Graph, name: &str) -> Vec<StageId> {
    if let Some(drawn) = graph.figures.get(name) {
        return vec![drawn.stage];
    }
    let is_panel = |other: &String| {
        other.strip_prefix(name).is_some_and(|rest| rest.len() == 1 && rest.chars().all(|c| c.is_ascii_lowercase()))
    };
    let panels = graph.figures.iter().filter(|(other, drawn)| drawn.whole && is_panel(other));
    panels.map(|(_, drawn)| drawn.stage).collect()
}

/// The stages that a pattern names.
///
/// # Errors
/// If there are none, with what comes close.
fn find(graph: &Graph, pattern: &str) -> Result<Vec<StageId>, Failure> {
    let found = graph.find(pattern);
    if !found.is_empty() {
        return Ok(found);
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

/// The names of the pipelines in a folder, sorted.
fn pipelines(folder: &Path) -> Result<Vec<String>, Failure> {
    let files = fsx::list(folder).map_err(|error| Failure::usage(error.to_string(), ""))?;
    let names: Vec<String> = files.iter().filter_map(|file| file.strip_suffix(".toml")).map(str::to_owned).collect();
    if names.is_empty() {
        let message = format!("there is no pipeline (*.toml) in the folder {}", folder.display());
        return Err(Failure::usage(message, "run wdpipe in the project's folder, or say --pipelines DIR"));
    }
    Ok(names)
}

fn read(path: &Path) -> Result<String, Failure> {
    fsx::read_text(path, 1 << 20).map_err(|error| Failure::usage(error.to_string(), ""))
}

/// The pipeline that a target names: itself, a panel of it, or a stage behind a slash.
fn owner<'a>(names: &'a [String], target: &str) -> Option<&'a String> {
    let head = target.split('/').next().unwrap_or_default();
    let fits = |name: &&String| {
        head.strip_prefix(name.as_str()).is_some_and(|rest| rest.len() <= 2 && rest.chars().all(char::is_alphanumeric))
    };
    names.iter().filter(fits).max_by_key(|name| name.len())
}

/// Adds the stages of another pipeline; one that is there already, computing the same from the same, is that one.
fn append(graph: &mut Graph, other: Graph, known: &mut HashMap<u64, StageId>) -> Result<(), ValueError> {
    graph.policy = other.policy;
    let mut ids: Vec<StageId> = Vec::with_capacity(other.stages.len());
    for mut stage in other.stages {
        for input in &mut stage.inputs {
            input.stage = ids[input.stage];
        }
        let next = graph.stages.len();
        let id = *known.entry(likeness(&stage)?).or_insert(next);
        let equal =
            graph.stages.get(id).is_some_and(|other| (&other.work, &other.inputs) == (&stage.work, &stage.inputs));
        ids.push(if equal { id } else { next });
        if equal {
            graph.aliases.insert(stage.name, id);
        } else {
            graph.stages.push(stage);
        }
    }
    graph.claims.extend(other.claims.into_iter().map(|mut claim| {
        claim.inputs.iter_mut().for_each(|input| input.stage = ids[input.stage]);
        claim
    }));
    graph.published.extend(other.published);
    graph.figures.extend(other.figures.into_iter().map(|(name, drawn)| {
        let stage = ids[drawn.stage];
        (name, Drawn { stage, ..drawn })
    }));
    Ok(())
}

/// A number that is the same for stages that compute the same of the same, and hardly for others.
fn likeness(stage: &Stage) -> Result<u64, ValueError> {
    let mut hasher = DefaultHasher::new();
    stage.work.encoded()?.hash(&mut hasher);
    for Input { role, stage, output } in &stage.inputs {
        (role, stage, output).hash(&mut hasher);
    }
    Ok(hasher.finish())
}
