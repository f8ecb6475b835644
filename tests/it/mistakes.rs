//! Likely mistakes of new users (`tests/fixtures/mistakes.toml`): each ends with a message that says what to do.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::environment::{Ended, ended};

const CASES: &str = include_str!("../fixtures/mistakes.toml");

/// The fixture file, which describes its fields.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    pipelines: BTreeMap<String, String>,
    case: Vec<Case>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    pipeline: Option<String>,
    state: Option<String>,
    #[serde(default)]
    setup: Vec<Vec<String>>,
    #[serde(default)]
    edits: Vec<[String; 2]>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    arguments: Vec<String>,
    code: i32,
    contains: Vec<String>,
    #[serde(default)]
    lacks: Vec<String>,
}

/// Runs the program in the folder `project` of a folder, with the empty home beside it.
fn run(folder: &Path, arguments: &[String]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wdpipe"));
    command.current_dir(folder.join("project")).env_clear().env("HOME", folder.join("home"));
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").args(arguments).stdin(Stdio::null());
    ended(&command.output().unwrap())
}

fn succeed(folder: &Path, arguments: &[String]) {
    let ended = run(folder, arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// Copies the files of a folder. Folders without files are left out: an empty store has hundreds of them.
fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file())
    {
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(entry.path(), target).unwrap();
    }
}

impl Case {
    /// Runs the case in an empty folder, and returns what is wrong with its end.
    fn check(&self, folder: &Path, pipelines: &BTreeMap<String, String>, states: &Path) -> Option<String> {
        let project = folder.join("project");
        std::fs::create_dir_all(folder.join("home")).unwrap();
        let mut text = pipelines[self.pipeline.as_deref().unwrap_or("own")].clone();
        write(&project.join("pipelines/own.toml"), &text);
        if let Some(state) = &self.state {
            copy(&states.join(state).join("project"), &project);
        }
        self.setup.iter().for_each(|arguments| succeed(folder, arguments));
        for [from, to] in &self.edits {
            assert_eq!(text.matches(from).count(), 1, "{}: {from}", self.name);
            text = text.replace(from, to);
        }
        if !self.edits.is_empty() {
            write(&project.join("pipelines/own.toml"), &text);
        }
        self.files.iter().for_each(|(path, text)| write(&project.join(path), text));
        let Ended { code, stdout, stderr } = run(folder, &self.arguments);
        let output = stdout + &stderr;
        let is_fine = code == Some(self.code)
            && self.contains.iter().all(|text| output.contains(text))
            && !self.lacks.iter().any(|text| output.contains(text));
        (!is_fine).then(|| {
            format!(
                "{}: exit code {code:?}, not {}; wanted {:?}, not {:?}:\n{output}",
                self.name, self.code, self.contains, self.lacks
            )
        })
    }
}

#[test]
fn likely_mistakes_end_with_advice() {
    let fixture: Fixture = toml::from_str(CASES).unwrap();
    let root = tempfile::tempdir().unwrap();
    let (made, locked) = (root.path().join("made"), root.path().join("locked"));
    write(&made.join("project/pipelines/own.toml"), &fixture.pipelines["own"]);
    succeed(&made, &["make", "own", "-q"].map(str::to_owned));
    copy(&made, &locked);
    succeed(&locked, &["lock", "own", "-q"].map(str::to_owned));

    let next = AtomicUsize::new(0);
    let cases = || {
        std::iter::from_fn(|| {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let case = fixture.case.get(place)?;
            Some(case.check(&root.path().join(place.to_string()), &fixture.pipelines, root.path()))
        })
        .flatten()
        .collect::<Vec<_>>()
    };
    let wrong = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(cases)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(fixture.case.len() > 80 && wrong.is_empty(), "{}", wrong.join("\n"));
}
