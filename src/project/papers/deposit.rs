//! Packs a locked figure into a folder: a project of its own, in which `verify` works, with RO-Crate metadata.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use sha2::{Digest, Sha256};

use super::CitedFigure;
use super::citation::{self, Citation};
use super::metadata::{Described, metadata};
use crate::project::sharing::archives::{archive_failure, write_archive};
use crate::project::{ExitCode, Failure, Project, VerifyLevels, quoted};
use crate::verify::{Evidence, Verdict};
use base::closure::Closure;
use base::digest::ObjectDigest;
use base::record::Record;
use base::value::{Map, Value};
use files::Named;
use store::archive::{self, ArchiveError, Scope};
use store::lockfile::Lock;
use store::{ObjectState, Store};

/// Name of the file with the metadata, given by RO-Crate.
const METADATA: &str = "ro-crate-metadata.json";
/// Maximum size in bytes of a file that is copied.
const LIMIT: u64 = 256 << 20;
/// Extensions of the files beside a figure's drawings and numbers that are copied as they are.
const BESIDE: [&str; 4] = ["lock", "stages.zst", "receipts", "toml"];

/// What to pack beside the figure, and what to say about it.
pub struct DepositOptions<'a> {
    /// Store whose weights and images are packed too, in a second archive.
    pub all: Option<&'a Store>,
    /// Licence, if not that of CITATION.cff: an identifier of SPDX or an address.
    pub licence: Option<String>,
    /// Day of publication, if not the day on which the last stage was computed: `YYYY-MM-DD`.
    pub date: Option<String>,
}

/// A folder that was written.
#[derive(Debug)]
pub struct Packed {
    /// Number of files, with the metadata.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// Number of stages that the metadata describes.
    pub stages: usize,
}

/// A file of the folder.
pub struct PackedFile {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes in hexadecimal digits.
    pub sha256: String,
}

/// A folder under construction, and its files by their paths.
struct Draft {
    folder: PathBuf,
    files: BTreeMap<String, PackedFile>,
}

impl Project {
    /// Packs a locked figure into a new folder. The same figure and choices give the same bytes.
    ///
    /// # Errors
    /// If the folder exists, nothing names a licence, a file or record of the figure is missing or has changed, or something
    /// cannot be read or written.
    pub fn pack(&self, figure: &CitedFigure, folder: &Path, options: &DepositOptions<'_>) -> Result<Packed, Failure> {
        let name = &figure.subject.place.name;
        let Some(file_name) = folder.file_name() else {
            return Err(Failure::usage(format!("{} is not a new folder", folder.display()), "name a new folder"));
        };
        if files::identity(folder)?.is_some() {
            return Err(Failure::usage(format!("{} already exists", folder.display()), "name a new folder"));
        }
        let mut citation = Citation::of(self.root())?;
        if let Some(licence) = &options.licence {
            citation.licences = vec![licence.clone()];
        }
        if citation.licences.is_empty() {
            let message = format!("nothing says under which licence `{name}` is published");
            return Err(Failure::usage(
                message,
                "give --license, such as CC-BY-4.0, or write `license:` in CITATION.cff",
            ));
        }
        // The folder gets its name when it is complete, so an interrupted run leaves nothing under that name.
        let hidden = format!(".{}.{}.partial", file_name.to_string_lossy(), std::process::id());
        let mut draft = Draft { folder: folder.with_file_name(hidden), files: BTreeMap::new() };
        // A killed run with the same process number can have left a folder of this name.
        files::remove_all(&draft.folder)?;
        let packed = draft.fill(self, figure, &citation, options).and_then(|packed| {
            files::rename(&draft.folder, folder)?;
            Ok(packed)
        });
        if packed.is_err() {
            // The first failure is the one to report.
            let _ = files::remove_all(&draft.folder);
        }
        packed
    }
}

impl Draft {
    fn fill(
        &mut self,
        project: &Project,
        figure: &CitedFigure,
        citation: &Citation,
        options: &DepositOptions<'_>,
    ) -> Result<Packed, Failure> {
        let (place, profile) = (&figure.subject.place, &figure.subject.profile);
        let lock = verified(project, figure)?;
        for extension in lock.files.keys().map(String::as_str).chain(BESIDE) {
            let to = format!("reports/{profile}/{}.{extension}", place.name);
            self.copy(&place.path(extension), &to)?;
        }
        let to = format!("reports/{profile}/{}.wdpipe", place.name);
        self.copy_archive(&place.path("wdpipe"), &to)?;
        let pipeline = format!("pipelines/{}.toml", lock.pipeline);
        self.copy(&project.pipelines.join(format!("{}.toml", lock.pipeline)), &pipeline)?;
        self.copy(&project.root().join(citation::FILE), citation::FILE)?;
        self.copy(&project.trust, "trust.toml")?;
        let (records, objects) = figure.subject.beside()?;
        let closure = Evidence::gather(lock, &records, &objects, None)?.closure();
        for (path, hash) in closure.members.iter().flat_map(|member| code(&member.record)) {
            self.copy_code(project.root(), &path, &hash)?;
        }
        let mut archives = BTreeMap::new();
        let numbers: BTreeSet<_> = objects.keys().copied().chain(inline(&closure)).collect();
        archives.insert(to, numbers);
        if let Some(store) = options.all {
            let all = format!("{}-all.wdpipe", place.name);
            archives.insert(all.clone(), self.archive(&all, &closure, store)?);
        }
        let described = Described {
            figure,
            lock,
            closure: &closure,
            files: &self.files,
            archives: &archives,
            pipeline: &pipeline,
            citation,
            date: options.date.as_deref(),
        };
        // A value of JSON can always be written as text.
        let text = serde_json::to_string_pretty(&metadata(&described)).unwrap_or_default() + "\n";
        self.write(METADATA, text.as_bytes())?;
        let bytes = self.files.values().map(|file| file.bytes).sum();
        Ok(Packed { files: self.files.len(), bytes, stages: closure.members.len() })
    }

