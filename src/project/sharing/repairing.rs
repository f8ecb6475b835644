//! Repairs a store: decides which objects to restore, and fetches or recomputes them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicBool, Ordering};

use super::fetching::Through;
use crate::engine::{Repair, Repaired, Rerunner};
use crate::project::known::roots::Roots;
use crate::project::{Failure, Project};
use crate::stages::Device;
use base::digest::ObjectDigest;
use base::producers::Producers;
use store::{CheckReport, ObjectState, Store};

/// For each object to repair, why it is needed, and the outcome.
pub type Outcomes = BTreeMap<ObjectDigest, (String, Repaired)>;

/// Options for the repair of a store.
pub struct Repairing<'a> {
    /// The profiles under which pipelines are current; empty means all.
    pub profiles: &'a [String],
    /// A remote that is tried before anything is computed.
    pub through: Option<&'a Through<'a>>,
    /// Device that computes stages again.
    pub device: &'a Device,
    /// Flag that stops the repair when it is set.
    pub cancel: &'a AtomicBool,
    /// Called if the remote fails.
    pub warn: &'a dyn Fn(Failure),
    /// Called after a stage was computed again, with its name and its duration in seconds.
    pub again: &'a dyn Fn(&str, f64),
}

impl Project {
    /// Repairs the objects that current figures, pins and current stages need, in a store that was checked.
    ///
    /// # Errors
    /// If a pipeline or a lock is wrong, or the store cannot be read.
    pub fn repair(&self, store: &Store, report: &CheckReport, how: &Repairing<'_>) -> Result<Outcomes, Failure> {
        let roots = self.roots(how.profiles, store)?;
        let producers = Producers::new(store.known_makings()?);
        let wanted = wanted(&roots, &producers, store, report)?;
        // Objects from the remote are hashed and written to the store, and then read from there.
        let source = |object: &ObjectDigest| -> Option<(u64, Box<dyn Read>)> {
            how.through?.objects(store, [*object]).map_err(how.warn).ok()?;
            let bytes = store.get(object).ok()?;
            Some((bytes.len() as u64, Box::new(Cursor::new(bytes))))
        };
        let cancelled = || how.cancel.load(Ordering::Relaxed);
        let repair = Repair { store, producers: &producers, source: &source, cancelled: &cancelled };
        let mut rerunner = Rerunner::new(how.device.clone());
        let repaired = repair.run(&wanted.keys().copied().collect(), &mut rerunner, how.again)?;
        let why = |object: &ObjectDigest| wanted.get(object).cloned().unwrap_or_default();
        Ok(repaired.into_iter().map(|(object, how)| (object, (why(&object), how))).collect())
    }
}

/// Finds the objects to restore, each with the reason why it is needed: missing objects that current figures consist of or
/// that are pinned, and damaged objects that a current stage read or yielded. An intermediate object that was dropped to save
/// space is not restored, because `make` computes it when it needs it.
fn wanted(
    roots: &Roots,
    producers: &Producers,
    store: &Store,
    report: &CheckReport,
) -> Result<BTreeMap<ObjectDigest, String>, Failure> {
    let mut wanted = BTreeMap::new();
    let figures = roots.locked_figures.iter().chain(&roots.figures_of_pipelines);
    // A lock can contain objects that were never in this store and that no record yields.
    for (object, name) in figures.filter(|(object, _)| producers.producer(object).is_some()) {
        wanted.insert(*object, format!("{name} consists of it"));
    }
    let mut damaged: BTreeSet<ObjectDigest> = store.quarantined()?;
    damaged.extend(&report.damaged_objects);
    let pins = store.pins()?;
    for producer in producers.producers() {
        for pin in pins.iter().filter(|pin| pin.keys.contains(&producer.key)) {
            wanted.extend(producer.outputs.iter().map(|object| (*object, format!("pin {} keeps it", pin.name))));
        }
        let Some(name) = roots.keys.get(&producer.key) else { continue };
        for object in producer.outputs.iter().filter(|object| damaged.contains(object)) {
            wanted.entry(*object).or_insert_with(|| format!("`{name}` yielded it"));
        }
        for object in producer.inputs.iter().filter(|object| damaged.contains(object)) {
            wanted.entry(*object).or_insert_with(|| format!("`{name}` reads it"));
        }
    }
    for pin in &pins {
        wanted.extend(pin.objects.iter().map(|object| (*object, format!("pin {} keeps it", pin.name))));
    }
    let mut missing = BTreeMap::new();
    for (object, why) in wanted.into_iter().filter(|(object, _)| producers.holder(object).is_none()) {
        if store.state(&object)? != ObjectState::Present {
            missing.insert(object, why);
        }
    }
    Ok(missing)
}
