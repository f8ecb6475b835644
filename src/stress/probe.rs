//! Small experiments on links, locks, modes, timestamps and durations.

use std::io::BufRead;
use std::path::Path;
use std::process::{Child, ChildStdout, Stdio};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::Builder;
use std::time::{Duration, Instant};

use super::child::{Role, Task, witness};
use super::{Guarantee, StressError, Trial};
use base::parallel::together;
use files::{Account, Lock, SHARED_FILE, SHARED_FOLDER};

/// Time limit for events that should happen at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs all experiments in a folder created for them.
pub(super) fn all(trial: &Trial<'_>, folder: &Path) -> Result<Vec<Guarantee>, StressError> {
    files::create_folder(folder)?;
    let (link, reflink, times) = (files::can_link(folder)?, files::can_reflink(folder)?, files::change_shows(folder)?);
    let plain = |is_given| if is_given { "yes".to_owned() } else { "no".to_owned() };
    let mut all = vec![
        exclusive(folder)?,
        Guarantee {
            name: "a change shows in a file's times",
            is_given: times,
            is_needed: true,
            seen: plain(times),
            without: "damage would go unnoticed until `wdpipe cache check`: keep the cache on another file system",
        },
        Guarantee {
            name: "hard links",
            is_given: link,
            is_needed: false,
            seen: plain(link),
            without: "files are renamed into place: good for one account, not to be shared",
        },
        modes(folder),
        Guarantee {
            name: "clones without copying (reflink)",
            is_given: reflink,
            is_needed: false,
            seen: plain(reflink),
            without: "copies take their space",
        },
        seen_at_once(folder)?,
        durable(folder)?,
    ];
    all.push(released(trial, folder)?);
    Ok(all)
}

/// Checks that exactly one of many threads that publish a file under one name at the same time succeeds.
fn exclusive(folder: &Path) -> Result<Guarantee, StressError> {
    const ROUNDS: usize = 40;
    const THREADS: usize = 4;
    let (mut fair, start) = (0, Barrier::new(THREADS));
    for round in 0..ROUNDS {
        let target = folder.join(format!("name{round}"));
        let winners = AtomicU32::new(0);
        let each = |thread: usize| {
            start.wait();
            let made = files::publish(folder, &target, &[&[thread as u8; 512]])?;
            winners.fetch_add(u32::from(made.is_some()), Ordering::Relaxed);
            Ok::<_, files::FsError>(())
        };
        let threads = together(THREADS, each).map_err(StressError::Thread)?;
        threads.into_iter().try_for_each(|thread| thread.unwrap_or(Ok(())))?;
        let bytes = files::read(&target, 1 << 10)?;
        let whole = bytes.len() == 512 && bytes.iter().all(|byte| *byte == bytes[0]);
        fair += usize::from(winners.into_inner() == 1 && whole);
    }
    Ok(Guarantee {
        name: "a new name is given once",
        is_given: fair == ROUNDS,
        is_needed: true,
        seen: format!("{fair} of {ROUNDS} races of {THREADS} had one winner"),
        without: "results may replace each other: let one process at a time use the cache, or move it",
    })
}

fn modes(folder: &Path) -> Guarantee {
    let (shared, own) = (folder.join("shared"), Account::current().groups.last().copied().unwrap_or_default());
    let kept = files::create_folder(&shared)
        .and_then(|()| files::set_access(&shared, own, SHARED_FOLDER))
        .and_then(|_| files::publish_folder(folder, &shared.join("key")))
        .and_then(|()| files::publish(folder, &shared.join("key/file"), &[b"x"]))
        .and_then(|_| Ok((files::access(&shared.join("key"))?, files::access(&shared.join("key/file"))?)));
    let (is_given, seen) = match kept {
        Ok((Some(folder), Some(file))) => (
            folder.mode == SHARED_FOLDER && file.mode == SHARED_FILE,
            format!("folders {:04o}, files {:04o}", folder.mode, file.mode),
        ),
        Ok(_) => (false, "not there".to_owned()),
        Err(error) => (false, error.to_string()),
    };
    let without = "do not share it between accounts: each could damage what another wrote";
    Guarantee { name: "modes are kept (3775, 0444)", is_given, is_needed: false, seen, without }
}

