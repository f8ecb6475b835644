//! Paths inside a store's folder. They are built only from typed hashes and checked names, never from text that
//! somebody sent.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{PinName, StoreError};
use base::digest::{BatchDigest, ObjectDigest, RecordDigest, StageKey};

/// The layout version that this program reads and writes.
const VERSION: u32 = 1;

/// Name of the file that marks a folder as a store.
pub const MARKER: &str = "wdpipe-store";

/// Prefix of the line that names the required wdpipe version, in markers of layouts after the first.
const NEEDS: &str = "needs wdpipe ";

/// Name of the folder of objects.
pub(super) const OBJECTS: &str = "objects";
/// Name of the folder of records.
pub(super) const RECORDS: &str = "records";

/// End of the name of the file with the note on a claim.
const NOTE: &str = ".note";

/// Folders that have a shard for every first byte of a name.
const SHARDED: [&str; 2] = [OBJECTS, RECORDS];

/// Name of the file that keeps git from adding a store to the repository around it.
const IGNORED: &str = ".gitignore";

/// Names allowed in a folder that is to become a store: files for git and backup programs, and the folders left by an
/// earlier, interrupted attempt.
const HARMLESS: [&str; 11] = [
    IGNORED,
    "CACHEDIR.TAG",
    "catalogue",
    "claims",
    "objects",
    "pins",
    "quarantine",
    "records",
    "runs",
    "signatures",
    "tmp",
];

/// Returns the text of the file that marks a store.
pub fn marker() -> String {
    format!("wdpipe store, layout version {VERSION}\n")
}

/// Returns an object's path relative to the store's folder.
pub fn object_path(object: &ObjectDigest) -> String {
    let name = object.to_string();
    format!("objects/{}/{}", &name[..2], &name[2..])
}

/// Returns a record's path relative to the store's folder.
pub fn record_path(key: &StageKey, record: &RecordDigest) -> String {
    let name = key.to_string();
    format!("records/{}/{}/{record}", &name[..2], &name[2..])
}

/// Returns the path of a batch of signatures relative to the store's folder.
pub fn batch_path(batch: &BatchDigest) -> String {
    format!("signatures/{batch}")
}

