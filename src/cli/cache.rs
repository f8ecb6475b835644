//! `wdpipe cache`: how full the store is, whether it is sound, and what may go.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};

use super::archive::{Export, Import};
use super::format::{bytes, columns, count, duration};
use super::make::now;
use super::select::{Variant, select};
use super::share::{self, Share};
use super::torture::{Child, Torture};
use super::ui::Ui;
use super::{ExitCode, Failure, Global};
use crate::engine::Resolver;
use crate::plan::Knowledge;
use crate::store::{GcPolicy, Store};

/// Looks after the store.
#[derive(Debug, Subcommand)]
pub enum Cache {
    Stats(Stats),
    Check(Check),
    Gc(Gc),
    Export(Export),
    Import(Import),
    Share(Share),
    Torture(Torture),
    #[command(hide = true)]
    TortureChild(Child),
}

/// Says how much is in the store, by kind of stage.
#[derive(Debug, Args)]
pub struct Stats {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Hashes everything in the store again; what is damaged is moved aside. Where several accounts use it, modes are looked
/// at too.
///
/// The next `make` computes it again if it is needed. The exit code is 4 if anything was damaged.
#[derive(Debug, Args)]
pub struct Check {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Removes objects that no current pipeline needs.
///
/// Records stay: they are small, and tell what the bytes were. Kept is all that belongs to the
/// pipelines under the given profiles, imported data, and what is younger than the grace time.
#[derive(Debug, Args)]
pub struct Gc {
    /// Profiles whose stages are kept. Repeatable.
    #[arg(long, value_name = "NAME", default_values_t = ["smoke".to_owned(), "quick".to_owned(), "paper".to_owned()])]
    profile: Vec<String>,
    /// Keep what is younger than this many hours.
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    grace: u64,
    /// Also remove damaged files that were moved aside.
    #[arg(long)]
    quarantine: bool,
    /// In a cache that several accounts use: also remove what others wrote. The folder's owner can.
    #[arg(long)]
    others: bool,
    /// Only say what would be removed.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Cache {
    /// Runs the command.
    ///
    /// # Errors
    /// If the store cannot be read, or is damaged.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        match self {
            Self::Stats(command) => command.run(&global.store()?, ui),
            Self::Check(command) => command.run(&global.store()?, ui),
            Self::Gc(command) => command.run(global, &global.store()?, ui),
            Self::Export(command) => command.run(global, &global.store()?, ui),
            Self::Import(command) => command.run(global, &global.store()?, ui),
            Self::Share(command) => command.run(ui),
            Self::Torture(command) => command.run(ui),
            Self::TortureChild(command) => command.run(ui),
        }
    }
}

impl Stats {
    fn run(&self, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let stats = store.stats()?;
        if self.json {
            let kind = |(name, kind): (&String, &crate::store::KindStats)| {
                let value =
                    serde_json::json!({ "records": kind.records, "bytes": kind.bytes, "seconds": kind.seconds });
                (name.clone(), value)
            };
            let kinds: serde_json::Map<_, _> = stats.kinds.iter().map(kind).collect();
            let object = serde_json::json!({
                "objects": stats.objects, "raw_bytes": stats.raw_bytes, "stored_bytes": stats.stored_bytes, "kinds": kinds,
            });
            ui.answer(&object.to_string());
            return Ok(());
        }
        let (raw, stored) = (bytes(stats.raw_bytes), bytes(stats.stored_bytes));
        ui.answer(&format!("{}, {raw}, stored in {stored}", count(stats.objects as usize, "object")));
        let mut rows = vec![["kind", "records", "outputs", "computing"].map(str::to_owned).to_vec()];
        for (name, kind) in &stats.kinds {
            rows.push(vec![name.clone(), kind.records.to_string(), bytes(kind.bytes), duration(kind.seconds)]);
        }
        columns(&rows).iter().for_each(|line| ui.answer(line));
        Ok(())
    }
}

