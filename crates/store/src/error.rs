//! Errors of the store and their messages.

use std::path::PathBuf;

use super::OBJECT_LIMIT;
use base::codec::CodecError;
use base::digest::{ObjectDigest, StageKey};
use files::FsError;

/// Why a record of others is not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason.
    pub reason: String,
    /// What admits it.
    pub hint: String,
}

/// Why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system reported an error.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The folder is neither empty nor a store.
    #[error("{} is not a wdpipe store and not empty: {advice}", path.display())]
    NotAStore {
        /// The folder.
        path: PathBuf,
        /// What to do.
        advice: String,
    },
    /// There is no store in a place to be read.
    #[error("there is no store at {}", .0.display())]
    NoStore(PathBuf),
    /// There is a file where the folder should be.
    #[error("{} is a file, but a store must be a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The store was created by a newer program.
    #[error("the store {} has layout version {found}, but this wdpipe ({PROGRAM}) knows version {known}: use {}",
        path.display(), wanted(needs.as_deref(), *found))]
    Version {
        /// Path of the store.
        path: PathBuf,
        /// Version of its layout.
        found: u32,
        /// Version that this program knows.
        known: u32,
        /// The version of wdpipe that the store says it needs.
        needs: Option<String>,
    },
    /// The store has no such object.
    #[error("object {0} is not in the store")]
    Missing(ObjectDigest),
    /// The object's file did not hold the bytes that its name promises; the file is no longer used.
    #[error("object {object} is damaged: {reason}{}", aside(moved_to))]
    Damaged {
        /// The object.
        object: ObjectDigest,
        /// What is wrong with the file.
        reason: String,
        /// Where the file is now, or why it could not be moved and who can help.
        moved_to: Result<PathBuf, String>,
    },
    /// The object was written by a newer program; it is left alone.
    #[error(
        "object {object} has format version {found}, but this wdpipe ({PROGRAM}) reads version {known}: use a wdpipe that \
         reads {found}"
    )]
    NewerObject {
        /// The object.
        object: ObjectDigest,
        /// Version of its file.
        found: u16,
        /// Newest version that this program reads.
        known: u16,
    },
    /// A pin that cannot be read or created.
    #[error("pin {}: {reason}", path.display())]
    Pin {
        /// Path of its file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// An object larger than the limit.
    #[error("an object of {bytes} bytes is larger than the limit of {OBJECT_LIMIT} bytes")]
    TooLarge {
        /// Size of the object in bytes.
        bytes: u64,
    },
    /// The account tried to share a store with a group that it does not belong to.
    #[error(
        "you are not in the group {group}, so you cannot share anything with it: if you were added to it after you \
             logged in, run `newgrp {group}`; otherwise ask the administrator of this machine"
    )]
    NotInGroup {
        /// Name of the group.
        group: String,
    },
    /// The bytes to be stored could not be read.
    #[error("cannot read the bytes to be stored: {0}")]
    Source(std::io::Error),
    /// The given bytes are not those of the object.
    #[error("the bytes given for object {0} have the wrong hash or length")]
    Another(ObjectDigest),
    /// A record that this program cannot write, or that another version of it wrote.
    #[error("record {path}: {source}", path = path.display())]
    Record {
        /// Path of its file.
        path: PathBuf,
        /// What is wrong.
        source: CodecError,
    },
    /// A batch of signatures that cannot be written.
    #[error("signatures {path}: {source}", path = path.display())]
    Signatures {
        /// Path of its file.
        path: PathBuf,
        /// What is wrong.
        source: CodecError,
    },
    /// Objects cannot be removed while stages are running whose inputs are not known to be kept.
    #[error("{} running stage(s) may read objects that would be removed: wait until they finish", .0.len())]
    Busy(Vec<StageKey>),
}

/// The version of this program.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// Which wdpipe to use for a layout.
fn wanted(needs: Option<&str>, layout: u32) -> String {
    needs.map_or_else(
        || format!("a newer wdpipe, one that knows layout {layout}"),
        |needs| format!("wdpipe {needs} or newer"),
    )
}

fn aside(moved: &Result<PathBuf, String>) -> String {
    match moved {
        Ok(to) => format!(" (moved to {})", to.display()),
        Err(why) => format!("; {why}"),
    }
}

impl StoreError {
    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Fs(error) if error.is_disk_full())
    }

    /// Whether the store can be read but not written.
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Fs(error) if error.is_read_only())
    }
}
