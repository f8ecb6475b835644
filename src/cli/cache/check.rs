//! `wdpipe cache check`: checks the store, and repairs it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use clap::Args;
use serde::Serialize;

use super::ProfileArgs;
use crate::cli::environment::of_remotes;
use crate::cli::format::{count, plain};
use crate::cli::remote::Moving;
use crate::cli::share::{self, FindingAnswer};
use crate::cli::signals::cancel_on_interrupt;
use crate::cli::ui::Ui;
use crate::engine::{EngineError, Repaired};
use crate::project::{ChosenRemote, ExitCode, Failure, Outcomes, Project, Repairing, Through};
use crate::stages::Device;
use base::digest::{ObjectDigest, RecordDigest};
use base::table::Table;
use store::{CheckReport, Finding, Store};

/// Hash everything in the cache, and move damaged files aside.
///
/// In a shared cache, the modes of the files are checked too. The next `make` recomputes damaged objects that it needs.
/// The exit code is 4 if anything was damaged. With --repair, damaged objects of current stages and missing objects of
/// current figures and pins are recomputed at once, as their records say, and stored only if they have the recorded
/// hash. The exit code is then 0 if all of them are present again, 1 if something came out differently, and 3 if
/// something cannot be recovered here.
#[derive(Debug, Args)]
pub struct CacheCheckCommand {
    /// Recover damaged or missing objects that something current needs.
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    profiles: ProfileArgs,
    /// With --repair: remote to fetch objects from; only objects that it lacks are recomputed.
    #[arg(long, value_name = "REMOTE", requires = "repair")]
    from: Option<String>,
    /// Device that --repair computes on: auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Device,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl CacheCheckCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the store cannot be read, or is damaged and was not repaired.
    pub fn run(&self, project: &Project, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let report = store.check_with(&mut |_| {}, &|bytes| Table::check(bytes).map_err(|error| error.to_string()))?;
        let findings = store.sharing_thoroughly()?;
        let outcomes = if self.repair { self.repair(project, store, &report, ui)? } else { Outcomes::new() };
        if self.json {
            ui.json(&CheckAnswer::of(&report, &outcomes, self.repair, &findings));
        } else {
            tell(&report, &outcomes, ui);
            share::lines(&findings).iter().for_each(|line| ui.answer(line));
        }
        let those = |wanted: fn(&Repaired) -> bool| outcomes.values().filter(|(_, how)| wanted(how)).count();
        let differing = those(|how| matches!(how, Repaired::Differs { .. }));
        let lacking = those(|how| matches!(how, Repaired::Cannot(_)));
        if differing > 0 {
            let message = format!("{} came out differently from what is recorded", count(differing, "object"));
            let hint = "none of these was stored; `wdpipe make all` keeps the outcome here as a second result";
            return Err(Failure::new(ExitCode::Failed, message, hint));
        }
        if lacking > 0 {
            let message = format!("{} that something needs cannot be recovered here", count(lacking, "object"));
            return Err(Failure::new(ExitCode::Missing, message, "the lines above say why"));
        }
        let damaged = damaged(&report) - if self.repair { report.damaged_objects.len() } else { 0 };
        if damaged == 0 && !report.unreadable.is_empty() {
            let message = format!("{} cannot be read", count(report.unreadable.len(), "table"));
            let hint = "a wdpipe version that did not check tables wrote them: change their stages to yield fewer rows";
            return Err(Failure::new(ExitCode::Storage, message, hint));
        }
        if damaged == 0 {
            lost(&report, store)?;
            return share::fails(&findings, &store.root().display().to_string());
        }
        let quarantine = store.root().join("quarantine");
        let moved = match report.in_the_way.len() {
            0 => format!("moved to {}", quarantine.display()),
            stay => format!("{} could not be moved, the others are in {}", count(stay, "file"), quarantine.display()),
        };
        let message = format!("{} damaged; {moved}", count(damaged, "file"));
        let mut hint = "`wdpipe make all` recomputes what it needs".to_owned();
        if !report.damaged_signatures.is_empty() {
            hint.push_str("; `wdpipe keys sign all` signs your records again");
        }
        if store.has_catalogue()? {
            let remote = as_remote(store);
            hint.push_str(&format!(
                "; `wdpipe push TARGET --to {remote}` sends damaged files again from a cache that has them"
            ));
        }
        Err(Failure::new(ExitCode::Storage, message, hint))
    }