impl Check {
    fn run(&self, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let report = store.check(&mut |_| {})?;
        let findings = store.sharing_thoroughly()?;
        let damaged = report.damaged_objects.len() + report.damaged_records.len() + report.damaged_signatures.len();
        if self.json {
            let objects: Vec<_> = report.damaged_objects.iter().map(ToString::to_string).collect();
            let records: Vec<_> = report.damaged_records.iter().map(|(_, digest)| digest.to_string()).collect();
            let signatures: Vec<_> = report.damaged_signatures.iter().map(ToString::to_string).collect();
            let object = serde_json::json!({
                "objects": report.objects, "records": report.records, "damaged_objects": objects,
                "damaged_records": records, "signatures": report.signatures, "damaged_signatures": signatures, "dropped": report.dropped.len(), "index_corrections": report.index_corrections,
                "sharing": share::as_json(&findings),
            });
            ui.answer(&object.to_string());
        } else {
            let (objects, records) =
                (count(report.objects as usize, "object"), count(report.records as usize, "record"));
            ui.answer(&format!("{objects} and {records} hashed, {damaged} damaged"));
            report.damaged_objects.iter().for_each(|object| ui.answer(&format!("damaged object {object}")));
            report.in_the_way.iter().for_each(|why| ui.answer(why));
            report.damaged_records.iter().for_each(|(_, record)| ui.answer(&format!("damaged record {record}")));
            report.damaged_signatures.iter().for_each(|batch| ui.answer(&format!("damaged signatures {batch}")));
            if !report.dropped.is_empty() {
                let objects = count(report.dropped.len(), "object");
                ui.answer(&format!("{objects} named by records are not here; they are computed again if needed"));
            }
            share::lines(&findings).iter().for_each(|line| ui.answer(line));
        }
        if report.is_sound() {
            return share::fails(&findings, &store.root().display().to_string());
        }
        let quarantine = store.root().join("quarantine");
        let moved = match report.in_the_way.len() {
            0 => format!("moved to {}", quarantine.display()),
            stay => format!("{} had to stay, the others were moved to {}", count(stay, "file"), quarantine.display()),
        };
        let message = format!("{} damaged; {moved}", count(damaged, "file"));
        let hint = match report.damaged_signatures.is_empty() {
            true => "`wdpipe make` computes again what it needs",
            false => {
                "`wdpipe make` computes again what it needs; `wdpipe keys sign` signs again what your key had signed"
            }
        };
        Err(Failure::new(ExitCode::Storage, message, hint))
    }
}

impl Gc {
    fn run(&self, global: &Global, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let mut keep = BTreeSet::new();
        for profile in &self.profile {
            let variant = Variant { profile: profile.clone(), set: Vec::new() };
            let selection = select(global, &variant, &[])?;
            let needed = vec![true; selection.graph.stages.len()];
            // What needs data that was never imported was never run either: there is nothing to keep.
            let Ok(knowledge) = Resolver::new(store, &selection.graph, &selection.preference).all(&needed) else {
                continue;
            };
            keep.extend(knowledge.iter().filter_map(|known| match known {
                Knowledge::Known { key, .. } => Some(*key),
                _ => None,
            }));
        }
        let Self { grace, quarantine, others, .. } = *self;
        let policy = GcPolicy { keep, grace: grace.saturating_mul(3600), quarantine, others };
        let plan = store.plan_gc(&policy, now())?;
        let mut rows = Vec::new();
        for (kind, objects) in &plan.objects {
            let size = objects.iter().map(|object| object.bytes).sum();
            let kind = if kind.is_empty() { "of no stage" } else { kind };
            rows.push(vec![format!("  {kind}"), count(objects.len(), "object"), bytes(size)]);
        }
        if !plan.files.is_empty() {
            let size = plan.files.iter().map(|(_, bytes)| bytes).sum();
            rows.push(vec!["  leftovers".to_owned(), count(plan.files.len(), "file"), bytes(size)]);
        }
        let removed = if self.dry_run { None } else { Some(store.execute_gc(&plan)?) };
        if self.json {
            let object = serde_json::json!({
                "objects": plan.object_count(), "bytes": plan.bytes(), "files": plan.files.len(),
                "removed_objects": removed.as_ref().map(|done| done.objects),
                "removed_bytes": removed.as_ref().map(|done| done.bytes),
                "left": removed.as_ref().map(|done| done.left),
            });
            ui.answer(&object.to_string());
            return Ok(());
        }
        let verb = if self.dry_run { "would remove" } else { "removed" };
        let size = removed.as_ref().map_or(plan.bytes(), |done| done.bytes);
        let objects = removed.as_ref().map_or(plan.object_count(), |done| done.objects as usize);
        ui.answer(&format!("{verb} {}, {}", count(objects, "object"), bytes(size)));
        columns(&rows).iter().for_each(|line| ui.answer(line));
        if let Some(left @ 1..) = removed.map(|done| done.left) {
            let files = count(left as usize, "file");
            ui.say(&format!("{files} of other accounts left: their owners can remove them, and the folder's"));
        }
        Ok(())
    }
}
