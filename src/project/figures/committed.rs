//! Committed figures: finds them, reads the files beside them, and verifies them.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use crate::engine::{AllowedCommands, Indifferent, Preference, Recorded, Standing};
use crate::plan::Knowledge;
use crate::project::running::workers::cores;
use crate::project::sharing::archives::archive_failure;
use crate::project::targets::select::{Selection, Variant};
use crate::project::{Failure, Project, command};
use crate::reports::{Place, ReportError, VariantSettings, is_variant};
use crate::stages::Device;
use crate::verify::{self, Check, Evidence, Level, Pick, Verdict};
use base::digest::{ObjectDigest, RecordDigest, StageKey};
use base::record::{Outline, Record};
use base::table::Table;
use store::archive::{self, ArchiveError, Numbers};
use store::lockfile::Lock;
use store::sign::Trust;
use store::{Store, StoreError};

type Records = BTreeMap<RecordDigest, Record>;
type Objects = BTreeMap<ObjectDigest, Vec<u8>>;

/// A committed figure.
pub struct Subject {
    /// Name of its profile.
    pub profile: String,
    /// Folder and name of its files.
    pub place: Place,
}

impl Subject {
    /// Reads the file beside the lock with the records and numbers that the figure was made from; returns `None` if there is
    /// no such file.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn numbers(&self) -> Result<Option<Numbers>, ArchiveError> {
        match archive::read_numbers(&self.place.path("wdpipe")) {
            Err(ArchiveError::Fs(error)) if error.is_missing() => Ok(None),
            read => read.map(Some),
        }
    }

    /// Reads the records and objects of [`Subject::numbers`]; both are empty if there is no such file.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn beside(&self) -> Result<(Records, Objects), Failure> {
        let numbers = self.numbers().map_err(|error| archive_failure(error, &self.place.path("wdpipe")))?;
        Ok(numbers.map_or_else(Default::default, |numbers| (numbers.records, numbers.objects)))
    }
}

/// Levels to check in addition to the levels that need only committed files.
pub struct VerifyLevels<'a> {
    /// Whether to hash every object that the figure was made from.
    pub objects: bool,
    /// Whether to draw the figure again.
    pub render: bool,
    /// Which stages to compute again, if any.
    pub rebuild: Option<Rebuilding<'a>>,
    /// Whether to compare with the figure that was made in this store.
    pub statistics: bool,
}

/// Which stages to compute again, and how.
pub struct Rebuilding<'a> {
    /// Number of stages; `None` means all.
    pub count: Option<usize>,
    /// Seed of the random choice.
    pub seed: &'a str,
    /// Device that computes them.
    pub device: &'a Device,
    /// The commands that may run.
    pub commands: &'a AllowedCommands,
    /// Flag that stops the computation when it is set.
    pub cancel: &'a AtomicBool,
}

impl Project {
    /// Finds the figures to check, and separately the variants without a lock, which are not checked.
    ///
    /// # Errors
    /// If a target is not a figure in the reports folder, there is no figure at all, or the folder cannot be read.
    pub fn committed(
        &self,
        profile: Option<&str>,
        targets: &[String],
    ) -> Result<(Vec<Subject>, Vec<Subject>), Failure> {
        let storage = |error: files::FsError| Failure::from(ReportError::from(error));
        let profiles = match profile {
            Some(profile) => vec![profile.to_owned()],
            None => files::list(&self.reports).map_err(storage)?,
        };
        let (mut subjects, mut variants) = (Vec::new(), Vec::new());
        for profile in profiles {
            // A plain file with this name contains no figures.
            let Ok(places) = Place::any(&self.reports.join(&profile)) else { continue };
            for place in places {
                let has_lock = files::identity(&place.path("lock")).map_err(storage)?.is_some();
                let list = if is_variant(&place.name) && !has_lock { &mut variants } else { &mut subjects };
                list.push(Subject { profile: profile.clone(), place });
            }
        }
        let everything = targets.is_empty() || targets.iter().any(|target| target == "all");
        // A target that names a figure also names the figure's variants.
        let names = |target: &String, Subject { place: Place { name, .. }, .. }: &Subject| {
            name == target || name.split_once('@').is_some_and(|(figure, _)| figure == target)
        };
        let none = |target: &&String| *target != "all" && !subjects.iter().any(|subject| names(target, subject));
        if let Some(target) = targets.iter().find(none) {
            return Err(self.no_figure(target, &subjects));
        }
        if subjects.is_empty() {
            return Err(self.no_figures(profile));
        }
        let wanted = |subject: &Subject| everything || targets.iter().any(|target| names(target, subject));
        subjects.retain(wanted);
        variants.retain(wanted);
        Ok((subjects, variants))
    }

