//! No tampered file is accepted, whatever the file and the change.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::environment::Environment;

/// Memory limit of every run, in bytes. Allocations beyond it fail, which ends the run.
const MEMORY: u64 = 256 << 20;

/// A committed figure of this project that has all kinds of files and needs no libtorch.
const FIGURE: &str = "fig4";

/// A change of a file.
#[derive(Debug, Clone, Copy)]
enum Tampering {
    /// A bit is flipped: position as a share of the file, number of the bit.
    Flip(f64, u8),
    /// The file ends at this share of its length.
    Cut(f64),
    /// This number of bytes is appended.
    Append(usize),
    /// A byte is removed, at this share of the length.
    Drop(f64),
    /// The file becomes empty.
    Empty,
}

impl Tampering {
    /// Returns `count` flips spread over the whole file, and some of every other kind.
    fn all(count: usize) -> Vec<Self> {
        let share = |i: usize| (i as f64 + 0.5) / count as f64;
        let mut all: Vec<Self> = (0..count).map(|i| Self::Flip(share(i), (i % 8) as u8)).collect();
        all.extend([0.1, 0.5, 0.9, 0.999].map(Self::Cut));
        all.extend([0.0, 0.3, 0.7].map(Self::Drop));
        all.extend([Self::Append(1), Self::Append(10_000), Self::Empty]);
        all
    }

    fn apply(self, bytes: &[u8]) -> Vec<u8> {
        let at = |share: f64| ((bytes.len() as f64 * share) as usize).min(bytes.len() - 1);
        let mut bytes = bytes.to_vec();
        match self {
            Self::Flip(share, bit) => {
                let at = at(share);
                bytes[at] ^= 1 << bit;
            }
            Self::Cut(share) => bytes.truncate(at(share)),
            Self::Append(count) => bytes.extend(vec![b'x'; count]),
            Self::Drop(share) => drop(bytes.remove(at(share))),
            Self::Empty => bytes.clear(),
        }
        bytes
    }
}

fn reports() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reports")
}

/// Makes a folder with the committed figure.
fn with_figure() -> Environment {
    let environment = Environment::new();
    let folder = environment.path("reports/smoke");
    std::fs::create_dir_all(&folder).unwrap();
    for entry in std::fs::read_dir(reports().join("smoke")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name.split('.').next() == Some(FIGURE) {
            std::fs::copy(entry.path(), folder.join(name)).unwrap();
        }
    }
    environment
}

