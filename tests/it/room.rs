//! `make` warns before it starts if the results do not fit on the disk. The disk is a small file system in memory.

use std::process::Command;

use super::environment::{Ended, Environment, ended, number};

/// Runs the program with a file system of a size in bytes as the cache; `None` without bubblewrap, which makes it.
fn with_disk(environment: &Environment, size: &str, arguments: &[&str]) -> Option<Ended> {
    let cache = environment.path("cache");
    std::fs::create_dir_all(&cache).unwrap();
    let program = environment.command(arguments);
    let mut command = Command::new("bwrap");
    command.args(["--dev-bind", "/", "/", "--size", size, "--tmpfs"]).arg(&cache);
    command.arg(program.get_program()).args(program.get_args()).current_dir(environment.folder.path()).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    match command.output() {
        Ok(output) if !String::from_utf8_lossy(&output.stderr).starts_with("bwrap: ") => Some(ended(&output)),
        _ => {
            println!("skipped: there is no bwrap, or it may not mount a file system");
            None
        }
    }
}

#[test]
fn a_plan_that_does_not_fit_on_the_disk_is_told_before_it_runs() {
    let environment = Environment::new();
    // 4,000 images of 3,073 bytes, and 1,000 by default for the test.
    let make = ["make", "fig3/data", "--set", "data.train=4000"];
    let Some(ended) = with_disk(&environment, "8388608", &make) else { return };
    let warning = ended.stderr.find("warning: the results take about").expect(&ended.stderr);
    let failure = ended.stderr.find("error: ").expect(&ended.stderr);
    assert!(ended.code == Some(4) && warning < failure, "{:?} {}", ended.code, ended.stderr);

    let dry = [&make[..], &["--dry-run", "--json"]].concat();
    let ended = with_disk(&environment, "8388608", &dry).unwrap();
    let plan: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(ended.stderr.contains("free for cache: free some space, or name a folder on another disk"), "{plan}");
    assert!(number(&plan, "bytes_to_write") > number(&plan, "bytes_free"), "{plan}");
    assert!(number(&plan, "bytes_free") <= 8_388_608, "{plan}");
    let ended = with_disk(&environment, "67108864", &dry).unwrap();
    assert!(ended.code == Some(0) && !ended.stderr.contains("the results take"), "{}", ended.stderr);
}
