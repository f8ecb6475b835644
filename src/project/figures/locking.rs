//! Locks: what a committed figure was made from, written down beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::export::Exported;
use crate::engine::{self, Preference};
use crate::plan::Knowledge;
use crate::project::known::resolved::Resolved;
use crate::project::sharing::archives::write_archive;
use crate::project::targets::select::Selection;
use crate::project::{ExitCode, Failure, count};
use crate::reports::{Place, ReportError, VariantSettings};
use base::closure::{Closure, Member};
use base::digest::{RecordDigest, StageKey};
use base::record::Record;
use files::Named;
use store::Store;
use store::archive::Scope;
use store::lockfile::{FILES, Lock};
use store::sign::Batch;

/// A figure that was locked.
pub struct Locked {
    /// Its files, as they were written or found.
    pub files: Vec<Exported>,
    /// The lock.
    pub path: PathBuf,
    /// Whether the lock was written; otherwise it was as it should be.
    pub changed: bool,
    /// The stages that it holds.
    pub stages: usize,
    /// Bytes of the records and numbers beside it.
    pub bytes: u64,
    /// The variants of the figure that lie beside it without a lock.
    pub others: Vec<(Place, VariantSettings)>,
}

/// A figure that was made and is not what its lock holds.
pub struct Departure {
    /// Its name.
    pub figure: String,
    /// Its lock.
    pub path: PathBuf,
    /// In what it differs, in words.
    pub how: String,
}

impl Selection {
    /// Asks a store about the targets. With `anew`, records that the present locks hold are not preferred.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn resolve_to_lock(&self, store: &Store, anew: bool) -> Result<Resolved<'_>, Failure> {
        let anew = anew.then(|| self.preference.without_locks());
        self.resolve_by(store, anew.as_ref().unwrap_or(&self.preference), &self.targets)
    }

    /// Locks the one figure of a selection, and writes its files, which belong to the lock whatever lay there before.
    ///
    /// # Errors
    /// If the figure was not made, or something cannot be written.
    pub fn lock(&self, figure: &str, store: &Store, anew: bool) -> Result<Locked, Failure> {
        let resolved = self.resolve_to_lock(store, anew)?;
        let exported = self.export(&resolved.knowledge, store)?;
        let place = self.place(figure);
        let mut closure = resolved.closure(self.targets[0], store)?;
        let batches = match anew || self.preference.is_strict() {
            true => Vec::new(),
            false => keep(&mut closure, &place),
        };
        let mut files = BTreeMap::new();
        for extension in FILES {
            let hash = place.hash(extension).map_err(ReportError::from)?;
            let gone = || Failure::new(ExitCode::Storage, format!("{} is gone", place.path(extension).display()), "");
            files.insert(extension.to_owned(), hash.ok_or_else(gone)?);
        }
        let drawn = self.graph.figures.get(figure);
        let pipeline = drawn.map_or(figure, |drawn| drawn.pipeline.as_str());
        let names = [&place.name, figure, pipeline, &self.profile];
        let lock = Lock::of(names, self.variants.set(figure), &closure, files);
        // First the evidence, then the lock that refers to it.
        let numbers = write_archive(Named::create(&place.path("wdpipe"))?, &closure, &batches, Scope::Numbers, store)?;
        let changed = place.write_lock(&lock)?;
        Ok(Locked {
            files: exported,
            path: place.path("lock"),
            changed,
            stages: closure.members.len(),
            bytes: numbers.bytes,
            others: unlocked(&place, figure)?,
        })
    }

    /// Lists the figures among the targets that are not what their locks hold, and the locks that cannot be read.
    pub fn departures(&self, knowledge: &[Knowledge], store: &Store) -> Vec<Result<Departure, ReportError>> {
        let mut found = Vec::new();
        for (figure, id) in self.figures() {
            let Knowledge::Known { key, outline, .. } = &knowledge[id] else { continue };
            let place = self.place(figure);
            let lock = match place.lock() {
                Ok(None) => continue,
                Ok(Some(lock)) => lock,
                Err(error) => {
                    found.push(Err(error));
                    continue;
                }
            };
            let same = outline.outputs.iter().all(|output| lock.output(&output.name) == Some(output.object));
            if lock.drawing().is_some_and(|drawing| drawing.key == *key) && same {
                continue;
            }
            let Ok(closure) = engine::closure(&self.graph, knowledge, id, store) else { continue };
            let (figure, how) = (figure.to_owned(), departs(&lock, &closure));
            found.push(Ok(Departure { figure, path: place.path("lock"), how }));
        }
        found
    }
}

/// Keeps the records that lie beside a lock already, instead of others of the same stages with the same outputs:
/// locking what did not change changes nothing. Returns the signatures that lie beside them.
fn keep(closure: &mut Closure, place: &Place) -> Vec<Vec<u8>> {
    // A damaged file is written anew.
    let Ok(beside) = store::archive::read_numbers(&place.path("wdpipe")) else { return Vec::new() };
    let mut by_key: BTreeMap<StageKey, Vec<(&RecordDigest, &Record)>> = BTreeMap::new();
    for (digest, record) in &beside.records {
        by_key.entry(record.parts.key()).or_default().push((digest, record));
    }
    let mut kept = BTreeSet::new();
    for member in &mut closure.members {
        let same = by_key.get(&member.key).into_iter().flatten().find(|(_, old)| old.same_outputs(&member.record));
        if let Some((digest, record)) = same {
            (member.digest, member.record) = (**digest, (*record).clone());
            kept.insert(**digest);
        }
    }
    let signs = |bytes: &Vec<u8>| {
        Batch::from_bytes(bytes).is_ok_and(|batch| batch.records().iter().any(|record| kept.contains(record)))
    };
    beside.batches.into_iter().filter(signs).collect()
}

/// Finds the variants of a figure that lie beside it without a lock, so that nobody takes one for what was locked.
fn unlocked(place: &Place, figure: &str) -> Result<Vec<(Place, VariantSettings)>, Failure> {
    let mut all = VariantSettings::all(&place.folder).map_err(ReportError::from)?;
    all.retain(|(other, settings)| {
        settings.figure == figure && other.name != place.name && other.lock().is_ok_and(|lock| lock.is_none())
    });
    Ok(all)
}

/// Says in what a closure is another than a lock's.
fn departs(lock: &Lock, closure: &Closure) -> String {
    let held: BTreeMap<_, _> = lock.stages.iter().map(|stage| (stage.key, stage)).collect();
    let differs = |member: &&Member| held.get(&member.key).is_some_and(|stage| stage.outcome().1 != member.outcome().1);
    let other: Vec<_> = closure.members.iter().filter(differs).collect();
    let new: Vec<_> = closure.members.iter().filter(|member| !held.contains_key(&member.key)).collect();
    let mut parts = Vec::new();
    if let [first, ..] = other[..] {
        parts.push(format!(
            "{} came out differently here, first {} (on {})",
            count(other.len(), "stage"),
            first.name,
            first.record.provenance.machine
        ));
    }
    if let [first, ..] = new[..] {
        let of = closure.members.len();
        parts.push(format!("{} of {of} have other settings or inputs, first {}", new.len(), first.name));
    }
    parts.join("; ")
}
