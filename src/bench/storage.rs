//! Measures writing checkpoints to a store and reading them.

use std::path::Path;
use std::time::Duration;

use super::{Measured, repeated};
use store::{Store, StoreError};

/// Approximate size in bytes of a checkpoint of the paper's ResNet-18.
const CHECKPOINT: usize = 45 << 20;

/// Durably writes and reads incompressible objects of 45 MiB in a new store in `folder`.
///
/// # Errors
/// If the store fails.
pub fn storage(folder: &Path, budget: Duration) -> Result<Vec<Measured>, StoreError> {
    let store = Store::open(folder)?;
    let mut bytes = vec![0; CHECKPOINT];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    let mut written = Vec::new();
    let writing = repeated(budget, || {
        // Different first bytes make it a different object.
        bytes[..8].copy_from_slice(&written.len().to_le_bytes());
        written.push(store.put(&bytes)?);
        Ok::<_, StoreError>(1)
    })?;
    let mut next = written.iter().rev().cycle();
    let reading = repeated(budget, || next.next().map_or(Ok(1), |object| store.get(object).map(|_| 1)))?;
    let measured = |what, seconds| Measured::new(what, (1.0, "checkpoints"), CHECKPOINT as f64, seconds);
    Ok(vec![measured("store write", writing), measured("store read", reading)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let measured = storage(folder.path(), Duration::ZERO).unwrap();
        assert!(measured.iter().all(|m| m.count() == 3 && m.seconds(0.5) > 0.0));
    }
}
