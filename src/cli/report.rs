//! `wdpipe report`: the page with all figures of a profile.

use std::path::{Path, PathBuf};

use clap::Args;

use super::judged;
use super::select::{Selection, Variant, select};
use super::ui::Ui;
use super::{ExitCode, Failure, Global};
use crate::engine::Resolver;
use crate::figure;
use crate::fsx;
use crate::graph::{Drawn, StageId};
use crate::page::{ClaimInfo, CurveInfo, Page, PanelInfo, Section, StageInfo, html};
use crate::plan::Knowledge;
use crate::record::Outline;
use crate::store::Store;
use crate::table::Table;
use crate::work::{Figure, Mark, Panel, Scale, Work};

/// Writes reports/PROFILE/index.html: every figure that was made, what is claimed of it, and where it comes from.
///
/// The page is one file and needs no network. `wdpipe make all` writes it too.
#[derive(Debug, Args)]
pub struct Report {
    /// Figures [default: all that were made].
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
        let store = global.store()?;
        let (path, changed) = write(&selection, &self.variant, &store, global)?;
        ui.say(&format!("{} {}", if changed { "wrote" } else { "unchanged" }, path.display()));
        Ok(())
    }
}

/// Writes the page of the figures among the targets that are known; returns its path and whether it changed.
///
/// # Errors
/// If none is known, or the page cannot be written.
pub fn write(
    selection: &Selection,
    variant: &Variant,
    store: &Store,
    global: &Global,
) -> Result<(PathBuf, bool), Failure> {
    let graph = &selection.graph;
    let mut targets = selection.targets.clone();
    targets.extend(graph.claims.iter().flat_map(|claim| claim.inputs.iter().map(|input| input.stage)));
    let knowledge = Resolver::new(store, graph, &selection.preference).outlook(&graph.closure(&targets))?;
    let mut figures = Vec::new();
    for (name, drawn) in graph.figures.iter().filter(|(_, drawn)| selection.targets.contains(&drawn.stage)) {
        if let (Work::Figure(work), Knowledge::Known { outline, .. }) =
            (&graph.stages[drawn.stage].work, &knowledge[drawn.stage])
        {
            figures.push(section((name, drawn, work, outline), selection, variant, &knowledge, store, global)?);
        }
    }
    // The paper's figures come first.
    figures.sort_by_key(|figure| (!figure.name.starts_with("fig"), figure.name.clone()));
    if figures.is_empty() {
        return Err(Failure::new(ExitCode::Missing, "no figure was made yet with these settings", "wdpipe make all"));
    }
    let page = Page {
        title: "Why Do We Need Weight Decay for Overparameterized Deep Networks?".to_owned(),
        profile: variant.profile.clone(),
        about: String::new(),
        program: format!("wdpipe {}", env!("CARGO_PKG_VERSION")),
        figures,
    };
    let folder = global.reports.join(&variant.profile);
    let storage = |error: fsx::FsError| Failure::new(ExitCode::Storage, error.to_string(), "");
    fsx::create_folder(&folder).map_err(storage)?;
    let path = folder.join("index.html");
    let changed = fsx::replace(&path, html(&page).as_bytes()).map_err(storage)?;
    Ok((path, changed))
}

fn section(
    (name, drawn, work, outline): (&str, &Drawn, &Figure, &Outline),
    selection: &Selection,
    variant: &Variant,
    knowledge: &[Knowledge],
    store: &Store,
    global: &Global,
) -> Result<Section, Failure> {
    let storage = |message: String| Failure::new(ExitCode::Storage, message, "");
    let output = |name: &str| match outline.output(name) {
        Some(output) => Ok(store.output(output)?),
        None => Err(storage(format!("the record of `{}` has no output `{name}`", work.name))),
    };
    let svg = String::from_utf8(output("svg")?).map_err(|error| storage(error.to_string()))?;
    let numbers = Table::from_bytes(&output("numbers")?).map_err(|error| storage(error.to_string()))?;
    let caption = figure::caption(work, &numbers).map_err(|error| storage(error.to_string()))?;
    let claims = judged::claims(selection, knowledge, store, name)?;
    let claim = |judged: judged::Judged<'_>| ClaimInfo {
        id: judged.claim.id.clone(),
        text: judged.claim.text.clone(),
        verdict: judged.outcome.verdict.name().to_owned(),
        statistics: judged.outcome.statistics.join("\n"),
    };
    let file = format!("{}.toml", drawn.pipeline);
    let text = fsx::read_text(&global.pipelines.join(&file), 1 << 20)
        .map_err(|error| Failure::usage(error.to_string(), ""))?;
    let sets: String = variant.set.iter().map(|set| format!(" --set '{set}'")).collect();
    let files = [("SVG", "svg"), ("PNG", "png"), ("PDF", "pdf"), ("numbers (CSV)", "csv")];
    let there = |extension: &str| global.reports.join(&variant.profile).join(format!("{name}.{extension}"));
    let linked = files.iter().filter(|(_, extension)| Path::exists(&there(extension)));
    Ok(Section {
        name: name.to_owned(),
        title: work.title.clone(),
        svg,
        numbers,
        panels: work.panels.iter().map(panel).collect(),
        caption,
        claims: claims.into_iter().map(claim).collect(),
        pipeline: (format!("pipelines/{file}"), text),
        command: format!("wdpipe make {name} --profile {}{sets}", variant.profile),
        stages: stages(drawn.stage, selection, knowledge, store)?,
        files: linked.map(|(label, extension)| ((*label).to_owned(), format!("{name}.{extension}"))).collect(),
    })
}

fn panel(panel: &Panel) -> PanelInfo {
    let curve = |curve: &crate::work::Curve| {
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
