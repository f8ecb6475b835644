//! Remotes: stores elsewhere, in a folder or bucket, on a web server or on another machine.
//!
//! The layout is that of a store ([`crate`]), so a folder can be copied into a bucket or served unchanged. The
//! catalogue ([`crate::Catalogue`]) lists what a remote has, in a few files whatever its size. A [`Transport`] moves
//! files by name and knows nothing of their contents; the store hashes everything that is fetched.

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

/// Why an operation on a remote failed.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The remote has no such file.
    #[error("{at} has no {path}")]
    Missing {
        /// The remote.
        at: String,
        /// Path of the file on the remote.
        path: String,
    },
    /// The remote does not respond, or the connection broke; trying again later can help.
    #[error("{at} cannot be reached, or the connection broke: {reason}")]
    Unreachable {
        /// The remote.
        at: String,
        /// Error reported by the system.
        reason: String,
    },
    /// The remote responds, but refuses the request.
    #[error("{at} refuses: {reason}")]
    Refused {
        /// The remote.
        at: String,
        /// Error reported by the remote.
        reason: String,
    },
    /// The remote is read-only.
    #[error("{0} is read-only")]
    ReadOnly(String),
    /// The remote sent an invalid file.
    #[error("{path} of {at} cannot be used: {reason}")]
    Wrong {
        /// The remote.
        at: String,
        /// Path of the file.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// The local store reported an error.
    #[error(transparent)]
    Store(#[from] crate::StoreError),
    /// A record must not be imported.
    #[error("the record of `{stage}` from {at} is not admitted: {}", .refusal.reason)]
    NotAdmitted {
        /// The remote.
        at: String,
        /// The stage.
        stage: String,
        /// Why, and what admits it.
        refusal: crate::Refusal,
    },
    /// Fetching the record would replace a local import that stages start from.
    #[error("`{stage}` in {at} differs from the one that was imported here")]
    OtherImport {
        /// The remote.
        at: String,
        /// Name of the imported stage.
        stage: String,
    },
    /// There is no store, or it has no catalogue.
    #[error("{at} {reason}")]
    NoStore {
        /// The remote.
        at: String,
        /// What is missing.
        reason: String,
    },
    /// The user interrupted the transfer.
    #[error("interrupted")]
    Interrupted,
}

impl RemoteError {
    /// Whether the error is temporary, so that trying again can help.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// Whether the error concerns a single missing or damaged file, so that others can still be fetched.
    pub fn is_of_one_file(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Wrong { .. })
    }
}

/// A file to be sent.
pub struct Outgoing<'a> {
    /// Path on the remote, such as `objects/ab/cdef…`.
    pub path: &'a str,
    /// Number of bytes.
    pub length: u64,
    /// Opens the file at its start.
    pub open: &'a (dyn Fn() -> Result<Box<dyn Read + Send>, RemoteError> + Sync),
}

/// Receives a piece of a file and its position in the file.
pub type Take<'a> = dyn FnMut(u64, &[u8]) -> Result<(), RemoteError> + 'a;

/// Moves files by name. Existing files are never changed: names are hashes, or are created by only one writer.
pub trait Transport: Sync {
    /// Returns the name shown to users, which contains no secrets.
    fn name(&self) -> &str;

    /// Returns the names in a folder; `None` if the remote cannot list folders.
    ///
    /// # Errors
    /// If the request fails.
    fn list(&self, folder: &str) -> Result<Option<Vec<String>>, RemoteError>;

    /// Returns the size of a file in bytes, or 0 if the remote does not report it. Returns `None` if the file is missing.
    ///
    /// # Errors
    /// If the request fails.
    fn size(&self, path: &str) -> Result<Option<u64>, RemoteError>;

    /// Whether a file exists.
    ///
    /// # Errors
    /// If the request fails.
    fn has(&self, path: &str) -> Result<bool, RemoteError> {
        Ok(self.size(path)?.is_some())
    }

    /// Returns the sizes of all files in a folder and its subfolders, if that takes fewer requests than one per file.
    ///
    /// # Errors
    /// If the request fails.
    fn walk(&self, _folder: &str) -> Result<Option<HashMap<String, u64>>, RemoteError> {
        Ok(None)
    }

    /// Whether a file of this size exists, as far as can be found out without fetching it.
    ///
    /// # Errors
    /// If the request fails.
    fn holds(&self, path: &str, size: u64) -> Result<bool, RemoteError> {
        Ok(self.size(path)? == Some(size))
    }

    /// Passes the bytes of a file from a position on to `take`, which can stop the transfer with an error. A remote
    /// that cannot start in the middle sends the file from the start: `take` receives the position of each piece.
    ///
    /// # Errors
    /// If the file is missing or the connection breaks.
    fn get(&self, path: &str, from: u64, take: &mut Take<'_>) -> Result<(), RemoteError>;

    /// Sends a file whose name is the hash of its bytes, and replaces a damaged one; an existing file need not be
    /// sent again. The file may become durable and visible only with [`Transport::settle`].
    ///
    /// # Errors
    /// If the file cannot be written.
    fn put(&self, file: &Outgoing<'_>) -> Result<(), RemoteError>;

    /// Creates a file under a name that must be free; returns whether it was free. On servers without such an
    /// operation, the answer can be wrong.
    ///
    /// # Errors
    /// If the file cannot be written.
    fn create(&self, path: &str, bytes: &[u8]) -> Result<bool, RemoteError>;

    /// Removes a file; used to test a remote.
    ///
    /// # Errors
    /// If the file cannot be removed.
    fn remove(&self, path: &str) -> Result<(), RemoteError>;

    /// Makes all sent files durable and visible.
    ///
    /// # Errors
    /// If they cannot be written.
    fn settle(&self) -> Result<(), RemoteError> {
        Ok(())
    }

    /// Returns the contents of the remote if they are known without reading the catalogue.
    ///
    /// # Errors
    /// If they cannot be read.
    fn contents(&self) -> Result<Option<Catalogue>, RemoteError> {
        Ok(None)
    }

    /// Makes the remote's catalogue list all its contents, if the transport can do so; returns whether it did.
    ///
    /// # Errors
    /// If the catalogue cannot be written.
    fn relist(&self) -> Result<bool, RemoteError> {
        Ok(false)
    }

    /// Whether requests for single files are cheap, so that the catalogue need not be trusted.
    fn is_near(&self) -> bool {
        false
    }

    /// Returns the number of requests sent so far.
    fn requests(&self) -> u64;
}

/// Opens a remote. No request is sent yet, but a folder must hold a store, or a store is created in it if `written`
/// is set.
///
/// # Errors
/// If the folder holds no store, there are no credentials, or the remote is read-only and `written` is set.
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
