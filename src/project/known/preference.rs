//! Chooses among several records of a key: first a record that a committed lock holds, then one that a trusted key signed.

use std::collections::{BTreeMap, HashMap};
use std::sync::OnceLock;

use crate::engine::{Preference, Recorded, Standing};
use crate::plan::Refusal;
use crate::reports::Place;
use base::digest::{ObjectDigest, StageKey};
use base::isolation::Isolation;
use base::record::Outline;
use store::StoreError;
use store::sign::{Accept, PublicKey, Trust};

/// The outputs of each key that locks hold.
type Held = HashMap<StageKey, Vec<BTreeMap<String, ObjectDigest>>>;

/// The preference given by the locks of some figures and by trusted keys. The locks are read when they are first needed.
#[derive(Debug, Default)]
pub struct Preferred {
    places: Vec<Place>,
    held: OnceLock<Held>,
    trust: Trust,
}

impl Preferred {
    /// Makes a preference for records that the locks at these places hold, and then for records that trusted keys signed.
    pub fn new(places: Vec<Place>, trust: Trust) -> Self {
        Self { places, held: OnceLock::new(), trust }
    }

    /// Returns the same preference without the locks.
    pub fn without_locks(&self) -> Self {
        Self::new(Vec::new(), self.trust.clone())
    }

    /// Returns the same preference, except that it accepts records that the project's policy refuses.
    pub fn lenient(&self) -> Self {
        let mut trust = self.trust.clone();
        trust.policy.using = Accept::Any;
        Self::new(self.places.clone(), trust)
    }

    /// Checks whether records that this key signs are used.
    pub fn counts(&self, key: &PublicKey) -> bool {
        !self.is_strict() || self.trust.vouches(&[*key])
    }

    /// Returns the refusal of a record whose command ran in a weaker sandbox than the project asks for.
    fn too_weak(
        &self,
        source: &dyn Recorded,
        key: &StageKey,
        outline: &Outline,
    ) -> Result<Option<Refusal>, StoreError> {
        let wanted = self.trust.policy.sandbox;
        if wanted == Isolation::None {
            return Ok(None);
        }
        let record = source.recorded(key, &outline.digest)?;
        let ran = record.and_then(|record| record.isolation()).filter(|ran| *ran < wanted);
        Ok(ran.map(|ran| Refusal::Sandbox { ran, wanted }))
    }

    fn held(&self) -> &Held {
        self.held.get_or_init(|| {
            let mut held = Held::new();
            // A lock that cannot be read is ignored here; `make` and `verify` report it.
            for lock in self.places.iter().filter_map(|place| place.lock().ok()?) {
                for stage in lock.stages {
                    held.entry(stage.key).or_default().push(stage.outputs);
                }
            }
            held
        })
    }
}

impl Preference for Preferred {
    fn standing(&self, source: &dyn Recorded, key: &StageKey, outline: &Outline) -> Result<Standing, StoreError> {
        let yields = |outputs: &BTreeMap<String, ObjectDigest>| {
            outputs.len() == outline.outputs.len()
                && outline.outputs.iter().all(|output| outputs.get(&output.name) == Some(&output.object))
        };
        let locked = self.held().get(key).is_some_and(|held| held.iter().any(yields));
        // If there are no trusted keys, the signers do not matter.
        let trusted = !self.trust.keys().is_empty() && self.trust.vouches(&source.signers(&outline.digest)?);
        let refusal = match self.is_strict() {
            true if !trusted => Some(Refusal::Unsigned),
            true => self.too_weak(source, key, outline)?,
            false => None,
        };
        Ok(match (refusal, locked, trusted) {
            (Some(refusal), ..) => Standing::Refused(refusal),
            (_, true, _) => Standing::Locked,
            (_, _, true) => Standing::Trusted,
            _ => Standing::Known,
        })
    }

    fn is_strict(&self) -> bool {
        self.trust.policy.using == Accept::Signed
    }
}
