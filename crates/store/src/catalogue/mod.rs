//! The catalogue: a list of what others can fetch from a store whose folders they cannot list, such as a bucket.
//!
//! Every writer adds a numbered *part* that lists what it added: `catalogue/0000000001`, `…2`, and so on, each
//! created once and never changed, so that writers need no lock. Part *n* also repeats the parts before it, back to
//! (but excluding) part *n* minus its lowest set bit (a Fenwick tree): a reader of *n* parts reads at most log₂ *n*
//! files, and every entry is written log₂ *n* times in total. The lists are only claims: everything that is fetched
//! is hashed.

mod part;

use std::collections::{BTreeMap, HashMap, HashSet};

pub use part::{Listed, ListedOutput, PART_LIMIT, Part, Signed};

use super::records::ReadRecord;
use super::signatures::ReadBatch;
use super::{ObjectState, Store, StoreError};
use base::codec::CodecError;
use base::digest::{BatchDigest, ObjectDigest, RecordDigest, StageKey};
use base::record::Record;

/// All records and batches of signatures of a store.
type Everything = (Vec<(StageKey, RecordDigest)>, Vec<BatchDigest>);

/// Name of the folder of the parts.
pub const FOLDER: &str = "catalogue";

/// Returns the file name of a part.
pub fn part_name(number: u64) -> String {
    format!("{number:010}")
}

/// Returns the number of a part from its file name; `None` for other names.
pub fn part_number(name: &str) -> Option<u64> {
    (name.len() == 10).then(|| name.parse().ok())?.filter(|number| *number > 0)
}

/// Returns the parts, newest first, that together cover everything if `last` is the last part.
pub fn parts_to_read(last: u64) -> Vec<u64> {
    let before = |number: &u64| number.checked_sub(1).map(|less| number & less);
    std::iter::successors(Some(last), before).take_while(|number| *number > 0).collect()
}

/// The contents of a store according to its catalogue.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// Number of the last part; 0 if there is none.
    pub last: u64,
    /// Missing or damaged parts, and what is wrong. Entries that only these parts list are unknown.
    pub lost: Vec<(u64, String)>,
    /// Records by key.
    records: HashMap<StageKey, Vec<Listed>>,
    /// Objects with the sizes of their files in bytes.
    objects: HashMap<ObjectDigest, u64>,
    signatures: HashMap<BatchDigest, Signed>,
    /// All listed records with their keys. Anyone who can write to a store can list a record under a wrong key. Such
    /// an entry must not hide the record under its right key.
    known: HashSet<(StageKey, RecordDigest)>,
    /// The parts that were read; the next part repeats some of them.
    parts: BTreeMap<u64, Part>,
}

impl Catalogue {
    /// Combines the parts named by [`parts_to_read`].
    pub fn new(parts: BTreeMap<u64, Part>) -> Self {
        let mut catalogue = Self { last: parts.keys().next_back().copied().unwrap_or(0), ..Self::default() };
        for part in parts.values() {
            catalogue.enter(part);
        }
        catalogue.parts = parts;
        catalogue
    }

    /// Adds the parts, up to the last one, that could not be read.
    pub fn with_lost(mut self, lost: Vec<(u64, String)>) -> Self {
        self.last = lost.iter().map(|(number, _)| *number).fold(self.last, u64::max);
        self.lost = lost;
        self
    }

    /// Returns all listed records.
    pub fn records(&self) -> impl Iterator<Item = &(StageKey, RecordDigest)> {
        self.known.iter()
    }

    fn enter(&mut self, part: &Part) {
        for object in &part.gone {
            self.objects.remove(object);
        }
        self.objects.extend(part.objects.iter().copied());
        self.signatures.extend(part.signatures.iter().map(|signed| (signed.batch, signed.clone())));
        for listed in &part.records {
            if self.known.insert((listed.key, listed.record)) {
                self.records.entry(listed.key).or_default().push(listed.clone());
            }
        }
    }

