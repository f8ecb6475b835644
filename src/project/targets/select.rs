//! Finds the stages that targets of the command line name: reads pipelines into a graph and finds the targets in it.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use super::find::{drawn, find};
use super::folder::{File, Folder, WantedFiles};
use super::isolation::isolate;
use super::merge::append;
use super::variants::Variants;
use crate::graph::{Graph, Stage, StageId};
use crate::project::known::preference::Preferred;
use crate::project::{Failure, Project, quoted};
use crate::reports::Place;
use crate::spec::{Diagnostic, Need, Pipeline, RESERVED, check_set, expand, is_open};
use base::name::{PLAIN, is_plain};
use store::sign::Trust;

/// A profile, and settings that override it.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Name of the profile: smoke, quick, paper.
    pub profile: String,
    /// The `--set`s: `PATH=VALUE`.
    pub set: Vec<String>,
}

/// The stages of the requested pipelines, and the targets among them.
pub struct Selection {
    /// All stages.
    pub graph: Graph,
    /// The targets.
    pub targets: Vec<StageId>,
    /// Descriptions of the pipelines' profiles.
    pub about: Vec<String>,
    /// Preference among several records of a key: records that the committed locks hold, then signed ones.
    pub preference: Preferred,
    /// Name of the profile.
    pub profile: String,
    /// Folder of its figures.
    pub folder: PathBuf,
    /// The figures that are made with other settings or under another name.
    pub variants: Variants,
}

impl Selection {
    /// Returns the place of a figure's files for this selection's settings.
    pub fn place(&self, figure: &str) -> Place {
        Place { folder: self.folder.clone(), name: self.variants.name(figure).to_owned() }
    }

    /// Says how a user gets the numbers of a figure or panel that are not recorded: by computing them, or by importing the
    /// archive that is committed beside the figure.
    pub fn ways_to_numbers(&self, name: &str) -> String {
        let figure = self.graph.figures.get(name).map_or(name, |drawn| &drawn.figure);
        with_import(format!("`wdpipe make {name}` makes them"), &self.place(figure))
    }

    /// Says how a user gets the result of a target that is not recorded. The archive beside a figure holds the result of the
    /// figure, but not those of its panels.
    pub fn ways_to_result(&self, target: &str) -> String {
        let make = format!("`wdpipe make {}` makes it", quoted(target));
        let is_whole = self.graph.figures.get(target).is_some_and(|drawn| drawn.whole);
        if is_whole { with_import(make, &self.place(target)) } else { make }
    }

    /// Lists the figures among the targets, with the stages that draw them.
    pub fn figures(&self) -> impl Iterator<Item = (&str, StageId)> {
        let figure = |&id: &StageId| Some((self.graph.stages[id].work.figure()?.name.as_str(), id));
        self.targets.iter().filter_map(figure)
    }

    /// Lists the targets and the stages that they need, in the graph's order.
    pub fn stages(&self) -> impl Iterator<Item = &Stage> {
        let needed = self.graph.closure(&self.targets);
        self.graph.stages.iter().zip(needed).filter(|(_, needed)| *needed).map(|(stage, _)| stage)
    }

    /// Selects one figure, reading only its own pipeline.
    ///
    /// # Errors
    /// If a folder cannot be read.
    pub fn alone(&self, figure: &str, project: &Project) -> Result<Self, Failure> {
        let pipeline = &self.graph.figures[figure].pipeline;
        let folder = Folder::read(&project.pipelines)?;
        let need = |file: &File| file.contents.drawn.get(figure).cloned().into_iter().collect();
        let files = folder.0.iter().enumerate().filter(|(_, file)| file.name == *pipeline);
        let wanted: WantedFiles = files.map(|(place, file)| (place, need(file))).collect();
        let variant = Variant { profile: self.profile.clone(), set: self.variants.set(figure).to_vec() };
        let mut alone = read_all(project, &variant, &folder, &wanted)?;
        alone.targets = vec![alone.graph.figures[figure].stage];
        alone.variants.call(figure, self.variants.name(figure));
        Ok(alone)
    }

    /// Gives the requested figure a name that the user chose.
    ///
    /// # Errors
    /// If not exactly one figure is requested, or the name is invalid or already names a figure.
    pub fn call(&mut self, name: &str, project: &Project) -> Result<(), Failure> {
        let figures: Vec<String> = self.figures().map(|(figure, _)| figure.to_owned()).collect();
        let [figure] = &figures[..] else {
            let message = format!("--name {name} needs exactly one figure, but the targets contain {}", figures.len());
            return Err(Failure::usage(message, "make one figure at a time if you name it"));
        };
        if !is_plain(name) || RESERVED.contains(&name) {
            return Err(Failure::usage(format!("`{name}` is not a valid figure name: {PLAIN}"), ""));
        }
        let owner = Folder::read(&project.pipelines)?.owner_of_any([&name.to_owned()].into_iter());
        if let Some((_, path)) = owner {
            let message = format!("`{name}` is a figure of {path}");
            return Err(Failure::usage(
                message,
                "choose another name, so that the files of this figure are not replaced",
            ));
        }
        self.variants.call(figure, name);
        Ok(())
    }
}

