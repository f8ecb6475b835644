//! Every kind of stage gives the same bytes however it is run, and the same as in earlier versions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::record::Record;
use base::work::KindName;

use super::environment::{Environment, ended};

const GOLDEN: &str = "tests/fixtures/golden.txt";
/// Variable that makes the test write the current outputs of the stages into the file.
const BLESS: &str = "WDPIPE_TEST_BLESS";

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Makes a folder and imports the weights that the pipeline starts from.
fn prepared() -> Environment {
    let environment = Environment::new();
    let run = |arguments: &[&str]| {
        let ended = environment.run_with(&kinds(), arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    };
    run(&["make", "kinds/init", "--device", "cpu"]);
    run(&["export", "kinds/init", "--to", "w.safetensors"]);
    run(&["import", "w.safetensors", "--name", "exported"]);
    environment
}

fn kinds() -> PathBuf {
    project("tests/fixtures/pipelines")
}

fn make(environment: &Environment, more: &[&str]) {
    let arguments = [&["make", "kinds", "--device", "cpu"], more].concat();
    let ended = environment.run_with(&kinds(), &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// Returns the records of all stages of a cache, by name.
fn stages(environment: &Environment) -> BTreeMap<String, Record> {
    let record = |path: PathBuf| Record::from_bytes(&std::fs::read(path).unwrap()).unwrap();
    environment.files("records").into_iter().map(record).map(|r| (r.provenance.stage.clone(), r)).collect()
}

/// Fails if outputs differ, and names their kinds.
fn same(one: &BTreeMap<String, Record>, other: &BTreeMap<String, Record>, how: &str) {
    assert!(one.keys().eq(other.keys()), "{how}");
    for (name, record) in one {
        let other = &other[name];
        assert_eq!(record.parts.key(), other.parts.key(), "{how}: {name} has another key");
        assert_eq!(record.outputs.len(), other.outputs.len(), "{how}: {name}");
        for (a, b) in record.outputs.iter().zip(&other.outputs) {
            assert_eq!(
                (&a.name, a.object),
                (&b.name, b.object),
                "{how}: {} of {name}, a {}",
                a.name,
                record.parts.kind
            );
        }
    }
}

#[test]
fn the_pipeline_has_every_kind() {
    let environment = prepared();
    make(&environment, &[]);
    let found: BTreeSet<_> = stages(&environment).into_values().map(|record| record.parts.kind).collect();
    // The bytes of commands depend on the programs of the machine: see commands.rs.
    for kind in KindName::ALL.iter().filter(|kind| **kind != KindName::Command).map(|kind| kind.name()) {
        assert!(found.contains(kind), "no stage of kind {kind} in kinds.toml");
    }
}

#[test]
fn bytes_do_not_depend_on_jobs_threads_load_or_interruption() {
    let alone = prepared();
    make(&alone, &["--jobs", "1"]);
    let alone = stages(&alone);

    let busy = prepared();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop()
                }
            });
        }
        let mut command = busy.command(&["make", "kinds", "--device", "cpu", "--jobs", "2"]);
        command.env("WDPIPE_PIPELINES", kinds()).env("OMP_NUM_THREADS", "2").env("MKL_NUM_THREADS", "2");
        let ended = ended(&command.output().unwrap());
        stop.store(true, Ordering::Relaxed);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    });
    same(&alone, &stages(&busy), "two jobs, two threads, under load");

    let killed = prepared();
    for milliseconds in [300, 600, 900, 1200] {
        let mut command = killed.command(&["make", "kinds", "--device", "cpu", "--jobs", "2"]);
        command.env("WDPIPE_PIPELINES", kinds()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        let _ = child.kill();
        child.wait().unwrap();
    }
    make(&killed, &[]);
    same(&alone, &stages(&killed), "killed and continued");
}

/// One line for each stage: machine class, stage, kind, version, inputs and policy, outputs.
struct Line {
    machine: String,
    stage: String,
    kind: String,
    version: u32,
    reads: String,
    yields: String,
}