    /// Checks a committed figure, level by level. Levels that look at objects or compute stages need `store`.
    ///
    /// # Errors
    /// If the store, the trust file or a file of the figure cannot be read.
    pub fn verify(
        &self,
        subject: &Subject,
        store: Option<&Store>,
        asked: &VerifyLevels<'_>,
        tell: &(dyn Fn(&verify::Rebuilt) + Sync),
    ) -> Result<Vec<Check>, Failure> {
        let place = &subject.place;
        let lock = match place.lock() {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(vec![Check::failed(Level::Files, Verdict::Missing, &unlocked(subject, self))]),
            Err(error) => return Ok(vec![Check::failed(Level::Files, Verdict::Differs, &error.to_string())]),
        };
        let fs = |error: files::FsError| Failure::from(ReportError::from(error));
        let mut checks = vec![verify::files(&lock, place).map_err(fs)?];
        if lock.profile != subject.profile {
            checks[0].found(Verdict::Differs, format!("it is the lock of a figure of profile {}", lock.profile));
        }
        let numbers = match subject.numbers() {
            Ok(numbers) => numbers,
            Err(error) => {
                let is_incomplete = matches!(error, ArchiveError::Reference { .. });
                let verdict = if is_incomplete { Verdict::Missing } else { Verdict::Differs };
                let mut what = error.to_string();
                if let ArchiveError::Reference { file, .. } = &error {
                    what += &format!(": `git checkout -- {}` restores it", place.folder.join(file).display());
                }
                checks.push(Check::failed(Level::Records, verdict, &what));
                return Ok(checks);
            }
        };
        let nothing = (BTreeMap::new(), BTreeMap::new());
        let (records, objects) = numbers.as_ref().map_or((&nothing.0, &nothing.1), |n| (&n.records, &n.objects));
        let mut objects = objects.clone();
        objects.extend(verify::drawings(&lock, place).map_err(fs)?);
        let evidence = Evidence::gather(&lock, records, &objects, store)?;
        if let Some(numbers) = &numbers {
            checks.push(verify::recorded(&lock, numbers, &evidence));
            checks.push(verify::signatures(&evidence, &numbers.batches, &Trust::load(&self.trust)?));
            checks.push(current(&lock, &subject.profile, numbers, self)?);
        } else {
            let command = lock_command(place, &lock.figure, &lock.profile, &lock.set);
            let what = format!("{} is not there: `{command}` writes it", place.path("wdpipe").display());
            checks.push(Check::failed(Level::Records, Verdict::Missing, &what));
        }
        checks.extend(verify::audits(&lock, place));
        if let (true, Some(store)) = (asked.objects, store) {
            checks.push(verify::objects(&evidence, store)?);
        }
        if asked.render {
            checks.push(verify::render(&evidence, place).map_err(fs)?);
        }
        if let Some(Rebuilding { count, seed, device, commands, cancel }) = &asked.rebuild {
            let picked = verify::pick(&evidence, Pick { count: *count, seed, training: false });
            let all = verify::rebuild(&evidence, &picked, (device, cores(), commands), cancel, tell);
            checks.push(verify::rebuilt(&evidence, picked.len(), &all, seed));
        }
        if let (true, Some(store)) = (asked.statistics, store) {
            checks.push(samples(&lock, &subject.profile, &evidence, (self, store))?);
        }
        Ok(checks)
    }
}

/// Returns the command that locks a figure at a place.
fn lock_command(place: &Place, figure: &str, profile: &str, set: &[String]) -> String {
    let named = place.name != figure && !is_variant(&place.name);
    let words = ["lock", figure, "--name", &place.name];
    command(&words[..if named { 4 } else { 2 }], profile, set)
}

