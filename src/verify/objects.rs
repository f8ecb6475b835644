//! Level *objects*: every object of a figure's closure is present and hashes to its name.

use std::collections::BTreeSet;

use super::{Check, Evidence, Level, Verdict};
use store::{Store, StoreError};

/// Hashes every object of a lock's closure in a store, regardless of the index. Damaged ones are moved aside.
///
/// # Errors
/// If the store cannot be read.
pub fn objects(evidence: &Evidence<'_>, store: &Store) -> Result<Check, StoreError> {
    let mut check = Check::new(Level::Objects);
    let stages = evidence.lock.stages.len();
    let unknown: Vec<_> = evidence.unknown().map(|stage| stage.name.as_str()).collect();
    if let [first, ..] = unknown[..] {
        let what = format!("the records of {} of {stages} stages are missing, such as {first}", unknown.len());
        check.found(Verdict::Missing, what);
    }
    let (mut seen, mut bytes, mut missing) = (BTreeSet::new(), 0, Vec::new());
    for (stage, record) in evidence.known() {
        for output in record.outputs.iter().filter(|output| seen.insert(output.object)) {
            bytes += output.bytes;
            if output.inline.is_some() {
                continue;
            }
            match store.verify(&output.object) {
                Ok(()) => {}
                Err(StoreError::Missing(_)) => missing.push(format!("{} of {}", output.name, stage.name)),
                Err(error @ StoreError::Damaged { .. }) => {
                    check.found(Verdict::Differs, format!("{} of {}: {error}", output.name, stage.name));
                }
                Err(error) => return Err(error),
            }
        }
    }
    if let [first, ..] = &missing[..] {
        let what = format!("the bytes of {} objects are missing, such as {first}", missing.len());
        check.found(Verdict::Missing, what);
    }
    let present = seen.len() - missing.len();
    Ok(check.summed_up(format!("{present} of {} objects ({bytes} bytes) hashed", seen.len())))
}
