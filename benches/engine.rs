//! How long the program takes to find that there is nothing to do, compared with ninja for the same number of targets
//! on the same disk in the same run; how long planning 100,000 stages takes; and how long operations on a store of many
//! records take.
//!
//!     cargo bench --no-default-features --bench engine [-- [DIR] [RECORDS]]
//!
//! DIR (default: the system's folder for temporary files) selects the disk. The benchmark needs 12 GiB there and a
//! quarter of an hour, mostly for writing the million records (RECORDS) of the last part.

#![allow(clippy::disallowed_methods, reason = "tests and benchmarks make files of every kind")]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and ends where it fails")]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use base::digest::ObjectDigest;
use base::record::{KeyParts, Output, Provenance, Record};
use base::table::Table;
use base::value::{Map, Value};
use base::work::{METRICS, Work};
use store::Store;
use wdpipe::engine;
use wdpipe::graph::Graph;
use wdpipe::spec::{Pipeline, expand};

const ROUNDS: usize = 7;
/// First argument of a process that only writes.
const PREPARE: &str = "prepare";
/// Number of records that are published together.
const TOGETHER: i64 = 50_000;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let [first, folder, rest @ ..] = &arguments[..]
        && first == PREPARE
    {
        return prepare(Path::new(folder), &rest.iter().map(|number| number.parse().unwrap()).collect::<Vec<_>>());
    }
    let mut arguments = arguments.into_iter();
    let disk = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let records = arguments.next().map_or(1_000_000, |count| count.parse().unwrap());
    let folder = tempfile::tempdir_in(&disk).unwrap();
    println!("on {}", disk.display());
    let (small, large) = (folder.path().join("small"), folder.path().join("large"));
    let small = Project::new(&small, 20, 98);
    let make = small.measure("make, nothing to do", &["make", "sweep"]);
    small.ninja(make);
    Project::new(&large, 1010, 97).plans();
    fs::remove_dir_all(&large).unwrap();
    prepared(small.folder, &[records]);
    small.plans();
    small.measure("make of one stage", &["make", "sweep/init[seed=3]"]);
    small.measure("explain", &["explain", "sweep/trunk[seed=3]@5"]);
    small.measure("cache stats", &["cache", "stats"]);
}

/// Writes into a store, in a separate process: the system counts the memory of the process that starts a program as
/// memory of that program.
fn prepare(folder: &Path, numbers: &[usize]) {
    let started = Instant::now();
    let store = Store::open(&folder.join("cache")).unwrap();
    match *numbers {
        [seeds, epochs] => {
            let graph = graph(&pipeline(seeds, epochs));
            let objects = publish(&graph, &store);
            print!("{} stages, {objects} with an object of their own", graph.stages.len());
        }
        [records] => {
            fill(&store, records as i64);
            print!("{records} further records");
        }
        _ => panic!("{numbers:?}"),
    }
    println!(" (published in {:.0} s)", started.elapsed().as_secs_f64());
}

fn prepared(folder: &Path, numbers: &[usize]) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg(PREPARE).arg(folder).args(numbers.iter().map(ToString::to_string));
    assert!(command.status().unwrap().success());
}

fn graph(text: &str) -> Graph {
    expand(&Pipeline::read("sweep", "sweep.toml", text, "smoke", &[]).unwrap()).unwrap()
}

/// Returns a pipeline that trains in segments for a number of seeds, a stage that starts from the last segment of each,
/// and a figure of those stages.
fn pipeline(seeds: usize, epochs: usize) -> String {
    format!(
        r#"
        title = "A sweep"
        [settings]
        seed = {{ from = 1, to = {seeds} }}
        [stage.data]
        kind = "dataset"
        source = "shapes10"
        train = 320
        test = 200
        [stage.init]
        kind = "init"
        model = "preact-resnet18"
        width = 4
        seed = "$seed"
        [stage.trunk]
        kind = "train"
        start = "init"
        data = "data"
        lr = 0.1
        wd = 0.015
        batch = 10
        epochs = {epochs}
        precision = "fp32"
        seed = "$seed"
        [stage.tune]
        kind = "probe"
        start = "trunk"
        after = {epochs}
        epochs = 1
        lr = 1e-3
        seed = "$seed"
        [[panel]]
        id = "a"
        x = {{ label = "Epoch" }}
        y = {{ label = "Test error (%)" }}
        [[panel.curve]]
        from = "tune"
        y = "test_error"
        [profile.smoke]
        "#
    )
}

