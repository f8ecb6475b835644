//! Restores objects that are damaged or missing: fetches them from another source, or recomputes the stage that
//! produced them. Only bytes that match the recorded hash are stored.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::time::{Duration, Instant};

use super::rerun::{RerunError, Rerunner};
use crate::stages::{self, StageError};
use base::digest::ObjectDigest;
use base::producers::{Producer, Producers};
use store::{Claim, Claiming, ObjectState, Store, StoreError};

/// Time from the first attempt to claim a stage that another process is computing to the second, and between checks
/// whether to stop.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// The longest time between two attempts: it doubles each time.
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Another source of objects: returns the length and the bytes of an object, if it has it. The bytes are not trusted.
pub type Elsewhere<'a> = dyn Fn(&ObjectDigest) -> Option<(u64, Box<dyn Read>)> + 'a;

/// The result of a repair.
#[derive(Debug, Clone, PartialEq)]
pub enum Repaired {
    /// The store had the object.
    There,
    /// The object was fetched from the source.
    Fetched,
    /// A stage was run again and returned the object.
    Computed,
    /// A stage was run again and some of its outputs differ. None of its outputs were stored.
    Differs {
        /// Name of the stage.
        stage: String,
        /// Names of the outputs that differ.
        outputs: Vec<String>,
    },
    /// The object cannot be restored, for this reason.
    Cannot(String),
}

/// The resources of a repair.
pub struct Repair<'a> {
    /// The store that is repaired.
    pub store: &'a Store,
    /// The producers of all objects.
    pub producers: &'a Producers,
    /// The source that is tried before anything is computed.
    pub source: &'a Elsewhere<'a>,
    /// Returns whether to stop.
    pub cancelled: &'a dyn Fn() -> bool,
}

