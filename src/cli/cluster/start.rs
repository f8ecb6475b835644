//! `make --executor`: begins a run or finds an existing one, and follows it.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::super::format::{count, duration};
use super::super::planned::warn_of_room;
use super::super::ui::Ui;
use super::follow::{EVERY, follow, why_not};
use super::{SiteArgs, executor_of, launch_of, own_hash, times};
use crate::cluster::{Deadline, Engine, Executor, Followed, Local, Open, Run, RunId, RunRequest, Slurm, Watch};
use crate::graph::Graph;
use crate::project::{ExitCode, Failure, Forecast, Project, Selection, Variant, Workers, cores};
use crate::stages::Device;
use store::Store;

/// Maximum number of tasks that are submitted in advance for each worker and replace each other in turn.
const MOST_GENERATIONS: usize = 20;

/// Choice of the executor on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This machine, with this number of workers.
    Local(usize),
    /// Slurm.
    Slurm,
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse().ok().filter(|number| (1..=1024).contains(number));
        match text.split_once(':') {
            None if text == "slurm" => Ok(Self::Slurm),
            Some(("local", workers)) if number(workers).is_some() => Ok(Self::Local(number(workers).unwrap_or(1))),
            _ => Err("choose local:N, such as local:4, or slurm".to_owned()),
        }
    }
}

/// Options of `make` for several workers.
#[derive(Debug, Args)]
pub struct Start {
    /// Let several workers compute the stages: local:N starts N processes on this machine, each with a GPU of its own
    /// if there are several; slurm submits jobs, as cluster.toml describes them.
    #[arg(long, value_name = "EXECUTOR", help_heading = "Workers", conflicts_with_all = ["until_width", "keep_going"])]
    pub executor: Option<Choice>,
    /// With --executor: submit the workers and return; `wdpipe attach` follows them later.
    #[arg(long, requires = "executor", help_heading = "Workers")]
    pub detach: bool,
    #[command(flatten)]
    pub site: SiteArgs,
}

/// Output of `make --detach --json`.
#[derive(Serialize)]
struct Detached<'a> {
    run: &'a RunId,
    executor: &'static str,
    workers_submitted: usize,
    stages_to_run: usize,
}

/// The user's request, apart from the executor.
pub struct Wanted<'a> {
    /// The targets.
    pub targets: &'a [String],
    /// Profile and settings.
    pub variant: &'a Variant,
    /// Device of the workers.
    pub device: &'a Device,
    /// Number of stages that a worker runs at a time, if the user chose it.
    pub jobs: Option<usize>,
    /// The device, for estimates.
    pub workers: &'a Workers,
    /// Whether to print JSON.
    pub json: bool,
}

/// Result of starting workers.
pub enum Started {
    /// The run is complete. Holds the number of stages that were left at the beginning.
    Complete(usize),
    /// The run continues without this command.
    GoesOn,
}

/// Returns the number of stages that each of several workers without a GPU runs at a time.
fn shared(workers: usize) -> usize {
    (cores() / workers).max(1)
}

impl Start {
    fn engine(&self, choice: &Choice, project: &Project) -> Result<Engine, Failure> {
        Ok(match choice {
            Choice::Local(workers) => Engine::Local(*workers),
            Choice::Slurm => Engine::Slurm(Box::new(self.site.site(project)?)),
        })
    }

    /// Describes the workers that a run would have, without submitting anything.
    ///
    /// # Errors
    /// If the executor would refuse them, or a stage takes longer than a worker has.
    pub fn describe(
        &self,
        choice: &Choice,
        (project, graph): (&Project, &Graph),
        (here, jobs): (&Workers, Option<usize>),
        forecast: &Forecast<'_>,
        ui: &Ui,
    ) -> Result<(), Failure> {
        let engine = self.engine(choice, project)?;
        let executor: Box<dyn Executor> = match &engine {
            Engine::Local(_) => {
                Box::new(Local::new(PathBuf::new(), std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref()))
            }
            Engine::Slurm(site) => Box::new(Slurm::new((**site).clone())),
        };
        let allowance = executor.check()?;
        let workers = engine.workers().min(forecast.plan.run.len());
        let generations = match allowance.seconds {
            Some(limit) => generations(graph, forecast, (Deadline::usable(limit as f64), workers), ui)?,
            None => 1,
        };
        let followed = match generations {
            1 => String::new(),
            _ => format!(", each replaced up to {} when its time is over", times_in_words(generations - 1)),
        };
        // Workers on the same machine are no faster than its cores.
        let at_a_time = match (choice, &here.likely) {
            (Choice::Local(all), Device::Cpu) => {
                (all * jobs.unwrap_or(shared(*all))).min(cores()).min(forecast.plan.run.len())
            }
            _ => workers,
        };
        let time = forecast.on_machines([at_a_time]).map(|([seconds], ..)| format!(", about {}", duration(seconds)));
        ui.say(&format!(
            "would run on {} by {} ({}){followed}{}",
            engine.name(),
            count(workers, "worker"),
            allowance.place,
            time.unwrap_or_default()
        ));
        Ok(())
    }

