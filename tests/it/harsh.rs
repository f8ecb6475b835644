//! Killed processes, full disks, many processes at once: finished results are kept, wrong results are never served, and
//! the next run ends well.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::environment::{Environment, hashes, number};

/// Number of kills of each command; 200 in total.
const KILLS: u32 = 40;

/// Pseudo-random numbers, the same for the same seed.
struct Dice(u64);

impl Dice {
    /// Makes a generator for this run and prints its seed.
    fn new(what: &str) -> Self {
        let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
        println!("{what}: seed {seed}");
        Self(u64::from(seed))
    }

    /// Returns a number between 0 and 1.
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

fn archive() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/smoke/fig3.wdpipe")
}

/// Runs a command and kills it after a while; returns whether it was still running.
fn killed(mut command: Command, after: Duration) -> bool {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    let running = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    child.wait().unwrap();
    running
}

fn remove(path: &Path) {
    let _ = std::fs::remove_dir_all(path);
}

/// Kills a command at random instants, each time from the same initial state; `after` then checks the result.
fn kill_often(here: &Environment, arguments: &[&str], begin: &dyn Fn(), after: &dyn Fn(&Environment)) {
    let mut dice = Dice::new(&arguments.join(" "));
    begin();
    let started = Instant::now();
    fine(here, arguments);
    let whole = started.elapsed();
    let mut hits = 0;
    for _ in 0..KILLS {
        begin();
        hits += u32::from(killed(here.command(arguments), whole.mul_f64(dice.roll())));
        after(here);
    }
    println!("{}: {hits} of {KILLS} killed within {whole:.2?}", arguments.join(" "));
    assert!(hits > KILLS / 4, "too few were killed to tell anything: {hits}");
}

