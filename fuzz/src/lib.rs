//! Helpers that several fuzz targets share.

use std::path::PathBuf;

/// Makes a folder for one target's files, in the system's folder for temporary files (`TMPDIR`), which ci/fuzz makes
/// and removes.
pub fn folder(target: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("wdpipe-fuzz-{target}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the target");
    folder
}

/// Splits the first byte from the rest.
pub fn mode(bytes: &[u8]) -> Option<(u8, &[u8])> {
    bytes.split_first().map(|(first, rest)| (*first, rest))
}

/// Appends the hash that ends an archive to some bytes.
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let seal = blake3::Hasher::new_derive_key("wdpipe 2026 archive v1").update(&bytes).finalize();
    bytes.extend(seal.as_bytes());
    bytes
}
