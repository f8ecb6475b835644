//! A run: the frozen request and the status of its workers, as files in the store.
//!
//! | path in `runs/ID/` | content |
//! | --- | --- |
//! | `request.json` | what to make, and how ([`RunRequest`]) |
//! | `project/` | the pipelines, and the files that their commands declare, as they were when the run began |
//! | `jobs/JOB` | a submission ([`Submission`]) |
//! | `workers/NAME` | the status of a worker ([`WorkerState`]) |
//! | `failed/KEY/…` | a failed attempt at a stage ([`Failed`](super::failed::Failed)) |
//! | `top-ups/N` | marks that more workers were submitted for the Nth time after the beginning |
//! | `logs/` | the output of each worker |
//! | `stop` | marks that the run was cancelled |

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::executor::{JobId, Submission};
use super::site::SlurmSite;
use crate::project::{Declared, ExitCode, Failure, Project, Variant};
use base::digest::ObjectDigest;
use files::FsError;
use store::Store;

/// Maximum size of a file that a command declares, in bytes.
const CODE_LIMIT: u64 = 256 << 20;
/// Folder of the project's Python virtual environment.
const VENV: &str = ".venv";
/// Maximum size of a file of a run, in bytes.
const LIMIT: u64 = 16 << 20;

/// Name of a run: the first eight hexadecimal digits of a hash of its request, pipelines and declared files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RunId(String);

impl FromStr for RunId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.len() == 8 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            true => Ok(Self(text.to_owned())),
            false => Err("a run is named by 8 hexadecimal digits, as `wdpipe jobs` lists them".to_owned()),
        }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The engine that starts the workers of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Processes on one machine. Holds the number of workers.
    Local(usize),
    /// Slurm jobs.
    Slurm(Box<SlurmSite>),
}

impl Engine {
    /// Returns the engine's name on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Local(_) => "local",
            Self::Slurm(_) => "slurm",
        }
    }

    /// Returns the largest number of workers at a time.
    pub fn workers(&self) -> usize {
        match self {
            Self::Local(workers) => *workers,
            Self::Slurm(site) => site.workers.map_or(1, |workers| workers as usize),
        }
    }
}

/// Times of a run, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Times {
    /// Time between two status updates of a worker.
    pub beat: f64,
    /// How long a worker waits while only other workers have stages to run.
    pub patience: f64,
    /// Shortest time between two queries to the executor.
    pub ask: f64,
    /// Shortest time between two top-ups.
    pub top_up: f64,
    /// Time that is added to every stage, for tests only.
    pub linger: f64,
}

impl Default for Times {
    fn default() -> Self {
        Self { beat: 10.0, patience: 60.0, ask: 30.0, top_up: 300.0, linger: 0.0 }
    }
}

/// Converts seconds to a duration. Returns zero for numbers that are not valid durations.
pub fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// What a run makes, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    /// The targets.
    pub targets: Vec<String>,
    /// Name of the profile.
    pub profile: String,
    /// The values of `--set`.
    pub set: Vec<String>,
    /// Device of the workers.
    pub device: String,
    /// Number of stages that a worker runs at a time, if it is fixed by the user or by the number of local workers.
    pub jobs: Option<usize>,
    /// The engine that starts the workers.
    pub engine: Engine,
    /// Hash of the program.
    pub program: String,
    /// Folder of the figures.
    pub reports: PathBuf,
    /// File with the trusted keys.
    pub trust: PathBuf,
    /// Time intervals of the run.
    pub times: Times,
}

/// A run in a store.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// What the run makes, and how.
    pub request: RunRequest,
    folder: PathBuf,
}

/// Status of a worker, as it reports it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerState {
    /// Name of the machine.
    pub host: String,
    /// ID of its process.
    pub process: u32,
    /// Number of this status update. It increases with every update.
    pub beat: u64,
    /// The stages that it is running.
    pub stages: Vec<Running>,
    /// Number of stages that it has computed.
    pub computed: usize,
    /// Number of stages that it runs at a time.
    pub jobs: usize,
    /// Why it ended, if it reported its end.
    pub ended: Option<String>,
}

/// A stage that a worker is running.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// Its name.
    pub stage: String,
    /// Its key.
    pub key: String,
    /// Share of its work that is done.
    pub done: f64,
}

impl Run {
    /// Creates the run for a request, or opens the existing one if the same request was made before.
    ///
    /// # Errors
    /// If the pipelines cannot be read, or the store cannot be written.
    pub fn create(
        store: &Store,
        (project, declared): (&Project, &Declared),
        request: RunRequest,
    ) -> Result<Self, Failure> {
        let pipelines = files::list(&project.pipelines)?.into_iter().filter(|name| name.ends_with(".toml"));
        let read =
            |name: String| Ok((files::read(&project.pipelines.join(&name), LIMIT)?, format!("pipelines/{name}")));
        let mut frozen: Vec<(Vec<u8>, String)> = pipelines.map(read).collect::<Result<_, FsError>>()?;
        for path in &declared.paths {
            frozen.push((files::read(&declared.root.join(path), CODE_LIMIT)?, path.clone()));
        }
        let bytes = serde_json::to_vec_pretty(&request).map_err(|error| broken(&error))?;
        let mut all = bytes.clone();
        frozen.iter().for_each(|(text, name)| all.extend([name.as_bytes(), text].concat()));
        let id = RunId(ObjectDigest::of(&all).to_string()[..8].to_owned());
        let folder = store.runs().join(&id.0);
        if let Ok(run) = Self::open(store, &id) {
            return Ok(run);
        }
        files::create_folder(&store.runs())?;
        // The folder is renamed when it is complete, so that no worker finds a partial run.
        let draft = store.drafts()?.join(format!("run-{id}-{}", std::process::id()));
        files::private_folder(&draft)?;
        // Slurm opens the logs before the worker starts.
        files::create_folder(&draft.join("logs"))?;
        for (text, name) in frozen {
            let path = draft.join("project").join(name);
            files::create_folder(path.parent().unwrap_or(&draft))?;
            files::replace(&path, &text)?;
        }
        if let Ok(environment) = files::canonical(&declared.root.join(VENV))
            && !declared.paths.is_empty()
        {
            files::link_to(&environment, &draft.join("project").join(VENV))?;
        }
        files::create_private(&draft.join("request.json"), &bytes)?;
        if let Err(error) = files::rename(&draft, &folder) {
            // Another process created the run first, or the old folder is incomplete.
            files::remove_all(&draft)?;
            return Self::open(store, &id).map_err(|_| error.into());
        }
        Ok(Self { id, request, folder })
    }