impl Line {
    /// Describes a record. `computer` is the class of the machine that computed the run's numbers, which a figure
    /// shows.
    fn of(record: &Record, computer: &str) -> Self {
        let digest = |text: String| blake3::hash(text.as_bytes()).to_hex()[..16].to_owned();
        let mut parts = record.parts.clone();
        parts.version = 0;
        let outputs: Vec<_> = record.outputs.iter().map(|o| format!("{}={}", o.name, o.object)).collect();
        let portable = record.provenance.machine.is_empty() && record.parts.kind != "figure";
        Self {
            machine: if portable { "everywhere" } else { computer }.to_owned(),
            stage: record.provenance.stage.clone(),
            kind: record.parts.kind.clone(),
            version: record.parts.version,
            reads: digest(parts.key().to_string()),
            yields: digest(outputs.join("\n")),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let cells: Vec<_> = line.split(" | ").map(str::to_owned).collect();
        let [machine, stage, kind, version, reads, yields] = <[String; 6]>::try_from(cells).ok()?;
        Some(Self { machine, stage, kind, version: version.parse().ok()?, reads, yields })
    }

    fn text(&self) -> String {
        let Self { machine, stage, kind, version, reads, yields } = self;
        format!("{machine} | {stage} | {kind} | {version} | {reads} | {yields}")
    }
}

#[test]
fn every_kind_yields_what_it_always_did() {
    let mut found = Vec::new();
    for policy in ["native", "portable"] {
        if policy == "portable" && !cfg!(target_arch = "x86_64") {
            println!("skipped: the policy `portable` is for x86-64");
            continue;
        }
        let environment = prepared();
        make(&environment, &["--set", &format!("policy={policy}")]);
        let records = stages(&environment);
        let computer = records.values().map(|record| &record.provenance.machine).find(|machine| !machine.is_empty());
        let computer = computer.unwrap();
        let made = records.values().filter(|record| !record.parts.is_import());
        found.extend(made.map(|record| Line::of(record, computer)));
    }
    let text = std::fs::read_to_string(project(GOLDEN)).unwrap_or_default();
    let golden: Vec<Line> = text.lines().filter_map(Line::parse).collect();
    if std::env::var_os(BLESS).is_some() {
        let here: BTreeSet<_> = found.iter().map(|line| &line.machine).collect();
        let versions: BTreeMap<_, _> = found.iter().map(|line| (&line.kind, line.version)).collect();
        // What another machine yielded with an older version says nothing about this one.
        let holds = |line: &&Line| versions.get(&line.kind).is_none_or(|version| *version == line.version);
        let kept = golden.iter().filter(|line| !here.contains(&line.machine)).filter(holds);
        let mut lines: Vec<_> = kept.chain(&found).map(Line::text).collect();
        lines.sort_unstable();
        lines.dedup();
        let heading = format!(
            "What every stage of tests/fixtures/pipelines/kinds.toml yields, by machine class. Written by `{BLESS}=1 \
             cargo test yields_what`.\n\n"
        );
        std::fs::write(project(GOLDEN), heading + &lines.join("\n") + "\n").unwrap();
        return;
    }
    let mut judged = 0;
    for line in &found {
        let known = golden.iter().find(|other| (&other.machine, &other.stage) == (&line.machine, &line.stage));
        let Some(known) = known else {
            println!("not judged: {} on {}; `{BLESS}=1 cargo test yields_what` records it", line.stage, line.machine);
            continue;
        };
        judged += 1;
        let Line { kind, version, stage, .. } = line;
        assert!(
            known.version == *version,
            "{stage}: {GOLDEN} knows version {} of kind `{kind}`, the program has {version}: run \
             `{BLESS}=1 cargo test yields_what`",
            known.version
        );
        assert!(
            known.reads != line.reads || known.yields == line.yields,
            "{stage}: from the same inputs version {version} of kind `{kind}` now yields other bytes. If that is \
             wanted, raise the version of `{kind}` (VERSION in its file in crates/base/src/work), so that old results are \
             not mistaken for new, then run `{BLESS}=1 cargo test yields_what`; otherwise undo the change"
        );
        assert!(
            known.reads == line.reads,
            "{stage}: its inputs or parameters differ from {GOLDEN}; if that is intended, run `{BLESS}=1 cargo \
             test yields_what`"
        );
    }
    assert!(judged > 0, "stages without floating point yield the same everywhere, and are in {GOLDEN}");
}
