//! Levels *files* and *records*: the committed files against the lock, and the records that lie beside it.

use std::collections::BTreeMap;

use super::{Check, Evidence, Level, Verdict};
use crate::reports::{Place, bare, stamp_of};
use base::digest::ObjectDigest;
use files::FsError;
use store::archive::Numbers;
use store::lockfile::Lock;

/// What of a figure a file shows, by its extension.
fn layer(extension: &str) -> &'static str {
    match extension {
        "csv" => "the plotted numbers",
        "svg" => "the drawing",
        "png" => "the pixels",
        _ => "the page",
    }
}

/// The bytes with the line ends of Unix.
fn without_cr(bytes: &[u8]) -> Vec<u8> {
    let is_kept = |place: &usize| !bytes[*place..].starts_with(b"\r\n");
    (0..bytes.len()).filter(is_kept).map(|place| bytes[place]).collect()
}

/// Compares the committed files with a lock. Of one that differs it says what: the drawing in it or what it says about
/// itself.
///
/// # Errors
/// If a file cannot be read.
pub fn files(lock: &Lock, place: &Place) -> Result<Check, FsError> {
    let mut check = Check::new(Level::Files);
    let stamp = stamp_of(lock);
    for (extension, hash) in &lock.files {
        let path = place.path(extension);
        let Some(bytes) = place.read(extension)? else {
            check.found(Verdict::Missing, format!("{} is not there", path.display()));
            continue;
        };
        let content = bare(extension, &bytes);
        let same_content = content
            .as_ref()
            .is_ok_and(|(bare, _)| extension != "csv" && Some(ObjectDigest::of(bare)) == lock.output(extension));
        if ObjectDigest::of(&bytes) == *hash {
            // The lock itself might name a file that says something else of itself.
            let says = content.ok().and_then(|(_, says)| says);
            if extension != "csv" && (says != stamp || !same_content) {
                check.found(Verdict::Differs, format!("{} does not carry the lock's key and root", path.display()));
            }
        } else if same_content {
            let what = format!("{}: what is drawn is the lock's, but it says other things of itself", path.display());
            check.found(Verdict::Differs, what);
        } else {
            let what = match ObjectDigest::of(&without_cr(&bytes)) == *hash {
                true => "only the line ends differ: git converted them (core.autocrlf)".to_owned(),
                false => format!("other bytes than the lock's: {}", layer(extension)),
            };
            check.found(Verdict::Differs, format!("{}: {what}", path.display()));
        }
    }
    let root = lock.root().short();
    let (files, stages) = (lock.files.len(), lock.stages.len());
    Ok(check.summed_up(format!("{files} files, lock of {stages} stages, root {root}")))
}

/// Compares the records beside a lock with it. That they form a chain, and that objects and keys are what they are
/// called, was checked when they were read.
pub fn recorded(lock: &Lock, numbers: &Numbers, evidence: &Evidence<'_>) -> Check {
    let mut check = Check::new(Level::Records);
    if numbers.header.root != lock.root() {
        check.found(Verdict::Differs, "the records beside the lock are of another figure or run");
    }
    let unknown: Vec<_> = evidence.unknown().map(|stage| stage.name.as_str()).collect();
    if let [first, ..] = unknown[..] {
        let what = format!("{} stages have no record that yields what the lock says, such as {first}", unknown.len());
        check.found(Verdict::Differs, what);
    }
    let mut machines: BTreeMap<&str, usize> = BTreeMap::new();
    for (stage, record) in evidence.known() {
        let wrong = record.parts.kind != stage.kind
            || record.parts.version != stage.version
            || record.provenance.machine != stage.machine;
        if wrong {
            check.found(Verdict::Differs, format!("{}: the lock says another kind or machine", stage.name));
        }
        if !stage.machine.is_empty() {
            *machines.entry(&stage.machine).or_default() += 1;
        }
    }
    check.findings.extend(machines.iter().map(|(machine, count)| format!("{count} computed on {machine}")));
    check.summed_up(format!("{} records form one chain", numbers.records.len()))
}