/// Explains why a figure has no lock, and how to write one.
fn unlocked(Subject { profile, place }: &Subject, project: &Project) -> String {
    let (figure, set) = match VariantSettings::read(place) {
        Some(settings) => (settings.figure, settings.set),
        None => (place.name.clone(), Vec::new()),
    };
    let variant = Variant { profile: profile.clone(), set: set.clone() };
    let is_drawn = |selection: Selection| selection.figures().next().is_some();
    match project.select(&variant, std::slice::from_ref(&figure)).is_ok_and(is_drawn) {
        true => format!("it has no lock: `{}` writes one", lock_command(place, &figure, profile, &set)),
        false => {
            "it has no lock, and no pipeline draws it: move it to another folder if it does not belong to this project"
                .to_owned()
        }
    }
}

/// Prefers results that no lock holds, that is, results computed here over committed results.
struct Others<'a>(&'a dyn Preference);

impl Preference for Others<'_> {
    fn standing(&self, source: &dyn Recorded, key: &StageKey, outline: &Outline) -> Result<Standing, StoreError> {
        Ok(match self.0.standing(source, key, outline)? {
            Standing::Locked => Standing::Known,
            Standing::Known => Standing::Trusted,
            other => other,
        })
    }

    fn is_strict(&self) -> bool {
        self.0.is_strict()
    }
}

/// Compares the committed figure with the one that was computed in this store.
fn samples(
    lock: &Lock,
    profile: &str,
    evidence: &Evidence<'_>,
    (project, store): (&Project, &Store),
) -> Result<Check, Failure> {
    let missing = |what: &str| Ok(Check::failed(Level::Statistics, Verdict::Missing, what));
    let variant = Variant { profile: profile.to_owned(), set: lock.set.clone() };
    let selection = project.select(&variant, std::slice::from_ref(&lock.figure))?;
    let preference = Others(&selection.preference);
    let resolved = selection.resolve_by(store, &preference, &selection.targets)?;
    let here = selection.targets.iter().find_map(|&id| resolved.known(id)?.1.output("numbers"));
    let Some(here) = here else {
        return missing(&format!("`{}` was not made in this cache", lock.figure));
    };
    let locked = lock.output("numbers");
    if locked == Some(here.object) {
        return missing("this cache has only the locked result: make the figure on another machine to compare");
    }
    let table = |bytes: Vec<u8>| Table::from_bytes(&bytes).ok();
    let there = locked.and_then(|object| evidence.read(&object).ok()).and_then(table);
    match (there, table(store.output(here)?)) {
        (Some(there), Some(here)) => Ok(verify::statistics(&there, &here)),
        _ => missing("the committed numbers are neither beside the lock nor in the cache"),
    }
}

/// Checks that the current pipeline asks for exactly the locked stages.
fn current(lock: &Lock, profile: &str, numbers: &Numbers, project: &Project) -> Result<Check, Failure> {
    let variant = Variant { profile: profile.to_owned(), set: lock.set.clone() };
    let selection = match project.select(&variant, std::slice::from_ref(&lock.figure)) {
        Ok(selection) => selection,
        Err(failure) => return Ok(Check::failed(Level::Pipeline, Verdict::Missing, &failure.message)),
    };
    let beside = verify::Beside::of(&numbers.records);
    let resolved = selection.resolve_by(&beside, &Indifferent, &selection.targets)?;
    let stages = resolved.stages().count();
    let mut absent = resolved.stages().filter_map(|(_, stage, known)| match known {
        Knowledge::Absent { reason, .. } => Some(format!("{}: {reason}", stage.name)),
        _ => None,
    });
    let mut check = Check::done(Level::Pipeline, format!("{}.toml asks for these {stages} stages", lock.pipeline));
    let key = selection.targets.first().and_then(|&id| resolved.known(id)).map(|(key, _)| *key);
    if key.is_none() || key != lock.drawing().map(|drawing| drawing.key) {
        let first = absent.next().unwrap_or_else(|| "the drawing differs".to_owned());
        check.summary = format!("{}.toml asks for something else", lock.pipeline);
        let words = |name| command(&[name, &lock.figure], &lock.profile, &lock.set);
        let again = format!("`{}` and `{}` follow the change; or undo it", words("make"), words("lock"));
        check.found(Verdict::Differs, format!("{first}; {again}"));
    }
    Ok(check)
}
