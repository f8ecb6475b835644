//! Slurm, through its own commands: `sbatch`, `squeue`, `sacct`, `scancel` and `scontrol`.

mod answers;
mod call;
mod job;
mod refusal;
mod script;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::executor::{Allowance, Executor, JobId, Launch, Submission, WorkerTask};
use super::site::SlurmSite;
use crate::project::{ExitCode, Failure, count};
use answers::{ClusterSettings, Partition};
use call::NoAnswer;

pub use call::Commands;
pub use job::{SCRATCH, task_name, time_left};

/// How long a question can take. Slurm's own commands give up after some 10 to 20 seconds.
const QUESTION: Duration = Duration::from_secs(40);
/// How long a submission can take.
const SUBMISSION: Duration = Duration::from_secs(90);

/// Workers as tasks of Slurm's job arrays.
#[derive(Debug)]
pub struct Slurm {
    site: SlurmSite,
    commands: Commands,
    settings: OnceLock<ClusterSettings>,
    /// Whether the cluster turned out to have no accounting.
    has_no_accounting: AtomicBool,
}

impl Slurm {
    /// Uses the cluster of this machine with the settings of a site.
    pub fn new(site: SlurmSite) -> Self {
        Self::with(site, Commands::default())
    }

    /// Like [`Slurm::new`], with commands from a certain folder or with further variables.
    pub fn with(site: SlurmSite, commands: Commands) -> Self {
        Self { site, commands, settings: OnceLock::new(), has_no_accounting: AtomicBool::new(false) }
    }

    fn ask(&self, command: &str, arguments: &[&str]) -> Result<String, NoAnswer> {
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self.commands.call(command, &arguments, "", QUESTION)
    }

    fn settings(&self) -> Result<&ClusterSettings, Failure> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let text = self.ask("scontrol", &["show", "config"]).map_err(|error| error.failure(&self.site))?;
        Ok(self.settings.get_or_init(|| answers::settings(&text)))
    }

    /// Checks whether some nodes cannot be used now. A test then refuses what only they have, but a job can wait for them.
    fn lacks_nodes(&self) -> bool {
        let states = self.ask("sinfo", &["--noheader", "--format=%T"]).unwrap_or_default();
        let is_usable = |state: &str| ["idle", "mixed", "allocated", "completing"].contains(&state);
        states.lines().any(|state| !is_usable(state.trim()))
    }

    fn submit_one(&self, options: &[String], script: &str) -> Result<JobId, Failure> {
        let answer = self.commands.call("sbatch", options, script, SUBMISSION);
        let answer = answer.map_err(|error| error.failure(&self.site))?;
        // `4711`, or `4711;cluster`.
        let number = answer.trim().split(';').next().unwrap_or_default();
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        number.parse().ok().filter(|_| is_number).ok_or_else(|| {
            let shown: String = answer.chars().take(200).collect();
            Failure::new(ExitCode::Failed, format!("sbatch did not answer with the number of a job: {shown}"), "")
        })
    }

    /// Returns the partitions that the settings name.
    fn partitions(&self) -> Result<Vec<Partition>, Failure> {
        let text = self.ask("scontrol", &["show", "partition", "--oneliner"]);
        let all = answers::partitions(&text.map_err(|error| error.failure(&self.site))?);
        let is_meant = |partition: &Partition| match &self.site.partition {
            Some(names) => names.split(',').any(|name| name == partition.name),
            None => partition.is_default,
        };
        Ok(all.into_iter().filter(is_meant).collect())
    }
}

impl Executor for Slurm {
    fn check(&self) -> Result<Allowance, Failure> {
        self.settings()?;
        let mut options = vec!["--test-only".to_owned(), "--array=0-0".to_owned(), "--requeue".to_owned()];
        options.extend(script::resources(&self.site));
        match self.commands.call("sbatch", &options, "#!/bin/bash\n", SUBMISSION) {
            Err(error) if !(error.is_about_nodes() && self.lacks_nodes()) => return Err(error.failure(&self.site)),
            _ => {}
        }
        // Slurm may accept jobs that can never start, and then leaves them waiting for ever.
        let partitions = self.partitions()?;
        unfit(&self.site, &partitions).map_or(Ok(()), Err)?;
        Ok(limits(&self.site, &partitions))
    }

