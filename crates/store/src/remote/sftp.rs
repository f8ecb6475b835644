//! A remote in a folder on another machine, using the program `ssh` and the file transfer of its server. So the whole
//! configuration of `ssh` applies: its settings, agents, jump hosts and known hosts. Nothing needs to be installed on
//! the other machine.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use openssh_sftp_client::error::SftpErrorKind;
use openssh_sftp_client::metadata::Permissions;
use openssh_sftp_client::{Error, Sftp as Client, SftpOptions};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::runtime::Runtime;

use super::{Outgoing, RemoteError, Take, Transport};
use crate::MARKER;

/// Number of bytes requested at a time.
const PIECE: u32 = 128 << 10;

/// A remote in a folder on another machine.
pub struct Sftp {
    command: Vec<String>,
    folder: String,
    name: String,
    runtime: Runtime,
    session: Mutex<Option<Arc<Session>>>,
    /// Whether the folder is known to be a store.
    is_store: Mutex<bool>,
    requests: AtomicU64,
}

struct Session {
    client: Client,
    #[expect(dead_code, reason = "killed when it is dropped")]
    ssh: Child,
}

impl Sftp {
    /// Creates the remote; sends no request yet. `ssh` is the program with its first arguments.
    pub fn new(ssh: &[String], host: &str, port: Option<u16>, folder: &str, name: String) -> Result<Self, RemoteError> {
        let options =
            ["ConnectTimeout=20", "ServerAliveInterval=15", "ServerAliveCountMax=4", "ClearAllForwardings=yes"];
        let mut command = ssh.to_vec();
        command.extend(options.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]));
        if let Some(port) = port {
            command.extend(["-p".to_owned(), port.to_string()]);
        }
        command.extend(["-s".to_owned(), "--".to_owned(), host.to_owned(), "sftp".to_owned()]);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| RemoteError::Refused { at: name.clone(), reason: error.to_string() })?;
        // A relative path starts in the home folder, where sessions start.
        let folder = folder.strip_prefix("~/").unwrap_or(folder).to_owned();
        let (session, is_store) = (Mutex::default(), Mutex::default());
        Ok(Self { command, folder, name, runtime, session, is_store, requests: AtomicU64::new(0) })
    }

    fn path(&self, path: &str) -> String {
        self.requests.fetch_add(1, Ordering::Relaxed);
        format!("{}/{path}", self.folder)
    }

    /// Returns the session. Starts a new one if there is none or the last one broke.
    fn session(&self) -> Result<Arc<Session>, RemoteError> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = session.as_ref() {
            return Ok(Arc::clone(session));
        }
        let new = Arc::new(self.runtime.block_on(self.connect())?);
        *session = Some(Arc::clone(&new));
        Ok(new)
    }

    async fn connect(&self) -> Result<Session, RemoteError> {
        let unreachable = |reason: String| RemoteError::Unreachable { at: self.name.clone(), reason };
        let (program, arguments) =
            self.command.split_first().ok_or_else(|| unreachable("no ssh program".to_owned()))?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut ssh = command.spawn().map_err(|error| RemoteError::Refused {
            at: self.name.clone(),
            reason: format!("`{program}` cannot be run: {error}"),
        })?;
        let (Some(input), Some(output), Some(errors)) = (ssh.stdin.take(), ssh.stdout.take(), ssh.stderr.take()) else {
            return Err(unreachable("`ssh` has no pipes".to_owned()));
        };
        match Client::new(input, output, SftpOptions::new()).await {
            Ok(client) => {
                // Read to the end, so that the process writing there never blocks.
                tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut { errors }, &mut tokio::io::sink()).await;
                });
                Ok(Session { client, ssh })
            }
            Err(error) => {
                let mut said = Vec::new();
                let _ = errors.take(4096).read_to_end(&mut said).await;
                let said = String::from_utf8_lossy(&said);
                let last = said.lines().rfind(|line| !line.trim().is_empty());
                let reason = last.map_or_else(|| error.to_string(), |line| line.trim().to_owned());
                // Errors of `ssh` about keys and names are not temporary.
                match ["denied", "verification failed", "not resolve", "subsystem"].iter().any(|w| reason.contains(w)) {
                    true => Err(RemoteError::Refused { at: self.name.clone(), reason }),
                    false => Err(unreachable(reason)),
                }
            }
        }
    }

    /// Runs an action in a session; a broken session is not reused.
    fn with<T>(&self, path: &str, action: impl AsyncFnOnce(&Client) -> Result<T, Trouble>) -> Result<T, RemoteError> {
        let session = self.session()?;
        let ended = self.runtime.block_on(action(&session.client));
        ended.map_err(|trouble| match trouble {
            Trouble::Ours(error) => error,
            Trouble::Theirs(Error::SftpError(kind, message)) => match kind {
                SftpErrorKind::NoSuchFile => RemoteError::Missing { at: self.name.clone(), path: path.to_owned() },
                _ => RemoteError::Refused { at: self.name.clone(), reason: format!("{path}: {message}") },
            },
            Trouble::Theirs(error) => {
                *self.session.lock().unwrap_or_else(PoisonError::into_inner) = None;
                RemoteError::Unreachable { at: self.name.clone(), reason: error.to_string() }
            }
        })
    }

    /// Makes sure that the folder is a store before anything is written into it.
    fn be_store(&self) -> Result<(), RemoteError> {
        let mut known = self.is_store.lock().unwrap_or_else(PoisonError::into_inner);
        if *known || self.has(MARKER)? {
            *known = true;
            return Ok(());
        }
        let refused = |reason: &str| RemoteError::Refused { at: self.name.clone(), reason: reason.to_owned() };
        let there = self.list(".").map(Option::unwrap_or_default)?;
        let ours = ["tmp", "objects", "records", "signatures", "catalogue"];
        if there.iter().any(|name| !ours.contains(&name.as_str())) {
            return Err(refused("the folder is not a store and not empty: choose an empty or new one"));
        }
        let marker = self.path(MARKER);
        self.with(MARKER, async |client| {
            make_folder_of(client, &marker).await?;
            make_folder_of(client, &format!("{}/tmp/x", self.folder)).await
        })?;
        let text = crate::marker();
        self.publish(MARKER, &mut text.as_bytes(), false)?;
        *known = true;
        Ok(())
    }

    /// Writes a file under a temporary name, then links it to its own name; returns whether that name was free. If
    /// `replace` is set, an existing file is removed: only a sender that found it damaged sends it again.
    fn publish(&self, path: &str, source: &mut dyn std::io::Read, replace: bool) -> Result<bool, RemoteError> {
        let target = self.path(path);
        let stamp = (std::process::id(), self.requests.load(Ordering::Relaxed), files::now());
        let temporary = self.path(&format!("tmp/{}-{}-{}", stamp.0, stamp.1, stamp.2));
        let unreadable = |error: std::io::Error| RemoteError::Refused {
            at: path.to_owned(),
            reason: format!("it cannot be read here: {error}"),
        };
        let result = self.with(path, async |client| {
            let new = async || client.options().write(true).create_new(true).open(&temporary).await;
            let mut file = match new().await {
                // A copied store can lack empty folders.
                Err(Error::SftpError(SftpErrorKind::NoSuchFile, _)) => {
                    make_folder_of(client, &temporary).await?;
                    new().await?
                }
                opened => opened?,
            };
            let mut buffer = vec![0; PIECE as usize];
            loop {
                let read = source.read(&mut buffer).map_err(|error| Trouble::Ours(unreadable(error)))?;
                if read == 0 {
                    break;
                }
                file.write_all(&buffer[..read]).await?;
            }
            let mut mode = Permissions::new();
            mode.set_read_by_owner(true).set_read_by_group(true).set_read_by_other(true);
            file.set_permissions(mode).await?;
            if client.support_fsync() {
                file.sync_all().await?;
            }
            file.close().await?;
            let mut fs = client.fs();
            let mut linked = link(client, &temporary, &target).await;
            if linked.is_err() && fs.metadata(&target).await.is_err() {
                make_folder_of(client, &target).await?;
                linked = link(client, &temporary, &target).await;
            }
            if replace && linked.is_err() && fs.metadata(&target).await.is_ok() {
                fs.remove_file(&target).await?;
                linked = link(client, &temporary, &target).await;
            }
            match linked {
                Ok(()) => Ok(true),
                // The protocol does not report why linking failed.
                Err(_) if fs.metadata(&target).await.is_ok() => Ok(false),
                Err(error) => Err(error.into()),
            }
        });
        // After a rename the temporary file is gone; after a failure it can still exist.
        let _ = self.with(path, async |client| Ok(client.fs().remove_file(&temporary).await?));
        result
    }
}

