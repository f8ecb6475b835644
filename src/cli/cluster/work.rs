//! `wdpipe work`: one worker of a run.

use std::env;
use std::time::{Duration, Instant};

use clap::Args;

use super::super::environment::{now, signer, who};
use super::super::format::count;
use super::super::parse;
use super::super::progress::ProgressView;
use super::super::signals::cancel_on_interrupt;
use super::super::ui::Ui;
use super::{executor_of, launch_of, own_hash};
use crate::cluster::{Deadline, Ended, Engine, Me, Post, Run, RunId, Said, TASK, host, task_name, time_left};
use crate::engine::Environment;
use crate::project::{ExitCode, Failure, Notice, Project, cores};

/// Compute stages of a run as one of its workers.
///
/// `make --executor` starts workers by itself; start another one with this command.
#[derive(Debug, Args)]
pub struct WorkCommand {
    /// The run, as `wdpipe jobs` lists it.
    #[arg(value_name = "RUN")]
    run: RunId,
    /// The worker's time, such as 90s, 20min or 4h: it starts no stage that would take longer than what is left.
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    time: Option<f64>,
}

impl WorkCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such run, another program began it, or the remaining stages cannot be computed.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let began = Instant::now();
        let cancel = cancel_on_interrupt();
        let store = project.store()?;
        let run = Run::open(&store, &self.run)?;
        if own_hash()? != run.request.program {
            let message = format!(
                "run {} was begun by another program than this one (version {})",
                run.id,
                env!("CARGO_PKG_VERSION")
            );
            let hint = "install the same program on all machines, or run the `make` command again with this one";
            return Err(Failure::new(ExitCode::Usage, message, hint));
        }
        let selection = run.project(project).select(&run.variant(), &run.request.targets)?;
        let limit = match &run.request.engine {
            Engine::Slurm(site) if self.time.is_none() => time_left(site, variable),
            _ => self.time.map(Duration::from_secs_f64),
        };
        let me = Me {
            name: name()?,
            cores: allocated().unwrap_or_else(cores),
            deadline: limit.map(|limit| Deadline { began, limit }),
        };
        ui.say(&format!("worker {} of run {} on {}", me.name, run.id, host()));
        let (signer, environment) = (signer()?, Environment { who: who(), now });
        let post = Post {
            run: &run,
            selection: &selection,
            store: &store,
            executor: &*executor_of(&run, true)?,
            launch: &launch_of(&run, project)?,
            me: &me,
            signer: signer.as_ref(),
            environment: &environment,
            cancel: &cancel,
        };
        let mut view = ProgressView::new(&selection.graph, *ui);
        let ended = post.work(&mut |said| match said {
            Said::Notice(Notice::Planned { plan, seconds, .. }) => {
                view.begin(&plan.run.iter().map(|run| run.stage).collect::<Vec<_>>(), seconds);
            }
            Said::Notice(Notice::Event(event)) => view.show(event),
            Said::Notice(Notice::Ended) => view.end(),
            Said::Notice(Notice::CaughtUp(records) | Notice::Signed(records)) => {
                ui.say(&format!("{} signed", count(records, "record")));
            }
            Said::NotAdded(failure) => ui.warn(&format!("no workers could be added from here: {}", failure.message)),
        })?;
        match ended {
            Ended::Complete => ui.say("the run is complete"),
            Ended::Left => ui.say("nothing is left for this worker"),
            Ended::Stuck(why) => {
                return Err(Failure::new(ExitCode::Failed, format!("nothing can be done any more: {why}"), ""));
            }
        }
        Ok(())
    }
}

/// Returns an environment variable, if it is set and not empty.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns the worker's name: the name that it was started with, or its Slurm task, or a name from host and process ID.
fn name() -> Result<crate::cluster::JobId, Failure> {
    let name =
        variable(TASK).or_else(|| task_name(variable)).unwrap_or_else(|| format!("{}-{}", host(), std::process::id()));
    name.parse().map_err(|error| Failure::usage(format!("the worker's name: {error}"), ""))
}

/// Returns the number of processors that Slurm allocated to this task.
fn allocated() -> Option<usize> {
    let number = |name: &str| env::var(name).ok()?.parse().ok().filter(|number| *number > 0);
    number("SLURM_CPUS_PER_TASK").or_else(|| number("SLURM_CPUS_ON_NODE"))
}