    /// Copies a file, if it exists.
    fn copy(&mut self, from: &Path, to: &str) -> Result<(), Failure> {
        match files::read(from, LIMIT) {
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error.into()),
            Ok(bytes) => self.write(to, &bytes),
        }
    }

    /// Copies an archive of numbers, if it exists, so that it needs no other archive beside it.
    fn copy_archive(&mut self, from: &Path, to: &str) -> Result<(), Failure> {
        match archive::repack(from, None) {
            Err(ArchiveError::Fs(error)) if error.is_missing() => Ok(()),
            Err(error) => Err(archive_failure(error, from)),
            Ok(bytes) => self.write(to, &bytes),
        }
    }

    /// Copies a file that a command declared. It must be the one that the command ran with.
    fn copy_code(&mut self, project: &Path, path: &str, hash: &str) -> Result<(), Failure> {
        // The path comes from a record, which can be anybody's.
        let inside = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        let bytes = if inside { files::read(&project.join(path), LIMIT).ok() } else { None };
        match bytes.filter(|bytes| ObjectDigest::of(bytes).to_string() == hash) {
            Some(bytes) => self.write(path, &bytes),
            None => {
                let message = format!("`{path}` is not the file that the figure was made with");
                Err(Failure::new(ExitCode::Failed, message, "restore the file, or make and lock the figure again"))
            }
        }
    }

    fn write(&mut self, to: &str, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.folder.join(to);
        files::create_folder(path.parent().unwrap_or(&self.folder))?;
        files::replace(&path, bytes)?;
        let sha256 = digits(&Sha256::digest(bytes));
        self.files.insert(to.to_owned(), PackedFile { bytes: bytes.len() as u64, sha256 });
        Ok(())
    }

    /// Writes an archive with everything that a store has of the figure; returns the objects in it.
    fn archive(&mut self, to: &str, closure: &Closure, store: &Store) -> Result<BTreeSet<ObjectDigest>, Failure> {
        let path = self.folder.join(to);
        let exported = write_archive(Named::create(&path)?, closure, &[], Scope::All, store)?;
        let read = |error: std::io::Error| archive_failure(error.into(), &path);
        let (mut file, mut hasher, mut piece) = (files::open(&path)?.0, Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut piece).map_err(read)? {
                0 => break,
                count => hasher.update(&piece[..count]),
            }
        }
        let sha256 = digits(&hasher.finalize());
        self.files.insert(to.to_owned(), PackedFile { bytes: exported.bytes, sha256 });
        let mut held: BTreeSet<_> = inline(closure).collect();
        for output in closure.members.iter().flat_map(|member| &member.record.outputs) {
            if store.state(&output.object)? == ObjectState::Present {
                held.insert(output.object);
            }
        }
        Ok(held)
    }
}

/// Returns the lock of a figure that `verify` finds correct, so that it is correct in the folder too.
fn verified<'a>(project: &Project, figure: &'a CitedFigure) -> Result<&'a Lock, Failure> {
    let (place, profile) = (&figure.subject.place, &figure.subject.profile);
    let Some(lock) = &figure.lock else {
        let hint = format!("`wdpipe lock {} --profile {}` locks it", quoted(&figure.stamp.figure), quoted(profile));
        return Err(Failure::new(ExitCode::Missing, format!("`{}` is not locked", place.name), hint));
    };
    let levels = VerifyLevels { objects: false, render: false, rebuild: None, statistics: false };
    let checks = project.verify(&figure.subject, None, &levels, &|_| ())?;
    let worst = checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Missing);
    if worst == Verdict::Holds {
        return Ok(lock);
    }
    let code = if worst == Verdict::Missing { ExitCode::Missing } else { ExitCode::Failed };
    let hint = format!("`wdpipe verify {} --profile {}` says why", quoted(&place.name), quoted(profile));
    Err(Failure::new(code, format!("`{}` is not as its lock and its pipeline say", place.name), hint))
}

/// Lists the objects that records contain.
fn inline(closure: &Closure) -> impl Iterator<Item = ObjectDigest> + '_ {
    let outputs = closure.members.iter().flat_map(|member| &member.record.outputs);
    outputs.filter(|output| output.inline.is_some()).map(|output| output.object)
}

/// Lists the files of the project that a command declared, each with its hash.
fn code(record: &Record) -> Vec<(String, String)> {
    if record.isolation().is_none() {
        return Vec::new();
    }
    let parameters = &record.parts.parameters;
    let text = |map: &Map, name: &str| match map.get(name) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let mut found = Vec::new();
    if let Some(Value::Map(code)) = parameters.get("code") {
        found.extend(code.keys().filter_map(|path| Some((path.clone(), text(code, path)?))));
    }
    if let Some(Value::Map(lock)) = parameters.get("lock") {
        found.extend(text(lock, "path").zip(text(lock, "hash")));
    }
    found
}

fn digits(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
