//! Workers as processes of this machine, each with a GPU of its own if there are several.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::executor::{End, Executor, JobId, Launch, Limits, State, Task};
use super::host::{host, started};
use crate::project::{ExitCode, Failure};

/// How long a worker may take to end after it was told to.
const GRACE: Duration = Duration::from_secs(20);

/// Starts processes on this machine.
pub struct Local {
    logs: PathBuf,
    /// The GPUs that the workers share out among themselves, as CUDA names them.
    gpus: Vec<String>,
    children: RefCell<Vec<(JobId, Child)>>,
}

impl Local {
    /// Creates the executor; `logs` is the folder in which it keeps the workers' output and numbers. `visible` is the value
    /// of `CUDA_VISIBLE_DEVICES`, if it is set.
    pub fn new(logs: PathBuf, visible: Option<&str>) -> Self {
        let gpus = match visible {
            Some(list) => list.split(',').map(str::trim).filter(|gpu| !gpu.is_empty()).map(str::to_owned).collect(),
            None => present(),
        };
        Self { logs, gpus, children: RefCell::default() }
    }

    /// Returns the file that holds the number and the start of a worker's process.
    fn numbers(&self, job: &JobId) -> PathBuf {
        self.logs.join(format!("{job}.pid"))
    }

    /// Returns the number of a worker's process, if it is running on this machine.
    fn running(&self, job: &JobId) -> Option<u32> {
        let text = files::read_text(&self.numbers(job), 256).ok()?;
        let (process, start) = text.trim().split_once(' ')?;
        let (process, start): (u32, u64) = (process.parse().ok()?, start.parse().ok()?);
        (started(process) == Some(start)).then_some(process)
    }

    fn start(&self, launch: &Launch, number: usize) -> Result<JobId, Failure> {
        let own = std::process::id();
        let id = format!("{}-{own}-{}-{number}", host(), started(own).unwrap_or_default());
        let failed = |error: String| Failure::new(ExitCode::Failed, error, "");
        let job: JobId = id.parse().map_err(failed)?;
        let log = || File::options().create(true).append(true).open(launch.logs.join(format!("{job}.log")));
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments).args(["--as", job.as_str()]).stdin(Stdio::null());
        if !self.gpus.is_empty() {
            command.env("CUDA_VISIBLE_DEVICES", &self.gpus[number % self.gpus.len()]);
        }
        // A group of its own: Ctrl-C on the terminal is for the command that follows the run.
        command.process_group(0);
        let start = |(out, err)| command.stdout::<File>(out).stderr::<File>(err).spawn();
        let child = log().and_then(|out| Ok((out, log()?))).and_then(start);
        let child = child.map_err(|error| failed(format!("cannot start {}: {error}", launch.program.display())))?;
        let start = started(child.id()).unwrap_or_default();
        files::replace(&self.numbers(&job), format!("{} {start}\n", child.id()).as_bytes())?;
        self.children.borrow_mut().push((job.clone(), child));
        Ok(job)
    }
}

/// Lists the GPUs of this machine by their numbers.
fn present() -> Vec<String> {
    let names = files::list(Path::new("/dev")).unwrap_or_default();
    let numbers = names.iter().filter_map(|name| name.strip_prefix("nvidia")?.parse::<u32>().ok());
    (0..numbers.count()).map(|number| number.to_string()).collect()
}

/// Sends a signal to a process; one that has ended is left alone.
fn signal(process: u32, signal: libc::c_int) {
    if let Ok(process) = libc::pid_t::try_from(process)
        && process > 1
    {
        // SAFETY: takes plain values.
        unsafe { libc::kill(process, signal) };
    }
}

impl Executor for Local {
    fn check(&self) -> Result<Limits, Failure> {
        let gpus = match self.gpus.len() {
            0 => String::new(),
            1 => ", 1 GPU".to_owned(),
            gpus => format!(", {gpus} GPUs"),
        };
        Ok(Limits { seconds: None, place: format!("this machine{gpus}") })
    }

    fn submit(&self, launch: &Launch, tasks: usize) -> Result<Vec<JobId>, Failure> {
        files::create_folder(&launch.logs)?;
        let mut jobs = Vec::new();
        // Numbers go on where the earlier workers of this process ended, so that names stay unique.
        let first = self.children.borrow().len();
        for number in first..first + tasks {
            match self.start(launch, number) {
                Ok(job) => jobs.push(job),
                Err(failure) => {
                    self.cancel(&jobs, false)?;
                    return Err(failure);
                }
            }
        }
        Ok(jobs)
    }

    fn look(&self, jobs: &[JobId]) -> Result<Vec<Task>, Failure> {
        let own = format!("{}-", host());
        let mut children = self.children.borrow_mut();
        let state = |job: &JobId| {
            if let Some((_, child)) = children.iter_mut().find(|(name, _)| name == job) {
                return match child.try_wait() {
                    Ok(None) => State::Running(host()),
                    Ok(Some(status)) if status.success() => State::Ended(End::Done),
                    _ => State::Ended(End::Failed),
                };
            }
            match job.as_str().starts_with(&own) {
                true if self.running(job).is_some() => State::Running(host()),
                // How it ended is known only to the process that started it.
                true if files::identity(&self.numbers(job)).ok().flatten().is_some() => State::Ended(End::Failed),
                _ => State::Unknown,
            }
        };
        let states: Vec<State> = jobs.iter().map(state).collect();
        Ok(jobs.iter().zip(states).map(|(job, state)| Task { name: job.to_string(), state }).collect())
    }

    fn cancel(&self, jobs: &[JobId], only_waiting: bool) -> Result<(), Failure> {
        if only_waiting {
            return Ok(());
        }
        let running: Vec<(&JobId, u32)> = jobs.iter().filter_map(|job| Some((job, self.running(job)?))).collect();
        running.iter().for_each(|(_, process)| signal(*process, libc::SIGTERM));
        let until = Instant::now() + GRACE;
        for (job, process) in running {
            while self.is_running(job) {
                if Instant::now() >= until {
                    signal(process, libc::SIGKILL);
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}

impl Local {
    /// Checks whether a worker runs; one that has ended is reaped.
    fn is_running(&self, job: &JobId) -> bool {
        if let Some((_, child)) = self.children.borrow_mut().iter_mut().find(|(name, _)| name == job) {
            return matches!(child.try_wait(), Ok(None));
        }
        self.running(job).is_some()
    }
}