/// Adds the command that imports the archive beside a figure, if there is one.
fn with_import(make: String, place: &Place) -> String {
    let archive = place.path("wdpipe");
    if !archive.is_file() {
        return make;
    }
    let file = archive.display().to_string();
    format!("{make}; `wdpipe cache import {} --accept unsigned` imports what is committed", quoted(&file))
}

impl Project {
    /// Reads the pipelines that `targets` name under a variant. No target means `all`.
    ///
    /// # Errors
    /// If a part of a pipeline that the targets need is wrong, or a target is unknown.
    pub fn select(&self, variant: &Variant, targets: &[String]) -> Result<Selection, Failure> {
        check_sets(&variant.set, targets)?;
        let folder = Folder::read(&self.pipelines)?;
        let everything = targets.is_empty() || targets.iter().any(|target| target == "all");
        let mut wanted = WantedFiles::new();
        if everything {
            folder.clashes(|_| true)?;
            wanted = folder.everything();
        } else {
            for (place, needs) in
                targets.iter().map(|target| folder.wanted(target)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten()
            {
                match wanted.get_mut(&place) {
                    // The whole pipeline is needed.
                    Some(others) if others.is_empty() || needs.is_empty() => others.clear(),
                    Some(others) => others.extend(needs),
                    None => drop(wanted.insert(place, needs)),
                }
            }
        }
        let mut selection = read_all(self, variant, &folder, &wanted)?;
        if everything {
            let figures = selection.graph.figures.values();
            selection.targets = figures.filter(|drawn| drawn.whole).map(|drawn| drawn.stage).collect();
        }
        for target in targets.iter().filter(|target| *target != "all") {
            match drawn(&selection.graph, target)[..] {
                [] => selection.targets.extend(
                    find(&selection.graph, target).map_err(|failure| self.misnamed(target, &selection, failure))?,
                ),
                ref figures => selection.targets.extend(figures),
            }
        }
        selection.targets.sort_unstable();
        selection.targets.dedup();
        Ok(selection)
    }

    /// Reads every pipeline by itself under each of its profiles, or only under those that are in `profiles`. The selections
    /// have no targets.
    ///
    /// # Errors
    /// If a pipeline is wrong, or none has a given profile.
    pub fn select_each(&self, profiles: &[String]) -> Result<Vec<(String, Selection)>, Failure> {
        let mut found = Vec::new();
        let folder = Folder::read(&self.pipelines)?;
        for (place, file) in folder.0.iter().enumerate() {
            let has = Pipeline::profiles(&file.path, file.text()?).map_err(|error| vec![error])?;
            for (profile, _) in has.into_iter().filter(|(profile, _)| profiles.is_empty() || profiles.contains(profile))
            {
                let variant = Variant { profile: profile.clone(), set: Vec::new() };
                found.push((profile, read_all(self, &variant, &folder, &[(place, Vec::new())].into())?));
            }
        }
        match profiles.iter().find(|wanted| !found.iter().any(|(profile, _)| profile == *wanted)) {
            Some(wanted) => Err(Failure::usage(format!("no pipeline has a profile `{wanted}`"), "")),
            None => Ok(found),
        }
    }

    /// Reads the pipeline of the stage with the given name; returns `None` if there is no such file.
    ///
    /// # Errors
    /// If the pipeline is wrong.
    pub fn pipeline_of(&self, variant: &Variant, stage: &str) -> Result<Option<Pipeline>, Failure> {
        let name = stage.split('/').next().unwrap_or_default();
        let folder = Folder::read(&self.pipelines)?;
        let Some(file) = folder.0.iter().find(|file| file.name == name) else { return Ok(None) };
        let read = |sets: &[String]| {
            Pipeline::read(name, &file.path, file.text()?, &variant.profile, sets).map_err(Failure::from)
        };
        let bare = read(&[])?;
        let sets: Vec<String> = variant.set.iter().filter(|set| bare.knows(set)).cloned().collect();
        Ok(Some(read(&sets)?))
    }
}

/// Reports the first `--set` that cannot be parsed. If the shell split the value, as in `--set lr=[0.1, 0.2]`, the hint shows
/// it joined and quoted.
fn check_sets(sets: &[String], targets: &[String]) -> Result<(), Failure> {
    for set in sets {
        let Err(complaint) = check_set(set) else { continue };
        let rest: Vec<&str> =
            targets.iter().map(String::as_str).filter(|word| word.ends_with([',', ']', '}'])).collect();
        let whole = format!("{set} {}", rest.join(" "));
        if is_open(set) && check_set(&whole).is_ok() {
            let message = format!("--set '{set}' is incomplete: the shell split the value at its spaces");
            return Err(Failure::usage(message, format!("put it in quotes: --set '{whole}'")));
        }
        return Err(vec![complaint].into());
    }
    Ok(())
}

/// Reads the needed parts of some pipelines into one graph.
fn read_all(project: &Project, variant: &Variant, folder: &Folder, wanted: &WantedFiles) -> Result<Selection, Failure> {
    let (graph, preference) = (Graph::default(), Preferred::default());
    let mut selection = Selection {
        graph,
        targets: Vec::new(),
        about: Vec::new(),
        preference,
        profile: variant.profile.clone(),
        folder: project.reports.join(&variant.profile),
        variants: Variants::default(),
    };
    let mut complaints = Vec::new();
    let mut policies = Vec::new();
    let mut known = HashMap::new();
    let files: Vec<(&File, &Vec<Need>)> = wanted.iter().map(|(place, needs)| (&folder.0[*place], needs)).collect();
    let sets = shared_out(&files.iter().map(|(file, _)| *file).collect::<Vec<_>>(), variant)?;
    for ((file, needs), sets) in files.iter().zip(sets) {
        let text = file.text()?;
        let read = |sets: &[String]| Pipeline::read(&file.name, &file.path, text, &variant.profile, sets);
        match read(&sets).and_then(|pipeline| needed(pipeline, needs)) {
            Ok((mut graph, Pipeline { about, sets, .. })) => {
                if !sets.is_empty() {
                    let default = read(&[]).and_then(|pipeline| needed(pipeline, needs)).ok();
                    (selection.variants.add(&mut graph, default.as_ref().map(|(graph, _)| graph), &sets))
                        .map_err(|error| Failure::usage(format!("{}: {error}", file.name), ""))?;
                }
                policies.push((&file.name, graph.policy));
                append(&mut selection.graph, graph, &mut known)
                    .map_err(|error| Failure::usage(format!("{}: {error}", file.name), ""))?;
                // The description holds only for the unchanged profile.
                selection.about.push(if sets.is_empty() { about } else { String::new() });
            }
            Err(found) => complaints.extend(found),
        }
    }
    if !complaints.is_empty() {
        return Err(complaints.into());
    }
    if let Some([(one, a), (other, b)]) = policies.windows(2).find(|pair| pair[0].1 != pair[1].1) {
        let message = format!("`{one}` has policy {} and `{other}` {}", a.name(), b.name());
        return Err(Failure::usage(message, "make them in separate runs: a process computes under only one policy"));
    }
    // A variant shares most of its stages with the figure, so the figure's lock counts too.
    let places = |figure: &String| {
        let own = Place { folder: selection.folder.clone(), name: figure.clone() };
        [selection.place(figure), own]
    };
    let places: BTreeSet<Place> =
        files.iter().flat_map(|(file, _)| file.contents.drawn.keys()).flat_map(places).collect();
    let trust = Trust::load(&project.trust)?;
    isolate(&mut selection.graph, project.is_shared(), trust.policy.sandbox);
    selection.preference = Preferred::new(places.into_iter().collect(), trust);
    Ok(selection)
}

/// Expands a pipeline. If it has mistakes, expands only the needed parts, since mistakes elsewhere do not affect the
/// targets.
fn needed(mut pipeline: Pipeline, needs: &[Need]) -> Result<(Graph, Pipeline), Vec<Diagnostic>> {
    let whole = expand(&pipeline);
    let graph = match whole {
        Err(_) if !needs.is_empty() => {
            pipeline.reduce_to(needs);
            expand(&pipeline)
        }
        whole => whole,
    };
    graph.map(|graph| (graph, pipeline))
}

/// Assigns each `--set` to the pipelines that have its setting or stage. A single pipeline gets all of them, and reports those
/// that it does not know.
///
/// # Errors
/// If there are several pipelines and none of them knows a `--set`.
fn shared_out(files: &[&File], variant: &Variant) -> Result<Vec<Vec<String>>, Failure> {
    if files.len() < 2 || variant.set.is_empty() {
        return Ok(vec![variant.set.clone(); files.len()]);
    }
    // A pipeline that cannot be read gets every `--set`, so that its mistakes are reported.
    let bare = |file: &&File| Pipeline::read(&file.name, &file.path, file.text().ok()?, &variant.profile, &[]).ok();
    let pipelines: Vec<Option<Pipeline>> = files.iter().map(bare).collect();
    let knows = |pipeline: &Option<Pipeline>, set: &str| pipeline.as_ref().is_none_or(|pipeline| pipeline.knows(set));
    if let Some(set) = variant.set.iter().find(|set| !pipelines.iter().any(|pipeline| knows(pipeline, set))) {
        let root = set.split(['.', '=']).next().unwrap_or_default().trim();
        let message = format!("--set '{set}': no pipeline has a setting or stage `{root}`");
        return Err(Failure::usage(message, "run `wdpipe graph` to list the stages"));
    }
    let own = |pipeline| variant.set.iter().filter(|set| knows(pipeline, set)).cloned().collect();
    Ok(pipelines.iter().map(own).collect())
}
