//! `wdpipe verify`: whether committed figures are what was computed.

mod told;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;

use super::advice;
use super::select::{Variant, plain, select};
use super::signals::cancel_on_interrupt;
use super::ui::Ui;
use super::{ExitCode, Failure, Global};
use crate::engine::{EngineError, Indifferent, Preference, Recorded, Resolver, Standing};
use crate::plan::Knowledge;
use crate::reports::{Place, ReportError, Settings, is_variant};
use crate::stages::Device;
use crate::verify::{self, Check, Evidence, Level, Pick, Verdict};
use base::digest::{ObjectDigest, RecordDigest, StageKey};
use base::parallel::parallel;
use base::record::{Outline, Record};
use base::table::Table;
use store::archive::{self, ArchiveError, Numbers};
use store::lockfile::Lock;
use store::sign::Trust;
use store::{Store, StoreError};

/// Checks that committed figures are what was computed. Exit code 0: all as it should be; 1: something differs;
/// 3: something needed is missing.
///
/// Without options it needs no cache, no GPU and no libtorch: the files, the records beside them and the pipelines are
/// compared with the locks. Every figure in the reports folder must have a lock; variants (FIGURE@HASH8) need none. Each
/// option checks more; with -v it is said what each level shows and what it leaves open.
#[derive(Debug, Args)]
pub struct Verify {
    /// Figures, with their variants that have a lock [default: all].
    #[arg(value_name = "FIGURE")]
    targets: Vec<String>,
    /// The profile [default: all].
    #[arg(long, value_name = "NAME", value_parser = plain)]
    profile: Option<String>,
    /// Hash every object behind the figures in the cache.
    #[arg(long)]
    objects: bool,
    /// Draw the figures again from the recorded tables.
    #[arg(long)]
    render: bool,
    /// Compute so many stages of each figure again, or all, and compare.
    #[arg(long, value_name = "N|all", value_parser = stages_wanted)]
    rebuild: Option<Wanted>,
    /// What --rebuild's choice depends on [default: drawn at random, and printed].
    #[arg(long, value_name = "TEXT", requires = "rebuild")]
    seed: Option<String>,
    /// Where --rebuild computes: auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Device,
    /// Compare the committed figures with what was computed in this cache on another machine, as samples.
    #[arg(long)]
    statistics: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How many stages.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    All,
    Some(usize),
}

fn stages_wanted(text: &str) -> Result<Wanted, String> {
    match text {
        "all" => Ok(Wanted::All),
        _ => text.parse().map(Wanted::Some).map_err(|_| "a number of stages is expected, or all".to_owned()),
    }
}

type Records = BTreeMap<RecordDigest, Record>;
type Objects = BTreeMap<ObjectDigest, Vec<u8>>;

/// A figure that is checked.
pub struct Subject {
    /// Its profile.
    pub profile: String,
    /// Where its files lie.
    pub place: Place,
}

impl Subject {
    /// What lies beside the lock: the records and numbers behind the figure, nothing if there is no such file.
    ///
    /// # Errors
    /// If the file is damaged.
    fn numbers(&self) -> Result<Option<Numbers>, ArchiveError> {
        match archive::read_numbers(&self.place.path("wdpipe")) {
            Err(ArchiveError::Fs(error)) if error.is_missing() => Ok(None),
            read => read.map(Some),
        }
    }

    /// The records and objects of [`Subject::numbers`]; empty if they are not there.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn beside(&self) -> Result<(Records, Objects), Failure> {
        let numbers = self.numbers().map_err(|error| super::archive::failure(error, &self.place.path("wdpipe")))?;
        Ok(numbers.map_or_else(Default::default, |numbers| (numbers.records, numbers.objects)))
    }
}

/// How stages are computed again.
struct Again<'a> {
    seed: &'a str,
    cancel: &'a AtomicBool,
    ui: &'a Ui,
}

/// What came out.
struct Verified {
    subject: Subject,
    checks: Vec<Check>,
}

impl Verified {
    fn verdict(&self) -> Verdict {
        self.checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Missing)
    }
}

