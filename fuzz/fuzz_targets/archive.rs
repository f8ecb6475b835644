//! Archives of numbers: an archive that was read is complete and matches its header. The first byte selects how much of
//! the wrapping is correct from the start: nothing, the checksum at the end, or also the compression. With the last value, the frame
//! can be packed against a reference.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use store::archive::{Numbers, read_numbers};
use wdpipe_fuzz::{folder, mode, sealed};

/// Unpacked numbers of the reference.
const PREFIX: &[u8] = b"a reference of many bytes that are not an archive's, since only its packing is checked";

/// Makes a folder with a reference; returns the path beside it, and the hash at its end.
fn beside() -> &'static (PathBuf, Vec<u8>) {
    static BESIDE: OnceLock<(PathBuf, Vec<u8>)> = OnceLock::new();
    BESIDE.get_or_init(|| {
        let folder = folder("archive");
        let packed = zstd::bulk::compress(PREFIX, 1).expect("a frame");
        let reference = sealed([&b"WDar\x01\x00"[..], &packed].concat());
        fs::write(folder.join("r.wdpipe"), &reference).expect("a reference");
        (folder.join("x.wdpipe"), reference[reference.len() - 32..].to_vec())
    })
}

fuzz_target!(|input: &[u8]| {
    let Some((mode, bytes)) = mode(input) else { return };
    let read = match mode % 4 {
        0 => Numbers::from_bytes(bytes),
        1 => Numbers::from_bytes(&sealed(bytes.to_vec())),
        2 => {
            let Ok(packed) = zstd::bulk::compress(bytes, 1) else { return };
            Numbers::from_bytes(&sealed([&b"WDar\x01\x00"[..], &packed].concat()))
        }
        _ => {
            let (path, end) = beside();
            let file = sealed([&b"WDar\x02\x00\x08r.wdpipe"[..], end, bytes].concat());
            fs::write(path, file).expect("a file");
            read_numbers(path)
        }
    };
    let Ok(numbers) = read else { return };
    let closure = numbers.closure();
    assert!(closure.gaps().is_empty());
    assert_eq!((closure.root(), closure.members.len()), (numbers.header.root, numbers.records.len()));
    assert_eq!(closure.figure().map(|figure| figure.key), Some(numbers.header.key));
});
