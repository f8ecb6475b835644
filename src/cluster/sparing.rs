//! Limits queries to the executor: the workers of a run together ask at most once per interval.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::executor::{Allowance, Executor, Launch, State, Submission, WorkerTask};
use super::run::{Run, seconds};
use crate::project::Failure;

/// File with the last answer.
const ANSWER: &str = "tasks";
/// Folder with numbered files that mark the queries.
const QUESTIONS: &str = "questions";

/// An executor whose answers the processes of a run share through the run's folder.
pub struct Sparing {
    executor: Box<dyn Executor>,
    run: Run,
    /// Whether the first answer can be a shared earlier one.
    is_patient: bool,
    /// Number of the last query, and when this process first saw it. Clocks of two machines are never compared.
    seen: Mutex<Option<(usize, Instant)>>,
}

impl Sparing {
    /// Wraps an executor. If `is_patient` is set, as for workers, the first call uses a shared answer if there is one.
    /// A user's command asks the executor at its first call.
    pub fn new(executor: Box<dyn Executor>, run: Run, is_patient: bool) -> Self {
        Self { executor, run, is_patient, seen: Mutex::default() }
    }

    /// Checks whether it is this process's turn to ask, and claims the turn.
    fn takes_turn(&self) -> Result<bool, Failure> {
        let folder = self.run.path(QUESTIONS);
        files::create_folder(&folder)?;
        let names = files::list(&folder)?;
        let number = names.iter().filter_map(|name| name.parse::<usize>().ok()).max().unwrap_or(0);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = match *seen {
            None => number == 0 || !self.is_patient,
            Some((last, since)) => last == number && since.elapsed() >= seconds(self.run.request.times.ask),
        };
        if seen.is_none_or(|(last, _)| last != number) {
            *seen = Some((number, Instant::now()));
        }
        let place = |number: usize| folder.join(format!("{number:08}"));
        if !is_time || files::publish(&folder, &place(number + 1), &[b""])?.is_none() {
            return Ok(false);
        }
        *seen = Some((number + 1, Instant::now()));
        // Only the highest number counts. The one before it stays for processes that have just listed the folder.
        files::remove(&place(number.saturating_sub(1)))?;
        Ok(true)
    }
}

impl Executor for Sparing {
    fn check(&self) -> Result<Allowance, Failure> {
        self.executor.check()
    }

    fn submit(&self, launch: &Launch, tasks: usize) -> Result<Vec<Submission>, Failure> {
        self.executor.submit(launch, tasks)
    }

    fn look(&self, jobs: &[Submission]) -> Result<Vec<WorkerTask>, Failure> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let known: Vec<WorkerTask> = match self.takes_turn()? {
            true => {
                let mut all = self.run.jobs()?;
                all.extend(jobs.iter().filter(|job| !all.contains(job)).cloned().collect::<Vec<_>>());
                let answer = self.executor.look(&all)?;
                self.run.write(ANSWER, &answer)?;
                answer
            }
            false => self.run.read(ANSWER).unwrap_or_default(),
        };
        // Jobs that were submitted after the last answer count as waiting.
        let mut known: BTreeMap<_, _> = known.into_iter().map(|task| (task.name, task.state)).collect();
        let mut task =
            |name: String| WorkerTask { state: known.remove(&name).unwrap_or(State::Waiting(String::new())), name };
        let of = |job: &Submission| (0..job.tasks).map(|index| format!("{}_{index}", job.id)).collect::<Vec<_>>();
        Ok(jobs.iter().flat_map(of).map(&mut task).collect())
    }

    fn cancel(&self, jobs: &[Submission], only_waiting: bool) -> Result<(), Failure> {
        self.executor.cancel(jobs, only_waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::executor::TaskEnd;
    use super::super::run::{Engine, RunRequest, Times};
    use super::*;
    use crate::project::{Declared, Project};
    use store::{Options, Store};

    /// Counts the queries, and reports all tasks as done.
    struct Counted(Arc<AtomicUsize>);

    impl Executor for Counted {
        fn check(&self) -> Result<Allowance, Failure> {
            Ok(Allowance::default())
        }

        fn submit(&self, _: &Launch, _: usize) -> Result<Vec<Submission>, Failure> {
            Ok(Vec::new())
        }

        fn look(&self, jobs: &[Submission]) -> Result<Vec<WorkerTask>, Failure> {
            self.0.fetch_add(1, Ordering::Relaxed);
            let names = jobs.iter().flat_map(|job| (0..job.tasks).map(|index| format!("{}_{index}", job.id)));
            Ok(names.map(|name| WorkerTask { name, state: State::Ended(TaskEnd::Done) }).collect())
        }

        fn cancel(&self, _: &[Submission], _: bool) -> Result<(), Failure> {
            Ok(())
        }
    }

    fn run(folder: &std::path::Path, ask: f64) -> Run {
        let at = |name: &str| folder.join(name);
        let project = Project {
            cache: at("cache"),
            reports: at("reports"),
            pipelines: at("pipelines"),
            trust: at("trust.toml"),
            remotes: at("remotes.toml"),
            cluster: at("cluster.toml"),
            options: Options::default(),
        };
        let store = Store::open(&project.cache).unwrap();
        let request = RunRequest {
            targets: vec!["fig3".to_owned()],
            profile: "smoke".to_owned(),
            set: Vec::new(),
            device: "cpu".to_owned(),
            jobs: None,
            engine: Engine::Local(1),
            program: String::new(),
            reports: project.reports.clone(),
            trust: project.trust.clone(),
            times: Times { ask, ..Times::default() },
        };
        Run::create(&store, (&project, &Declared::default()), request).unwrap()
    }

    #[test]
    fn all_processes_of_a_run_ask_once_in_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let (run, asked) = (run(folder.path(), 3600.0), Arc::new(AtomicUsize::new(0)));
        let process = |is_patient| Sparing::new(Box::new(Counted(Arc::clone(&asked))), run.clone(), is_patient);
        let number = || asked.load(Ordering::Relaxed);
        let job = |id: &str| Submission { id: id.parse().unwrap(), tasks: 2 };
        run.note_jobs(&[job("1"), job("2")]).unwrap();
        let states = |process: &Sparing, id: &str| {
            process.look(&[job(id)]).unwrap().into_iter().map(|task| task.state).collect::<Vec<_>>()
        };
        let (done, waiting) = (State::Ended(TaskEnd::Done), State::Waiting(String::new()));
        let workers = [process(true), process(true), process(true)];
        for worker in workers.iter().cycle().take(20) {
            assert_eq!(states(worker, "1"), [done.clone(), done.clone()]);
            assert_eq!(states(worker, "2"), [done.clone(), done.clone()], "the answer is about all jobs");
        }
        assert_eq!(number(), 1);
        assert_eq!(states(&workers[0], "3"), [waiting.clone(), waiting], "a job that was submitted later waits");
        let user = process(false);
        assert_eq!(states(&user, "3"), [done.clone(), done.clone()]);
        assert_eq!(states(&user, "3"), [done.clone(), done.clone()]);
        assert_eq!(number(), 2, "a user's command asks at its beginning");
        assert_eq!(states(&workers[0], "3"), [done.clone(), done]);
        assert_eq!(number(), 2);
        assert_eq!(files::list(&run.path(QUESTIONS)).unwrap().len(), 2, "old numbers are removed");
    }
}
