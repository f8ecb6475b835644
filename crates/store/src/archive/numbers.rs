//! The numbers of an archive, in memory, checked as far as possible without computing.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::entries::Entries;
use super::limits::{BATCH_LIMIT, MEMORY_LIMIT, NUMBERS_LIMIT, weight};
use super::reference::Checked;
use super::{ArchiveError, Header, Scope, refused};
use base::closure::Closure;
use base::digest::{BatchDigest, ObjectDigest, RecordDigest};
use base::record::{RECORD_LIMIT, Record};
use base::value::Value;
use base::work::{KindName, is_bulk};

/// First bytes of a batch of signatures.
const BATCH_MAGIC: [u8; 4] = *b"WDsg";

/// Everything in a figure's archive except bulk: enough to check the figure, and to draw it again.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers {
    /// Header of the archive.
    pub header: Header,
    /// Records of all stages and imports that the figure depends on.
    pub records: BTreeMap<RecordDigest, Record>,
    /// Batches of signatures, as they are stored; signers and signed records are not checked here.
    pub batches: Vec<Vec<u8>>,
    /// Tables that are not inline in their records.
    pub objects: BTreeMap<ObjectDigest, Vec<u8>>,
}

/// Reads and checks an archive of numbers. Memory use stays below 256 MiB whatever the file contains.
///
/// # Errors
/// If the file cannot be read, is not an archive, was altered, contains bulk objects, or fails [`Numbers::check`].
pub fn read_numbers(path: &Path) -> Result<Numbers, ArchiveError> {
    Numbers::read(Checked::open(path)?.entries()?)
}

impl Numbers {
    /// Reads and checks an archive of numbers from the bytes of its file. It must not have a reference.
    ///
    /// # Errors
    /// See [`read_numbers`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ArchiveError> {
        Self::read(Checked::from_bytes(bytes)?.entries()?)
    }

    fn read(mut entries: Entries<'_, impl Read>) -> Result<Self, ArchiveError> {
        if entries.header.scope != Scope::Numbers || entries.header.bulk != 0 {
            return refused("it holds more than numbers: import it into a cache with `wdpipe cache import FILE`");
        }
        let numbers = Self::take(&mut entries)?;
        entries.end()?;
        Ok(numbers)
    }

    /// Reads the numbers from the start of an archive, and checks them.
    pub(super) fn take(entries: &mut Entries<'_, impl Read>) -> Result<Self, ArchiveError> {
        let header = entries.header.clone();
        let (mut records, mut batches, mut objects) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        let mut memory = 0;
        for _ in 0..header.records {
            let bytes = entries.number("a record", RECORD_LIMIT)?;
            let digest = RecordDigest::of(&bytes);
            in_order(records.last_key_value().is_none_or(|(last, _)| *last < digest), "records")?;
            let record = Record::from_bytes(&bytes).map_err(|error| ArchiveError::Refused(error.to_string()))?;
            // Two encodings of one record would give it two names.
            if record.to_bytes().is_ok_and(|(again, _)| again != digest) {
                return refused(format!("record {digest} is not encoded as this program encodes records"));
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
                return refused(format!("batch {digest} is not a batch of signatures"));
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

    /// Returns everything that the figure depends on.
    pub fn closure(&self) -> Closure {
        Closure::of(self.header.record, &self.records)
    }

    /// Checks that the header matches the records; that these are exactly the records that the figure depends on; and
    /// that the objects are exactly the outputs that are neither bulk nor inline. The names of all parts were checked
    /// when they were read.
    ///
    /// # Errors
    /// With the first fault.
    pub fn check(&self) -> Result<(), ArchiveError> {
        let header = &self.header;
        let Some(figure) = self.records.get(&header.record) else { return refused("its figure's record is missing") };
        if figure.parts.key() != header.key {
            return refused("the key of its figure's record does not match its header");
        }
        let is_named = figure.parts.parameters.get("name") == Some(&Value::Text(header.figure.clone()));
        if figure.parts.kind != KindName::Figure.name() || !is_named {
            return refused("its record is not that of the figure named in its header");
        }
        let closure = self.closure();
        if let Some((member, role)) = closure.gaps().first() {
            return refused(format!("no stage in it yields an input of {}: {role:?}", quoted(&member.name)));
        }
        if closure.members.len() != self.records.len() {
            let stray = self.records.len() - closure.members.len();
            return refused(format!("{stray} of its records do not belong to the figure"));
        }
        if closure.root() != header.root {
            return refused("the root of its records does not match its header");
        }
        let wanted = sizes(self.records.values(), false)?;
        for (object, bytes) in &self.objects {
            match wanted.get(object) {
                None => return refused(format!("object {object} does not belong to the figure")),
                Some(size) if *size != bytes.len() as u64 => {
                    return refused(format!("the length of object {object} does not match its record"));
                }
                Some(_) => {}
            }
        }
        match wanted.keys().find(|object| !self.objects.contains_key(object)) {
            Some(object) => refused(format!("object {object} is missing")),
            None => Ok(()),
        }
    }

    /// Returns the bulk objects that belong to the figure, with their lengths.
    pub(super) fn bulk(&self) -> Result<BTreeMap<ObjectDigest, u64>, ArchiveError> {
        sizes(self.records.values(), true)
    }
}

/// Returns the objects of records' outputs that are not inline, either the bulk ones or the others, with their
/// lengths. An object that is bulk for one stage but not for another counts as not bulk.
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
    if is { Ok(()) } else { refused(format!("its {what} are not in order, or one is repeated")) }
}

/// Returns an untrusted name in a form that is safe to show.
fn quoted(name: &str) -> String {
    let short: String = name.chars().take(100).collect();
    format!("{short:?}")
}
