//! The command line: arguments in, one command's function, an exit code out.

mod advice;
mod archive;
mod arguments;
mod audit;
mod bench;
mod bisect;
mod cache;
mod check;
mod cite;
mod cluster;
mod compare;
mod completions;
mod consent;
mod data;
mod deposit;
mod diff;
mod doctor;
mod dry;
mod environment;
mod examples;
mod exchange;
mod explain;
mod fold;
#[cfg(test)]
#[cfg(all(feature = "torch", target_arch = "x86_64"))]
mod forged;
mod format;
mod graph;
mod help;
mod keys;
mod live;
mod lock;
mod log;
mod make;
mod man;
mod mistyped;
mod narrow;
mod new;
mod numbers;
mod operands;
mod parse;
mod planned;
mod progress;
mod remote;
mod report;
mod running;
#[cfg(test)]
mod schemas;
mod selftest;
mod setup;
mod share;
mod shell;
mod show;
mod signals;
mod statistics;
mod status;
mod stress;
mod typed;
mod ui;
mod verify;
mod watch;
mod whois;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::builder::Resettable;
use clap::{ArgAction, ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::project::{ExitCode, Failure, NamedPlaces, Project};
use advice::InForce;
use typed::Typed;
use ui::Ui;

/// The program's exit codes, for `--help`.
const CODES: &str = "Exit codes:
  0  success
  1  a stage or check failed, or compared results differ
  2  the command line, a pipeline or a --set is wrong
  3  something is missing: a data set, libtorch, a device, the evidence for a check
  4  the cache or another folder cannot be read or written, or is damaged
  130  interrupted; finished stages are kept";

/// Heading of the options that name a folder or a file of the project.
const FOLDERS: &str = "Folders";

/// Where the short help of the program sends its reader.
const MORE: &str =
    "`wdpipe help make` explains a command, with examples; `wdpipe --help` also lists folders and exit codes.";

/// Regenerate the figures of "Why Do We Need Weight Decay for Overparameterized Deep Networks?" by real
/// training. The outputs of every stage are cached under a hash of everything they depend on, so only
/// new or changed stages run.
#[derive(Debug, Parser)]
#[command(name = "wdpipe", version, max_term_width = 100, after_help = MORE, after_long_help = CODES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
struct Global {
    /// Folder of the cache: objects, records and their index [default: cache in the project's folder].
    #[arg(long, global = true, env = "WDPIPE_CACHE", value_name = "DIR", help_heading = FOLDERS, hide_short_help = true, hide_env_values = true)]
    cache: Option<PathBuf>,
    /// Folder for figures, with a subfolder for each profile [default: reports in the project's folder].
    #[arg(long, global = true, env = "WDPIPE_REPORTS", value_name = "DIR", help_heading = FOLDERS, hide_short_help = true, hide_env_values = true)]
    reports: Option<PathBuf>,
    /// Folder of the pipelines, one TOML file per figure [default: pipelines here, or in the nearest project above].
    #[arg(long, global = true, env = "WDPIPE_PIPELINES", value_name = "DIR", help_heading = FOLDERS, hide_short_help = true, hide_env_values = true)]
    pipelines: Option<PathBuf>,
    /// File with the keys that the project trusts, and where it requires signatures; without the file no key is trusted
    /// [default: trust.toml in the project's folder].
    #[arg(long, global = true, env = "WDPIPE_TRUST", value_name = "FILE", help_heading = FOLDERS, hide_short_help = true, hide_env_values = true)]
    trust: Option<PathBuf>,
    /// File with the project's remotes, where results are shared; it holds no secrets [default: remotes.toml in the
    /// project's folder].
    #[arg(long, global = true, env = "WDPIPE_REMOTES", value_name = "FILE", help_heading = FOLDERS, hide_short_help = true, hide_env_values = true)]
    remotes: Option<PathBuf>,
    /// File with the settings of the cluster: partition, GPUs, time and the like [default: cluster.toml in the project's
    /// folder].
    #[arg(long, global = true, env = "WDPIPE_CLUSTER", value_name = "FILE", help_heading = FOLDERS, hide_short_help = true, hide_env_values = true)]
    cluster: Option<PathBuf>,
    /// Print only errors, warnings and results.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print more; given twice, also log claims, writes, transfers and the loading of libtorch (see WDPIPE_LOG).
    #[arg(short, long, global = true, conflicts_with = "quiet", action = ArgAction::Count)]
    verbose: u8,
}

/// The commands, in groups ([`help`]).
#[derive(Debug, Subcommand)]
enum Command {
    // Make.
    New(new::NewCommand),
    Check(check::CheckCommand),
    Make(make::MakeCommand),
    Attach(cluster::AttachCommand),
    Jobs(cluster::JobsCommand),
    Cancel(cluster::CancelCommand),
    Work(cluster::WorkCommand),
    #[command(subcommand)]
    Data(data::DataCommand),
    Import(exchange::ImportWeightsCommand),
    // Look.
    Status(status::StatusCommand),
    Watch(watch::WatchCommand),
    Explain(explain::ExplainCommand),
    Graph(graph::GraphCommand),
    Show(show::ShowCommand),
    Numbers(numbers::NumbersCommand),
    Shell(shell::ShellCommand),
    Compare(compare::CompareCommand),
    Diff(diff::DiffCommand),
    Bisect(bisect::BisectCommand),
    Report(report::ReportCommand),
    Whois(whois::WhoisCommand),
    // Verify.
    Lock(lock::LockCommand),
    Verify(verify::VerifyCommand),
    Audit(audit::AuditCommand),
    #[command(subcommand)]
    Selftest(selftest::SelftestCommand),
    // Share.
    Push(remote::PushCommand),
    Pull(remote::PullCommand),
    #[command(subcommand)]
    Remote(remote::RemoteCommand),
    Export(exchange::ExportWeightsCommand),
    Crate(deposit::CrateCommand),
    Cite(cite::CiteCommand),
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    // Maintain.
    #[command(subcommand)]
    Cache(cache::CacheCommand),
    Setup(setup::SetupCommand),
    Bench(bench::BenchCommand),
    Doctor(doctor::DoctorCommand),
    Completions(completions::CompletionsCommand),
    Man(man::ManCommand),
}

impl Global {
    /// Finds the project of the current folder.
    ///
    /// # Errors
    /// If a variable of the environment is wrong.
    fn project(&self) -> Result<Project, Failure> {
        let named = NamedPlaces {
            cache: self.cache.clone(),
            reports: self.reports.clone(),
            pipelines: self.pipelines.clone(),
            trust: self.trust.clone(),
            remotes: self.remotes.clone(),
            cluster: self.cluster.clone(),
        };
        let (here, home) = (std::env::current_dir().ok(), environment::folder("HOME"));
        Ok(Project::find(named, here.as_deref(), home.as_deref(), environment::of_store()?))
    }
}

/// Runs the program with its arguments (the first is its name), and ends it with its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ! {
    signals::install();
    signals::leave(run(arguments))
}

