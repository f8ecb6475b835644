//! What stages made, on its way into the store: it is written by a thread of its own while the next stages run, in the
//! order in which it was made, and can be read meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::EngineError;
use super::events::Event;
use crate::graph::StageId;
use crate::plan::{Bytes, Knowledge};
use crate::stages::Notes;
use base::digest::{ObjectDigest, RecordDigest};
use base::record::{Outline, Output, Record};
use store::{Claim, Store};

/// An object's bytes, with their name.
type Object = (ObjectDigest, Arc<Vec<u8>>);
/// Bytes by name, and how many stages made them.
type Counted = HashMap<ObjectDigest, (usize, Arc<Vec<u8>>)>;

/// Bytes that are not in the store yet.
#[derive(Debug, Default)]
pub struct OnTheWay(Mutex<Counted>);

impl OnTheWay {
    /// The bytes of an object, if they are on the way.
    pub fn get(&self, object: &ObjectDigest) -> Option<Arc<Vec<u8>>> {
        self.lock().get(object).map(|(_, bytes)| Arc::clone(bytes))
    }

    /// Takes in what was made. Several stages may make the same.
    pub fn begin(&self, made: &Unstored) {
        let mut all = self.lock();
        for (object, bytes) in &made.objects {
            all.entry(*object).or_insert_with(|| (0, Arc::clone(bytes))).0 += 1;
        }
    }

    /// Lets go of it.
    fn end(&self, objects: &[Object]) {
        let mut all = self.lock();
        for (object, _) in objects {
            if let Some((count, _)) = all.get_mut(object) {
                *count -= 1;
                if *count == 0 {
                    all.remove(object);
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a stage made, and the right to its key until it is stored.
#[derive(Debug)]
pub struct Unstored {
    /// Which stage.
    pub stage: StageId,
    /// How long it was computed, in seconds.
    pub seconds: f64,
    /// What was known about it before.
    pub before: Knowledge,
    /// The name of the record that says so.
    pub digest: RecordDigest,
    /// The record that is published when all objects are there.
    pub record: Record,
    /// The outputs that do not lie in the record.
    pub objects: Vec<Object>,
    /// Held until then.
    pub claim: Claim,
    /// What else there is to say.
    pub notes: Notes,
}

impl Unstored {
    /// What is known about the stage now.
    pub fn known(&self) -> Knowledge {
        let bytes = vec![Bytes::Present; self.record.outputs.len()];
        let outline = Outline { digest: self.digest, outputs: self.record.outputs.clone() };
        Knowledge::Known { key: self.record.parts.key(), outline, bytes }
    }

    /// Stores it; with the new record's name, unless the record was there already.
    ///
    /// # Errors
    /// If the store cannot be written.
    pub fn store(
        self,
        store: &Store,
        on_the_way: &OnTheWay,
        report: &(dyn Fn(Event) + Sync),
    ) -> Result<Option<RecordDigest>, EngineError> {
        let put = self.objects.iter().try_for_each(|(_, bytes)| store.put(bytes).map(drop));
        on_the_way.end(&self.objects);
        put?;
        let Self { stage, before, record, claim, .. } = self;
        let published = match &before {
            // Dropped or damaged bytes, computed again: the record is there already.
            Knowledge::Known { outline: old, .. } if old.says(&record.outputs) => None,
            Knowledge::Known { outline: old, .. } => {
                let differs = |output: &&Output| old.output(&output.name).is_none_or(|o| o.object != output.object);
                let outputs = record.outputs.iter().filter(differs).map(|output| output.name.clone()).collect();
                report(Event::Differs { stage, outputs });
                Some(store.publish(&record)?)
            }
            _ => Some(store.publish(&record)?),
        };
        drop(claim);
        Ok(published)
    }
}

#[cfg(test)]
mod tests;