/// The paths of one store.
#[derive(Debug)]
pub(super) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Finds a store in a folder, or creates one.
    pub(super) fn open(root: &Path) -> Result<Self, StoreError> {
        Self::find(root)?.map_or_else(|| Self::create(root, &root.join(MARKER)), Ok)
    }

    /// Finds a store in a folder; `None` if the folder does not exist or contains nothing that prevents creating a
    /// store there.
    pub(super) fn find(root: &Path) -> Result<Option<Self>, StoreError> {
        let marker = root.join(MARKER);
        let text = match files::read_text(&marker, 1 << 10) {
            Ok(text) => text,
            Err(error) if error.is_missing() => return Self::find_begun(root, &marker),
            Err(error) if error.source.kind() == std::io::ErrorKind::PermissionDenied => return Err(error.into()),
            Err(_) => return Err(not_a_store(root)),
        };
        // Later programs may add lines, such as the version of wdpipe that they need.
        let mut lines = text.lines();
        let version = lines.next().and_then(|line| line.strip_prefix("wdpipe store, layout version ")?.parse().ok());
        match version {
            Some(VERSION) => Ok(Some(Self { root: root.to_owned() })),
            Some(found) => {
                let needs = lines.find_map(|line| line.strip_prefix(NEEDS)).and_then(version_number);
                Err(StoreError::Version { path: root.to_owned(), found, known: VERSION, needs })
            }
            None => Err(not_a_store(root)),
        }
    }

    /// Handles a folder without a marker. The folder can become a store unless it contains something else.
    fn find_begun(root: &Path, marker: &Path) -> Result<Option<Self>, StoreError> {
        if let Some(file) = files::file_on_the_way(root) {
            return Err(StoreError::NotAFolder(file));
        }
        if files::list(root)?.iter().all(|name| HARMLESS.contains(&name.as_str())) {
            return Ok(None);
        }
        // Another process may have created the store since the marker was read.
        match files::identity(marker)? {
            Some(_) => Self::find(root),
            None => Err(not_a_store(root)),
        }
    }

    /// Returns the paths of a store that does not exist.
    pub(super) fn absent(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn create(root: &Path, marker: &Path) -> Result<Self, StoreError> {
        let layout = Self { root: root.to_owned() };
        layout.create_folders()?;
        files::publish(&layout.temporary(), &root.join(IGNORED), &[b"*\n"])?;
        // The marker comes last, so that an unfinished store is never mistaken for a complete one.
        files::publish(&layout.temporary(), marker, &[self::marker().as_bytes()])?;
        files::sync_folder(root)?;
        Ok(layout)
    }

    /// Creates the folders that every store has; existing ones are left unchanged.
    fn create_folders(&self) -> Result<(), StoreError> {
        for folder in [self.temporary(), self.claims(), self.quarantine()] {
            files::create_folder(&folder)?;
        }
        for shard in self.shards() {
            files::create_folder(&shard)?;
        }
        Ok(SHARDED.iter().try_for_each(|kind| files::sync_folder(&self.root.join(kind)))?)
    }

    /// Recreates missing folders that every store has: copies made by buckets, archives and CI omit empty folders.
    pub(super) fn mend(&self) -> Result<(), StoreError> {
        for folder in [self.temporary(), self.claims(), self.quarantine()].into_iter().chain(self.shards()) {
            if files::identity(&folder)?.is_none() {
                return self.create_folders();
            }
        }
        Ok(())
    }

    fn shards(&self) -> impl Iterator<Item = PathBuf> {
        SHARDED
            .iter()
            .flat_map(move |kind| (0..=u8::MAX).map(move |shard| self.root.join(kind).join(format!("{shard:02x}"))))
    }

    /// Also creates the folders that are otherwise created on first use: in a shared store, they must belong to its
    /// owner.
    pub(super) fn complete(&self) -> Result<(), StoreError> {
        self.create_folders()?;
        // The runs of an account are private folders in the last one.
        for folder in self.later_folders().into_iter().chain([self.runs()]) {
            files::create_folder(&folder)?;
        }
        Ok(())
    }

    /// Returns the folders that a single-account store gets when they are first needed.
    fn later_folders(&self) -> [PathBuf; 3] {
        [self.signatures(), self.pins(), self.root.join(super::CATALOGUE)]
    }

    /// Returns the top-level folders of the store.
    pub(super) fn top_folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.temporary(), self.claims(), self.quarantine()];
        folders.extend(self.later_folders());
        folders.extend(SHARDED.map(|kind| self.root.join(kind)));
        folders
    }

    /// Returns the folders that must belong to the owner: the store's folder, its top-level folders, and the shards.
    pub(super) fn owned_folders(&self) -> BTreeSet<PathBuf> {
        let mut folders: BTreeSet<_> = self.shards().collect();
        folders.extend(self.top_folders());
        folders.insert(self.root.clone());
        folders
    }

    /// Returns a few of the owned folders, from which the state of the others can be inferred.
    pub(super) fn main_folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.root.clone()];
        folders.extend(self.top_folders());
        folders.extend(SHARDED.map(|kind| self.root.join(kind).join("00")));
        folders
    }

    /// Returns the path of the file that keeps git from adding the store.
    pub fn ignored(&self) -> PathBuf {
        self.root.join(IGNORED)
    }

    /// Whether the files in a top-level folder never change.
    pub(super) fn holds_published(&self, top: &Path) -> bool {
        top != self.temporary() && top != self.claims()
    }

    pub(super) fn marker(&self) -> PathBuf {
        self.root.join(MARKER)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn claims(&self) -> PathBuf {
        self.root.join("claims")
    }

    pub(super) fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    pub(super) fn index(&self) -> PathBuf {
        self.root.join("index.sqlite")
    }

    pub(super) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(super) fn quarantine(&self) -> PathBuf {
        self.root.join("quarantine")
    }

    pub(super) fn object_shard(&self, object: &ObjectDigest) -> PathBuf {
        self.root.join(OBJECTS).join(format!("{:02x}", object.as_bytes()[0]))
    }

    pub(super) fn object(&self, object: &ObjectDigest) -> PathBuf {
        self.object_shard(object).join(&object.to_string()[2..])
    }

    /// Returns the folder of a key's records.
    pub(super) fn records(&self, key: &StageKey) -> PathBuf {
        let name = key.to_string();
        self.root.join(RECORDS).join(&name[..2]).join(&name[2..])
    }

    pub(super) fn record(&self, key: &StageKey, record: &RecordDigest) -> PathBuf {
        self.records(key).join(record.to_string())
    }

    /// Returns the folder of pins; it is missing if nothing was ever pinned.
    pub(super) fn pins(&self) -> PathBuf {
        self.root.join("pins")
    }

    pub(super) fn pin(&self, name: &PinName) -> PathBuf {
        self.pins().join(name.as_str())
    }

    /// Returns the folder of batches of signatures; older stores lack it.
    pub(super) fn signatures(&self) -> PathBuf {
        self.root.join("signatures")
    }

    pub(super) fn batch(&self, batch: &BatchDigest) -> PathBuf {
        self.signatures().join(batch.to_string())
    }

    pub(super) fn claim(&self, key: &StageKey) -> PathBuf {
        self.claims().join(key.to_string())
    }

    /// Returns the path of the note on a key's claim.
    pub(super) fn note(&self, key: &StageKey) -> PathBuf {
        self.claims().join(format!("{key}{NOTE}"))
    }

    /// Returns all objects that have a file; files with other names are skipped.
    pub(super) fn all_objects(&self) -> Result<Vec<ObjectDigest>, StoreError> {
        self.names(OBJECTS, |text| text.parse().ok())
    }

    /// Returns all keys that have a folder.
    pub(super) fn all_keys(&self) -> Result<Vec<StageKey>, StoreError> {
        self.names(RECORDS, |text| text.parse().ok())
    }

    /// Returns the names of the records of a key.
    pub(super) fn records_of(&self, key: &StageKey) -> Result<Vec<RecordDigest>, StoreError> {
        Ok(files::list(&self.records(key))?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Returns all batches of signatures that have a file.
    pub(super) fn all_batches(&self) -> Result<Vec<BatchDigest>, StoreError> {
        Ok(files::list(&self.signatures())?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// Returns the keys that have a file in `claims/`, held or left over.
    pub(super) fn all_claims(&self) -> Result<BTreeSet<StageKey>, StoreError> {
        let names = files::list(&self.claims())?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(NOTE).unwrap_or(name).parse().ok()).collect())
    }

    /// Returns the keys that have a note.
    pub(super) fn all_notes(&self) -> Result<Vec<StageKey>, StoreError> {
        let names = files::list(&self.claims())?;
        Ok(names.iter().filter_map(|name| name.strip_suffix(NOTE)?.parse().ok()).collect())
    }

    fn names<T>(&self, kind: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        for shard in 0..=u8::MAX {
            let shard = format!("{shard:02x}");
            let names = files::list(&self.root.join(kind).join(&shard))?;
            all.extend(names.iter().filter_map(|name| parse(&format!("{shard}{name}"))));
        }
        Ok(all)
    }
}

/// Makes the error for a folder that is not a store, which can be close to one.
fn not_a_store(root: &Path) -> StoreError {
    let has = |path: PathBuf| files::identity(&path).is_ok_and(|found| found.is_some());
    let cache = root.join("cache");
    let above = root.join("..");
    let advice = if SHARDED.iter().all(|folder| has(root.join(folder))) {
        format!(
            "it has {OBJECTS} and {RECORDS}, but no valid file {MARKER}; copy that file too if this is a copy of a store"
        )
    } else if has(cache.join(MARKER)) {
        format!("did you mean {}?", cache.display())
    } else if has(above.join(MARKER)) {
        "it is a folder inside a store: give the folder above it".to_owned()
    } else {
        "choose an empty or new folder".to_owned()
    };
    StoreError::NotAStore { path: root.to_owned(), advice }
}

/// Returns the text if it is nothing but a version number.
fn version_number(text: &str) -> Option<String> {
    let fits = (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    fits.then(|| text.to_owned())
}
