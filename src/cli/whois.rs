//! `wdpipe whois`: finds the origin of a figure.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::format::{columns, count, date, shown};
use super::ui::Ui;
use crate::project::{ExitCode, Failure, Project, Subject, command, is_hash};
use crate::reports::{Place, VariantSettings, bare};
use crate::verify::Evidence;
use base::digest::{ClosureRoot, ObjectDigest, StageKey};
use base::record::{Provenance, Record};
use base::value::{Map, Value};
use draw::stamp::{Stamp, find};
use store::Store;
use store::lockfile::Lock;

/// Largest size of a file, in bytes.
const LIMIT: u64 = 256 << 20;

/// Print from what a figure was made, given any copy of it.
///
/// FILE is an SVG, PNG, PDF or CSV, or a document that contains one. It can also be a root: at least 8 digits, as a caption or
/// a badge gives them. Prints the pipeline, the settings and the stages.
#[derive(Debug, Args)]
pub struct WhoisCommand {
    /// File with the figure, or the first digits of its root.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// List all stages.
    #[arg(long)]
    stages: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A figure that the file shows.
struct Traced {
    stamp: Stamp,
    /// Lock of the figure, if there is one here, and whether the file is, byte for byte, the committed one.
    locked: Option<(Subject, Lock)>,
    identical: bool,
    /// Comparison of the content with the committed one, in words.
    content: &'static str,
    records: Vec<(String, Record)>,
    /// Variant in the reports folder with the same key, if there is one.
    variant: Option<(Place, VariantSettings)>,
}

impl WhoisCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the file cannot be read, or nothing in it shows its origin.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let bytes = match files::read(&self.file, LIMIT) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.is_missing() && self.digits().is_some() => None,
            Err(error) => return Err(Failure::usage(error.to_string(), "")),
        };
        let locks = locks(project)?;
        let stamps = match &bytes {
            Some(bytes) => self.stamps(bytes, &locks)?,
            None => self.rooted(project)?,
        };
        let store = project.store_if_any();
        let variants = variants(project);
        let mut all = Vec::new();
        for stamp in stamps {
            let variant = variants.iter().find(|(_, settings)| settings.key == stamp.key).cloned();
            all.push(Traced { variant, ..self.trace(stamp, bytes.as_deref(), &locks, store.as_ref())? });
        }
        if self.json {
            ui.json(&all.iter().map(WhoisAnswer::of).collect::<Vec<_>>());
        } else {
            all.iter().for_each(|traced| self.text(traced, ui));
        }
        Ok(())
    }

    /// Returns the operand, if it can be the first digits of a root.
    fn digits(&self) -> Option<&str> {
        self.file.to_str().filter(|word| is_hash(word))
    }

    /// Returns the stamps of the figures whose root begins with the operand.
    fn rooted(&self, project: &Project) -> Result<Vec<Stamp>, Failure> {
        let digits = self.digits().unwrap_or_default();
        let stamps = project.stamps_with(digits);
        if stamps.is_empty() {
            let message = format!("no figure in {} has a root that begins with {digits}", project.reports.display());
            let hint = "run this in a checkout of the repository that has the figure, or give a copy of the figure";
            return Err(Failure::new(ExitCode::Missing, message, hint));
        }
        Ok(stamps)
    }

    /// Returns the stamps in a file, each once.
    fn stamps(&self, bytes: &[u8], locks: &[(Subject, Lock)]) -> Result<Vec<Stamp>, Failure> {
        let hash = ObjectDigest::of(bytes);
        let mut stamps = find(bytes);
        // A CSV carries no stamp, but can be the committed one.
        for (_, lock) in locks.iter().filter(|(_, lock)| lock.files.values().any(|file| *file == hash)) {
            stamps.extend(crate::reports::stamp_of(lock));
        }
        let mut seen = BTreeSet::new();
        stamps.retain(|stamp| seen.insert((stamp.figure.clone(), stamp.key, stamp.root)));
        if stamps.is_empty() {
            let message = format!("nothing in {} says which figure it shows", self.file.display());
            let is = |extension: &str| self.file.extension().is_some_and(|own| own == extension);
            let hint = if files::is_pointer(bytes) {
                format!("it {}", files::IS_POINTER)
            } else if is("lock") || is("wdpipe") {
                "it is not a picture: give the figure beside it, such as the .svg".to_owned()
            } else {
                "it was not drawn by wdpipe, or another program removed its metadata. If its caption gives a root, run \
                 `wdpipe whois ROOT`"
                    .to_owned()
            };
            return Err(Failure::new(ExitCode::Missing, message, hint));
        }
        Ok(stamps)
    }

    fn trace(
        &self,
        stamp: Stamp,
        bytes: Option<&[u8]>,
        locks: &[(Subject, Lock)],
        store: Option<&Store>,
    ) -> Result<Traced, Failure> {
        let of = locks.iter().find(|(_, lock)| crate::reports::stamp_of(lock).as_ref() == Some(&stamp));
        let Some((subject, lock)) = of else {
            // The figure is not locked here, but the store can have its records.
            let records = store.map(|store| store.records(&stamp.key)).transpose()?.unwrap_or_default();
            let records = records.into_iter().map(|(_, record)| (record.provenance.stage.clone(), record)).collect();
            return Ok(Traced { stamp, locked: None, identical: false, content: "", records, variant: None });
        };
        let hash = bytes.map(ObjectDigest::of);
        let identical = lock.files.values().any(|file| Some(*file) == hash);
        let extension = self.file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let content = match bytes.map(|bytes| bare(extension, bytes)) {
            None => "",
            _ if identical => "byte for byte the committed file",
            Some(Ok((bare, Some(_)))) if Some(ObjectDigest::of(&bare)) == lock.output(extension) => {
                "the committed drawing"
            }
            _ => "NOT the committed bytes: a copy that was converted or changed, or a document that contains it",
        };
        // Damaged files count as missing; `verify` reports them.
        let beside = subject.beside().unwrap_or_default();
        let evidence = Evidence::gather(lock, &beside.0, &beside.1, store)?;
        let records = evidence.known().map(|(stage, record)| (stage.name.clone(), record.clone())).collect();
        let (place, profile) = (subject.place.clone(), subject.profile.clone());
        let locked = Some((Subject { place, profile }, lock.clone()));
        Ok(Traced { stamp, locked, identical, content, records, variant: None })
    }

    fn text(&self, traced: &Traced, ui: &Ui) {
        let Traced { stamp, locked, content, records, variant, .. } = traced;
        let mut rows: Vec<Vec<String>> = Vec::new();
        let mut row = |name: &str, value: String| rows.push(vec![format!("  {name}"), value]);
        row("key", stamp.key.to_string());
        row("root", stamp.root.to_string());
        match locked {
            Some((subject, lock)) => {
                let lock_file = subject.place.path("lock").display().to_string();
                row("lock", if content.is_empty() { lock_file } else { format!("{lock_file}: {content}") });
                row("pipeline", format!("{}.toml, profile {}", lock.pipeline, lock.profile));
                let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
                lock.stages.iter().for_each(|stage| *kinds.entry(&stage.kind).or_default() += 1);
                let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
                row("stages", format!("{}: {}", lock.stages.len(), kinds.join(", ")));
                row("again", command(&["make", &lock.figure], &lock.profile, &lock.set));
                row("check", command(&["verify", &subject.place.name], &subject.profile, &[]));
            }
            None => row("lock", "none in the reports folder has this key and root".to_owned()),
        }
        if let (None, Some((place, settings))) = (locked, variant) {
            row("variant", place.path("svg").display().to_string());
            row("again", command(&settings.command(&place.name), &settings.profile, &settings.set));
        }
        for (name, values) in settings(records) {
            row(&name, values);
        }
        for made in made(records) {
            row("computed", made);
        }
        if records.is_empty() {
            row("records", "neither beside a lock nor in the cache".to_owned());
        }
        ui.answer(&stamp.figure);
        columns(&rows).iter().for_each(|line| ui.answer(line));
        if self.stages {
            let line = |(name, record): &(String, Record)| {
                vec![format!("  {name}"), record.parts.kind.clone(), record.parts.key().short()]
            };
            columns(&records.iter().map(line).collect::<Vec<_>>()).iter().for_each(|line| ui.answer(line));
        }
    }
}

