//! A separate folder for every test, where the program runs with a minimal environment.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// Figure 3 at the smallest possible size: 19 stages of some hundredths of a second each.
pub const TINY: [&str; 13] = [
    "lr=[0.1,0.2]",
    "seed=[0]",
    "after=[1]",
    "data.train=60",
    "data.test=20",
    "init.width=1",
    "trunk.batch=20",
    "trunk.epochs=2",
    "decay.epochs=1",
    "probe.epochs=1",
    "trace.images=20",
    "trunk.checkpoint_every=1",
    "decay.checkpoint_every=1",
];

/// Number of stages of [`TINY`]. There are the data, the weights and the figure. Each of two learning rates adds 2 + 1 segments
/// of training, an evaluation of the average for each segment, a probe and its trace.
pub const STAGES: u64 = 2 + 2 * (3 + 3 + 1 + 1) + 1;

/// A test's folder.
pub struct Environment {
    /// The folder, removed at the end.
    pub folder: tempfile::TempDir,
}

/// Result of a run.
pub struct Ended {
    /// Exit code; `None` if the run was killed.
    pub code: Option<i32>,
    /// Text on standard output.
    pub stdout: String,
    /// Text on standard error.
    pub stderr: String,
}

impl Environment {
    /// Makes an empty folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// Returns a path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the program with arguments, the project's pipelines, and the folder's cache and reports.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wdpipe"));
        command.current_dir(self.folder.path()).env_clear();
        command.env("WDPIPE_PIPELINES", Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines"));
        command.env("HOME", self.path("home"));
        for name in ["PATH", "WDPIPE_LIBTORCH", "LD_LIBRARY_PATH"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.args(arguments).stdin(Stdio::null());
        // Tests that run in the background of a shell inherit an ignored SIGINT, which the program would keep ignoring.
        let heard = || {
            // SAFETY: plain values; the new process has one thread.
            unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
            Ok(())
        };
        // SAFETY: between fork and exec, the closure only calls a function that is allowed there.
        unsafe { command.pre_exec(heard) };
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Ended {
        ended(&self.command(arguments).output().unwrap())
    }

    /// Runs the program to its end with other pipelines.
    pub fn run_with(&self, pipelines: &Path, arguments: &[&str]) -> Ended {
        ended(&self.command(arguments).env("WDPIPE_PIPELINES", pipelines).output().unwrap())
    }

    /// Returns the arguments of `make TARGET --json` at the smallest size, with further ones.
    pub fn tiny<'a>(target: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let sets = TINY.iter().flat_map(|set| ["--set", *set]);
        ["make", target, "--json", "--device", "cpu"].into_iter().chain(sets).chain(more.iter().copied()).collect()
    }

    /// Makes a target at the smallest size and returns the JSON; panics with the error output if that fails.
    pub fn make(&self, target: &str, more: &[&str]) -> serde_json::Value {
        let ended = self.run(&Self::tiny(target, more));
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// Starts making a target at the smallest size.
    pub fn start(&self, target: &str, more: &[&str]) -> Child {
        let mut command = self.command(&Self::tiny(target, more));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Returns the file of a figure in the reports folder or, if there is none, that of its only variant.
    pub fn file(&self, figure: &str, extension: &str) -> PathBuf {
        let own = self.path(&format!("reports/smoke/{figure}.{extension}"));
        if own.exists() {
            return own;
        }
        let is_it = |name: &String| name.starts_with(&format!("{figure}@")) && name.ends_with(&format!(".{extension}"));
        let entries = std::fs::read_dir(self.path("reports/smoke")).unwrap();
        let names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        let [one] = &names.iter().filter(|name| is_it(name)).collect::<Vec<_>>()[..] else { panic!("{names:?}") };
        self.path("reports/smoke").join(one)
    }

    /// Lists all files in a folder of the cache.
    pub fn files(&self, folder: &str) -> Vec<PathBuf> {
        Self::below(&self.path("cache").join(folder))
    }

    /// Lists all files of a store except its index.
    pub fn files_of(&self, store: &str) -> Vec<PathBuf> {
        let mut files = Self::below(&self.path(store));
        files.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with("index.sqlite"));
        files
    }

    fn below(folder: &Path) -> Vec<PathBuf> {
        let mut files: Vec<_> = walkdir::WalkDir::new(folder)
            .into_iter()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.file_type().is_file())
            .map(|entry| entry.into_path())
            .collect();
        files.sort();
        files
    }
}

/// Converts the output of a finished process.
pub fn ended(output: &Output) -> Ended {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// Returns a number from a JSON object.
pub fn number(json: &serde_json::Value, name: &str) -> u64 {
    json[name].as_u64().unwrap_or_else(|| panic!("no number `{name}` in {json}"))
}

/// Returns the hashes of the files that were made.
pub fn hashes(json: &serde_json::Value) -> Vec<String> {
    let outputs = json["outputs"].as_array().unwrap();
    outputs.iter().map(|output| output["blake3"].as_str().unwrap().to_owned()).collect()
}
