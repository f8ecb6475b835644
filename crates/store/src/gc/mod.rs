//! Garbage collection: removes objects that nothing needs, and, under a size limit, some that can be recomputed.
//! Records are kept: they are small, and contain the hashes, so that objects can be recomputed and compared.

mod decide;
mod execute;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::Pin;
use base::digest::{ObjectDigest, StageKey};

/// What to keep, in addition to pins, imported data and the objects of running stages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcPolicy {
    /// Keys whose records are needed, with everything that these read and yielded. Those without a record can be
    /// computed in the meantime.
    pub keys: BTreeSet<StageKey>,
    /// Objects that are needed.
    pub objects: BTreeSet<ObjectDigest>,
    /// Objects that are always kept.
    pub fast: BTreeSet<ObjectDigest>,
    /// Age in seconds up to which objects are always kept.
    pub grace: u64,
    /// Number of days, including today, for which objects that were used here are needed.
    pub recent: u64,
    /// Limit for the total bytes of the objects' files, if any: objects are removed only while the total exceeds it.
    /// If removing loose objects is not enough, needed ones are removed too, provided that they can be recomputed:
    /// first those that are cheap for their size.
    pub keep_bytes: Option<u64>,
    /// Whether to remove damaged files in the quarantine that are older than the grace time.
    pub quarantine: bool,
    /// Whether to remove files of other accounts too, as far as this account can: the owner of a shared store can.
    pub others: bool,
}

/// An object to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedObject {
    /// The object.
    pub object: ObjectDigest,
    /// Size of its file in bytes.
    pub bytes: u64,
    /// Whether something needs it, so that it may have to be recomputed.
    pub needed: bool,
    /// Identity of its file at planning; if it has changed since, the file is left alone.
    identity: files::Identity,
}

/// What a collection would remove; nothing is removed until it is executed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GcPlan {
    /// Objects by the kind of the stage that yielded them (the first in order, if several did; empty if no record
    /// names the object).
    pub objects: BTreeMap<String, Vec<PlannedObject>>,
    /// Leftovers in `tmp/` and, if the policy includes them, files in `quarantine/`, with their sizes in bytes.
    pub files: Vec<(PathBuf, u64)>,
    /// Cost of recomputing all the objects: seconds of the stages that would run, by kind. Some can have other kinds
    /// than the objects: their outputs were removed earlier and would be needed.
    pub again: BTreeMap<String, f64>,
    /// Number of the objects that cannot be recomputed here.
    pub lost: usize,
    /// Number of bytes of the remaining objects.
    pub stays: u64,
    /// Number of running stages; while there are any, no needed object is removed.
    pub running: usize,
    /// The policy's keys: during execution, no other key may be claimed.
    keys: BTreeSet<StageKey>,
    /// The pins at planning: during execution, there may be no others.
    pins: Vec<Pin>,
}

impl GcPlan {
    /// Returns the number of objects to be removed.
    pub fn object_count(&self) -> usize {
        self.objects.values().map(Vec::len).sum()
    }

    /// Returns the number of bytes that will be freed, including leftovers.
    pub fn bytes(&self) -> u64 {
        let objects = self.objects.values().flatten().map(|object| object.bytes);
        objects.chain(self.files.iter().map(|(_, bytes)| *bytes)).sum()
    }
}

/// Result of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcDone {
    /// Number of objects removed.
    pub objects: u64,
    /// Number of other files removed.
    pub files: u64,
    /// Number of bytes freed.
    pub bytes: u64,
    /// Number of files that could not be removed, such as those of another account in a shared folder.
    pub left: u64,
    /// Number of their bytes.
    pub left_bytes: u64,
    /// Error of the first of them.
    pub why: Option<String>,
}
