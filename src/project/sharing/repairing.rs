//! Repairing a store: which objects must be there again, and where they come from.

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

/// The objects that were to be repaired: what needs each, and what became of it.
pub type Outcomes = BTreeMap<ObjectDigest, (String, Repaired)>;

/// How a store is repaired.
pub struct Repairing<'a> {
    /// The profiles under which pipelines are current; all that they have if there are none.
    pub profiles: &'a [String],
    /// A remote that is asked before anything is computed.
    pub through: Option<&'a Through<'a>>,
    /// Where stages are computed again.
    pub device: &'a Device,
    /// Set it to stop.
    pub cancel: &'a AtomicBool,
    /// Is told if the remote fails.
    pub warn: &'a dyn Fn(Failure),
    /// Is told of a stage that was computed again, and of the seconds that it took.
    pub again: &'a dyn Fn(&str, f64),
}

impl Project {
    /// Repairs what current figures, pins and current stages need of a store that was checked.
    ///
    /// # Errors
    /// If a pipeline or a lock is wrong, or the store cannot be read.
    pub fn repair(&self, store: &Store, report: &CheckReport, how: &Repairing<'_>) -> Result<Outcomes, Failure> {
        let roots = self.roots(how.profiles, store)?;
        let producers = Producers::new(store.known_makings()?);
        let wanted = wanted(&roots, &producers, store, report)?;
        // What a remote has comes into the store, hashed; whoever asks then finds it there.
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

/// Finds the objects that must be there again, and what needs each: of the missing objects those that current figures
/// consist of and those that are pinned, and of the damaged ones those that a current stage read or yielded. An object
/// that was dropped to save space and is only passed through is not among them: `make` computes it when it needs it.
fn wanted(
    roots: &Roots,
    producers: &Producers,
    store: &Store,
    report: &CheckReport,
) -> Result<BTreeMap<ObjectDigest, String>, Failure> {
    let mut wanted = BTreeMap::new();
    let figures = roots.locked_figures.iter().chain(&roots.figures_of_pipelines);
    // A lock may hold what was never in this store: of that no record tells.
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
