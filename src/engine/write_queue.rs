//! Outputs on their way into the store. A separate thread writes them, in the order in which they were made, while the
//! next stages run; these stages can read them in the meantime.

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

/// The name and bytes of an object.
type Object = (ObjectDigest, Arc<Vec<u8>>);
/// The bytes of objects by name, with the number of stages that made them.
type Counted = HashMap<ObjectDigest, (usize, Arc<Vec<u8>>)>;

/// Bytes that are not in the store yet.
#[derive(Debug, Default)]
pub struct OnTheWay(Mutex<Counted>);

impl OnTheWay {
    /// Returns the bytes of an object, if they are on their way.
    pub fn get(&self, object: &ObjectDigest) -> Option<Arc<Vec<u8>>> {
        self.lock().get(object).map(|(_, bytes)| Arc::clone(bytes))
    }

    /// Adds the outputs of a stage. Several stages can make the same object.
    pub fn begin(&self, made: &Unstored) {
        let mut all = self.lock();
        for (object, bytes) in &made.objects {
            all.entry(*object).or_insert_with(|| (0, Arc::clone(bytes))).0 += 1;
        }
    }

    /// Removes the outputs of a stage.
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

/// The outputs of a stage that are not stored yet, with the claim on its key.
#[derive(Debug)]
pub struct Unstored {
    /// The stage.
    pub stage: StageId,
    /// Duration of the computation in seconds.
    pub seconds: f64,
    /// What was known about the stage before.
    pub before: Knowledge,
    /// The digest of the record.
    pub digest: RecordDigest,
    /// The record, to be published after all objects are stored.
    pub record: Record,
    /// The outputs that are not inside the record.
    pub objects: Vec<Object>,
    /// The claim, held until the record is published.
    pub claim: Claim,
    /// Notes about the computation.
    pub notes: Notes,
}

impl Unstored {
    /// Returns what is known about the stage now.
    pub fn known(&self) -> Knowledge {
        let bytes = vec![Bytes::Present; self.record.outputs.len()];
        let outline = Outline { digest: self.digest, outputs: self.record.outputs.clone() };
        Knowledge::Known { key: self.record.parts.key(), outline, bytes }
    }

    /// Stores the objects and the record. Returns the digest of the record, or `None` if it existed already.
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
            // Dropped or damaged bytes were recomputed; the record exists already.
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
