//! The remote that a command works with.

use super::admission::{Accepted, Gate};
use crate::project::{ExitCode, Failure, Project};
use store::remote::{Environment, ListError, Named, RemoteError, Remotes, Transport, open};

/// A remote that the user chose.
pub struct ChosenRemote {
    /// As the list or the user calls it.
    pub name: String,
    remote: Named,
    around: Environment,
}

impl ChosenRemote {
    /// Finds the remote of a name or URL; without one, the only one of the list. `around` holds the credentials.
    ///
    /// # Errors
    /// If there is none, or there are several.
    pub fn find(project: &Project, name: Option<&str>, around: Environment) -> Result<Self, Failure> {
        let remotes = Remotes::load(&project.remotes)?;
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

    /// Opens it, to write it or only to read it.
    ///
    /// # Errors
    /// If it cannot be one.
    pub fn open(&self, written: bool) -> Result<Box<dyn Transport>, RemoteError> {
        open(&self.remote.location, &self.around, written)
    }

    /// Decides whose records may come in from it.
    ///
    /// # Errors
    /// If the project's trust file or the remote's list of the accepted is wrong.
    pub fn gate(&self, project: &Project, accept: &[Accepted]) -> Result<Gate, Failure> {
        project.gate(accept)?.and(&self.remote.accept)
    }
}
