//! Garbage collection frees space, keeps pinned and locked objects, and recomputes damaged ones. The tests use a figure
//! that needs no training.

use std::os::unix::fs::PermissionsExt;

use super::environment::{Ended, Environment, number};

fn json(environment: &Environment, arguments: &[&str]) -> serde_json::Value {
    let ended = environment.run(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {}", ended.stdout))
}

fn says(environment: &Environment, arguments: &[&str]) -> String {
    let Ended { code, stdout, stderr } = environment.run(arguments);
    assert_eq!(code, Some(0), "{arguments:?}: {stderr}");
    stdout + &stderr
}

const MAKE: [&str; 3] = ["make", "fig4", "--json"];
/// A garbage collection that removes everything it is allowed to remove.
const SQUEEZE: [&str; 7] = ["cache", "gc", "--grace", "0", "--keep-bytes", "0", "--json"];

#[test]
fn room_is_made_of_what_can_be_computed_again_and_pins_and_locks_hold() {
    let environment = Environment::new();
    assert!(number(&json(&environment, &MAKE), "stages_run") > 1);
    let objects = environment.files("objects").len() as u64;
    let none = json(&environment, &["cache", "gc", "--grace", "0", "--recent", "0", "--json"]);
    assert_eq!(number(&none, "removed_objects"), 0, "the pipelines need all of it: {none}");
    let young = json(&environment, &["cache", "gc", "--keep-bytes", "0", "--json"]);
    assert_eq!(number(&young, "removed_objects"), 0, "{young}");

    let would = json(&environment, &[&SQUEEZE[..], &["--dry-run"]].concat());
    assert_eq!((number(&would, "objects"), number(&would, "not_again")), (objects, 0), "{would}");
    assert!(would["seconds_again"].as_f64().unwrap() > 0.0 && would["removed_objects"].is_null(), "{would}");
    let text = says(&environment, &["cache", "gc", "--grace", "0", "--keep-bytes", "0", "-n"]);
    assert!(
        text.contains("would remove") && text.contains("recomputed in") && text.contains("recomputing all of it"),
        "{text}"
    );

    says(&environment, &["cache", "pin", "fig4", "--reason", "the rebuttal"]);
    let pins = says(&environment, &["cache", "pins"]);
    assert!(pins.contains("fig4@smoke") && pins.contains("the rebuttal"), "{pins}");
    assert_eq!(says(&environment, &["cache", "pin"]), pins);
    let text = says(&environment, &["cache", "gc", "--grace", "0", "--keep-bytes", "1kB"]);
    assert!(text.contains("removed 0 objects") && text.contains("more than --keep-bytes"), "{text}");
    says(&environment, &["cache", "unpin", "fig4@smoke"]);
    let ended = environment.run(&["cache", "unpin", "fig4@smoke"]);
    assert!(ended.code == Some(3) && ended.stderr.contains("wdpipe cache pins"), "{}", ended.stderr);

    // The files of a locked figure stay; the data that they were drawn from can be removed.
    says(&environment, &["lock", "fig4"]);
    let squeezed = json(&environment, &SQUEEZE);
    let stay = environment.files("objects").len() as u64;
    assert_eq!((number(&squeezed, "removed_objects"), stay >= 3), (objects - stay, true), "{squeezed}");
    assert_eq!(number(&json(&environment, &MAKE), "stages_run"), 0);
    std::fs::remove_dir_all(environment.path("reports")).unwrap();
    assert_eq!(number(&json(&environment, &SQUEEZE), "removed_objects"), stay);
    assert!(number(&json(&environment, &MAKE), "stages_run") >= 1);
}

#[test]
fn a_variant_that_was_made_lately_stays_and_says_where_the_space_goes() {
    let environment = Environment::new();
    json(&environment, &[&MAKE[..], &["--set", "valley.steps=200"]].concat());
    let gc = |recent| json(&environment, &["cache", "gc", "--grace", "0", "--recent", recent, "--json", "-n"]);
    assert_eq!(number(&gc("7"), "objects"), 0);
    assert_eq!(number(&gc("0"), "objects"), environment.files("objects").len() as u64);

    json(&environment, &MAKE);
    let stats = json(&environment, &["cache", "stats", "--json"]);
    let figures = stats["figures"].as_array().unwrap();
    let fig4 = figures.iter().find(|figure| figure["name"] == "fig4" && figure["profile"] == "smoke").unwrap();
    assert!(number(fig4, "known") == number(fig4, "stages") && number(fig4, "present") > 0, "{fig4}");
    assert!(number(fig4, "own_bytes") + number(fig4, "shared_bytes") < number(&stats, "stored_bytes"));
    assert!(says(&environment, &["cache", "stats"]).contains("fig4"));
    for (by, name) in [("kind", "figure"), ("stage", "fig4"), ("figure", "fig4 (smoke)")] {
        let du = json(&environment, &["cache", "du", "--by", by, "--json"]);
        let rows = du["rows"].as_array().unwrap();
        assert!(rows.iter().any(|row| row["name"].as_str().unwrap().contains(name)), "{by}: {du}");
        assert!(rows.windows(2).all(|pair| number(&pair[0], "bytes") >= number(&pair[1], "bytes")), "{du}");
        let sum: u64 = rows.iter().map(|row| number(row, "bytes")).sum();
        assert!(if by == "figure" { sum >= number(&du, "bytes") } else { sum == number(&du, "bytes") }, "{du}");
    }
    assert!(says(&environment, &["cache", "du", "--rows", "1"]).contains("in all"));
}

#[test]
fn what_is_damaged_is_computed_again_with_the_recorded_hash() {
    let environment = Environment::new();
    json(&environment, &MAKE);
    let files = environment.files("objects");
    let good: Vec<_> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    for file in &files {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o644)).unwrap();
        std::fs::write(file, "damaged").unwrap();
    }
    let ended = environment.run(&["cache", "check"]);
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    // The damaged files are now in the quarantine, where the next check finds them.
    let repaired = json(&environment, &["cache", "check", "--repair", "--json"]);
    let outcomes = repaired["repair"].as_array().unwrap();
    assert_eq!(outcomes.len(), files.len(), "{repaired}");
    assert!(outcomes.iter().all(|outcome| outcome["repaired"] == true), "{repaired}");
    let again: Vec<_> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(again == good, "the same bytes as before");
    assert_eq!(number(&json(&environment, &MAKE), "stages_run"), 0);
    assert!(json(&environment, &["cache", "check", "--repair", "--json"])["repair"].as_array().unwrap().is_empty());
}

#[test]
fn a_table_that_nobody_can_read_is_found() {
    let environment = Environment::new();
    assert!(number(&json(&environment, &MAKE), "stages_run") > 1);
    says(&environment, &["cache", "check"]);
    // A table with one column of zeros, as a wdpipe that does not check the size would write it.
    let (rows, name) = (3_u64 << 20, "loss");
    let mut table = [&b"WDta\x01\x00"[..], &1_u64.to_le_bytes(), &4_u64.to_le_bytes(), name.as_bytes()].concat();
    table.extend([&1_u32.to_le_bytes()[..], &rows.to_le_bytes(), &vec![0; 8 * rows as usize]].concat());
    let object = store::Store::open(&environment.path("cache")).unwrap().put(&table).unwrap();
    let check = environment.run(&["cache", "check"]);
    assert_eq!(check.code, Some(4), "{}", check.stdout);
    assert!(check.stdout.contains(&format!("object {object} cannot be read")), "{}", check.stdout);
    let json = environment.run(&["cache", "check", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(json["unreadable_objects"], serde_json::json!([object.to_string()]));
}
