//! Loads closures to compare, from operands of the command line.

use std::collections::BTreeSet;
use std::path::Path;

use super::behind::is_hash;
use crate::engine::EngineError;
use crate::project::figures::committed::Subject;
use crate::project::sharing::archives::archive_failure;
use crate::project::targets::select::Variant;
use crate::project::{ExitCode, Failure, Project, quoted};
use crate::reports::Place;
use crate::verify::Evidence;
use base::closure::Closure;
use base::digest::{ObjectDigest, RecordDigest};
use base::record::Record;
use store::Store;
use store::archive;

/// Which stages of a graph belong to a closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All stages that the targets depend on. All of them must have been made.
    Whole,
    /// The stages among these that were made.
    Known,
}

/// A function that reads the bytes of an object, if they are available.
type Objects = dyn Fn(&ObjectDigest) -> Option<Vec<u8>>;

/// A closure, with access to the bytes of its stages' outputs.
pub struct Loaded {
    /// Title for people.
    pub title: String,
    /// The stages.
    pub closure: Closure,
    /// Reader for objects that no record contains.
    read: Box<Objects>,
}

impl Loaded {
    /// Pairs a closure with a reader for objects that no record contains.
    pub fn new(
        title: impl Into<String>,
        closure: Closure,
        read: impl Fn(&ObjectDigest) -> Option<Vec<u8>> + 'static,
    ) -> Self {
        Self { title: title.into(), closure, read: Box::new(read) }
    }

    fn of_store(title: impl Into<String>, closure: Closure, store: Store) -> Self {
        // A damaged object counts as missing, and a comparison continues without it.
        Self::new(title, closure, move |object| store.get(object).ok())
    }

    /// Reads the bytes of an object, from the records or from beside them, if they are available.
    pub fn bytes(&self, object: &ObjectDigest) -> Option<Vec<u8>> {
        let outputs = self.closure.members.iter().flat_map(|member| &member.record.outputs);
        let inline = outputs.filter(|output| output.object == *object).find_map(|output| output.inline.clone());
        inline.or_else(|| (self.read)(object))
    }
}

/// What an operand can name.
enum Operand<'a> {
    /// The beginning of a record's digest or key.
    Record(&'a str),
    /// A lock file.
    Lock,
    /// Any other file.
    Archive,
    /// A figure, a panel or stages.
    Target,
}

impl<'a> Operand<'a> {
    fn of(operand: &'a str) -> Self {
        if is_hash(operand) {
            Self::Record(operand)
        } else if Path::new(operand).extension().is_some_and(|extension| extension == "lock") {
            Self::Lock
        } else if files::read_start(Path::new(operand), 1).is_ok() {
            Self::Archive
        } else {
            Self::Target
        }
    }
}

impl Project {
    /// Loads the closure that an operand names: a record in the store by the beginning of its digest or key, a lock, an
    /// archive, or a target of the pipelines.
    ///
    /// # Errors
    /// If the operand names nothing, or something that was not made.
    pub fn load(&self, variant: &Variant, operand: &str, extent: Extent) -> Result<Loaded, Failure> {
        match Operand::of(operand) {
            Operand::Record(prefix) => recorded(self.store()?, prefix),
            Operand::Lock => locked(self, Path::new(operand)),
            Operand::Archive => archived(Path::new(operand)),
            Operand::Target => made(self, variant, operand, extent),
        }
    }

    /// Returns why an operand that is the beginning of a hash does not name exactly one outcome. Returns `None` if it does, or if
    /// the operand is not the beginning of a hash.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn several_outcomes(&self, operand: &str) -> Result<Option<Failure>, Failure> {
        let Operand::Record(prefix) = Operand::of(operand) else { return Ok(None) };
        Ok(outcome(&self.store()?, prefix).err())
    }
}

