//! What several fuzz targets need.

use std::path::PathBuf;

/// A folder for one target's files: in memory if the system has such a place, removed by nobody, used again.
pub fn folder(target: &str) -> PathBuf {
    let memory = PathBuf::from("/dev/shm");
    let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let folder = base.join(format!("wdpipe-fuzz-{target}-{}", std::process::id()));
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
