//! `wdpipe cache stats`: size of the store, by figure and by kind of stage.

use std::collections::{BTreeMap, HashMap};

use clap::Args;
use serde::Serialize;

use super::ProfileArgs;
use crate::cli::format::{bytes, columns, count, duration};
use crate::cli::ui::Ui;
use crate::project::{CurrentFigure, Failure, Project};
use base::digest::ObjectDigest;
use store::{KindStats, Store};

/// Print how much is in the cache, by figure and by kind of stage.
///
/// For a kind: its records, which contain the small outputs, and the files of its other outputs. For a figure: how many of
/// its stages were run, how many have all their bytes here, and the size of these bytes: those of this figure alone, and
/// those that it shares with other figures.
#[derive(Debug, Args)]
pub struct CacheStatsCommand {
    #[command(flatten)]
    profiles: ProfileArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `cache stats --json`.
#[derive(Serialize)]
struct StatsAnswer<'a> {
    objects: u64,
    raw_bytes: u64,
    stored_bytes: u64,
    kinds: BTreeMap<&'a str, KindAnswer>,
    figures: Vec<FigureAnswer<'a>>,
}

#[derive(Serialize)]
struct KindAnswer {
    records: u64,
    record_bytes: u64,
    bytes: u64,
    seconds: f64,
}

impl KindAnswer {
    fn of(kind: &KindStats) -> Self {
        Self { records: kind.records, record_bytes: kind.bytes, bytes: kind.outputs, seconds: kind.seconds }
    }
}

#[derive(Serialize)]
struct FigureAnswer<'a> {
    name: &'a str,
    profile: &'a str,
    stages: usize,
    known: usize,
    present: usize,
    own_bytes: u64,
    shared_bytes: u64,
}

impl<'a> FigureAnswer<'a> {
    fn of(figure: &'a CurrentFigure, (own_bytes, shared_bytes): (u64, u64)) -> Self {
        let CurrentFigure { name, profile, stages, known, present, .. } = figure;
        Self { name, profile, stages: *stages, known: *known, present: *present, own_bytes, shared_bytes }
    }
}

impl CacheStatsCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pipeline is wrong, or the store cannot be read.
    pub fn run(&self, project: &Project, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let stats = store.stats()?;
        let figures = project.roots(&self.profiles.profile, store)?.figures;
        let sizes = sizes(&figures, store)?;
        if self.json {
            ui.json(&StatsAnswer {
                objects: stats.objects,
                raw_bytes: stats.raw_bytes,
                stored_bytes: stats.stored_bytes,
                kinds: stats.kinds.iter().map(|(name, kind)| (name.as_str(), KindAnswer::of(kind))).collect(),
                figures: figures.iter().zip(&sizes).map(|(figure, sizes)| FigureAnswer::of(figure, *sizes)).collect(),
            });
            return Ok(());
        }
        let (raw, stored) = (bytes(stats.raw_bytes), bytes(stats.stored_bytes));
        ui.answer(&format!("{}, {raw}, stored in {stored}", count(stats.objects as usize, "object")));
        let mut rows = vec![["kind", "records", "their files", "outputs", "computing"].map(str::to_owned).to_vec()];
        for (name, kind) in &stats.kinds {
            let (records, files, outputs) = (kind.records.to_string(), bytes(kind.bytes), bytes(kind.outputs));
            rows.push(vec![name.clone(), records, files, outputs, duration(kind.seconds)]);
        }
        columns(&rows).iter().for_each(|line| ui.answer(line));
        let head = ["figure", "profile", "run", "here", "its own", "shared"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        let all = figures.len();
        for (figure, (own, shared)) in figures.into_iter().zip(sizes).filter(|(figure, _)| figure.known > 0) {
            let (run, here) = (format!("{}/{}", figure.known, figure.stages), figure.present.to_string());
            rows.push(vec![figure.name, figure.profile, run, here, bytes(own), bytes(shared)]);
        }
        let nothing = all + 1 - rows.len();
        ui.answer("");
        columns(&rows).iter().for_each(|line| ui.answer(line));
        if nothing > 0 {
            ui.answer(&format!("{} have nothing here", count(nothing, "further figure")));
        }
        Ok(())
    }
}

/// Returns the bytes of each figure's objects: those of this figure alone, and those that it shares with others.
///
/// # Errors
/// If the store cannot be read.
fn sizes(figures: &[CurrentFigure], store: &Store) -> Result<Vec<(u64, u64)>, Failure> {
    let mut owners: HashMap<ObjectDigest, (usize, u64)> = HashMap::new();
    for object in figures.iter().flat_map(|figure| &figure.objects) {
        match owners.entry(*object) {
            std::collections::hash_map::Entry::Occupied(mut known) => known.get_mut().0 += 1,
            std::collections::hash_map::Entry::Vacant(new) => {
                new.insert((1, store.stored_bytes(object)?.unwrap_or(0)));
            }
        }
    }
    let size = |figure: &CurrentFigure| {
        figure.objects.iter().filter_map(|object| owners.get(object)).fold((0, 0), |(own, shared), (owners, bytes)| {
            if *owners == 1 { (own + bytes, shared) } else { (own, shared + bytes) }
        })
    };
    Ok(figures.iter().map(size).collect())
}
