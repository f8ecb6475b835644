//! The numbers of an archive: in memory, and checked as far as they can be without computing.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::Path;

use super::entries::Entries;
use super::limits::{BATCH_LIMIT, MEMORY_LIMIT, NUMBERS_LIMIT, weight};
use super::{ArchiveError, Header, Scope, refused};
use base::closure::Closure;
use base::digest::{BatchDigest, ObjectDigest, RecordDigest};
use base::record::{RECORD_LIMIT, Record};
use base::value::Value;
use base::work::{KindName, is_bulk};

/// The first bytes of a batch of signatures.
const BATCH_MAGIC: [u8; 4] = *b"WDsg";

/// What an archive has of a figure but bulk: all that is needed to check it, and to draw it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// What the archive says of itself.
    pub header: Header,
    /// The records of all stages behind the figure and of what they imported.
    pub records: BTreeMap<RecordDigest, Record>,
    /// Batches of signatures, as they are stored; whose they are and what they sign is not checked here.
    pub batches: Vec<Vec<u8>>,
    /// Tables that are not in their records.
    pub objects: BTreeMap<ObjectDigest, Vec<u8>>,
}

/// Reads and checks an archive of numbers. Memory stays below 256 MiB whatever the file holds.
///
/// # Errors
/// If the file cannot be read, is no archive, was altered, is one of everything, or does not pass [`Numbers::check`].
pub fn read_numbers(path: &Path) -> Result<Numbers, ArchiveError> {
    let (file, identity) = files::open(path)?;
    Numbers::read(Entries::open(file, identity.size)?)
}

impl Numbers {
    /// The same for the bytes of the file.
    ///
    /// # Errors
    /// As [`read_numbers`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ArchiveError> {
        Self::read(Entries::open(Cursor::new(bytes), bytes.len() as u64)?)
    }

    fn read(mut entries: Entries<impl Read>) -> Result<Self, ArchiveError> {
        if entries.header.scope != Scope::Numbers || entries.header.bulk != 0 {
            return refused("it holds more than numbers: `wdpipe cache import FILE` takes it into a cache");
        }
        let numbers = Self::take(&mut entries)?;
        entries.end()?;
        Ok(numbers)
    }

    /// Takes the numbers from the beginning of an archive, and checks them.
    pub(super) fn take(entries: &mut Entries<impl Read>) -> Result<Self, ArchiveError> {
        let header = entries.header.clone();
        let (mut records, mut batches, mut objects) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let mut memory = 0;
        for _ in 0..header.records {
            let bytes = entries.number("a record", RECORD_LIMIT)?;
            let digest = RecordDigest::of(&bytes);
            in_order(records.last_key_value().is_none_or(|(last, _)| *last < digest), "records")?;
            let record = Record::from_bytes(&bytes).map_err(|error| ArchiveError::Refused(error.to_string()))?;
            // Two forms of one record would be two names of one thing.
            if record.to_bytes().is_ok_and(|(again, _)| again != digest) {
                return refused(format!("record {digest} is not written as this program writes records"));
            }
            memory += weight(&record);
            if memory > MEMORY_LIMIT {
                return refused(format!("its records take more than {MEMORY_LIMIT} bytes of memory"));
            }
            records.insert(digest, record);
        }
        let mut last = None;
        for _ in 0..header.batches {
            let bytes = entries.number("a batch of signatures", BATCH_LIMIT)?;
            let digest = BatchDigest::of(&bytes);
            in_order(last.is_none_or(|last| last < digest), "batches")?;
            if !bytes.starts_with(&BATCH_MAGIC) {
                return refused(format!("batch {digest} is no batch of signatures"));
            }
            last = Some(digest);
            batches.push(bytes);
        }
        for _ in 0..header.objects {
            let bytes = entries.number("an object", NUMBERS_LIMIT)?;
            let digest = ObjectDigest::of(&bytes);
            in_order(objects.last_key_value().is_none_or(|(last, _)| *last < digest), "objects")?;
            objects.insert(digest, bytes);
        }
        let numbers = Self { header, records, batches, objects };
        numbers.check()?;
        Ok(numbers)
    }

    /// All that is behind the figure.
    pub fn closure(&self) -> Closure {
        Closure::of(self.header.record, &self.records)
    }

    /// Makes sure that the header says what the records say; that these are all that is behind the figure and nothing
    /// else; and that the objects are those of their outputs that are neither bulk nor in them, and no others. That every
    /// part has its name is known since it was read.
    ///
    /// # Errors
    /// With what is wrong.
    pub fn check(&self) -> Result<(), ArchiveError> {
        let header = &self.header;
        let Some(figure) = self.records.get(&header.record) else { return refused("its figure's record is missing") };
        if figure.parts.key() != header.key {
            return refused("its figure's record is of another key than its header says");
        }
        let is_named = figure.parts.parameters.get("name") == Some(&Value::Text(header.figure.clone()));
        if figure.parts.kind != KindName::Figure.name() || !is_named {
            return refused("its record is not that of the figure that its header names");
        }
        let closure = self.closure();
        if let Some((member, role)) = closure.gaps().first() {
            return refused(format!("nothing in it yields what {} reads as {role:?}", quoted(&member.name)));
        }
        if closure.members.len() != self.records.len() {
            let stray = self.records.len() - closure.members.len();
            return refused(format!("{stray} of its records have nothing to do with the figure"));
        }
        if closure.root() != header.root {
            return refused("its records have another root than its header says");
        }
        let wanted = sizes(self.records.values(), false)?;
        for (object, bytes) in &self.objects {
            match wanted.get(object) {
                None => return refused(format!("object {object} has nothing to do with the figure")),
                Some(size) if *size != bytes.len() as u64 => {
                    return refused(format!("object {object} has another length than its record says"));
                }
                Some(_) => {}
            }
        }
        match wanted.keys().find(|object| !self.objects.contains_key(object)) {
            Some(object) => refused(format!("object {object} is missing")),
            None => Ok(()),
        }
    }

    /// The bulk objects that belong to the figure, with their lengths.
    pub(super) fn bulk(&self) -> Result<BTreeMap<ObjectDigest, u64>, ArchiveError> {
        sizes(self.records.values(), true)
    }
}

/// The objects of records' outputs that are not in the records, those that are bulk or the others, with their lengths.
/// What is bulk for one stage and not for another is not.
pub(super) fn sizes<'a>(
    records: impl Iterator<Item = &'a Record>,
    bulk: bool,
) -> Result<BTreeMap<ObjectDigest, u64>, ArchiveError> {
    let (mut wanted, mut other) = (BTreeMap::new(), BTreeMap::new());
    for output in records.flat_map(|record| &record.outputs).filter(|output| output.inline.is_none()) {
        let of_it = if is_bulk(&output.name) { &mut other } else { &mut wanted };
        if of_it.insert(output.object, output.bytes).is_some_and(|before| before != output.bytes) {
            return refused(format!("its records give object {} two lengths", output.object));
        }
    }
    if bulk {
        other.retain(|object, _| !wanted.contains_key(object));
        return Ok(other);
    }
    Ok(wanted)
}

fn in_order(is: bool, what: &str) -> Result<(), ArchiveError> {
    if is { Ok(()) } else { refused(format!("its {what} are not in order, or one is there twice")) }
}

/// A name that somebody sent, as it may be shown.
fn quoted(name: &str) -> String {
    let short: String = name.chars().take(100).collect();
    format!("{short:?}")
}