/// Finds the record that a prefix names.
fn outcome(store: &Store, prefix: &str) -> Result<(RecordDigest, Record), Failure> {
    let mut found = store.find(prefix)?;
    let keys: BTreeSet<_> = found.iter().map(|(_, record)| record.parts.key()).collect();
    let differ = found.windows(2).any(|pair| !pair[0].1.same_outputs(&pair[1].1));
    let list = |found: &[(RecordDigest, Record)]| -> String {
        let line = |(digest, record): &(RecordDigest, Record)| {
            let made = &record.provenance;
            format!("\n{}  {}, by {} on {} ({})", digest.short(), made.stage, made.who, made.device, made.machine)
        };
        found.iter().take(8).map(line).collect()
    };
    match (&found[..], keys.len()) {
        ([], _) => {
            let message = format!("no record or key in {} begins with {prefix}", store.root().display());
            Err(Failure::new(ExitCode::Missing, message, "run `wdpipe explain STAGE` to see a stage's key"))
        }
        ([.., _], 2..) => {
            Err(Failure::usage(format!("{prefix} matches several hashes:{}", list(&found)), "give more digits"))
        }
        ([(one, _), .., (other, _)], _) if differ => {
            let message = format!("the key {prefix} has {} outcomes that may differ:{}", found.len(), list(&found));
            Err(Failure::usage(message, format!("compare two: `wdpipe bisect {} {}`", one.short(), other.short())))
        }
        _ => Ok(found.swap_remove(0)),
    }
}

fn recorded(store: Store, prefix: &str) -> Result<Loaded, Failure> {
    let (digest, record) = outcome(&store, prefix)?;
    let closure = Closure::of(digest, &store.every_record()?);
    Ok(Loaded::of_store(format!("{} ({})", digest.short(), record.provenance.stage), closure, store))
}

/// Loads the stages that a lock holds, with the records beside it or in the store.
fn locked(project: &Project, path: &Path) -> Result<Loaded, Failure> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let place = Place { folder, name: name.to_owned() };
    let missing = |message: String| {
        Failure::new(ExitCode::Missing, message, "the records of a lock are in the file beside it or in a cache")
    };
    let lock = place.lock()?.ok_or_else(|| missing(format!("{} is not there", path.display())))?;
    let store = project.store_if_any();
    let (records, objects) = Subject { profile: lock.profile.clone(), place }.beside()?;
    let evidence = Evidence::gather(&lock, &records, &objects, store.as_ref())?;
    let closure = evidence.closure();
    let (found, all) = (closure.members.len(), lock.stages.len());
    if found < all {
        return Err(missing(format!("{}: {} of {all} stages have no record here", path.display(), all - found)));
    }
    let read = move |object: &ObjectDigest| objects.get(object).cloned().or_else(|| store.as_ref()?.get(object).ok());
    Ok(Loaded { title: path.display().to_string(), closure, read: Box::new(read) })
}

/// Loads the contents of an archive of numbers.
fn archived(path: &Path) -> Result<Loaded, Failure> {
    let numbers = archive::read_numbers(path).map_err(|error| archive_failure(error, path))?;
    let (closure, objects) = (numbers.closure(), numbers.objects);
    let read = move |object: &ObjectDigest| objects.get(object).cloned();
    Ok(Loaded { title: path.display().to_string(), closure, read: Box::new(read) })
}

/// Makes the failure for a target of which a stage is missing: the whole target must be made, since other stages can be missing
/// too.
fn not_made(error: EngineError, target: &str) -> Failure {
    match error {
        EngineError::NotMade(_) => {
            Failure::new(ExitCode::Missing, error.to_string(), format!("run `wdpipe make {}`", quoted(target)))
        }
        error => error.into(),
    }
}

/// Loads the results of a target of the pipelines.
fn made(project: &Project, variant: &Variant, operand: &str, extent: Extent) -> Result<Loaded, Failure> {
    let selection = project.select(variant, &[operand.to_owned()])?;
    let (graph, store) = (&selection.graph, project.store_of(&[operand.to_owned()])?);
    let resolved = selection.resolve(&store)?;
    let ids: Vec<usize> = match extent {
        Extent::Whole => selection.targets.clone(),
        Extent::Known => resolved.stages().map(|(id, ..)| id).filter(|id| resolved.known(*id).is_some()).collect(),
    };
    let (mut closure, mut seen) = (Closure::default(), BTreeSet::new());
    // A closure includes the stages that its stage depends on, so go backwards and skip stages that are already included.
    for &id in ids.iter().rev() {
        if seen.contains(&graph.stages[id].name) {
            continue;
        }
        let members = resolved.closure(id, &store).map_err(|error| not_made(error, operand))?.members;
        closure.members.extend(members.into_iter().filter(|member| seen.insert(member.name.clone())));
    }
    match selection.targets.first() {
        Some(&first) if closure.members.is_empty() => {
            Err(not_made(EngineError::NotMade(graph.stages[first].name.clone()), operand))
        }
        _ => Ok(Loaded::of_store(operand, closure, store)),
    }
}
