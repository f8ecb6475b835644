//! `wdpipe remote`, `push` and `pull`: one cache between people and machines.

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

/// Manages where results are shared.
///
/// A remote is a store somewhere else: a folder, s3://BUCKET/PREFIX, gs://…, az://CONTAINER/PREFIX, https://… (read only),
/// or ssh://HOST/FOLDER. Credentials come from the usual variables and files of each service and are never written down.
#[derive(Debug, Subcommand)]
pub enum RemoteCommand {
    Add(AddRemoteCommand),
    List(ListRemotesCommand),
    Remove(RemoveRemoteCommand),
    Test(TestRemoteCommand),
}

/// Adds a remote to the project's list.
#[derive(Debug, Args)]
pub struct AddRemoteCommand {
    /// What to call it.
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it is.
    #[arg(value_name = "URL")]
    url: Location,
    #[command(flatten)]
    accepting: AcceptArgs,
}

/// Lists the project's remotes.
#[derive(Debug, Args)]
pub struct ListRemotesCommand {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Takes a remote off the project's list; nothing of it is removed.
#[derive(Debug, Args)]
pub struct RemoveRemoteCommand {
    /// Which.
    #[arg(value_name = "NAME")]
    name: String,
}

/// Finds out what a remote can do: whether it is there, what it holds, whether it can be written, and whether two writers
/// can be told apart.
#[derive(Debug, Args)]
pub struct TestRemoteCommand {
    /// A name of the list, or a URL.
    #[arg(value_name = "REMOTE")]
    remote: String,
}

/// A remote, as `remote list --json` answers it.
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
                ui.say(&format!("{name} is {url}; `wdpipe remote test {name}` tries it"));
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
        let remote = chosen.open(false)?;
        let moving = Moving::new("read", super::signals::cancel_on_interrupt(), ui);
        let catalogue = store::remote::catalogue(remote.as_ref(), &moving)?;
        let (records, objects) = catalogue.counts();
        ui.answer(&format!("{}: {}, {}", chosen.name, count(records, "record"), count(objects, "object")));
        for (number, reason) in &catalogue.lost {
            ui.answer(&format!("part {number} of its catalogue is lost ({reason}): the next push to it mends that"));
        }
        let probe = format!("tmp/wdpipe-test-{}-{}", std::process::id(), files::now());
        match remote.create(&probe, b"a test of wdpipe's that may be removed\n") {
            Ok(_) => {}
            Err(RemoteError::ReadOnly(_) | RemoteError::Refused { .. }) => {
                ui.answer("it can be read, not written");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        let twice = remote.create(&probe, b"a second one that must not come in its place\n");
        remote.remove(&probe)?;
        ui.answer(match twice? {
            false => "it can be written, and of two writers of one name the second is refused",
            true => {
                "it can be written; of two writers of one name both believe that they were first: nothing is lost by \
                 that, since whoever adds to the catalogue reads it again"
            }
        });
        Ok(())
    }
}
