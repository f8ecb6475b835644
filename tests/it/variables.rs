//! No variable of the environment changes a result.

use std::collections::BTreeMap;

use base::record::Record;

use super::environment::{Environment, ended};

/// Variables that the libraries below libtorch would follow. The first four changed weights.
const HOSTILE: [(&str, &str); 10] = [
    ("MKL_CBWR", "COMPATIBLE"),
    ("ONEDNN_MAX_CPU_ISA", "SSE41"),
    ("DNNL_MAX_CPU_ISA", "AVX2"),
    ("MKL_ENABLE_INSTRUCTIONS", "SSE4_2"),
    ("ONEDNN_CPU_ISA_HINTS", "PREFER_YMM"),
    ("ONEDNN_DEFAULT_FPMATH_MODE", "ANY"),
    ("MKL_NUM_THREADS", "2"),
    ("MKL_DOMAIN_NUM_THREADS", "MKL_BLAS=2"),
    ("FBGEMM_NO_AUTOVEC", "1"),
    ("TORCH_MKLDNN_MATMUL_MIN_DIM", "1"),
];

/// Two networks wide enough that the instruction set shows, with every kind that computes on a network's weights.
const PIPELINE: &str = r#"
title = "Variables"
[settings]
seed = [0]
model = ["preact-resnet18", "vgg16"]

[stage.data]
kind = "dataset"
source = "shapes10"
train = 40
test = 20

[stage.init]
kind = "init"
model = "$model"
width = 8
seed = "$seed"

[stage.run]
kind = "train"
start = "init"
data = "data"
lr = 0.05
ema = 0.9
batch = 16
epochs = 1
precision = "fp32"
seed = "$seed"

[stage.average]
kind = "ema_eval"
of = "run"

[stage.trace]
kind = "hessian_trace"
of = "run"
images = 20
estimator = "hutchinson"
draws = 2
seed = "$seed"

[[panel]]
id = "a"
x = { label = "Epoch" }
y = { label = "Loss" }

[[panel.curve]]
from = "run"
y = "train_loss"
per = "model"
label = "{per}"

[profile.smoke]
about = "for tests"
"#;

/// Returns the outputs of every stage, by name.
fn outputs(environment: &Environment) -> BTreeMap<String, Vec<String>> {
    let of = |path| {
        let record = Record::from_bytes(&std::fs::read(path).unwrap()).unwrap();
        let outputs = record.outputs.iter().map(|output| format!("{} {}", output.name, output.object)).collect();
        (record.provenance.stage, outputs)
    };
    environment.files("records").into_iter().map(of).collect()
}

#[test]
fn bytes_do_not_depend_on_the_variables_of_the_libraries() {
    let run = |policy: &str, variables: &[(&str, &str)]| {
        let environment = Environment::new();
        std::fs::create_dir(environment.path("pipelines")).unwrap();
        std::fs::write(environment.path("pipelines/variables.toml"), PIPELINE).unwrap();
        let set = format!("policy={policy}");
        let mut command = environment.command(&["make", "--device", "cpu", "--set", &set]);
        command.args(["variables/average", "variables/trace"]);
        command.env("WDPIPE_PIPELINES", environment.path("pipelines")).envs(variables.iter().copied());
        let ended = ended(&command.output().unwrap());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        outputs(&environment)
    };
    let policies = if cfg!(target_arch = "x86_64") { &["native", "portable"][..] } else { &["native"] };
    for policy in policies {
        let undisturbed = run(policy, &[]);
        assert!(undisturbed.len() >= 9, "{undisturbed:?}");
        assert_eq!(run(policy, &HOSTILE), undisturbed, "{policy}");
    }
}

#[test]
fn doctor_names_the_variables_that_have_no_effect() {
    let environment = Environment::new();
    let said = |variables: &[(&str, &str)]| {
        ended(&environment.command(&["doctor"]).envs(variables.iter().copied()).output().unwrap()).stdout
    };
    let line = "ignored so that results repeat: DNNL_MAX_CPU_ISA, MKL_CBWR\n";
    let with = said(&[("MKL_CBWR", "AVX"), ("DNNL_MAX_CPU_ISA", "AVX2"), ("OMP_NUM_THREADS", "2")]);
    assert!(with.contains(line), "{with}");
    assert!(!said(&[]).contains("ignored"));
}
