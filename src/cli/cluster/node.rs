//! `doctor --executor slurm`: checks the site's settings, and then submits a job to check one node.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use serde::{Deserialize, Serialize};

use super::super::doctor::{Finding, of_machine};
use super::super::parse;
use super::super::signals::cancel_on_interrupt;
use super::super::ui::Ui;
use super::start::Choice;
use super::{SiteArgs, own_hash, times};
use crate::cluster::{Executor, Launch, SCRATCH, Slurm, State, Submission, host};
use crate::project::{ExitCode, Failure, Project, quoted};

/// Name of the file with the answer from a node.
const ANSWER: &str = "answer.json";
/// Name of the file that the node must read.
const QUESTION: &str = "question";
/// Maximum size of these files and of the log, in bytes.
const LIMIT: u64 = 1 << 20;
/// How long to wait for a node's files to become visible here after its job has ended.
const GRACE: Duration = Duration::from_secs(10);
/// Time between two checks for the answer.
const PAUSE: Duration = Duration::from_millis(200);

/// Options of `doctor` for clusters.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// Check slurm: the settings of cluster.toml, and a node with a job that runs a self-test.
    #[arg(long, value_name = "EXECUTOR", help_heading = "Workers")]
    pub executor: Option<Choice>,
    #[command(flatten)]
    site: SiteArgs,
    /// With --executor: how long to wait for the job, such as 90s, 20min or 4h.
    #[arg(long, value_name = "TIME", default_value = "10min", value_parser = parse::time, requires = "executor",
          help_heading = "Workers")]
    wait: f64,
    /// Answer from a node: the job of --executor does this.
    #[arg(long, value_name = "DIR", hide = true)]
    pub on_node: Option<PathBuf>,
}

/// Answer of a node.
#[derive(Debug, Serialize, Deserialize)]
struct NodeAnswer {
    question: String,
    node: String,
    version: String,
    program: String,
    findings: Vec<Finding>,
}

impl NodeArgs {
    /// Submits a job, and returns the findings from its node.
    ///
    /// # Errors
    /// If the settings are wrong, Slurm refuses the job, or no answer arrives.
    pub fn ask(&self, project: &Project, ui: &Ui) -> Result<Vec<Finding>, Failure> {
        if self.executor != Some(Choice::Slurm) {
            return Err(Failure::usage("only slurm has nodes to check", "run `wdpipe doctor` to check this machine"));
        }
        let cancel = cancel_on_interrupt();
        let site = self.site.site(project)?;
        let slurm = Slurm::new(site.clone());
        let limits = slurm.check()?;
        self.site.ensure(&site, ui)?;
        let store = project.store_to_fill()?;
        let drafts = files::canonical(&store.drafts()?)?;
        let folder = drafts.join(format!("doctor-{}-{}", std::process::id(), files::now()));
        files::private_folder(&folder)?;
        let question = files::now().to_string();
        files::replace(&folder.join(QUESTION), question.as_bytes())?;
        let answered = Errand { slurm: &slurm, folder: &folder, cancel: &cancel, wait: self.wait }.run(ui);
        files::remove_all(&folder)?;
        let answer = answered?;

        let mut findings = vec![Finding::new("place", Ok(limits.place)), Finding::new("node", Ok(answer.node))];
        findings.push(Finding::new(
            "store",
            match answer.question == question {
                true => Ok(format!("{} is seen by the node, and the node can write to it", project.cache.display())),
                false => Err(format!("the node sees another {}", project.cache.display())),
            },
        ));
        findings.push(Finding::new(
            "program",
            match answer.program == own_hash()? {
                true => Ok("the same on the node".to_owned()),
                false => Err(format!(
                    "another one on the node (version {}, here {}): install the same program on all machines",
                    answer.version,
                    env!("CARGO_PKG_VERSION")
                )),
            },
        ));
        findings.extend(answer.findings);
        Ok(findings)
    }

    /// Writes the answer of this node to `folder`.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn answer(&self, folder: &Path) -> Result<(), Failure> {
        let mut findings = of_machine();
        #[cfg(feature = "torch")]
        findings.push(Finding::new("self-test", {
            let same = |machine| format!("the same computation gives the same bits on {machine}");
            crate::stages::selftest::repeats().map(same)
        }));
        findings.push(Finding::new("scratch", scratch()));
        let answer = NodeAnswer {
            question: files::read_text(&folder.join(QUESTION), LIMIT)?,
            node: env::var("SLURMD_NODENAME").unwrap_or_else(|_| host()),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            program: own_hash()?,
            findings,
        };
        let bytes = serde_json::to_vec(&answer).map_err(|error| Failure::usage(error.to_string(), ""))?;
        files::replace(&folder.join(ANSWER), &bytes)?;
        Ok(())
    }
}