    /// Begins a run and follows it.
    ///
    /// # Errors
    /// If workers cannot be started, or the run cannot be completed.
    pub fn run(
        &self,
        choice: &Choice,
        wanted: &Wanted<'_>,
        (project, store, selection): (&Project, &Store, &Selection),
        cancel: &AtomicBool,
        ui: &Ui,
    ) -> Result<Started, Failure> {
        let began = Instant::now();
        let engine = self.engine(choice, project)?;
        // Workers without a GPU share out the cores. How many stages share a GPU is found out by the worker that has it.
        let jobs = match choice {
            Choice::Local(workers) if !matches!(wanted.workers.likely, Device::Cuda(_)) => Some(shared(*workers)),
            _ => None,
        };
        let jobs = wanted.jobs.or(jobs);
        let request = RunRequest {
            targets: wanted.targets.to_vec(),
            profile: wanted.variant.profile.clone(),
            set: wanted.variant.set.clone(),
            device: wanted.device.to_string(),
            jobs,
            engine,
            program: own_hash()?,
            reports: absolute(&project.reports)?,
            trust: absolute(&project.trust)?,
            times: times()?,
        };
        let run = Run::create(store, (project, &selection.declared_files()), request)?;
        let executor = executor_of(&run, false)?;
        let launch = launch_of(&run, project)?;
        let watch = Watch { run: &run, selection, store, executor: &*executor, launch: &launch, every: EVERY, cancel };
        let open = Open::of(&run, selection, store)?;
        if open.is_done() {
            return Ok(Started::Complete(0));
        }
        let plan = selection.plan(store)?;
        warn_of_room(selection.room(&plan, store), store.root(), ui);
        let limits = executor.check()?;
        if let Engine::Slurm(site) = &run.request.engine {
            self.site.ensure(site, ui)?;
        }
        let generations = match limits.seconds {
            Some(limit) => {
                let forecast = selection.forecast(plan, store, wanted.workers, None)?;
                let workers = run.request.engine.workers();
                generations(&selection.graph, &forecast, (Deadline::usable(limit as f64), workers), ui)?
            }
            None => 1,
        };
        let workers = watch.begin(&open, generations)?;
        let left = open.left.len();
        ui.say(&format!(
            "run {}: {} to run by {} on {} ({})",
            run.id,
            count(left, "stage"),
            count(run.request.engine.workers(), "worker"),
            run.request.engine.name(),
            limits.place
        ));
        if workers > 0 {
            ui.say(&format!("  {} submitted in {:.1} s", count(workers, "worker"), began.elapsed().as_secs_f64()));
        }
        let back = format!(
            "  `wdpipe attach {0}` follows it, `wdpipe jobs {0}` shows its state, `wdpipe cancel {0}` ends it",
            run.id
        );
        if self.detach {
            ui.say(&back);
            if wanted.json {
                let executor = run.request.engine.name();
                ui.json(&Detached { run: &run.id, executor, workers_submitted: workers, stages_to_run: left });
            }
            return Ok(Started::GoesOn);
        }
        let is_local = matches!(choice, Choice::Local(_));
        if !is_local {
            ui.say(&format!("  Ctrl-C leaves, and the jobs go on\n{back}"));
        }
        let followed = follow(&watch, ui)?;
        if followed == Followed::Interrupted && is_local {
            // Local workers end with the command that started them, because users expect this of Ctrl-C.
            run.stop()?;
            executor.cancel(&run.jobs()?, false)?;
            return Err(crate::engine::EngineError::Interrupted.into());
        }
        match (why_not(&followed, &run), followed) {
            (Some(failure), _) => Err(failure),
            (None, Followed::Interrupted) => {
                let message = format!("run {} goes on without this command", run.id);
                let hint = format!("`wdpipe attach {0}` follows it again, `wdpipe cancel {0}` ends it", run.id);
                Err(Failure::new(ExitCode::Interrupted, message, hint))
            }
            _ => Ok(Started::Complete(left)),
        }
    }
}

/// Returns how many tasks must follow each other on each worker to provide enough time for the run, plus one.
///
/// # Errors
/// If a stage takes longer than a worker's time limit, according to measurements on this kind of device.
fn generations(
    graph: &Graph,
    forecast: &Forecast<'_>,
    (limit, workers): (f64, usize),
    ui: &Ui,
) -> Result<usize, Failure> {
    let stages = forecast.plan.run.iter().filter_map(|run| Some((forecast.seconds(run.stage)?, run.stage)));
    let stages: Vec<(f64, usize)> = stages.collect();
    if let Some((seconds, stage)) =
        stages.iter().copied().filter(|(seconds, _)| *seconds > limit).max_by(|a, b| a.0.total_cmp(&b.0))
    {
        let (name, takes, has) = (&graph.stages[stage].name, duration(seconds), duration(limit));
        let message = format!("{name} takes about {takes}, but a worker has only {has} for stages");
        if forecast.is_measured() {
            return Err(Failure::usage(message, "give the workers more time, such as --slurm time=4h"));
        }
        ui.warn(&format!("{message}, by assumed speeds; it is tried twice"));
    }
    let work: f64 = stages.iter().map(|(seconds, _)| seconds).sum();
    let each = work / (limit * workers as f64);
    Ok((each.ceil() as usize).clamp(0, MOST_GENERATIONS - 1) + 1)
}

/// Returns a number of times in words.
fn times_in_words(number: usize) -> String {
    if number == 1 { "once".to_owned() } else { format!("{number} times") }
}

/// Makes a path absolute, so that it does not depend on the current folder.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display()), ""))
}
