//! The page with all figures of a profile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::judged::{Judged, claims};
use super::listings::listings;
use super::published::published;
use crate::graph::StageId;
use crate::project::known::resolved::Resolved;
use crate::project::targets::select::Selection;
use crate::project::{ExitCode, Failure, Project, command};
use crate::reports;
use base::digest::Description;
use base::table::Table;
use base::unlocked::host_programs;
use base::work::{Mark, Panel, Scale, Work};
use draw::figure;
use draw::page::{ClaimInfo, CurveInfo, Kept, Page, PanelInfo, Picture, Section, StageInfo, html, kept};
use store::Store;

/// Maximum size of a page in bytes.
const LIMIT: u64 = 1 << 30;

/// A page that was written.
pub struct WrittenPage {
    /// Path of the file.
    pub path: PathBuf,
    /// Whether the file was written. Otherwise it was already correct.
    pub changed: bool,
    /// Figures kept from the previous page, because they are not made in this store.
    pub kept: Vec<String>,
    /// Figures left out, because they are not made yet.
    pub unmade: Vec<String>,
    /// Figures of the previous page that no pipeline draws any more.
    pub gone: Vec<String>,
}

impl Selection {
    /// Writes the page of the figures among the targets that were made. `all` says whether the targets are all existing
    /// figures.
    ///
    /// # Errors
    /// If none of the figures was made, or the page cannot be written.
    pub fn write_page(&self, all: bool, store: &Store, project: &Project) -> Result<WrittenPage, Failure> {
        let storage = |error: files::FsError| Failure::new(ExitCode::Storage, error.to_string(), "");
        let path = self.folder.join(format!("{}.html", page_name(self)));
        let before = match files::read_text(&path, LIMIT) {
            Err(error) if error.is_missing() => String::new(),
            text => text.map_err(storage)?,
        };
        let mut kept: BTreeMap<String, Kept> =
            kept(&before).into_iter().map(|kept| (kept.name.clone(), kept)).collect();
        let (mut figures, mut unmade) = (Vec::new(), Vec::new());
        for (name, _) in self.figures() {
            // The text of a section must not depend on the other requested figures.
            match section(&self.alone(name, project)?, name, store, project)? {
                Some(section) => {
                    kept.remove(name);
                    figures.push(section);
                }
                None => unmade.push(name.to_owned()),
            }
        }
        if figures.is_empty() {
            let hint = "run `wdpipe make all` to make all figures";
            return Err(Failure::new(ExitCode::Missing, "no figure was made yet with these settings", hint));
        }
        let gone = |name: &String| all && !unmade.contains(name);
        let (gone, kept): (Vec<Kept>, Vec<Kept>) = kept.into_values().partition(|kept| gone(&kept.name));
        let names = |kept: &[Kept]| kept.iter().map(|kept| kept.name.clone()).collect::<Vec<_>>();
        let (gone, stays) = (names(&gone), names(&kept));
        let page = Page {
            title: "Why Do We Need Weight Decay for Overparameterized Deep Networks?".to_owned(),
            profile: self.profile.clone(),
            about: String::new(),
            program: format!("wdpipe {}", env!("CARGO_PKG_VERSION")),
            figures,
            kept,
        };
        files::create_folder(&self.folder).map_err(storage)?;
        let changed = files::replace(&path, html(&page).as_bytes()).map_err(storage)?;
        unmade.retain(|name| !stays.contains(name));
        Ok(WrittenPage { path, changed, kept: stays, unmade, gone })
    }
}

/// Returns the name of the page. A page of variants has its own name, so that it does not replace another page.
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

/// Builds the section of the only figure of a selection; returns `None` if the figure was not made.
fn section(selection: &Selection, name: &str, store: &Store, project: &Project) -> Result<Option<Section>, Failure> {
    let graph = &selection.graph;
    let drawn = &graph.figures[name];
    let resolved = selection.resolve_claims(selection.targets.clone(), &[name.to_owned()], store)?;
    let (Work::Figure(work), Some((_, outline))) = (&graph.stages[drawn.stage].work, resolved.known(drawn.stage))
    else {
        return Ok(None);
    };
    let storage = |message: String| Failure::new(ExitCode::Storage, message, "");
    let output = |name: &str| match outline.output(name) {
        Some(output) => Ok(store.output(output)?),
        None => Err(storage(format!("the record of `{}` has no output `{name}`", work.name))),
    };
    let has = |name: &str| outline.output(name).is_some();
    let drawing = match (has("svg"), has("png")) {
        (true, _) => Picture::Svg(String::from_utf8(output("svg")?).map_err(|error| storage(error.to_string()))?),
        (false, true) => Picture::Png(output("png")?),
        (false, false) => Picture::Pdf,
    };
    let (numbers, caption) = if work.is_of_command() {
        (Table::default(), String::new())
    } else {
        let numbers = Table::from_bytes(&output("numbers")?).map_err(|error| storage(error.to_string()))?;
        let caption = figure::caption(work, &numbers).map_err(|error| storage(error.to_string()))?;
        (numbers, caption)
    };
    let claims = claims(selection, &resolved.knowledge, store, name)?;
    let claim = |judged: Judged<'_>| ClaimInfo {
        id: judged.claim.id.clone(),
        text: judged.claim.text.clone(),
        verdict: judged.outcome.verdict.name().to_owned(),
        statistics: judged.outcome.statistics.join("\n"),
    };
    let published = listings(&published(selection, &resolved.knowledge, store, name)?);
    let file = format!("{}.toml", drawn.pipeline);
    let text = files::read_text(&project.pipelines.join(&file), 1 << 20)
        .map_err(|error| Failure::usage(error.to_string(), ""))?;
    let place = selection.place(name);
    let files = [("SVG", "svg"), ("PNG", "png"), ("PDF", "pdf"), ("numbers (CSV)", "csv")];
    let linked = files.iter().filter(|(_, extension)| place.path(extension).exists());
    let (stages, unlocked) = stages(drawn.stage, &resolved, store)?;
    Ok(Some(Section {
        name: name.to_owned(),
        title: work.title.clone(),
        drawing,
        numbers,
        panels: work.panels.iter().map(panel).collect(),
        caption,
        claims: claims.into_iter().map(claim).collect(),
        published,
        pipeline: (format!("pipelines/{file}"), text),
        command: command(&["make", name], &selection.profile, selection.variants.set(name)),
        stages,
        unlocked,
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
            // The page uses the word from statistics.
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

/// Lists the stages that a figure depends on, from their records, and describes those whose programs nothing locks.
fn stages(
    figure: StageId,
    resolved: &Resolved<'_>,
    store: &Store,
) -> Result<(Vec<StageInfo>, Option<String>), Failure> {
    let needed = resolved.selection.graph.closure(&[figure]);
    let (mut infos, mut parts) = (Vec::new(), Vec::new());
    for (id, stage, _) in resolved.stages().filter(|(id, ..)| needed[*id]) {
        let Some((key, outline)) = resolved.known(id) else { continue };
        let Some(record) = resolved.record(id, store)? else { continue };
        let made = record.provenance;
        infos.push(StageInfo {
            name: stage.name.clone(),
            kind: record.parts.kind.clone(),
            seconds: made.seconds,
            device: made.device,
            machine: made.machine,
            key: key.to_string(),
            outputs: outline.outputs.iter().map(|o| (o.name.clone(), o.object.to_string())).collect(),
        });
        parts.push((stage.name.as_str(), record.parts));
    }
    let unlocked = host_programs(parts.iter().map(|(name, parts)| (*name, parts)));
    Ok((infos, unlocked))
}
