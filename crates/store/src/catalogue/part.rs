//! One part of a catalogue, and its file: compressed blocks of entries, each preceded by its lengths, and a checksum at
//! the end.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::damaged;
use crate::sign::Batch;
use base::codec::{self, CodecError, Format};
use base::digest::{BatchDigest, ObjectDigest, RecordDigest, StageKey};
use base::record::Record;

const FORMAT: Format = Format { magic: *b"WDca", version: 1, name: "part of a catalogue" };

/// Maximum number of bytes of a part's file (enough to list some two million records).
pub const PART_LIMIT: u64 = 256 << 20;

/// Maximum number of unpacked bytes of a part.
const UNPACKED_LIMIT: usize = 1 << 30;

/// Number of entries of a block.
const BLOCK: usize = 2000;

/// Maximum number of unpacked bytes of a block.
const BLOCK_LIMIT: usize = 16 << 20;

/// A listed record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// Key of the record.
    pub key: StageKey,
    /// Name of the record.
    pub record: RecordDigest,
    /// Size of its file in bytes.
    pub bytes: u64,
    /// Its outputs: with these, the keys of dependent stages are known before the record is fetched.
    pub outputs: Vec<ListedOutput>,
}

/// An output of a listed record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedOutput {
    /// Name of the output.
    pub name: String,
    /// Hash of its bytes.
    pub object: ObjectDigest,
    /// Number of bytes.
    pub bytes: u64,
    /// Whether the bytes are stored in the record.
    pub inline: bool,
}

/// A listed batch of signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Name of the batch.
    pub batch: BatchDigest,
    /// Size of its file in bytes.
    pub bytes: u64,
    /// Prefixes of the names of the signed records.
    pub records: Vec<u64>,
}

/// The entries of one part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Objects that were removed.
    pub gone: Vec<ObjectDigest>,
    /// Objects with the sizes of their files in bytes.
    pub objects: Vec<(ObjectDigest, u64)>,
    /// Listed records.
    pub records: Vec<Listed>,
    /// Listed batches of signatures.
    pub signatures: Vec<Signed>,
}

/// Returns the prefix of a record's name, which is used to find signatures.
pub(super) fn prefix(record: &RecordDigest) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *record.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Listed {
    /// Returns the entry of a record.
    pub fn of(digest: RecordDigest, record: &Record, bytes: u64) -> Self {
        let outputs = record.outputs.iter().map(|output| ListedOutput {
            name: output.name.clone(),
            object: output.object,
            bytes: output.bytes,
            inline: output.inline.is_some(),
        });
        Self { key: record.parts.key(), record: digest, bytes, outputs: outputs.collect() }
    }
}

impl Signed {
    /// Returns the entry of a batch of signatures.
    pub fn of(digest: BatchDigest, batch: &Batch) -> Self {
        let bytes = batch.to_bytes().map_or(0, |(_, bytes)| bytes.len() as u64);
        Self { batch: digest, bytes, records: batch.records().iter().map(prefix).collect() }
    }
}

impl Part {
    /// Whether the part lists nothing.
    pub fn is_empty(&self) -> bool {
        let Self { gone, objects, records, signatures } = self;
        gone.is_empty() && objects.is_empty() && records.is_empty() && signatures.is_empty()
    }

    /// Adds the entries of a later part.
    pub fn extend(&mut self, later: &Self) {
        let gone: HashSet<_> = later.gone.iter().collect();
        self.objects.retain(|(object, _)| !gone.contains(object));
        if !self.gone.is_empty() {
            let back: HashSet<_> = later.objects.iter().map(|(object, _)| object).collect();
            self.gone.retain(|object| !back.contains(object));
        }
        self.gone.extend(&later.gone);
        self.gone.sort_unstable();
        self.gone.dedup();
        self.objects.extend(&later.objects);
        self.records.extend(later.records.iter().cloned());
        self.signatures.extend(later.signatures.iter().cloned());
    }

    /// Splits the part into blocks that are small enough for the codec.
    fn blocks(&self) -> Vec<Self> {
        let mut blocks = Vec::new();

        blocks.extend(self.gone.chunks(BLOCK).map(|gone| Self { gone: gone.to_vec(), ..Self::default() }));
        blocks.extend(self.objects.chunks(BLOCK).map(|o| Self { objects: o.to_vec(), ..Self::default() }));
        blocks.extend(self.records.chunks(BLOCK).map(|r| Self { records: r.to_vec(), ..Self::default() }));
        // One batch can be large.
        blocks.extend(self.signatures.iter().map(|s| Self { signatures: vec![s.clone()], ..Self::default() }));
        blocks
    }

    /// Returns the bytes of its file.
    ///
    /// # Errors
    /// If the part lists too much.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        let (mut bytes, mut unpacked) = (Vec::new(), 0);
        for block in self.blocks() {
            let raw = codec::encode(FORMAT, &block)?;
            unpacked += raw.len();
            // The same limits apply when reading.
            if raw.len() > BLOCK_LIMIT || unpacked > UNPACKED_LIMIT {
                return Err(damaged("it lists too much for one file"));
            }
            let packed = zstd::bulk::compress(&raw, 3).map_err(|error| damaged(error.to_string()))?;
            let length = |length: usize| u32::try_from(length).map_err(|_| damaged("a block is too large"));
            bytes.extend(length(raw.len())?.to_le_bytes());
            bytes.extend(length(packed.len())?.to_le_bytes());
            bytes.extend(packed);
        }
        bytes.extend(blake3::hash(&bytes).as_bytes());
        if bytes.len() as u64 > PART_LIMIT { Err(damaged("it lists too much for one file")) } else { Ok(bytes) }
    }

    /// Parses a part's file; safe on untrusted bytes.
    ///
    /// # Errors
    /// If it is not a part, is damaged, or has another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let Some((mut rest, checksum)) = bytes.split_last_chunk::<32>() else {
            return Err(damaged("it ends too soon"));
        };
        if blake3::hash(rest) != *checksum {
            return Err(damaged("its checksum is wrong"));
        }
        let (mut part, mut unpacked) = (Self::default(), 0);
        while let Some((raw, after)) = rest.split_first_chunk::<4>() {
            let Some((packed, after)) = after.split_first_chunk::<4>() else { break };
            let (raw, packed) = (u32::from_le_bytes(*raw) as usize, u32::from_le_bytes(*packed) as usize);
            unpacked += raw;
            let Some((block, after)) = after.split_at_checked(packed) else { return Err(damaged("it ends too soon")) };
            if raw > BLOCK_LIMIT || unpacked > UNPACKED_LIMIT {
                return Err(damaged("it is too large when unpacked"));
            }
            let block = zstd::bulk::decompress(block, raw).map_err(|error| damaged(error.to_string()))?;
            let Self { gone, objects, records, signatures } = codec::decode(FORMAT, &block)?;
            part.gone.extend(gone);
            part.objects.extend(objects);
            part.records.extend(records);
            part.signatures.extend(signatures);
            rest = after;
        }
        if rest.is_empty() { Ok(part) } else { Err(damaged("bytes are left over")) }
    }
}
