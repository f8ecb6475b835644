//! Tests that the portable policy gives the same bytes on processors with other caches. Each run is a process of its own,
//! since oneDNN detects the processor only once; the process is this test program, which reports other cache sizes to
//! oneDNN (`torch::caches`).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::run;
use crate::project::ExitCode;
use base::record::Record;

/// Cache sizes in bytes for each core, as reported to oneDNN.
const SETS: [&str; 6] = [
    "32768,131072,1048576",
    "32768,262144,2097152",
    "32768,1048576,1441792",
    "49152,2097152,16777216",
    "65536,524288,4194304",
    "131072,4194304,0",
];
/// Variable with the folder in which a child computes.
const FOLDER: &str = "WDPIPE_TEST_FOLDER";
/// Variable with the stages that a child makes.
const STAGES: &str = "WDPIPE_TEST_STAGES";
/// Variable with the cache sizes that `torch::caches` reads in tests.
const CACHES: &str = "WDPIPE_TEST_CACHES";

/// Returns a pipeline with networks of one width, and every kind of stage that computes on their weights. The last batch of
/// an epoch is partial.
fn pipeline(models: &str, width: u32, batch: u32, images: u32, layout: bool) -> String {
    let train = batch + batch / 2;
    format!(
        r#"
title = "Caches"
[settings]
seed = [0]
model = {models}

[stage.data]
kind = "dataset"
source = "shapes10"
train = {train}
test = 10

[stage.init]
kind = "init"
model = "$model"
width = {width}
seed = "$seed"

[stage.run]
kind = "train"
start = "init"
data = "data"
lr = 0.05
ema = 0.9
batch = {batch}
channels_last = {layout}
epochs = 1
precision = "fp32"
seed = "$seed"

[stage.average]
kind = "ema_eval"
of = "run"

[stage.probe]
kind = "probe"
start = "run"
after = 1
lr = 0.01
epochs = 1
batch = {batch}
seed = "$seed"

[stage.answers]
kind = "predictions"
of = "run"

[stage.trace]
kind = "hessian_trace"
of = "run"
images = {images}
estimator = "hutchinson"
draws = 1
seed = "$seed"

[stage.exact]
kind = "hessian_trace"
of = "run"
images = {images}
seed = "$seed"

[stage.top]
kind = "top_eigenvalue"
of = "run"
images = {images}
iterations = 1
seed = "$seed"

[stage.cosines]
kind = "noise_covariance"
of = "run"
images = {images}
draws = 1
seed = "$seed"

[stage.scale]
kind = "noise_scale"
of = "run"
images = {images}
seed = "$seed"

[[panel]]
id = "a"
x = {{ label = "Epoch" }}
y = {{ label = "Loss" }}

[[panel.curve]]
from = "run"
y = "train_loss"
per = "model"
label = "{{per}}"

[profile.smoke]
about = "for tests"
"#
    )
}

/// Returns the outputs of every stage for given cache sizes, by its name.
fn outputs(pipeline: &str, stages: &str, caches: &str) -> BTreeMap<String, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("pipelines")).unwrap();
    std::fs::write(folder.path().join("pipelines/caches.toml"), pipeline).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "cli::forged::a_child_computes"]).stdin(Stdio::null());
    let output = child.env(FOLDER, folder.path()).env(STAGES, stages).env(CACHES, caches).output().unwrap();
    let said = || String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}", said());
    let files = walkdir::WalkDir::new(folder.path().join("cache/records")).into_iter().map(Result::unwrap);
    let of = |path: &Path| {
        let record = Record::from_bytes(&std::fs::read(path).unwrap()).unwrap();
        let outputs = record.outputs.iter().map(|output| format!("{} {}", output.name, output.object)).collect();
        (record.provenance.stage, outputs)
    };
    files.filter(|entry| entry.file_type().is_file()).map(|entry| of(entry.path())).collect()
}

#[test]
fn a_child_computes() {
    let Some(folder) = std::env::var_os(FOLDER).map(std::path::PathBuf::from) else { return };
    let path = |name: &str| folder.join(name).into_os_string();
    let mut arguments: Vec<std::ffi::OsString> =
        ["wdpipe", "make", "--device", "cpu", "--set", "policy=portable"].map(Into::into).to_vec();
    let stages = std::env::var(STAGES).unwrap();
    arguments.extend(stages.split(' ').map(|stage| format!("caches/{stage}").into()));
    for (flag, name) in [("--cache", "cache"), ("--reports", "reports"), ("--pipelines", "pipelines")] {
        arguments.extend([flag.into(), path(name)]);
    }
    assert_eq!(run(arguments), ExitCode::Success);
}

fn same(pipeline: &str, stages: &str, sets: &[&str]) {
    let here = outputs(pipeline, stages, "");
    assert!(here.len() > 2 + stages.split(' ').count(), "{here:?}");
    for set in sets {
        assert_eq!(outputs(pipeline, stages, set), here, "{set}");
    }
}

/// Uses the smallest caches, the smallest width at which they changed bits, and few images.
#[test]
fn other_caches_change_no_byte() {
    same(&pipeline(r#"["preact-resnet18"]"#, 32, 4, 2, false), "average trace", &SETS[..1]);
}

const NETWORKS: &str = r#"["preact-resnet18", "preact-resnet18-si", "preact-resnet34", "vgg16"]"#;
const KINDS: &str = "average probe answers trace exact top cosines scale";

/// Uses every network and kind of stage, the widths and batches of the profiles `smoke` and `cifar`, and six sets of caches.
#[test]
#[ignore = "takes half an hour of one core: `cargo test -p wdpipe --lib no_width_or_batch_of_the_committed -- --ignored`"]
fn no_width_or_batch_of_the_committed_profiles_depends_on_caches() {
    let smoke = [(4, 10, false), (6, 10, false), (6, 32, false), (8, 10, false)];
    let cifar = [(6, 64, true), (8, 64, true)];
    for (width, batch, layout) in smoke.into_iter().chain(cifar) {
        same(&pipeline(NETWORKS, width, batch, 4, layout), KINDS, &SETS);
    }
}

/// Uses every network and kind of stage, the paper's own width and batch, and six sets of caches.
#[test]
#[ignore = "takes half an hour of one core: `cargo test -p wdpipe --lib no_width_or_batch_of_the_paper -- --ignored`"]
fn no_width_or_batch_of_the_paper_depends_on_caches() {
    same(&pipeline(NETWORKS, 64, 128, 4, true), KINDS, &SETS);
}
