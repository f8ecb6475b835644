//! `wdpipe cache stress-test`: tests what a file system guarantees.

use std::os::unix::process::parent_id;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::environment::now;
use super::format::columns;
use super::parse::whole;
use super::signals::cancel_on_interrupt;
use super::ui::Ui;
use crate::project::{ExitCode, Failure};
use crate::stress::{Guarantee, Role, StressError, StressReport, Task, Trial, stress_test};

/// Test what a file system guarantees, before it holds a cache.
///
/// Processes write, read and collect garbage at the same time in a temporary cache, and are killed at random times; then
/// everything is checked. The exit code is 1 if a guarantee that wdpipe needs is missing.
#[derive(Debug, Args)]
pub struct StressTestCommand {
    /// Empty or new folder on that file system. Files that the test creates are removed again.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Duration of the test in seconds.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = whole(1..=86_400_u64))]
    seconds: u64,
    /// Seed of all random choices [default: the time].
    #[arg(long, value_name = "N", value_parser = whole(0..=u64::MAX))]
    seed: Option<u64>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Run one of the processes of `cache stress-test`.
#[derive(Debug, Args)]
pub struct StressChildCommand {
    #[arg(value_parser = role)]
    role: Role,
    folder: PathBuf,
    seed: u64,
    old: u64,
}

fn role(name: &str) -> Result<Role, String> {
    Role::ALL.into_iter().find(|role| role.name() == name).ok_or_else(|| format!("`{name}` is not a role in the test"))
}

/// Output of `cache stress-test --json`.
#[derive(Serialize)]
struct StressAnswer<'a> {
    system: &'a str,
    seed: u64,
    fine: bool,
    guarantees: Vec<GuaranteeAnswer<'a>>,
}

#[derive(Serialize)]
struct GuaranteeAnswer<'a> {
    name: &'a str,
    given: bool,
    needed: bool,
    seen: &'a str,
    without: &'a str,
}

impl<'a> GuaranteeAnswer<'a> {
    fn of(guarantee: &'a Guarantee) -> Self {
        let Guarantee { name, is_given, is_needed, seen, without, .. } = guarantee;
        Self { name, given: *is_given, needed: *is_needed, seen, without }
    }
}

impl StressTestCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the folder cannot be used, or its file system lacks a guarantee that wdpipe needs.
    pub fn run(&self, ui: &Ui) -> Result<(), Failure> {
        let seed = self.seed.unwrap_or_else(now);
        let program = std::env::current_exe().map_err(|error| {
            Failure::new(ExitCode::Failed, format!("the path of this program is unknown: {error}"), "")
        })?;
        ui.say(&format!("testing {} for {} s, seed {seed}", self.folder.display(), self.seconds));
        let child = |task: &Task| {
            let Task { role, folder, seed, old } = task;
            let mut command = Command::new(&program);
            command.args(["cache", "stress-child", role.name()]).arg(folder);
            command.args([seed, old].map(u64::to_string));
            command
        };
        let cancel = cancel_on_interrupt();
        let cancelled = || cancel.load(Ordering::Relaxed);
        let length = Duration::from_secs(self.seconds);
        let trial = Trial { folder: &self.folder, length, seed, child: &child, cancelled: &cancelled };
        let report = stress_test(&trial).map_err(|error| if cancelled() { StressError::Interrupted } else { error })?;
        self.print(&report, seed, ui);
        let lacking: Vec<_> = report.lacking().collect();
        if lacking.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = lacking.iter().map(|guarantee| format!("`{}`", guarantee.name)).collect();
        let message = format!("{} lacks guarantees that wdpipe needs: {}", self.folder.display(), names.join(", "));
        let mut hints: Vec<_> = lacking.iter().map(|guarantee| guarantee.without).collect();
        hints.dedup();
        Err(Failure::new(ExitCode::Failed, message, hints.join("\n")))
    }

    fn print(&self, report: &StressReport, seed: u64, ui: &Ui) {
        if self.json {
            ui.json(&StressAnswer {
                system: report.system,
                seed,
                fine: report.lacking().next().is_none(),
                guarantees: report.guarantees.iter().map(GuaranteeAnswer::of).collect(),
            });
            return;
        }
        ui.answer(&format!("{}, seed {seed}", report.system));
        let rows = report.guarantees.iter().map(|g| {
            let given = match (g.is_given, g.is_needed) {
                (true, _) => "yes",
                (false, true) => "NO",
                (false, false) => "no",
            };
            let without = if g.is_given { String::new() } else { format!(": {}", g.without) };
            vec![given.to_owned(), g.name.to_owned(), format!("{}{without}", g.seen)]
        });
        columns(&rows.collect::<Vec<_>>()).iter().for_each(|line| ui.answer(line));
    }
}

impl StressChildCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the store fails; the error is also reported to the parent.
    pub fn run(&self, ui: &Ui) -> Result<(), Failure> {
        let Self { role, folder, seed, old } = self;
        let task = Task { role: *role, folder: folder.clone(), seed: *seed, old: *old };
        let parent = parent_id();
        let done = task.run(&|| parent_id() == parent, &mut |line| ui.answer(line));
        if let Err(error) = &done {
            ui.answer(&format!("error {error}"));
        }
        Ok(done?)
    }
}

impl From<StressError> for Failure {
    fn from(error: StressError) -> Self {
        let message = error.to_string();
        match error {
            StressError::Fs(error) => store::StoreError::Fs(error).into(),
            StressError::Store(error) => error.into(),
            StressError::NotEmpty(_) => Self::usage(message, ""),
            StressError::Full { .. } => {
                Self::new(ExitCode::Storage, message, "free some space, or name another folder")
            }
            StressError::Child(_) => {
                Self::new(ExitCode::Storage, message, "the test has no result; fix the cause, and try again")
            }
            StressError::Thread(error) => crate::engine::EngineError::Threads(error).into(),
            StressError::Interrupted => Self::new(ExitCode::Interrupted, message, ""),
        }
    }
}
