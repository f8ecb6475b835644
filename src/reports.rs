//! The reports folder: the committed files of figures. Beside `fig3.svg`, `.png`, `.pdf` and `.csv` there are
//!
//! | file | content |
//! | --- | --- |
//! | `fig3.lock` | the stages and outputs that the figure was made from ([`store::lockfile`]) |
//! | `fig3.stages.zst` | the list of stages, if it is too long for the lock |
//! | `fig3.wdpipe` | an archive of the figure's records and numbers |
//! | `fig3.receipts` | attestations of users who recomputed parts of it |
//!
//! The files of a *variant*, made with settings that differ from the pipeline's, are beside them under the variant's own
//! name: `fig3@1a2b3c4d` or a name that the user chose. `fig3@1a2b3c4d.toml` says how it was made ([`VariantSettings`]).

mod settings;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub use settings::VariantSettings;

use base::digest::{Description, ObjectDigest};
use draw::stamp::{self, Format, Stamp, StampError};
use files::FsError;
use store::attestation::{self, Attestation, AttestationError};
use store::lockfile::{FILES, LIST_LIMIT, Lock, LockError, TEXT_LIMIT};

/// Extensions of the files beside a figure's outputs.
const EVIDENCE: [&str; 4] = ["lock", "receipts", "stages.zst", "wdpipe"];

/// Maximum size in bytes of a figure's file.
const FILE_LIMIT: u64 = 64 << 20;

/// An error in a file of the reports folder.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The file is not a lock, or was altered.
    #[error("{}: {source}", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: LockError,
    },
    /// The file is not a list of attestations, or one of them is forged.
    #[error("{}: {source}", path.display())]
    Attestation {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: AttestationError,
    },
}

impl From<LockError> for ReportError {
    fn from(source: LockError) -> Self {
        Self::Lock { path: PathBuf::new(), source }
    }
}

/// The location of a figure's files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The folder of a profile.
    pub folder: PathBuf,
    /// The name of the files without extension: that of the figure or of a variant.
    pub name: String,
}

/// Returns the default name of the files of a variant.
pub fn variant(figure: &str, description: &Description) -> String {
    format!("{figure}@{}", &description.to_string()[..8])
}

/// Returns whether this is the default name of a variant.
pub fn is_variant(name: &str) -> bool {
    let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    name.split_once('@')
        .is_some_and(|(figure, digits)| !figure.is_empty() && digits.len() == 8 && digits.chars().all(is_digit))
}

