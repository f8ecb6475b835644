//! Two closures to compare, from what a user names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::advice::InForce;
use super::select::{Variant, select};
use super::verify::Subject;
use super::{ExitCode, Failure, Global};
use crate::engine::{self, EngineError, Resolver};
use crate::plan::Knowledge;
use crate::reports::Place;
use crate::verify::Evidence;
use base::closure::Closure;
use base::digest::{ObjectDigest, RecordDigest};
use base::record::Record;
use store::Store;
use store::archive;

/// Fewer digits of a hash are taken for a name.
const DIGITS: usize = 8;

/// What two commands that compare have in common.
#[derive(Debug, Args)]
pub struct Operands {
    /// A figure, a panel or stages of the pipelines; a lock (FILE.lock); an archive of numbers (FILE.wdpipe); or at least 8
    /// digits of a record's digest or key.
    #[arg(value_name = "A")]
    a: String,
    /// The same for the other side. May be left out with --set-b, --cache-b or --pipelines-b: then it is A there.
    #[arg(value_name = "B")]
    b: Option<String>,
    #[command(flatten)]
    variant: Variant,
    /// Changes a setting for B alone. Repeatable.
    #[arg(long, value_name = "PATH=VALUE")]
    set_b: Vec<String>,
    /// The store of B, such as that of another checkout [default: that of A].
    #[arg(long, value_name = "DIR")]
    cache_b: Option<PathBuf>,
    /// The pipelines of B [default: those of A].
    #[arg(long, value_name = "DIR")]
    pipelines_b: Option<PathBuf>,
}

/// What of a graph belongs to a closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All that is behind the targets. It must have been made.
    Whole,
    /// Of that as much as was made.
    Known,
}

/// The bytes of an object, if they are at hand.
type Objects = dyn Fn(&ObjectDigest) -> Option<Vec<u8>>;

/// A closure, and the bytes of what its stages yielded.
pub struct Loaded {
    /// What it is of, for people.
    pub title: String,
    /// The stages.
    pub closure: Closure,
    /// Where objects are that lie in no record.
    read: Box<Objects>,
}

impl Loaded {
    /// A closure and from where the bytes of objects are that lie in no record.
    pub fn new(
        title: impl Into<String>,
        closure: Closure,
        read: impl Fn(&ObjectDigest) -> Option<Vec<u8>> + 'static,
    ) -> Self {
        Self { title: title.into(), closure, read: Box::new(read) }
    }

    fn of_store(title: impl Into<String>, closure: Closure, store: Store) -> Self {
        // What is damaged is as good as not there: a comparison goes on without it.
        Self::new(title, closure, move |object| store.get(object).ok())
    }

    /// The bytes of an object, from the records or from beside them, if they are at hand.
    pub fn bytes(&self, object: &ObjectDigest) -> Option<Vec<u8>> {
        let outputs = self.closure.members.iter().flat_map(|member| &member.record.outputs);
        let inline = outputs.filter(|output| output.object == *object).find_map(|output| output.inline.clone());
        inline.or_else(|| (self.read)(object))
    }
}

impl Operands {
    /// Loads both sides.
    ///
    /// # Errors
    /// If a side names nothing, or what it names was not made.
    pub fn load(&self, global: &Global, extent: Extent) -> Result<[Loaded; 2], Failure> {
        let elsewhere = self.cache_b.is_some() || self.pipelines_b.is_some() || !self.set_b.is_empty();
        if self.b.is_none() && !elsewhere {
            return Err(self.one_alone(global)?);
        }
        let mut of_b = global.clone();
        if let Some(cache) = &self.cache_b {
            if files::identity(cache).map_err(|error| Failure::usage(error.to_string(), ""))?.is_none() {
                return Err(Failure::usage(format!("there is no store {}", cache.display()), ""));
            }
            of_b.cache.clone_from(cache);
        }
        if let Some(pipelines) = &self.pipelines_b {
            of_b.pipelines.clone_from(pipelines);
        }
        let set = [&self.variant.set[..], &self.set_b].concat();
        let variant = Variant { profile: self.variant.profile.clone(), set };
        let on = |side: &str, Failure { message, hint, code }| Failure::new(code, format!("{side}: {message}"), hint);
        let mut a = load(global, &self.variant, &self.a, extent).map_err(|failure| on("A", failure))?;
        let mut b = load(&of_b, &variant, self.b.as_ref().unwrap_or(&self.a), extent).map_err(|failure| {
            // What holds for B is not what was said of A.
            let path = |id, path: &Option<PathBuf>| path.as_ref().map(|path| (id, path.display().to_string()));
            let folders = [path("cache", &self.cache_b), path("pipelines", &self.pipelines_b)];
            let in_force = InForce::new(&variant.profile, &variant.set, folders.into_iter().flatten());
            let hint = in_force.complete(&failure.hint).into_owned();
            on("B", Failure { hint, ..failure })
        })?;
        if self.cache_b.is_some() {
            a.title += &format!(" in {}", global.cache.display());
            b.title += &format!(" in {}", of_b.cache.display());
        }
        if let Some(pipelines) = &self.pipelines_b {
            b.title += &format!(" of {}", pipelines.display());
        }
        if !self.set_b.is_empty() {
            b.title += &format!(" with {}", self.set_b.join(", "));
        }
        Ok([a, b])
    }

