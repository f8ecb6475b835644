//! Records images and weights that a user imports, as if they were outputs of a stage.

use crate::engine::Import;
use crate::project::Failure;
use base::digest::{ObjectDigest, RecordDigest};
use base::record::{Output, Provenance, Record};
use base::work::Source;
use learn::weights::Weights;
use store::Store;

/// Weights that were imported.
pub struct ImportedWeights {
    /// Hash of the weights.
    pub object: ObjectDigest,
    /// Digest of their record.
    pub digest: RecordDigest,
    /// Whether other weights had the name before.
    pub replaced: bool,
}

/// A data set that was imported.
pub struct ImportedData {
    /// Digest of its record.
    pub digest: RecordDigest,
    /// The previous import under this name.
    pub before: Before,
}

/// The previous import under the name of a data set.
pub enum Before {
    /// There was no previous import.
    Nothing,
    /// The same bytes, at this time (seconds since 1970).
    Same(u64),
    /// Other bytes.
    Other,
}

/// Records weights under a name that the user chose. `content` is their stored form.
///
/// # Errors
/// If the store cannot be read or written.
pub fn record_weights(
    store: &Store,
    name: &str,
    weights: &Weights,
    content: &[u8],
    provenance: Provenance,
) -> Result<ImportedWeights, Failure> {
    let object = store.put(content)?;
    let record = Record {
        parts: Import::Weights(name).parts(),
        outputs: vec![Output { name: "weights".to_owned(), object, bytes: content.len() as u64, inline: None }],
        tensors: weights.digests().map(|(name, digest)| (name.to_owned(), digest)).collect(),
        provenance,
    };
    let before = store.records(&record.parts.key())?;
    let replaced = before.first().is_some_and(|(_, newest)| !newest.same_outputs(&record));
    Ok(ImportedWeights { object, digest: store.publish_newest(record)?, replaced })
}

/// Records a data set, given the bytes of its training and test images. The newest import is the one that is used, so a data
/// set is recorded again even if it was imported before.
///
/// # Errors
/// If the store cannot be read or written.
pub fn record_data(
    store: &Store,
    source: Source,
    images: [&[u8]; 2],
    provenance: Provenance,
) -> Result<ImportedData, Failure> {
    let mut outputs = Vec::new();
    for (name, content) in ["train", "test"].into_iter().zip(images) {
        let object = store.put(content)?;
        outputs.push(Output { name: name.to_owned(), object, bytes: content.len() as u64, inline: None });
    }
    let record = Record { parts: Import::Data(source).parts(), outputs, tensors: Vec::new(), provenance };
    let all = store.records(&record.parts.key())?;
    let before = match all.iter().find(|(_, other)| other.same_outputs(&record)) {
        Some((_, same)) => Before::Same(same.provenance.finished),
        None if all.is_empty() => Before::Nothing,
        None => Before::Other,
    };
    Ok(ImportedData { digest: store.publish_newest(record)?, before })
}

/// Finds the record of a data set, if it was imported.
///
/// # Errors
/// If the store cannot be read.
pub fn imported_data(store: &Store, source: Source) -> Result<Option<Record>, Failure> {
    Ok(store.record(&Import::Data(source).parts().key())?)
}