    fn repair(&self, project: &Project, store: &Store, report: &CheckReport, ui: &Ui) -> Result<Outcomes, Failure> {
        let cancel = cancel_on_interrupt();
        let moving = self.from.as_ref().map(|_| Moving::new("fetched", Arc::clone(&cancel), ui));
        let through = match (&self.from, &moving) {
            (Some(name), Some(moving)) => {
                let chosen = ChosenRemote::find(project, Some(name), of_remotes())?;
                Some(Through::open(project, chosen, &[], moving)?)
            }
            _ => None,
        };
        let warned = Cell::new(false);
        let warn = |failure: Failure| {
            // Warn only once: an unreachable remote fails for every object.
            if !cancel.load(Ordering::Relaxed) && !warned.replace(true) {
                ui.warn(&format!("{}; objects that the remote lacks are recomputed if possible", failure.message));
            }
        };
        let again = |stage: &str, seconds| ui.say(&format!("{} recomputed in {seconds:.1} s", plain(stage)));
        let repairing = Repairing {
            profiles: &self.profiles.profile,
            through: through.as_ref(),
            device: &self.device,
            cancel: &cancel,
            warn: &warn,
            again: &again,
        };
        let outcomes = project.repair(store, report, &repairing)?;
        if let Some(trouble) = through.as_ref().and_then(|through| through.trouble("TARGET")) {
            ui.warn(&trouble.message);
        }
        if cancel.load(Ordering::Relaxed) {
            return Err(EngineError::Interrupted.into());
        }
        Ok(outcomes)
    }
}

/// Returns the store as a value of `--to`.
fn as_remote(store: &Store) -> String {
    let root = store.root().display().to_string();
    if root.contains('/') { root } else { format!("./{root}") }
}

/// Fails if the catalogue, which others read, lists missing records or has unreadable parts.
fn lost(report: &CheckReport, store: &Store) -> Result<(), Failure> {
    let (root, remote) = (store.root().display(), as_remote(store));
    let mut parts = Vec::new();
    if !report.lost_records.is_empty() {
        parts.push(format!("missing: {} that the catalogue lists", count(report.lost_records.len(), "record")));
    }
    if !report.lost_parts.is_empty() {
        parts.push(format!("unreadable: {} of the catalogue", count(report.lost_parts.len(), "part")));
    }
    if parts.is_empty() {
        return Ok(());
    }
    let hint = match report.lost_records.is_empty() {
        true => format!("`wdpipe cache catalogue --cache {root}` writes a new catalogue"),
        false => format!(
            "to send them again, run `wdpipe push TARGET --to {remote}` from a cache that has them; if none has, remove \
             {root}/catalogue and run `wdpipe cache catalogue --cache {root}`"
        ),
    };
    Err(Failure::new(ExitCode::Storage, parts.join(", "), hint))
}

fn damaged(report: &CheckReport) -> usize {
    report.damaged_objects.len() + report.damaged_records.len() + report.damaged_signatures.len()
}

/// Output of `cache check --json`.
#[derive(Serialize)]
struct CheckAnswer<'a> {
    objects: u64,
    records: u64,
    damaged_objects: &'a [ObjectDigest],
    unreadable_objects: Vec<&'a ObjectDigest>,
    damaged_records: Vec<&'a RecordDigest>,
    signatures: u64,
    damaged_signatures: Vec<String>,
    lost_records: Vec<&'a RecordDigest>,
    lost_parts: Vec<&'a u64>,
    dropped: usize,
    index_corrections: u64,
    foreign_objects: usize,
    foreign_records: usize,
    foreign_signatures: usize,
    foreign: &'a [String],
    repair: Option<Vec<RepairAnswer<'a>>>,
    sharing: Vec<FindingAnswer<'a>>,
}