impl Verify {
    /// Runs the command.
    ///
    /// # Errors
    /// If something differs or is missing, or a folder cannot be read.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let (subjects, variants) = self.subjects(global)?;
        let needs_store = self.objects || self.rebuild.is_some() || self.statistics;
        let store = if needs_store { Some(global.store()?) } else { None };
        let seed = self.seed.clone().unwrap_or_else(random_seed);
        let (cancel, cores) = (cancel_on_interrupt(), cores());
        let run = |_: &mut (), subject: &Subject| {
            Some(self.verify(subject, global, store.as_ref(), &Again { seed: &seed, cancel: &cancel, ui }))
        };
        // Stages that are computed again take all cores: then figures come one after the other.
        let jobs = if self.rebuild.is_some() { 1 } else { cores };
        let checks = parallel(jobs, &subjects, || (), run).into_iter().collect::<Result<Vec<_>, _>>()?;
        if cancel.load(Ordering::Relaxed) {
            return Err(EngineError::Interrupted.into());
        }
        let verified: Vec<Verified> =
            subjects.into_iter().zip(checks).map(|(subject, checks)| Verified { subject, checks }).collect();
        let verdict = verified.iter().map(Verified::verdict).max().unwrap_or(Verdict::Holds);
        match self.json {
            true => ui.answer(&told::json(&verified, &variants, verdict).to_string()),
            false => told::text(&verified, &variants, &self.asked(), ui),
        }
        let count = |verdict| verified.iter().filter(|figure| figure.verdict() == verdict).count();
        let message = format!(
            "of {} figures {} hold, {} differ from what is locked, and of {} something is missing",
            verified.len(),
            count(Verdict::Holds),
            count(Verdict::Differs),
            count(Verdict::Missing)
        );
        match verdict {
            Verdict::Holds => Ok(()),
            Verdict::Differs => Err(Failure::new(ExitCode::Failed, message, "the lines marked DIFFERS say where")),
            Verdict::Missing => Err(Failure::new(ExitCode::Missing, message, "the lines marked missing say what")),
        }
    }

    /// The levels that were asked for: what they found is told even if all is well.
    fn asked(&self) -> Vec<Level> {
        let levels = [
            (self.objects, Level::Objects),
            (self.render, Level::Render),
            (self.rebuild.is_some(), Level::Rebuild),
            (self.statistics, Level::Statistics),
        ];
        levels.into_iter().filter(|(asked, _)| *asked).map(|(_, level)| level).collect()
    }

    /// What is checked, and the variants that nobody locked, which are not.
    fn subjects(&self, global: &Global) -> Result<(Vec<Subject>, Vec<Subject>), Failure> {
        let storage = |error: files::FsError| Failure::from(ReportError::from(error));
        let profiles = match &self.profile {
            Some(profile) => vec![profile.clone()],
            None => files::list(&global.reports).map_err(storage)?,
        };
        let (mut subjects, mut variants) = (Vec::new(), Vec::new());
        for profile in profiles {
            // A plain file of that name has nothing in it.
            let Ok(places) = Place::any(&global.reports.join(&profile)) else { continue };
            for place in places {
                let has_lock = files::identity(&place.path("lock")).map_err(storage)?.is_some();
                let list = if is_variant(&place.name) && !has_lock { &mut variants } else { &mut subjects };
                list.push(Subject { profile: profile.clone(), place });
            }
        }
        let everything = self.targets.is_empty() || self.targets.iter().any(|target| target == "all");
        // A figure's variants are meant with it.
        let names = |target: &String, Subject { place: Place { name, .. }, .. }: &Subject| {
            name == target || name.split_once('@').is_some_and(|(figure, _)| figure == target)
        };
        let none = |target: &&String| *target != "all" && !subjects.iter().any(|subject| names(target, subject));
        if let Some(target) = self.targets.iter().find(none) {
            let message = format!("there is no locked figure `{target}` in {}", global.reports.display());
            return Err(Failure::new(ExitCode::Missing, message, format!("`wdpipe lock {target}` writes a lock")));
        }
        if subjects.is_empty() {
            let message = format!("there is no figure in {}", global.reports.display());
            return Err(Failure::new(ExitCode::Missing, message, "`wdpipe lock all` writes the locks of those made"));
        }
        let wanted = |subject: &Subject| everything || self.targets.iter().any(|target| names(target, subject));
        subjects.retain(wanted);
        variants.retain(wanted);
        Ok((subjects, variants))
    }

    fn verify(
        &self,
        subject: &Subject,
        global: &Global,
        store: Option<&Store>,
        again: &Again<'_>,
    ) -> Result<Vec<Check>, Failure> {
        let place = &subject.place;
        let lock = match place.lock() {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(vec![Check::failed(Level::Files, Verdict::Missing, &unlocked(subject, global))]),
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
                checks.push(Check::failed(Level::Records, Verdict::Differs, &error.to_string()));
                return Ok(checks);
            }
        };
        let nothing = (BTreeMap::new(), BTreeMap::new());
        let (records, objects) = numbers.as_ref().map_or((&nothing.0, &nothing.1), |n| (&n.records, &n.objects));
        let evidence = Evidence::gather(&lock, records, objects, store)?;
        if let Some(numbers) = &numbers {
            checks.push(verify::recorded(&lock, numbers, &evidence));
            checks.push(verify::signatures(&evidence, &numbers.batches, &Trust::load(&global.trust)?));
            checks.push(current(&lock, &subject.profile, numbers, global)?);
        } else {
            let command = lock_command(place, &lock.figure, &lock.profile, &lock.set);
            let what = format!("{} is not there: `{command}` writes it", place.path("wdpipe").display());
            checks.push(Check::failed(Level::Records, Verdict::Missing, &what));
        }
        checks.extend(verify::audits(&lock, place));
        if let (true, Some(store)) = (self.objects, store) {
            checks.push(verify::objects(&evidence, store)?);
        }
        if self.render {
            checks.push(verify::render(&evidence, place).map_err(fs)?);
        }
        if let Some(wanted) = self.rebuild {
            let count = if let Wanted::Some(count) = wanted { Some(count) } else { None };
            let Again { seed, cancel, ui } = *again;
            let picked = verify::pick(&evidence, Pick { count, seed, training: false });
            let tell = |rebuilt: &verify::Rebuilt| ui.say(&format!("{} {:.1} s", rebuilt.name, rebuilt.seconds));
            let all = verify::rebuild(&evidence, &picked, (&self.device, cores()), cancel, &tell);
            checks.push(verify::rebuilt(&evidence, picked.len(), &all, seed));
        }
        if let (true, Some(store)) = (self.statistics, store) {
            checks.push(samples(&lock, &subject.profile, &evidence, (global, store))?);
        }
        Ok(checks)
    }
}

