//! Workers as processes on this machine. If it has GPUs, each worker gets one of them.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::executor::{Allowance, Executor, Launch, State, Submission, TaskEnd, WorkerTask};
use super::host::host;
use crate::project::{ExitCode, Failure};

/// How long a worker can take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(20);

/// Starts processes on this machine.
pub struct Local {
    logs: PathBuf,
    /// The GPUs that are distributed among the workers, with CUDA's names.
    gpus: Vec<String>,
    /// The processes that this process started, with the names of their tasks.
    children: Mutex<Vec<(String, Child)>>,
    /// Number of submissions by this process.
    submissions: AtomicUsize,
}

impl Local {
    /// Creates the executor; `logs` is the folder for the workers' output and process IDs. `visible` is
    /// the value of `CUDA_VISIBLE_DEVICES`, if it is set.
    pub fn new(logs: PathBuf, visible: Option<&str>) -> Self {
        let gpus = match visible {
            Some(list) => list.split(',').map(str::trim).filter(|gpu| !gpu.is_empty()).map(str::to_owned).collect(),
            None => present(),
        };
        Self { logs, gpus, children: Mutex::default(), submissions: AtomicUsize::new(0) }
    }

    fn children(&self) -> MutexGuard<'_, Vec<(String, Child)>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the path of the file with the ID and the start time of a task's process.
    fn numbers(&self, task: &str) -> PathBuf {
        self.logs.join(format!("{task}.pid"))
    }

    /// Returns the ID of a task's process, if it is running on this machine.
    fn running(&self, task: &str) -> Option<u32> {
        let text = files::read_text(&self.numbers(task), 256).ok()?;
        let (process, start) = text.trim().split_once(' ')?;
        let (process, start): (u32, u64) = (process.parse().ok()?, start.parse().ok()?);
        (started(process) == Some(start)).then_some(process)
    }

    /// Starts the process of a task. `number` is the number of workers that are already running; it selects the GPU.
    fn start(&self, launch: &Launch, task: &str, number: usize) -> Result<(), Failure> {
        let log = || files::append(&launch.logs.join(format!("{task}.log")));
        let (out, err) = (log()?, log()?);
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments).stdin(Stdio::null()).env(TASK, task);
        if !self.gpus.is_empty() {
            command.env("CUDA_VISIBLE_DEVICES", &self.gpus[number % self.gpus.len()]);
        }
        // The worker gets its own process group, so that Ctrl-C reaches only the command that follows the run.
        command.process_group(0);
        let child = command.stdout(out).stderr(err).spawn().map_err(|error| {
            Failure::new(ExitCode::Failed, format!("cannot start {}: {error}", launch.program.display()), "")
        })?;
        let start = started(child.id()).unwrap_or_default();
        files::replace(&self.numbers(task), format!("{} {start}\n", child.id()).as_bytes())?;
        self.children().push((task.to_owned(), child));
        Ok(())
    }

    /// Returns the state of a task.
    fn state(&self, job: &Submission, task: &str) -> State {
        if let Some((_, child)) = self.children().iter_mut().find(|(name, _)| name == task) {
            return match child.try_wait() {
                Ok(None) => State::Running(host()),
                Ok(Some(status)) if status.success() => State::Ended(TaskEnd::Done),
                _ => State::Ended(TaskEnd::Failed),
            };
        }
        match job.id.as_str().starts_with(&format!("{}-", host())) {
            true if self.running(task).is_some() => State::Running(host()),
            // Only the process that started the worker knows how it ended.
            true if files::identity(&self.numbers(task)).ok().flatten().is_some() => State::Ended(TaskEnd::Failed),
            _ => State::Unknown,
        }
    }
}

/// Environment variable with the name of a worker.
pub const TASK: &str = "WDPIPE_TASK";

fn tasks(job: &Submission) -> impl Iterator<Item = String> + use<'_> {
    (0..job.tasks).map(|index| format!("{}_{index}", job.id))
}

/// Returns when a process started, in the system's ticks, or `None` if it has ended. Process IDs are reused, but not
/// with the same start time.
fn started(process: u32) -> Option<u64> {
    files::Process::of(process).map(|process| process.started)
}

/// Returns the numbers of this machine's GPUs.
fn present() -> Vec<String> {
    let names = files::list(Path::new("/dev")).unwrap_or_default();
    let numbers = names.iter().filter_map(|name| name.strip_prefix("nvidia")?.parse::<u32>().ok());
    (0..numbers.count()).map(|number| number.to_string()).collect()
}

/// Sends a signal to a process. Does nothing if the process has ended.
fn signal(process: u32, signal: libc::c_int) {
    if let Ok(process) = libc::pid_t::try_from(process)
        && process > 1
    {
        // SAFETY: takes plain values.
        unsafe { libc::kill(process, signal) };
    }
}

