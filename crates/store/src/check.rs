//! Looking at everything: statistics, a full check, and bringing the index in line with the files.

use std::collections::{BTreeMap, BTreeSet};

use super::index::{Corrections, Counted, KnownObject};
use super::object::{BLOCK, Header};
use super::records::{ReadRecord, Row};
use super::signatures::ReadBatch;
use super::{ObjectState, Store, StoreError};
use base::digest::{BatchDigest, ObjectDigest, RecordDigest, StageKey};
use base::parallel::parallel;

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Files looked at.
    pub done: u64,
    /// Files to look at.
    pub total: u64,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Objects with the right bytes.
    pub objects: u64,
    /// Records with the right bytes.
    pub records: u64,
    /// Batches of signatures that are valid.
    pub signatures: u64,
    /// Objects with wrong bytes; they are in the quarantine now, or had to stay where they are.
    pub damaged_objects: Vec<ObjectDigest>,
    /// Of those that had to stay, why, and who can help.
    pub in_the_way: Vec<String>,
    /// Objects with the right bytes that cannot be used, and why.
    pub unreadable: Vec<(ObjectDigest, String)>,
    /// Records with wrong bytes, likewise.
    pub damaged_records: Vec<(StageKey, RecordDigest)>,
    /// Batches of signatures with wrong bytes or a wrong signature, likewise.
    pub damaged_signatures: Vec<BatchDigest>,
    /// Records that the catalogue lists and that are not there: whoever reads the store by it looks for them in vain.
    pub lost_records: Vec<(StageKey, RecordDigest)>,
    /// Parts of the catalogue that are not there or damaged, and in what way.
    pub lost_parts: Vec<(u64, String)>,
    /// Objects that a newer program wrote; they are left alone.
    pub foreign_objects: Vec<ObjectDigest>,
    /// Records that another version of the program wrote; they are left alone.
    pub foreign_records: Vec<RecordDigest>,
    /// Batches of signatures that another version of the program wrote; they are left alone and not counted.
    pub foreign_signatures: Vec<BatchDigest>,
    /// What is said of one of each of these: which version it takes.
    pub foreign: Vec<String>,
    /// Objects that a record names and that are not there: removed to save space, or damaged.
    pub dropped: BTreeSet<ObjectDigest>,
    /// Entries of the index that were wrong or missing; they are right now.
    pub index_corrections: u64,
}

impl CheckReport {
    /// Whether nothing is damaged or lost, and all can be used. Dropped objects are no damage.
    pub fn is_sound(&self) -> bool {
        let Self { damaged_objects, unreadable, damaged_records, damaged_signatures, lost_records, lost_parts, .. } =
            self;
        damaged_objects.is_empty()
            && unreadable.is_empty()
            && damaged_records.is_empty()
            && damaged_signatures.is_empty()
            && lost_records.is_empty()
            && lost_parts.is_empty()
    }
}

/// The records of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct KindStats {
    /// How many.
    pub records: u64,
    /// Bytes of their files, in which small outputs lie.
    pub bytes: u64,
    /// Bytes of the files of the other outputs, as far as they are here. What several kinds yielded counts for the first of
    /// them in order.
    pub outputs: u64,
    /// Seconds of computing that they stand for.
    pub seconds: f64,
}

/// What a store holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Number of objects.
    pub objects: u64,
    /// Bytes of the objects when unpacked.
    pub raw_bytes: u64,
    /// Bytes of their files.
    pub stored_bytes: u64,
    /// Records by kind.
    pub kinds: BTreeMap<String, KindStats>,
}

impl Stats {
    fn kind(&mut self, kind: &str) -> &mut KindStats {
        self.kinds.entry(kind.to_owned()).or_default()
    }
}