/// Returns all locks in the reports folder. Damaged locks are skipped; `verify` reports them.
fn locks(project: &Project) -> Result<Vec<(Subject, Lock)>, Failure> {
    let mut locks = Vec::new();
    for profile in files::list(&project.reports).unwrap_or_default() {
        for place in Place::all(&project.reports.join(&profile)).unwrap_or_default() {
            if let Ok(Some(lock)) = place.lock() {
                locks.push((Subject { profile: profile.clone(), place }, lock));
            }
        }
    }
    Ok(locks)
}

/// Returns all variants in the reports folder, and how they were made.
fn variants(project: &Project) -> Vec<(Place, VariantSettings)> {
    let profiles = files::list(&project.reports).unwrap_or_default();
    profiles
        .iter()
        .flat_map(|profile| VariantSettings::all(&project.reports.join(profile)).unwrap_or_default())
        .collect()
}

/// Returns the settings of a figure's training and data sets, each with all its values.
fn settings(records: &[(String, Record)]) -> Vec<(String, String)> {
    let mut values: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (_, record) in records.iter().filter(|(_, record)| ["train", "dataset"].contains(&record.parts.kind.as_str())) {
        collect("", &record.parts.parameters, &mut values);
    }
    // The first epoch of a segment is not a setting.
    values.remove("first_epoch");
    let shown = |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>().join(", ");
    values.into_iter().map(|(name, values)| (name, shown(values))).collect()
}

