//! `wdpipe verify`: checks that committed figures match what was computed.

mod told;

use std::sync::atomic::Ordering;

use clap::Args;

use super::arguments::plain;
use super::consent::{self, Answer};
use super::signals::cancel_on_interrupt;
use super::ui::Ui;
use crate::engine::{AllowedCommands, EngineError};
use crate::project::{ExitCode, Failure, Project, Rebuilding, Subject, VerifyLevels, cores};
use crate::stages::Device;
use crate::verify::{Check, Level, Rebuilt, Verdict};
use base::parallel::parallel;
use store::Store;

/// Check that committed figures match what was computed.
///
/// Exit code 0: everything matches; 1: something differs; 3: something needed is missing.
///
/// Without options the command needs no cache, no GPU and no libtorch: it compares the files, the records beside them
/// and the pipelines with the locks. Every figure in the reports folder must have a lock; variants (FIGURE@HASH8) need
/// none. Each option checks more; -v explains what each level shows and what it leaves open.
#[derive(Debug, Args)]
pub struct VerifyCommand {
    /// Figures, including their variants that have a lock [default: all].
    #[arg(value_name = "FIGURE")]
    targets: Vec<String>,
    /// Profile [default: all].
    #[arg(long, value_name = "NAME", value_parser = plain)]
    profile: Option<String>,
    /// Hash every object in the cache that the figures depend on.
    #[arg(long)]
    objects: bool,
    /// Draw the figures again from the recorded tables.
    #[arg(long)]
    render: bool,
    /// Number of stages of each figure to recompute and compare, or all.
    #[arg(long, value_name = "N|all", value_parser = stages_wanted)]
    rebuild: Option<HowMany>,
    /// Seed of --rebuild's choice [default: random, and printed].
    #[arg(long, value_name = "TEXT", requires = "rebuild")]
    seed: Option<String>,
    /// Device that --rebuild computes on: auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Device,
    /// Allow --rebuild to run the commands of the figures this once.
    #[arg(long, requires = "rebuild")]
    yes: bool,
    /// Compare the committed figures statistically with results in this cache that another machine computed.
    #[arg(long)]
    statistics: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Number of stages.
#[derive(Debug, Clone, Copy)]
enum HowMany {
    All,
    Some(usize),
}

fn stages_wanted(text: &str) -> Result<HowMany, String> {
    match text {
        "all" => Ok(HowMany::All),
        _ => {
            let count = text.parse().ok().filter(|count| *count > 0).map(HowMany::Some);
            count.ok_or_else(|| "a number of stages, or all, is needed; at least 1".to_owned())
        }
    }
}

/// Figure and the outcome of its checks.
struct Verified {
    subject: Subject,
    checks: Vec<Check>,
}

impl Verified {
    fn verdict(&self) -> Verdict {
        self.checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Missing)
    }
}

impl VerifyCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If something differs or is missing, or a folder cannot be read.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let (subjects, variants) = project.committed(self.profile.as_deref(), &self.targets)?;
        let needs_store = self.objects || self.rebuild.is_some() || self.statistics;
        let store = if needs_store { Some(project.store()?) } else { None };
        let seed = self.seed.clone().unwrap_or_else(random_seed);
        let cancel = cancel_on_interrupt();
        let count = if let Some(HowMany::Some(count)) = self.rebuild { Some(count) } else { None };
        let commands = match (&self.rebuild, &store) {
            (Some(_), Some(store)) => self.allowed(project, (&subjects, store), (count, &seed), ui)?,
            _ => AllowedCommands::default(),
        };
        let (device, commands) = (&self.device, &commands);
        let again = self.rebuild.map(|_| Rebuilding { count, seed: &seed, device, commands, cancel: &cancel });
        let asked =
            VerifyLevels { objects: self.objects, render: self.render, rebuild: again, statistics: self.statistics };
        let tell = |rebuilt: &Rebuilt| ui.say(&format!("{} {:.1} s", rebuilt.name, rebuilt.seconds));
        let run = |_: &mut (), subject: &Subject| Some(project.verify(subject, store.as_ref(), &asked, &tell));
        // Recomputed stages use all cores, so figures are then checked one after the other.
        let jobs = if self.rebuild.is_some() { 1 } else { cores() };
        let checks = parallel(jobs, &subjects, || (), run).into_iter().collect::<Result<Vec<_>, _>>()?;
        if cancel.load(Ordering::Relaxed) {
            return Err(EngineError::Interrupted.into());
        }
        let verified: Vec<Verified> =
            subjects.into_iter().zip(checks).map(|(subject, checks)| Verified { subject, checks }).collect();
        let verdict = verified.iter().map(Verified::verdict).max().unwrap_or(Verdict::Holds);
        match self.json {
            true => ui.json(&told::VerifyAnswer::of(&verified, &variants, verdict)),
            false => told::text(&verified, &variants, &self.asked(), ui),
        }
        let count = |verdict| verified.iter().filter(|figure| figure.verdict() == verdict).count();
        let message = told::counted(count(Verdict::Holds), count(Verdict::Differs), count(Verdict::Missing));
        match verdict {
            Verdict::Holds => Ok(()),
            Verdict::Differs => Err(Failure::new(ExitCode::Failed, message, "the lines marked DIFFERS say where")),
            Verdict::Missing => Err(Failure::new(ExitCode::Missing, message, "the lines marked missing say what")),
        }
    }

    /// Asks the user which commands may run again. If the user cannot be asked, the others are recomputed without them.
    fn allowed(
        &self,
        project: &Project,
        (subjects, store): (&[Subject], &Store),
        chosen: (Option<usize>, &str),
        ui: &Ui,
    ) -> Result<AllowedCommands, Failure> {
        let mut allowed = AllowedCommands { root: project.root().to_owned(), ..AllowedCommands::default() };
        for (consent, keys) in project.commands_again(subjects, store, chosen)? {
            match consent::ask(&consent, self.yes, ui)? {
                Answer::Yes => allowed.keys.extend(keys),
                Answer::No => {}
                Answer::CannotAsk => {
                    let lines = consent::shown(&consent);
                    ui.warn(&format!("not allowed, so not run: {lines}\nread these lines; then add --yes to run them"));
                }
            }
        }
        Ok(allowed)
    }

    /// Returns the requested levels: their findings are printed even if all is well.
    fn asked(&self) -> Vec<Level> {
        let levels = [
            (self.objects, Level::Objects),
            (self.render, Level::Render),
            (self.rebuild.is_some(), Level::Rebuild),
            (self.statistics, Level::Statistics),
        ];
        levels.into_iter().filter(|(asked, _)| *asked).map(|(_, level)| level).collect()
    }
}

/// Returns an unpredictable seed.
pub fn random_seed() -> String {
    use std::hash::{BuildHasher, Hasher};
    format!("{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish())
}