/// Runs a command with limited memory; returns its exit code (negative: a signal) and its error output.
fn limited(environment: &Environment, arguments: &[&str]) -> (i32, String) {
    let mut command = environment.command(arguments);
    let limit = || {
        let limit = libc::rlimit { rlim_cur: MEMORY, rlim_max: MEMORY };
        // SAFETY: a system call on a plain structure, between fork and exec.
        match unsafe { libc::setrlimit(libc::RLIMIT_DATA, &raw const limit) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    let output = unsafe { command.pre_exec(limit) }.output().unwrap();
    let code = output.status.code().or_else(|| output.status.signal().map(|signal| -signal));
    (code.unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Tampers with files of copies of an environment in many ways and checks that the command refuses each. Returns the
/// number of cases.
fn refused(make: &(dyn Fn() -> Environment + Sync), cases: Vec<(PathBuf, Tampering)>, arguments: &[&str]) -> usize {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                let environment = make();
                let (code, said) = limited(&environment, arguments);
                assert_eq!(code, 0, "untouched: {said}");
                while let Some((file, tampering)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let path = environment.path(file.to_str().unwrap());
                    let good = std::fs::read(&path).unwrap();
                    let mode = std::fs::metadata(&path).unwrap().permissions();
                    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
                    std::fs::write(&path, tampering.apply(&good)).unwrap();
                    let (code, said) = limited(&environment, arguments);
                    // 101 is a panic, a negative code is a signal.
                    if ![1, 3, 4].contains(&code) {
                        failed.lock().unwrap().push(format!("{file:?} {tampering:?}: {code}: {said}"));
                    }
                    // The program may have moved a damaged file of a store aside.
                    let _ = std::fs::remove_file(&path);
                    std::fs::write(&path, &good).unwrap();
                    std::fs::set_permissions(&path, mode).unwrap();
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "{} accepted, such as {:#?}", failed.len(), &failed[..failed.len().min(5)]);
    cases.len()
}

fn every(files: &[PathBuf], count: usize) -> Vec<(PathBuf, Tampering)> {
    let all = || Tampering::all(count).into_iter();
    files.iter().flat_map(|file| all().map(|tampering| (file.clone(), tampering))).collect()
}

#[test]
fn tampered_figures_locks_and_archives_are_refused() {
    let file = |extension: &str| PathBuf::from(format!("reports/smoke/{FIGURE}.{extension}"));
    let files: Vec<_> = ["svg", "png", "pdf", "csv", "lock", "wdpipe"].iter().map(|e| file(e)).collect();
    let cases = refused(&with_figure, every(&files, 180), &["verify", FIGURE]);
    assert!(cases >= 1000);
}

#[test]
fn a_file_in_the_place_of_another_is_refused() {
    let other = "fig1";
    for extension in ["svg", "png", "pdf", "csv", "lock", "wdpipe"] {
        let environment = with_figure();
        let path = environment.path(&format!("reports/smoke/{FIGURE}.{extension}"));
        std::fs::copy(reports().join(format!("smoke/{other}.{extension}")), &path).unwrap();
        let (code, said) = limited(&environment, &["verify", FIGURE]);
        assert_eq!(code, 1, "{extension}: {said}");
        std::fs::remove_file(&path).unwrap();
        let (code, said) = limited(&environment, &["verify", "--render", FIGURE]);
        assert_eq!(code, 3, "{extension} is missing, not different: {said}");
    }
}

/// Makes a folder with the committed figure, and a cache with its records and numbers.
fn with_store() -> Environment {
    let environment = with_figure();
    let archive = environment.path(&format!("reports/smoke/{FIGURE}.wdpipe"));
    let imported = environment.run(&["cache", "import", archive.to_str().unwrap(), "--accept", "unsigned"]);
    assert_eq!(imported.code, Some(0), "{}", imported.stderr);
    // Makes the drawing from the numbers.
    let made = environment.run(&["make", FIGURE]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    environment
}

#[test]
fn tampered_stores_are_refused() {
    let environment = with_store();
    let relative = |path: PathBuf| path.strip_prefix(environment.folder.path()).unwrap().to_owned();
    let some = |folder: &str, count: usize| -> Vec<PathBuf> {
        let files = environment.files(folder);
        let step = (files.len() / count).max(1);
        files.into_iter().step_by(step).take(count).map(relative).collect()
    };
    let (records, objects) = (some("records", 4), some("objects", 4));
    assert!(records.len() + objects.len() >= 5, "{records:?} {objects:?}");
    // The archive next to the lock has the records too.
    let of_records = refused(&with_store, every(&records, 60), &["cache", "check"]);
    let of_objects = refused(&with_store, every(&objects, 60), &["verify", "--objects", "--render", FIGURE]);
    assert!(of_records + of_objects >= 300);
}

#[test]
fn archives_that_lie_are_not_imported() {
    let archive = |environment: &Environment| environment.path(&format!("reports/smoke/{FIGURE}.wdpipe"));
    let environment = with_figure();
    let path = archive(&environment);
    let good = std::fs::read(&path).unwrap();
    let import = ["cache", "import", path.to_str().unwrap(), "--accept", "unsigned"];
    for tampering in Tampering::all(60) {
        std::fs::write(&path, tampering.apply(&good)).unwrap();
        let (code, said) = limited(&environment, &import);
        assert!([1, 3, 4].contains(&code), "{tampering:?}: {code}: {said}");
        assert!(environment.files("records").is_empty(), "{tampering:?}: an altered archive was imported");
    }
    std::fs::write(&path, good).unwrap();
    assert_eq!(limited(&environment, &import).0, 0);
}