/// A folder with a pipeline and a store that holds all its stages.
struct Project<'a> {
    folder: &'a Path,
    /// Text of the pipeline.
    text: String,
}

impl<'a> Project<'a> {
    fn new(folder: &'a Path, seeds: usize, epochs: usize) -> Self {
        let text = pipeline(seeds, epochs);
        fs::create_dir_all(folder.join("pipelines")).unwrap();
        fs::write(folder.join("pipelines/sweep.toml"), &text).unwrap();
        prepared(folder, &[seeds, epochs]);
        let project = Self { folder, text };
        // Draws the figure, which is a stage like the others. A folder changed in the last two seconds is read again.
        project.run(&["make", "sweep"]);
        std::thread::sleep(std::time::Duration::from_millis(2100));
        let (seconds, mib) = project.run(&["make", "sweep"]);
        println!("  make, for the first time after that: {:.1} ms, {mib:.0} MiB", 1e3 * seconds);
        project
    }

    /// Runs the program; returns the seconds and the peak memory in MiB.
    fn run(&self, arguments: &[&str]) -> (f64, f64) {
        run(env!("CARGO_BIN_EXE_wdpipe"), arguments, self.folder)
    }

    /// Runs the program several times; prints and returns the median of the seconds.
    fn measure(&self, what: &str, arguments: &[&str]) -> f64 {
        let (seconds, mib) = median(|| self.run(arguments));
        println!("  {what}: {:.1} ms, {mib:.0} MiB", 1e3 * seconds);
        seconds
    }

    fn plans(&self) {
        self.measure("make --dry-run", &["make", "sweep", "--dry-run"]);
        self.measure("make --dry-run, all to run", &["make", "sweep", "--dry-run", "--set", "trunk.lr=0.2"]);
        self.measure("status", &["status"]);
        self.measure("make, nothing to do", &["make", "sweep"]);
    }

    /// Measures ninja on the same graph, with a file for every stage.
    fn ninja(&self, make: f64) {
        let ninja = std::env::var("NINJA").unwrap_or_else(|_| "ninja".to_owned());
        let mut text = String::from("rule touch\n  command = touch $out\n");
        for (id, stage) in graph(&self.text).stages.iter().enumerate() {
            write!(text, "build out/{id}: touch").unwrap();
            stage.inputs.iter().for_each(|input| write!(text, " out/{}", input.stage).unwrap());
            text.push('\n');
        }
        fs::write(self.folder.join("build.ninja"), text).unwrap();
        if Command::new(&ninja).arg("--version").output().is_err() {
            return println!("  ninja was not found (set NINJA=PATH)");
        }
        run(&ninja, &[], self.folder);
        let (seconds, mib) = median(|| run(&ninja, &[], self.folder));
        println!("  ninja: {:.1} ms, {mib:.0} MiB; ratio {:.2}", 1e3 * seconds, make / seconds);
    }
}

/// Adds records of unrelated stages, a third of which have an object.
fn fill(store: &Store, records: i64) {
    for start in (0..records).step_by(TOGETHER as usize) {
        let mut bulk = store.bulk();
        for number in start..records.min(start + TOGETHER) {
            let parts = KeyParts {
                kind: "train".into(),
                version: 1,
                parameters: [("number".into(), Value::Int(number))].into(),
                inputs: [].into(),
                policy: Map::new(),
            };
            let bytes = number.to_le_bytes().repeat(20);
            let outputs = vec![output("metrics", bytes, number % 3 != 0)];
            add(&mut bulk, parts, outputs, format!("other/trunk[seed={}]@{}", number / 100, number % 100));
        }
        bulk.publish().unwrap();
    }
}

