//! `wdpipe attach` and `wdpipe cancel`: follow a run again, or end it.

use clap::Args;
use serde::Serialize;

use super::super::format::{count, shown};
use super::super::signals::cancel_on_interrupt;
use super::super::ui::Ui;
use super::follow::{EVERY, follow, why_not};
use super::{executor_of, launch_of};
use crate::cluster::{Followed, JobId, Run, RunId, Watch};
use crate::project::{ExitCode, Failure, Project};

/// Follow a run that was left, and write its figures at the end.
#[derive(Debug, Args)]
pub struct AttachCommand {
    /// The run, as `wdpipe jobs` lists it.
    #[arg(value_name = "RUN")]
    run: RunId,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
}

/// End a run: cancel its jobs, and keep finished stages.
#[derive(Debug, Args)]
pub struct CancelCommand {
    /// The run, as `wdpipe jobs` lists it.
    #[arg(value_name = "RUN")]
    run: RunId,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `attach --json`.
#[derive(Serialize)]
struct AttachAnswer<'a> {
    run: &'a RunId,
    outputs: Vec<String>,
}

/// Output of `cancel --json`.
#[derive(Serialize)]
struct CancelAnswer<'a> {
    run: &'a RunId,
    jobs: Vec<&'a JobId>,
}

impl AttachCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such run, or it cannot be completed.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let cancel = cancel_on_interrupt();
        let store = project.store()?;
        let run = Run::open(&store, &self.run)?;
        let of_run = run.project(project);
        let selection = of_run.select(&run.variant(), &run.request.targets)?;
        let (executor, launch) = (executor_of(&run, false)?, launch_of(&run, project)?);
        let watch = Watch {
            run: &run,
            selection: &selection,
            store: &store,
            executor: &*executor,
            launch: &launch,
            every: EVERY,
            cancel: &cancel,
        };
        let followed = follow(&watch, ui)?;
        if let Some(failure) = why_not(&followed, &run) {
            return Err(failure);
        }
        if followed == Followed::Interrupted {
            let hint = format!("`wdpipe attach {0}` follows it again, `wdpipe cancel {0}` ends it", run.id);
            return Err(Failure::new(ExitCode::Interrupted, format!("run {} goes on", run.id), hint));
        }
        let resolved = selection.resolve(&store)?;
        let exported = selection.export(&resolved.knowledge, &store)?;
        for exported in &exported {
            let verb = if exported.changed { "wrote" } else { "unchanged" };
            ui.say(&format!("{verb} {}", exported.path.display()));
        }
        ui.say(&format!("run {} is complete", run.id));
        if self.json {
            ui.json(&AttachAnswer { run: &run.id, outputs: exported.iter().map(|file| shown(&file.path)).collect() });
        }
        Ok(())
    }
}

impl CancelCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such run, or its jobs cannot be cancelled.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let store = project.store()?;
        let run = Run::open(&store, &self.run)?;
        run.stop()?;
        let jobs = run.jobs()?;
        executor_of(&run, false)?.cancel(&jobs, false)?;
        ui.say(&format!("run {} cancelled ({}); finished stages are kept", run.id, count(jobs.len(), "job")));
        if self.json {
            ui.json(&CancelAnswer { run: &run.id, jobs: jobs.iter().map(|job| &job.id).collect() });
        }
        Ok(())
    }
}
