//! The page with all figures of a profile.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::commit::commit;
use super::committed::{Subject, VerifyLevels};
use super::explored::panels;
use super::judged::{Judged, claims, tables};
use super::listings::listings;
use super::published::published;
use crate::graph::StageId;
use crate::project::known::resolved::Resolved;
use crate::project::targets::select::Selection;
use crate::project::text::date;
use crate::project::{ExitCode, Failure, Project, command};
use crate::reports::{self, Place, ReportError};
use crate::verify::{Check, Verdict};
use base::digest::Description;
use base::table::Table;
use base::unlocked::host_programs;
use base::work::Work;
use draw::figure;
use draw::page::{CheckInfo, Checks, ClaimInfo, Kept, Page, Paper, Picture, Section, StageInfo, html, kept};
use store::Store;

/// Maximum size of a page in bytes.
const LIMIT: u64 = 1 << 30;

/// The paper's title, authors and number on arXiv.
const PAPER: (&str, [&str; 4], &str) = (
    "Why Do We Need Weight Decay for Overparameterized Deep Networks?",
    ["Francesco D'Angelo", "Aditya Varre", "Maksym Andriushchenko", "Nicolas Flammarion"],
    "2310.04415",
);

/// What a page shows.
#[derive(Debug, Clone, Copy)]
pub struct PageWish {
    /// Whether the targets are all existing figures.
    pub all: bool,
    /// Whether the page names the project's commit. Without it, the page depends only on results, locks and pipelines.
    pub commit: bool,
}

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
    /// Writes the page of the figures among the targets that were made.
    ///
    /// # Errors
    /// If none of the figures was made, git does not know the commit, or the page cannot be written.
    pub fn write_page(&self, wish: PageWish, store: &Store, project: &Project) -> Result<WrittenPage, Failure> {
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
        let gone = |name: &String| wish.all && !unmade.contains(name);
        let (gone, kept): (Vec<Kept>, Vec<Kept>) = kept.into_values().partition(|kept| gone(&kept.name));
        let names = |kept: &[Kept]| kept.iter().map(|kept| kept.name.clone()).collect::<Vec<_>>();
        let (gone, stays) = (names(&gone), names(&kept));
        let (title, authors, arxiv) = PAPER;
        let page = Page {
            title: title.to_owned(),
            profile: self.profile.clone(),
            about: String::new(),
            paper: Some(Paper { authors: authors.map(str::to_owned).to_vec(), arxiv: arxiv.to_owned() }),
            commit: if wish.commit { Some(commit(project.root())?) } else { None },
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
    let (numbers, caption, panels) = if work.is_of_command() {
        (Table::default(), String::new(), Vec::new())
    } else {
        let numbers = Table::from_bytes(&output("numbers")?).map_err(|error| storage(error.to_string()))?;
        let caption = figure::caption(work, &numbers).map_err(|error| storage(error.to_string()))?;
        let tables = tables(&graph.stages[drawn.stage].inputs, &resolved.knowledge, store)?.ok();
        let panels = panels(work, &numbers, tables.as_ref())?;
        (numbers, caption, panels)
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
    let (stages, unlocked, newest) = stages(drawn.stage, &resolved, store)?;
    Ok(Some(Section {
        name: name.to_owned(),
        title: work.title.clone(),
        root: resolved.closure(drawn.stage, store)?.root().to_string(),
        newest,
        checks: checks(place.clone(), selection, project)?,
        drawing,
        numbers,
        panels,
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

/// Checks a figure against its lock at the levels that need only committed files.
fn checks(place: Place, selection: &Selection, project: &Project) -> Result<Checks, Failure> {
    let has_lock = files::identity(&place.path("lock")).map_err(ReportError::from)?.is_some();
    if !has_lock {
        return Ok(Checks::NotLocked);
    }
    let subject = Subject { profile: selection.profile.clone(), place };
    let levels = VerifyLevels { objects: false, render: false, rebuild: None, statistics: false };
    let checks = project.verify(&subject, None, &levels, &|_| ())?;
    let told = |Check { level, verdict, summary, findings, .. }: Check| {
        let holds = verdict == Verdict::Holds;
        CheckInfo {
            level: level.name().to_owned(),
            holds,
            verdict: verdict.name().to_owned(),
            summary: findings.into_iter().next().filter(|_| !holds).unwrap_or(summary),
            meaning: level.meaning()[0].to_owned(),
        }
    };
    Ok(Checks::Done(checks.into_iter().map(told).collect()))
}

/// Lists the stages that a figure depends on, from their records. Describes those whose programs nothing locks, and
/// returns the date of the newest result.
fn stages(
    figure: StageId,
    resolved: &Resolved<'_>,
    store: &Store,
) -> Result<(Vec<StageInfo>, Option<String>, String), Failure> {
    let graph = &resolved.selection.graph;
    let needed = graph.closure(&[figure]);
    let (mut infos, mut parts, mut newest) = (Vec::new(), Vec::new(), 0);
    let mut listed: BTreeMap<StageId, usize> = BTreeMap::new();
    for (id, stage, _) in resolved.stages().filter(|(id, ..)| needed[*id]) {
        let Some((key, outline)) = resolved.known(id) else { continue };
        let Some(record) = resolved.record(id, store)? else { continue };
        let made = record.provenance;
        newest = newest.max(made.finished);
        let inputs: BTreeSet<usize> =
            stage.inputs.iter().filter_map(|input| listed.get(&input.stage)).copied().collect();
        listed.insert(id, infos.len());
        infos.push(StageInfo {
            name: stage.name.clone(),
            kind: record.parts.kind.clone(),
            seconds: made.seconds,
            device: made.device,
            machine: made.machine,
            key: key.to_string(),
            inputs: inputs.into_iter().collect(),
            outputs: outline.outputs.iter().map(|o| (o.name.clone(), o.object.to_string())).collect(),
        });
        parts.push((stage.name.as_str(), record.parts));
    }
    let unlocked = host_programs(parts.iter().map(|(name, parts)| (*name, parts)));
    let day = date(newest).chars().take("2026-11-23".len()).collect();
    Ok((infos, unlocked, day))
}
