//! A run: the frozen request, and what its workers say about themselves, as files in the store.
//!
//! | path in `runs/ID/` | content |
//! | --- | --- |
//! | `request.json` | what to make, and how ([`RunRequest`]) |
//! | `project/` | the pipelines, and the files that their commands declare, as they were when the run began |
//! | `jobs/JOB` | a submission ([`Submission`]) |
//! | `workers/NAME` | what a worker does ([`WorkerState`]) |
//! | `failed/KEY/…` | a failed attempt at a stage ([`Failed`](super::failed::Failed)) |
//! | `top-ups/N` | workers were submitted for the Nth time after the beginning |
//! | `logs/` | the output of each worker |
//! | `stop` | the run was cancelled |

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

/// Largest declared file of a command.
const CODE_LIMIT: u64 = 256 << 20;
/// The project's virtual environment of Python.
const VENV: &str = ".venv";
/// Maximum size of a file of a run.
const LIMIT: u64 = 16 << 20;

/// Name of a run: eight hexadecimal digits of the hash of its request.
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

/// What starts the workers of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// Processes of one machine: their number.
    Local(usize),
    /// Jobs of Slurm.
    Slurm(Box<SlurmSite>),
}

impl Engine {
    /// Returns its name on the command line.
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
    /// How often a worker says that it is alive.
    pub beat: f64,
    /// How long a worker waits while only others have stages to run.
    pub patience: f64,
    /// Shortest time between two questions to the executor.
    pub ask: f64,
    /// Shortest time between two top-ups.
    pub top_up: f64,
    /// Seconds that are added to every stage. Only for tests.
    pub linger: f64,
}

impl Default for Times {
    fn default() -> Self {
        Self { beat: 10.0, patience: 60.0, ask: 30.0, top_up: 300.0, linger: 0.0 }
    }
}

/// Returns seconds as a duration; a number that is none is zero.
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
    /// The `--set`s.
    pub set: Vec<String>,
    /// Device of the workers.
    pub device: String,
    /// Number of stages that a worker runs at a time, if the user chose it.
    pub jobs: Option<usize>,
    /// What starts the workers.
    pub engine: Engine,
    /// Hash of the program.
    pub program: String,
    /// Folder of the figures.
    pub reports: PathBuf,
    /// File with the trusted keys.
    pub trust: PathBuf,
    /// Times.
    pub times: Times,
}

/// A run in a store.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its name.
    pub id: RunId,
    /// What it makes.
    pub request: RunRequest,
    folder: PathBuf,
}

/// What a worker says about itself.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerState {
    /// Name of the machine.
    pub host: String,
    /// Number of its process.
    pub process: u32,
    /// Number of the message: it grows with each.
    pub beat: u64,
    /// The stages that it runs.
    pub stages: Vec<Running>,
    /// Number of stages that it has computed.
    pub computed: usize,
    /// Number of stages that it runs at a time.
    pub jobs: usize,
    /// Why it ended, if it did so by itself.
    pub ended: Option<String>,
}

/// A stage that a worker runs.
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
    /// Creates the run of a request, or finds it if the same request was made before.
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
        // It gets its name when it is complete, so that no worker finds half of it.
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
            // Another process was faster, or the old folder is incomplete.
            files::remove_all(&draft)?;
            return Self::open(store, &id).map_err(|_| error.into());
        }
        Ok(Self { id, request, folder })
    }

    /// Opens a run of this account.
    ///
    /// # Errors
    /// If there is no such run, or it belongs to another account: its request decides what a worker executes.
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

    /// Lists the runs of this account in a store; others' are left out.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn all(store: &Store) -> Result<Vec<Self>, Failure> {
        let names = files::list(&store.runs())?;
        Ok(names.iter().filter_map(|name| Self::open(store, &name.parse().ok()?).ok()).collect())
    }

    /// Returns the project that the run's workers work for: the frozen pipelines, and the folders of the user's project.
    pub fn project(&self, of: &Project) -> Project {
        Project {
            pipelines: self.path("project/pipelines"),
            reports: self.request.reports.clone(),
            trust: self.request.trust.clone(),
            ..of.clone()
        }
    }

    /// Returns profile and settings.
    pub fn variant(&self) -> Variant {
        Variant { profile: self.request.profile.clone(), set: self.request.set.clone() }
    }

    /// Returns the path of a file of the run.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Notes that jobs were submitted.
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

    /// Writes what a worker says about itself.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn note_worker(&self, name: &JobId, worker: &WorkerState) -> Result<(), Failure> {
        self.write(&format!("workers/{name}"), worker)
    }

    /// Returns what the workers said last.
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
        // Listing shows on a network file system what other machines created.
        files::list(&self.folder).is_ok_and(|names| names.iter().any(|name| name == "stop"))
    }

    /// Forgets failures and a cancellation, so that the run can be continued.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn reopen(&self) -> Result<(), Failure> {
        files::remove(&self.path("stop"))?;
        Ok(files::remove_all(&self.path("failed"))?)
    }

    /// Takes the right to submit more workers for the `number`th time; `false` if another process has taken it.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn take_top_up(&self, number: usize) -> Result<bool, Failure> {
        let folder = self.path("top-ups");
        files::create_folder(&folder)?;
        Ok(files::publish(&folder, &folder.join(format!("{number:06}")), &[b""])?.is_some())
    }

    /// Returns how often workers were submitted after the beginning.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn top_ups(&self) -> Result<usize, Failure> {
        let names = files::list(&self.path("top-ups"))?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).max().unwrap_or(0))
    }

    /// Writes a file of the run whole.
    pub(super) fn write(&self, name: &str, value: &impl Serialize) -> Result<(), Failure> {
        let path = self.path(name);
        files::create_folder(path.parent().unwrap_or(&self.folder))?;
        let bytes = serde_json::to_vec(value).map_err(|error| broken(&error))?;
        files::replace(&path, &bytes)?;
        Ok(())
    }

    /// Reads a file of the run; `None` if it is missing or of another form.
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
