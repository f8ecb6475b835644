//! Images in their stored form, and in possible archives of CIFAR.
#![no_main]

use std::io::Write;
use std::path::PathBuf;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use learn::data::{IMAGE_BYTES, Images, import};
use wdpipe_fuzz::{folder, mode};

static ARCHIVE: LazyLock<PathBuf> = LazyLock::new(|| folder("images").join("archive.tar.gz"));

/// Tries to import an archive. It cannot be a complete data set, which has 170 MB.
fn refused(archive: &[u8]) {
    std::fs::write(&*ARCHIVE, archive).expect("the archive");
    let error = import(&ARCHIVE).expect_err("too small to be a data set").to_string();
    assert!(error.contains("archive.tar.gz"), "every message names the file: {error}");
}

fuzz_target!(|input: &[u8]| {
    let Some((mode, bytes)) = mode(input) else { return };
    match mode {
        0 => {
            let Ok(images) = Images::from_bytes(bytes) else { return };
            assert_eq!(images.pixels.len(), images.len() * IMAGE_BYTES);
            assert!(images.labels.iter().all(|&label| u32::from(label) < images.classes));
            let written = images.to_bytes().expect("a parsed value can be written");
            assert_eq!(Images::from_bytes(&written).expect("a written value can be read"), images);
            if let Ok(subset) = images.subset(images.len() / 2, 1, "fuzz") {
                assert_eq!(subset.len(), images.len() / 2);
            }
        }
        1 => refused(bytes),
        // The archive's checksum and compression would stop the fuzzer, so they are added here.
        _ => {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::none());
            gzip.write_all(bytes).expect("into memory");
            refused(&gzip.finish().expect("into memory"));
        }
    }
});