impl Executor for Local {
    fn check(&self) -> Result<Allowance, Failure> {
        let gpus = match self.gpus.len() {
            0 => String::new(),
            1 => ", 1 GPU".to_owned(),
            gpus => format!(", {gpus} GPUs"),
        };
        Ok(Allowance { seconds: None, place: format!("this machine{gpus}") })
    }

    fn submit(&self, launch: &Launch, tasks: usize) -> Result<Vec<Submission>, Failure> {
        files::create_folder(&launch.logs)?;
        let (own, submission) = (std::process::id(), self.submissions.fetch_add(1, Ordering::Relaxed));
        let id = format!("{}-{own}-{}-{submission}", host(), started(own).unwrap_or_default());
        let id = id.parse().map_err(|error: String| Failure::new(ExitCode::Failed, error, ""))?;
        let job = Submission { id, tasks };
        let is_running = |(_, child): &mut (String, Child)| matches!(child.try_wait(), Ok(None));
        let first = self.children().iter_mut().map(is_running).filter(|running| *running).count();
        for (index, task) in self::tasks(&job).enumerate() {
            if let Err(failure) = self.start(launch, &task, first + index) {
                self.cancel(std::slice::from_ref(&job), false)?;
                return Err(failure);
            }
        }
        Ok(vec![job])
    }

    fn look(&self, jobs: &[Submission]) -> Result<Vec<WorkerTask>, Failure> {
        let of = |job| tasks(job).map(move |name| (job, name));
        let state = |(job, name): (&Submission, String)| WorkerTask { state: self.state(job, &name), name };
        Ok(jobs.iter().flat_map(of).map(state).collect())
    }

    fn cancel(&self, jobs: &[Submission], only_waiting: bool) -> Result<(), Failure> {
        if only_waiting {
            return Ok(());
        }
        let running: Vec<(&Submission, String, u32)> = jobs
            .iter()
            .flat_map(|job| tasks(job).filter_map(move |task| Some((job, self.running(&task)?, task))))
            .map(|(job, process, task)| (job, task, process))
            .collect();
        running.iter().for_each(|(.., process)| signal(*process, libc::SIGTERM));
        let until = Instant::now() + GRACE;
        for (job, task, process) in running {
            while matches!(self.state(job, &task), State::Running(_)) {
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

#[cfg(test)]
mod tests {
    use super::super::conformance::conforms;
    use super::*;

    #[test]
    fn this_machine_conforms() {
        let folder = tempfile::tempdir().unwrap();
        conforms(&Local::new(folder.path().to_owned(), None), Duration::from_secs(60));
    }

    #[test]
    fn each_worker_has_a_gpu_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let local = Local::new(folder.path().to_owned(), Some("3, GPU-5,"));
        assert_eq!(local.check().unwrap().place, "this machine, 2 GPUs");
        let arguments = ["-c", "printf %s \"$CUDA_VISIBLE_DEVICES $WDPIPE_TASK\""].map(str::to_owned).to_vec();
        let logs = folder.path().to_owned();
        let launch = Launch { run: "r".into(), program: "/bin/sh".into(), arguments, logs };
        let jobs = local.submit(&launch, 3).unwrap();
        let begun = Instant::now();
        while local.look(&jobs).unwrap().iter().any(|task| task.state != State::Ended(TaskEnd::Done)) {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(10));
        }
        for (task, gpu) in tasks(&jobs[0]).zip(["3", "GPU-5", "3"]) {
            let log = std::fs::read_to_string(folder.path().join(format!("{task}.log"))).unwrap();
            assert_eq!(log, format!("{gpu} {task}"));
        }
    }

    #[test]
    fn another_process_sees_the_workers_too() {
        let folder = tempfile::tempdir().unwrap();
        let local = || Local::new(folder.path().to_owned(), None);
        let starter = local();
        let launch = Launch {
            run: "r".into(),
            program: "/bin/sleep".into(),
            arguments: vec!["600".into()],
            logs: folder.path().to_owned(),
        };
        let jobs = starter.submit(&launch, 2).unwrap();
        let states = || local().look(&jobs).unwrap().into_iter().map(|task| task.state).collect::<Vec<_>>();
        assert_eq!(states(), [State::Running(host()), State::Running(host())]);
        local().cancel(&jobs, true).unwrap();
        assert_eq!(states(), [State::Running(host()), State::Running(host())]);
        // A process counts as ended even if its parent has not waited for it yet.
        local().cancel(&jobs, false).unwrap();
        assert_eq!(states(), [State::Ended(TaskEnd::Failed), State::Ended(TaskEnd::Failed)]);
        assert!(starter.look(&jobs).unwrap().iter().all(|task| task.state == State::Ended(TaskEnd::Failed)));
    }
}