impl Repair<'_> {
    /// Restores objects, together with the missing inputs that recomputing them needs. `tell` is called with the name of
    /// every computed stage and its duration in seconds.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn run(
        &self,
        wanted: &BTreeSet<ObjectDigest>,
        rerunner: &mut Rerunner,
        tell: &dyn Fn(&str, f64),
    ) -> Result<BTreeMap<ObjectDigest, Repaired>, StoreError> {
        let mut repaired = BTreeMap::new();
        for object in wanted {
            if let Some(how) = self.at_hand(object)? {
                repaired.insert(*object, how);
            }
        }
        let missing: BTreeSet<_> = wanted.iter().copied().filter(|object| !repaired.contains_key(object)).collect();
        let mut failed = None;
        let again = self.producers.again(missing.iter().copied(), &mut |object| match self.at_hand(object) {
            Ok(at_hand) => at_hand.is_none(),
            Err(error) => {
                failed.get_or_insert(error);
                false
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let mut troubles: BTreeMap<_, _> = again.lost.iter().map(|object| (*object, self.lost(object))).collect();
        for &place in &again.run {
            let producer = &self.producers.producers()[place];
            let started = Instant::now();
            match self.compute(producer, rerunner, &troubles)? {
                None => tell(&producer.stage, started.elapsed().as_secs_f64()),
                Some(trouble) => {
                    for object in &producer.outputs {
                        // An output that is present can be read, even if the others could not be restored.
                        if self.store.state(object)? != ObjectState::Present {
                            troubles.insert(*object, trouble.clone());
                        }
                    }
                }
            }
        }
        for object in missing {
            repaired.insert(object, troubles.remove(&object).unwrap_or(Repaired::Computed));
        }
        Ok(repaired)
    }

    /// Checks whether an object is present, and tries to fetch it from the source if not.
    fn at_hand(&self, object: &ObjectDigest) -> Result<Option<Repaired>, StoreError> {
        if self.store.state(object)? == ObjectState::Present {
            return Ok(Some(Repaired::There));
        }
        let Some((length, mut bytes)) = (self.source)(object) else { return Ok(None) };
        match self.store.put_from(object, length, &mut bytes) {
            Ok(_) => Ok(Some(Repaired::Fetched)),
            // Wrong or incomplete bytes count as if the source did not have the object.
            Err(StoreError::Another(_) | StoreError::Source(_) | StoreError::TooLarge { .. }) => Ok(None),
            // A damaged file under this name cannot be moved aside; `in_the_way` reports it before anything is computed.
            Err(StoreError::Damaged { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn lost(&self, object: &ObjectDigest) -> Repaired {
        Repaired::Cannot(match self.producers.producer(object) {
            Some(producer) => format!("`{}` was imported: import it again", producer.stage),
            None => "no record here says how it was made".to_owned(),
        })
    }

    /// Runs a stage again and stores its outputs; returns the problem if that is not possible.
    fn compute(
        &self,
        producer: &Producer,
        rerunner: &mut Rerunner,
        troubles: &BTreeMap<ObjectDigest, Repaired>,
    ) -> Result<Option<Repaired>, StoreError> {
        let cannot = |why: String| Ok(Some(Repaired::Cannot(why)));
        if (self.cancelled)() {
            return cannot("interrupted".to_owned());
        }
        // Later stages report the first problem among their inputs.
        match producer.inputs.iter().find_map(|input| troubles.get(input)) {
            Some(Repaired::Cannot(why)) => return cannot(why.clone()),
            Some(trouble) => return cannot(trouble.to_string()),
            None => {}
        }
        let Some(record) = self.store.recorded(&producer.key, &producer.record)? else {
            return cannot(format!("the record of `{}` is gone", producer.stage));
        };
        if let Some(why) = self.in_the_way(producer)? {
            return cannot(why);
        }
        if let Ok((work, policy)) = Rerunner::work(&record)
            && work.needs_torch()
        {
            // A claim starts a thread, and this must happen before. Another policy is reported when the stage runs.
            let _ = stages::prepare(policy);
        }
        let Some(_claim) = self.claim(producer)? else { return cannot("interrupted".to_owned()) };
        let apart = || record.outputs.iter().filter(|output| output.inline.is_none());
        let mut is_there = true;
        for output in apart() {
            is_there &= self.store.state(&output.object)? == ObjectState::Present;
        }
        if is_there && apart().next().is_some() {
            // Another process restored the outputs before the claim.
            return Ok(Some(Repaired::There));
        }
        let read = |object: &ObjectDigest| self.read(object).map_err(StageError::from);
        let again = match rerunner.rerun(&record, &read, &mut |_| !(self.cancelled)()) {
            Ok(again) => again,
            // A full or broken disk is not a failure of the stage.
            Err(RerunError::Stage(StageError::Store(error))) if !matches!(error, StoreError::Missing(_)) => {
                return Err(error);
            }
            Err(error) => return cannot(format!("`{}`: {error}", producer.stage)),
        };
        let made: BTreeMap<_, _> = again.made.outputs.iter().map(|product| (product.name, product)).collect();
        let differs = |output: &&base::record::Output| {
            made.get(output.name.as_str()).is_none_or(|product| product.object != output.object)
        };
        let outputs: Vec<_> = record.outputs.iter().filter(differs).map(|output| output.name.clone()).collect();
        if !outputs.is_empty() {
            return Ok(Some(Repaired::Differs { stage: producer.stage.clone(), outputs }));
        }
        for output in apart() {
            if let Some(product) = made.get(output.name.as_str()) {
                self.store.put(&product.bytes)?;
            }
        }
        Ok(None)
    }

    /// Claims a stage; waits while another process holds the claim. Returns `None` if the repair is cancelled.
    fn claim(&self, producer: &Producer) -> Result<Option<Claim>, StoreError> {
        let (mut next, mut delay) = (Instant::now(), ASK_AGAIN);
        while !(self.cancelled)() {
            if Instant::now() >= next {
                if let Claiming::Ours(claim) = self.store.claim(&producer.key)? {
                    return Ok(Some(claim));
                }
                next = Instant::now() + delay;
                delay = (delay * 2).min(LONGEST_DELAY);
            }
            std::thread::sleep(ASK_AGAIN);
        }
        Ok(None)
    }

    /// Returns what would prevent a stage's outputs from being stored: a damaged file that this account cannot move aside.
    fn in_the_way(&self, producer: &Producer) -> Result<Option<String>, StoreError> {
        for object in &producer.outputs {
            if self.store.state(object)? == ObjectState::Damaged
                && let Err(error @ StoreError::Damaged { moved_to: Err(_), .. }) = self.store.verify(object)
            {
                return Ok(Some(error.to_string()));
            }
        }
        Ok(None)
    }

    /// Reads the bytes of an object, which may be inside a record.
    fn read(&self, object: &ObjectDigest) -> Result<Vec<u8>, StoreError> {
        let Some(holder) = self.producers.holder(object) else { return self.store.get(object) };
        let record = self.store.recorded(&holder.key, &holder.record)?;
        let outputs = record.iter().flat_map(|record| &record.outputs);
        let mut inline = outputs.filter(|output| output.object == *object).filter_map(|output| output.inline.clone());
        inline.next().map_or_else(|| self.store.get(object), Ok)
    }
}

impl std::fmt::Display for Repaired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::There => f.write_str("already present"),
            Self::Fetched => f.write_str("fetched"),
            Self::Computed => f.write_str("computed again, the same bytes"),
            Self::Differs { stage, outputs } => {
                write!(f, "`{stage}` came out differently ({}); nothing was stored", outputs.join(", "))
            }
            Self::Cannot(why) => f.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::{Device, Product};
    use base::record::{KeyParts, Output, Provenance, Record};
    use base::value::Map;
    use base::work::{Dataset, Source, Work};

    /// Runs a stage that makes images; returns its record, whose outputs are not stored, and their bytes.
    fn images(lie: bool) -> (Record, Vec<Vec<u8>>) {
        let work = Work::Dataset(Dataset { source: Source::Shapes10, train: 60, test: 20, classes: None, seed: 3 });
        let parts = KeyParts {
            kind: work.kind().into(),
            version: work.version(),
            parameters: work.parameters().unwrap(),
            inputs: BTreeMap::new(),
            policy: Map::new(),
        };
        let bare = Record { parts, outputs: vec![], tensors: vec![], provenance: Provenance::default() };
        let made = Rerunner::new(Device::Cpu).rerun(&bare, &|o| Err(StoreError::Missing(*o).into()), &mut |_| true);
        let made = made.unwrap_or_else(|error| panic!("{error}")).made.outputs;
        let output = |made: &Product| Output {
            name: made.name.to_owned(),
            object: if lie && made.name == "test" { ObjectDigest::of(b"another") } else { made.object },
            bytes: made.bytes.len() as u64,
            inline: None,
        };
        let provenance = Provenance { stage: "f/data".into(), ..Provenance::default() };
        let record = Record { outputs: made.iter().map(output).collect(), provenance, ..bare };
        (record, made.into_iter().map(|product| product.bytes).collect())
    }

    fn repair(store: &Store, source: &Elsewhere<'_>, wanted: &BTreeSet<ObjectDigest>) -> Vec<Repaired> {
        let producers = Producers::new(store.producers().unwrap());
        let repair = Repair { store, producers: &producers, source, cancelled: &|| false };
        let all = repair.run(wanted, &mut Rerunner::new(Device::Cpu), &|_, _| {}).unwrap();
        assert!(all.keys().eq(wanted));
        all.into_values().collect()
    }

    #[test]
    fn what_is_gone_is_computed_again_or_fetched_and_a_lie_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (record, bytes) = images(false);
        store.publish(&record).unwrap();
        let wanted: BTreeSet<_> = record.outputs.iter().map(|output| output.object).collect();
        let nothing: &Elsewhere<'_> = &|_| None;
        let first = bytes[0].clone();
        let has_first = |object: &ObjectDigest| -> Option<(u64, Box<dyn Read>)> {
            let bytes = if *object == ObjectDigest::of(&first) { first.clone() } else { b"a lie".to_vec() };
            Some((bytes.len() as u64, Box::new(std::io::Cursor::new(bytes))))
        };
        let mut how = repair(&store, &has_first, &wanted);
        how.sort_by_key(ToString::to_string);
        assert_eq!(how, [Repaired::Computed, Repaired::Fetched], "the lie was not taken");
        assert_eq!(repair(&store, nothing, &wanted), [Repaired::There, Repaired::There]);
        assert_eq!(store.get(&record.outputs[1].object).unwrap(), bytes[1]);
        let unknown = ObjectDigest::of(b"unknown");
        assert!(
            matches!(&repair(&store, nothing, &[unknown].into())[..], [Repaired::Cannot(why)] if why.contains("no record"))
        );
    }

    #[test]
    fn what_another_process_computes_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (record, bytes) = images(false);
        store.publish(&record).unwrap();
        let wanted: BTreeSet<_> = record.outputs.iter().map(|output| output.object).collect();
        let producers = Producers::new(store.producers().unwrap());
        let claim = std::cell::Cell::new(store.claim(&record.parts.key()).unwrap().ours());
        // This is called before each attempt; at the third call the other process is done.
        let asked = std::cell::Cell::new(0);
        let done = || {
            asked.set(asked.get() + 1);
            if asked.get() == 3 {
                for bytes in &bytes {
                    store.put(bytes).unwrap();
                }
                claim.set(None);
            }
            false
        };
        let repair = Repair { store: &store, producers: &producers, source: &|_| None, cancelled: &done };
        let told = std::cell::Cell::new(false);
        repair.run(&wanted, &mut Rerunner::new(Device::Cpu), &|_, _| told.set(true)).unwrap();
        assert!(!told.get() && claim.take().is_none(), "it is computed twice");
        assert!(wanted.iter().all(|object| store.state(object).unwrap() == ObjectState::Present));
        // A repair that is interrupted while waiting does not compute.
        let other = tempfile::tempdir().unwrap();
        let store = Store::open(&other.path().join("second")).unwrap();
        store.publish(&record).unwrap();
        let producers = Producers::new(store.producers().unwrap());
        let _claim = store.claim(&record.parts.key()).unwrap();
        let asked = std::cell::Cell::new(0);
        let cancelled = || asked.replace(asked.get() + 1) > 2;
        let repair = Repair { store: &store, producers: &producers, source: &|_| None, cancelled: &cancelled };
        let all = repair.run(&wanted, &mut Rerunner::new(Device::Cpu), &|_, _| {}).unwrap();
        assert!(all.values().all(|how| *how == Repaired::Cannot("interrupted".into())), "{all:?}");
    }

    #[test]
    fn what_comes_out_differently_is_not_put_in_and_what_reads_it_is_not_computed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (record, bytes) = images(true);
        store.publish(&record).unwrap();
        let mut reader = images(false).0;
        reader.parts.inputs.insert("train".into(), record.outputs[1].object);
        reader.outputs.iter_mut().for_each(|output| output.object = ObjectDigest::of(output.name.as_bytes()));
        store.publish(&reader).unwrap();
        let wanted = [record.outputs[0].object, reader.outputs[0].object].into();
        let mut how = repair(&store, &|_| None, &wanted);
        how.sort_by_key(|how| matches!(how, Repaired::Cannot(_)));
        assert_eq!(how[0], Repaired::Differs { stage: "f/data".into(), outputs: vec!["test".into()] });
        assert!(matches!(&how[1], Repaired::Cannot(why) if why.contains("came out differently")), "{how:?}");
        assert_eq!(store.state(&ObjectDigest::of(&bytes[0])).unwrap(), ObjectState::Missing);
    }

    #[test]
    fn what_is_lost_is_the_reason_and_what_is_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (liar, bytes) = images(true);
        store.publish(&liar).unwrap();
        // One output of the liar is present, and the other cannot be restored.
        let train = store.put(&bytes[0]).unwrap();
        assert_eq!((liar.outputs[0].object, liar.outputs[0].name.as_str()), (train, "train"));
        let mut reader = images(false).0;
        reader.parts.inputs.insert("train".into(), train);
        reader.outputs.retain(|output| output.name == "test");
        store.publish(&reader).unwrap();
        let mut of_lost = images(false).0;
        let lost = ObjectDigest::of(b"brought");
        of_lost.parts.inputs.insert("raw".into(), lost);
        of_lost.outputs = vec![Output { object: ObjectDigest::of(b"never"), ..of_lost.outputs[0].clone() }];
        store.publish(&of_lost).unwrap();
        let import = Record {
            parts: KeyParts { kind: "import".into(), ..reader.parts.clone() },
            outputs: vec![Output { object: lost, ..of_lost.outputs[0].clone() }],
            provenance: Provenance { stage: "import/raw".into(), ..Provenance::default() },
            ..reader.clone()
        };
        store.publish(&import).unwrap();
        let wanted: Vec<_> = [&liar.outputs[1], &reader.outputs[0], &of_lost.outputs[0]].map(|o| o.object).into();
        let producers = Producers::new(store.producers().unwrap());
        let repair = Repair { store: &store, producers: &producers, source: &|_| None, cancelled: &|| false };
        let all = repair.run(&wanted.iter().copied().collect(), &mut Rerunner::new(Device::Cpu), &|_, _| {}).unwrap();
        assert!(matches!(&all[&wanted[0]], Repaired::Differs { .. }), "{all:?}");
        assert_eq!(all[&wanted[1]], Repaired::Computed);
        assert_eq!(all[&wanted[2]], Repaired::Cannot("`import/raw` was imported: import it again".into()));
    }

    #[test]
    fn nothing_is_computed_for_a_name_that_cannot_be_had() {
        #![allow(clippy::disallowed_methods, reason = "it damages the store from outside")]
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (record, bytes) = images(false);
        store.publish(&record).unwrap();
        let object = record.outputs[0].object;
        let path = folder.path().join(store::object_path(&object));
        std::fs::write(&path, "wrong").unwrap();
        // Files cannot be moved aside, since `quarantine` is not a folder.
        std::fs::remove_dir(folder.path().join("quarantine")).unwrap();
        std::fs::write(folder.path().join("quarantine"), "").unwrap();
        let has = |_: &ObjectDigest| -> Option<(u64, Box<dyn Read>)> {
            Some((bytes[0].len() as u64, Box::new(std::io::Cursor::new(bytes[0].clone()))))
        };
        let how = repair(&store, &has, &[object].into());
        assert!(matches!(&how[..], [Repaired::Cannot(why)] if why.contains("could not be moved aside")), "{how:?}");
    }
}
