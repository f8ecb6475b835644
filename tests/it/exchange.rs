//! Weights to and from other programs.

use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::SafeTensors;

use super::environment::{Environment, TINY};

/// Variable that names a Python with torch and safetensors.
const PYTHON: &str = "WDPIPE_TEST_PYTHON";
const STAGE: &str = "fig3/trunk[lr=0.1,seed=0]@2";

/// Rest of a pipeline, after `[stage.start]`, that evaluates imported weights on the test images.
const ANSWERS: &str = r#"
[stage.data]
kind = "dataset"
source = "shapes10"
train = 60
test = 20

[stage.answers]
kind = "predictions"
of = "start"
data = "data"

[[panel]]
id = "a"
x = { label = "Test image" }
y = { label = "Loss" }

[[panel.curve]]
from = "answers"
x = "image"
y = "loss"
label = "loss"

[profile.smoke]
about = "for tests"
"#;

fn sets() -> Vec<&'static str> {
    TINY.iter().flat_map(|set| ["--set", *set]).collect()
}

#[test]
fn exported_weights_come_back_and_training_starts_from_them() {
    let environment = Environment::new();
    environment.make("fig3/trunk", &[]);
    let run = |arguments: &[&str]| {
        let ended = environment.run(arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    };
    let weights = |name: &str| std::fs::read(environment.path(name)).unwrap();
    run(&[&["export", STAGE, "--to", "own.safetensors"], &sets()[..]].concat());
    run(&[&["export", STAGE, "--names", "authors", "--to", "authors.safetensors"], &sets()[..]].concat());
    run(&[&["export", STAGE, "--output", "ema", "--to", "ema.safetensors"], &sets()[..]].concat());
    run(&[&["show", STAGE, "--output", "weights", "--to", "raw.safetensors"], &sets()[..]].concat());
    assert_eq!(weights("own.safetensors"), weights("raw.safetensors"));
    let authors = weights("authors.safetensors");
    assert!(SafeTensors::deserialize(&authors).unwrap().tensor("layer2.0.shortcut.0.weight").is_ok());
    assert!(SafeTensors::deserialize(&weights("ema.safetensors")).unwrap().tensor("head.bias").is_ok());

    let said = run(&["import", "authors.safetensors", "--name", "mine"]);
    for line in ["kind    = \"weights\"", "name    = \"mine\"", "model   = \"preact-resnet18\"", "width   = 1"] {
        assert!(said.contains(line), "{said}");
    }
    let refused = environment.run(&["import", "ema.safetensors", "--name", "mine"]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("the running statistics of preact-resnet18"), "{}", refused.stderr);
    for (arguments, code, message) in [
        (&["import", "nowhere", "--name", "x"][..], 3, "nowhere"),
        (&["import", "own.safetensors", "--name", "a/b"], 2, "is not a valid name for weights"),
        (&["export", "fig3/data"], 2, "has no weights"),
        (&["export", "fig3/init", "--set", "seed=[7,8]"], 2, "names 2 stages"),
        (&["export", "fig3/init", "--set", "seed=7"], 3, "was not run yet"),
    ] {
        let ended = environment.run(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(message), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn the_averaged_network_is_exported_whole_as_it_was_evaluated() {
    let environment = Environment::new();
    environment.make("fig3/ema", &[]);
    let run = |arguments: &[&str]| {
        let ended = environment.run(&[arguments, &sets()[..]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended
    };
    let evaluation = "fig3/ema[lr=0.1,seed=0]@2";
    let warned = run(&["export", STAGE, "--output", "ema", "--to", "parameters.safetensors"]).stderr;
    assert!(warned.contains("36 tensors of the network are left out"), "{warned}");
    assert!(warned.contains(&format!("`wdpipe export '{evaluation}' ")), "{warned}");
    run(&["export", evaluation, "--to", "average.safetensors"]);
    run(&["export", evaluation, "--output", "ema", "--names", "authors", "--to", "again.safetensors"]);
    let file = |name: &str| std::fs::read(environment.path(name)).unwrap();
    let (whole, parameters) = (file("average.safetensors"), file("parameters.safetensors"));
    let (whole, parameters) =
        (SafeTensors::deserialize(&whole).unwrap(), SafeTensors::deserialize(&parameters).unwrap());
    assert_eq!((whole.len(), parameters.len()), (94, 58));
    for (name, tensor) in parameters.iter() {
        assert_eq!(whole.tensor(name).unwrap().data(), tensor.data(), "{name}");
    }

    // The predictions on the test images have the error that the evaluation recorded.
    let said = environment.run(&["import", "again.safetensors", "--name", "average"]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    let folder = environment.path("answers");
    std::fs::create_dir(&folder).unwrap();
    let pipeline = "title = \"Answers\"\n".to_owned() + &said.stdout + ANSWERS;
    std::fs::write(folder.join("answers.toml"), pipeline).unwrap();
    let made = environment.run_with(&folder, &["make", "answers/answers", "--device", "cpu"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let answers = environment.run_with(&folder, &["show", "answers/answers", "--csv"]).stdout;
    let recorded = run(&["show", evaluation, "--csv"]).stdout;
    let column = |text: &str, name: &str| -> Vec<f64> {
        let mut lines = text.lines();
        let at = lines.next().unwrap().split(',').position(|heading| heading == name).unwrap();
        lines.map(|line| line.split(',').nth(at).unwrap().parse().unwrap()).collect()
    };
    let losses = column(&answers, "loss");
    let (loss, expected) = (losses.iter().sum::<f64>() / losses.len() as f64, column(&recorded, "test_loss")[0]);
    assert!((loss - expected).abs() < 1e-5 * expected, "{loss} instead of {expected}");
    let wrong = column(&answers, "answer").iter().zip(column(&answers, "label")).filter(|(a, b)| **a != *b).count();
    assert_eq!(wrong as f64 * 5.0, column(&recorded, "test_error")[0]);
}

#[test]
fn files_of_pytorchs_wrappers_are_taken_and_others_say_what_is_wrong() {
    let environment = Environment::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/weights");
    for (name, code, said) in [
        ("real_compile", 0, "removed `_orig_mod.` from"),
        ("real_dp", 0, "removed `module.` from"),
        ("real_swa", 0, "warning: the file comes from PyTorch's AveragedModel"),
        ("real_bf16", 0, "widened 94 tensors of bfloat16"),
        ("missing_one", 1, "missing: `head.bias` [10]"),
        ("shape_extra_dim", 1, "{k: v.float().contiguous() for k, v in model.state_dict().items()}"),
    ] {
        let file = folder.join(format!("{name}.safetensors"));
        let ended = environment.run(&["import", file.to_str().unwrap()]);
        assert_eq!(ended.code, Some(code), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{name}: {}", ended.stderr);
    }
}

#[test]
fn training_from_an_import_is_the_training_from_the_stage() {
    let environment = Environment::new();
    environment.make("fig3/trunk", &[]);
    let export = |stage: &str, file: &str, environment: &Environment| {
        let ended = environment.run(&[&["export", stage, "--to", file], &sets()[..]].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        std::fs::read(environment.path(file)).unwrap()
    };
    export("fig3/init[seed=0]", "start.safetensors", &environment);
    let trained = export(STAGE, "trained.safetensors", &environment);

    // Figure 3 with imported weights instead of random ones, in another cache.
    let other = Environment::new();
    let start = environment.path("start.safetensors");
    let imported = other.run(&["import", start.to_str().unwrap(), "--name", "start"]);
    assert_eq!(imported.code, Some(0), "{}", imported.stderr);
    let pipelines = figure_from(&imported.stdout, &other);
    let made = other.run_with(&pipelines, &Environment::tiny("fig3/trunk", &[]));
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let arguments = [&["export", STAGE, "--to", "again.safetensors"], &sets()[..]].concat();
    let ended = other.run_with(&pipelines, &arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(std::fs::read(other.path("again.safetensors")).unwrap() == trained, "other weights after two epochs");
}

/// Writes Figure 3 from imported weights, as `wdpipe import` suggests; returns the folder of the pipeline.
fn figure_from(said: &str, environment: &Environment) -> PathBuf {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/fig3.toml")).unwrap();
    let (before, rest) = text.split_once("[stage.init]\n").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    let table = said.replace("[stage.start]", "[stage.init]");
    let folder = environment.path("pipelines");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("fig3.toml"), format!("{before}{table}variant = \"$variant\"\n\n{after}")).unwrap();
    folder
}

#[test]
fn the_newest_import_counts_even_when_its_bytes_are_gone() {
    let environment = Environment::new();
    let run = |arguments: &[&str], code: i32| {
        let ended = environment.run(arguments);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        ended
    };
    for seed in ["1", "2"] {
        let set = format!("seed={seed}");
        run(&["make", "fig3/init", "--set", &set, "--set", "init.width=1"], 0);
        run(&["export", "fig3/init", "--set", &set, "--set", "init.width=1", "--to", seed], 0);
    }
    let width = ["--set", "init.width=1"];
    let make = |pipelines: &Path| environment.run_with(pipelines, &[&["make", "fig3/init"], &width[..]].concat());
    // All three imports happen within a second or two, and one of them is repeated.
    for name in ["1", "2", "1"] {
        let pipelines = figure_from(&run(&["import", name, "--name", "w"], 0).stdout, &environment);
        let ended = make(&pipelines);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let export = [&["export", "fig3/init", "--to", "out"], &width[..]].concat();
        assert_eq!(environment.run_with(&pipelines, &export).code, Some(0));
        let bytes = |name: &str| std::fs::read(environment.path(name)).unwrap();
        assert!(bytes("out") == bytes(name), "not the weights that were imported last");
    }
    for path in environment.files("objects") {
        std::fs::remove_file(path).unwrap();
    }
    run(&["import", "2", "--name", "w"], 0);
    run(&["import", "1", "--name", "w"], 0);
    let newest = blake3::hash(&std::fs::read(environment.path("1")).unwrap()).to_hex().to_string();
    let gone = environment.files("objects").into_iter().find(|path| path.to_string_lossy().contains(&newest[4..20]));
    std::fs::remove_file(gone.unwrap()).unwrap();
    let ended = make(&environment.path("pipelines"));
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("no weights have been imported under the name `w`"), "{}", ended.stderr);
}

/// Compares with PyTorch's predictions on 500 built-in test images for the committed checkpoint, which `wdpipe export`
/// wrote.
#[test]
fn a_checkpoint_gives_the_same_answers_as_in_pytorch_image_by_image() {
    let environment = Environment::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoint");
    let pipelines = folder.join("pipelines");
    let file = folder.join("weights.safetensors");
    let run = |arguments: &[&str]| {
        let ended = environment.run_with(&pipelines, arguments);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    };
    run(&["import", file.to_str().unwrap(), "--name", "checkpoint"]);
    run(&["make", "checkpoint/predictions", "--device", "cpu"]);
    let ours = run(&["show", "checkpoint/predictions", "--csv"]);
    let column = |text: &str, name: &str| -> Vec<String> {
        let mut lines = text.lines();
        let at = lines.next().unwrap().split(',').position(|heading| heading == name).unwrap();
        lines.map(|line| line.split(',').nth(at).unwrap().to_owned()).collect()
    };
    let theirs = std::fs::read_to_string(folder.join("pytorch.csv")).unwrap();
    compare(&ours, &theirs, column);

    let Some(python) = std::env::var_os(PYTHON) else {
        println!("skipped: {PYTHON} does not name a Python with torch; compared with recorded predictions of PyTorch");
        return;
    };
    run(&["show", "checkpoint/data", "--output", "test", "--to", "images.safetensors"]);
    let script: PathBuf = folder.join("answers.py");
    let output =
        Command::new(python).arg(script).arg(file).arg(environment.path("images.safetensors")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let now = String::from_utf8(output.stdout).unwrap();
    compare(&ours, &now, column);
}

fn compare(ours: &str, theirs: &str, column: impl Fn(&str, &str) -> Vec<String>) {
    let (have, want) = (column(ours, "answer"), column(theirs, "answer"));
    assert_eq!(have.len(), 500);
    let number = |text: &String| text.parse::<f64>().unwrap();
    for (image, (a, b)) in have.iter().zip(&want).enumerate() {
        assert_eq!(number(a), number(b), "image {image}");
    }
    for (image, (a, b)) in column(ours, "loss").iter().zip(&column(theirs, "loss")).enumerate() {
        assert!((number(a) - number(b)).abs() <= 1e-4 * number(b).max(1.0), "loss of image {image}: {a} {b}");
    }
}
