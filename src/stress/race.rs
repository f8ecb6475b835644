//! The race: processes work on one store and are killed at random. After that, the store is checked.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use super::child::{Role, Task, store_of};
use super::probe::{absent, is_without_locks, start};
use super::work::{OLD, content, key, record};
use super::{Guarantee, StressError, Trial};
use base::digest::ObjectDigest;
use base::rng::Stream;
use files::SHARED_FILE;
use store::{Store, StoreError};

/// The roles of the processes.
const RUNNERS: [Role; 7] =
    [Role::Writer, Role::Writer, Role::Writer, Role::Reader, Role::Reader, Role::Collector, Role::Collector];

/// The events that the processes reported.
#[derive(Debug, Default)]
struct Told {
    done: BTreeSet<u64>,
    right: u64,
    wrong: Vec<String>,
    torn: Vec<String>,
    alone: u64,
    overlaps: u64,
    collected: u64,
    kills: u64,
}

/// Runs the race in a folder created for it.
pub(super) fn run(trial: &Trial<'_>, folder: &Path) -> Result<Vec<Guarantee>, StressError> {
    files::create_folder(&folder.join("witness"))?;
    let mut task = Task { role: Role::Writer, folder: folder.to_owned(), seed: trial.seed, old: 0 };
    let store = Store::open(&store_of(&task))?;
    for number in 0..OLD {
        store.put(&content(number))?;
        store.publish(&record(number))?;
    }
    task.old = settled(folder, &store_of(&task))?;
    let told = race(trial, &task)?;
    let mut guarantees = judged(&store, told)?;
    if is_without_locks(&folder.join("lock"), folder)? {
        let name = "a lock excludes others";
        guarantees.iter_mut().filter(|guarantee| guarantee.name == name).for_each(|locks| *locks = absent(name));
    }
    Ok(guarantees)
}

/// Waits until new files get a later time, by the file system's own clock, than all existing files.
fn settled(folder: &Path, store: &Path) -> Result<u64, StressError> {
    let seconds = |identity: &files::Identity| u64::try_from(identity.changed / 1_000_000_000).unwrap_or(0);
    let old = files::walk(store)?.iter().map(|(_, identity)| seconds(identity)).max().unwrap_or(0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(10) {
        let path = folder.join("clock");
        files::remove(&path)?;
        if files::publish(folder, &path, &[b"x"])?.is_some_and(|identity| seconds(&identity) > old) {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(old)
}

/// Processes that are killed on drop.
struct Runners(Vec<Child>);

impl Drop for Runners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn race(trial: &Trial<'_>, task: &Task) -> Result<Told, StressError> {
    let mut chance = Stream::new(trial.seed, "kills", &[]);
    let (sender, lines) = mpsc::channel();
    let mut runners = Runners(Vec::new());
    let mut told = Told::default();
    let begin = |role: Role, seed: u64| -> Result<Child, StressError> {
        let (mut child, out) = start(trial, &Task { role, seed, ..task.clone() })?;
        let sender = sender.clone();
        if let Err(error) = std::thread::Builder::new().spawn(move || pass_on(out, &sender)) {
            let _ = (child.kill(), child.wait());
            return Err(StressError::Thread(error));
        }
        Ok(child)
    };
    for role in RUNNERS {
        runners.0.push(begin(role, chance.next_u64())?);
    }
    let start = Instant::now();
    while start.elapsed() < trial.length {
        if (trial.cancelled)() {
            return Err(StressError::Interrupted);
        }
        std::thread::sleep(Duration::from_millis(20 + chance.below(130)));
        let place = chance.below(RUNNERS.len() as u64) as usize;
        let child = &mut runners.0[place];
        let _ = (child.kill(), child.wait());
        told.kills += 1;
        *child = begin(RUNNERS[place], chance.next_u64())?;
        told.take(&lines)?;
    }
    drop(runners);
    // The last lines arrive once every process has ended and its end of the pipe is closed.
    drop(sender);
    while let Ok(line) = lines.recv() {
        told.line(&line)?;
    }
    Ok(told)
}

/// Passes on complete lines; a kill can cut off the last one.
fn pass_on(out: ChildStdout, to: &Sender<String>) {
    let mut out = BufReader::new(out);
    let mut line = String::new();
    while out.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
        if to.send(line.trim_end().to_owned()).is_err() {
            return;
        }
        line.clear();
    }
}

impl Told {
    fn take(&mut self, lines: &Receiver<String>) -> Result<(), StressError> {
        lines.try_iter().try_for_each(|line| self.line(&line))
    }

    fn line(&mut self, line: &str) -> Result<(), StressError> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "done" => self.done.extend(rest.parse::<u64>().ok()),
            "right" => self.right += 1,
            "wrong" => self.wrong.push(rest.to_owned()),
            "torn" => self.torn.push(rest.to_owned()),
            "alone" => self.alone += 1,
            "overlap" => self.overlaps += 1,
            "collected" => self.collected += rest.parse::<u64>().unwrap_or(0),
            "error" => return Err(StressError::Child(rest.to_owned())),
            _ => {}
        }
        Ok(())
    }
}