    fn submit(&self, launch: &Launch, tasks: usize) -> Result<Vec<Submission>, Failure> {
        if launch.logs.to_string_lossy().contains('\\') {
            let message = format!("the folder of the logs has a backslash: {}", launch.logs.display());
            return Err(Failure::usage(message, "choose another folder with --cache DIR"));
        }
        files::create_folder(&launch.logs)?;
        let script = script::script(&self.site, launch);
        let width = self.site.workers.map_or(tasks, |workers| workers as usize);
        let mut jobs: Vec<Submission> = Vec::new();
        for part in parts(tasks, width, self.settings()?.array) {
            let after = part.after.and_then(|earlier| jobs.get(earlier)).map(|job| job.id.as_str().to_owned());
            let options = script::options(&self.site, launch, (part.tasks, part.width), after.as_deref());
            match self.submit_one(&options, &script) {
                Ok(id) => jobs.push(Submission { id, tasks: part.tasks }),
                Err(failure) => {
                    // The first failure is the one to report.
                    let _ = self.cancel(&jobs, false);
                    return Err(failure);
                }
            }
        }
        Ok(jobs)
    }

    fn look(&self, jobs: &[Submission]) -> Result<Vec<WorkerTask>, Failure> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let ids = list(jobs.iter());
        let format = format!("--format={}", answers::SQUEUE);
        let known = self.ask("squeue", &["--noheader", "--array", "--states=all", &format, "--jobs", &ids]);
        let mut known = match known {
            Ok(text) => answers::squeue(&text),
            // The answer if it knows none of them.
            Err(NoAnswer::Refused(words)) if words.contains("Invalid job id") => Default::default(),
            Err(error) => return Err(error.failure(&self.site)),
        };
        let is_silent = |job: &&Submission| {
            let array = known.get(job.id.as_str());
            array.is_none_or(|array| array.rest.is_none() && array.tasks.len() < job.tasks)
        };
        let silent: Vec<_> = jobs.iter().filter(is_silent).collect();
        if !silent.is_empty() && !self.has_no_accounting.load(Ordering::Relaxed) {
            let ids = list(silent.into_iter());
            let format = format!("--format={}", answers::SACCT);
            match self.ask("sacct", &["--allocations", "--parsable2", "--noheader", &format, "--jobs", &ids]) {
                Ok(text) => {
                    for (id, past) in answers::sacct(&text) {
                        known.entry(id).or_default().add_past(past);
                    }
                }
                Err(NoAnswer::Refused(words)) if words.contains("disabled") => {
                    self.has_no_accounting.store(true, Ordering::Relaxed);
                }
                // The accounting says only how tasks ended. What they did is in the store.
                Err(error) => tracing::debug!(?error, "no accounting"),
            }
        }
        let tasks = jobs.iter().flat_map(|job| {
            let array = known.remove(job.id.as_str()).unwrap_or_default();
            (0..job.tasks)
                .map(move |index| WorkerTask { name: format!("{}_{index}", job.id), state: array.state(index) })
        });
        Ok(tasks.collect())
    }

    fn cancel(&self, jobs: &[Submission], only_waiting: bool) -> Result<(), Failure> {
        if jobs.is_empty() {
            return Ok(());
        }
        let mut arguments = if only_waiting { vec!["--state=PENDING"] } else { vec![] };
        arguments.extend(jobs.iter().map(|job| job.id.as_str()));
        match self.ask("scancel", &arguments) {
            Err(NoAnswer::Refused(words)) if words.contains("Invalid job id") || words.contains("already complet") => {
                Ok(())
            }
            Err(NoAnswer::Refused(words)) => {
                let message = format!("Slurm does not cancel the jobs: {words}");
                Err(Failure::new(ExitCode::Failed, message, "only the user who submitted a job can cancel it"))
            }
            Err(error) => Err(error.failure(&self.site)),
            Ok(_) => Ok(()),
        }
    }
}

/// An array to submit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    tasks: usize,
    /// How many of its tasks may run at a time, if not all.
    width: Option<usize>,
    /// The earlier part that has to end before.
    after: Option<usize>,
}

