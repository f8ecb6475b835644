//! `wdpipe jobs`: lists the runs of a store, and shows their workers and logs.

use clap::Args;
use serde::Serialize;

use super::super::format::{columns, count, shown};
use super::super::running::values;
use super::super::ui::Ui;
use super::executor_of;
use crate::cluster::{Failed, JobId, Open, Run, RunId, Running, State, WorkerState};
use crate::engine::running;
use crate::project::{Failure, Project, all_quoted};
use store::Store;

/// Maximum size of a log that is read, in bytes.
const LOG: u64 = 64 << 20;

/// List the runs of this cache, or show one and its logs.
///
/// Prints its workers and its failures.
#[derive(Debug, Args)]
pub struct JobsCommand {
    /// A run [default: all].
    #[arg(value_name = "RUN")]
    run: Option<RunId>,
    /// Print the log of a worker, or the lines of all logs that name a stage.
    #[arg(long, value_name = "WORKER|STAGE", requires = "run")]
    log: Option<String>,
    /// Remove the state and the logs of runs that are complete or cancelled.
    #[arg(long, conflicts_with_all = ["run", "log"])]
    prune: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// An entry in the list of runs.
#[derive(Serialize)]
struct Row {
    run: RunId,
    targets: String,
    profile: String,
    executor: &'static str,
    state: &'static str,
    stages_done: usize,
    stages_left: usize,
    workers_running: usize,
    workers_waiting: usize,
}

/// Output of `jobs RUN --json`.
#[derive(Serialize)]
struct RunAnswer {
    #[serde(flatten)]
    row: Row,
    workers: Vec<WorkerAnswer>,
    failed: Vec<Failed>,
}

#[derive(Serialize)]
struct WorkerAnswer {
    name: JobId,
    log: String,
    #[serde(flatten)]
    worker: WorkerState,
}

impl JobsCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such run, or the store cannot be read.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let store = project.store()?;
        match (&self.run, &self.log) {
            (Some(run), Some(log)) => print_log(&Run::open(&store, run)?, log, ui),
            (Some(run), None) => self.one(&Run::open(&store, run)?, (project, &store), ui),
            (None, _) if self.prune => prune((project, &store), ui),
            (None, _) => self.all((project, &store), ui),
        }
    }

    fn all(&self, of: (&Project, &Store), ui: &Ui) -> Result<(), Failure> {
        let rows: Vec<Row> = Run::all(of.1)?.iter().map(|run| Row::of(run, of)).collect::<Result<_, _>>()?;
        if self.json {
            ui.json(&rows);
            return Ok(());
        }
        if rows.is_empty() {
            ui.say("there are no runs; `wdpipe make fig3 --executor local:2` begins one");
            return Ok(());
        }
        let heading =
            ["run", "targets", "profile", "executor", "state", "stages", "workers"].map(str::to_owned).to_vec();
        let lines: Vec<Vec<String>> = std::iter::once(heading).chain(rows.iter().map(Row::line)).collect();
        columns(&lines).iter().for_each(|line| ui.answer(line));
        Ok(())
    }

    fn one(&self, run: &Run, of: (&Project, &Store), ui: &Ui) -> Result<(), Failure> {
        let row = Row::of(run, of)?;
        let log = |name: &JobId| shown(&run.path(&format!("logs/{name}.log")));
        let workers = run.workers()?;
        let failed: Vec<Failed> = run.all_failed()?.into_iter().flat_map(|(_, failed)| failed).collect();
        if self.json {
            let workers =
                workers.into_iter().map(|(name, worker)| WorkerAnswer { log: log(&name), name, worker }).collect();
            ui.json(&RunAnswer { row, workers, failed });
            return Ok(());
        }
        ui.answer(&format!("run {}: {}, profile {}, on {}", row.run, row.targets, row.profile, row.executor));
        ui.answer(&format!("{}: {} done, {} left", row.state, count(row.stages_done, "stage"), row.stages_left));
        ui.answer(&format!("{} running, {} waiting", count(row.workers_running, "worker"), row.workers_waiting));
        let noted = running(of.1)?;
        let state = |stage: &Running| {
            let own = noted.iter().find(|noted| noted.key.to_string() == stage.key);
            let (done, values) = own.map_or((stage.done, Vec::new()), |own| (own.reading.done, values(&own.reading)));
            let all: Vec<String> = [format!("{:.0} %", 100.0 * done)].into_iter().chain(values).collect();
            format!("{} ({})", stage.stage, all.join(", "))
        };
        let line = |(name, worker): &(JobId, WorkerState)| {
            let stages: Vec<String> = worker.stages.iter().map(state).collect();
            let does = worker.ended.clone().unwrap_or_else(|| stages.join(", "));
            vec![name.to_string(), worker.host.clone(), count(worker.computed, "stage"), does]
        };
        columns(&workers.iter().map(line).collect::<Vec<_>>()).iter().for_each(|line| ui.answer(line));
        for Failed { stage, worker, message, .. } in &failed {
            ui.answer(&format!("failed: {stage} in {worker}: {message}"));
        }
        ui.answer(&format!("logs: {}", shown(&run.path("logs"))));
        Ok(())
    }
}

