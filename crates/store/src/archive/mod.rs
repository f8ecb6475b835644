//! Archives: all that is behind one figure in one file, the same bytes for the same contents.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | `WDar` |
//! | 2 | version of this format, little-endian |
//! | … | a zstd frame: the [`Header`], then the *numbers*: records, batches of signatures, objects that are not bulk |
//! | … | of an archive of everything, a second frame: the bulk objects (weights, images) |
//! | 32 | BLAKE3 (derived key, see the code) of all bytes before |
//!
//! Within the frames every entry is its length (8 bytes, little-endian) and its bytes: the header as [`codec`] encodes
//! it, records and batches as they are stored, objects raw. How many of each kind there are stands in the header. An
//! entry's name is the hash of its bytes and not written, so nothing can go under another's; entries of a kind are in
//! ascending order of their names, each once.
//!
//! Records and tables are many and alike: they share a frame, with a window over all of them. Weights hardly compress:
//! theirs is compressed lightly. So an archive of numbers is small enough to be committed beside its figure, and that of
//! everything is the same with a second frame.
//!
//! An archive is hostile until it is checked: it is hashed whole before anything in it is looked at; every size is held
//! to a limit before it is allocated ([`limits`]); and what is in it must be exactly what its figure needs
//! ([`Numbers::check`]).

mod entries;
mod import;
mod limits;
mod numbers;
#[cfg(test)]
mod tests;
mod write;

use serde::{Deserialize, Serialize};

pub use import::{Admission, Admitted, Imported, import};
pub use limits::{BATCH_LIMIT, ENTRY_LIMIT, NUMBERS_LIMIT};
pub use numbers::{Numbers, read_numbers};
pub use write::{Exported, export};

use crate::StoreError;
use base::codec::{self, CodecError, Format};
use base::digest::{ClosureRoot, ObjectDigest, RecordDigest, StageKey};
use files::FsError;

const MAGIC: [u8; 4] = *b"WDar";
const VERSION: u16 = 1;
const HEADER: Format = Format { magic: *b"WDah", version: 1, name: "archive header" };

/// Bytes before the first frame, and after the last.
const START: u64 = 6;
const TRAILER: u64 = 32;

/// The hash that ends an archive.
fn hasher() -> blake3::Hasher {
    blake3::Hasher::new_derive_key("wdpipe 2026 archive v1")
}

/// How much of a figure's closure is in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Records, signatures and tables.
    Numbers,
    /// Also weights and images, as far as they were there.
    All,
}

/// What an archive says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The figure's name, such as `fig3`.
    pub figure: String,
    /// Its key.
    pub key: StageKey,
    /// The root of its closure: what it was made from.
    pub root: ClosureRoot,
    /// Its record.
    pub record: RecordDigest,
    /// What is in the archive.
    pub scope: Scope,
    /// Number of records.
    pub records: u32,
    /// Number of batches of signatures.
    pub batches: u32,
    /// Number of objects that are not bulk.
    pub objects: u32,
    /// Number of bulk objects.
    pub bulk: u32,
}

impl Header {
    /// Number of entries.
    pub fn entries(&self) -> u64 {
        [self.records, self.batches, self.objects, self.bulk].into_iter().map(u64::from).sum()
    }

    fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        codec::encode(HEADER, self)
    }

    fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        codec::decode(HEADER, bytes)
    }
}

/// Why an archive could not be made, or is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The same, while it is read or written bit by bit.
    #[error("cannot read or write the archive: {0}")]
    Io(#[from] std::io::Error),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Something else.
    #[error("not a wdpipe archive")]
    NotThis,
    /// Written by another version of the program.
    #[error("an archive of format version {found}, but this wdpipe reads version {VERSION}: use a newer wdpipe")]
    Version {
        /// The version found.
        found: u16,
    },
    /// Not the bytes that were written.
    #[error("its checksum is not that of its bytes: it was altered or cut off, get it again")]
    Checksum,
    /// Its bytes are what somebody wrote, but they are no archive of a figure.
    #[error("not to be used: {0}")]
    Refused(String),
    /// A record is not to be had from this archive.
    #[error("the record of `{stage}` is not admitted: {reason}")]
    NotAdmitted {
        /// What its stage was called.
        stage: String,
        /// Why.
        reason: String,
    },
    /// Bringing it in would change what other stages start from.
    #[error("`{0}` in the archive is another than the one that was imported here")]
    OtherImport(String),
    /// What an archive must have is not in the store.
    #[error("the bytes of output `{output}` of `{stage}` are not here ({object})")]
    Missing {
        /// The stage.
        stage: String,
        /// The output.
        output: String,
        /// Its object.
        object: ObjectDigest,
    },
}

/// Makes an error of what is wrong in an archive.
fn refused<T>(reason: impl Into<String>) -> Result<T, ArchiveError> {
    Err(ArchiveError::Refused(reason.into()))
}
