//! Batches of signatures: reading and writing preserves the bytes, and the records of a batch are sorted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::sign::{Batch, PublicKey, Signature};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(batch) = Batch::from_bytes(bytes) {
        assert_eq!(batch.to_bytes().expect("a parsed value can be written").1, bytes);
        assert!(batch.records().windows(2).all(|pair| pair[0] < pair[1]));
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(key) = text.parse::<PublicKey>() {
            assert_eq!(key.to_string(), text, "a key has one text");
        }
        if let Ok(signature) = text.parse::<Signature>() {
            assert_eq!(signature.to_string(), text);
        }
    }
});
