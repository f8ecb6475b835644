//! Removing objects that nothing needs, and where room is asked for also some that can be computed again. Records stay:
//! they are small, and they tell what the bytes were, so that these can be had again and compared.

mod decide;
mod execute;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::Pin;
use base::digest::{ObjectDigest, StageKey};

/// What to keep, besides pins, imported data and what running stages have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcPolicy {
    /// What records of these keys read and yielded is needed. Those without a record may be worked on meanwhile.
    pub keys: BTreeSet<StageKey>,
    /// These objects are needed.
    pub objects: BTreeSet<ObjectDigest>,
    /// These objects stay whatever is asked for.
    pub fast: BTreeSet<ObjectDigest>,
    /// Objects that came less than so many seconds ago stay whatever is asked for.
    pub grace: u64,
    /// Objects that were used here on one of so many days, today counted, are needed.
    pub recent: u64,
    /// If given, objects go only as far as their files have more than so many bytes in all; and if what nobody needs is
    /// not enough, what is needed goes as well, if it can be computed again: first what is cheap for its size.
    pub keep_bytes: Option<u64>,
    /// Whether damaged files that were moved aside are removed, if older than the grace time.
    pub quarantine: bool,
    /// Whether files of other accounts go too, where this one may remove them: in a shared store its owner may.
    pub others: bool,
}

/// An object that is to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlannedObject {
    /// The object.
    pub object: ObjectDigest,
    /// Bytes that it occupies.
    pub bytes: u64,
    /// Whether something needs it, so that it may have to be computed again.
    pub needed: bool,
    /// Its file when the plan was made; if it is another one by now, it is left alone.
    identity: files::Identity,
}

/// What a collection would remove: nothing is touched until it is executed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GcPlan {
    /// Objects by the kind of stage that yielded them (the first in order, if several did; empty if no
    /// record names it).
    pub objects: BTreeMap<String, Vec<PlannedObject>>,
    /// Leftovers in `tmp/` and, if the policy says so, files in `quarantine/`; with their bytes.
    pub files: Vec<(PathBuf, u64)>,
    /// What having all the objects again would take: seconds of the stages that would run, by their kind. Some may be of
    /// other kinds than the objects: their bytes are gone already, and would be needed.
    pub again: BTreeMap<String, f64>,
    /// How many of the objects nothing here can make again.
    pub lost: usize,
    /// Bytes of the objects that stay.
    pub stays: u64,
    /// Stages that are running; while there are any, nothing goes that is needed.
    pub running: usize,
    /// The policy's keys: at the execution no other key may be claimed.
    keys: BTreeSet<StageKey>,
    /// The pins that there were: at the execution there may be no other.
    pins: Vec<Pin>,
}

impl GcPlan {
    /// Number of objects that are to be removed.
    pub fn object_count(&self) -> usize {
        self.objects.values().map(Vec::len).sum()
    }

    /// Bytes that will be free, leftovers included.
    pub fn bytes(&self) -> u64 {
        let objects = self.objects.values().flatten().map(|object| object.bytes);
        objects.chain(self.files.iter().map(|(_, bytes)| *bytes)).sum()
    }
}

/// What a collection removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcDone {
    /// Objects removed.
    pub objects: u64,
    /// Other files removed.
    pub files: u64,
    /// Bytes freed.
    pub bytes: u64,
    /// Files that could not be removed, such as those of another account in a shared folder.
    pub left: u64,
    /// Their bytes.
    pub left_bytes: u64,
    /// Why the first of them could not.
    pub why: Option<String>,
}
