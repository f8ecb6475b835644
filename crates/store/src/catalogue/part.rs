//! One part of a catalogue, and its file: blocks of entries, compressed, behind their lengths; a checksum at the end.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::damaged;
use crate::sign::Batch;
use base::codec::{self, CodecError, Format};
use base::digest::{BatchDigest, ObjectDigest, RecordDigest, StageKey};
use base::record::Record;

const FORMAT: Format = Format { magic: *b"WDca", version: 1, name: "part of a catalogue" };

/// No part's file has more bytes (it would list some two million records).
pub const PART_LIMIT: u64 = 256 << 20;

/// No part has more bytes when unpacked.
const UNPACKED_LIMIT: usize = 1 << 30;

/// Entries of a block.
const BLOCK: usize = 2000;

/// Bytes of a block when unpacked, at most.
const BLOCK_LIMIT: usize = 16 << 20;

/// An outcome of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The key.
    pub key: StageKey,
    /// The record's name.
    pub record: RecordDigest,
    /// Bytes of its file.
    pub bytes: u64,
    /// What came out: with this the keys of what follows are known before the record is fetched.
    pub outputs: Vec<ListedOutput>,
}

/// An output of a listed record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedOutput {
    /// Its name.
    pub name: String,
    /// The hash of its bytes.
    pub object: ObjectDigest,
    /// How many bytes it has.
    pub bytes: u64,
    /// Whether the bytes are in the record.
    pub inline: bool,
}

/// A batch of signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Its name.
    pub batch: BatchDigest,
    /// Bytes of its file.
    pub bytes: u64,
    /// The beginnings of the names of the records that are signed.
    pub records: Vec<u64>,
}

/// What one part lists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Objects that are no longer there.
    pub gone: Vec<ObjectDigest>,
    /// Objects with the bytes of their files.
    pub objects: Vec<(ObjectDigest, u64)>,
    /// Records.
    pub records: Vec<Listed>,
    /// Signatures.
    pub signatures: Vec<Signed>,
}

/// The beginning of a record's name, by which signatures are found.
pub(super) fn prefix(record: &RecordDigest) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *record.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

impl Listed {
    /// Lists a record.
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
    /// Lists a batch of signatures.
    pub fn of(digest: BatchDigest, batch: &Batch) -> Self {
        let bytes = batch.to_bytes().map_or(0, |(_, bytes)| bytes.len() as u64);
        Self { batch: digest, bytes, records: batch.records().iter().map(prefix).collect() }
    }
}

impl Part {
    /// Whether it lists nothing.
    pub fn is_empty(&self) -> bool {
        let Self { gone, objects, records, signatures } = self;
        gone.is_empty() && objects.is_empty() && records.is_empty() && signatures.is_empty()
    }

    /// Adds what a later part lists.
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

    /// In blocks that are small enough for the codec.
    fn blocks(&self) -> Vec<Self> {
        let mut blocks = Vec::new();

        blocks.extend(self.gone.chunks(BLOCK).map(|gone| Self { gone: gone.to_vec(), ..Self::default() }));
        blocks.extend(self.objects.chunks(BLOCK).map(|o| Self { objects: o.to_vec(), ..Self::default() }));
        blocks.extend(self.records.chunks(BLOCK).map(|r| Self { records: r.to_vec(), ..Self::default() }));
        // One may be large.
        blocks.extend(self.signatures.iter().map(|s| Self { signatures: vec![s.clone()], ..Self::default() }));
        blocks
    }

    /// The bytes of its file.
    ///
    /// # Errors
    /// If it lists too much.
    pub fn to_bytes(&self) -> Result<Vec<u8>, CodecError> {
        let (mut bytes, mut unpacked) = (Vec::new(), 0);
        for block in self.blocks() {
            let raw = codec::encode(FORMAT, &block)?;
            unpacked += raw.len();
            // As it is read.
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

    /// Reads the file; safe on untrusted bytes.
    ///
    /// # Errors
    /// If it is no such file, damaged, or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        let Some((mut rest, checksum)) = bytes.split_last_chunk::<32>() else {
            return Err(damaged("it ends too soon"));
        };
        if blake3::hash(rest) != *checksum {
            return Err(damaged("it has another checksum"));
        }
        let (mut part, mut unpacked) = (Self::default(), 0);
        while let Some((raw, after)) = rest.split_first_chunk::<4>() {
            let Some((packed, after)) = after.split_first_chunk::<4>() else { break };
            let (raw, packed) = (u32::from_le_bytes(*raw) as usize, u32::from_le_bytes(*packed) as usize);
            unpacked += raw;
            let Some((block, after)) = after.split_at_checked(packed) else { return Err(damaged("it ends too soon")) };
            if raw > BLOCK_LIMIT || unpacked > UNPACKED_LIMIT {
                return Err(damaged("it unpacks to more than it may"));
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
