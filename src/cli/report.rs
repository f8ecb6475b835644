//! `wdpipe report`: the page with all figures of a profile.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::advice;
use super::compare;
use super::judged;
use super::published::published;
use super::select::{Selection, Variant, select};
use super::ui::Ui;
use super::{ExitCode, Failure, Global};
use crate::engine::Resolver;
use crate::graph::StageId;
use crate::plan::Knowledge;
use crate::reports;
use base::digest::Description;
use base::table::Table;
use base::work::{Mark, Panel, Scale, Work};
use draw::figure;
use draw::page::{ClaimInfo, CurveInfo, Kept, Page, PanelInfo, Section, StageInfo, html, kept};
use store::Store;

/// No page has more bytes.
const LIMIT: u64 = 1 << 30;

/// Writes reports/PROFILE/index.html: every figure that was made, what is claimed of it, and where it comes from.
///
/// The page is one file and needs no network. `wdpipe make all` writes it too. Figures that the page has already and that
/// are not made here stay on it as they are. With settings that make other figures the page is index@HASH8.html.
#[derive(Debug, Args)]
pub struct Report {
    /// Figures whose sections are written anew [default: all that were made].
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: Variant,
}

impl Report {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pipeline or target is wrong, nothing was made yet, or the page cannot be written.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let selection = select(global, &self.variant, &self.targets)?;
        let all = self.targets.is_empty() || self.targets.iter().any(|target| target == "all");
        write(&selection, all, &global.store()?, global, ui)
    }
}

/// Writes the page of the figures among the targets that are known, and says which it keeps from the page that is there
/// and which it leaves out. With `all`, the targets are all figures that there are.
///
/// # Errors
/// If none is known, or the page cannot be written.
pub fn write(selection: &Selection, all: bool, store: &Store, global: &Global, ui: &Ui) -> Result<(), Failure> {
    let storage = |error: files::FsError| Failure::new(ExitCode::Storage, error.to_string(), "");
    let path = selection.folder.join(format!("{}.html", page_name(selection)));
    let before = match files::read_text(&path, LIMIT) {
        Err(error) if error.is_missing() => String::new(),
        text => text.map_err(storage)?,
    };
    let mut kept: BTreeMap<String, Kept> = kept(&before).into_iter().map(|kept| (kept.name.clone(), kept)).collect();
    let (mut figures, mut unmade) = (Vec::new(), Vec::new());
    for (name, _) in selection.figures() {
        // What a section says must not depend on which others are asked for.
        match section(&selection.alone(name, global)?, name, store, global)? {
            Some(section) => {
                kept.remove(name);
                figures.push(section);
            }
            None => unmade.push(name.to_owned()),
        }
    }
    if figures.is_empty() {
        let hint = "`wdpipe make all` makes all of them";
        return Err(Failure::new(ExitCode::Missing, "no figure was made yet with these settings", hint));
    }
    let gone = |name: &String| all && !unmade.contains(name);
    let (gone, kept): (Vec<Kept>, Vec<Kept>) = kept.into_values().partition(|kept| gone(&kept.name));
    let names = |kept: &[Kept]| kept.iter().map(|kept| kept.name.clone()).collect::<Vec<_>>();
    let (gone, stays) = (names(&gone), names(&kept));
    let page = Page {
        title: "Why Do We Need Weight Decay for Overparameterized Deep Networks?".to_owned(),
        profile: selection.profile.clone(),
        about: String::new(),
        program: format!("wdpipe {}", env!("CARGO_PKG_VERSION")),
        figures,
        kept,
    };
    files::create_folder(&selection.folder).map_err(storage)?;
    let changed = files::replace(&path, html(&page).as_bytes()).map_err(storage)?;
    ui.say(&format!("{} {}", if changed { "wrote" } else { "unchanged" }, path.display()));
    unmade.retain(|name| !stays.contains(name));
    for (names, why) in [
        (stays, "kept as they were on the page, since they are not made here"),
        (unmade, "left out, since they are not made yet"),
        (gone, "no longer on the page, since no pipeline draws them"),
    ] {
        if !names.is_empty() {
            ui.say(&format!("{why}: {}", names.join(", ")));
        }
    }
    Ok(())
}

/// What the page is called: a page of variants has a name of its own, so that it replaces no other.
fn page_name(selection: &Selection) -> String {
    let sets: BTreeSet<&String> = selection.figures().flat_map(|(name, _)| selection.variants.set(name)).collect();
    if sets.is_empty() {
        return "index".to_owned();
    }
    let mut hasher = blake3::Hasher::new_derive_key("wdpipe 2026 page of variants v1");
    for set in sets {
        hasher.update(&(set.len() as u64).to_le_bytes()).update(set.as_bytes());
    }
    reports::variant("index", &Description::from_bytes(hasher.finalize().into()))
}