fn fine(here: &Environment, arguments: &[&str]) -> String {
    let ended = here.run(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended.stdout
}

/// Checks a store, unless the command was killed before it made one.
fn sound(here: &Environment, cache: &str) {
    if here.path(cache).join("wdpipe-store").exists() {
        fine(here, &["--cache", cache, "cache", "check"]);
    }
}

fn json(here: &Environment, arguments: &[&str]) -> serde_json::Value {
    serde_json::from_str(&fine(here, &[arguments, &["--json"]].concat())).unwrap()
}

/// Returns the hashes of Figure 4 made without interruption.
fn reference() -> Vec<String> {
    hashes(&json(&Environment::new(), &["make", "fig4"]))
}

#[test]
fn make_is_killed() {
    let (here, wanted) = (Environment::new(), reference());
    let begin = || {
        remove(&here.path("cache"));
        remove(&here.path("reports"));
    };
    kill_often(&here, &["make", "fig4"], &begin, &|here| {
        sound(here, "cache");
        assert_eq!(hashes(&json(here, &["make", "fig4"])), wanted);
    });
}

#[test]
fn import_is_killed() {
    let here = Environment::new();
    let archive = archive();
    let import = ["cache", "import", archive.to_str().unwrap(), "--accept", "unsigned"];
    kill_often(&here, &import, &|| remove(&here.path("cache")), &|here| {
        sound(here, "cache");
        fine(here, &import);
        assert_eq!(number(&json(here, &["make", "fig3"]), "stages_run"), 1, "only the drawing is made");
    });
}

#[test]
fn push_is_killed() {
    let here = Environment::new();
    fine(&here, &["make", "fig4"]);
    let push = ["push", "fig4", "--to", "./shared"];
    kill_often(&here, &push, &|| remove(&here.path("shared")), &|here| {
        fine(here, &push);
        sound(here, "shared");
        remove(&here.path("other"));
        let through = ["--cache", "other", "make", "fig4", "--remote=./shared", "--accept", "unsigned"];
        assert_eq!(number(&json(here, &through), "stages_run"), 0);
    });
}

#[test]
fn pull_is_killed() {
    let here = Environment::new();
    fine(&here, &["make", "fig4"]);
    let pull = ["--cache", "other", "pull", "fig4", "--all", "--from", "./cache", "--accept", "unsigned"];
    kill_often(&here, &pull, &|| remove(&here.path("other")), &|here| {
        sound(here, "other");
        fine(here, &pull);
        assert_eq!(number(&json(here, &["--cache", "other", "make", "fig4"]), "stages_run"), 0);
    });
}

#[test]
fn gc_is_killed() {
    let here = Environment::new();
    fine(&here, &["--cache", "whole", "make", "fig4"]);
    fine(&here, &["--cache", "whole", "make", "fig4", "--set", "valley.noise=0.4"]);
    let gc = ["cache", "gc", "--grace", "0", "--recent", "0"];
    let begin = || {
        remove(&here.path("cache"));
        let copied = Command::new("cp").args(["-a", "whole", "cache"]).current_dir(here.folder.path()).status();
        assert!(copied.unwrap().success());
    };
    kill_often(&here, &gc, &begin, &|here| {
        sound(here, "cache");
        assert_eq!(number(&json(here, &["make", "fig4"]), "stages_run"), 0);
        fine(here, &gc);
        assert_eq!(number(&json(here, &["make", "fig4"]), "stages_run"), 0);
    });
}

#[test]
fn eight_at_once() {
    let here = Environment::new();
    let commands = |arguments: &dyn Fn(usize) -> Vec<String>| {
        let start = |number| here.command(&arguments(number).iter().map(String::as_str).collect::<Vec<_>>());
        let children: Vec<_> = (0..8)
            .map(|number| {
                let reports = here.path(&format!("reports{number}"));
                let mut command = start(number);
                command.env("WDPIPE_REPORTS", reports).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            })
            .collect();
        for child in children {
            let ended = crate::environment::ended(&child.wait_with_output().unwrap());
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        }
    };
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let set = |number: usize| format!("valley.noise=0.{}", 3 + number % 3);
    commands(&|number| owned(&["make", "fig4", "--set", &set(number)]));
    commands(&|number| owned(&["push", "fig4", "--to", "./shared", "--set", &set(number)]));
    commands(&|number| {
        let cache = ["other", "another"][number % 2];
        let through = "--remote=./shared";
        owned(&["--cache", cache, "make", "fig4", through, "--accept", "unsigned", "--set", &set(number)])
    });
    for cache in ["cache", "shared", "other", "another"] {
        fine(&here, &["--cache", cache, "cache", "check"]);
        for number in 0..3 {
            let made = json(&here, &["--cache", cache, "make", "fig4", "--set", &set(number)]);
            assert_eq!(crate::environment::number(&made, "stages_run"), 0, "{cache}");
        }
    }
}

/// A small file system, unmounted at the end.
struct Disk(PathBuf);

impl Disk {
    /// Mounts a file system. Prints the reason and returns `None` if this user is not allowed to.
    fn mounted(at: PathBuf) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let disk = Self(at);
        if disk.mount("size=400k,nr_inodes=20k") {
            return Some(disk);
        }
        println!("skipped: a file system cannot be mounted here (this needs root)");
        std::mem::forget(disk);
        None
    }

    fn mount(&self, options: &str) -> bool {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(&self.0).output();
        mount.is_ok_and(|output| output.status.success())
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn the_disk_is_full() {
    let here = Environment::new();
    fine(&here, &["make", "fig4"]);
    let wanted = reference();
    let archive = archive();
    let commands: [(&[&str], &[&str]); 4] = [
        (&["--cache", "small/cache", "make", "fig4"], &["--cache", "small/cache", "make", "fig4"]),
        (
            &["--cache", "small/cache", "pull", "fig4", "--all", "--from", "./cache", "--accept", "unsigned"],
            &["--cache", "small/cache", "make", "fig4"],
        ),
        (
            &["--cache", "small/cache", "cache", "import", archive.to_str().unwrap(), "--accept", "unsigned"],
            &["--cache", "small/cache", "make", "fig3"],
        ),
        (&["push", "fig4", "--to", "./small/cache"], &["--cache", "small/cache", "make", "fig4"]),
    ];
    for (command, then) in commands {
        let Some(disk) = Disk::mounted(here.path("small")) else { return };
        let full = here.run(command);
        assert!(matches!(full.code, Some(3 | 4)), "{command:?}: {:?} {}", full.code, full.stderr);
        assert!(full.stderr.contains("No space left"), "{command:?}: {}", full.stderr);
        if full.code == Some(4) {
            assert!(full.stderr.contains("nothing is lost"), "{command:?}: {}", full.stderr);
        }
        assert!(disk.mount("remount,size=64m,nr_inodes=20k"));
        fine(&here, &["--cache", "small/cache", "cache", "check"]);
        fine(&here, command);
        fine(&here, &["--cache", "small/cache", "cache", "check"]);
        let made = json(&here, then);
        assert!(number(&made, "stages_run") <= 1, "{made}");
        if then.contains(&"fig4") {
            assert_eq!(hashes(&made), wanted);
        }
    }
}