/// Parses the arguments. An empty variable of the environment counts as unset.
fn parse(command: clap::Command, arguments: &[OsString]) -> Result<ArgMatches, clap::Error> {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    let command = command.mut_args(|arg| match arg.get_env().is_some_and(is_empty) {
        true => arg.env(Resettable::Reset),
        false => arg,
    });
    command.try_get_matches_from(arguments)
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    match completions::answer(&arguments) {
        Ok(false) => {}
        Ok(true) => return ExitCode::Success,
        Err(error) => return ui::usage(&error),
    }
    let read = parse(Cli::command(), &arguments);
    let read = match read {
        // The help is made only when it is read, because it needs the project's pipelines.
        Err(error) if help::is_help(&error) => {
            let profiles = Typed::of(&arguments).profiles().into_iter().collect::<Vec<_>>();
            parse(help::complete(&profiles), &arguments)
        }
        read => read,
    };
    let (cli, in_force) = match read.and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, InForce::of(&matches)))) {
        Ok(read) => read,
        Err(error) => return ui::usage(&mistyped::advise(error, &arguments)),
    };
    let ui = Ui::new(cli.global.quiet, cli.global.verbose > 0, in_force);
    if let Err(failure) = log::install(cli.global.verbose) {
        ui.failure(&failure);
        return failure.code;
    }
    let project = &match cli.global.project() {
        Ok(project) => project,
        Err(failure) => {
            ui.failure(&failure);
            return failure.code;
        }
    };
    let result = match &cli.command {
        Command::Make(command) => command.run(project, &ui),
        Command::Attach(command) => command.run(project, &ui),
        Command::Jobs(command) => command.run(project, &ui),
        Command::Cancel(command) => command.run(project, &ui),
        Command::Work(command) => command.run(project, &ui),
        Command::Watch(command) => command.run(project, &ui),
        Command::Status(command) => command.run(project, &ui),
        Command::Explain(command) => command.run(project, &ui),
        Command::Setup(command) => command.run(&ui),
        Command::New(command) => command.run(project, &ui),
        Command::Report(command) => command.run(project, &ui),
        Command::Lock(command) => command.run(project, &ui),
        Command::Verify(command) => command.run(project, &ui),
        Command::Audit(command) => command.run(project, &ui),
        Command::Whois(command) => command.run(project, &ui),
        Command::Compare(command) => command.run(project, &ui),
        Command::Diff(command) => command.run(project, &ui),
        Command::Bisect(command) => command.run(project, &ui),
        Command::Check(command) => command.run(project, &ui),
        Command::Graph(command) => command.run(project, &ui),
        Command::Show(command) => command.run(project, &ui),
        Command::Shell(command) => command.run(project, &ui),
        Command::Numbers(command) => command.run(project, &ui),
        Command::Export(command) => command.run(project, &ui),
        Command::Crate(command) => command.run(project, &ui),
        Command::Cite(command) => command.run(project, &ui),
        Command::Import(command) => command.run(project, &ui),
        Command::Push(command) => command.run(project, &ui),
        Command::Pull(command) => command.run(project, &ui),
        Command::Remote(command) => command.run(project, &ui),
        Command::Cache(command) => command.run(project, &ui),
        Command::Keys(command) => command.run(project, &ui),
        Command::Data(command) => command.run(project, &ui),
        Command::Selftest(command) => command.run(&ui),
        Command::Bench(command) => command.run(project, &ui),
        Command::Doctor(command) => command.run(project, &ui),
        Command::Completions(command) => command.run(&ui),
        Command::Man(command) => command.run(&ui),
    };
    // The first failure determines the exit code.
    let failures = [result, ui.finish()].into_iter().filter_map(Result::err);
    failures
        .inspect(|failure| ui.failure(failure))
        .map(|failure| failure.code)
        .reduce(|first, _| first)
        .unwrap_or(ExitCode::Success)
}
