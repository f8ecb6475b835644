//! Object files: both ways of reading agree, and neither returns bytes that are not the object's.
#![no_main]

use std::io::Read;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use base::digest::ObjectDigest;
use store::{Store, StoreError};
use wdpipe_fuzz::{folder, mode};

/// Largest number of unpacked bytes that are compared.
const LIMIT: u64 = 1 << 20;

static STORE: LazyLock<(PathBuf, Store)> = LazyLock::new(|| {
    let root = folder("object");
    let store = Store::open(&root).expect("a new store");
    (root, store)
});

/// Reads a file in both ways; returns the bytes if they match the name.
fn read(name: ObjectDigest, file: &[u8]) -> Option<Vec<u8>> {
    let (root, store) = &*STORE;
    let digits = name.to_string();
    let path = root.join("objects").join(&digits[..2]).join(&digits[2..]);
    let put = || std::fs::write(&path, file).expect("the object's file");
    put();
    let whole = store.get(&name);
    put();
    let mut pieces = Vec::new();
    let taken = store.read_object(&name, &mut |piece: &[u8]| {
        pieces.extend_from_slice(piece);
        Ok::<(), StoreError>(())
    });
    let _ = std::fs::remove_file(&path);
    for moved in std::fs::read_dir(root.join("quarantine")).into_iter().flatten().flatten() {
        let _ = std::fs::remove_file(moved.path());
    }
    assert_eq!(whole.is_ok(), taken.is_ok(), "{whole:?} {taken:?}");
    let bytes = whole.ok()?;
    assert_eq!((bytes.len() as u64, &bytes), (taken.expect("as above"), &pieces));
    assert_eq!(ObjectDigest::of(&bytes), name);
    Some(bytes)
}

fuzz_target!(|input: &[u8]| {
    let Some((mode, bytes)) = mode(input) else { return };
    match mode {
        // A file without changes, under the name that is correct if its bytes are uncompressed.
        0 => drop(read(ObjectDigest::of(bytes.get(16..).unwrap_or_default()), bytes)),
        // A stored object can be read again.
        1 => {
            let name = STORE.1.put(bytes).expect("can be stored");
            assert_eq!(STORE.1.get(&name).expect("was stored"), bytes);
            let digits = name.to_string();
            let _ = std::fs::remove_file(STORE.0.join("objects").join(&digits[..2]).join(&digits[2..]));
        }
        // Compressed bytes with the correct checksum and a possibly wrong length.
        _ => {
            let Some((length, body)) = bytes.split_first_chunk::<3>() else { return };
            let [a, b, c] = *length;
            let length = u64::from(u32::from_le_bytes([a, b, c, 0]));
            let mut raw = Vec::new();
            let decoder = zstd::stream::read::Decoder::with_buffer(body);
            let unpacked = decoder.is_ok_and(|decoder| decoder.take(LIMIT).read_to_end(&mut raw).is_ok());
            let hash = blake3::hash(body);
            let file = [b"WDob\x01\0\x01\0", &length.to_le_bytes()[..], &hash.as_bytes()[..8], body].concat();
            if let Some(found) = read(ObjectDigest::of(&raw), &file) {
                assert!(unpacked && found == raw && raw.len() as u64 == length);
            }
        }
    }
});
