//! A remote in a folder.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use super::{Outgoing, RemoteError, Take, Transport};
use crate::{Catalogue, MARKER, Store, StoreError};
use files::{Batch, Draft, FsError};

/// Number of files after which waiting files are published together.
const TOGETHER: usize = 20_000;

/// A remote in a folder.
pub struct Folder {
    store: Store,
    root: PathBuf,
    name: String,
    waiting: Mutex<Batch>,
    requests: AtomicU64,
}

impl Folder {
    /// Opens a folder that holds a store; `make` says whether to create a missing store.
    pub fn open(root: &Path, make: bool) -> Result<Self, RemoteError> {
        let name = root.display().to_string();
        if !make && files::identity(root).map_err(refused(&name))?.is_none() {
            let reason = "does not exist: correct the path in remotes.toml, or send results there with `wdpipe push`";
            return Err(RemoteError::NoStore { at: name, reason: reason.to_owned() });
        }
        if !make && files::identity(&root.join(MARKER)).map_err(refused(&name))?.is_none() {
            return Err(RemoteError::Missing { at: name, path: "wdpipe-store: it is not a store".to_owned() });
        }
        let store = Store::open(root).map_err(|error| match error {
            StoreError::NotAFolder(_) => RemoteError::Refused { at: name.clone(), reason: error.to_string() },
            error => error.into(),
        })?;
        Ok(Self { store, root: root.to_owned(), name, waiting: Mutex::default(), requests: AtomicU64::new(0) })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.root.join(path)
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Batch> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refused(at: &str) -> impl Fn(FsError) -> RemoteError {
    move |error| RemoteError::Refused { at: at.to_owned(), reason: error.to_string() }
}

impl Transport for Folder {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self, folder: &str) -> Result<Option<Vec<String>>, RemoteError> {
        Ok(Some(files::list(&self.path(folder)).map_err(refused(&self.name))?))
    }

    fn size(&self, path: &str) -> Result<Option<u64>, RemoteError> {
        Ok(files::identity(&self.path(path)).map_err(refused(&self.name))?.map(|file| file.size))
    }

    fn holds(&self, path: &str, _: u64) -> Result<bool, RemoteError> {
        match self.store.is_sound(path) {
            // Written by a newer program; this one cannot check it.
            Err(StoreError::NewerObject { .. } | StoreError::Record { .. }) => Ok(true),
            sound => Ok(sound?),
        }
    }

    fn get(&self, path: &str, from: u64, take: &mut Take<'_>) -> Result<(), RemoteError> {
        let (mut file, _) = files::open(&self.path(path)).map_err(|error| match error.is_missing() {
            true => RemoteError::Missing { at: self.name.clone(), path: path.to_owned() },
            false => refused(&self.name)(error),
        })?;
        let broken = |error: std::io::Error| RemoteError::Refused { at: self.name.clone(), reason: error.to_string() };
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(from)).map_err(broken)?;
        super::transfer::pieces(&mut file, &broken, from, take)
    }

    fn put(&self, file: &Outgoing<'_>) -> Result<(), RemoteError> {
        let target = self.path(file.path);
        let refused = refused(&self.name);
        if files::identity(&target).map_err(&refused)?.is_some() {
            // Checking a damaged file moves it out of the way.
            if self.store.is_sound(file.path)? {
                return Ok(());
            }
            if files::identity(&target).map_err(&refused)?.is_some() {
                let reason = format!(
                    "{} is damaged and cannot be moved aside: ask its owner to run `wdpipe cache check --cache {}`",
                    target.display(),
                    self.name
                );
                return Err(RemoteError::Refused { at: self.name.clone(), reason });
            }
        }
        let mut draft = Draft::new(&self.store.drafts()?).map_err(&refused)?;
        let broken = |error: std::io::Error| RemoteError::Refused { at: self.name.clone(), reason: error.to_string() };
        super::transfer::pieces(&mut (file.open)()?, &broken, 0, &mut |_, piece| {
            draft.append(piece).map_err(&refused)
        })?;
        let mut waiting = self.waiting();
        waiting.add(draft, target).map_err(&refused)?;
        if waiting.len() >= TOGETHER {
            waiting.publish().map_err(&refused)?;
        }
        Ok(())
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<bool, RemoteError> {
        let published =
            files::publish(&self.store.drafts()?, &self.path(path), &[bytes]).map_err(refused(&self.name))?;
        Ok(published.is_some())
    }

    fn remove(&self, path: &str) -> Result<(), RemoteError> {
        files::remove(&self.path(path)).map(drop).map_err(refused(&self.name))
    }

    fn settle(&self) -> Result<(), RemoteError> {
        self.waiting().publish().map(drop).map_err(refused(&self.name))
    }

    fn contents(&self) -> Result<Option<Catalogue>, RemoteError> {
        Ok(Some(self.store.contents()?))
    }

    fn relist(&self) -> Result<bool, RemoteError> {
        // The catalogue shows results computed here to others who read this folder through a web server.
        self.store.list_all()?;
        Ok(true)
    }

    fn is_near(&self) -> bool {
        true
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}