/// Checks the scratch folder on this node.
fn scratch() -> Result<String, String> {
    let Some(folder) = env::var_os(SCRATCH).filter(|folder| !folder.is_empty()).map(PathBuf::from) else {
        return Ok("not set; `scratch` in cluster.toml names a folder on the node's own disk".to_owned());
    };
    let free = files::create_folder(&folder).and_then(|()| files::free_space(&folder));
    let free = free.map_err(|error| error.to_string())?;
    match files::may_add(&folder) {
        true => Ok(format!("{}, {:.1} GB free", folder.display(), free as f64 / 1e9)),
        false => Err(format!("{} cannot be written", folder.display())),
    }
}

/// A job that fetches the answer of a node.
struct Errand<'a> {
    slurm: &'a Slurm,
    folder: &'a Path,
    cancel: &'a AtomicBool,
    wait: f64,
}

impl Errand<'_> {
    /// Submits the job and waits for its answer. The job is cancelled if no answer arrives in time.
    fn run(&self, ui: &Ui) -> Result<NodeAnswer, Failure> {
        let program = env::current_exe()
            .map_err(|error| Failure::new(ExitCode::Failed, format!("this program has no path: {error}"), ""))?;
        let arguments = vec!["doctor".to_owned(), format!("--on-node={}", self.folder.display())];
        let launch = Launch { run: "doctor".to_owned(), program, arguments, logs: self.folder.join("logs") };
        let jobs = self.slurm.submit(&launch, 1)?;
        let names: Vec<_> = jobs.iter().map(|job| job.id.to_string()).collect();
        ui.say(&format!("job {} submitted; Ctrl-C cancels it", names.join(", ")));
        let answered = self.wait(&jobs, ui);
        if answered.is_err() {
            // The first failure is the one to report.
            let _ = self.slurm.cancel(&jobs, false);
        }
        answered
    }

    fn wait(&self, jobs: &[Submission], ui: &Ui) -> Result<NodeAnswer, Failure> {
        let (begun, ask) = (Instant::now(), Duration::from_secs_f64(times()?.ask.clamp(1.0, 3600.0)));
        // A job that cannot start at all ends soon, so the first query comes early.
        let mut next = begun + ask.min(Duration::from_secs(5));
        let mut ended: Option<Instant> = None;
        let mut said = String::new();
        while !self.cancel.load(Ordering::Relaxed) {
            // On a network file system, listing the folder reveals files that other machines created.
            if files::list(self.folder)?.iter().any(|name| name == ANSWER) {
                let bytes = files::read(&self.folder.join(ANSWER), LIMIT)?;
                return serde_json::from_slice(&bytes).map_err(|error| {
                    let message = format!("the answer of the node cannot be read: {error}");
                    Failure::new(ExitCode::Failed, message, "install the same program on all machines")
                });
            }
            if ended.is_some_and(|ended| ended.elapsed() > GRACE) {
                return Err(self.silent(jobs));
            }
            if begun.elapsed().as_secs_f64() > self.wait {
                let why = if said.is_empty() { String::new() } else { format!(" ({said})") };
                let message = format!("no answer within {:.0} s{why}; the job was cancelled", self.wait);
                let hint = "wait longer with --wait TIME, or choose another partition";
                return Err(Failure::new(ExitCode::Missing, message, hint));
            }
            if ended.is_none() && Instant::now() >= next {
                next = Instant::now() + ask;
                match self.slurm.look(jobs)?.into_iter().next().map(|task| task.state) {
                    Some(State::Waiting(why)) if why != said => {
                        ui.say(&format!("the job waits: {why}"));
                        said = why;
                    }
                    Some(State::Running(node)) if node != said => {
                        ui.say(&format!("the job runs on {node}"));
                        said = node;
                    }
                    Some(State::Ended(_)) => ended = Some(Instant::now()),
                    _ => {}
                }
            }
            thread::sleep(PAUSE);
        }
        Err(Failure::new(ExitCode::Interrupted, "interrupted; the job was cancelled", ""))
    }

    /// Explains why a job ended without an answer.
    fn silent(&self, jobs: &[Submission]) -> Failure {
        let log = |job: &Submission| files::read_text(&self.folder.join(format!("logs/{}_0.log", job.id)), LIMIT).ok();
        match jobs.iter().find_map(log) {
            Some(text) => {
                let lines: Vec<_> = text.lines().rev().take(8).collect();
                let lines: Vec<_> = lines.into_iter().rev().collect();
                let message = format!("the job failed on its node:\n{}", lines.join("\n"));
                let hint =
                    "correct `prelude` and `prefix` in cluster.toml, and install the same program on all machines";
                Failure::new(ExitCode::Failed, message, hint)
            }
            None => {
                let message = format!(
                    "the nodes do not see {}: the job ended and left neither an answer nor a log there",
                    quoted(&self.folder.display().to_string())
                );
                Failure::new(ExitCode::Missing, message, "choose a folder that all nodes share with --cache DIR")
            }
        }
    }
}
