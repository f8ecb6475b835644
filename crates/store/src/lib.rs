//! The store: immutable objects named by their hash, and records of what was computed, as files.
//!
//! Files are the truth. An object or record is written under a temporary name, synced and linked into
//! place, and never changed again; a record is published after its objects. What is read is hashed, and
//! what does not match its name is moved to `quarantine/`. The SQLite index ([`index`]) only makes
//! questions fast that the files answer too: it can be deleted at any moment. The store knows nothing
//! of what the stages compute.
//!
//! | path | what |
//! | --- | --- |
//! | `wdpipe-store` | the version of this layout |
//! | `objects/ab/cdef…` | an object: a header and its bytes ([`object`]) |
//! | `records/ab/cdef…/<digest>` | a record of the key `abcdef…` |
//! | `signatures/<digest>` | a batch of signatures under records ([`crate::sign::Batch`]); the folder is made with the first |
//! | `catalogue/NUMBER` | what others may have from here ([`catalogue`]); the folder is made with the first |
//! | `pins/<name>` | what somebody wants to keep ([`Pin`]); the folder is made with the first |
//! | `tmp/` | files that are being written |
//! | `claims/<key>` | locked by the process that works on a key |
//! | `quarantine/` | what was damaged |
//! | `index.sqlite` | the index, if nobody else writes to the store ([`Options::private`]) |

pub mod archive;
pub mod attestation;
mod bulk;
mod catalogue;
mod check;
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
pub use error::StoreError;
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
use index::{Index, Remembered};
use layout::Layout;
use object::ObjectError;
use sharing::Sharing;
use signatures::Signers;

/// Whether an object can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectState {
    /// Its bytes are there and are the right ones.
    Present,
    /// It is not there.
    Missing,
    /// It was there with wrong bytes, which have been moved to the quarantine.
    Damaged,
}

/// The right to compute a key, held by one process and thread at a time; ends with this value or with
/// the process.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "held for its drop")] files::Lock);

/// A store in a folder. Threads share it by reference; any number of processes use one folder at once.
#[derive(Debug)]
pub struct Store {
    layout: Layout,
    sharing: Sharing,
    index: Index,
    /// For every shard of `objects/`: how many objects were put into it, and how many of them have names
    /// that are known to be durable.
    shards: Vec<(AtomicU64, AtomicU64)>,
    /// Who signed which record; read when it is first asked for.
    signers: Mutex<Option<Signers>>,
    /// What may be remembered of the records that were read.
    noticed: Mutex<Vec<(StageKey, Remembered)>>,
    /// Whether the folders that every store has are known to be there.
    is_complete: AtomicBool,
}

impl Store {
    /// Opens a store; makes one if the folder is missing, or empty but for a `CACHEDIR.TAG`. A store on
    /// a read-only file system can be read.
    ///
    /// # Errors
    /// If the folder holds something else, was made by a newer program, or cannot be read or made.
    pub fn open(root: &Path) -> Result<Self, StoreError> {
        Self::open_with(root, &Options::default())
    }

