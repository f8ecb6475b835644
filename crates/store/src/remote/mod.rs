//! A remote: a store somewhere else, in a folder, a bucket, behind a web server or on another machine.
//!
//! The layout is that of a store ([`crate`]), so a folder may be copied into a bucket or be served as it is. What
//! is there is told by its catalogue ([`crate::Catalogue`]), a few files whatever its size. A [`Transport`] moves
//! files by name and knows nothing of what they hold; everything that comes in is hashed by the store.

mod bucket;
mod credentials;
mod folder;
mod http;
mod list;
mod location;
mod mistake;
mod retry;
mod sftp;
mod transfer;

use std::collections::HashMap;
use std::io::Read;

pub use credentials::Environment;
pub use list::{ListError, Named, Remotes};
pub use location::{Location, LocationError};
pub use transfer::{Admits, Fetch, Fetched, Sending, Sent, Watch, catalogue, fetch, listed, send};

use crate::Catalogue;

/// Why a remote could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The remote has no such file.
    #[error("{at} has no {path}")]
    Missing {
        /// The remote.
        at: String,
        /// The file, below it.
        path: String,
    },
    /// Nobody answers, or the connection broke; it may be better later.
    #[error("{at} cannot be reached or broke off: {reason}")]
    Unreachable {
        /// The remote.
        at: String,
        /// What the system said.
        reason: String,
    },
    /// It answers, and does not want to.
    #[error("{at} refuses: {reason}")]
    Refused {
        /// The remote.
        at: String,
        /// What it said.
        reason: String,
    },
    /// It cannot be written to.
    #[error("{0} can only be read")]
    ReadOnly(String),
    /// It answers something that makes no sense.
    #[error("{at} sent something else than {path}: {reason}")]
    Wrong {
        /// The remote.
        at: String,
        /// The file.
        path: String,
        /// In what way.
        reason: String,
    },
    /// The store on this side.
    #[error(transparent)]
    Store(#[from] crate::StoreError),
    /// A record may not come in.
    #[error("the record of `{stage}` from {at} is not admitted: {reason}")]
    NotAdmitted {
        /// The remote.
        at: String,
        /// The stage.
        stage: String,
        /// Why, and what to do.
        reason: String,
    },
    /// Bringing it in would change what stages here start from.
    #[error("`{stage}` in {at} is another than the one that was imported here")]
    OtherImport {
        /// The remote.
        at: String,
        /// What was imported.
        stage: String,
    },
    /// No store is there, or none that says what it has.
    #[error("{at} {reason}")]
    NoStore {
        /// The remote.
        at: String,
        /// What is lacking.
        reason: String,
    },
    /// The user asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl RemoteError {
    /// Whether trying again may help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether one file is not there or damaged, and others may be had.
    pub fn is_of_one_file(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Wrong { .. })
    }
}

/// A file that is to be sent.
pub struct Outgoing<'a> {
    /// Its name below the remote, such as `objects/ab/cdef…`.
    pub path: &'a str,
    /// Its bytes.
    pub length: u64,
    /// Opens it, from its start.
    pub open: &'a (dyn Fn() -> Result<Box<dyn Read + Send>, RemoteError> + Sync),
}

/// Takes a piece of a file, and the place in the file where it belongs.
pub type Take<'a> = dyn FnMut(u64, &[u8]) -> Result<(), RemoteError> + 'a;

/// Moves files by name. Nothing that is there is ever changed: names are hashes, or are created by one writer only.
pub trait Transport: Sync {
    /// What a person calls it; without secrets.
    fn name(&self) -> &str;

    /// The names in a folder; `None` if the remote cannot list.
    ///
    /// # Errors
    /// If it cannot be asked.
    fn list(&self, folder: &str) -> Result<Option<Vec<String>>, RemoteError>;

    /// The bytes of a file, 0 if the remote does not say; `None` if it is not there.
    ///
    /// # Errors
    /// If it cannot be asked.
    fn size(&self, path: &str) -> Result<Option<u64>, RemoteError>;

