//! Looking ahead: reads from a catalogue the outcomes of keys that have no local record, so that everything that a
//! figure needs from a remote is known before any of it is fetched.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use super::preference::Recorded;
use base::digest::{ObjectDigest, RecordDigest, StageKey};
use base::record::{Outline, Output, Record};
use store::sign::PublicKey;
use store::{Catalogue, Listed, ObjectState, Store, StoreError};

/// A store together with the additional records and objects that a catalogue lists.
pub struct Ahead<'a> {
    store: &'a Store,
    catalogue: &'a Catalogue,
    lacking: Mutex<BTreeMap<StageKey, BTreeSet<RecordDigest>>>,
}

impl<'a> Ahead<'a> {
    /// Creates a view in which no key has been looked up yet.
    pub fn new(store: &'a Store, catalogue: &'a Catalogue) -> Self {
        Self { store, catalogue, lacking: Mutex::default() }
    }

    /// Returns the records of the keys looked up so far that the catalogue lists and the store lacks.
    pub fn lacking(&self) -> Vec<&'a Listed> {
        let lacking = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = lacking.keys().flat_map(|key| self.catalogue.outcomes(key));
        listed.filter(|listed| lacking.get(&listed.key).is_some_and(|some| some.contains(&listed.record))).collect()
    }
}

/// Returns the outline of a listed record. Its inline bytes are empty, so it serves only to compute the keys of the
/// stages that follow.
fn outline(listed: &Listed) -> Outline {
    let outputs = listed.outputs.iter().map(|output| Output {
        name: output.name.clone(),
        object: output.object,
        bytes: output.bytes,
        inline: output.inline.then(Vec::new),
    });
    Outline { digest: listed.record, outputs: outputs.collect() }
}

impl Recorded for Ahead<'_> {
    fn outlines(&self, key: &StageKey) -> Result<Vec<Outline>, StoreError> {
        let mut found = self.store.outlines(key)?;
        let here: BTreeSet<RecordDigest> = found.iter().map(|outline| outline.digest).collect();
        let lacking: Vec<_> =
            self.catalogue.outcomes(key).iter().filter(|listed| !here.contains(&listed.record)).collect();
        if !lacking.is_empty() {
            let mut all = self.lacking.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(*key).or_default().extend(lacking.iter().map(|listed| listed.record));
        }
        if found.is_empty() {
            found.extend(lacking.into_iter().map(outline));
        }
        Ok(found)
    }

    fn last_named(&self, _: &str) -> Result<Option<Record>, StoreError> {
        // Looking ahead does not report why a stage would run.
        Ok(None)
    }

    fn recorded(&self, key: &StageKey, digest: &RecordDigest) -> Result<Option<Record>, StoreError> {
        self.store.recorded(key, digest)
    }

    fn state(&self, object: &ObjectDigest) -> Result<ObjectState, StoreError> {
        match self.store.state(object)? {
            ObjectState::Missing if self.catalogue.object(object).is_some() => Ok(ObjectState::Present),
            state => Ok(state),
        }
    }

    fn signers(&self, record: &RecordDigest) -> Result<Vec<PublicKey>, StoreError> {
        self.store.signers(record)
    }
}
