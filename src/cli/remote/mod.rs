//! `wdpipe remote`, `push` and `pull`: share results between people and machines.

mod pull;
mod push;
mod watch;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::Serialize;

pub use pull::PullCommand;
pub use push::PushCommand;

use super::arguments::AcceptArgs;
use super::environment::of_remotes;
use super::format::count;
use super::ui::Ui;
use crate::project::{ChosenRemote, Failure, Project};
use store::remote::{Location, Named, RemoteError, Remotes};
pub use watch::Moving;

/// Manage the remotes, where results are shared.
///
/// A remote is a cache somewhere else: a folder, s3://BUCKET/PREFIX, gs://…, az://CONTAINER/PREFIX, https://… (read
/// only), or ssh://HOST/FOLDER. Credentials come from the usual variables and files of each service and are never
/// stored.
#[derive(Debug, Subcommand)]
pub enum RemoteCommand {
    Add(AddRemoteCommand),
    List(ListRemotesCommand),
    Remove(RemoveRemoteCommand),
    Test(TestRemoteCommand),
}

/// Add a remote to the project's list.
#[derive(Debug, Args)]
pub struct AddRemoteCommand {
    /// Name of the remote.
    #[arg(value_name = "NAME")]
    name: String,
    /// Address of the remote.
    #[arg(value_name = "URL")]
    url: Location,
    #[command(flatten)]
    accepting: AcceptArgs,
}

/// List the project's remotes.
#[derive(Debug, Args)]
pub struct ListRemotesCommand {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Remove a remote from the project's list; its content stays.
#[derive(Debug, Args)]
pub struct RemoveRemoteCommand {
    /// Name of the remote.
    #[arg(value_name = "NAME")]
    name: String,
}

/// Test whether a remote can be read and written.
///
/// Also prints what it holds, and whether it tells two writers apart.
#[derive(Debug, Args)]
pub struct TestRemoteCommand {
    /// Name from the list, or a URL.
    #[arg(value_name = "REMOTE")]
    remote: String,
}

/// A remote in the output of `remote list --json`.
#[derive(Serialize)]
struct RemoteAnswer {
    url: String,
    accept: Vec<String>,
}

impl RemoteCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the list cannot be read or written, or the remote fails.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let mut remotes = Remotes::load(&project.remotes)?;
        match self {
            Self::Add(AddRemoteCommand { name, url, accepting }) => {
                let accept = accepting.accept.iter().map(ToString::to_string).collect();
                let location = remotes.as_listed(url.clone(), std::path::Path::new("."))?;
                remotes.add(name, Named { location, accept })?;
                ui.say(&format!("{name} is {url}; `wdpipe remote test {name}` tests it"));
                Ok(())
            }
            Self::List(ListRemotesCommand { json }) => {
                if *json {
                    let answer = |remote: &Named| RemoteAnswer {
                        url: remote.location.to_string(),
                        accept: remote.accept.clone(),
                    };
                    let all: BTreeMap<_, _> =
                        remotes.all().iter().map(|(name, remote)| (name, answer(remote))).collect();
                    ui.json(&all);
                    return Ok(());
                }
                for (name, Named { location, accept }) in remotes.all() {
                    let accept =
                        if accept.is_empty() { String::new() } else { format!("  (accepts {})", accept.join(", ")) };
                    ui.answer(&format!("{name}  {location}{accept}"));
                }
                Ok(())
            }
            Self::Remove(RemoveRemoteCommand { name }) => Ok(remotes.remove(name)?),
            Self::Test(command) => command.run(project, ui),
        }
    }
}

impl TestRemoteCommand {
    fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let chosen = ChosenRemote::find(project, Some(&self.remote), of_remotes())?;
        // The usual hint is to run this command.
        let remote = chosen.open(false).map_err(|error| Failure { hint: String::new(), ..error.into() })?;
        let moving = Moving::new("read", super::signals::cancel_on_interrupt(), ui);
        let catalogue = store::remote::catalogue(remote.as_ref(), &moving)?;
        let (records, objects) = catalogue.counts();
        ui.answer(&format!("{}: {}, {}", chosen.name, count(records, "record"), count(objects, "object")));
        for (number, reason) in &catalogue.lost {
            ui.answer(&format!("part {number} of its catalogue is lost ({reason}): the next push repairs it"));
        }
        let probe = format!("tmp/wdpipe-test-{}-{}", std::process::id(), files::now());
        match remote.create(&probe, b"a test of wdpipe's that may be removed\n") {
            Ok(_) => {}
            Err(RemoteError::ReadOnly(_) | RemoteError::Refused { .. }) => {
                ui.answer("it can be read, but not written");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        let twice = remote.create(&probe, b"a second one that must not come in its place\n");
        remote.remove(&probe)?;
        ui.answer(match twice? {
            false => "it can be written, and the second of two writers of one name is refused",
            true => {
                "it can be written, but the second of two writers of one name is not refused: nothing is lost, since \
                 every writer of the catalogue reads it again"
            }
        });
        Ok(())
    }
}