impl Row {
    fn of(run: &Run, (project, store): (&Project, &Store)) -> Result<Self, Failure> {
        let selection = run.project(project).select(&run.variant(), &run.request.targets)?;
        let open = Open::of(run, &selection, store)?;
        // The run is shown even if its executor cannot be asked.
        let tasks = executor_of(run, false).and_then(|executor| executor.look(&run.jobs()?)).unwrap_or_default();
        let count = |is: fn(&State) -> bool| tasks.iter().filter(|task| is(&task.state)).count();
        let running = count(|state| matches!(state, State::Running(_)));
        let waiting = count(|state| matches!(state, State::Waiting(_)));
        let state = match () {
            () if open.is_done() => "complete",
            () if run.is_stopped() => "cancelled",
            () if running > 0 => "running",
            () if waiting > 0 => "waiting",
            () if open.is_stuck() => "failed",
            () => "no workers",
        };
        Ok(Self {
            run: run.id.clone(),
            targets: all_quoted(&run.request.targets),
            profile: run.request.profile.clone(),
            executor: run.request.engine.name(),
            state,
            stages_done: open.done,
            stages_left: open.left.len(),
            workers_running: running,
            workers_waiting: waiting,
        })
    }

    fn line(&self) -> Vec<String> {
        let stages = format!("{}/{}", self.stages_done, self.stages_done + self.stages_left);
        let workers = format!("{} + {} waiting", self.workers_running, self.workers_waiting);
        let text = [&self.targets, &self.profile, self.executor, self.state, &stages, &workers].map(str::to_owned);
        std::iter::once(self.run.to_string()).chain(text).collect()
    }
}

/// Prints the log of a worker, or the lines in all logs that contain the text.
fn print_log(run: &Run, wanted: &str, ui: &Ui) -> Result<(), Failure> {
    let names = files::list(&run.path("logs"))?;
    let logs: Vec<&str> = names.iter().filter_map(|name| name.strip_suffix(".log")).collect();
    let read = |name: &str| files::read_text(&run.path(&format!("logs/{name}.log")), LOG);
    if logs.contains(&wanted) {
        ui.answer(read(wanted)?.trim_end());
        return Ok(());
    }
    let mut found = false;
    for name in &logs {
        for line in read(name)?.lines().filter(|line| line.contains(wanted)) {
            ui.answer(&format!("{name}: {line}"));
            found = true;
        }
    }
    match found {
        true => Ok(()),
        false => {
            let hint = format!("`wdpipe jobs {}` lists the workers", run.id);
            Err(Failure::usage(format!("no worker is called `{wanted}`, and no log of run {} names it", run.id), hint))
        }
    }
}

/// Removes runs that are complete or cancelled.
fn prune(of: (&Project, &Store), ui: &Ui) -> Result<(), Failure> {
    let mut removed = 0;
    for run in Run::all(of.1)? {
        if matches!(Row::of(&run, of)?.state, "complete" | "cancelled") {
            files::remove_all(&run.path(""))?;
            removed += 1;
        }
    }
    ui.say(&format!("{} removed; their results are kept", count(removed, "run")));
    Ok(())
}
