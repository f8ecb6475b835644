//! Chooses the remote that a command works with.

use super::admission::{Accepted, Gate};
use crate::project::{ExitCode, Failure, Project};
use store::remote::{Environment, ListError, Location, Named, RemoteError, Remotes, Transport, open};

/// A remote that the user chose.
pub struct ChosenRemote {
    /// Name or URL, as the list of remotes or the user has it.
    pub name: String,
    remote: Named,
    around: Environment,
}

impl ChosenRemote {
    /// Finds the remote with a name or URL. If neither is given, finds the only remote of the list. `around` holds the
    /// credentials.
    ///
    /// # Errors
    /// If there is none, or there are several.
    pub fn find(project: &Project, name: Option<&str>, around: Environment) -> Result<Self, Failure> {
        let chosen = Self::listed(project, name, around)?;
        if let Location::Folder(folder) = &chosen.remote.location
            && files::canonical(folder)
                .is_ok_and(|place| files::canonical(&project.cache).is_ok_and(|own| own == place))
        {
            let message = format!("the remote {} is this cache itself", chosen.name);
            return Err(Failure::usage(message, "choose another folder for the remote"));
        }
        Ok(chosen)
    }

    fn listed(project: &Project, name: Option<&str>, around: Environment) -> Result<Self, Failure> {
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
                Err(Failure::usage("there are several remotes", format!("choose one: {}", names.join(", "))))
            }
            (None, None) => {
                let hint = "run `wdpipe remote add NAME URL` to add one, or give a URL";
                Err(Failure::new(ExitCode::Usage, "the project has no remote", hint))
            }
        }
    }

    /// Opens the remote for reading, or for writing if `written` is set.
    ///
    /// # Errors
    /// If the remote cannot be opened.
    pub fn open(&self, written: bool) -> Result<Box<dyn Transport>, RemoteError> {
        open(&self.remote.location, &self.around, written)
    }

    /// Makes the gate that decides which records from the remote are admitted.
    ///
    /// # Errors
    /// If the project's trust file or the remote's `accept` list is wrong.
    pub fn gate(&self, project: &Project, accept: &[Accepted]) -> Result<Gate, Failure> {
        project.gate(accept)?.and(&self.remote.accept)
    }
}