#[derive(Serialize)]
struct RepairAnswer<'a> {
    object: &'a ObjectDigest,
    #[serde(rename = "for")]
    needed_by: &'a str,
    repaired: bool,
    how: String,
}

impl<'a> CheckAnswer<'a> {
    fn of(report: &'a CheckReport, outcomes: &'a Outcomes, repair: bool, findings: &'a [Finding]) -> Self {
        let outcome = |(object, (needed_by, how)): (&'a ObjectDigest, &'a (String, Repaired))| {
            let repaired = matches!(how, Repaired::There | Repaired::Fetched | Repaired::Computed);
            RepairAnswer { object, needed_by, repaired, how: how.to_string() }
        };
        Self {
            objects: report.objects,
            records: report.records,
            damaged_objects: &report.damaged_objects,
            unreadable_objects: report.unreadable.iter().map(|(object, _)| object).collect(),
            damaged_records: report.damaged_records.iter().map(|(_, digest)| digest).collect(),
            signatures: report.signatures,
            damaged_signatures: report.damaged_signatures.iter().map(ToString::to_string).collect(),
            lost_records: report.lost_records.iter().map(|(_, digest)| digest).collect(),
            lost_parts: report.lost_parts.iter().map(|(number, _)| number).collect(),
            dropped: report.dropped.len(),
            index_corrections: report.index_corrections,
            foreign_objects: report.foreign_objects.len(),
            foreign_records: report.foreign_records.len(),
            foreign_signatures: report.foreign_signatures.len(),
            foreign: &report.foreign,
            repair: repair.then(|| outcomes.iter().map(outcome).collect()),
            sharing: share::answers(findings),
        }
    }
}

fn tell(report: &CheckReport, outcomes: &Outcomes, ui: &Ui) {
    let damaged = damaged(report);
    let (objects, records) = (count(report.objects as usize, "object"), count(report.records as usize, "record"));
    ui.answer(&format!("{objects} and {records} hashed, {damaged} damaged"));
    report.damaged_objects.iter().for_each(|object| ui.answer(&format!("damaged object {object}")));
    report.in_the_way.iter().for_each(|why| ui.answer(why));
    for (object, why) in &report.unreadable {
        ui.answer(&format!("object {object} cannot be read: {}", plain(why)));
    }
    report.damaged_records.iter().for_each(|(_, record)| ui.answer(&format!("damaged record {record}")));
    report.damaged_signatures.iter().for_each(|batch| ui.answer(&format!("damaged signatures {batch}")));
    report.lost_records.iter().for_each(|(_, record)| ui.answer(&format!("missing record {record}")));
    for (number, reason) in &report.lost_parts {
        ui.answer(&format!("part {number} of the catalogue: {reason}"));
    }
    let foreign = report.foreign_objects.len() + report.foreign_records.len() + report.foreign_signatures.len();
    if foreign > 0 {
        ui.answer(&format!("{} of another wdpipe version left alone:", count(foreign, "file")));
        report.foreign.iter().for_each(|what| ui.answer(&format!("  {what}")));
    }
    for (object, (needed_by, how)) in outcomes {
        ui.answer(&format!("object {}: {}; {}", object.short(), plain(&how.to_string()), plain(needed_by)));
    }
    let back = |object: &&ObjectDigest| {
        outcomes.get(*object).is_some_and(|(_, how)| matches!(how, Repaired::Fetched | Repaired::Computed))
    };
    let gone = report.dropped.iter().filter(|object| !back(object)).count();
    if gone > 0 {
        ui.answer(&format!("{} named by records are not here; they are recomputed if needed", count(gone, "object")));
    }
}