/// Links a file to its name, which must be free.
async fn link(client: &Client, from: &str, to: &str) -> Result<(), Error> {
    match client.support_hardlink() {
        true => client.fs().hard_link(from, to).await,
        false => client.fs().rename(from, to).await,
    }
}

/// Creates the parent folders of a file.
async fn make_folder_of(client: &Client, path: &str) -> Result<(), Trouble> {
    let folders: Vec<&str> = path.match_indices('/').map(|(at, _)| &path[..at]).filter(|f| !f.is_empty()).collect();
    let mut missing = Vec::new();
    for folder in folders.iter().rev() {
        if client.fs().metadata(folder).await.is_ok() {
            break;
        }
        missing.push(*folder);
    }
    for folder in missing.iter().rev() {
        if let Err(error) = client.fs().create_dir(folder).await
            && client.fs().metadata(folder).await.is_err()
        {
            return Err(error.into());
        }
    }
    Ok(())
}

/// An error of the remote or of this side.
enum Trouble {
    Theirs(Error),
    Ours(RemoteError),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Theirs(error)
    }
}

impl Transport for Sftp {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self, folder: &str) -> Result<Option<Vec<String>>, RemoteError> {
        let path = self.path(folder);
        let listed = self.with(folder, async |client| {
            let mut entries = std::pin::pin!(client.fs().open_dir(&path).await?.read_dir());
            let mut names = Vec::new();
            while let Some(entry) = entries.next().await {
                names.push(entry?.filename().to_string_lossy().into_owned());
            }
            names.retain(|name| name != "." && name != "..");
            Ok(names)
        });
        match listed {
            Err(RemoteError::Missing { .. }) => Ok(Some(Vec::new())),
            listed => listed.map(Some),
        }
    }

    fn size(&self, path: &str) -> Result<Option<u64>, RemoteError> {
        let at = self.path(path);
        match self.with(path, async |client| Ok(client.fs().metadata(&at).await?)) {
            Ok(found) => Ok(Some(found.len().unwrap_or(0))),
            Err(RemoteError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn get(&self, path: &str, from: u64, take: &mut Take<'_>) -> Result<(), RemoteError> {
        let at = self.path(path);
        self.with(path, async |client| {
            let mut file = std::pin::pin!(client.open(&at).await?);
            tokio::io::AsyncSeekExt::seek(&mut file, std::io::SeekFrom::Start(from)).await.map_err(Error::from)?;
            let mut place = from;
            while let Some(piece) = file.read(PIECE, bytes::BytesMut::new()).await? {
                take(place, &piece).map_err(Trouble::Ours)?;
                place += piece.len() as u64;
                // The client advances its position as if it had received all requested bytes.
                tokio::io::AsyncSeekExt::seek(&mut file, std::io::SeekFrom::Start(place)).await.map_err(Error::from)?;
            }
            Ok(())
        })
    }

    fn put(&self, file: &Outgoing<'_>) -> Result<(), RemoteError> {
        self.be_store()?;
        self.publish(file.path, &mut (file.open)()?, true).map(drop)
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<bool, RemoteError> {
        self.be_store()?;
        self.publish(path, &mut &bytes[..], false)
    }

    fn remove(&self, path: &str) -> Result<(), RemoteError> {
        let at = self.path(path);
        self.with(path, async |client| Ok(client.fs().remove_file(&at).await?))
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}
