//! Archives of numbers: an archive that was read is complete and matches its header. The first byte selects how much of
//! the wrapping is correct from the start: nothing, the checksum at the end, or also the compression.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::archive::Numbers;
use wdpipe_fuzz::{mode, sealed};

fuzz_target!(|input: &[u8]| {
    let Some((mode, bytes)) = mode(input) else { return };
    let file = match mode % 3 {
        0 => bytes.to_vec(),
        1 => sealed(bytes.to_vec()),
        _ => {
            let Ok(packed) = zstd::bulk::compress(bytes, 1) else { return };
            sealed([&b"WDar\x01\x00"[..], &packed].concat())
        }
    };
    let Ok(numbers) = Numbers::from_bytes(&file) else { return };
    let closure = numbers.closure();
    assert!(closure.gaps().is_empty());
    assert_eq!((closure.root(), closure.members.len()), (numbers.header.root, numbers.records.len()));
    assert_eq!(closure.figure().map(|figure| figure.key), Some(numbers.header.key));
});
