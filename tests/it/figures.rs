//! Figures as readers see them: planned, drawn from numbers alone, compared with the paper, extended, collected on a
//! page.

use std::path::Path;

use super::environment::{Environment, TINY, ended, hashes, number};

fn tiny<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().copied().chain(TINY.iter().flat_map(|set| ["--set", *set])).collect()
}

#[test]
fn every_figure_is_planned_at_the_papers_scale_without_its_data() {
    let environment = Environment::new();
    let ended = environment.run(&["make", "all", "--profile", "paper", "--dry-run", "--json"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let targets = json["targets"].as_array().unwrap();
    let find = |name: &str| targets.iter().find(|target| target["target"] == name).unwrap_or_else(|| panic!("{name}"));
    // Sections 2 to 4 of the paper: epochs of training and fine-tuning, five seeds.
    for (figure, epochs) in [
        ("fig1", 3 * 4 * 5 * 1000),
        ("fig5", 3 * 4 * 5 * 1000),
        ("fig2", 9 * 5 * 200 + 3 * 5 * 50 * 100),
        ("fig3", 3 * 5 * 200 + 3 * 5 * 50 * 100),
        ("fig6a", 3 * 5 * 200),
        ("fig6b", 3 * 5 * 200),
        ("fig7", 5),
    ] {
        assert_eq!(number(find(figure), "epochs"), epochs, "{figure}");
        assert!(find(figure)["seconds"].as_f64().unwrap() > 0.0 && number(find(figure), "bytes") > 0, "{figure}");
    }
    // Stages that several figures need are counted once.
    let sum: u64 = targets.iter().filter(|t| t["target"] != "together").map(|t| number(t, "stages")).sum();
    let together = number(find("together"), "stages");
    assert!(together < sum && together == number(&json, "stages_total"), "{together} of {sum}");
    assert_eq!(number(find("fig1"), "stages"), number(find("fig5"), "stages"));

    let text = environment.run(&["make", "fig6", "--profile", "paper", "--dry-run"]);
    assert!(text.stdout.contains("not imported here yet") && text.stdout.contains("together"), "{}", text.stdout);
    let missing = environment.run(&["make", "fig6", "--profile", "paper"]);
    assert_eq!(missing.code, Some(3), "{}", missing.stderr);
}

#[test]
fn a_plan_for_a_gpu_that_is_not_here_says_that_it_is_assumed() {
    let environment = Environment::new();
    let plan = |target: &str, more: &[&str]| {
        let arguments = ["make", target, "--profile", "paper", "-n", "--assume", "h200"];
        environment.run(&arguments.iter().chain(more).copied().collect::<Vec<_>>())
    };
    let seconds = |target: &str, more: &[&str]| {
        let more: Vec<_> = ["--json"].iter().chain(more).copied().collect();
        let ended = plan(target, &more);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert!(json["assumed"] == "h200" && json["measured"] == false, "{json}");
        // Memory for images, weights and a batch: more than the libraries need, less than the GPU has.
        let memory = number(&json["targets"][0], "gpu_bytes");
        assert!((1 << 30..100 << 30).contains(&memory), "{memory}");
        json["seconds"].as_f64().unwrap()
    };
    let all = seconds("fig3", &[]);
    let (drawn, fast) = (seconds("fig3", &["--set", "trace.estimator=hutchinson"]), ["--set", "trace.precision=tf32"]);
    assert!(drawn > all && all > seconds("fig3", &fast), "exact traces take less than 64 draws, TF32 less than fp32");
    assert!(all < seconds("fig3", &["--set", "trunk.precision=fp32", "--set", "probe.precision=fp32"]));
    let text = plan("fig3", &[]);
    for wanted in ["GPU memory", "ASSUMED for one NVIDIA H200 SXM", "nothing was measured"] {
        assert!(text.stdout.contains(wanted), "{wanted}: {}", text.stdout);
    }
    let other = environment.run(&["make", "fig3", "-n", "--assume", "h2"]);
    assert_eq!(other.code, Some(2));
    assert!(other.stderr.contains("there are h200, h100, a100, l40s, rtx4090"), "{}", other.stderr);
    for more in [vec!["--assume", "h200"], vec!["-n", "--assume", "h200", "--device", "cpu"]] {
        let ended = environment.run(&[&["make", "fig3"][..], &more].concat());
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    }
}

#[test]
fn a_drawing_depends_on_its_numbers_alone() {
    let environment = Environment::new();
    let first = environment.make("fig3", &[]);
    for variables in [[("LC_ALL", "de_DE.UTF-8"), ("TZ", "Asia/Tokyo")], [("LANG", "tr_TR"), ("OMP_NUM_THREADS", "2")]]
    {
        // The figure is drawn again, because its records are removed.
        for path in environment.files("records") {
            let record = base::record::Record::from_bytes(&std::fs::read(&path).unwrap()).unwrap();
            if record.parts.kind == "figure" {
                std::fs::remove_file(path).unwrap();
            }
        }
        let mut command = environment.command(&Environment::tiny("fig3", &["--jobs", "1"]));
        let ended = ended(&command.envs(variables).output().unwrap());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!((number(&json, "stages_run"), hashes(&json)), (1, hashes(&first)), "{variables:?}");
    }
    // A change of appearance needs no training.
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/fig3.toml")).unwrap();
    let pipelines = environment.path("pipelines");
    std::fs::create_dir(&pipelines).unwrap();
    std::fs::write(pipelines.join("fig3.toml"), text.replace("Norm of the weights", "Size of the weights")).unwrap();
    let ended = environment.run_with(&pipelines, &Environment::tiny("fig3", &[]));
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(number(&json, "stages_run"), 1);
}

#[test]
fn claims_and_published_values_are_compared() {
    let environment = Environment::new();
    store::Store::open(&environment.path("cache")).unwrap();
    let before = environment.run(&tiny(&["compare", "fig3"]));
    assert!(before.stdout.contains("undecided: The averaged weights err less than SGD itself."), "{}", before.stdout);
    assert!(before.stdout.contains("are not recorded yet"), "{}", before.stdout);
    assert!(before.stdout.contains("published values: 114 not made\n"), "{}", before.stdout);
    assert!(
        before.stderr.contains("the records of fig3 lack 16 tables: `wdpipe make fig3 --set 'lr=[0.1,0.2]'"),
        "{}",
        before.stderr
    );
    // Numbers that are committed beside a figure can be imported instead; a variant's cannot.
    let committed = environment.path("reports/smoke");
    std::fs::create_dir_all(&committed).unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/smoke/fig3.wdpipe");
    std::fs::copy(archive, committed.join("fig3.wdpipe")).unwrap();
    let import = "fig3.wdpipe --accept unsigned` imports what is committed";
    for (arguments, is_committed) in [
        (vec!["compare", "fig3"], true),
        (vec!["show", "fig3"], true),
        (vec!["numbers", "fig3", "--tex"], true),
        // The archive has no record of a panel, and no stage's name is a file.
        (vec!["show", "fig3b"], false),
        (vec!["show", "fig3/trunk[lr=0.1,seed=0]@5"], false),
        (tiny(&["compare", "fig3"]), false),
    ] {
        let ended = environment.run(&arguments);
        assert_eq!(ended.stderr.contains(import), is_committed, "{}", ended.stderr);
    }
    environment.make("fig3", &[]);
    let ended = environment.run(&tiny(&["compare", "fig3", "--json"]));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let claims = json["figures"][0]["claims"].as_array().unwrap();
    // One seed decides nothing.
    assert!(claims.len() >= 5 && claims.iter().all(|claim| claim["verdict"] == "undecided"), "{claims:?}");
    let published = json["figures"][0]["published"].as_array().unwrap();
    let value = |panel: &str, curve: &str, x: f64| {
        let is = |v: &&serde_json::Value| v["panel"] == panel && v["curve"] == curve && v["x"][0] == x;
        published.iter().find(is).unwrap()
    };
    assert_eq!(value("b", "LR 0.1", 199.0)["published"], 10.25);
    let last = value("b", "LR 0.1", 199.0);
    assert_eq!(last["ours"]["x"][0], 2.0, "the last of three epochs");
    assert_eq!(last["verdict"], "order only", "the scale differs");
    for (curve, x, why) in [("LR 0.15", 199.0, "was not trained"), ("LR 0.1", 110.0, "a tenth of one epoch")] {
        let value = value("b", curve, x);
        assert!(value["ours"].is_null() && value["verdict"] == "no counterpart", "{why}: {value}");
    }
    let orders = json["figures"][0]["carries_over"].as_array().unwrap();
    let both = serde_json::json!(["LR 0.1", "LR 0.2"]);
    assert!(orders.iter().any(|order| order["curves"] == both && order["x"][0] == 199.0), "{orders:?}");
    assert!(orders.iter().all(|order| order["verdict"] == "not known"), "one seed shows no order: {orders:?}");
    let told = environment.run(&tiny(&["compare", "fig3"]));
    assert!(told.stdout.contains("LR 0.1 10.25 < LR 0.2 14.7"), "{}", told.stdout);
    assert_eq!(environment.run(&["compare", "fig3/trunk"]).code, Some(2));
}

#[test]
fn what_a_profile_says_of_itself_is_not_said_of_what_was_set() {
    let environment = Environment::new();
    let said = |sets: &[&str]| environment.run(&[&["make", "fig3a", "-n"], sets].concat()).stderr;
    let words = "built-in images, a tiny network";
    assert!(said(&[]).contains(words), "{}", said(&[]));
    let set = said(&["--set", "data.source=cifar10", "--set", "init.width=64"]);
    assert!(set.contains("profile smoke") && !set.contains(words), "{set}");
}

#[test]
fn seeds_are_added_until_the_intervals_are_narrow() {
    let environment = Environment::new();
    let looked = environment.run(&Environment::tiny("fig3b", &["--until-width", "1000", "--dry-run"]));
    assert!(looked.stderr.contains("only the first look is shown"), "{}", looked.stderr);
    let stopped = environment.run(&Environment::tiny("fig3b", &["--until-width", "1000", "--budget", "0s"]));
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("stopped at 1 seed: "), "{}", stopped.stderr);
    // `--ci` is the former name.
    let ended = environment.run(&Environment::tiny("fig3b", &["--ci", "1000", "--name", "narrow"]));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for part in ["1 seed: the widest 95 % interval is not known yet", "all intervals are at most 1000 wide"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    let numbers = std::fs::read_to_string(environment.path("reports/smoke/narrow.csv")).unwrap();
    let heading = numbers.lines().next().unwrap().split(',').position(|name| name == "n").unwrap();
    let fewest = numbers.lines().skip(1).filter_map(|line| line.split(',').nth(heading)?.parse::<u32>().ok()).min();
    assert!(fewest >= Some(3), "{numbers}");
    // With so few images, some errors are equal in three runs, which does not show that they always are.
    assert!(ended.stderr.contains("3 seeds: the widest 95 % interval is not known yet"), "{}", ended.stderr);
    let svg = std::fs::read_to_string(environment.path("reports/smoke/narrow.svg")).unwrap();
    let runs = fewest.unwrap();
    assert!(svg.contains(&format!("are means over {runs} runs")), "the figure states its number of runs");
    for (arguments, message) in [
        (&["make", "fig3b", "--until-width", "x"][..], "a number above 0 is needed"),
        (&["make", "fig3b", "--budget", "2h"], "--until-width"),
        (&["make", "fig3/init", "--until-width", "1"], "--until-width needs a figure"),
    ] {
        let ended = environment.run(arguments);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(message), "{}", ended.stderr);
    }
}

#[test]
fn a_new_pipeline_is_made_as_it_is_and_shown_on_a_page() {
    let environment = Environment::new();
    let pipelines = environment.path("mine");
    let run = |arguments: &[&str], code: i32| {
        let ended = environment.run_with(&pipelines, arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        ended
    };
    run(&["new", "my-figure"], 0);
    let again = run(&["new", "my-figure"], 2);
    assert!(again.stderr.contains("already exists"), "{}", again.stderr);
    for name in ["all", "Fig", "../x", "", "1a"] {
        run(&["new", name], 2);
    }
    run(&["report"], 3);
    let small =
        ["--set", "init.width=1", "--set", "run.epochs=1", "--set", "data.train=60", "--set", "trace.images=20"];
    run(&[&["make", "all", "--device", "cpu"], &small[..]].concat(), 0);
    let page = std::fs::read_to_string(environment.file("index", "html")).unwrap();
    for part in ["my-figure", "The large learning rate ends at a lower test error.", "undecided", "Pipeline: "] {
        assert!(page.contains(part), "{part}");
    }
    run(&[&["report"], &small[..]].concat(), 0);
    assert_eq!(page, std::fs::read_to_string(environment.file("index", "html")).unwrap());
}

/// Twelve curves that begin at a loss of 0 on a logarithmic axis, and a heat map with a row for a noise of 0.
const EDGES: &str = r#"
title = "Edge cases of drawing"
[settings]
lr = [0.05, 0.1, 0.15, 0.2]
noise = [0.0, 0.25, 0.5]
[stage.valley]
kind = "valley"
lr = "$lr"
noise = "$noise"
steps = 20
every = 10
flow_lr = 0.01
flow_steps = 10
seed = 0
[[panel]]
id = "a"
x = { label = "Step" }
y = { label = "Loss", scale = "log" }
[[panel.curve]]
from = "valley"
table = "tuned"
x = "step"
y = "loss"
per = ["lr", "noise"]
label = "η = {lr}, σ = {noise}"
[[panel]]
id = "b"
x = { label = "η", scale = "log" }
y = { label = "σ", scale = "log" }
[[panel.curve]]
from = "valley"
table = "optimum"
mark = "heat"
x = "$lr"
y = "$noise"
z = "x + 10 * $lr + $noise"
label = "optimum"
[profile.smoke]
about = "drawing"
"#;

#[test]
fn make_warns_of_numbers_that_are_not_drawn_where_they_belong() {
    let environment = Environment::new();
    let pipelines = environment.path("mine");
    std::fs::create_dir(&pipelines).unwrap();
    std::fs::write(pipelines.join("edges.toml"), EDGES).unwrap();
    let ended = environment.run_with(&pipelines, &["make", "edges", "--json", "-q"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let warning =
        "edges: panel a, 12 curves, the first `η = 0.05, σ = 0`: 20 values are 0, which a log axis cannot show";
    assert!(ended.stderr.contains(&format!("warning: {warning}")), "{}", ended.stderr);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let notices = json["notices"].as_array().unwrap();
    assert!(notices.iter().any(|notice| notice.as_str().unwrap().starts_with(warning)), "{notices:?}");
    assert!(!ended.stderr.contains("panel b") && !ended.stderr.contains("look the same"), "{}", ended.stderr);
    let svg = std::fs::read_to_string(environment.path("reports/smoke/edges.svg")).unwrap();
    assert_eq!(svg.matches("font-size=\"10\"").count(), 12, "every run has its cell");
    assert!(svg.contains(">0<") && svg.contains("stroke-dasharray=\"11 2.5 2 2.5\""), "{svg}");
    assert!(svg.contains("In (a), triangles at the edge are "), "{svg}");
}
