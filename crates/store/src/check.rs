//! Going through the whole store: statistics, a full check, and bringing the index in line with the files.

use std::collections::{BTreeMap, BTreeSet};

use super::index::{Corrections, Counted, KnownObject};
use super::object::{BLOCK, ObjectHeader};
use super::records::{ReadRecord, Row};
use super::signatures::ReadBatch;
use super::{ObjectState, Store, StoreError};
use base::digest::{BatchDigest, ObjectDigest, RecordDigest, StageKey};
use base::parallel::parallel;

/// Progress of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Number of files checked.
    pub done: u64,
    /// Number of files to check.
    pub total: u64,
}

/// Result of a check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Number of objects with the right bytes.
    pub objects: u64,
    /// Number of records with the right bytes.
    pub records: u64,
    /// Number of valid batches of signatures.
    pub signatures: u64,
    /// Objects with wrong bytes; they are now in the quarantine, unless they could not be moved.
    pub damaged_objects: Vec<ObjectDigest>,
    /// For each damaged object that could not be moved: why, and who can help.
    pub in_the_way: Vec<String>,
    /// Objects with the right bytes that cannot be used, and why.
    pub unreadable: Vec<(ObjectDigest, String)>,
    /// Records with wrong bytes; they are now in the quarantine, unless they could not be moved.
    pub damaged_records: Vec<(StageKey, RecordDigest)>,
    /// Batches of signatures with wrong bytes or a wrong signature. They are also moved to the quarantine if possible.
    pub damaged_signatures: Vec<BatchDigest>,
    /// Records that the catalogue lists but that are missing: readers that rely on the catalogue will not find them.
    pub lost_records: Vec<(StageKey, RecordDigest)>,
    /// Parts of the catalogue that are missing or damaged, and what is wrong.
    pub lost_parts: Vec<(u64, String)>,
    /// Objects written by a newer program; they are left alone.
    pub foreign_objects: Vec<ObjectDigest>,
    /// Records written by another version of the program; they are left alone.
    pub foreign_records: Vec<RecordDigest>,
    /// Batches of signatures written by another version of the program; they are left alone and not counted.
    pub foreign_signatures: Vec<BatchDigest>,
    /// One message for each of these three types, which names the required version.
    pub foreign: Vec<String>,
    /// Objects that a record names but that are missing: removed to save space, or damaged.
    pub dropped: BTreeSet<ObjectDigest>,
    /// Number of index entries that were wrong or missing; they have been corrected.
    pub index_corrections: u64,
}

impl CheckReport {
    /// Whether nothing is damaged or lost, and everything can be used. Dropped objects are not damage.
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

/// Statistics of the records of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct KindStats {
    /// Number of records.
    pub records: u64,
    /// Number of bytes of their files, including inline outputs.
    pub bytes: u64,
    /// Number of bytes of the files of the other outputs that are in the store. An object that several kinds yielded
    /// counts for the first kind in order.
    pub outputs: u64,
    /// Number of seconds of computing that they represent.
    pub seconds: f64,
}

/// Statistics of a store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Number of objects.
    pub objects: u64,
    /// Number of unpacked bytes of the objects.
    pub raw_bytes: u64,
    /// Number of bytes of their files.
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
    /// Counts the contents of the store.
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

    /// Hashes every object and record, regardless of the index, and verifies every signature; damaged files are moved
    /// to the quarantine.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn check(&self, progress: &mut dyn FnMut(Progress)) -> Result<CheckReport, StoreError> {
        self.check_with(progress, &|_| Ok(()))
    }

    /// Checks the store as [`Store::check`] does, and also calls `read` on the bytes of every output, to find out
    /// whether they can be used; `read` returns why not.
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
                        // An object that was added since the objects were listed is not dropped.
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

    /// Enters everything into the index, unless that has been done since the index was created.
    pub(super) fn refresh_if_stale(&self) -> Result<(), StoreError> {
        if !self.index.is_complete() {
            self.refresh()?;
        }
        Ok(())
    }

    /// Returns the names of all records that have a file, with their keys. This lists a folder per key, so several
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

    /// Brings the index in line with the names of the files; reads only files that the index does not know. Returns
    /// all objects and records, and the number of entries that were wrong or missing.
    pub(super) fn refresh(&self) -> Result<(Vec<KnownObject>, Vec<Counted>, u64), StoreError> {
        let mut changes = Corrections::default();

        let mut known: BTreeMap<_, _> = self.index.objects().into_iter().map(|known| (known.digest, known)).collect();
        let mut objects = Vec::new();
        for digest in self.layout.all_objects()? {
            if let Some(object) = known.remove(&digest) {
                objects.push(object);
                continue;
            }
            // An object with a bad header is detected and moved aside when it is read.
            let start = files::read_start(&self.layout.object(&digest), BLOCK as u64).unwrap_or_default();
            if let Ok(header) = ObjectHeader::from_start(&start) {
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
