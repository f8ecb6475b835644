//! The store: immutable objects named by their hash, and records of what was computed, as files.
//!
//! Files are the source of truth. An object or record is written under a temporary name, synced, linked into place,
//! and never changed again; a record is published after its objects. Every file is hashed when it is read, and a file
//! that does not match its name is moved to `quarantine/`. The SQLite index ([`index`]) only speeds up queries that
//! the files can answer too: it can be deleted at any time. The store knows nothing of what the stages compute.
//!
//! | path | content |
//! | --- | --- |
//! | `wdpipe-store` | the version of this layout |
//! | `objects/ab/cdef…` | an object: a header and its bytes ([`object`]) |
//! | `records/ab/cdef…/<digest>` | a record of the key `abcdef…` |
//! | `signatures/<digest>` | a batch of signatures of records ([`crate::sign::Batch`]); the folder is created with the first |
//! | `catalogue/NUMBER` | what others can fetch from this store ([`catalogue`]); the folder is created with the first |
//! | `pins/<name>` | what a user wants to keep ([`Pin`]); the folder is created with the first |
//! | `tmp/` | files that are being written |
//! | `claims/<key>` | who works on a key ([`Claim`]); locked by that process |
//! | `quarantine/` | damaged files |
//! | `index.sqlite` | the index, if nobody else writes to the store ([`Options::private`]) |

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files of every kind"))]

pub mod archive;
pub mod attestation;
mod bulk;
mod catalogue;
mod check;
mod claims;
mod document;
mod error;
mod faults;
mod find;
mod gc;
mod index;
mod layout;
pub mod lockfile;
mod object;
mod pins;
mod recall;
mod records;
pub mod remote;
mod restore;
mod share;
mod sharing;
pub mod sign;
mod signatures;
mod stream;
#[cfg(test)]
mod tests;
mod usage;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub use bulk::{Bulk, BulkDone, Examined};
pub use catalogue::{
    Catalogue, FOLDER as CATALOGUE, Listed, ListedOutput, PART_LIMIT, Part, Signed, part_name, part_number,
    parts_to_read,
};
pub use check::{CheckReport, KindStats, Progress, Stats};
pub use claims::{Claim, Claiming, Holder, HolderName, Note};
pub use error::{Refusal, StoreError};
pub use gc::{GcDone, GcPlan, GcPolicy, PlannedObject};
pub use layout::{MARKER, batch_path, marker, object_path, record_path};
pub use object::OBJECT_LIMIT;
pub use pins::{NotAPinName, Pin, PinName};
pub use recall::{Held, Recall, Witnesses};
pub use records::Timing;
pub use share::{Shared, share};
pub use sharing::{Finding, Options};
pub use usage::Occupied;

use base::digest::{ObjectDigest, StageKey};
use claims::Claims;
use index::{Index, Remembered};
use layout::Layout;
use object::ObjectError;
use sharing::Sharing;
use signatures::Signers;

/// Whether an object can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectState {
    /// The object is in the store and its bytes are correct.
    Present,
    /// The object is not in the store.
    Missing,
    /// The object had wrong bytes; its file has been moved to the quarantine.
    Damaged,
}

/// A store in a folder. Threads share it by reference; any number of processes can use one folder at once.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    sharing: Sharing,
    index: Index,
    claims: Claims,
    /// For every shard of `objects/`: the number of objects put into it, and the number of those whose names are
    /// known to be durable.
    shards: Vec<(AtomicU64, AtomicU64)>,
    /// Who signed which record; read on first use.
    signers: Mutex<Option<Signers>>,
    /// Facts about the records read so far that can be remembered.
    noticed: Mutex<Vec<(StageKey, Remembered)>>,
    /// Whether the folders that every store has are known to exist.
    is_complete: AtomicBool,
}