/// Checks the store after the race.
fn judged(store: &Store, told: Told) -> Result<Vec<Guarantee>, StressError> {
    // Without reads there is no result: if processes start slowly, they are killed before they read.
    if told.right == 0 && told.wrong.is_empty() && told.torn.is_empty() {
        return Err(StressError::Child("no process read anything; try a longer race (--seconds)".to_owned()));
    }
    let report = store.check(&mut |_| {})?;
    let mut damaged = told.torn.len() + report.damaged_objects.len() + report.damaged_records.len();
    let (mut lost, mut wrong) = (0_usize, told.wrong.len());
    let (mut stuck, mut changed) = (0, 0);
    let kept = (0..OLD).filter(|number| number.is_multiple_of(2));
    for number in told.done.iter().copied().chain(kept) {
        let right = content(number);
        match store.get(&ObjectDigest::of(&right)) {
            Ok(bytes) => wrong += usize::from(bytes != right),
            Err(StoreError::Missing(_)) => lost += 1,
            Err(StoreError::Damaged { .. }) => damaged += 1,
            Err(error) => return Err(error.into()),
        }
        lost += usize::from(store.record(&key(number))? != Some(record(number)));
        stuck += usize::from(store.claim(&key(number))?.ours().is_none());
    }
    let unreadable = ["objects", "records"].map(|folder| {
        files::survey(&store.root().join(folder), &mut |_, access| {
            changed += usize::from(!access.is_folder && access.mode != SHARED_FILE);
        })
    });
    changed += unreadable.iter().map(Vec::len).sum::<usize>();
    let needed = |name, is_given, seen, without| Guarantee { name, is_given, is_needed: true, seen, without };
    let elsewhere = "keep the cache on another file system";
    Ok(vec![
        needed(
            "a published file appears whole",
            damaged == 0,
            format!("{damaged} cut short or changed, of {} objects and {} records", report.objects, report.records),
            elsewhere,
        ),
        needed("no wrong byte is read", wrong == 0, format!("{wrong} wrong in {} reads", told.right), elsewhere),
        needed(
            "nothing finished is lost by kills",
            lost == 0 && stuck == 0 && !told.done.is_empty(),
            format!("{lost} lost, {stuck} stuck of {} finished, after {} kills", told.done.len(), told.kills),
            elsewhere,
        ),
        needed(
            "a lock excludes others",
            told.overlaps == 0 && told.alone > 0,
            format!("{} violations in {} locks", told.overlaps, told.alone + told.overlaps),
            "stages are computed twice: mount it with working locks, or move the cache",
        ),
        Guarantee {
            name: "published files stay read-only",
            is_given: changed == 0,
            is_needed: false,
            seen: format!("{changed} with other modes, {} old ones collected in the meantime", told.collected),
            without: "a careless program can change results; `wdpipe cache check` detects it",
        },
    ])
}