fn collect(prefix: &str, map: &Map, values: &mut BTreeMap<String, BTreeSet<String>>) {
    for (name, value) in map {
        match value {
            Value::Map(map) => collect(&format!("{prefix}{name}."), map, values),
            value => drop(values.entry(format!("{prefix}{name}")).or_default().insert(value.to_string())),
        }
    }
}

/// Describes who computed the stages, when and where, one line for each combination of person, machine and version.
fn made(records: &[(String, Record)]) -> Vec<String> {
    let mut all: BTreeMap<(&str, &str, &str), (usize, u64, u64)> = BTreeMap::new();
    for (_, record) in records {
        let Provenance { who, machine, wdpipe, finished, .. } = &record.provenance;
        let of = all.entry((who, machine, wdpipe)).or_insert((0, u64::MAX, 0));
        *of = (of.0 + 1, of.1.min(*finished), of.2.max(*finished));
    }
    let line = |((who, machine, wdpipe), (stages, first, last)): (&(&str, &str, &str), &(usize, u64, u64))| {
        let on = if machine.is_empty() { String::new() } else { format!(" on {machine}") };
        let (first, last) = (date(*first), date(*last));
        format!("{} by {who}{on}, wdpipe {wdpipe}, {first} to {last}", count(*stages, "stage"))
    };
    all.iter().map(line).collect()
}

/// A figure in the output of `whois --json`.
#[derive(Serialize)]
struct WhoisAnswer<'a> {
    figure: &'a str,
    key: &'a StageKey,
    root: &'a ClosureRoot,
    lock: Option<String>,
    pipeline: Option<&'a str>,
    profile: Option<&'a str>,
    set: Option<&'a [String]>,
    identical: bool,
    content: &'static str,
    settings: BTreeMap<String, String>,
    stages: Vec<MadeAnswer<'a>>,
}

#[derive(Serialize)]
struct MadeAnswer<'a> {
    name: &'a str,
    kind: &'a str,
    key: StageKey,
    who: &'a str,
    machine: &'a str,
    finished: u64,
}

impl<'a> WhoisAnswer<'a> {
    fn of(traced: &'a Traced) -> Self {
        let Traced { stamp, locked, identical, content, records, variant } = traced;
        // The settings come from the lock or, if there is none, from the variant.
        let of_lock = locked.as_ref().map(|(_, lock)| (&lock.profile, &lock.set));
        let made = of_lock.or(variant.as_ref().map(|(_, settings)| (&settings.profile, &settings.set)));
        Self {
            figure: &stamp.figure,
            key: &stamp.key,
            root: &stamp.root,
            lock: locked.as_ref().map(|(subject, _)| shown(&subject.place.path("lock"))),
            pipeline: locked.as_ref().map(|(_, lock)| lock.pipeline.as_str()),
            profile: made.map(|(profile, _)| profile.as_str()),
            set: made.map(|(_, set)| set.as_slice()),
            identical: *identical,
            content,
            settings: settings(records).into_iter().collect(),
            stages: records.iter().map(MadeAnswer::of).collect(),
        }
    }
}

impl<'a> MadeAnswer<'a> {
    fn of((name, record): &'a (String, Record)) -> Self {
        let Provenance { who, machine, finished, .. } = &record.provenance;
        let (kind, key) = (&record.parts.kind, record.parts.key());
        Self { name, kind, key, who, machine, finished: *finished }
    }
}
