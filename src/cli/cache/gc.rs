//! `wdpipe cache gc`: removes objects that nothing needs, or enough objects to reach a size.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::ProfileArgs;
use crate::cli::environment::now;
use crate::cli::format::{bytes, columns, count, duration};
use crate::cli::parse::whole;
use crate::cli::ui::Ui;
use crate::project::{Failure, Project};
use store::{GcDone, GcPlan, GcPolicy, Store};

/// Remove objects that nothing current needs.
///
/// Records stay: they are small, and the objects can be recomputed from them. Objects are needed if they belong to the
/// pipelines under their profiles or to a lock in the reports folder, or if you used them recently. With --keep-bytes,
/// objects are removed only until the rest fits into that size; if the unneeded ones are not enough, needed objects are
/// removed too, beginning with those that are cheap to recompute for their size. Pinned objects, locked figures,
/// imported data, objects of running stages, and objects younger than the grace time always stay.
#[derive(Debug, Args)]
pub struct GcCommand {
    #[command(flatten)]
    profiles: ProfileArgs,
    /// Grace time: objects younger than this many hours stay. Use 0 only if no other process uses the cache: its objects
    /// may not have a record yet.
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = whole(0..=u64::MAX))]
    grace: u64,
    /// Keep objects that your own `make` needed within this many days, including today; 0 keeps none for this reason.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = whole(0..=u64::MAX))]
    recent: u64,
    /// Size to reduce the objects to, such as 20G or 500MB; needed objects are removed too if necessary.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    keep_bytes: Option<u64>,
    /// Also remove damaged files that were moved aside.
    #[arg(long)]
    quarantine: bool,
    /// In a shared cache: also remove files of other accounts. Only the folder's owner can do this.
    #[arg(long)]
    others: bool,
    /// Only print what would be removed.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Reads a number of bytes: `20G`, `500MB`, `1.5 GiB`, or a bare number. `G` and `GiB` are 2³⁰, `GB` is 10⁹.
fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let unit = unit.to_ascii_lowercase();
    let power = |letter: char| "kmgt".find(letter).and_then(|place| i32::try_from(place).ok()).map(|place| place + 1);
    let mut letters = unit.chars();
    let factor = match (letters.next(), letters.as_str()) {
        (None, "") | (Some('b'), "") => Some(1.0),
        (Some(letter), "" | "ib") => power(letter).map(|power| 1024_f64.powi(power)),
        (Some(letter), "b") => power(letter).map(|power| 1000_f64.powi(power)),
        _ => None,
    };
    let bytes = number.trim().parse::<f64>().ok().zip(factor).map(|(number, factor)| number * factor);
    let bytes = bytes.filter(|bytes| *bytes >= 0.0 && *bytes < 1e18);
    // Whoever writes 20 means 20 GB; nobody limits a cache to 20 bytes.
    if unit.is_empty() && bytes.is_some_and(|bytes| bytes > 0.0 && bytes < 1e6) {
        return Err(format!("the unit is missing: write {number}G or {number}M, or {number}b for bytes"));
    }
    bytes.map(|bytes| bytes as u64).ok_or_else(|| "a size is needed, such as 20G, 500MB or 1.5GiB".to_owned())
}

