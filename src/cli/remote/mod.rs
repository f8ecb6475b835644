//! `wdpipe remote`, `push` and `pull`: one cache between people and machines.

mod fetching;
mod pull;
mod push;
mod watch;

use clap::{Args, Subcommand};

pub use fetching::Through;
pub use pull::Pull;
pub use push::Push;

use super::admit::{Accepting, Gate};
use super::format::count;
use super::ui::Ui;
use super::{ExitCode, Failure, Global};
use store::remote::{Environment, ListError, Location, Named, RemoteError, Remotes, Transport, open};
use watch::Moving;

/// Manages where results are shared.
///
/// A remote is a store somewhere else: a folder, s3://BUCKET/PREFIX, gs://…, az://CONTAINER/PREFIX, https://… (read only),
/// or ssh://HOST/FOLDER. Credentials come from the usual variables and files of each service and are never written down.
#[derive(Debug, Subcommand)]
pub enum Remote {
    Add(Add),
    List(List),
    Remove(Remove),
    Test(Test),
}

/// Adds a remote to the project's list.
#[derive(Debug, Args)]
pub struct Add {
    /// What to call it.
    #[arg(value_name = "NAME")]
    name: String,
    /// Where it is.
    #[arg(value_name = "URL")]
    url: Location,
    #[command(flatten)]
    accepting: Accepting,
}

/// Lists the project's remotes.
#[derive(Debug, Args)]
pub struct List {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Takes a remote off the project's list; nothing of it is removed.
#[derive(Debug, Args)]
pub struct Remove {
    /// Which.
    #[arg(value_name = "NAME")]
    name: String,
}

/// Finds out what a remote can do: whether it is there, what it holds, whether it can be written, and whether two writers
/// can be told apart.
#[derive(Debug, Args)]
pub struct Test {
    /// A name of the list, or a URL.
    #[arg(value_name = "REMOTE")]
    remote: String,
}

impl Remote {
    /// Runs the command.
    ///
    /// # Errors
    /// If the list cannot be read or written, or the remote fails.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let mut remotes = Remotes::load(&global.remotes)?;
        match self {
            Self::Add(Add { name, url, accepting }) => {
                let accept = accepting.words();
                let location = remotes.as_listed(url.clone(), std::path::Path::new("."))?;
                remotes.add(name, Named { location, accept })?;
                ui.say(&format!("{name} is {url}; `wdpipe remote test {name}` tries it"));
                Ok(())
            }
            Self::List(List { json }) => {
                if *json {
                    let all: serde_json::Map<_, _> = remotes
                        .all()
                        .iter()
                        .map(|(name, remote)| {
                            let value =
                                serde_json::json!({ "url": remote.location.to_string(), "accept": remote.accept });
                            (name.clone(), value)
                        })
                        .collect();
                    ui.answer(&serde_json::Value::Object(all).to_string());
                    return Ok(());
                }
                for (name, Named { location, accept }) in remotes.all() {
                    let accept =
                        if accept.is_empty() { String::new() } else { format!("  (accepts {})", accept.join(", ")) };
                    ui.answer(&format!("{name}  {location}{accept}"));
                }
                Ok(())
            }
            Self::Remove(Remove { name }) => Ok(remotes.remove(name)?),
            Self::Test(command) => command.run(global, ui),
        }
    }
}

impl Test {
    fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let chosen = Chosen::find(global, Some(&self.remote))?;
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

/// A remote that the user chose.
pub struct Chosen {
    /// As the list or the user calls it.
    pub name: String,
    remote: Named,
    around: Environment,
}

impl Chosen {
    /// The remote of a name or URL; without one, the only one of the list.
    ///
    /// # Errors
    /// If there is none, or there are several.
    pub fn find(global: &Global, name: Option<&str>) -> Result<Self, Failure> {
        let remotes = Remotes::load(&global.remotes)?;
        let around = Environment::new(
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        );
        let chosen = |name: &str, remote: Named| Self { name: name.to_owned(), remote, around };
        let listed =
            |Named { location, accept }: &Named| Named { location: remotes.resolved(location), accept: accept.clone() };
        match (name, remotes.all().iter().next()) {
            (Some(name), _) if name.contains(['/', '.', ':', '~', '$', '\\']) => {
                let location = name.parse().map_err(ListError::from)?;
                Ok(chosen(name, Named { location, accept: Vec::new() }))
            }
            (Some(name), _) => Ok(chosen(name, listed(remotes.get(name)?))),
            (None, Some((name, remote))) if remotes.all().len() == 1 => Ok(chosen(name, listed(remote))),
            (None, Some(_)) => {
                let names: Vec<_> = remotes.all().keys().map(String::as_str).collect();
                Err(Failure::usage("there are several remotes", format!("say which: {}", names.join(", "))))
            }
            (None, None) => {
                let hint = "`wdpipe remote add NAME URL` adds one, or name a URL";
                Err(Failure::new(ExitCode::Usage, "the project has no remote", hint))
            }
        }
    }

    /// Opens it, to be written or only read.
    ///
    /// # Errors
    /// If it cannot be one.
    pub fn open(&self, written: bool) -> Result<Box<dyn Transport>, RemoteError> {
        open(&self.remote.location, &self.around, written)
    }

    /// Who may come in from it.
    ///
    /// # Errors
    /// If the project's trust file or the remote's list of the accepted is wrong.
    pub fn gate(&self, global: &Global, accepting: &Accepting) -> Result<Gate, Failure> {
        accepting.gate(global)?.and(&self.remote.accept)
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        let hint = match &error {
            ListError::Unknown { name, .. } => format!("for a folder say ./{name}"),
            _ => String::new(),
        };
        let code = if let ListError::Fs(_) = error { ExitCode::Storage } else { ExitCode::Usage };
        Self::new(code, error.to_string(), hint)
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        let message = error.to_string();
        match error {
            RemoteError::Store(error) => error.into(),
            RemoteError::Missing { .. } => {
                Self::new(ExitCode::Missing, message, "`wdpipe push all` from a cache that has it sends it again")
            }
            RemoteError::Unreachable { .. } => {
                Self::new(ExitCode::Missing, message, "what has arrived is kept: run it again to go on")
            }
            RemoteError::Refused { .. } => {
                Self::new(ExitCode::Missing, message, "`wdpipe remote test NAME` tells what it can do")
            }
            RemoteError::ReadOnly(_) => Self::new(ExitCode::Usage, message, "name another one"),
            RemoteError::NoStore { .. } => Self::new(ExitCode::Missing, message, ""),
            RemoteError::Wrong { .. } => {
                let hint = "it is damaged there or on the way, and nothing of it was used; `wdpipe push all --check` from a cache \
                            that has it sends it again";
                Self::new(ExitCode::Storage, message, hint)
            }
            RemoteError::NotAdmitted { .. } => Self::new(ExitCode::Failed, message, ""),
            RemoteError::OtherImport { .. } => Self::new(ExitCode::Failed, message, super::admit::OTHER_IMPORT),
            RemoteError::Interrupted => {
                Self::new(ExitCode::Interrupted, message, "what has arrived is kept: run it again to go on")
            }
        }
    }
}
