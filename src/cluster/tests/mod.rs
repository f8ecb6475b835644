//! Runs of several workers without any process: the executor is a stand-in that says what the test wants.

mod follow;
mod shift;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::executor::{Allowance, Executor, JobId, Launch, State, Submission, TaskEnd, WorkerTask};
use super::failed::{Failed, Kind};
use super::open::Open;
use super::run::{Engine, Run, RunRequest, Times, WorkerState};
use crate::engine::{Environment, Everything};
use crate::graph::StageId;
use crate::project::{ExitCode, Failure, Making, Project, Selection, Variant, Workers};
use crate::stages::Device;
use base::digest::StageKey;
use store::{Options, Store};

/// A run of Figure 4 at the smallest size: three runs of a toy problem, and a drawing.
struct Bench {
    _folder: tempfile::TempDir,
    store: Store,
    selection: Selection,
    run: Run,
}

const STAGES: usize = 4;

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let project = Project {
            cache: folder.path().join("cache"),
            reports: folder.path().join("reports"),
            pipelines: root.join("pipelines"),
            trust: folder.path().join("trust.toml"),
            remotes: folder.path().join("remotes.toml"),
            cluster: folder.path().join("cluster.toml"),
            options: Options::default(),
        };
        let set = ["valley.steps=10", "valley.flow_steps=10", "seed=[0,1,2]"].map(str::to_owned).to_vec();
        let variant = Variant { profile: "smoke".to_owned(), set };
        let targets = vec!["fig4".to_owned()];
        let (store, selection) = (project.store_to_fill().unwrap(), project.select(&variant, &targets).unwrap());
        let times = Times { beat: 0.01, patience: 0.0, ask: 0.0, top_up: 0.0, ..Times::default() };
        let request = RunRequest {
            targets,
            profile: variant.profile,
            set: variant.set,
            device: "cpu".to_owned(),
            jobs: None,
            engine: Engine::Local(2),
            program: String::new(),
            reports: project.reports.clone(),
            trust: project.trust.clone(),
            times,
        };
        let run = Run::create(&store, (&project, &selection.declared_files()), request).unwrap();
        Self { _folder: folder, store, selection, run }
    }

    fn open(&self) -> Open {
        Open::of(&self.run, &self.selection, &self.store).unwrap()
    }

    /// Computes everything, as workers would.
    fn compute(&self) {
        let workers = Workers::choose(&Device::Cpu, self.selection.graph.policy, None).unwrap();
        let environment = Environment { who: "me".to_owned(), now: || 0 };
        let making = Making {
            store: &self.store,
            workers: &workers,
            signer: None,
            keep_going: false,
            duty: &Everything,
            environment: &environment,
            cancel: &AtomicBool::new(false),
        };
        assert!(self.selection.make(&making, &mut |_| {}).unwrap().errors.is_empty());
    }

    /// Returns a ready stage and its key.
    fn ready(&self) -> (StageId, StageKey) {
        self.open().ready[0]
    }

    /// Says what a worker with one stage does.
    fn say(&self, name: &str, stage: (StageId, StageKey)) {
        let stages = vec![super::run::Running {
            stage: self.selection.graph.stages[stage.0].name.clone(),
            key: stage.1.to_string(),
            done: 0.5,
        }];
        let worker = WorkerState { host: "n1".to_owned(), beat: 7, stages, jobs: 4, ..WorkerState::default() };
        self.run.note_worker(&job(name), &worker).unwrap();
    }
}

fn job(name: &str) -> JobId {
    name.parse().unwrap()
}

fn failed(kind: Kind) -> Failed {
    Failed { stage: "a".into(), worker: job("9_0"), kind, message: "no".into(), jobs: 4, seconds: 9.0 }
}

fn launch() -> Launch {
    Launch { run: "0123abcd".into(), program: "/bin/true".into(), arguments: Vec::new(), logs: "/tmp".into() }
}

/// An executor that says of every task what `state` says; with `None`, it cannot be asked.
struct Fake {
    state: Mutex<Option<State>>,
    submitted: AtomicUsize,
    asked: AtomicUsize,
    cancelled: AtomicUsize,
}

impl Fake {
    fn new(state: State) -> Self {
        let counts = || AtomicUsize::new(0);
        Self { state: Mutex::new(Some(state)), submitted: counts(), asked: counts(), cancelled: counts() }
    }

    fn says(&self, state: Option<State>) {
        *self.state.lock().unwrap() = state;
    }
}

impl Executor for Fake {
    fn check(&self) -> Result<Allowance, Failure> {
        Ok(Allowance::default())
    }

    fn submit(&self, _: &Launch, tasks: usize) -> Result<Vec<Submission>, Failure> {
        let number = self.submitted.fetch_add(tasks, Ordering::SeqCst);
        Ok(vec![Submission { id: job(&format!("1{number}")), tasks }])
    }

    fn look(&self, jobs: &[Submission]) -> Result<Vec<WorkerTask>, Failure> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let Some(state) = self.state.lock().unwrap().clone() else {
            return Err(Failure::new(ExitCode::Failed, "the controller does not answer", ""));
        };
        let tasks = |job: &Submission| (0..job.tasks).map(|task| format!("{}_{task}", job.id)).collect::<Vec<_>>();
        Ok(jobs.iter().flat_map(tasks).map(|name| WorkerTask { name, state: state.clone() }).collect())
    }

    fn cancel(&self, jobs: &[Submission], _: bool) -> Result<(), Failure> {
        self.cancelled.fetch_add(jobs.len(), Ordering::SeqCst);
        Ok(())
    }
}

const LOST: State = State::Ended(TaskEnd::Failed);
