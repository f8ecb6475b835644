//! Levels *files* and *records*: compares the committed files and the records beside the lock with the lock.

use std::collections::BTreeMap;

use super::{Check, Evidence, Level, Verdict};
use crate::reports::{Place, bare, stamp_of};
use base::digest::ObjectDigest;
use base::unlocked::host_programs;
use files::FsError;
use store::archive::Numbers;
use store::lockfile::{LINE_ENDS, Lock};

/// Returns which aspect of a figure a file shows, by its extension.
fn layer(extension: &str) -> &'static str {
    match extension {
        "csv" => "the plotted numbers",
        "svg" => "the drawing",
        "png" => "the pixels",
        _ => "the page",
    }
}

/// Returns the bytes with Unix line ends.
fn without_cr(bytes: &[u8]) -> Vec<u8> {
    let is_kept = |place: &usize| !bytes[*place..].starts_with(b"\r\n");
    (0..bytes.len()).filter(is_kept).map(|place| bytes[place]).collect()
}

/// Compares the committed files with a lock. For a file that differs, it reports whether the drawing or the embedded
/// information differs.
///
/// # Errors
/// If a file cannot be read.
pub fn files(lock: &Lock, place: &Place) -> Result<Check, FsError> {
    let mut check = Check::new(Level::Files);
    let stamp = stamp_of(lock);
    for (extension, hash) in &lock.files {
        let path = place.path(extension);
        let Some(bytes) = place.read(extension)? else {
            check.found(
                Verdict::Missing,
                format!("{0} is not there: `git checkout -- {0}` restores it", path.display()),
            );
            continue;
        };
        let content = bare(extension, &bytes);
        let same_content = content
            .as_ref()
            .is_ok_and(|(bare, _)| extension != "csv" && Some(ObjectDigest::of(bare)) == lock.output(extension));
        if ObjectDigest::of(&bytes) == *hash {
            // The lock itself might list a file with a wrong stamp.
            let says = content.ok().and_then(|(_, says)| says);
            if extension != "csv" && (says != stamp || !same_content) {
                check.found(Verdict::Differs, format!("{} does not carry the lock's key and root", path.display()));
            }
        } else if same_content {
            let what = format!("{}: the drawing matches the lock, but the embedded stamp differs", path.display());
            check.found(Verdict::Differs, what);
        } else {
            let (verdict, what) = if files::is_pointer(&bytes) {
                (Verdict::Missing, format!(" {}", files::IS_POINTER))
            } else if ObjectDigest::of(&without_cr(&bytes)) == *hash {
                (Verdict::Differs, format!(": {LINE_ENDS}"))
            } else {
                let path = path.display();
                let layer = layer(extension);
                let what = format!(": the bytes differ from the lock: {layer}; `git checkout -- {path}` restores them");
                (Verdict::Differs, what)
            };
            check.found(verdict, format!("{}{what}", path.display()));
        }
    }
    let root = lock.root().short();
    let (files, stages) = (lock.files.len(), lock.stages.len());
    Ok(check.summed_up(format!("{files} files, lock of {stages} stages, root {root}")))
}

/// Returns the drawings in the committed files, without stamps, as far as they are those of a lock. A figure that a command
/// has drawn needs them, because they are not among the numbers beside the lock.
///
/// # Errors
/// If a file cannot be read.
pub fn drawings(lock: &Lock, place: &Place) -> Result<BTreeMap<ObjectDigest, Vec<u8>>, FsError> {
    let mut found = BTreeMap::new();
    for extension in lock.files.keys() {
        let bytes = place.read(extension)?.unwrap_or_default();
        let Ok((bytes, _)) = bare(extension, &bytes) else { continue };
        let object = ObjectDigest::of(&bytes);
        if lock.output(extension) == Some(object) {
            found.insert(object, bytes);
        }
    }
    Ok(found)
}

/// Compares the records beside a lock with the lock. Reading them has already checked that they form a chain and that
/// the names of objects and keys are right.
pub fn recorded(lock: &Lock, numbers: &Numbers, evidence: &Evidence<'_>) -> Check {
    let mut check = Check::new(Level::Records);
    if numbers.header.root != lock.root() {
        check.found(Verdict::Differs, "the records beside the lock belong to another figure or run");
    }
    let unknown: Vec<_> = evidence.unknown().map(|stage| stage.name.as_str()).collect();
    if let [first, ..] = unknown[..] {
        let what = format!("{} stages have no record with the locked outputs, such as {first}", unknown.len());
        check.found(Verdict::Differs, what);
    }
    let mut machines: BTreeMap<&str, usize> = BTreeMap::new();
    for (stage, record) in evidence.known() {
        let wrong = record.parts.kind != stage.kind
            || record.parts.version != stage.version
            || record.provenance.machine != stage.machine;
        if wrong {
            check.found(Verdict::Differs, format!("{}: kind, version or machine differ from the lock", stage.name));
        }
        if !stage.machine.is_empty() {
            *machines.entry(&stage.machine).or_default() += 1;
        }
    }
    check.findings.extend(machines.iter().map(|(machine, count)| format!("{count} computed on {machine}")));
    check.caveat = host_programs(evidence.known().map(|(stage, record)| (stage.name.as_str(), &record.parts)));
    check.summed_up(format!("{} records form one chain", numbers.records.len()))
}