/// Bytes of an output, and its description.
type Made = (Output, Vec<u8>);

fn output(name: &str, bytes: Vec<u8>, small: bool) -> Made {
    let (object, length) = (ObjectDigest::of(&bytes), bytes.len() as u64);
    (Output { name: name.into(), object, bytes: length, inline: small.then(|| bytes.clone()) }, bytes)
}

fn add(bulk: &mut store::Bulk<'_>, parts: KeyParts, outputs: Vec<Made>, stage: String) {
    for (output, bytes) in outputs.iter().filter(|(output, _)| output.inline.is_none()) {
        bulk.put_from(&output.object, output.bytes, &mut &bytes[..]).unwrap();
    }
    let provenance = Provenance {
        stage,
        wdpipe: "0.1.0".into(),
        seconds: 1.0,
        flops: 1e10,
        who: "somebody@somewhere".into(),
        device: "cpu".into(),
        // No two stages finished at the same time.
        finished: bulk.len() as u64,
        ..Provenance::default()
    };
    let outputs = outputs.into_iter().map(|(output, _)| output).collect();
    bulk.record(&Record { parts, outputs, tensors: Vec::new(), provenance }).unwrap();
}

/// Publishes invented outputs for every stage except drawings; returns the number of objects.
fn publish(graph: &Graph, store: &Store) -> usize {
    let (mut yielded, mut objects): (Vec<Vec<Output>>, _) = (Vec::new(), 0);
    let mut bulk = store.bulk();
    for (id, stage) in graph.stages.iter().enumerate() {
        if matches!(stage.work, Work::Figure(_)) {
            continue;
        }
        let read = |input: &wdpipe::graph::Input| {
            let output = yielded[input.stage].iter().find(|output| output.name == input.output).unwrap();
            (input.role.clone(), output.object)
        };
        let parts = KeyParts {
            kind: stage.work.kind().into(),
            version: stage.work.version(),
            parameters: stage.work.parameters().unwrap(),
            inputs: stage.inputs.iter().map(read).collect(),
            policy: if stage.work.needs_torch() { engine::policy(graph.policy) } else { Map::new() },
        };
        let made = stage.work.outputs().into_iter().map(|name| match name {
            "metrics" => {
                let error = 10.0 + (id % 17) as f64;
                let row = [(id % 100) as f64, 0.1, 0.5, error, 0.6, error, 20.0];
                output(name, Table::of_rows(METRICS, &[row]).to_bytes().unwrap(), true)
            }
            _ => output(name, format!("{name} of {}", stage.name).into_bytes(), false),
        });
        let made: Vec<_> = made.collect();
        objects += made.iter().filter(|(output, _)| output.inline.is_none()).count();
        yielded.push(made.iter().map(|(output, _)| output.clone()).collect());
        add(&mut bulk, parts, made, stage.name.clone());
    }
    bulk.publish().unwrap();
    objects
}

fn median(mut measure: impl FnMut() -> (f64, f64)) -> (f64, f64) {
    let mut times: Vec<_> = (0..ROUNDS).map(|_| measure()).collect();
    times.sort_by(|a, b| a.0.total_cmp(&b.0));
    times[ROUNDS / 2]
}

/// Runs a program; returns the seconds and the peak memory in MiB.
#[expect(clippy::zombie_processes, reason = "wait4 waits for it, and reports its memory")]
fn run(program: &str, arguments: &[&str], folder: &Path) -> (f64, f64) {
    let started = Instant::now();
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    let (mut status, mut usage) = (0, std::mem::MaybeUninit::<libc::rusage>::zeroed());
    // SAFETY: both places are valid, and no other code waits for this child; a `rusage` of zeros is valid.
    let (waited, usage) =
        unsafe { (libc::wait4(child.id().cast_signed(), &raw mut status, 0, usage.as_mut_ptr()), usage.assume_init()) };
    let seconds = started.elapsed().as_secs_f64();
    assert!(waited > 0 && status == 0, "{program} {arguments:?}: {said}");
    (seconds, usage.ru_maxrss as f64 / 1024.0)
}
