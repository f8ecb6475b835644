//! `wdpipe cache gc`: removes bytes that nothing needs, or as many as room is asked for.

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

/// Removes objects that nothing current needs. Records stay: they are small, and tell what the bytes were, so that these
/// can be computed again.
///
/// Needed is what belongs to the pipelines under their profiles, what the locks in the reports folder hold, and what
/// you used of late. With --keep-bytes objects go only until the rest is so small; and if what is not needed is not
/// enough, needed ones go as well, those first that are cheap to compute again for their size. Pinned objects, locked
/// figures, imported data, what running stages have, and what is younger than the grace time always stay.
#[derive(Debug, Args)]
pub struct GcCommand {
    #[command(flatten)]
    profiles: ProfileArgs,
    /// Keep what is younger than this many hours; 0 only where nobody else is at work, whose bytes may have no record yet.
    #[arg(long, value_name = "HOURS", default_value_t = 24, value_parser = whole(0..=u64::MAX))]
    grace: u64,
    /// Keep what your own `make` needed within this many days, today counted; 0 for none.
    #[arg(long, value_name = "DAYS", default_value_t = 7, value_parser = whole(0..=u64::MAX))]
    recent: u64,
    /// Remove only as much as leaves objects of this size, such as 20G or 500MB, and for that also what is needed.
    #[arg(long, value_name = "SIZE", value_parser = size)]
    keep_bytes: Option<u64>,
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
    bytes.map(|bytes| bytes as u64).ok_or_else(|| "a size is wanted, such as 20G, 500MB or 1.5GiB".to_owned())
}

impl GcCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If it cannot be told what is needed, stages run that may read what would go, or the store cannot be read.
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
            ui.warn(&format!("{} could not be removed and stayed: {why}", count(*left as usize, "file")));
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
            let again = format!("again in {}", duration(seconds));
            lines.push(match objects {
                0 => vec![format!("  {kind}"), "gone before".into(), String::new(), String::new(), again],
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
            ui.answer(&format!("to have all of it again would take {} of computing", duration(seconds)));
        }
        if plan.lost > 0 {
            ui.answer(&format!("{} of it cannot be computed again here", count(plan.lost, "object")));
        }
        if let Some(limit) = self.keep_bytes.filter(|limit| plan.stays > *limit) {
            let why = match plan.running {
                0 => "what stays is pinned, locked, imported, young (--grace), another account's (--others) or cannot be \
                      computed again"
                    .to_owned(),
                running => format!("{} running, so nothing goes that is needed", count(running, "stage")),
            };
            ui.answer(&format!("that is {} more than asked for: {why}", bytes(plan.stays - limit)));
        }
    }
}

/// Bytes that stay, those counted that should have gone and could not.
fn stays(plan: &GcPlan, done: Option<&GcDone>) -> u64 {
    plan.stays + done.map_or(0, |done| done.left_bytes)
}

/// What of one kind goes, and is to be computed to have all again.
#[derive(Default, Serialize)]
struct Row {
    objects: usize,
    bytes: u64,
    #[serde(rename = "needed_bytes")]
    needed: u64,
    #[serde(rename = "seconds_again")]
    seconds: f64,
}

/// What `cache gc --json` answers.
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
        assert_eq!(["0", "512", "512b"].map(read), [Some(0), Some(512), Some(512)]);
        assert_eq!(["20G", "20GiB", "20 g"].map(read), [Some(20 << 30); 3]);
        assert_eq!(["500MB", "0.5GB", "1.5KiB"].map(read), [Some(500_000_000), Some(500_000_000), Some(1536)]);
        for wrong in ["", "G", "-1", "1X", "1GBB", "1iB", "NaN", "1e30", "inf", "1 2", "é", "1é"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