    /// The same, knowing where this account may keep what others must not share.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(root: &Path, options: &Options) -> Result<Self, StoreError> {
        Self::of(Layout::open(root)?, options)
    }

    /// Opens a store that is there; makes none.
    ///
    /// # Errors
    /// As [`Store::open`], or if there is none.
    pub fn existing(root: &Path, options: &Options) -> Result<Self, StoreError> {
        let layout = Layout::find(root)?.ok_or_else(|| StoreError::NoStore(root.to_owned()))?;
        Self::of(layout, options)
    }

    /// What stands for a store that is not there: nothing is in it. It is only to be read.
    pub fn absent(root: &Path) -> Self {
        Self::with(Layout::absent(root), Sharing::of_none(), Index::open(None))
    }

    fn of(layout: Layout, options: &Options) -> Result<Self, StoreError> {
        let sharing = Sharing::of(layout.root())?;
        let index = Index::open(sharing.index(&layout, options));
        Ok(Self::with(layout, sharing, index))
    }

    fn with(layout: Layout, sharing: Sharing, index: Index) -> Self {
        let shards = (0..=u8::MAX).map(|_| Default::default()).collect();
        Self {
            layout,
            sharing,
            index,
            shards,
            signers: Mutex::default(),
            noticed: Mutex::default(),
            is_complete: AtomicBool::new(false),
        }
    }

    /// The store's folder.
    pub fn root(&self) -> &Path {
        self.layout.root()
    }

    /// The folder of files that are being written. Whoever writes asks for it: only then folders that are lacking are made.
    ///
    /// # Errors
    /// If one is lacking and cannot be made.
    pub fn drafts(&self) -> Result<PathBuf, StoreError> {
        if !self.is_complete.load(Ordering::Relaxed) {
            self.layout.mend()?;
            self.is_complete.store(true, Ordering::Relaxed);
        }
        Ok(self.layout.temporary())
    }

    /// Stores bytes under their hash. The right bytes that are there already are not written again;
    /// wrong ones are replaced.
    ///
    /// # Errors
    /// If the bytes are more than [`OBJECT_LIMIT`], or cannot be written; then nothing is stored.
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
        // Also if it was there: whoever wrote it may not have synced the folder yet.
        shard.fetch_add(1, Ordering::SeqCst);
        Ok(digest)
    }

    /// The bytes of an object, always hashed.
    ///
    /// # Errors
    /// If it is missing, unreadable, written by a newer program (then it is left alone), or damaged; the damaged file is
    /// moved to the quarantine first.
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
                true => self.damaged(digest, "its header has another version than its bytes", Some(identity)),
                false => StoreError::NewerObject { object: *digest, found, known: object::VERSION },
            });
        }
        match object::decode(file) {
            Ok(bytes) if ObjectDigest::of(&bytes) == *digest => {
                self.remember(digest, bytes.len() as u64, &identity, now);
                Ok(bytes)
            }
            Ok(_) => Err(self.damaged(digest, "its bytes have another hash", Some(identity))),
            Err(ObjectError(reason)) => Err(self.damaged(digest, &reason, Some(identity))),
        }
    }

    /// Hashes an object's bytes, whatever the index says.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn verify(&self, digest: &ObjectDigest) -> Result<(), StoreError> {
        self.get(digest).map(drop)
    }

    /// Whether an object is there with the right bytes. They are hashed again only if the file is not
    /// the one whose bytes were hashed last (by size, times and inode); a damaged one is moved to the
    /// quarantine, if it can be.
    ///
    /// # Errors
    /// If the file cannot be read, or a newer program wrote it.
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

    /// Whether a name that was looked for in vain is there after all: on a network it may stay unseen for half a minute
    /// after another machine has published it, unless its folder is listed.
    fn is_seen_anew(&self, path: &Path) -> bool {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let listed = path.parent().filter(|_| self.sharing.system.is_network).map(files::list);
        matches!(listed, Some(Ok(names)) if names.iter().any(|there| *there == *name))
    }

    /// Saves an object that is there, and is about to be referred to, from a collector that has seen it without a record.
    /// One of another account is left as it is.
    fn keep(&self, object: &ObjectDigest, raw: u64) {
        if let Some(file) = files::freshen(&self.layout.object(object)) {
            self.remember(object, raw, &file, files::now());
        }
    }

    /// Notes that the file held the right bytes at `now`, if it could not have changed unnoticed since.
    fn remember(&self, object: &ObjectDigest, raw: u64, file: &files::Identity, now: i64) {
        if file.is_settled(now) {
            self.index.remember_object(object, raw, file);
        }
    }

    /// Moves the file of a damaged object aside and says so.
    fn damaged(&self, object: &ObjectDigest, reason: &str, read: Option<files::Identity>) -> StoreError {
        self.index.forget_objects(&[*object]);
        let path = self.layout.object(object);
        let moved_to = self.quarantine(&path, &format!("object-{object}"), read).ok_or_else(|| self.in_the_way(&path));
        StoreError::Damaged { object: *object, reason: reason.to_owned(), moved_to }
    }

    /// Moves a file to the quarantine, if it still is the one that was read (another process may have
    /// replaced it by a good one meanwhile); `None` if it is not or cannot be moved.
    fn quarantine(&self, path: &Path, name: &str, read: Option<files::Identity>) -> Option<PathBuf> {
        let there = files::identity(path).ok()??;
        if read.is_some_and(|read| read != there) {
            return None;
        }
        let aside = self.layout.quarantine().join(format!("{name}-{}", files::now()));
        files::create_folder(&self.layout.quarantine()).ok()?;
        files::rename(path, &aside).ok()?.then_some(aside)
    }

    /// Why a damaged file could not be moved aside, and who can: in a shared store its owner, and the store's.
    fn in_the_way(&self, path: &Path) -> String {
        let (file, me, root) = (files::access(path), &self.sharing.account, self.root().display());
        let Some(owner) = file.ok().flatten().map(|file| file.owner).filter(|owner| *owner != me.user) else {
            return "it could not be moved aside".to_owned();
        };
        let (file, owner, keeper) =
            (path.display(), files::user_name(owner), files::user_name(self.sharing.access.owner));
        let who = if owner == keeper { owner.clone() } else { format!("{owner} (or {keeper}, whose the store is)") };
        format!(
            "{file} belongs to {owner} and is in the way: ask {who} to run `wdpipe cache check --cache {root}`, which \
                 moves it aside; until then work in another folder (--cache DIR)"
        )
    }

    /// Makes the names of all objects put so far into an object's folder durable.
    fn sync_object(&self, digest: &ObjectDigest) -> Result<(), StoreError> {
        let (put, durable) = &self.shards[usize::from(digest.as_bytes()[0])];
        let until = put.load(Ordering::SeqCst);
        if durable.load(Ordering::SeqCst) < until {
            files::sync_folder(&self.layout.object_shard(digest))?;
            durable.fetch_max(until, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Claims a key; `None` if another process or thread has it.
    ///
    /// # Errors
    /// If the lock cannot be created.
    pub fn claim(&self, key: &StageKey) -> Result<Option<Claim>, StoreError> {
        let claim = files::Lock::try_acquire(&self.layout.claim(key), &self.drafts()?)?.map(Claim);
        tracing::debug!(key = %key.short(), claimed = claim.is_some(), "claim");
        Ok(claim)
    }
}
