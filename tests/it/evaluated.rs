//! How often and on how many images training is evaluated: the weights do not change, but rows are omitted.

use std::collections::BTreeMap;

use base::digest::ObjectDigest;
use base::record::Record;
use base::table::Table;

use super::environment::{Environment, number};

const PIPELINE: &str = r#"
title = "Evaluations"

[stage.data]
kind = "dataset"
source = "shapes10"
train = 60
test = 20

[stage.init]
kind = "init"
model = "preact-resnet18"
width = 1
seed = 1

[stage.run]
kind = "train"
start = "init"
data = "data"
lr = 0.1
ema = 0.9
batch = 20
epochs = 8
checkpoint_first = 4
checkpoint_every = 4
precision = "fp32"
seed = 1

[stage.average]
kind = "ema_eval"
of = "run"

[stage.probe]
kind = "probe"
start = "run"
after = 8
lr = 0.01
epochs = 1
seed = 1

[stage.decay]
kind = "train"
start = "run"
lr = 0.01
ema = 0.9
epochs = 3
checkpoint_every = 100
seed = 1

[figure]

[[panel]]
id = "a"
x = { label = "Epoch" }
y = { label = "Norm" }

[[panel.curve]]
from = ["run", "decay"]
y = "norm"
label = "norm"

[profile.smoke]
about = "for the test"
"#;

struct Folder(Environment);

/// The hash of a stage's weights, if it has any, and its rows by epoch.
type Run = (Option<ObjectDigest>, BTreeMap<u32, Vec<f64>>);

impl Folder {
    fn new() -> Self {
        let environment = Environment::new();
        std::fs::create_dir(environment.path("p")).unwrap();
        std::fs::write(environment.path("p/often.toml"), PIPELINE).unwrap();
        Self(environment)
    }

