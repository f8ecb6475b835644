//! A figure moves from one cache to another in a file, and nothing is computed again.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::environment::{Environment, number};

fn json(environment: &Environment, arguments: &[&str]) -> serde_json::Value {
    let ended = environment.run(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap()
}

fn fails(environment: &Environment, arguments: &[&str], code: i32, message: &str) {
    let ended = environment.run(arguments);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
    assert!(ended.stderr.contains(message), "{message}: {}", ended.stderr);
}

/// Exports the results of `make` in both scopes, imports them into empty caches, and makes the figure there.
fn there_and_back(figure: &str, sets: &[&str], make: &dyn Fn(&Environment) -> serde_json::Value) {
    let here = Environment::new();
    let made = make(&here);
    for scope in [&["--numbers"][..], &[]] {
        let export = |file: &str| {
            let ended = here.run(&[&["cache", "export", figure, file], scope, sets].concat());
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            std::fs::read(here.path(file)).unwrap()
        };
        let bytes = export("a.wdpipe");
        assert_eq!(export("b.wdpipe"), bytes);
        let names = std::fs::read_dir(here.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(names.into_iter().all(|name| !name.to_string_lossy().starts_with('.')), "no temporary files are left");

        let there = Environment::new();
        let file = here.path("a.wdpipe");
        let import = ["cache", "import", file.to_str().unwrap(), "--accept", "unsigned", "--json"];
        let would = json(&there, &[&import[..], &["--dry-run"]].concat());
        assert_eq!(would["figure"], figure);
        assert!(!there.path("cache").exists(), "a dry run imports nothing and creates no store");
        let done = json(&there, &import);
        for count in ["new_records", "new_objects", "new_bytes"] {
            assert_eq!(done[count], would[count], "{count}: {done} {would}");
        }
        assert!(number(&done, "new_records") > 0, "{done}");
        let again = json(&there, &import);
        assert_eq!((number(&again, "new_records"), number(&again, "new_objects")), (0, 0));
        // Bulk data that an archive lacks never was in this cache, so nobody dropped it.
        let ended = there.run(&[&["cache", "export", figure, "c.wdpipe"], sets].concat());
        assert!(!ended.stderr.contains("dropped"), "{}", ended.stderr);
        let remade = make(&there);
        // From an archive of numbers, only the drawing is made again.
        assert_eq!(number(&remade, "stages_run"), scope.len() as u64);
        assert_eq!(remade["outputs"].as_array().unwrap().len(), made["outputs"].as_array().unwrap().len());
        for extension in ["svg", "png", "pdf", "csv"] {
            let drawn = |environment: &Environment| std::fs::read(environment.file(figure, extension)).unwrap();
            assert!(drawn(&there) == drawn(&here), "{extension}");
        }
    }
}

#[test]
fn a_figure_without_training_goes_there_and_back() {
    there_and_back("fig4", &[], &|environment| json(environment, &["make", "fig4", "--json"]));
}

#[cfg(feature = "torch")]
#[test]
fn a_figure_with_its_weights_goes_there_and_back() {
    let sets: Vec<&str> = super::environment::TINY.iter().flat_map(|set| ["--set", *set]).collect();
    there_and_back("fig3", &sets, &|environment| environment.make("fig3", &[]));
}

#[test]
fn archives_of_single_seeds_make_the_whole_figure() {
    let there = Environment::new();
    for seed in ["seed=[0]", "seed=[1]", "seed=[2]"] {
        let here = Environment::new();
        json(&here, &["make", "fig4", "--set", seed, "--json"]);
        let export = here.run(&["cache", "export", "fig4", "part.wdpipe", "--numbers", "--set", seed]);
        assert_eq!(export.code, Some(0), "{}", export.stderr);
        let part = here.path("part.wdpipe");
        json(&there, &["cache", "import", part.to_str().unwrap(), "--accept", "unsigned", "--json"]);
    }
    assert_eq!(number(&json(&there, &["make", "fig4", "--json"]), "stages_run"), 1, "only the drawing");
    let whole = Environment::new();
    json(&whole, &["make", "fig4", "--json"]);
    let drawn = |environment: &Environment| std::fs::read(environment.file("fig4", "svg")).unwrap();
    assert!(drawn(&there) == drawn(&whole));
}

#[test]
fn what_is_no_archive_of_a_figure_is_refused() {
    let environment = Environment::new();
    fails(&environment, &["cache", "import", "nowhere"], 3, "nowhere");
    std::fs::write(environment.path("x"), "%PDF-1.7").unwrap();
    fails(&environment, &["cache", "import", "x"], 1, "x: not a wdpipe archive");
    fails(&environment, &["cache", "export", "fig3/init[seed=0]", "y"], 2, "is not a figure");
    fails(&environment, &["cache", "export", "fig33", "y"], 2, "did you mean `fig3`?");
    json(&environment, &["make", "fig4", "--json"]);
    fails(&environment, &["cache", "export", "fig4", "no/such/y"], 4, "no/such");
    let ended = environment.run(&["cache", "export", "fig4", "y", "--numbers"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    flip_a_byte(&environment.path("y"));
    fails(&environment, &["cache", "import", "y"], 4, "it was altered or cut off");
    // A table is missing from the cache.
    environment.files("objects").iter().for_each(|file| std::fs::remove_file(file).unwrap());
    fails(&environment, &["cache", "export", "fig4", "z", "--numbers"], 3, "is not in the store");
    assert!(!environment.path("z").exists());
}

fn flip_a_byte(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(path, bytes).unwrap();
}
