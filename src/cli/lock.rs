//! `wdpipe lock`: records what a committed figure was made from.

use clap::Args;
use serde::Serialize;

use super::arguments::VariantArgs;
use super::format::{bytes, count, shown};
use super::ui::Ui;
use crate::plan::Knowledge;
use crate::project::{ExitCode, Failure, Locked, Project, all_quoted, command};
use base::work::Work;

/// Lock figures: record what each was made from, to be committed.
///
/// Writes reports/PROFILE/FIGURE.lock, which `verify` checks. The command also writes FIGURE.wdpipe beside
/// reports/PROFILE/FIGURE.lock, with the figure's records and numbers, so that `verify` needs no cache. The figure that
/// has the pipeline's name is the main one. The archives of the pipeline's other figures are packed against its archive,
/// and need it beside them. If there are several results, `make` prefers the locked one.
#[derive(Debug, Args)]
pub struct LockCommand {
    /// Figures, or all.
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: VariantArgs,
    /// Name of the figure's files, as given to `make`.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Do not prefer the results in the present locks: take trusted results, or else the oldest.
    #[arg(long)]
    anew: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `lock --json`.
#[derive(Serialize)]
struct LockAnswer {
    profile: String,
    locks: Vec<LockedAnswer>,
}

#[derive(Serialize)]
struct LockedAnswer {
    figure: String,
    path: String,
    changed: bool,
    stages: usize,
    bytes: u64,
    packed_again: Vec<String>,
}

impl LockCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a figure was not made, or something cannot be written.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let mut selection = project.select(&self.variant.to_variant(), &self.targets)?;
        selection.targets.retain(|&id| matches!(selection.graph.stages[id].work, Work::Figure(_)));
        if selection.targets.is_empty() {
            return Err(Failure::usage("only figures and panels have locks", "name one, or all"));
        }
        if let Some(name) = &self.name {
            selection.call(name, project)?;
        }
        let store = project.store_of(&self.targets)?;
        // All figures are checked before a lock is written.
        let knowledge = selection.resolve_to_lock(&store, self.anew)?.knowledge;
        for (figure, id) in selection.figures() {
            if !matches!(knowledge[id], Knowledge::Known { .. }) {
                let message = format!("`{figure}` was not made yet with these settings");
                let hint = format!("`wdpipe make {}` makes it", all_quoted(&self.targets));
                return Err(Failure::new(ExitCode::Missing, message, hint));
            }
        }
        let _held = selection.hold(|folder| {
            ui.say(&format!("waiting for another process that locks figures in {}", folder.display()));
        })?;
        let mut locks = Vec::new();
        for (figure, _) in selection.figures() {
            // The names of its stages, and their order, must not depend on other figures that are locked.
            let alone = selection.alone(figure, project)?;
            let locked = alone.lock(figure, &store, self.anew)?;
            tell(figure, &locked, ui);
            let Locked { path, changed, stages, bytes, packed_again, .. } = &locked;
            let (changed, stages, bytes) = (*changed, *stages, *bytes);
            let packed_again = packed_again.iter().map(|path| shown(path)).collect();
            locks.push(LockedAnswer {
                figure: figure.to_owned(),
                path: shown(path),
                changed,
                stages,
                bytes,
                packed_again,
            });
        }
        if self.json {
            ui.json(&LockAnswer { profile: self.variant.profile.clone(), locks });
        }
        Ok(())
    }
}

fn tell(figure: &str, locked: &Locked, ui: &Ui) {
    for file in locked.files.iter().filter(|file| file.changed) {
        ui.say(&format!("wrote {}", file.path.display()));
    }
    let verb = if locked.changed { "locked" } else { "unchanged" };
    let (path, stages) = (locked.path.display(), count(locked.stages, "stage"));
    ui.say(&format!("{verb} {path}: {stages}, records and numbers {}", bytes(locked.bytes)));
    for other in &locked.packed_again {
        ui.say(&format!("packed again: {}, which needs the archive of {figure}; commit both", other.display()));
    }
    locked.unlocked.iter().for_each(|unlocked| ui.say(unlocked));
    for (other, settings) in &locked.others {
        let command = command(&["lock", figure], &settings.profile, &settings.set);
        ui.say(&format!("{} is another variant, not locked: `{command}` locks it", other.name));
    }
}