impl GcCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the needed objects cannot be determined, running stages may read objects to be removed, or the store cannot be
    /// read.
    pub fn run(&self, project: &Project, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let roots = project.roots(&self.profiles.profile, store)?;
        let policy = GcPolicy {
            keys: roots.keys.into_keys().collect(),
            objects: roots.locked,
            fast: roots.locked_figures.into_keys().collect(),
            grace: self.grace.saturating_mul(3600),
            recent: self.recent,
            keep_bytes: self.keep_bytes,
            quarantine: self.quarantine,
            others: self.others,
        };
        let plan = store.plan_gc(&policy, now())?;
        let done = if self.dry_run { None } else { Some(store.execute_gc(&plan)?) };
        if self.json {
            ui.json(&self.answer(&plan, done.as_ref()));
        } else {
            self.tell(&plan, done.as_ref(), ui);
        }
        if let Some(GcDone { left, why: Some(why), .. }) = &done {
            ui.warn(&format!("{} could not be removed: {why}", count(*left as usize, "file")));
        }
        Ok(())
    }

    fn answer<'a>(&self, plan: &'a GcPlan, done: Option<&GcDone>) -> GcAnswer<'a> {
        GcAnswer {
            objects: plan.object_count(),
            bytes: plan.bytes(),
            files: plan.files.len(),
            kinds: rows(plan).collect(),
            seconds_again: plan.again.values().sum(),
            not_again: plan.lost,
            stays_bytes: stays(plan, done),
            keep_bytes: self.keep_bytes,
            running: plan.running,
            removed_objects: done.map(|done| done.objects),
            removed_bytes: done.map(|done| done.bytes),
            left: done.map(|done| done.left),
        }
    }

    fn tell(&self, plan: &GcPlan, done: Option<&GcDone>, ui: &Ui) {
        let verb = if done.is_some() { "removed" } else { "would remove" };
        let size = done.map_or(plan.bytes(), |done| done.bytes);
        let objects = done.map_or(plan.object_count(), |done| done.objects as usize);
        let stays = stays(plan, done);
        ui.answer(&format!("{verb} {}, {}; {} stay", count(objects, "object"), bytes(size), bytes(stays)));
        let mut lines = Vec::new();
        for (kind, Row { objects, bytes: size, needed, seconds }) in rows(plan) {
            let kind = if kind.is_empty() { "of no stage" } else { kind };
            let needed = match needed {
                0 => "not needed".to_owned(),
                all if all == size => "needed".to_owned(),
                part => format!("{} of it needed", bytes(part)),
            };
            let again = format!("recomputed in {}", duration(seconds));
            lines.push(match objects {
                0 => vec![format!("  {kind}"), "already gone".into(), String::new(), String::new(), again],
                _ => vec![format!("  {kind}"), count(objects, "object"), bytes(size), needed, again],
            });
        }
        if !plan.files.is_empty() {
            let size = plan.files.iter().map(|(_, bytes)| bytes).sum();
            lines.push(vec!["  leftovers".to_owned(), count(plan.files.len(), "file"), bytes(size)]);
        }
        columns(&lines).iter().for_each(|line| ui.answer(line));
        let seconds = plan.again.values().sum();
        if plan.object_count() > 0 {
            ui.answer(&format!("recomputing all of it would take {}", duration(seconds)));
        }
        if plan.lost > 0 {
            ui.answer(&format!("{} of it cannot be recomputed here", count(plan.lost, "object")));
        }
        if let Some(limit) = self.keep_bytes.filter(|limit| plan.stays > *limit) {
            let why = match plan.running {
                0 => {
                    "the rest is pinned, locked, imported, young (--grace), of another account (--others) or cannot be \
                      recomputed"
                        .to_owned()
                }
                running => format!("{} running, so needed objects stay", count(running, "stage")),
            };
            ui.answer(&format!("that is {} more than --keep-bytes: {why}", bytes(plan.stays - limit)));
        }
    }
}

/// Returns the number of bytes that stay, including those of files that could not be removed.
fn stays(plan: &GcPlan, done: Option<&GcDone>) -> u64 {
    plan.stays + done.map_or(0, |done| done.left_bytes)
}

/// Objects of one kind to remove, and the time of this kind's stages to recompute everything removed.
#[derive(Default, Serialize)]
struct Row {
    objects: usize,
    bytes: u64,
    #[serde(rename = "needed_bytes")]
    needed: u64,
    #[serde(rename = "seconds_again")]
    seconds: f64,
}

/// Output of `cache gc --json`.
#[derive(Serialize)]
struct GcAnswer<'a> {
    objects: usize,
    bytes: u64,
    files: usize,
    kinds: BTreeMap<&'a str, Row>,
    seconds_again: f64,
    not_again: usize,
    stays_bytes: u64,
    keep_bytes: Option<u64>,
    running: usize,
    removed_objects: Option<u64>,
    removed_bytes: Option<u64>,
    left: Option<u64>,
}

fn rows(plan: &GcPlan) -> impl Iterator<Item = (&str, Row)> {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for (kind, objects) in &plan.objects {
        let row = rows.entry(kind).or_default();
        row.objects = objects.len();
        row.bytes = objects.iter().map(|object| object.bytes).sum();
        row.needed = objects.iter().filter(|object| object.needed).map(|object| object.bytes).sum();
    }
    for (kind, seconds) in &plan.again {
        rows.entry(kind).or_default().seconds = *seconds;
    }
    rows.into_iter()
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let read = |text| size(text).ok();
        assert_eq!(["0", "5000000", "512b"].map(read), [Some(0), Some(5_000_000), Some(512)]);
        assert_eq!(["20G", "20GiB", "20 g"].map(read), [Some(20 << 30); 3]);
        assert_eq!(["500MB", "0.5GB", "1.5KiB"].map(read), [Some(500_000_000), Some(500_000_000), Some(1536)]);
        for wrong in ["", "20", "512", "G", "-1", "1X", "1GBB", "1iB", "NaN", "1e30", "inf", "1 2", "é", "1é"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