    /// Returns the listed records of a key.
    pub fn outcomes(&self, key: &StageKey) -> &[Listed] {
        self.records.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether a record of a key is listed.
    pub fn has_record(&self, key: &StageKey, record: &RecordDigest) -> bool {
        self.known.contains(&(*key, *record))
    }

    /// Returns the size of an object's file in bytes, if the object is listed.
    pub fn object(&self, object: &ObjectDigest) -> Option<u64> {
        self.objects.get(object).copied()
    }

    /// Whether a batch of signatures is listed.
    pub fn has_batch(&self, batch: &BatchDigest) -> bool {
        self.signatures.contains_key(batch)
    }

    /// Returns the batches that can contain a signature of one of these records, in the order of their names.
    pub fn batches_for(&self, records: &HashSet<RecordDigest>) -> Vec<&Signed> {
        let wanted: HashSet<u64> = records.iter().map(part::prefix).collect();
        let covers = |signed: &&Signed| signed.records.iter().any(|prefix| wanted.contains(prefix));
        let mut found: Vec<_> = self.signatures.values().filter(covers).collect();
        found.sort_by_key(|signed| signed.batch);
        found
    }

    /// Returns the numbers of listed records and objects.
    pub fn counts(&self) -> (usize, usize) {
        (self.known.len(), self.objects.len())
    }

    /// Returns the next part, which lists `new` and repeats earlier parts as needed, with its number.
    pub fn next(&self, new: Part) -> (u64, Part) {
        let number = self.last + 1;
        let end = number & (number - 1);
        let mut whole = Part::default();
        for (_, part) in self.parts.iter().filter(|(number, _)| **number > end) {
            whole.extend(part);
        }
        whole.extend(&new);
        (number, whole)
    }
}

impl Store {
    /// Reads the catalogue; `None` if the store has none.
    ///
    /// # Errors
    /// If a part cannot be read, or was written by a newer program.
    pub fn catalogue(&self) -> Result<Option<Catalogue>, StoreError> {
        let folder = self.root().join(FOLDER);
        if files::identity(&folder)?.is_none() {
            return Ok(None);
        }
        let last = files::list(&folder)?.iter().filter_map(|name| part_number(name)).max().unwrap_or(0);
        let (mut parts, mut lost) = (BTreeMap::new(), Vec::new());
        for number in parts_to_read(last) {
            let path = folder.join(part_name(number));
            match files::read(&path, PART_LIMIT) {
                Ok(bytes) => match Part::from_bytes(&bytes) {
                    Ok(part) => drop(parts.insert(number, part)),
                    Err(source @ CodecError::Version { .. }) => return Err(StoreError::Record { path, source }),
                    Err(error) => lost.push((number, error.to_string())),
                },
                Err(error) if error.is_missing() => lost.push((number, "it is missing".to_owned())),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(Catalogue::new(parts).with_lost(lost)))
    }

    /// Whether the store has a catalogue, so that new records must be listed in it.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn has_catalogue(&self) -> Result<bool, StoreError> {
        Ok(files::list(&self.root().join(FOLDER))?.iter().any(|name| part_number(name).is_some()))
    }

    /// Adds records that were published here, with their objects, to the catalogue, if there is one.
    ///
    /// # Errors
    /// If the catalogue cannot be read or written, or the store cannot be read.
    pub fn list(&self, records: &[(StageKey, RecordDigest)], batches: &[BatchDigest]) -> Result<(), StoreError> {
        match self.catalogue()? {
            // The entries of a lost part are unknown, so everything is listed again.
            Some(catalogue) if !catalogue.lost.is_empty() => self.list_all().map(drop),
            Some(catalogue) if catalogue.last > 0 => self.add_part(catalogue, records, batches, false),
            _ => Ok(()),
        }
    }

    /// Returns what a complete catalogue would contain: the listed contents, and those not listed yet.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn contents(&self) -> Result<Catalogue, StoreError> {
        let mut catalogue = self.catalogue()?.unwrap_or_default();
        let (records, batches) = self.everything()?;
        let part = self.part(&catalogue, &records, &batches)?;
        catalogue.enter(&part);
        Ok(catalogue)
    }

    /// Returns the names of all records and batches of signatures.
    fn everything(&self) -> Result<Everything, StoreError> {
        let mut records = Vec::new();
        for key in self.layout.all_keys()? {
            records.extend(self.layout.records_of(&key)?.into_iter().map(|digest| (key, digest)));
        }
        Ok((records, self.layout.all_batches()?))
    }

    /// Makes the catalogue list everything in the store, and creates it if there is none; returns the number of
    /// records and batches of signatures that were not listed before.
    ///
    /// # Errors
    /// See [`Store::list`].
    pub fn list_all(&self) -> Result<usize, StoreError> {
        files::create_folder(&self.root().join(FOLDER))?;
        let catalogue = self.catalogue()?.unwrap_or_default();
        let (mut records, mut batches) = self.everything()?;
        records.retain(|(key, digest)| !catalogue.has_record(key, digest));
        batches.retain(|batch| !catalogue.has_batch(batch));
        let count = records.len() + batches.len();
        self.add_part(catalogue, &records, &batches, true)?;
        Ok(count)
    }

