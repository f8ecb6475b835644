//! Locks: a lock that was read is consistent, and writing and reading it again preserves it. If the first byte is odd,
//! the checksum at the end is corrected, so that the fuzzer gets past it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use base::digest::ObjectDigest;
use store::lockfile::{Lock, LockError};
use wdpipe_fuzz::mode;

fuzz_target!(|input: &[u8]| {
    let Some((mode, bytes)) = mode(input) else { return };
    // The list that accompanies the lock, if it needs one, follows a zero byte.
    let (text, list) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    let Ok(mut text) = String::from_utf8(text.to_vec()) else { return };
    if mode % 2 == 1 {
        text.truncate(text.rfind("# checksum ").unwrap_or(text.len()));
        text += &format!("# checksum {}\n", ObjectDigest::of(text.as_bytes()));
    }
    let list = || Ok::<_, LockError>(list.get(1..).unwrap_or_default().to_vec());
    let Ok(lock) = Lock::from_text(&text, list) else { return };
    let drawing = lock.drawing().expect("a lock that was read has a drawing");
    assert_eq!(drawing.kind, "figure");
    let written = lock.to_text().expect("a parsed value can be written");
    let again = Lock::from_text(&written.lock, || Ok::<_, LockError>(written.list.clone().unwrap_or_default()));
    assert_eq!(again.as_ref(), Ok(&lock));
    assert_eq!(again.expect("as above").root(), lock.root());
});