impl Store {
    /// Counts what is there.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn stats(&self) -> Result<Stats, StoreError> {
        let (objects, records, _) = self.refresh()?;
        let mut stats = Stats::default();
        let origins = self.index.origins();
        for object in objects {
            let Some(identity) = files::identity(&self.layout.object(&object.digest))? else { continue };
            stats.objects += 1;
            stats.raw_bytes += object.raw;
            stats.stored_bytes += identity.size;
            if let Some((kind, _)) = origins.get(&object.digest) {
                stats.kind(kind).outputs += identity.size;
            }
        }
        for Counted { kind, bytes, seconds, .. } in records {
            let kind = stats.kind(&kind);
            kind.records += 1;
            kind.bytes += bytes;
            kind.seconds += seconds;
        }
        Ok(stats)
    }

    /// Hashes every object and record anew, whatever the index says, and verifies every signature; damaged
    /// ones are moved to the quarantine.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn check(&self, progress: &mut dyn FnMut(Progress)) -> Result<CheckReport, StoreError> {
        self.check_with(progress, &|_| Ok(()))
    }

    /// The same, reading the right bytes of every output as whoever uses them does: `read` says why it cannot.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn check_with(
        &self,
        progress: &mut dyn FnMut(Progress),
        read: &dyn Fn(&[u8]) -> Result<(), String>,
    ) -> Result<CheckReport, StoreError> {
        let (objects, keys, batches) =
            (self.layout.all_objects()?, self.layout.all_keys()?, self.layout.all_batches()?);
        let mut report = CheckReport::default();
        let mut at = Progress { done: 0, total: (objects.len() + keys.len() + batches.len()) as u64 };
        let mut step = || {
            at.done += 1;
            progress(at);
        };
        let mut present = BTreeSet::new();
        for object in objects {
            match self.get(&object) {
                Ok(bytes) => {
                    report.objects += 1;
                    present.insert(object);
                    report.unreadable.extend(read(&bytes).err().map(|why| (object, why)));
                }
                Err(StoreError::Missing(_)) => {}
                Err(StoreError::Damaged { moved_to, .. }) => {
                    report.damaged_objects.push(object);
                    report.in_the_way.extend(moved_to.err());
                }
                Err(error @ StoreError::NewerObject { .. }) => {
                    if report.foreign_objects.is_empty() {
                        report.foreign.push(error.to_string());
                    }
                    report.foreign_objects.push(object);
                    present.insert(object);
                }
                Err(error) => return Err(error),
            }
            step();
        }
        for key in keys {
            for digest in self.layout.records_of(&key)? {
                match self.read_record(&key, &digest) {
                    Ok(ReadRecord::Good { record, .. }) => {
                        report.records += 1;
                        for output in &record.outputs {
                            let unreadable = output.inline.as_ref().and_then(|bytes| read(bytes).err());
                            report.unreadable.extend(unreadable.map(|why| (output.object, why)));
                        }
                        let stored = record.outputs.iter().filter(|output| output.inline.is_none());
                        // One that came in since the objects were listed is there as well.
                        for output in stored.filter(|output| !present.contains(&output.object)) {
                            if self.state(&output.object)? != ObjectState::Present {
                                report.dropped.insert(output.object);
                            }
                        }
                    }
                    Ok(ReadRecord::Missing) => {}
                    Ok(ReadRecord::Damaged) => report.damaged_records.push((key, digest)),
                    Err(error @ StoreError::Record { .. }) => {
                        if report.foreign_records.is_empty() {
                            report.foreign.push(error.to_string());
                        }
                        report.foreign_records.push(digest);
                    }
                    Err(error) => return Err(error),
                }
            }
            step();
        }
        for digest in batches {
            match self.read_batch(&digest)? {
                ReadBatch::Good(_) => report.signatures += 1,
                ReadBatch::Foreign(source) => {
                    if report.foreign_signatures.is_empty() {
                        report
                            .foreign
                            .push(StoreError::Signatures { path: self.layout.batch(&digest), source }.to_string());
                    }
                    report.foreign_signatures.push(digest);
                }
                ReadBatch::Damaged => report.damaged_signatures.push(digest),
                ReadBatch::Missing => {}
            }
            step();
        }
        let catalogue = self.catalogue()?.unwrap_or_default();
        for (key, record) in catalogue.records() {
            if files::identity(&self.layout.record(key, record))?.is_none() {
                report.lost_records.push((*key, *record));
            }
        }
        report.lost_records.sort_unstable();
        report.lost_parts = catalogue.lost;
        report.index_corrections = self.refresh()?.2;
        Ok(report)
    }

    /// Enters everything into the index, if that has not been done since it was begun.
    pub(super) fn refresh_if_stale(&self) -> Result<(), StoreError> {
        if !self.index.is_complete() {
            self.refresh()?;
        }
        Ok(())
    }

    /// The names of all records that have a file, with their keys. A folder has to be listed for every key, so several
    /// threads do it.
    fn all_records(&self) -> Result<Vec<(StageKey, RecordDigest)>, StoreError> {
        let keys = self.layout.all_keys()?;
        let parts: Vec<_> = keys.chunks(256).collect();
        let list = |keys: &&[StageKey]| {
            let mut found = Vec::with_capacity(keys.len());
            for key in *keys {
                found.extend(self.layout.records_of(key)?.into_iter().map(|digest| (*key, digest)));
            }
            Ok::<_, StoreError>(found)
        };
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let found = parallel(cores, &parts, || (), |(), keys| Some(list(keys)));
        Ok(found.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// Brings the index in line with the names of the files; reads only what it does not know. Returns
    /// all objects and records, and how many entries were wrong or missing.
    pub(super) fn refresh(&self) -> Result<(Vec<KnownObject>, Vec<Counted>, u64), StoreError> {
        let mut changes = Corrections::default();

        let mut known: BTreeMap<_, _> = self.index.objects().into_iter().map(|known| (known.digest, known)).collect();
        let mut objects = Vec::new();
        for digest in self.layout.all_objects()? {
            if let Some(object) = known.remove(&digest) {
                objects.push(object);
                continue;
            }
            // One with a bad header is found, and moved aside, when it is read.
            let start = files::read_start(&self.layout.object(&digest), BLOCK as u64).unwrap_or_default();
            if let Ok(header) = Header::from_start(&start) {
                changes.new_objects.push(KnownObject { digest, raw: header.length });
            }
        }
        changes.gone_objects.extend(known.into_keys());
        objects.extend(&changes.new_objects);

        let mut known = self.index.records();
        let mut records = Vec::new();
        for (key, digest) in self.all_records()? {
            if let Some(counted) = known.remove(&digest) {
                records.push(counted);
                continue;
            }
            match self.read_record(&key, &digest) {
                Ok(ReadRecord::Good { record, bytes, .. }) => {
                    changes.new_records.push(Row::of(digest, &record, bytes));
                }
                Ok(ReadRecord::Missing | ReadRecord::Damaged) | Err(StoreError::Record { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        changes.gone_records.extend(known.into_iter().map(|(digest, counted)| (counted.key, digest)));
        records.extend(changes.new_records.iter().map(Counted::of));

        let corrections = changes.len();
        self.index.correct(&changes);
        Ok((objects, records, corrections))
    }
}
