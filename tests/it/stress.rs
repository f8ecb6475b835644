//! `cache stress-test`: the guarantees of a file system, and the messages if these cannot be determined.

use std::process::Command;

use super::environment::Environment;

#[test]
fn a_short_run_passes_here_and_leaves_nothing() {
    let environment = Environment::new();
    let place = environment.path("new/place");
    let ended =
        environment.run(&["cache", "torture", place.to_str().unwrap(), "--seconds", "3", "--json", "--seed", "7"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    let report: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&report["fine"], &report["seed"]), (&true.into(), &7.into()), "{report}");
    let guarantees = report["guarantees"].as_array().unwrap();
    assert!(guarantees.len() >= 12, "{report}");
    let seen = |name: &str| guarantees.iter().find(|g| g["name"] == name).unwrap()["seen"].as_str().unwrap().to_owned();
    // The race took place: despite kills, many results were finished, read and collected.
    let first = |text: &str, before: &str| -> u64 {
        let words: Vec<_> = text.split(' ').collect();
        words[words.iter().position(|word| word.trim_matches(',') == before).unwrap() - 1].parse().unwrap()
    };
    let kills = seen("nothing finished is lost by kills");
    assert!(first(&kills, "finished") > 10 && first(&kills, "kills") > 10, "{kills}");
    assert!(first(&seen("no wrong byte is read"), "reads") > 100);
    assert!(first(&seen("published files stay read-only"), "old") > 0);
    assert!(!place.exists() && environment.path("new").exists());
    // The same as a table for people.
    let ended = environment.run(&["cache", "stress-test", "again", "--seconds", "1"]);
    assert_eq!(ended.code, Some(0), "{}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stdout.contains("a lock ends with its process") && ended.stderr.contains("seed "),
        "{}",
        ended.stdout
    );
}

#[test]
fn a_folder_in_use_is_left_alone() {
    let environment = Environment::new();
    std::fs::write(environment.path("thesis.tex"), "all of it").unwrap();
    let ended = environment.run(&["cache", "stress-test", "."]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("is not empty: name an empty or new folder"), "{}", ended.stderr);
    assert!(environment.path("thesis.tex").exists());
}

/// A temporary file system in memory, unmounted when it is dropped.
struct Mounted(tempfile::TempDir);

impl Mounted {
    fn new(options: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            println!("skipped: this user cannot mount a file system for the test");
        }
        mounted.then(|| Self(folder))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).output();
    }
}

#[test]
fn a_small_or_read_only_file_system_is_said() {
    let cases =
        [("size=4m", "bytes free", "free some space"), ("ro", "Read-only file system", "choose a writable folder")];
    for (options, said, hint) in cases {
        let Some(mounted) = Mounted::new(options) else { return };
        let ended =
            Environment::new().run(&["cache", "stress-test", mounted.0.path().to_str().unwrap(), "--seconds", "1"]);
        assert_eq!(ended.code, Some(4), "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains(said) && ended.stderr.contains(hint), "{}", ended.stderr);
    }
}

#[test]
fn a_disk_that_fills_up_meanwhile_is_said_too() {
    let Some(mounted) = Mounted::new("size=80m,nr_inodes=700") else { return };
    let ended =
        Environment::new().run(&["cache", "stress-test", mounted.0.path().to_str().unwrap(), "--seconds", "20"]);
    assert_eq!(ended.code, Some(4), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("No space left"), "{}", ended.stderr);
    assert_eq!(std::fs::read_dir(mounted.0.path()).unwrap().count(), 0);
}