/// The section of the one figure of a selection; nothing if it was not made.
fn section(selection: &Selection, name: &str, store: &Store, global: &Global) -> Result<Option<Section>, Failure> {
    let graph = &selection.graph;
    let drawn = &graph.figures[name];
    let mut targets = selection.targets.clone();
    let claims = graph.claims.iter().filter(|claim| claim.figure == name);
    targets.extend(claims.flat_map(|claim| claim.inputs.iter().map(|input| input.stage)));
    let knowledge = Resolver::new(store, graph, &selection.preference).outlook(&graph.closure(&targets))?;
    let (Work::Figure(work), Knowledge::Known { outline, .. }) =
        (&graph.stages[drawn.stage].work, &knowledge[drawn.stage])
    else {
        return Ok(None);
    };
    let storage = |message: String| Failure::new(ExitCode::Storage, message, "");
    let output = |name: &str| match outline.output(name) {
        Some(output) => Ok(store.output(output)?),
        None => Err(storage(format!("the record of `{}` has no output `{name}`", work.name))),
    };
    let svg = String::from_utf8(output("svg")?).map_err(|error| storage(error.to_string()))?;
    let numbers = Table::from_bytes(&output("numbers")?).map_err(|error| storage(error.to_string()))?;
    let caption = figure::caption(work, &numbers).map_err(|error| storage(error.to_string()))?;
    let claims = judged::claims(selection, &knowledge, store, name)?;
    let claim = |judged: judged::Judged<'_>| ClaimInfo {
        id: judged.claim.id.clone(),
        text: judged.claim.text.clone(),
        verdict: judged.outcome.verdict.name().to_owned(),
        statistics: judged.outcome.statistics.join("\n"),
    };
    let published = compare::listings(&published(selection, &knowledge, store, name)?);
    let file = format!("{}.toml", drawn.pipeline);
    let text = files::read_text(&global.pipelines.join(&file), 1 << 20)
        .map_err(|error| Failure::usage(error.to_string(), ""))?;
    let place = selection.place(name);
    let files = [("SVG", "svg"), ("PNG", "png"), ("PDF", "pdf"), ("numbers (CSV)", "csv")];
    let linked = files.iter().filter(|(_, extension)| place.path(extension).exists());
    Ok(Some(Section {
        name: name.to_owned(),
        title: work.title.clone(),
        svg,
        numbers,
        panels: work.panels.iter().map(panel).collect(),
        caption,
        claims: claims.into_iter().map(claim).collect(),
        published,
        pipeline: (format!("pipelines/{file}"), text),
        command: advice::command(&["make", name], &selection.profile, selection.variants.set(name)),
        stages: stages(drawn.stage, selection, &knowledge, store)?,
        files: linked.map(|(label, extension)| ((*label).to_owned(), format!("{}.{extension}", place.name))).collect(),
    }))
}

fn panel(panel: &Panel) -> PanelInfo {
    let curve = |curve: &base::work::Curve| {
        let look = figure::Look::of(curve.colour, curve.dashed);
        CurveInfo {
            label: curve.label.clone(),
            colour: look.colour.to_owned(),
            dashed: curve.dashed,
            dash: look.dash.to_owned(),
            marker: look.marker.name().to_owned(),
            // The page has the word for it that statistics has.
            mark: if curve.mark == Mark::Dots { "scatter" } else { curve.mark.name() }.to_owned(),
        }
    };
    PanelInfo {
        id: panel.id.clone(),
        title: panel.title.clone(),
        x_label: panel.x.label.clone(),
        y_label: panel.y.label.clone(),
        x_log: panel.x.scale == Scale::Log,
        y_log: panel.y.scale == Scale::Log,
        curves: panel.curves.iter().map(curve).collect(),
    }
}

/// The stages behind a figure, as their records have them.
fn stages(
    figure: StageId,
    selection: &Selection,
    knowledge: &[Knowledge],
    store: &Store,
) -> Result<Vec<StageInfo>, Failure> {
    let graph = &selection.graph;
    let needed = graph.closure(&[figure]);
    let mut infos = Vec::new();
    for ((stage, knowledge), _) in graph.stages.iter().zip(knowledge).zip(needed).filter(|(_, needed)| *needed) {
        let Knowledge::Known { key, outline, .. } = knowledge else { continue };
        let Some(record) = store.recorded(key, &outline.digest)? else { continue };
        let made = record.provenance;
        infos.push(StageInfo {
            name: stage.name.clone(),
            kind: record.parts.kind,
            seconds: made.seconds,
            device: made.device,
            machine: made.machine,
            key: key.to_string(),
            outputs: outline.outputs.iter().map(|o| (o.name.clone(), o.object.to_string())).collect(),
        });
    }
    Ok(infos)
}
