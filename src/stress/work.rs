//! The contents written and read in the race. They follow from a number, so that readers can check them.

use base::digest::{ObjectDigest, StageKey};
use base::record::{KeyParts, Output, Provenance, Record};
use base::rng::Stream;
use base::value::{Map, Value};

/// Numbers below this are written before the race; the odd ones may be collected during it.
pub(super) const OLD: u64 = 40;

/// Upper bound of the numbers.
pub(super) const MOST: u64 = 20_000;

/// Returns the bytes of a number: up to a quarter of a MiB, mostly few; some are compressible.
pub(super) fn content(number: u64) -> Vec<u8> {
    let mut stream = Stream::new(number, "torture", &[]);
    let limit = if number.is_multiple_of(5) { 256 << 10 } else { 8 << 10 };
    let length = stream.below(limit) as usize;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        let word = stream.next_u64().to_le_bytes();
        (0..if number.is_multiple_of(3) { 40 } else { 1 }).for_each(|_| bytes.extend(word));
    }
    bytes.truncate(length);
    bytes
}

/// Returns the record of a number, whose only output is its bytes.
pub(super) fn record(number: u64) -> Record {
    let bytes = content(number);
    let output =
        Output { name: "bytes".to_owned(), object: ObjectDigest::of(&bytes), bytes: bytes.len() as u64, inline: None };
    Record {
        parts: parts(number),
        outputs: vec![output],
        tensors: Vec::new(),
        provenance: Provenance { stage: "torture".to_owned(), finished: 1, ..Provenance::default() },
    }
}

fn parts(number: u64) -> KeyParts {
    KeyParts {
        kind: "torture".to_owned(),
        version: 1,
        parameters: [("number".to_owned(), Value::Int(number.cast_signed()))].into(),
        inputs: [].into(),
        policy: Map::new(),
    }
}

/// Returns the key of a number.
pub(super) fn key(number: u64) -> StageKey {
    parts(number).key()
}
