//! Every change to the files of a cache is noticed, and no result is lost.

use super::environment::{Environment, hashes, number};

fn flip_a_byte(path: &std::path::Path, at: usize) {
    use std::os::unix::fs::PermissionsExt;
    let mut bytes = std::fs::read(path).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 1;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn the_index_may_vanish() {
    let environment = Environment::new();
    let first = environment.make("fig3", &[]);
    for file in std::fs::read_dir(environment.path("cache")).unwrap().map(|entry| entry.unwrap().path()) {
        if file.to_string_lossy().contains("sqlite") {
            std::fs::remove_file(file).unwrap();
        }
    }
    let again = environment.make("fig3", &[]);
    assert_eq!((number(&again, "stages_run"), hashes(&again)), (0, hashes(&first)));
}

#[test]
fn every_damaged_object_is_found_and_made_again() {
    let environment = Environment::new();
    let first = environment.make("fig3", &[]);
    let objects = environment.files("objects");
    assert!(objects.len() > 10, "{objects:?}");
    // `make` finds the damage, one object at a time.
    for (i, object) in objects.iter().enumerate().step_by(4) {
        flip_a_byte(object, 7919 * i);
        let ended = environment.run(&Environment::tiny("fig3", &[]));
        let again = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(hashes(&again), hashes(&first), "{}", object.display());
        // Damaged objects that no stage needs are reported, but not computed again.
        let is_noticed = number(&again, "stages_run") >= 1 || ended.stderr.contains("found damaged");
        assert!(is_noticed, "damage of {} was not noticed: {}", object.display(), ended.stderr);
    }
    // `cache check` finds all damage at once.
    let objects = environment.files("objects");
    objects.iter().for_each(|object| flip_a_byte(object, 1234));
    let check = environment.run(&["cache", "check", "--json"]);
    assert_eq!(check.code, Some(4), "{}", check.stderr);
    let report: serde_json::Value = serde_json::from_str(&check.stdout).unwrap();
    assert_eq!(report["damaged_objects"].as_array().unwrap().len(), objects.len());
    let again = environment.make("fig3", &[]);
    assert_eq!(hashes(&again), hashes(&first));
    assert_eq!(environment.run(&["cache", "check"]).code, Some(0));
}

#[test]
fn damaged_records_are_computed_again() {
    let environment = Environment::new();
    let first = environment.make("fig3", &[]);
    for (i, record) in environment.files("records").iter().enumerate() {
        flip_a_byte(record, 31 * i + 5);
    }
    let again = environment.make("fig3", &[]);
    assert_eq!(hashes(&again), hashes(&first));
    assert_eq!(number(&again, "stages_run"), number(&first, "stages_run"));
}
