//! Trust is binding: nothing is used, replaced or signed without the user's consent.

use std::path::PathBuf;

use super::environment::{Ended, Environment, ended, number};

const WIDTH: [&str; 2] = ["--set", "init.width=1"];

/// A folder with two files of weights, `1` and `2`, and a pipeline `t` that starts from imported weights called
/// `start`.
struct Project(Environment);

impl Project {
    fn new() -> Self {
        let project = Self(Environment::new());
        for seed in ["1", "2"] {
            let set = format!("seed={seed}");
            let ours = [&["fig3/init", "--set", &set], &WIDTH[..]].concat();
            for command in [&[&["make"][..], &ours].concat(), &[&["export"][..], &ours, &["--to", seed]].concat()] {
                let ended = project.0.run(&[&["--cache", "elsewhere"][..], command].concat());
                assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            }
        }
        std::fs::create_dir_all(project.0.path("pipelines")).unwrap();
        let text = r#"
            title = "From weights"
            [settings]
            seed = [0]
            [stage.start]
            kind = "weights"
            name = "start"
            model = "preact-resnet18"
            width = 1
            classes = 10
            [stage.drawn]
            kind = "init"
            model = "preact-resnet18"
            width = 1
            seed = "$seed"
            [stage.valley]
            kind = "valley"
            lr = 0.1
            noise = 0.5
            steps = 20
            every = 10
            flow_lr = 0.01
            flow_steps = 10
            seed = "$seed"
            [[panel]]
            id = "a"
            title = "A valley"
            x = { label = "x" }
            y = { label = "y" }
            [[panel.curve]]
            from = "valley"
            table = "landscape"
            x = "x"
            y = "valley"
            [profile.smoke]
            about = "tiny"
        "#;
        std::fs::write(project.0.path("pipelines/t.toml"), text).unwrap();
        project
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.0.command(arguments);
        command.env("WDPIPE_PIPELINES", self.0.path("pipelines")).env("USER", "ann");
        ended(&command.output().unwrap())
    }

    fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        ended.stdout + &ended.stderr
    }

    /// Returns how many stages `make` runs.
    fn makes(&self, arguments: &[&str]) -> u64 {
        let ended = self.run(&[&["make"], arguments, &["--json"]].concat());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        number(&serde_json::from_str(&ended.stdout).unwrap(), "stages_run")
    }

    /// Returns the file whose weights stages of a cache start from.
    fn starts_from(&self, cache: &str) -> &'static str {
        self.ends(0, &["make", "t/start", "--cache", cache]);
        self.ends(0, &["export", "t/start", "--to", "out", "--cache", cache]);
        let bytes = |name: &str| std::fs::read(self.0.path(name)).unwrap();
        ["1", "2"].into_iter().find(|name| bytes(name) == bytes("out")).unwrap()
    }

    /// Makes the project use only signed results.
    fn is_strict(&self) {
        std::fs::write(self.0.path("trust.toml"), "[policy]\nuse = \"signed\"\n").unwrap();
    }

    /// Makes a key; returns its public part.
    fn key(&self) -> String {
        self.run(&["keys", "generate"]).stdout.trim().to_owned()
    }

    fn signatures(&self, cache: &str) -> Vec<PathBuf> {
        let folder = self.0.path(cache).join("signatures");
        let entries = std::fs::read_dir(folder).into_iter().flatten();
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

#[test]
fn what_was_imported_here_is_not_replaced_by_a_remote() {
    let project = Project::new();
    project.ends(0, &["import", "2", "--name", "start", "--cache", "mine"]);
    project.ends(0, &["import", "1", "--name", "start", "--cache", "theirs"]);
    project.ends(0, &["make", "t/start", "--cache", "theirs"]);
    project.ends(0, &["push", "t/start", "--to", "./rem", "--cache", "theirs"]);
    let through = ["--accept", "unsigned", "--cache", "mine"];
    for command in [&["pull", "t/start", "--from", "./rem"][..], &["make", "t/start", "--remote=./rem"]] {
        let said = project.ends(1, &[command, &through].concat());
        assert!(said.contains("weights/start") && said.contains("--cache"), "{said}");
        assert_eq!(project.starts_from("mine"), "2", "{command:?}");
    }
    // A cache without imported weights accepts the remote's.
    project.ends(0, &["pull", "t/start", "--all", "--from", "./rem", "--accept", "unsigned", "--cache", "new"]);
    assert_eq!(project.starts_from("new"), "1");
    // If a remote has both imports, each cache continues with its own.
    project.ends(0, &["push", "t/start", "--to", "./rem", "--cache", "mine"]);
    project.ends(0, &[&["pull", "t/start", "--all", "--from", "./rem"][..], &through].concat());
    assert_eq!(project.starts_from("mine"), "2");
}

#[test]
fn an_import_that_nobody_signed_is_not_used_where_only_signed_results_are() {
    let project = Project::new();
    project.ends(0, &["import", "1", "--name", "start"]);
    project.is_strict();
    let public = project.key();
    project.ends(0, &["keys", "trust", "ann", &public]);
    let said = project.ends(3, &["make", "t/start"]);
    assert!(said.contains("import `start`") && said.contains("keys sign"), "{said}");
    assert!(project.signatures("cache").is_empty());
    // Other stages can still be made.
    assert_eq!(project.makes(&["t/drawn"]), 1);
    // Imported weights can be signed by name, or while they are imported.
    let said = project.ends(0, &["keys", "sign", "t/start"]);
    assert!(said.contains("signed 1 record"), "{said}");
    assert_eq!((project.makes(&["t/start"]), project.makes(&["t/start"])), (1, 0));
    project.ends(0, &["import", "2", "--name", "start"]);
    assert_eq!((project.makes(&["t/start"]), project.starts_from("cache")), (1, "2"));
    // Newer unsigned imports are ignored.
    std::fs::rename(project.0.path("home/.config/wdpipe/keys"), project.0.path("keys")).unwrap();
    project.ends(0, &["import", "1", "--name", "start"]);
    std::fs::rename(project.0.path("keys"), project.0.path("home/.config/wdpipe/keys")).unwrap();
    assert_eq!(project.starts_from("cache"), "2");
}

#[test]
fn what_came_from_elsewhere_is_nobodys_own_whatever_it_says() {
    let project = Project::new();
    project.ends(0, &["make", "t/drawn", "--cache", "theirs"]);
    project.ends(0, &["push", "t/drawn", "--to", "./rem", "--cache", "theirs"]);
    project.ends(0, &["pull", "t/drawn", "--all", "--from", "./rem", "--accept", "unsigned"]);
    project.key();
    // The record says that `ann` made it on this machine.
    let said = project.ends(0, &["keys", "sign", "t/drawn"]);
    assert!(said.contains("nothing to sign") && said.contains("does not know that you did"), "{said}");
    assert!(project.signatures("cache").is_empty());
    assert!(project.ends(0, &["keys", "sign", "t/drawn", "--all"]).contains("you vouch for these too"));
    // A copy of a cache, with its index, is not the cache in which it was computed.
    copy(&project.0.path("theirs"), &project.0.path("copy"));
    assert!(project.ends(0, &["keys", "sign", "t/drawn", "--cache", "copy"]).contains("nothing to sign"));
    assert!(project.ends(0, &["keys", "sign", "t/drawn", "--cache", "theirs"]).contains("signed 1 record"));
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    for entry in walkdir::WalkDir::new(from).into_iter().map(|entry| entry.unwrap()) {
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        match entry.file_type().is_dir() {
            true => std::fs::create_dir_all(target).unwrap(),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn what_would_not_be_used_is_not_computed_again_and_again() {
    let project = Project::new();
    project.is_strict();
    let said = project.ends(3, &["make", "t/drawn"]);
    assert!(said.contains("use = \"signed\"") && said.contains("`wdpipe keys generate`"), "{said}");
    assert!(project.ends(0, &["make", "t/drawn", "-n"]).contains("`wdpipe keys generate`"));
    let public = project.key();
    let said = project.ends(3, &["make", "t/drawn"]);
    let cure = format!("wdpipe keys trust ann {public}");
    assert!(said.contains(&cure), "{said}");
    let words: Vec<_> = cure.split(' ').skip(1).collect();
    project.ends(0, &words);
    assert_eq!((project.makes(&["t/drawn"]), project.makes(&["t/drawn"])), (1, 0));

    // Without the key, signed results can be used, but no new ones can be made.
    std::fs::rename(project.0.path("home/.config/wdpipe/keys"), project.0.path("keys")).unwrap();
    assert_eq!(project.makes(&["t/drawn"]), 0);
    project.ends(3, &["make", "t/drawn", "--set", "seed=7"]);
    // Results that were computed here earlier, or in a run that was killed, are signed and not computed again.
    std::fs::remove_file(project.0.path("trust.toml")).unwrap();
    assert_eq!(project.makes(&["t/drawn", "--set", "seed=8"]), 1);
    std::fs::rename(project.0.path("keys"), project.0.path("home/.config/wdpipe/keys")).unwrap();
    project.is_strict();
    project.ends(0, &words);
    assert_eq!(project.makes(&["t/drawn", "--set", "seed=8"]), 0);
}