    fn add_part(
        &self,
        mut catalogue: Catalogue,
        records: &[(StageKey, RecordDigest)],
        batches: &[BatchDigest],
        thoroughly: bool,
    ) -> Result<(), StoreError> {
        let mut part = self.part(&catalogue, records, batches)?;
        if thoroughly {
            self.note_dropped(&catalogue, &mut part)?;
        }
        for (number, _) in std::mem::take(&mut catalogue.lost) {
            // The first lost part now lists what is no longer listed.
            if self.put_part(number, &part)? {
                part = Part::default();
            }
        }
        // An empty part starts a catalogue.
        if part.is_empty() && catalogue.last > 0 {
            return Ok(());
        }
        // Another process can be faster: then its part comes first. This cannot happen forever.
        for _ in 0..100 {
            let (number, whole) = catalogue.next(part.clone());
            if self.put_part(number, &whole)? {
                return Ok(());
            }
            catalogue = self.catalogue()?.unwrap_or_default();
        }
        Ok(())
    }

    /// Writes a part if its number is free or the existing part is damaged; returns whether it did.
    fn put_part(&self, number: u64, part: &Part) -> Result<bool, StoreError> {
        let path = self.root().join(FOLDER).join(part_name(number));
        let bytes = part.to_bytes().map_err(|source| StoreError::Record { path: path.clone(), source })?;
        if let Ok((there, identity)) = files::read_identified(&path, PART_LIMIT)
            && !matches!(Part::from_bytes(&there), Ok(_) | Err(CodecError::Version { .. }))
        {
            self.quarantine(&path, &format!("catalogue-{}", part_name(number)), Some(identity));
        }
        let is_new = files::publish(&self.drafts()?, &path, &[&bytes])?.is_some();
        files::sync_folder(&self.root().join(FOLDER))?;
        Ok(is_new)
    }

    /// Returns a part that lists what a catalogue does not.
    fn part(
        &self,
        catalogue: &Catalogue,
        records: &[(StageKey, RecordDigest)],
        batches: &[BatchDigest],
    ) -> Result<Part, StoreError> {
        let mut part = Part::default();
        for (key, digest) in records.iter().filter(|(key, digest)| !catalogue.has_record(key, digest)) {
            if let ReadRecord::Good { record, bytes, .. } = self.read_record(key, digest)? {
                self.enter_record(&mut part, *digest, &record, bytes)?;
            }
        }
        part.objects.retain(|(object, _)| catalogue.object(object).is_none());
        for digest in batches.iter().filter(|digest| !catalogue.has_batch(digest)) {
            if let ReadBatch::Good(batch) = self.read_batch(digest)? {
                part.signatures.push(Signed::of(*digest, &batch));
            }
        }
        Ok(part)
    }

    /// Lists a record and those of its objects that are in the store.
    fn enter_record(
        &self,
        part: &mut Part,
        digest: RecordDigest,
        record: &Record,
        bytes: u64,
    ) -> Result<(), StoreError> {
        for output in record.outputs.iter().filter(|output| output.inline.is_none()) {
            if let Some(file) = files::identity(&self.layout.object(&output.object))? {
                part.objects.push((output.object, file.size));
            }
        }
        part.records.push(Listed::of(digest, record, bytes));
        Ok(())
    }

    /// Adds changes to a part: objects that are listed but no longer in the store, and those that came back.
    fn note_dropped(&self, catalogue: &Catalogue, part: &mut Part) -> Result<(), StoreError> {
        for (object, size) in &catalogue.objects {
            match files::identity(&self.layout.object(object))? {
                None => part.gone.push(*object),
                // The object was stored again in another form.
                Some(file) if file.size != *size => part.objects.push((*object, file.size)),
                Some(_) => {}
            }
        }
        let outputs = catalogue.records.values().flatten().flat_map(|listed| &listed.outputs);
        for output in outputs.filter(|output| !output.inline && catalogue.object(&output.object).is_none()) {
            if let Some(file) = files::identity(&self.layout.object(&output.object))? {
                part.objects.push((output.object, file.size));
            }
        }
        part.gone.sort_unstable();
        part.objects.sort_unstable();
        part.objects.dedup();
        Ok(())
    }

    /// Opens the file of an object in its stored form, if its bytes are right: returns a reader and the size.
    ///
    /// # Errors
    /// See [`Store::get`].
    pub fn object_file(&self, object: &ObjectDigest) -> Result<(impl std::io::Read + use<>, u64), StoreError> {
        match self.state(object)? {
            ObjectState::Present => {}
            ObjectState::Missing => return Err(StoreError::Missing(*object)),
            ObjectState::Damaged => self.verify(object)?,
        }
        let (file, identity) = files::open(&self.layout.object(object))?;
        Ok((file, identity.size))
    }
}

/// Returns the error for a damaged part.
pub(super) fn damaged(reason: impl Into<String>) -> CodecError {
    CodecError::Damaged { name: "part of a catalogue", reason: reason.into() }
}

#[cfg(test)]
mod tests;
