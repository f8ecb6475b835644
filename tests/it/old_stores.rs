//! Every store that a released wdpipe wrote can still be opened: `tests/fixtures/stores` has one store of each layout.

use std::path::{Path, PathBuf};

use super::environment::{Environment, number};

/// Lists the stores: name, archive, and the folder with the pipeline and its results at the time.
fn stores() -> Vec<(String, PathBuf, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/stores");
    let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter_map(|name| name.strip_suffix(".tar.gz").map(str::to_owned)).collect();
    names.sort();
    names.into_iter().map(|name| (name.clone(), folder.join(format!("{name}.tar.gz")), folder.join(name))).collect()
}

fn unpacked(archive: &Path) -> Environment {
    let environment = Environment::new();
    let file = std::fs::File::open(archive).unwrap();
    assert!(file.metadata().unwrap().len() < 100_000, "fixtures stay small");
    tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(environment.folder.path()).unwrap();
    environment
}

/// Returns the number of stages whose kinds have a new version since a store was written. These stages are computed again
/// although the store is right. Extend this table instead of making the stores again.
fn computed_anew(store: &str) -> u64 {
    match store {
        // `figure` had version 3.
        "v1" => 1,
        _ => 0,
    }
}

#[test]
fn every_store_that_was_ever_written_is_read_and_sound() {
    assert!(!stores().is_empty());
    for (name, archive, pipelines) in stores() {
        let environment = unpacked(&archive);
        let json = |arguments: &[&str]| -> serde_json::Value {
            let ended = environment.run_with(&pipelines, arguments);
            assert_eq!(ended.code, Some(0), "{name} {arguments:?}: {}", ended.stderr);
            serde_json::from_str(&ended.stdout).unwrap()
        };
        let check = json(&["cache", "check", "--json"]);
        let none = ["damaged_objects", "damaged_records", "damaged_signatures", "foreign"];
        assert!(none.iter().all(|list| check[list].as_array().unwrap().is_empty()), "{name}: {check}");
        assert!(number(&check, "records") == 2 && number(&check, "objects") > 0, "{name}: {check}");
        assert_eq!((number(&check, "signatures"), number(&check, "dropped")), (1, 0), "{name}: {check}");

        let made = json(&["make", "old", "--json"]);
        assert_eq!(
            (number(&made, "stages_run"), number(&made, "stages_total")),
            (computed_anew(&name), 2),
            "{name}: {made}"
        );
        let numbers = std::fs::read(environment.path("reports/smoke/old.csv")).unwrap();
        assert!(numbers == std::fs::read(pipelines.join("old.csv")).unwrap(), "{name}: other numbers");

        let kept = json(&["cache", "gc", "--grace", "0", "--recent", "0", "--json"]);
        // If a figure is drawn again, SVG and PNG of the old version are removed.
        assert_eq!(number(&kept, "removed_objects"), 2 * computed_anew(&name), "{name}: {kept}");
        let figures = json(&["cache", "stats", "--profile", "smoke", "--json"])["figures"].clone();
        assert_eq!(number(&figures[0], "present"), 2, "{name}: {figures}");
    }
}

#[test]
fn what_came_later_may_be_lacking_and_what_is_newer_is_refused() {
    for (name, archive, pipelines) in stores() {
        let environment = unpacked(&archive);
        for folder in ["signatures", "pins", "catalog"] {
            let _ = std::fs::remove_dir_all(environment.path("cache").join(folder));
        }
        let _ = std::fs::remove_file(environment.path("cache/index.sqlite"));
        let ended = environment.run_with(&pipelines, &["make", "old", "--json"]);
        assert_eq!(ended.code, Some(0), "{name}: {}", ended.stderr);
        let made: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(number(&made, "stages_run"), computed_anew(&name), "{name}: {made}");

        let marker = environment.path("cache/wdpipe-store");
        std::fs::remove_file(&marker).unwrap();
        std::fs::write(&marker, "wdpipe store, layout version 99\nneeds wdpipe 7.1\n").unwrap();
        let ended = environment.run_with(&pipelines, &["make", "old"]);
        assert!(ended.code == Some(4) && ended.stderr.contains("use wdpipe 7.1 or newer"), "{name}: {}", ended.stderr);
    }
}
