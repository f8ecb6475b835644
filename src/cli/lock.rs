//! `wdpipe lock`: what a committed figure was made from, written down.

use clap::Args;

use super::archive;
use super::export::export;
use super::format::{bytes, count};
use super::select::{Selection, Variant, select};
use super::ui::Ui;
use super::{ExitCode, Failure, Global};
use crate::archive::Scope;
use crate::closure::Closure;
use crate::engine::{self, Resolver};
use crate::fsx::Named;
use crate::lock::{FILES, Lock};
use crate::plan::Knowledge;
use crate::reports::{Place, ReportError};
use crate::store::Store;
use crate::work::Work;

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
        let store = global.store()?;
        if self.anew {
            selection.preference = selection.preference.without_locks();
        }
        let resolver = Resolver::new(&store, &selection.graph, &selection.preference);
        let knowledge = resolver.outlook(&selection.graph.closure(&selection.targets))?;
        for &id in &selection.targets {
            if !matches!(knowledge[id], Knowledge::Known { .. }) {
                let message = format!("`{}` was not made yet with these settings", selection.graph.stages[id].name);
                return Err(Failure::new(
                    ExitCode::Missing,
                    message,
                    format!("wdpipe make {}", self.targets.join(" ")),
                ));
            }
        }
        let folder = global.reports.join(&self.variant.profile);
        // The files and their lock belong together, whatever lay there before.
        export(&selection, &knowledge, &store, &folder)?;
        for &id in &selection.targets {
            let Work::Figure(figure) = &selection.graph.stages[id].work else { continue };
            let place = Place { folder: folder.clone(), figure: figure.name.clone() };
            let closure = engine::closure(&selection.graph, &knowledge, id, &store)?;
            let size = self.write(&selection, &closure, &place, &store)?;
            let stages = count(closure.members.len(), "stage");
            ui.say(&format!("locked {}: {stages}, records and numbers {}", place.path("lock").display(), bytes(size)));
        }
        Ok(())
    }

    fn write(&self, selection: &Selection, closure: &Closure, place: &Place, store: &Store) -> Result<u64, Failure> {
        let mut files = std::collections::BTreeMap::new();
        for extension in FILES {
            let hash = place.hash(extension).map_err(ReportError::from)?;
            let path = place.path(extension);
            let hash =
                hash.ok_or_else(|| Failure::new(ExitCode::Storage, format!("{} is gone", path.display()), ""))?;
            files.insert(extension.to_owned(), hash);
        }
        let drawn = selection.graph.figures.get(&place.figure);
        let pipeline = drawn.map_or(place.figure.as_str(), |drawn| drawn.pipeline.as_str());
        let names = (place.figure.as_str(), pipeline, self.variant.profile.as_str());
        let lock = Lock::of(names, &self.variant.set, closure, files);
        // First the evidence, then the lock that refers to it.
        let exported = archive::write(Named::create(&place.path("wdpipe"))?, closure, Scope::Numbers, store)?;
        place.write_lock(&lock)?;
        Ok(exported.bytes)
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        let hint = match &error {
            ReportError::Fs(_) => "say --reports DIR if the figures lie elsewhere",
            ReportError::Lock { .. } => "restore the committed file, or write it anew with `wdpipe lock`",
            ReportError::Receipt { .. } => "restore the committed file; a receipt cannot be mended",
        };
        Self::new(ExitCode::Storage, error.to_string(), hint)
    }
}

/// Says where figures that were made are not what their locks hold.
pub fn left(selection: &Selection, knowledge: &[Knowledge], store: &Store, folder: &std::path::Path, ui: &Ui) {
    for &id in &selection.targets {
        let (Work::Figure(figure), Knowledge::Known { key, outline, .. }) =
            (&selection.graph.stages[id].work, &knowledge[id])
        else {
            continue;
        };
        let place = Place { folder: folder.to_owned(), figure: figure.name.clone() };
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
            "{} is not what {} holds: {}; `wdpipe lock {0}` locks what is here now",
            figure.name,
            place.path("lock").display(),
            leaves(&lock, &closure)
        ));
    }
}

/// In what a closure is another than a lock's, in words.
fn leaves(lock: &Lock, closure: &Closure) -> String {
    let held: std::collections::BTreeMap<_, _> = lock.stages.iter().map(|stage| (stage.key, stage)).collect();
    let differs = |member: &&crate::closure::Member| {
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
