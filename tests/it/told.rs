//! Information about work: costs, the stages that would run, the origin of settings.

use super::environment::{Environment, number};

fn json(environment: &Environment, arguments: &[&str]) -> serde_json::Value {
    let ended = environment.run(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn stages_whose_arithmetic_is_not_counted_take_what_they_took() {
    let environment = Environment::new();
    json(&environment, &["make", "fig4", "--json"]);
    let planned = json(&environment, &["make", "fig4", "--set", "seed=[0,7]", "-n", "--json"]);
    let run = planned["run"].as_array().unwrap();
    assert!(run.len() >= 2 && run.iter().all(|stage| stage["seconds"].as_f64().unwrap() > 0.0), "{planned}");
    assert!(planned["seconds"].as_f64().unwrap() > 0.0);
}

#[test]
fn of_a_device_that_is_not_here_no_time_is_told() {
    let environment = Environment::new();
    let dry = ["make", "fig3", "-n", "--device", "cuda:77", "--set", "policy=native"];
    let ended = environment.run(&dry);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("the duration of the stages there is unknown"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("of computing") && !ended.stdout.contains("0.3 s"), "{}", ended.stdout);
    let planned = json(&environment, &[&dry[..], &["--json"]].concat());
    assert!(planned["seconds"].is_null() && planned["run"][0]["seconds"].is_null(), "{planned}");
}

#[test]
fn the_outputs_of_a_kind_are_the_files_of_its_objects() {
    let environment = Environment::new();
    json(&environment, &["make", "fig4", "--json"]);
    let stats = json(&environment, &["cache", "stats", "--json"]);
    let kinds = stats["kinds"].as_object().unwrap();
    let sum = |name: &str| -> u64 { kinds.values().map(|kind| number(kind, name)).sum() };
    let on_disk = |folder: &str| -> u64 {
        environment.files(folder).iter().map(|path| std::fs::metadata(path).unwrap().len()).sum()
    };
    let kept = number(&stats, "stored_bytes");
    assert_eq!(
        (sum("bytes"), sum("record_bytes")),
        (kept - loose(&environment, kept, sum("bytes")), on_disk("records"))
    );
    assert!(number(&kinds["figure"], "bytes") > number(&kinds["figure"], "record_bytes"));
}

/// Returns the bytes of objects that belong to no stage, such as those of `doctor`.
fn loose(environment: &Environment, all: u64, of_stages: u64) -> u64 {
    let du = json(environment, &["cache", "du", "--by", "kind", "--json"]);
    let rows = du["rows"].as_array().unwrap();
    let none: u64 = rows.iter().filter(|row| row["name"] == "of no stage").map(|row| number(row, "bytes")).sum();
    assert_eq!(of_stages + none, all);
    none
}

#[test]
fn status_and_make_agree_about_damage_that_nothing_needs() {
    let looks: [&[&str]; 3] =
        [&["status", "fig4", "--json"], &["make", "fig4", "-n", "--json"], &["make", "fig4", "--json"]];
    // The first command finds the damage and moves the object aside.
    for first in 0..looks.len() {
        let environment = Environment::new();
        json(&environment, &["make", "fig4", "--json"]);
        let table = json(&environment, &["explain", "fig4/valley[seed=0]", "--json"]);
        let outputs = table[0]["outputs"].as_object().unwrap().values();
        let file = |output: &serde_json::Value| {
            let object = output["blake3"].as_str().unwrap();
            environment.path("cache/objects").join(&object[..2]).join(&object[2..])
        };
        // Small outputs are in the record.
        let path = outputs.map(file).find(|path| path.exists()).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "damaged").unwrap();
        for (at, look) in looks.iter().cycle().skip(first).take(3).enumerate() {
            let ended = environment.run(look);
            let told: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
            let runs = if look.contains(&"-n") || look[0] == "status" { "stages_to_run" } else { "stages_run" };
            assert_eq!(number(&told, runs), 0, "{look:?}: {told}");
            assert_eq!(ended.stderr.contains("found damaged"), at == 0, "{look:?}: {}", ended.stderr);
        }
    }
}

#[test]
fn a_stage_that_waits_says_its_parameters_and_where_they_are_from() {
    let environment = Environment::new();
    std::fs::create_dir(environment.path("p")).unwrap();
    let text = include_str!("../../pipelines/fig3.toml");
    std::fs::write(environment.path("p/fig3.toml"), text).unwrap();
    let line = |start: &str| text.lines().position(|line| line.starts_with(start)).unwrap() + 1;
    let explain = |more: &[&str]| {
        let ended =
            environment.run(&[&["explain", "fig3/probe", "--pipelines", "p", "--limit", "1"][..], more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout
    };
    let waits = explain(&[]);
    assert!(waits.contains("would run: waits for") && waits.contains("model.width"), "{waits}");
    let smoke = line("[profile.smoke]");
    let of_profile = waits.lines().filter(|line| line.contains("profile smoke at p/fig3.toml:")).collect::<Vec<_>>();
    assert!(!of_profile.is_empty() && of_profile.iter().any(|line| line.contains(", instead of ")), "{waits}");
    for told in of_profile {
        let number: usize = told
            .split("p/fig3.toml:")
            .nth(1)
            .unwrap()
            .split(|c: char| !c.is_ascii_digit())
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(number > smoke, "{told}");
    }
    assert!(waits.contains("from the stage `init`"), "{waits}");
    let set = explain(&["--set", "init.width=2"]);
    assert!(
        set.lines().any(|line| line.contains("model.width") && line.contains("--set 'init.width=2', instead of")),
        "{set}"
    );
    let objects: serde_json::Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    assert!(objects[0]["key"].is_null() && objects[0]["parameters"]["lr"].is_string(), "{objects}");
    assert!(objects[0]["origins"]["lr"].as_str().unwrap().contains("p/fig3.toml:"), "{objects}");
}
