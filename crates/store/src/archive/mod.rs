//! Archives: everything that a figure depends on in one file; equal contents give equal bytes.
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | `WDar` |
//! | 2 | version of this format, little-endian: 1 if it is packed alone, 2 if against a reference |
//! | 1 + n + 32 | only in version 2: length and name of the reference's file; the hash at the end of the reference |
//! | … | a zstd frame: the [`Header`], then the *numbers*: records, batches of signatures, objects that are not bulk |
//! | … | only in an archive of everything: a second frame: the bulk objects (weights, images) |
//! | 32 | BLAKE3 (derived key, see the code) of all bytes before |
//!
//! Within the frames, every entry is its length (8 bytes, little-endian) and its bytes: the header as [`codec`]
//! encodes it, records and batches as they are stored, objects raw. The header holds the number of entries of each
//! kind. The name of an entry is the hash of its bytes and is not written, so no entry can have another's name;
//! entries of a kind are unique and in ascending order of their names.
//!
//! There are many similar records and tables: they share a frame, with a window over all of them. Weights hardly
//! compress: their frame is compressed lightly. So an archive of numbers is small enough to be committed next to its
//! figure, and an archive of everything is the same plus a second frame.
//!
//! The archives of figures with mostly the same records, such as those of one pipeline, can be packed against the archive
//! of one of these figures in the same folder ([`mod@reference`]).
//!
//! An archive is untrusted until it has been checked: the whole file is hashed before anything in it is read; every
//! size is checked against a limit before memory is allocated ([`limits`]); and its contents must be exactly what its
//! figure needs ([`Numbers::check`]).

mod entries;
mod import;
mod limits;
mod numbers;
mod reference;
#[cfg(test)]
mod tests;
mod write;

use serde::{Deserialize, Serialize};

pub use import::{Admission, Admitted, Imported, import};
pub use limits::{BATCH_LIMIT, ENTRY_LIMIT, NUMBERS_LIMIT};
pub use numbers::{Numbers, read_numbers};
pub use reference::{ReferenceName, reference};
pub use write::{Exported, export, repack};

use crate::{Refusal, StoreError};
use base::codec::{self, CodecError, Format};
use base::digest::{ClosureRoot, ObjectDigest, RecordDigest, StageKey};
use files::FsError;

const MAGIC: [u8; 4] = *b"WDar";
/// Versions of the format: packed alone, and packed against a reference.
const ALONE: u16 = 1;
const AGAINST: u16 = 2;
const HEADER: Format = Format { magic: *b"WDah", version: 1, name: "archive header" };

/// Number of bytes after the last frame.
const TRAILER: u64 = 32;

/// Returns the hasher for the hash at the end of an archive.
fn hasher() -> blake3::Hasher {
    blake3::Hasher::new_derive_key("wdpipe 2026 archive v1")
}

/// Which part of a figure's closure is in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Records, signatures and tables.
    Numbers,
    /// Everything, including weights and images if the store had them.
    All,
}

/// Header of an archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Name of the figure, such as `fig3`.
    pub figure: String,
    /// Key of the figure.
    pub key: StageKey,
    /// Root of its closure.
    pub root: ClosureRoot,
    /// Record of the figure.
    pub record: RecordDigest,
    /// Which part of the closure the archive holds.
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
    /// Returns the number of entries.
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

/// Why an archive could not be written or imported.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The archive cannot be read or written piece by piece.
    #[error("cannot read or write the archive: {0}")]
    Io(#[from] std::io::Error),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Git LFS has not downloaded the file.
    #[error("it {}", files::IS_POINTER)]
    Pointer,
    /// The file is not an archive.
    #[error("not a wdpipe archive")]
    NotThis,
    /// The archive was written by another version of the program.
    #[error("it has format version {found}, but this wdpipe reads versions {ALONE} and {AGAINST}: use a newer wdpipe")]
    Version {
        /// Version of the archive.
        found: u16,
    },
    /// The bytes were changed.
    #[error("its checksum is wrong: it was altered or cut off; get it again")]
    Checksum,
    /// The archive is packed against another one, which is missing or differs.
    #[error("it holds only what {file} in the same folder does not hold, and {file} {problem}")]
    Reference {
        /// Name of the file of the other archive.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The checksum is right, but the contents are not an archive of a figure.
    #[error("invalid archive: {0}")]
    Refused(String),
    /// A record is not admitted.
    #[error("the record of `{stage}` is not admitted: {}", .refusal.reason)]
    NotAdmitted {
        /// Name of its stage.
        stage: String,
        /// Why, and what admits it.
        refusal: Refusal,
    },
    /// Importing the record would replace a different import that stages start from.
    #[error("`{0}` in the archive differs from the one that was imported here")]
    OtherImport(String),
    /// An object that the archive must contain is not in the store.
    #[error("output `{output}` of `{stage}` is not in the store (object {object})")]
    Missing {
        /// The stage.
        stage: String,
        /// The output.
        output: String,
        /// Object of the output.
        object: ObjectDigest,
    },
}

/// Returns an error for an invalid archive.
fn refused<T>(reason: impl Into<String>) -> Result<T, ArchiveError> {
    Err(ArchiveError::Refused(reason.into()))
}
