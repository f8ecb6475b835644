//! Writes locks. A lock beside a committed figure lists the stages that the figure was made from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::export::Exported;
use super::packing;
use crate::engine::{self, Preference};
use crate::plan::Knowledge;
use crate::project::known::resolved::Resolved;
use crate::project::sharing::archives::{archive_failure, write_archive};
use crate::project::targets::select::Selection;
use crate::project::{ExitCode, Failure, command, count};
use crate::reports::{Place, ReportError, VariantSettings};
use base::closure::{Closure, Member};
use base::digest::{RecordDigest, StageKey};
use base::record::Record;
use base::unlocked::host_programs;
use files::{Hold, Named};
use store::Store;
use store::archive::{self, ArchiveError, Scope};
use store::lockfile::{Lock, extension};
use store::sign::Batch;

/// A figure that was locked.
pub struct Locked {
    /// Its files, as they were written or found.
    pub files: Vec<Exported>,
    /// Path of the lock.
    pub path: PathBuf,
    /// Whether the lock was written. Otherwise it was already correct.
    pub changed: bool,
    /// Number of stages in the lock.
    pub stages: usize,
    /// Size in bytes of the file beside it with records and numbers.
    pub bytes: u64,
    /// Archives of other figures of the pipeline that were packed again, because they are packed against this one's.
    pub packed_again: Vec<PathBuf>,
    /// A sentence about stages whose programs nothing locks, if there are any.
    pub unlocked: Option<String>,
    /// The figure's variants without a lock, in the same folder.
    pub others: Vec<(Place, VariantSettings)>,
}

/// A figure that was made and differs from its lock.
pub struct Departure {
    /// Name of the figure.
    pub figure: String,
    /// Path of its lock.
    pub path: PathBuf,
    /// The differences, in words.
    pub how: String,
}

impl Selection {
    /// Looks up the targets in a store. With `anew`, does not prefer records that the present locks hold.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn resolve_to_lock(&self, store: &Store, anew: bool) -> Result<Resolved<'_>, Failure> {
        let anew = anew.then(|| self.preference.without_locks());
        self.resolve_by(store, anew.as_ref().unwrap_or(&self.preference), &self.targets)
    }

    /// Holds the folder of the figures, so that several processes lock figures one after another: each may pack again what
    /// another writes. `waits` is called before waiting.
    ///
    /// # Errors
    /// If the folder cannot be created or locked.
    pub fn hold(&self, waits: impl FnOnce(&Path)) -> Result<Hold, Failure> {
        files::create_folder(&self.folder).map_err(ReportError::from)?;
        Ok(Hold::of(&self.folder, || waits(&self.folder)).map_err(ReportError::from)?)
    }

    /// Locks the only figure of a selection, whose folder the caller [holds](Self::hold). Also writes the figure's files, replacing existing ones, since the lock
    /// contains their hashes.
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
            false => keep(&mut closure, &place).map_err(|mut failure| {
                let anew = command(&["lock", figure, "--anew"], &self.profile, self.variants.set(figure));
                failure.hint = format!("restore it; or `{anew}`, which drops the records and signatures in it");
                failure
            })?,
        };
        let mut files = BTreeMap::new();
        let drawing = closure.members.last().map(|member| &member.record.outputs);
        for extension in drawing.into_iter().flatten().map(|output| extension(&output.name)) {
            let hash = place.hash(extension).map_err(ReportError::from)?;
            let gone = || Failure::new(ExitCode::Storage, format!("{} is gone", place.path(extension).display()), "");
            files.insert(extension.to_owned(), hash.ok_or_else(gone)?);
        }
        let drawn = self.graph.figures.get(figure);
        let pipeline = drawn.map_or(figure, |drawn| drawn.pipeline.as_str());
        let names = [&place.name, figure, pipeline, &self.profile];
        let lock = Lock::of(names, self.variants.set(figure), &closure, files);
        // Write the evidence first, and then the lock that refers to it.
        let path = place.path("wdpipe");
        let (changed, packed_again) = packing::replacing(&place, &lock, || {
            write_archive(Named::create(&path)?, &closure, &batches, Scope::Numbers, store)?;
            Ok(place.write_lock(&lock)?)
        })?;
        let bytes = files::identity(&path).map_err(ReportError::from)?.map_or(0, |identity| identity.size);
        Ok(Locked {
            files: exported,
            path: place.path("lock"),
            changed,
            stages: closure.members.len(),
            bytes,
            packed_again,
            unlocked: host_programs(closure.members.iter().map(|member| (member.name.as_str(), &member.record.parts))),
            others: unlocked(&place, figure)?,
        })
    }

    /// Lists the figures among the targets that differ from their locks, and the locks that cannot be read.
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

/// Replaces records by records that are already beside the lock, where the stage and the outputs are the same. So locking an
/// unchanged figure changes nothing. Returns the signatures beside the lock that cover the kept records.
///
/// # Errors
/// If the file with them may be sound, but cannot be read here.
fn keep(closure: &mut Closure, place: &Place) -> Result<Vec<Vec<u8>>, Failure> {
    let path = place.path("wdpipe");
    let beside = match archive::read_numbers(&path) {
        Ok(beside) => beside,
        Err(ArchiveError::Fs(error)) if error.is_missing() => return Ok(Vec::new()),
        Err(
            error
            @ (ArchiveError::Reference { .. } | ArchiveError::Fs(_) | ArchiveError::Io(_) | ArchiveError::Pointer),
        ) => {
            return Err(archive_failure(error, &path));
        }
        // A damaged file is replaced.
        Err(_) => return Ok(Vec::new()),
    };
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
    Ok(beside.batches.into_iter().filter(signs).collect())
}

/// Finds the variants of a figure that have no lock, so that the user does not mistake one for the locked figure.
fn unlocked(place: &Place, figure: &str) -> Result<Vec<(Place, VariantSettings)>, Failure> {
    let mut all = VariantSettings::all(&place.folder).map_err(ReportError::from)?;
    all.retain(|(other, settings)| {
        settings.figure == figure && other.name != place.name && other.lock().is_ok_and(|lock| lock.is_none())
    });
    Ok(all)
}

/// Describes how a closure differs from a lock.
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
