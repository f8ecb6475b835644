//! Commands for runs with several workers, and the parts of the environment that they need.

mod attach;
mod follow;
mod jobs;
mod node;
mod start;
mod work;

pub use attach::{AttachCommand, CancelCommand};
pub use jobs::JobsCommand;
pub use node::NodeArgs;
pub use start::{Start, Started, Wanted};
pub use work::WorkCommand;

use std::env;

use clap::Args;

use super::ui::Ui;
use super::{consent, parse};
use crate::cluster::{Engine, Executor, Launch, Local, Run, Slurm, SlurmSite, Sparing, Times, program_hash};
use crate::project::{Consent, ExitCode, Failure, Project};

/// Returns the executor that starts the workers of a run.
///
/// # Errors
/// None at present.
fn executor_of(run: &Run, is_worker: bool) -> Result<Box<dyn Executor>, Failure> {
    match &run.request.engine {
        Engine::Local(_) => {
            let visible = env::var("CUDA_VISIBLE_DEVICES").ok();
            Ok(Box::new(Local::new(run.path("logs"), visible.as_deref())))
        }
        Engine::Slurm(site) => {
            Ok(Box::new(Sparing::new(Box::new(Slurm::new((**site).clone())), run.clone(), is_worker)))
        }
    }
}

/// Settings of the cluster.
#[derive(Debug, Clone, Args)]
pub struct SiteArgs {
    /// With --executor slurm: change a setting of cluster.toml, such as partition=gpu or time=4h. Repeatable.
    #[arg(long, value_name = "KEY=VALUE", requires = "executor", help_heading = "Workers")]
    slurm: Vec<String>,
    /// Run code of the project this once without asking: programs that its stages name, and the prelude, the prefix and
    /// the flags of cluster.toml.
    #[arg(long)]
    pub yes: bool,
}

impl SiteArgs {
    /// Reads the site file and applies the changes.
    ///
    /// # Errors
    /// If a setting is wrong.
    pub fn site(&self, project: &Project) -> Result<SlurmSite, Failure> {
        SlurmSite::load(&project.cluster, &self.slurm)
    }

    /// Ensures that the user allows the code that the site settings run on nodes.
    ///
    /// # Errors
    /// If the user does not allow it, or cannot be asked.
    pub fn ensure(&self, site: &SlurmSite, ui: &Ui) -> Result<(), Failure> {
        let what = "every job runs these lines of cluster.toml or of --slurm".to_owned();
        consent::ensure(&Consent { what, lines: site.code() }, self.yes, ui)
    }
}

/// Returns the command that starts a worker of a run.
///
/// # Errors
/// If the path of the program or of the cache cannot be determined, or the cache's path is not UTF-8.
fn launch_of(run: &Run, project: &Project) -> Result<Launch, Failure> {
    let program = env::current_exe()
        .map_err(|error| Failure::new(ExitCode::Failed, format!("this program has no path: {error}"), ""))?;
    let cache = files::canonical(&project.cache)?;
    let Some(cache) = cache.to_str() else {
        return Err(Failure::usage(
            format!("{} is not UTF-8", cache.display()),
            "choose another folder with --cache DIR",
        ));
    };
    let arguments = ["work", &run.id.to_string(), "--cache", cache].map(str::to_owned).to_vec();
    Ok(Launch { run: run.id.to_string(), program, arguments, logs: run.path("logs") })
}

/// Returns the hash of this program.
///
/// # Errors
/// If its file cannot be read.
fn own_hash() -> Result<String, Failure> {
    // This is the running program, even if its file has been replaced since it started.
    program_hash(std::path::Path::new("/proc/self/exe"))
}

/// Returns the time intervals of runs. `WDPIPE_TIMES` changes them, for example `beat=1s,patience=5s`.
///
/// # Errors
/// If the variable does not have this form.
fn times() -> Result<Times, Failure> {
    let mut times = Times::default();
    let Some(text) = env::var("WDPIPE_TIMES").ok().filter(|text| !text.is_empty()) else { return Ok(times) };
    for pair in text.split(',') {
        let wrong = |why: &str| {
            let hint = "set WDPIPE_TIMES to times of beat, patience, ask and top-up, such as beat=1s,patience=5s";
            Failure::usage(format!("WDPIPE_TIMES={text}: {why}"), hint)
        };
        let (name, time) = pair.split_once('=').ok_or_else(|| wrong("`=` is missing"))?;
        let seconds = parse::time(time).map_err(|error| wrong(&error))?;
        match name.trim() {
            "beat" => times.beat = seconds.max(0.05),
            "patience" => times.patience = seconds,
            "ask" => times.ask = seconds,
            "top-up" => times.top_up = seconds,
            "linger" => times.linger = seconds,
            other => return Err(wrong(&format!("there is no time `{other}`"))),
        }
    }
    Ok(times)
}
