//! `wdpipe bench` measures the named operations and leaves no files behind.

use crate::environment::Environment;

fn measured(environment: &Environment, arguments: &[&str]) -> Vec<serde_json::Value> {
    let ended = environment.run(&[&["bench"], arguments, &["--seconds", "0", "--json"]].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let all = json["measured"].as_array().unwrap().clone();
    for one in &all {
        let [low, median, high] = ["ms_p10", "ms_median", "ms_p90"].map(|name| one[name].as_f64().unwrap());
        assert!(0.0 < low && low <= median && median <= high && one["items_per_s"].as_f64().unwrap() > 0.0, "{one}");
    }
    all
}

#[test]
fn the_store_and_a_plan() {
    let environment = Environment::new();
    let all = measured(&environment, &["store", "plan"]);
    let names: Vec<_> = all.iter().map(|one| one["what"].as_str().unwrap()).collect();
    assert_eq!(names, ["store write", "store read", "plan of the paper's profile"]);
    assert!(all[0]["bytes"].as_f64().unwrap() > 1e7);
    // Nothing is left behind: no store, and no files next to it.
    assert_eq!(std::fs::read_dir(environment.folder.path()).unwrap().count(), 0);
    let table = environment.run(&["bench", "plan", "--seconds", "0"]);
    assert!(table.stdout.contains("of ceiling") && table.stdout.contains("stages"), "{}", table.stdout);
}

#[cfg(feature = "torch")]
#[test]
fn steps_evaluations_and_traces() {
    let environment = Environment::new();
    let sizes = ["--width", "2", "--batch", "4", "--chains", "1,2", "--relaxed", "--device", "cpu"];
    let all = measured(
        &environment,
        &[&["train", "evaluate", "probe", "trace", "exact-trace", "checkpoint"], &sizes[..]].concat(),
    );
    let of = |what: &str| all.iter().filter(|one| one["what"] == what).collect::<Vec<_>>();
    assert_eq!((of("ceiling").len(), of("training step").len()), (1, 4));
    assert_eq!((of("evaluation").len(), of("probe").len(), of("Hessian trace").len()), (2, 2, 2));
    let bytes: Vec<_> = of("checkpoint").iter().map(|one| one["bytes"].as_f64().unwrap()).collect();
    assert!(bytes.len() == 2 && bytes[0] > 1e4 && bytes[1] == 2.0 * bytes[0], "{bytes:?}");
    // Two chains need twice as many operations.
    let flops: Vec<_> = of("training step").iter().map(|one| one["flops"].as_f64().unwrap()).collect();
    assert_eq!((flops[1], flops[2], flops[3]), (flops[0], 2.0 * flops[0], 2.0 * flops[0]));
    let with = |one: &serde_json::Value| one["with"]["bits"].as_str().unwrap().to_owned();
    assert_eq!(of("training step").into_iter().map(with).collect::<Vec<_>>()[..2], ["repeat", "need not repeat"]);
    for one in of("training step") {
        assert!((0.0..1.5).contains(&one["share_of_ceiling"].as_f64().unwrap()), "{one}");
    }
}

#[cfg(not(feature = "torch"))]
#[test]
fn without_libtorch_the_rest_is_measured() {
    let environment = Environment::new();
    let refused = environment.run(&["bench", "train", "--seconds", "0"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("built without libtorch"), "{}", refused.stderr);
    assert_eq!(measured(&environment, &[]).len(), 3);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let environment = Environment::new();
    for (arguments, wanted) in [
        (&["bench", "--network", "alexnet"][..], "vgg16"),
        (&["bench", "--precision", "fp8"], "bf16"),
        (&["bench", "--chains", "0"], "from 1 to 64"),
        (&["bench", "--seconds", "nan"], "0 to 3600"),
        (&["bench", "--seconds", "1e9"], "0 to 3600"),
        (&["bench", "walk"], "possible values"),
    ] {
        let refused = environment.run(arguments);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(wanted), "{}", refused.stderr);
    }
}
