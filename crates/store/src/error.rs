//! What can go wrong with a store, in words.

use std::path::PathBuf;

use super::OBJECT_LIMIT;
use base::codec::CodecError;
use base::digest::{ObjectDigest, StageKey};
use files::FsError;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file system refused.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The folder holds something else.
    #[error("{} is not a wdpipe store and not empty: name an empty or new folder", .0.display())]
    NotAStore(PathBuf),
    /// There is no store where one is to be read.
    #[error("there is no store at {}", .0.display())]
    NoStore(PathBuf),
    /// A file lies where the folder should.
    #[error("{} is a file, and a store is a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The store was made by a newer program.
    #[error("the store {} has layout version {found}, but this wdpipe ({PROGRAM}) knows version {known}: use {}",
        path.display(), wanted(needs.as_deref(), *found))]
    Version {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version of this program.
        known: u32,
        /// The wdpipe that it says it needs.
        needs: Option<String>,
    },
    /// The store has no such object.
    #[error("object {0} is not in the store")]
    Missing(ObjectDigest),
    /// The object's file did not hold the bytes that its name says; it is no longer in use.
    #[error("object {object} is damaged: {reason}{}", aside(moved_to))]
    Damaged {
        /// The object.
        object: ObjectDigest,
        /// What is wrong with the file.
        reason: String,
        /// Where the file lies now, or why it lies where it did, and who can help.
        moved_to: Result<PathBuf, String>,
    },
    /// A newer program wrote it; it is left alone.
    #[error(
        "object {object} has format version {found}, but this wdpipe ({PROGRAM}) reads version {known}: use a wdpipe that \
         reads {found}"
    )]
    NewerObject {
        /// The object.
        object: ObjectDigest,
        /// The version of its file.
        found: u16,
        /// The version of this program.
        known: u16,
    },
    /// A pin that cannot be read or made.
    #[error("pin {}: {reason}", path.display())]
    Pin {
        /// Its file.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// Larger than any object may be.
    #[error("an object of {bytes} bytes is larger than the limit of {OBJECT_LIMIT} bytes")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// A store cannot be given to a group by an account that is not in it.
    #[error(
        "you are not in the group {group}, so you cannot share anything with it: if you were added to it since you \
             logged in, `newgrp {group}`; else ask who manages this machine"
    )]
    NotInGroup {
        /// Its name.
        group: String,
    },
    /// The bytes that were to be stored could not be read.
    #[error("cannot read what was to be stored: {0}")]
    Source(std::io::Error),
    /// The bytes that were given are not those of the object.
    #[error("the bytes given for object {0} have another hash or length")]
    Another(ObjectDigest),
    /// A record that this program cannot write, or that another version of it wrote.
    #[error("record {path}: {source}", path = path.display())]
    Record {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        source: CodecError,
    },
    /// A batch of signatures that cannot be written.
    #[error("signatures {path}: {source}", path = path.display())]
    Signatures {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        source: CodecError,
    },
    /// Objects cannot be removed while stages run whose inputs are not known to be kept.
    #[error("{} running stage(s) may read what would be removed: wait until they are finished", .0.len())]
    Busy(Vec<StageKey>),
}

/// The version of this program.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// What is to be used for a layout.
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

    /// Whether the store may be read but not written.
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Fs(error) if error.is_read_only())
    }
}