impl Store {
    /// Opens a store. Creates one if the folder is missing, or empty except for a `CACHEDIR.TAG`. A store on a
    /// read-only file system can be read.
    ///
    /// # Errors
    /// If the folder holds something else, was created by a newer program, or cannot be read or created.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_with(root, &Options::default())
    }

    /// Opens a store as [`Store::open`] does, with options that say where this account can keep its private files.
    ///
    /// # Errors
    /// See [`Store::open`].
    pub fn open_with(root: &Path, options: &Options) -> Result<Self, StoreError> {
        Self::of(Layout::open(root)?, options)
    }

    /// Opens an existing store. Does not create a store.
    ///
    /// # Errors
    /// If [`Store::open`] would fail, or if there is no store.
    pub fn existing(root: &Path, options: &Options) -> Result<Self, StoreError> {
        let layout = Layout::find(root)?.ok_or_else(|| StoreError::NoStore(root.to_owned()))?;
        Self::of(layout, options)
    }

    /// Returns an empty stand-in for a store that does not exist. It must only be read.
    pub fn absent(root: &Path) -> Self {
        Self::with(Layout::absent(root), Sharing::of_none(), Index::open(None), &Options::default())
    }

    fn of(layout: Layout, options: &Options) -> Result<Self, StoreError> {
        let sharing = Sharing::of(layout.root())?;
        let index = Index::open(sharing.index(&layout, options, &files::system));
        Ok(Self::with(layout, sharing, index, options))
    }

    fn with(layout: Layout, sharing: Sharing, index: Index, options: &Options) -> Self {
        let shards = (0..=u8::MAX).map(|_| Default::default()).collect();
        Self {
            claims: Claims::new(options.holder.clone(), options.heartbeat, sharing.system),
            layout,
            sharing,
            index,
            shards,
            signers: Mutex::default(),
            noticed: Mutex::default(),
            is_complete: AtomicBool::new(false),
        }
    }

    /// Returns the store's folder.
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    /// Returns the folder in which runs of several workers keep their state, each in a private folder of its own.
    pub fn runs(&self) -> PathBuf {
        self.layout.runs()
    }

    /// Returns the folder of files that are being written. Every writer calls this, and only then are missing folders
    /// created.
    ///
    /// # Errors
    /// If a folder is missing and cannot be created.
    pub fn drafts(&self) -> Result<PathBuf, StoreError> {
        if !self.is_complete.load(Ordering::Relaxed) {
            self.layout.mend()?;
            self.is_complete.store(true, Ordering::Relaxed);
        }
        Ok(self.layout.temporary())
    }

    /// Stores bytes under their hash. If the object exists, it is not written again; wrong bytes are replaced.
    ///
    /// # Errors
    /// If there are more bytes than [`OBJECT_LIMIT`], or they cannot be written. In that case, nothing is stored.
    pub fn put(&self, bytes: &[u8]) -> Result<ObjectDigest, StoreError> {
        let digest = ObjectDigest::of(bytes);
        let shard = &self.shards[usize::from(digest.as_bytes()[0])].0;
        tracing::debug!(object = %digest.short(), bytes = bytes.len(), "put");
        if self.state(&digest)? == ObjectState::Present {
            self.keep(&digest, bytes.len() as u64);
        } else {
            let (header, compressed) = object::encode(bytes)?;
            let body = compressed.as_deref().unwrap_or(bytes);
            match files::publish(&self.drafts()?, &self.layout.object(&digest), &[&header, body])? {
                Some(file) => self.remember(&digest, bytes.len() as u64, &file, files::now()),
                // Another process was faster, or a damaged file could not be moved out of the way.
                None => drop(self.get(&digest)?),
            }
        }
        // Count an object that existed too, because its writer may not have synced the folder yet.
        shard.fetch_add(1, Ordering::SeqCst);
        Ok(digest)
    }

    /// Reads the bytes of an object and checks their hash.
    ///
    /// # Errors
    /// If it is missing, unreadable, written by a newer program (then it is left alone), or damaged; a damaged file
    /// is moved to the quarantine first.
    pub fn get(&self, digest: &ObjectDigest) -> Result<Vec<u8>, StoreError> {
        let path = self.layout.object(digest);
        let now = files::now();
        let (file, identity) = match files::read_identified(&path, object::FILE_LIMIT) {
            Ok(read) => read,
            Err(error) if error.is_missing() => return Err(StoreError::Missing(*digest)),
            Err(error) if error.source.kind() == std::io::ErrorKind::FileTooLarge => {
                return Err(self.damaged(digest, "the file is larger than any object", None));
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(found) = object::newer(&file) {
            return Err(match object::is_of_known_version(file, digest) {
                true => self.damaged(digest, "the version in its header is wrong", Some(identity)),
                false => StoreError::NewerObject { object: *digest, found, known: object::VERSION },
            });
        }
        match object::decode(file) {
            Ok(bytes) if ObjectDigest::of(&bytes) == *digest => {
                self.remember(digest, bytes.len() as u64, &identity, now);
                Ok(bytes)
            }
            Ok(_) => Err(self.damaged(digest, "its bytes have the wrong hash", Some(identity))),
            Err(ObjectError(reason)) => Err(self.damaged(digest, &reason, Some(identity))),
        }
    }

    /// Hashes an object's bytes, regardless of the index.
    ///
    /// # Errors
    /// See [`Store::get`].
    pub fn verify(&self, digest: &ObjectDigest) -> Result<(), StoreError> {
        self.get(digest).map(drop)
    }

    /// Returns whether an object is in the store with the right bytes. The bytes are hashed again only if the file's size,
    /// times or inode have changed since the last hash. A damaged file is moved to the quarantine if possible.
    ///
    /// # Errors
    /// If the file cannot be read, or was written by a newer program.
    pub fn state(&self, digest: &ObjectDigest) -> Result<ObjectState, StoreError> {
        let path = self.layout.object(digest);
        let mut there = files::identity(&path)?;
        if there.is_none() && self.is_seen_anew(&path) {
            there = files::identity(&path)?;
        }
        let Some(identity) = there else { return Ok(ObjectState::Missing) };
        if self.index.knows_object(digest, &identity) {
            return Ok(ObjectState::Present);
        }
        match self.read_object::<StoreError>(digest, &mut |_| Ok(())) {
            Ok(_) => Ok(ObjectState::Present),
            Err(StoreError::Missing(_)) => Ok(ObjectState::Missing),
            Err(StoreError::Damaged { .. }) => Ok(ObjectState::Damaged),
            Err(error) => Err(error),
        }
    }

    /// Checks whether a name that was not found exists after all: on a network file system, a name published by
    /// another machine can stay invisible for half a minute unless its folder is listed.
    fn is_seen_anew(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let listed = path.parent().filter(|_| self.sharing.system.is_network).map(files::list);
        matches!(listed, Some(Ok(names)) if names.iter().any(|there| *there == *name))
    }

    /// Protects an existing object that is about to be referenced from a collector that has seen it without a record.
    /// An object of another account is left unchanged.
    fn keep(&self, object: &ObjectDigest, raw: u64) {
        if let Some(file) = files::freshen(&self.layout.object(object)) {
            self.remember(object, raw, &file, files::now());
        }
    }

    /// Remembers that the file held the right bytes at `now`, unless it could have changed unnoticed since.
    fn remember(&self, object: &ObjectDigest, raw: u64, file: &files::Identity, now: i64) {
        if file.is_settled(now) {
            self.index.remember_object(object, raw, file);
        }
    }

    /// Moves the file of a damaged object aside and returns the error.
    fn damaged(&self, object: &ObjectDigest, reason: &str, read: Option<files::Identity>) -> StoreError {
        self.index.forget_objects(&[*object]);
        let path = self.layout.object(object);
        let moved_to = self.quarantine(&path, &format!("object-{object}"), read).ok_or_else(|| self.in_the_way(&path));
        StoreError::Damaged { object: *object, reason: reason.to_owned(), moved_to }
    }

    /// Moves a file to the quarantine if it is still the one that was read (another process may have replaced it by a
    /// good one in the meantime). Returns `None` if it was replaced or cannot be moved.
    fn quarantine(&self, path: &Path, name: &str, read: Option<files::Identity>) -> Option<PathBuf> {
        let there = files::identity(path).ok()??;
        if read.is_some_and(|read| read != there) {
            return None;
        }
        let aside = self.layout.quarantine().join(format!("{name}-{}", files::now()));
        files::create_folder(&self.layout.quarantine()).ok()?;
        files::rename(path, &aside).ok()?.then_some(aside)
    }

    /// Explains why a damaged file could not be moved aside and who can move it: in a shared store, the owner of the
    /// file or of the store.
    fn in_the_way(&self, path: &Path) -> String {
        let (file, me, root) = (files::access(path), &self.sharing.account, self.root().display());
        let Some(owner) = file.ok().flatten().map(|file| file.owner).filter(|owner| *owner != me.user) else {
            return "it could not be moved aside".to_owned();
        };
        let (file, owner, keeper) =
            (path.display(), files::user_name(owner), files::user_name(self.sharing.access.owner));
        let who = if owner == keeper { owner.clone() } else { format!("{owner} (or {keeper}, who owns the store)") };
        format!(
            "{file} belongs to {owner} and is in the way: ask {who} to run `wdpipe cache check --cache {root}`, which \
                 moves it aside; until then work in another folder (--cache DIR)"
        )
    }

    /// Makes the names of all objects put into an object's folder so far durable.
    fn sync_object(&self, digest: &ObjectDigest) -> Result<(), StoreError> {
        let (put, durable) = &self.shards[usize::from(digest.as_bytes()[0])];
        let until = put.load(Ordering::SeqCst);
        if durable.load(Ordering::SeqCst) < until {
            files::sync_folder(&self.layout.object_shard(digest))?;
            durable.fetch_max(until, Ordering::SeqCst);
        }
        Ok(())
    }
}
