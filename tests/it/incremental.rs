//! Only new or changed stages run.

use super::environment::{Environment, STAGES, hashes, number};

/// Returns the names of the stages that would run.
fn would_run(environment: &Environment, target: &str, sets: &[&str]) -> Vec<String> {
    let mut more = vec!["--dry-run"];
    more.extend(sets.iter().flat_map(|set| ["--set", *set]));
    let plan = environment.make(target, &more);
    plan["run"].as_array().unwrap().iter().map(|run| run["stage"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_figure_is_made_once() {
    let environment = Environment::new();
    let first = environment.make("fig3", &[]);
    assert_eq!((number(&first, "stages_total"), number(&first, "stages_run")), (STAGES, STAGES));
    let outputs = first["outputs"].as_array().unwrap();
    for (output, extension) in outputs.iter().zip(["svg", "png", "pdf", "csv"]) {
        let path = output["path"].as_str().unwrap();
        assert_eq!(environment.path(path), environment.file("fig3", extension));
        let bytes = std::fs::read(environment.path(path)).unwrap();
        assert_eq!(blake3::hash(&bytes).to_string(), output["blake3"].as_str().unwrap());
    }
    let again = environment.make("fig3", &[]);
    assert_eq!((number(&again, "stages_run"), number(&again, "stages_cached")), (0, STAGES));
    assert_eq!(hashes(&again), hashes(&first));
    // A panel needs only a new drawing. A stage has nothing to run.
    assert_eq!(would_run(&environment, "fig3c", &[]), ["fig3c"]);
    assert!(would_run(&environment, "fig3/trunk[lr=0.1]", &[]).is_empty());
}

#[test]
fn a_changed_learning_rate_runs_its_branch_only() {
    let environment = Environment::new();
    environment.make("fig3", &[]);
    let run = would_run(&environment, "fig3", &["lr=[0.1,0.3]"]);
    let branch = run.iter().filter(|name| name.contains("lr=0.3")).count();
    assert_eq!((branch, run.len()), (8, 9), "{run:?}");
    assert_eq!(run.last().unwrap(), "fig3");
    let made = environment.make("fig3", &["--set", "lr=[0.1,0.3]"]);
    assert_eq!(number(&made, "stages_run"), 9);
    // With the old value again, every stage is cached.
    assert_eq!(number(&environment.make("fig3", &[]), "stages_run"), 0);
}

#[test]
fn longer_training_adds_segments() {
    let environment = Environment::new();
    environment.make("fig3a", &[]);
    let run = would_run(&environment, "fig3a", &["decay.epochs=2"]);
    let wanted = [
        "fig3/decay[lr=0.1,seed=0]@4",
        "fig3/decay[lr=0.2,seed=0]@4",
        "fig3/ema_decay[lr=0.1,seed=0]@4",
        "fig3/ema_decay[lr=0.2,seed=0]@4",
        "fig3a",
    ];
    assert_eq!(run, wanted);
}

#[test]
fn results_do_not_depend_on_jobs_nor_on_the_cache() {
    let (one, two) = (Environment::new(), Environment::new());
    let (first, second) = (one.make("fig3", &["--jobs", "1"]), two.make("fig3", &["--jobs", "2"]));
    assert_eq!(hashes(&first), hashes(&second));
    // Every object that one run made, the other made too.
    let names = |environment: &Environment| -> Vec<_> {
        let root = environment.path("cache");
        environment.files("objects").iter().map(|path| path.strip_prefix(&root).unwrap().to_owned()).collect()
    };
    assert_eq!(names(&one), names(&two));
}

#[test]
fn stages_can_be_looked_at() {
    let environment = Environment::new();
    environment.make("fig3", &[]);
    let sets: Vec<&str> = super::environment::TINY.iter().flat_map(|set| ["--set", *set]).collect();
    let run = |arguments: &[&str]| {
        let ended = environment.run(&[arguments, &sets].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    };
    let stage = "fig3/trunk[lr=0.1,seed=0]@1";
    assert!(
        run(&["show", stage, "--csv"]).starts_with("epoch,lr,train_loss,train_error,test_loss,test_error,norm\n0,0.1,")
    );
    let explained = run(&["explain", stage]);
    for part in ["cached", "input weights", "from fig3/init[seed=0]", "wd", "policy threads"] {
        assert!(explained.contains(part), "{part}: {explained}");
    }
    let changed = run(&["explain", stage, "--set", "trunk.wd=0.5"]);
    assert!(changed.contains("would run: wd: 0.024 → 0.5"), "{changed}");
    assert!(run(&["status", "fig3"]).contains("fig3/trunk"));
    assert!(run(&["graph", "fig3c"]).contains("fig3/trace"));
    assert!(run(&["graph", "fig3", "--format", "dot"]).starts_with("digraph"));
    let weights = run(&["show", stage, "--output", "weights", "--to", "w.safetensors"]);
    assert!(weights.is_empty());
    let file = std::fs::read(environment.path("w.safetensors")).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&file).unwrap();
    assert_eq!(tensors.tensor("stem.weight").unwrap().shape(), [1, 3, 3, 3]);
    let stats = environment.run(&["cache", "stats", "--json"]);
    assert!(stats.stdout.contains("\"train\""), "{}", stats.stdout);
    let gc = environment.run(&["cache", "gc", "--grace", "0", "--json"]);
    assert_eq!(gc.code, Some(0), "{}", gc.stderr);
}
