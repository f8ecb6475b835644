//! The catalogue: what others may have from a store that they cannot walk through, such as a bucket.
//!
//! Whoever adds to a store adds a numbered *part* that lists it: `catalogue/0000000001`, `…2`, and so on, each created
//! once and never changed, so that writers need no lock. Part *n* also repeats the parts before it back to, and
//! without, part *n* minus its lowest set bit (a Fenwick tree): whoever reads *n* parts reads at most log₂ *n* files, and
//! every entry is written log₂ *n* times in all. What it lists is a claim like any other: what is fetched is hashed.

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

/// The folder of the parts.
pub const FOLDER: &str = "catalogue";

/// The name of a part's file.
pub fn part_name(number: u64) -> String {
    format!("{number:010}")
}

/// The number of the part that a file's name says; `None` if it is no part.
pub fn part_number(name: &str) -> Option<u64> {
    (name.len() == 10).then(|| name.parse().ok())?.filter(|number| *number > 0)
}

/// The parts that tell everything if `last` is the last one, newest first.
pub fn parts_to_read(last: u64) -> Vec<u64> {
    let before = |number: &u64| number.checked_sub(1).map(|less| number & less);
    std::iter::successors(Some(last), before).take_while(|number| *number > 0).collect()
}

/// What a store has, as its catalogue says.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// The number of its last part; 0 if there is none.
    pub last: u64,
    /// Parts that should have been read and are not there or damaged, and in what way: what only they list is not known.
    pub lost: Vec<(u64, String)>,
    /// Outcomes by key.
    records: HashMap<StageKey, Vec<Listed>>,
    /// Objects with the bytes of their files.
    objects: HashMap<ObjectDigest, u64>,
    signatures: HashMap<BatchDigest, Signed>,
    /// Whoever can write to a store may list a record under a wrong key, which does not hide it under its own.
    known: HashSet<(StageKey, RecordDigest)>,
    /// The parts that were read, for the next part to repeat.
    parts: BTreeMap<u64, Part>,
}

impl Catalogue {
    /// Puts together the parts that [`parts_to_read`] names.
    pub fn new(parts: BTreeMap<u64, Part>) -> Self {
        let mut catalogue = Self { last: parts.keys().next_back().copied().unwrap_or(0), ..Self::default() };
        for part in parts.values() {
            catalogue.enter(part);
        }
        catalogue.parts = parts;
        catalogue
    }

    /// The same where some parts, up to the last one, could not be read.
    pub fn with_lost(mut self, lost: Vec<(u64, String)>) -> Self {
        self.last = lost.iter().map(|(number, _)| *number).fold(self.last, u64::max);
        self.lost = lost;
        self
    }

    /// All records that it lists.
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

    /// The outcomes of a key.
    pub fn outcomes(&self, key: &StageKey) -> &[Listed] {
        self.records.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether a record of a key is there.
    pub fn has_record(&self, key: &StageKey, record: &RecordDigest) -> bool {
        self.known.contains(&(*key, *record))
    }

    /// The bytes of the file of an object, if that is there.
    pub fn object(&self, object: &ObjectDigest) -> Option<u64> {
        self.objects.get(object).copied()
    }

    /// Whether a batch of signatures is there.
    pub fn has_batch(&self, batch: &BatchDigest) -> bool {
        self.signatures.contains_key(batch)
    }

    /// The batches that may hold a signature under one of these records, in the order of their names.
    pub fn batches_for(&self, records: &HashSet<RecordDigest>) -> Vec<&Signed> {
        let wanted: HashSet<u64> = records.iter().map(part::prefix).collect();
        let covers = |signed: &&Signed| signed.records.iter().any(|prefix| wanted.contains(prefix));
        let mut found: Vec<_> = self.signatures.values().filter(covers).collect();
        found.sort_by_key(|signed| signed.batch);
        found
    }

    /// How many records and objects it lists.
    pub fn counts(&self) -> (usize, usize) {
        (self.known.len(), self.objects.len())
    }

    /// The next part, which lists `new` and repeats what it must; with its number.
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
    /// What the catalogue says; `None` if the store has none.
    ///
    /// # Errors
    /// If a part cannot be read, or a newer program wrote it.
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
                Err(error) if error.is_missing() => lost.push((number, "it is not there".to_owned())),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Some(Catalogue::new(parts).with_lost(lost)))
    }

    /// Whether others are told what is here, so that what is new has to be listed.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn has_catalogue(&self) -> Result<bool, StoreError> {
        Ok(files::list(&self.root().join(FOLDER))?.iter().any(|name| part_number(name).is_some()))
    }

    /// Adds records that were published here, with their objects, to the catalogue, if there is one.
    ///
    /// # Errors
    /// If the catalogue cannot be read or written, or the store not be read.
    pub fn list(&self, records: &[(StageKey, RecordDigest)], batches: &[BatchDigest]) -> Result<(), StoreError> {
        match self.catalogue()? {
            // Nobody knows what a part listed that is lost: then all is listed anew.
            Some(catalogue) if !catalogue.lost.is_empty() => self.list_all().map(drop),
            Some(catalogue) if catalogue.last > 0 => self.add_part(catalogue, records, batches, false),
            _ => Ok(()),
        }
    }

    /// What a catalogue would say that lists all that is here: what it says, and what it does not say yet.
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

    /// All records and batches of signatures by name.
    fn everything(&self) -> Result<Everything, StoreError> {
        let mut records = Vec::new();
        for key in self.layout.all_keys()? {
            records.extend(self.layout.records_of(&key)?.into_iter().map(|digest| (key, digest)));
        }
        Ok((records, self.layout.all_batches()?))
    }

    /// Makes the catalogue list all that is there, and begins it if there is none; how many records and batches of
    /// signatures it did not list before.
    ///
    /// # Errors
    /// As [`Store::list`].
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
            // The first of those that were lost lists what is not listed any more.
            if self.put_part(number, &part)? {
                part = Part::default();
            }
        }
        // One that lists nothing begins a catalogue.
        if part.is_empty() && catalogue.last > 0 {
            return Ok(());
        }
        // Another process may be faster: then its part comes first. It cannot be so for ever.
        for _ in 0..100 {
            let (number, whole) = catalogue.next(part.clone());
            if self.put_part(number, &whole)? {
                return Ok(());
            }
            catalogue = self.catalogue()?.unwrap_or_default();
        }
        Ok(())
    }

    /// Writes a part if its number is free, or what is there is damaged; says whether it did.
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

    /// A part that lists what a catalogue does not.
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

    /// Lists a record, and those of its objects that are here.
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

    /// Notes objects that are listed and no longer here, and those that came back.
    fn note_dropped(&self, catalogue: &Catalogue, part: &mut Part) -> Result<(), StoreError> {
        for (object, size) in &catalogue.objects {
            match files::identity(&self.layout.object(object))? {
                None => part.gone.push(*object),
                // Put again in another form.
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

    /// The file of an object in the form that it is kept in, if its bytes are the right ones: reader and size.
    ///
    /// # Errors
    /// As [`Store::get`].
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

/// Why a part could not be read, as a person calls it.
pub(super) fn damaged(reason: impl Into<String>) -> CodecError {
    CodecError::Damaged { name: "part of a catalogue", reason: reason.into() }
}

#[cfg(test)]
mod tests;