/// Splits tasks into arrays of at most `most` tasks, so that at most `width` tasks run at a time: the arrays share the
/// width, and if there are more of them, they follow each other.
fn parts(tasks: usize, width: usize, most: usize) -> Vec<Part> {
    let (most, width) = (most.max(1), width.max(1));
    let number = tasks.div_ceil(most);
    let lanes = number.min(width);
    let part = |index: usize| {
        let share = width / lanes + usize::from(index % lanes < width % lanes);
        let tasks = tasks / number + usize::from(index < tasks % number);
        Part { tasks, width: Some(share).filter(|share| *share < tasks), after: index.checked_sub(lanes) }
    };
    (0..number).map(part).collect()
}

fn list<'a>(jobs: impl Iterator<Item = &'a Submission>) -> String {
    jobs.map(|job| job.id.as_str()).collect::<Vec<_>>().join(",")
}

/// Returns why the settings cannot work in their partitions, although Slurm accepts them.
fn unfit(site: &SlurmSite, partitions: &[Partition]) -> Option<Failure> {
    let name = partitions.iter().map(|partition| partition.name.as_str()).collect::<Vec<_>>().join(",");
    // Some clusters hide partitions.
    let first = partitions.first()?;
    let lacks = |names: &Option<Vec<String>>, name: &Option<String>| {
        names.as_ref().zip(name.as_ref()).is_some_and(|(names, name)| !names.contains(name))
    };
    let longest = partitions.iter().map(|partition| partition.longest.unwrap_or(u64::MAX)).max();
    if let Some((seconds, longest)) = site.seconds().zip(longest)
        && seconds > longest
    {
        let message = format!(
            "a worker's time of {} is longer than partition `{name}` allows: {}",
            words(seconds),
            words(longest)
        );
        return Some(Failure::usage(
            message,
            "lower `time` in cluster.toml or with --slurm time=…, or choose another partition",
        ));
    }
    if partitions.iter().all(|partition| lacks(&partition.accounts, &site.account)) {
        let accounts = first.accounts.as_ref().map(|names| names.join(", ")).unwrap_or_default();
        let message =
            format!("account `{}` may not use partition `{name}`", site.account.as_deref().unwrap_or_default());
        return Some(Failure::usage(message, format!("accounts that may: {accounts}; set `account` or `partition`")));
    }
    if partitions.iter().all(|partition| lacks(&partition.qos, &site.qos)) {
        let qos = first.qos.as_ref().map(|names| names.join(", ")).unwrap_or_default();
        let message = format!("qos `{}` may not use partition `{name}`", site.qos.as_deref().unwrap_or_default());
        return Some(Failure::usage(message, format!("qos that may: {qos}; set `qos` or `partition`")));
    }
    None
}

fn limits(site: &SlurmSite, partitions: &[Partition]) -> Allowance {
    let given = |partition: &Partition| partition.usual.or(partition.longest);
    let seconds = site.seconds().or_else(|| partitions.iter().filter_map(given).min());
    let name = match (&site.partition, partitions) {
        (Some(name), _) => name,
        (None, [only]) => &only.name,
        _ => "default partition",
    };
    let gpus = site.gpus.as_deref().map(|gpus| match gpus.split_once(':') {
        _ if gpus == "1" => "1 GPU".to_owned(),
        Some((kind, number)) if !gpus.contains(',') => format!("{number} {kind}"),
        _ => format!("{gpus} GPUs"),
    });
    let cpus = site.cpus.filter(|_| gpus.is_none()).map(|cpus| count(cpus as usize, "CPU"));
    let time = seconds.map(words);
    let down = "no jobs start there now".to_owned();
    let down = Some(down).filter(|_| !partitions.is_empty() && partitions.iter().all(|partition| !partition.is_up));
    let place: Vec<_> = [Some(name.to_owned()), gpus, cpus, time, down].into_iter().flatten().collect();
    Allowance { seconds, place: place.join(", ") }
}

/// Returns a time in words: the largest units that are exact.
fn words(seconds: u64) -> String {
    let part = |number: u64, unit: &str| (number > 0).then(|| format!("{number} {unit}"));
    let parts = [
        part(seconds / 86_400, "d"),
        part(seconds / 3600 % 24, "h"),
        part(seconds / 60 % 60, "min"),
        part(seconds % 60, "s"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
}