    /// Whether a file is there.
    ///
    /// # Errors
    /// If it cannot be asked.
    fn has(&self, path: &str) -> Result<bool, RemoteError> {
        Ok(self.size(path)?.is_some())
    }

    /// All files in a folder and below it with their sizes, if that takes fewer requests than to ask for each.
    ///
    /// # Errors
    /// If it cannot be asked.
    fn walk(&self, _folder: &str) -> Result<Option<HashMap<String, u64>>, RemoteError> {
        Ok(None)
    }

    /// Whether a file is there that should have so many bytes, as far as can be told without sending it here.
    ///
    /// # Errors
    /// If it cannot be asked.
    fn holds(&self, path: &str, size: u64) -> Result<bool, RemoteError> {
        Ok(self.size(path)? == Some(size))
    }

    /// Gives the bytes of a file from a place on to `take`, which may refuse more. A remote that cannot begin in the
    /// middle gives them from the start: `take` is told where each piece belongs.
    ///
    /// # Errors
    /// If it is not there or breaks off.
    fn get(&self, path: &str, from: u64, take: &mut Take<'_>) -> Result<(), RemoteError>;

    /// Sends a file whose name is the hash of its bytes, also in the place of a damaged one; if it is there already, nothing
    /// need happen. It may become durable, and be seen, only with [`Transport::settle`].
    ///
    /// # Errors
    /// If it cannot be written.
    fn put(&self, file: &Outgoing<'_>) -> Result<(), RemoteError>;

    /// Creates a file under a name that must be free; says whether it was. Where a server has no such operation, it may
    /// say so wrongly.
    ///
    /// # Errors
    /// If it cannot be written.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<bool, RemoteError>;

    /// Removes a file; for trying a remote out.
    ///
    /// # Errors
    /// If it cannot be removed.
    fn remove(&self, path: &str) -> Result<(), RemoteError>;

    /// Makes everything that was put durable and seen.
    ///
    /// # Errors
    /// If it cannot be written.
    fn settle(&self) -> Result<(), RemoteError> {
        Ok(())
    }

    /// What is there, if that can be told without reading the catalogue.
    ///
    /// # Errors
    /// If it cannot be read.
    fn contents(&self) -> Result<Option<Catalogue>, RemoteError> {
        Ok(None)
    }

    /// Makes its catalogue list all that is there, if it can do so by itself; says whether it did.
    ///
    /// # Errors
    /// If it cannot be written.
    fn relist(&self) -> Result<bool, RemoteError> {
        Ok(false)
    }

    /// Whether files are cheap to ask for one by one, so that the catalogue need not be believed.
    fn is_near(&self) -> bool {
        false
    }

    /// How many requests were made so far.
    fn requests(&self) -> u64;
}

/// Opens a remote. Nothing is asked for yet, but a folder must hold a store, or is made one if it is to be `written`.
///
/// # Errors
/// If it cannot be one: no store, no credentials, or it can only be read.
pub fn open(location: &Location, around: &Environment, written: bool) -> Result<Box<dyn Transport>, RemoteError> {
    let name = location.to_string();
    Ok(match location {
        Location::Folder(path) => Box::new(folder::Folder::open(path, written)?),
        Location::Http(_) if written => return Err(RemoteError::ReadOnly(name)),
        Location::Http(url) => Box::new(http::Http::new(url)),
        Location::Bucket { service, bucket, prefix } => {
            Box::new(bucket::Bucket::new(*service, bucket, prefix, name, around)?)
        }
        Location::Ssh { host, port, folder } => {
            let program = around.get("WDPIPE_SSH").filter(|program| !program.is_empty()).unwrap_or("ssh");
            let program: Vec<_> = program.split_whitespace().map(str::to_owned).collect();
            Box::new(sftp::Sftp::new(&program, host, *port, folder, name)?)
        }
    })
}
