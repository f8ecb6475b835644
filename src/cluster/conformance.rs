//! Tests that every executor has to pass. The worker is a script, so that only the executor is tested.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::executor::{Executor, Launch, State, Submission, TaskEnd};
use super::local::Local;

/// Script of the worker. It creates a file in `begun` when it starts, and exits with the code in the file `go` once
/// this file exists. SIGTERM ends it at once.
const WORKER: &str = "#!/bin/bash
trap 'exit 130' TERM
echo \"a line for the log\"
mkdir -p \"$1/begun\"
touch \"$1/begun/$$\"
until [ -s \"$1/go\" ]; do sleep 0.1; done
exit \"$(cat \"$1/go\")\"
";

/// An executor under test, with the worker script.
pub struct ExecutorTrial<'a> {
    executor: &'a dyn Executor,
    folder: tempfile::TempDir,
    patience: Duration,
}

impl<'a> ExecutorTrial<'a> {
    /// Prepares a trial. The trial fails if a change of state takes longer than `patience`.
    pub fn new(executor: &'a dyn Executor, patience: Duration) -> Self {
        // The nodes must be able to see this folder.
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("worker");
        std::fs::write(&program, WORKER).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        Self { executor, folder, patience }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Submits workers.
    pub fn submit(&self, tasks: usize) -> Vec<Submission> {
        let launch = Launch {
            run: "trial".to_owned(),
            program: self.path("worker"),
            arguments: vec![self.folder.path().display().to_string()],
            logs: self.path("logs"),
        };
        let jobs = self.executor.submit(&launch, tasks).unwrap();
        assert_eq!(jobs.iter().map(|job| job.tasks).sum::<usize>(), tasks);
        jobs
    }

    /// Returns the states of the tasks of jobs.
    pub fn states(&self, jobs: &[Submission]) -> Vec<State> {
        self.executor.look(jobs).unwrap().into_iter().map(|task| task.state).collect()
    }

    /// Waits until the states of the jobs' tasks satisfy `are`, and returns them.
    pub fn wait(&self, jobs: &[Submission], what: &str, are: impl Fn(&[State]) -> bool) -> Vec<State> {
        let begun = Instant::now();
        loop {
            let states = self.states(jobs);
            if are(&states) {
                return states;
            }
            assert!(begun.elapsed() < self.patience, "{what}: {states:?}");
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// Returns the IDs of the workers' processes, including those that have ended.
    pub fn begun(&self) -> BTreeSet<i32> {
        let names = std::fs::read_dir(self.path("begun")).into_iter().flatten();
        names.map(|name| name.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
    }

    fn wait_for_workers(&self, number: usize) -> BTreeSet<i32> {
        let since = Instant::now();
        loop {
            let found = self.begun();
            if found.len() >= number {
                return found;
            }
            assert!(since.elapsed() < self.patience, "{} of {number} workers have begun", found.len());
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Tells the workers to end with an exit code.
    pub fn go(&self, code: u8) {
        std::fs::write(self.path("go"), format!("{code}\n")).unwrap();
    }

    /// Workers are reported under their names while they run and after they have ended, and they leave logs.
    fn tasks_are_seen_until_they_end(&self) {
        let jobs = self.submit(2);
        let tasks = self.executor.look(&jobs).unwrap();
        let names: BTreeSet<_> = tasks.iter().map(|task| task.name.clone()).collect();
        assert_eq!((tasks.len(), names.len()), (2, 2), "{tasks:?}");
        let prefix = |name: &String| jobs.iter().any(|job| name.starts_with(&format!("{}_", job.id)));
        assert!(names.iter().all(prefix), "{names:?}");
        self.wait_for_workers(2);
        self.wait(&jobs, "they run", |states| states.iter().all(|state| matches!(state, State::Running(_))));
        self.go(0);
        self.wait(&jobs, "they have ended", |states| states.iter().all(|state| *state == State::Ended(TaskEnd::Done)));
        for name in names {
            let log = std::fs::read_to_string(self.path("logs").join(format!("{name}.log"))).unwrap();
            assert!(log.contains("a line for the log"), "{log}");
        }
    }

    /// A worker that fails or is killed does not count as done.
    fn failed_and_killed_workers_are_not_done(&self) {
        let jobs = self.submit(2);
        let worker = self.wait_for_workers(2).into_iter().next().unwrap();
        // SAFETY: a system call with plain values; the process is a worker of this test.
        assert_eq!(unsafe { libc::kill(worker, libc::SIGKILL) }, 0);
        self.go(3);
        let ended = |states: &[State]| states.iter().all(|state| matches!(state, State::Ended(_)));
        let states = self.wait(&jobs, "they have ended", ended);
        assert_eq!(states, [State::Ended(TaskEnd::Failed), State::Ended(TaskEnd::Failed)]);
    }

    /// Cancelling ends running workers, and waiting ones never start.
    fn cancelled_workers_end(&self) {
        let jobs = self.submit(2);
        self.wait_for_workers(2);
        self.executor.cancel(&jobs, false).unwrap();
        let ended = |states: &[State]| states.iter().all(|state| matches!(state, State::Ended(_)));
        let states = self.wait(&jobs, "they have ended", ended);
        assert!(!states.contains(&State::Ended(TaskEnd::Done)), "{states:?}");
        // Cancelling jobs that have ended, or no jobs, is not an error.
        self.executor.cancel(&jobs, false).unwrap();
        self.executor.cancel(&[], false).unwrap();
    }

    /// Cancelling only waiting workers does not affect running ones. The executor runs two workers at a time.
    fn waiting_workers_are_cancelled_alone(&self) {
        let jobs = self.submit(4);
        self.wait_for_workers(2);
        self.executor.cancel(&jobs, true).unwrap();
        let none_waits = |states: &[State]| !states.iter().any(|state| matches!(state, State::Waiting(_)));
        let states = self.wait(&jobs, "none waits", none_waits);
        assert!(states.iter().filter(|state| matches!(state, State::Running(_))).count() >= 2, "{states:?}");
        self.go(0);
        let ended = |states: &[State]| states.iter().all(|state| matches!(state, State::Ended(_)));
        let states = self.wait(&jobs, "they have ended", ended);
        assert!(states.iter().filter(|state| **state == State::Ended(TaskEnd::Done)).count() >= 2, "{states:?}");
    }

    /// Jobs that the executor does not know are reported as unknown, even together with a known job.
    fn unknown_jobs_are_unknown(&self) {
        let lost = |tasks| Submission { id: "99999999".parse().unwrap(), tasks };
        assert_eq!(self.states(&[lost(2)]), [State::Unknown, State::Unknown]);
        self.go(0);
        let known = self.submit(1).remove(0);
        self.wait(&[lost(1), known], "the known one has ended", |states| {
            assert_eq!(states[0], State::Unknown);
            states[1] == State::Ended(TaskEnd::Done)
        });
        assert_eq!(self.states(&[]), []);
        self.executor.cancel(&[lost(1)], false).unwrap();
    }
}

/// Runs all tests on an executor that runs two workers at a time.
pub fn conforms<'a>(executor: &'a dyn Executor, patience: Duration) {
    type Test<'a> = fn(&ExecutorTrial<'a>);
    let tests: [(&str, Test<'a>); 5] = [
        ("seen", ExecutorTrial::tasks_are_seen_until_they_end),
        ("failed", ExecutorTrial::failed_and_killed_workers_are_not_done),
        ("cancelled", ExecutorTrial::cancelled_workers_end),
        ("waiting", ExecutorTrial::waiting_workers_are_cancelled_alone),
        ("unknown", ExecutorTrial::unknown_jobs_are_unknown),
    ];
    for (name, test) in tests {
        let begun = Instant::now();
        test(&ExecutorTrial::new(executor, patience));
        println!("{name}: {:.1} s", begun.elapsed().as_secs_f64());
    }
}

#[test]
fn this_machine_conforms() {
    let folder = tempfile::tempdir().unwrap();
    conforms(&Local::new(folder.path().to_owned(), Some("")), Duration::from_secs(60));
}