/// Measures how long a name that was looked up before it existed stays invisible after it is published.
fn seen_at_once(folder: &Path) -> Result<Guarantee, StressError> {
    let mut longest = Duration::ZERO;
    for round in 0..10 {
        let target = folder.join(format!("seen{round}"));
        let looking = Barrier::new(2);
        let waited = std::thread::scope(|scope| {
            let look = || {
                let is_there = || Ok::<_, files::FsError>(files::identity(&target)?.is_some());
                // This thread must reach the barrier even if it fails, or the other one waits forever.
                let first = is_there();
                looking.wait();
                first?;
                let start = Instant::now();
                while !is_there()? && start.elapsed() < PATIENCE {
                    std::thread::yield_now();
                }
                Ok::<_, files::FsError>(Instant::now())
            };
            let looker = Builder::new().spawn_scoped(scope, look).map_err(StressError::Thread)?;
            looking.wait();
            files::publish(folder, &target, &[b"x"])?;
            let published = Instant::now();
            let seen = looker.join().unwrap_or(Ok(published + PATIENCE))?;
            Ok::<_, StressError>(seen.saturating_duration_since(published))
        })?;
        longest = longest.max(waited);
    }
    Ok(Guarantee {
        name: "a published name is seen at once",
        is_given: longest < Duration::from_secs(1),
        is_needed: false,
        seen: format!("at most {:.1} ms later, on this machine", 1e3 * longest.as_secs_f64()),
        without: "a process that waits for another's result waits that much longer, or computes it again",
    })
}

fn durable(folder: &Path) -> Result<Guarantee, StressError> {
    let mut took = Vec::new();
    for round in 0..21 {
        let start = Instant::now();
        files::publish(folder, &folder.join(format!("durable{round}")), &[&[7; 4096]])?;
        files::sync_folder(folder)?;
        took.push(start.elapsed());
    }
    took.sort_unstable();
    let [median, worst] = [took.len() / 2, took.len() - 1].map(|place| 1e3 * took[place].as_secs_f64());
    Ok(Guarantee {
        name: "a small file is made durable quickly",
        is_given: median < 100.0,
        is_needed: false,
        seen: format!("{median:.1} ms, at most {worst:.1} ms"),
        without: "pipelines of many small stages are slow here",
    })
}

/// Checks that a lock excludes others while its holder lives, and is released when the holder is killed.
fn released(trial: &Trial<'_>, folder: &Path) -> Result<Guarantee, StressError> {
    let (path, _) = witness(folder);
    files::create_folder(&folder.join("witness"))?;
    if is_without_locks(&path, folder)? {
        return Ok(absent("a lock ends with its process"));
    }
    let task = Task { role: Role::Holder, folder: folder.to_owned(), seed: trial.seed, old: 0 };
    let (mut child, out) = start(trial, &task)?;
    let told = std::io::BufReader::new(out).lines().next().and_then(Result::ok);
    let held = Lock::try_acquire(&path, folder).map(|lock| lock.is_none());
    // The child is killed before any return, or it would live on.
    let _ = (child.kill(), child.wait());
    if told.as_deref() != Some("held") {
        return Err(StressError::Child(told.unwrap_or_else(|| "it ended without output".to_owned())));
    }
    let held = held?;
    let start = Instant::now();
    let mut is_free = false;
    while !is_free && start.elapsed() < PATIENCE {
        is_free = Lock::try_acquire(&path, folder)?.is_some();
    }
    let waited = 1e3 * start.elapsed().as_secs_f64();
    Ok(Guarantee {
        name: "a lock ends with its process",
        is_given: held && is_free,
        is_needed: true,
        seen: match (held, is_free) {
            (true, true) => format!("{waited:.1} ms after a kill"),
            (false, _) => "it did not exclude others".to_owned(),
            (true, false) => "still held 20 s after a kill".to_owned(),
        },
        without: "stages are computed twice, or never again after a crash: mount it with working locks, or move the cache",
    })
}

/// Whether files in a folder cannot be locked. Claims do without locks, but more slowly.
pub(super) fn is_without_locks(path: &Path, folder: &Path) -> Result<bool, files::FsError> {
    match Lock::try_acquire(path, folder) {
        Err(error) if error.is_without_locks() => Ok(true),
        locked => locked.map(|_| false),
    }
}

/// Returns a guarantee of locks where there are none.
pub(super) fn absent(name: &'static str) -> Guarantee {
    let without =
        "others wait 10 minutes before they compute the stage of a process that was killed on another machine";
    Guarantee { name, is_given: false, is_needed: false, seen: "there are no locks".to_owned(), without }
}

/// Starts a child and returns it with its output.
pub(super) fn start(trial: &Trial<'_>, task: &Task) -> Result<(Child, ChildStdout), StressError> {
    let mut command = (trial.child)(task);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let failed = |what: &str| StressError::Child(format!("it could not be started: {what}"));
    let mut child = child.map_err(|error| failed(&error.to_string()))?;
    let out = child.stdout.take().ok_or_else(|| failed("it has no output"))?;
    Ok((child, out))
}
