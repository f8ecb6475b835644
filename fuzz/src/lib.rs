//! What several fuzz targets need.

use std::path::PathBuf;

/// A folder for one target's files, in the system's folder for such (`TMPDIR`), which ci/fuzz makes and removes.
pub fn folder(target: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("wdpipe-fuzz-{target}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for the target");
    folder
}

/// The first byte, and what is behind it.
pub fn mode(bytes: &[u8]) -> Option<(u8, &[u8])> {
    bytes.split_first().map(|(first, rest)| (*first, rest))
}

/// Bytes with the hash behind them that ends an archive.
pub fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let seal = blake3::Hasher::new_derive_key("wdpipe 2026 archive v1").update(&bytes).finalize();
    bytes.extend(seal.as_bytes());
    bytes
}
