//! `wdpipe lock`: what a committed figure was made from, written down.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::advice;
use super::archive;
use super::export::export;
use super::format::{bytes, count};
use super::select::{Selection, Variant, select};
use super::ui::Ui;
use super::{ExitCode, Failure, Global};
use crate::engine::{self, Preference, Resolver};
use crate::plan::Knowledge;
use crate::reports::{Place, ReportError, Settings};
use base::closure::Closure;
use base::digest::{RecordDigest, StageKey};
use base::record::Record;
use base::work::Work;
use files::Named;
use store::Store;
use store::archive::Scope;
use store::lockfile::{FILES, Lock};
use store::sign::Batch;

/// Writes the locks of figures that were made: what each was made from, to be committed and checked.
///
/// Beside reports/PROFILE/FIGURE.lock comes FIGURE.wdpipe, with the records and numbers behind the figure: `verify` needs
/// no cache then. `make` prefers what a lock holds where there are several results.
#[derive(Debug, Args)]
pub struct LockCommand {
    /// Figures, or all.
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: Variant,
    /// What the figure's files are called, as it was said to `make`.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Do not prefer what the present locks hold: take what is trusted, or oldest.
    #[arg(long)]
    anew: bool,
}

impl LockCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a figure was not made, or something cannot be written.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let mut selection = select(global, &self.variant, &self.targets)?;
        selection.targets.retain(|&id| matches!(selection.graph.stages[id].work, Work::Figure(_)));
        if selection.targets.is_empty() {
            return Err(Failure::usage("only figures and panels have locks", "name one, or say all"));
        }
        if let Some(name) = &self.name {
            selection.call(name, global)?;
        }
        let store = global.store()?;
        // Nothing is written unless all can be.
        let knowledge = self.knowledge(&selection, &store)?;
        for (figure, id) in selection.figures() {
            if !matches!(knowledge[id], Knowledge::Known { .. }) {
                let message = format!("`{figure}` was not made yet with these settings");
                let hint = format!("`wdpipe make {}` makes it", advice::all_quoted(&self.targets));
                return Err(Failure::new(ExitCode::Missing, message, hint));
            }
        }
        for (figure, _) in selection.figures() {
            // What its stages are called, and their order, must not depend on what else is locked.
            let alone = selection.alone(figure, global)?;
            self.lock(&alone, figure, &store, ui)?;
        }
        Ok(())
    }

    fn knowledge(&self, selection: &Selection, store: &Store) -> Result<Vec<Knowledge>, Failure> {
        let anew = self.anew.then(|| selection.preference.without_locks());
        let resolver = Resolver::new(store, &selection.graph, anew.as_ref().unwrap_or(&selection.preference));
        Ok(resolver.outlook(&selection.graph.closure(&selection.targets))?)
    }

    /// Locks the one figure of a selection.
    fn lock(&self, selection: &Selection, figure: &str, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let knowledge = self.knowledge(selection, store)?;
        // The files and their lock belong together, whatever lay there before.
        for file in export(selection, &knowledge, store)?.iter().filter(|file| file.changed) {
            ui.say(&format!("wrote {}", file.path.display()));
        }
        let place = selection.place(figure);
        let mut closure = engine::closure(&selection.graph, &knowledge, selection.targets[0], store)?;
        let batches = match self.anew || selection.preference.is_strict() {
            true => Vec::new(),
            false => keep(&mut closure, &place),
        };
        let mut files = BTreeMap::new();
        for extension in FILES {
            let hash = place.hash(extension).map_err(ReportError::from)?;
            let path = place.path(extension);
            let hash =
                hash.ok_or_else(|| Failure::new(ExitCode::Storage, format!("{} is gone", path.display()), ""))?;
            files.insert(extension.to_owned(), hash);
        }
        let drawn = selection.graph.figures.get(figure);
        let pipeline = drawn.map_or(figure, |drawn| drawn.pipeline.as_str());
        let names = [&place.name, figure, pipeline, &selection.profile];
        let lock = Lock::of(names, selection.variants.set(figure), &closure, files);
        // First the evidence, then the lock that refers to it.
        let exported =
            archive::write(Named::create(&place.path("wdpipe"))?, &closure, &batches, Scope::Numbers, store)?;
        let verb = if place.write_lock(&lock)? { "locked" } else { "unchanged" };
        let (path, stages) = (place.path("lock"), count(closure.members.len(), "stage"));
        ui.say(&format!("{verb} {}: {stages}, records and numbers {}", path.display(), bytes(exported.bytes)));
        say_others(&place, figure, ui)
    }
}

