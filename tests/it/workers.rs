//! Several workers compute the stages of one run: `make --executor`, `work`, `jobs`, `attach` and `cancel`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::environment::{Ended, Environment, ended};

/// Times of runs that are short enough for tests.
const TIMES: &str = "beat=0.1s,patience=1s,ask=0.2s,top-up=0.2s";
/// Figure 4 in less than a second of computing: five runs and the drawing.
const FIGURE: [&str; 6] = ["fig4", "--set", "valley.steps=100", "--set", "seed=[0,1,2,3,4]", "--json"];
const STAGES: usize = 6;
/// A time for what never takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

fn make(environment: &Environment, executor: &str, times: &str, more: &[&str]) -> Ended {
    let mut command = environment.command(&[&["make"], &FIGURE[..], &["--executor", executor], more].concat());
    ended(&command.env("WDPIPE_TIMES", times).output().unwrap())
}

fn json(environment: &Environment, arguments: &[&str]) -> Value {
    let ended = environment.run(&[arguments, &["--json"]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

/// Returns the only run of the cache.
fn run(environment: &Environment) -> String {
    let runs = json(environment, &["jobs"]);
    let [one] = &runs.as_array().unwrap()[..] else { panic!("{runs}") };
    one["run"].as_str().unwrap().to_owned()
}

pub fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Names of the files in the store's folder of objects and records.
fn results(environment: &Environment) -> BTreeSet<PathBuf> {
    let root = environment.path("cache");
    let below = |name| environment.files(name).into_iter();
    below("objects").chain(below("records")).map(|path| path.strip_prefix(&root).unwrap().to_owned()).collect()
}

fn objects(environment: &Environment) -> BTreeSet<PathBuf> {
    results(environment).into_iter().filter(|path| path.starts_with("objects")).collect()
}

/// Numbers of the processes that were started as workers.
fn processes(environment: &Environment) -> Vec<i32> {
    let inside = |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let logs = inside(environment.path("cache/runs")).flat_map(|run| inside(run.join("logs")));
    let numbers = logs.filter(|path| path.extension().is_some_and(|extension| extension == "pid"));
    numbers.filter_map(|path| std::fs::read_to_string(path).ok()?.split(' ').next()?.parse().ok()).collect()
}

fn nothing_is_left_over(environment: &Environment) {
    assert_eq!(environment.files("tmp"), Vec::<PathBuf>::new());
    nothing_is_damaged(environment);
}

/// Checks what holds even after processes were killed, which can leave the temporary file that they were writing.
fn nothing_is_damaged(environment: &Environment) {
    for folder in ["claims", "quarantine"] {
        assert_eq!(environment.files(folder), Vec::<PathBuf>::new());
    }
    let check = environment.run(&["cache", "check"]);
    assert_eq!(check.code, Some(0), "{}", check.stderr);
}

#[test]
fn several_workers_make_what_one_process_makes() {
    let (alone, together) = (Environment::new(), Environment::new());
    assert_eq!(alone.run(&[&["make"], &FIGURE[..]].concat()).code, Some(0));
    let made = make(&together, "local:3", TIMES, &[]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let answer: Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!(answer["stages_run"], STAGES, "{answer}");
    assert_eq!(objects(&alone), objects(&together));
    let bytes = |environment: &Environment| std::fs::read(environment.file("fig4", "csv")).unwrap();
    assert_eq!(bytes(&alone), bytes(&together));
    // No stage has two records.
    assert_eq!(together.files("records").len(), STAGES);
    nothing_is_left_over(&together);

    let name = run(&together);
    let state = json(&together, &["jobs", &name]);
    assert_eq!((&state["state"], &state["stages_left"]), (&"complete".into(), &0.into()), "{state}");
    let workers = state["workers"].as_array().unwrap();
    assert_eq!(workers.iter().map(|worker| worker["computed"].as_u64().unwrap()).sum::<u64>(), STAGES as u64);
    // The logs of workers, and of a stage.
    let log = together.run(&["jobs", &name, "--log", workers[0]["name"].as_str().unwrap()]);
    assert!(log.stdout.contains(&format!("of run {name}")), "{}", log.stdout);
    let log = together.run(&["jobs", &name, "--log", "fig4/valley[seed=2]"]);
    assert!(log.stdout.contains("fig4/valley[seed=2]"), "{}", log.stdout);
    // Again, there is nothing to do.
    let again = make(&together, "local:3", TIMES, &[]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let answer: Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((&answer["stages_run"], &answer["stages_cached"]), (&0.into(), &STAGES.into()));
    assert_eq!(together.run(&["jobs", "--prune"]).code, Some(0));
    assert_eq!(json(&together, &["jobs"]), Value::Array(Vec::new()));
    assert_eq!(results(&together).len(), results(&alone).len(), "the results are kept");
}

#[test]
fn a_run_is_left_found_again_and_continued() {
    let environment = Environment::new();
    let slow = format!("{TIMES},linger=0.5s");
    let made = make(&environment, "local:2", &slow, &["--detach"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let answer: Value = serde_json::from_str(&made.stdout).unwrap();
    let name = answer["run"].as_str().unwrap();
    assert_eq!((&answer["workers_submitted"], &answer["stages_to_run"]), (&2.into(), &STAGES.into()));
    // The same command finds the run, and submits nothing that is there.
    let made = make(&environment, "local:2", &slow, &["--detach"]);
    let answer: Value = serde_json::from_str(&made.stdout).unwrap();
    assert_eq!((answer["run"].as_str(), &answer["workers_submitted"]), (Some(name), &0.into()), "{}", made.stderr);
    let attached = json(&environment, &["attach", name]);
    assert_eq!((attached["run"].as_str(), attached["outputs"].as_array().unwrap().len()), (Some(name), 4));
    assert!(environment.file("fig4", "svg").exists());
    wait_for("the workers end", || json(&environment, &["jobs", name])["workers_running"] == 0);
    nothing_is_left_over(&environment);
}

#[test]
fn a_cancelled_run_stops_and_can_be_continued() {
    let environment = Environment::new();
    let slow = format!("{TIMES},linger=60s");
    let made = make(&environment, "local:2", &slow, &["--detach"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let name = run(&environment);
    let workers = || json(&environment, &["jobs", &name])["workers"].as_array().unwrap().len();
    wait_for("the workers begin", || workers() == 2);
    assert_eq!(json(&environment, &["cancel", &name])["jobs"].as_array().unwrap().len(), 1);
    assert_eq!(json(&environment, &["jobs", &name])["state"], "cancelled");
    let attached = environment.run(&["attach", &name]);
    assert_eq!(attached.code, Some(130), "{}", attached.stderr);
    nothing_is_left_over(&environment);
    // Other times make another run of the same stages.
    let made = make(&environment, "local:2", TIMES, &[]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
}

#[test]
fn killed_workers_are_replaced_and_lose_nothing() {
    let (alone, environment) = (Environment::new(), Environment::new());
    assert_eq!(alone.run(&[&["make"], &FIGURE[..]].concat()).code, Some(0));
    let times = format!("{TIMES},linger=0.4s");
    let mut command = environment.command(&[&["make"], &FIGURE[..], &["--executor", "local:2"]].concat());
    command.env("WDPIPE_TIMES", times).env("WDPIPE_HEARTBEAT", "0.1s");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut killed = BTreeSet::new();
    let begun = Instant::now();
    while killed.len() < 3 {
        assert!(begun.elapsed() < PATIENCE, "three workers are killed: {killed:?}");
        std::thread::sleep(Duration::from_millis(100));
        if let Some(process) = processes(&environment).into_iter().find(|process| !killed.contains(process)) {
            killed.insert(process);
            std::thread::sleep(Duration::from_millis(300));
            // SAFETY: plain values; the process is a worker of this test.
            unsafe { libc::kill(process, libc::SIGKILL) };
        }
    }
    let made = ended(&child.wait_with_output().unwrap());
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert_eq!(objects(&alone), objects(&environment));
    // A worker killed between its record and the end of its claim leaves the claim, and nobody needs the stage any
    // more: gc removes it.
    let swept = environment.run(&["cache", "gc", "--dry-run"]);
    assert_eq!(swept.code, Some(0), "{}", swept.stderr);
    nothing_is_damaged(&environment);
}

#[test]
fn a_worker_takes_only_runs_of_this_program() {
    let environment = Environment::new();
    let made = make(&environment, "local:1", TIMES, &[]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let name = run(&environment);
    let request = environment.path(&format!("cache/runs/{name}/request.json"));
    let text = std::fs::read_to_string(&request).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["program"] = "0".repeat(64).into();
    std::fs::write(&request, value.to_string()).unwrap();
    let worker = environment.run(&["work", &name]);
    assert_eq!(worker.code, Some(2), "{}", worker.stderr);
    assert!(worker.stderr.contains("another program"), "{}", worker.stderr);
    // A request that others could have written is not carried out.
    std::fs::write(&request, text).unwrap();
    std::fs::set_permissions(&request, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let worker = environment.run(&["work", &name]);
    assert_eq!(worker.code, Some(4), "{}", worker.stderr);
    // A broken request is an error, not a panic.
    std::fs::set_permissions(&request, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for broken in ["", "{}", "[1]", "\u{0}"] {
        std::fs::write(&request, broken).unwrap();
        let worker = environment.run(&["work", &name]);
        assert_eq!(worker.code, Some(4), "{broken:?}: {}", worker.stderr);
        assert_eq!(environment.run(&["jobs"]).code, Some(0));
    }
}

#[test]
fn mistakes_are_named_before_anything_is_submitted() {
    let environment = Environment::new();
    for (arguments, said) in [
        (&["make", "fig4", "--executor", "local"][..], "local:N"),
        (&["make", "fig4", "--executor", "local:0"], "local:N"),
        (&["make", "fig4", "--executor", "pbs"], "slurm"),
        (&["make", "fig4", "--detach"], "--executor"),
        (&["make", "fig4", "--executor", "local:2", "--until-width", "1"], "--until-width"),
        (&["jobs", "--log", "x"], "RUN"),
        (&["work", "nothing"], "8 hexadecimal digits"),
        (&["attach", "../../etc"], "8 hexadecimal digits"),
    ] {
        let ended = environment.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{arguments:?}: {}", ended.stderr);
    }
    let wrong = make(&environment, "local:2", "beat=soon", &[]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("WDPIPE_TIMES"), "{}", wrong.stderr);
    assert_eq!(environment.run(&["make", "fig4/valley[seed=0]", "--set", "valley.steps=10"]).code, Some(0));
    for command in ["work", "attach", "cancel", "jobs"] {
        let ended = environment.run(&[command, "0123abcd"]);
        assert_eq!(ended.code, Some(2), "{command}: {}", ended.stderr);
        assert!(ended.stderr.contains("there is no run 0123abcd"), "{command}: {}", ended.stderr);
    }
}

#[test]
fn a_dry_run_describes_the_workers_and_starts_none() {
    let environment = Environment::new();
    let planned = make(&environment, "local:3", TIMES, &["--dry-run"]);
    assert_eq!(planned.code, Some(0), "{}", planned.stderr);
    assert!(planned.stderr.contains("would run on local by 3 workers (this machine"), "{}", planned.stderr);
    assert!(serde_json::from_str::<Value>(&planned.stdout).unwrap()["machines"]["seconds"]["64"].is_number());
    assert!(!environment.path("cache").exists());
    // More workers than cores are not faster.
    let cores = std::thread::available_parallelism().unwrap().get();
    let estimate = |workers: usize| {
        let executor = format!("local:{workers}");
        let planned = environment.run(&["make", "fig3", "--device", "cpu", "--executor", &executor, "--dry-run"]);
        planned.stderr.rsplit_once(", about ").unwrap().1.to_owned()
    };
    assert_eq!(estimate(cores), estimate(4 * cores));
    // Without Slurm, it says so before anything is submitted.
    let mut command = environment.command(&["make", "fig4", "--dry-run", "--executor", "slurm"]);
    let planned = ended(&command.env("PATH", "/nowhere").output().unwrap());
    assert_eq!(planned.code, Some(3), "{}", planned.stderr);
    assert!(planned.stderr.contains("there is no command `scontrol`"), "{}", planned.stderr);
}