/// The command that locks what lies at a place.
fn lock_command(place: &Place, figure: &str, profile: &str, set: &[String]) -> String {
    let named = place.name != figure && !is_variant(&place.name);
    let words = ["lock", figure, "--name", &place.name];
    advice::command(&words[..if named { 4 } else { 2 }], profile, set)
}

/// What is to be said of a figure without a lock.
fn unlocked(Subject { profile, place }: &Subject, global: &Global) -> String {
    let (figure, set) = match Settings::read(place) {
        Some(settings) => (settings.figure, settings.set),
        None => (place.name.clone(), Vec::new()),
    };
    let variant = Variant { profile: profile.clone(), set: set.clone() };
    let is_drawn = |selection: super::select::Selection| selection.figures().next().is_some();
    match select(global, &variant, std::slice::from_ref(&figure)).is_ok_and(is_drawn) {
        true => format!("it has no lock: `{}` writes one", lock_command(place, &figure, profile, &set)),
        false => {
            "it has no lock, and no pipeline draws it: what is not a figure of this project lies elsewhere".to_owned()
        }
    }
}

/// Prefers what no lock holds: what was computed here, rather than what was committed.
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

/// The committed figure against the one that was computed in this store.
fn samples(
    lock: &Lock,
    profile: &str,
    evidence: &Evidence<'_>,
    (global, store): (&Global, &Store),
) -> Result<Check, Failure> {
    let missing = |what: &str| Ok(Check::failed(Level::Statistics, Verdict::Missing, what));
    let variant = Variant { profile: profile.to_owned(), set: lock.set.clone() };
    let selection = select(global, &variant, std::slice::from_ref(&lock.figure))?;
    let preference = Others(&selection.preference);
    let resolver = Resolver::new(store, &selection.graph, &preference);
    let knowledge = resolver.outlook(&selection.graph.closure(&selection.targets))?;
    let here = selection.targets.iter().find_map(|&id| match &knowledge[id] {
        Knowledge::Known { outline, .. } => outline.output("numbers"),
        _ => None,
    });
    let Some(here) = here else {
        return missing(&format!("`{}` was not made in this cache", lock.figure));
    };
    let locked = lock.output("numbers");
    if locked == Some(here.object) {
        return missing("this cache has just what is locked: make the figure on another machine to compare");
    }
    let table = |bytes: Vec<u8>| Table::from_bytes(&bytes).ok();
    let there = locked.and_then(|object| evidence.read(&object).ok()).and_then(table);
    match (there, table(store.output(here)?)) {
        (Some(there), Some(here)) => Ok(verify::statistics(&there, &here)),
        _ => missing("the committed numbers are neither beside the lock nor in the cache"),
    }
}

/// Whether the pipeline, as it stands, asks for just what is locked.
fn current(lock: &Lock, profile: &str, numbers: &Numbers, global: &Global) -> Result<Check, Failure> {
    let variant = Variant { profile: profile.to_owned(), set: lock.set.clone() };
    let selection = match select(global, &variant, std::slice::from_ref(&lock.figure)) {
        Ok(selection) => selection,
        Err(failure) => return Ok(Check::failed(Level::Pipeline, Verdict::Missing, &failure.message)),
    };
    let beside = verify::Beside::of(&numbers.records);
    let resolver = Resolver::new(&beside, &selection.graph, &Indifferent);
    let needed = selection.graph.closure(&selection.targets);
    let knowledge = resolver.outlook(&needed)?;
    let stages = needed.iter().filter(|needed| **needed).count();
    let mut absent = knowledge.iter().zip(&selection.graph.stages).filter_map(|(known, stage)| match known {
        Knowledge::Absent { reason, .. } => Some(format!("{}: {reason}", stage.name)),
        _ => None,
    });
    let mut check = Check::done(Level::Pipeline, format!("{}.toml asks for these {stages} stages", lock.pipeline));
    let key = selection.targets.iter().map(|&id| &knowledge[id]).next();
    if !matches!(key, Some(Knowledge::Known { key, .. }) if Some(*key) == lock.drawing().map(|drawing| drawing.key)) {
        let first = absent.next().unwrap_or_else(|| "the drawing is another one".to_owned());
        check.summary = format!("{}.toml asks for something else", lock.pipeline);
        check.found(Verdict::Differs, first);
    }
    Ok(check)
}

/// How many threads the machine runs at a time.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// A seed that nobody could foresee.
pub fn random_seed() -> String {
    use std::hash::{BuildHasher, Hasher};
    format!("{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish())
}