    /// Opens a run of this account.
    ///
    /// # Errors
    /// If there is no such run, or it belongs to another account. Such runs are refused because the request determines
    /// what a worker executes.
    pub fn open(store: &Store, id: &RunId) -> Result<Self, Failure> {
        let folder = store.runs().join(&id.0);
        let bytes = match files::read_private(&folder.join("request.json"), LIMIT) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => {
                let message = format!("there is no run {id} in {}", store.root().display());
                return Err(Failure::usage(
                    message,
                    "`wdpipe jobs` lists the runs; name another store with --cache DIR",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        let request = serde_json::from_slice(&bytes).map_err(|error| {
            let message = format!("run {id} was begun by another version of wdpipe: {error}");
            Failure::new(ExitCode::Storage, message, "run the `make` command again")
        })?;
        Ok(Self { id: id.clone(), request, folder })
    }

    /// Lists the runs of this account in a store. Runs of other accounts are omitted.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn all(store: &Store) -> Result<Vec<Self>, Failure> {
        let names = files::list(&store.runs())?;
        Ok(names.iter().filter_map(|name| Self::open(store, &name.parse().ok()?).ok()).collect())
    }

    /// Returns the project as the run's workers see it, with the frozen pipelines and the folders of the user's
    /// project.
    pub fn project(&self, of: &Project) -> Project {
        Project {
            pipelines: self.path("project/pipelines"),
            reports: self.request.reports.clone(),
            trust: self.request.trust.clone(),
            ..of.clone()
        }
    }

    /// Returns the profile and the settings.
    pub fn variant(&self) -> Variant {
        Variant { profile: self.request.profile.clone(), set: self.request.set.clone() }
    }

    /// Returns the path of a file of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Records submitted jobs.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn note_jobs(&self, jobs: &[Submission]) -> Result<(), Failure> {
        for job in jobs {
            self.write(&format!("jobs/{}", job.id), job)?;
        }
        Ok(())
    }

    /// Returns the submitted jobs.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn jobs(&self) -> Result<Vec<Submission>, Failure> {
        Ok(files::list(&self.path("jobs"))?.iter().filter_map(|name| self.read(&format!("jobs/{name}"))).collect())
    }

    /// Writes the status of a worker.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn note_worker(&self, name: &JobId, worker: &WorkerState) -> Result<(), Failure> {
        self.write(&format!("workers/{name}"), worker)
    }

    /// Returns the last status of each worker.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn workers(&self) -> Result<Vec<(JobId, WorkerState)>, Failure> {
        let names = files::list(&self.path("workers"))?;
        let read = |name: &String| Some((name.parse().ok()?, self.read(&format!("workers/{name}"))?));
        Ok(names.iter().filter_map(read).collect())
    }

    /// Tells all workers to stop.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn stop(&self) -> Result<(), Failure> {
        self.write("stop", &())
    }

    /// Checks whether the run was cancelled.
    pub fn is_stopped(&self) -> bool {
        // On a network file system, listing the folder reveals files that other machines created.
        files::list(&self.folder).is_ok_and(|names| names.iter().any(|name| name == "stop"))
    }

    /// Deletes recorded failures and a cancellation, so that the run can continue.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn reopen(&self) -> Result<(), Failure> {
        files::remove(&self.path("stop"))?;
        Ok(files::remove_all(&self.path("failed"))?)
    }

    /// Claims the right to submit more workers for the `number`th time. Returns `false` if another process has claimed
    /// it.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn take_top_up(&self, number: usize) -> Result<bool, Failure> {
        let folder = self.path("top-ups");
        files::create_folder(&folder)?;
        Ok(files::publish(&folder, &folder.join(format!("{number:06}")), &[b""])?.is_some())
    }

    /// Returns how many times more workers were submitted after the beginning.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn top_ups(&self) -> Result<usize, Failure> {
        let names = files::list(&self.path("top-ups"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).max().unwrap_or(0))
    }

    /// Writes a file of the run atomically.
    pub(super) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), Failure> {
        let path = self.path(name);
        files::create_folder(path.parent().unwrap_or(&self.folder))?;
        let bytes = serde_json::to_vec(value).map_err(|error| broken(&error))?;
        files::replace(&path, &bytes)?;
        Ok(())
    }

    /// Reads a file of the run. Returns `None` if the file is missing or invalid.
    pub(super) fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&files::read(&self.path(name), LIMIT).ok()?).ok()
    }
}

fn broken(error: &serde_json::Error) -> Failure {
    Failure::new(ExitCode::Failed, format!("the request cannot be written: {error}"), "")
}

/// Returns the hash of a program's file.
///
/// # Errors
/// If the file cannot be read.
pub fn program_hash(program: &Path) -> Result<String, Failure> {
    Ok(ObjectDigest::of(&files::read(program, 4 << 30)?).to_string())
}