impl Place {
    /// Returns the figures in a folder that have a lock, sorted by name.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn all(folder: &Path) -> Result<Vec<Self>, FsError> {
        let names = files::list(folder)?;
        let locked = names.iter().filter_map(|name| name.strip_suffix(".lock")).filter(|name| !name.is_empty());
        Ok(locked.map(|name| Self { folder: folder.to_owned(), name: name.to_owned() }).collect())
    }

    /// Returns all figures in a folder that have any file, with or without a lock, sorted by name.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn any(folder: &Path) -> Result<Vec<Self>, FsError> {
        let of = |file: &String| {
            let name = |extension: &&str| file.strip_suffix(extension)?.strip_suffix('.');
            FILES.iter().chain(&EVIDENCE).find_map(name).filter(|name| !name.is_empty()).map(str::to_owned)
        };
        let names: BTreeSet<String> = files::list(folder)?.iter().filter_map(of).collect();
        Ok(names.into_iter().map(|name| Self { folder: folder.to_owned(), name }).collect())
    }

    /// Returns the path of the file with an extension.
    pub fn path(&self, extension: &str) -> PathBuf {
        self.folder.join(format!("{}.{extension}", self.name))
    }

    /// Reads a file; returns `None` if it does not exist.
    ///
    /// # Errors
    /// If the file cannot be read, or is larger than a figure's file can be.
    pub fn read(&self, extension: &str) -> Result<Option<Vec<u8>>, FsError> {
        match files::read(&self.path(extension), FILE_LIMIT) {
            Err(error) if error.is_missing() => Ok(None),
            read => read.map(Some),
        }
    }

    /// Reads the lock; returns `None` if there is none.
    ///
    /// # Errors
    /// If the file cannot be read, or is not a valid lock.
    pub fn lock(&self) -> Result<Option<Lock>, ReportError> {
        let path = self.path("lock");
        let bytes = match files::read(&path, TEXT_LIMIT) {
            Err(error) if error.is_missing() => return Ok(None),
            read => read?,
        };
        let at = |source| ReportError::Lock { path: path.clone(), source };
        let text = String::from_utf8(bytes).map_err(|error| at(LockError::Syntax(error.to_string())))?;
        let list = || Ok(files::read(&self.path("stages.zst"), LIST_LIMIT)?);
        let lock = Lock::from_text(&text, list).map_err(|error| match error {
            ReportError::Lock { source, .. } => at(source),
            error => error,
        })?;
        if lock.name != self.name {
            return Err(at(LockError::Altered(format!("it is the lock of `{}`", lock.name))));
        }
        Ok(Some(lock))
    }

    /// Writes the list of stages, if there is one, and then the lock. Returns whether the lock has changed.
    ///
    /// # Errors
    /// If a file cannot be written.
    pub fn write_lock(&self, lock: &Lock) -> Result<bool, ReportError> {
        let text = lock.to_text().map_err(|source| ReportError::Lock { path: self.path("lock"), source })?;
        match &text.list {
            Some(list) => drop(files::replace(&self.path("stages.zst"), list)?),
            None => drop(files::remove(&self.path("stages.zst"))?),
        }
        Ok(files::replace(&self.path("lock"), text.lock.as_bytes())?)
    }

    /// Reads the attestations; returns an empty list if there is no file.
    ///
    /// # Errors
    /// If the file cannot be read, or one of them is forged.
    pub fn attestations(&self) -> Result<Vec<Attestation>, ReportError> {
        let path = self.path("receipts");
        match files::read_text(&path, attestation::LIMIT) {
            Err(error) if error.is_missing() => Ok(Vec::new()),
            Err(error) => Err(error.into()),
            Ok(text) => Attestation::read(&text).map_err(|source| ReportError::Attestation { path, source }),
        }
    }

    /// Appends an attestation.
    ///
    /// # Errors
    /// If the existing attestations cannot be read, or the file cannot be written.
    pub fn append_attestation(&self, attestation: &Attestation) -> Result<(), ReportError> {
        self.attestations()?;
        let path = self.path("receipts");
        let old = match files::read_text(&path, attestation::LIMIT) {
            Err(error) if error.is_missing() => String::new(),
            text => text?,
        };
        let text = format!("{old}{}", attestation.to_text());
        if text.len() as u64 > attestation::LIMIT {
            let source = AttestationError::Syntax(format!(
                "with this attestation, the file would have more than {} bytes",
                attestation::LIMIT
            ));
            return Err(ReportError::Attestation { path, source });
        }
        files::replace(&path, text.as_bytes())?;
        Ok(())
    }

    /// Returns the hash of a file; `None` if it does not exist.
    ///
    /// # Errors
    /// See [`Place::read`].
    pub fn hash(&self, extension: &str) -> Result<Option<ObjectDigest>, FsError> {
        Ok(self.read(extension)?.map(|bytes| ObjectDigest::of(&bytes)))
    }
}

/// Returns the stamp that the files of a locked figure carry.
pub fn stamp_of(lock: &Lock) -> Option<Stamp> {
    Some(Stamp { figure: lock.figure.clone(), key: lock.drawing()?.key, root: lock.root() })
}

/// Returns the bytes of a figure's output as they are written to a file with the given extension: with a stamp, if the
/// format supports one.
///
/// # Errors
/// If the bytes are not an image that this program drew.
pub fn stamped(extension: &str, bytes: &[u8], stamp: &Stamp) -> Result<Vec<u8>, StampError> {
    match Format::of_extension(extension) {
        Some(format) => stamp::stamp(format, bytes, stamp),
        None => Ok(bytes.to_vec()),
    }
}

/// Splits a file into its bytes without the stamp, and the stamp.
///
/// # Errors
/// If the stamp was altered.
pub fn bare(extension: &str, bytes: &[u8]) -> Result<(Vec<u8>, Option<Stamp>), StampError> {
    match Format::of_extension(extension) {
        Some(format) => stamp::unstamp(format, bytes),
        None => Ok((bytes.to_vec(), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_figure_shows_that_it_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["a.svg", "b.csv", "b.lock", "c.stages.zst", "d.receipts", "e@0123abcd.pdf", "f.wdpipe", "g.png"];
        for file in files.iter().chain(&["index.html", "x.toml", ".svg", "notes.txt", "svg"]) {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let names: Vec<_> = Place::any(folder.path()).unwrap().into_iter().map(|place| place.name).collect();
        assert_eq!(names, ["a", "b", "c", "d", "e@0123abcd", "f", "g"]);
        let names: Vec<_> = Place::all(folder.path()).unwrap().into_iter().map(|place| place.name).collect();
        assert_eq!(names, ["b"]);
    }

    #[test]
    fn variants_are_told_by_their_names() {
        let name = variant("fig3", &Description::from_bytes([0xa1; 32]));
        assert_eq!(name, "fig3@a1a1a1a1");
        assert!(is_variant(&name) && is_variant("effective-lr@00000000"));
        for other in ["fig3", "fig3@", "@a1a1a1a1", "fig3@A1a1a1a1", "fig3@a1a1a1a", "fig3@a1a1a1a1x", "a@b@a1a1a1a1"] {
            assert!(!is_variant(other), "{other}");
        }
    }
}