    /// Makes the figure and everything else with changed parameters; returns how many stages ran.
    fn make(&self, sets: &[&str]) -> u64 {
        let targets = ["make", "often", "often/average", "often/probe", "--json", "--device", "cpu"];
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let arguments: Vec<&str> = targets.into_iter().chain(sets).collect();
        let ended = self.0.run_with(&self.0.path("p"), &arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        number(&serde_json::from_str(&ended.stdout).unwrap(), "stages_run")
    }

    /// Returns for each stage the hash of its weights, if it has any, and its rows by epoch.
    fn made(&self) -> BTreeMap<String, Run> {
        let record = |path| Record::from_bytes(&std::fs::read(path).unwrap()).unwrap();
        let records = self.0.files("records").into_iter().map(record);
        let made = records.filter_map(|record| {
            let output = |name: &str| record.outputs.iter().find(|output| output.name == name);
            let table = Table::from_bytes(output("metrics")?.inline.as_ref().unwrap()).unwrap();
            let columns: Vec<_> = table.columns().iter().map(|column| table.numbers(&column.name).unwrap()).collect();
            let row = |row: usize| (columns[0][row] as u32, columns.iter().skip(1).map(|column| column[row]).collect());
            Some((
                record.provenance.stage.clone(),
                (output("weights").map(|output| output.object), (0..table.rows()).map(row).collect()),
            ))
        });
        made.collect()
    }
}

#[test]
fn evaluating_seldom_leaves_out_rows_and_changes_nothing_else() {
    let always = Folder::new();
    always.make(&[]);
    let always = always.made();

    let seldom = Folder::new();
    // The shorter run comes first, so that the longer one continues from it.
    let sets = ["run.eval_every=3", "decay.eval_every=3"];
    seldom.make(&[&sets[..], &["run.epochs=4", "probe.after=4"]].concat());
    seldom.make(&sets);
    assert_eq!(seldom.make(&sets), 0);
    let seldom = seldom.made();
    let mut run = Vec::new();
    for (name, (weights, rows)) in &always {
        let (found, few) = &seldom[name];
        assert_eq!(weights, found, "{name}");
        assert!(few.iter().all(|(epoch, row)| rows[epoch] == *row), "{name}: {few:?} {rows:?}");
        if name.contains("/run@") || name.contains("/decay@") {
            run.extend(few.keys().copied());
        } else {
            assert_eq!(few, rows, "{name}");
        }
    }
    run.sort_unstable();
    // Rows after 3, 6 and 9 epochs and at the checkpoints after 4, 8 and 11.
    assert_eq!(run, [2, 3, 5, 7, 8, 10]);
}

#[test]
fn fewer_images_change_the_training_columns_alone() {
    let all = Folder::new();
    all.make(&[]);
    // There are 60 images, so this evaluates all of them.
    assert_eq!(all.make(&["run.eval_images=60"]), 0);
    let all = all.made();
    let some = Folder::new();
    some.make(&["run.eval_images=20"]);
    let some = some.made();
    assert_eq!(all.keys().collect::<Vec<_>>(), some.keys().collect::<Vec<_>>());
    for (name, (weights, rows)) in &all {
        let (found, others) = &some[name];
        assert_eq!(weights, found, "{name}");
        assert!(rows.keys().eq(others.keys()), "{name}");
        for (row, other) in rows.values().zip(others.values()) {
            // In reverse order: norm, test error, test loss, training error, training loss.
            let (row, other): (Vec<f64>, Vec<f64>) =
                (row.iter().rev().copied().collect(), other.iter().rev().copied().collect());
            assert_eq!(row[..3], other[..3], "{name}");
            assert_ne!(row[4], other[4], "{name}: the loss of all images");
            assert_eq!(other[3] * 20.0 / 100.0 % 1.0, 0.0, "{name}: {} % of 20 images", other[3]);
        }
    }
}

#[test]
fn explain_says_where_the_number_of_images_is_from() {
    let folder = Folder::new();
    let path = folder.0.path("p");
    let explain = |stage: &str| {
        let ended =
            folder.0.run_with(&path, &["explain", stage, "--set", "run.eval_images=20", "--set", "run.eval_every=3"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout.lines().filter(|line| line.contains("eval_")).map(str::to_owned).collect::<Vec<_>>().join("\n")
    };
    let run = explain("often/run@8");
    assert!(run.contains("eval_every") && run.contains("--set 'run.eval_images=20'"), "{run}");
    let probe = explain("often/probe");
    assert!(probe.contains("from the stage `run`") && !probe.contains("eval_every"), "{probe}");
}

#[test]
fn an_evaluation_that_cannot_be_is_refused() {
    let folder = Folder::new();
    let check = |set: &str| {
        let ended =
            folder.0.run_with(&folder.0.path("p"), &["make", "often", "often/probe", "--dry-run", "--set", set]);
        (ended.code, ended.stderr)
    };
    for (set, wanted) in [
        ("run.eval_every=0", "`eval_every` must be an integer from 1"),
        ("run.eval_images=0", "`eval_images` must be an integer from 1"),
        ("run.eval_images=61", "`eval_images` is 61, but there are only 60 training images"),
        ("run.eval_every=\"often\"", "`eval_every` must be an integer from 1"),
        ("probe.eval_every=2", "has no `eval_every`"),
    ] {
        let (code, said) = check(set);
        assert!(code == Some(2) && said.contains(wanted), "{set}: {said}");
    }
    let cut = ["make", "often", "--dry-run", "--set", "run.eval_every=2", "--set", "run.checkpoint_every=1", "--set"];
    let cut = [&cut[..], &["run.checkpoint_first=1"]].concat();
    let ended = folder.0.run_with(&folder.0.path("p"), &cut);
    assert!(ended.code == Some(2) && ended.stderr.contains("`eval_every` has no effect"), "{}", ended.stderr);
}

#[test]
fn evaluations_that_are_left_out_cost_nothing() {
    let flops = |sets: &[&str]| {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let pipeline = wdpipe::spec::Pipeline::read("often", "often.toml", PIPELINE, "smoke", &sets).unwrap();
        let graph = wdpipe::spec::expand(&pipeline).unwrap();
        (0..graph.stages.len()).map(|id| wdpipe::cost::flops(&graph, id)).sum::<f64>()
    };
    // Cost in forward passes of one image: 12 epochs of training, including the probe's, 2 re-estimations, and 14 evaluations of
    // 60 + 20 images.
    let always = 60.0 * (3.0 * 12.0 + 2.0) + 14.0 * 80.0;
    let pass = flops(&[]) / always;
    let near = |found: f64, wanted: f64| assert!((found / pass - wanted).abs() < 1e-6, "{} {wanted}", found / pass);
    near(flops(&["run.eval_every=3"]), always - 4.0 * 80.0);
    near(flops(&["run.eval_images=20"]), always - 14.0 * 40.0);
}