/// Keeps the records that lie beside a lock already, instead of others of the same stages with the same outputs: locking
/// what did not change changes nothing. Returns the signatures that lie beside them.
fn keep(closure: &mut Closure, place: &Place) -> Vec<Vec<u8>> {
    // What is damaged is written anew.
    let Ok(beside) = store::archive::read_numbers(&place.path("wdpipe")) else { return Vec::new() };
    let mut by_key: BTreeMap<StageKey, Vec<(&RecordDigest, &Record)>> = BTreeMap::new();
    for (digest, record) in &beside.records {
        by_key.entry(record.parts.key()).or_default().push((digest, record));
    }
    let mut kept = BTreeSet::new();
    for member in &mut closure.members {
        let same = by_key.get(&member.key).into_iter().flatten().find(|(_, old)| old.same_outputs(&member.record));
        if let Some((digest, record)) = same {
            (member.digest, member.record) = (**digest, (*record).clone());
            kept.insert(**digest);
        }
    }
    let signs = |bytes: &Vec<u8>| {
        Batch::from_bytes(bytes).is_ok_and(|batch| batch.records().iter().any(|record| kept.contains(record)))
    };
    beside.batches.into_iter().filter(signs).collect()
}

/// Says which variants of a figure lie beside it without a lock, so that nobody takes one for what was locked.
fn say_others(place: &Place, figure: &str, ui: &Ui) -> Result<(), Failure> {
    for (other, settings) in Settings::all(&place.folder).map_err(ReportError::from)? {
        let unlocked = settings.figure == figure && other.name != place.name && other.lock().is_ok_and(|l| l.is_none());
        if unlocked {
            let command = advice::command(&["lock", figure], &settings.profile, &settings.set);
            ui.say(&format!("{} is another variant, not locked: `{command}` locks it", other.name));
        }
    }
    Ok(())
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        let hint = match &error {
            ReportError::Fs(_) => "say --reports DIR if the figures lie elsewhere",
            ReportError::Lock { .. } => "restore the committed file, or write it anew with `wdpipe lock FIGURE`",
            ReportError::Attestation { .. } => "restore the committed file; an attestation cannot be mended",
        };
        Self::new(ExitCode::Storage, error.to_string(), hint)
    }
}

/// Says where figures that were made are not what their locks hold.
pub fn left(selection: &Selection, knowledge: &[Knowledge], store: &Store, ui: &Ui) {
    for (figure, id) in selection.figures() {
        let Knowledge::Known { key, outline, .. } = &knowledge[id] else { continue };
        let place = selection.place(figure);
        let lock = match place.lock() {
            Ok(None) => continue,
            Ok(Some(lock)) => lock,
            Err(error) => {
                ui.warn(&error.to_string());
                continue;
            }
        };
        let same = outline.outputs.iter().all(|output| lock.output(&output.name) == Some(output.object));
        if lock.drawing().is_some_and(|drawing| drawing.key == *key) && same {
            continue;
        }
        let Ok(closure) = engine::closure(&selection.graph, knowledge, id, store) else { continue };
        ui.say(&format!(
            "{figure} is not what {} holds: {}; `wdpipe lock {figure}` locks what is here now",
            place.path("lock").display(),
            leaves(&lock, &closure)
        ));
    }
}

/// In what a closure is another than a lock's, in words.
fn leaves(lock: &Lock, closure: &Closure) -> String {
    let held: std::collections::BTreeMap<_, _> = lock.stages.iter().map(|stage| (stage.key, stage)).collect();
    let differs = |member: &&base::closure::Member| {
        held.get(&member.key).is_some_and(|stage| stage.outcome().1 != member.outcome().1)
    };
    let other: Vec<_> = closure.members.iter().filter(differs).collect();
    let new: Vec<_> = closure.members.iter().filter(|member| !held.contains_key(&member.key)).collect();
    let mut parts = Vec::new();
    if let [first, ..] = other[..] {
        parts.push(format!(
            "{} came out differently here, first {} (on {})",
            count(other.len(), "stage"),
            first.name,
            first.record.provenance.machine
        ));
    }
    if let [first, ..] = new[..] {
        let of = closure.members.len();
        parts.push(format!("{} of {of} have other settings or inputs, first {}", new.len(), first.name));
    }
    parts.join("; ")
}