    /// What to say if nothing is named to compare with: a key may have several outcomes.
    fn one_alone(&self, global: &Global) -> Result<Failure, Failure> {
        if let Operand::Record(prefix) = Operand::of(&self.a)
            && let Err(several) = outcome(&global.store()?, prefix)
        {
            return Ok(several);
        }
        let hint =
            "name B, or another store (--cache-b DIR), other pipelines (--pipelines-b DIR) or settings (--set-b)";
        Ok(Failure::usage(format!("with what is `{}` to be compared?", self.a), hint))
    }
}

/// What an operand may be.
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
        let digits = operand.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit));
        if digits && (DIGITS..=64).contains(&operand.len()) {
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

/// Loads what an operand names: a record in the store by the beginning of its digest or key, a lock, an archive, or what
/// the pipelines say.
///
/// # Errors
/// If it names nothing, or what was not made.
pub fn load(global: &Global, variant: &Variant, operand: &str, extent: Extent) -> Result<Loaded, Failure> {
    match Operand::of(operand) {
        Operand::Record(prefix) => recorded(global.store()?, prefix),
        Operand::Lock => locked(global, Path::new(operand)),
        Operand::Archive => archived(Path::new(operand)),
        Operand::Target => planned(global, variant, operand, extent),
    }
}

/// The record that a prefix names.
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
            Err(Failure::new(ExitCode::Missing, message, "`wdpipe explain STAGE` tells a stage's key"))
        }
        ([.., _], 2..) => {
            Err(Failure::usage(format!("{prefix} is the beginning of several:{}", list(&found)), "give more digits"))
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

/// The store of the cache folder, if there is one: none is made for the sake of a comparison.
pub fn store_of(global: &Global) -> Option<Store> {
    let there = files::identity(&global.cache).ok().flatten().is_some();
    if there { global.store().ok() } else { None }
}

/// What a lock holds, with the records beside it or in the store.
fn locked(global: &Global, path: &Path) -> Result<Loaded, Failure> {
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let place = Place { folder, name: name.to_owned() };
    let missing = |message: String| Failure::new(ExitCode::Missing, message, "its records lie beside it or in a cache");
    let lock = place.lock()?.ok_or_else(|| missing(format!("{} is not there", path.display())))?;
    let store = store_of(global);
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

/// What an archive of numbers holds.
fn archived(path: &Path) -> Result<Loaded, Failure> {
    let numbers = archive::read_numbers(path).map_err(|error| super::archive::failure(error, path))?;
    let (closure, objects) = (numbers.closure(), numbers.objects);
    let read = move |object: &ObjectDigest| objects.get(object).cloned();
    Ok(Loaded { title: path.display().to_string(), closure, read: Box::new(read) })
}

fn planned(global: &Global, variant: &Variant, operand: &str, extent: Extent) -> Result<Loaded, Failure> {
    let selection = select(global, variant, &[operand.to_owned()])?;
    let (graph, store) = (&selection.graph, global.store()?);
    let needed = graph.closure(&selection.targets);
    let knowledge = Resolver::new(&store, graph, &selection.preference).outlook(&needed)?;
    let is_known = |id: &usize| matches!(knowledge[*id], Knowledge::Known { .. });
    let ids: Vec<usize> = match extent {
        Extent::Whole => selection.targets.clone(),
        Extent::Known => (0..needed.len()).filter(|&id| needed[id]).filter(is_known).collect(),
    };
    let (mut closure, mut seen) = (Closure::default(), BTreeSet::new());
    // Those that others start from come with them.
    for &id in ids.iter().rev() {
        if seen.contains(&graph.stages[id].name) {
            continue;
        }
        let members = engine::closure(graph, &knowledge, id, &store)?.members;
        closure.members.extend(members.into_iter().filter(|member| seen.insert(member.name.clone())));
    }
    match selection.targets.first() {
        Some(&first) if closure.members.is_empty() => {
            Err(EngineError::NotMade(graph.stages[first].name.clone()).into())
        }
        _ => Ok(Loaded::of_store(operand, closure, store)),
    }
}
