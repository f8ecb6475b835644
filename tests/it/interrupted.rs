//! A process can be killed at any instant, and several can work at once.

use std::time::Duration;

use super::environment::{Environment, STAGES, ended, hashes, number};
use super::workers::wait_for;

#[test]
fn a_killed_run_goes_on_where_it_was() {
    let undisturbed = hashes(&Environment::new().make("fig3", &[]));
    let environment = Environment::new();
    let mut runs = 0;
    // Each run gets a little further than the one before it, and is killed.
    for milliseconds in [150, 400, 500, 600, 700, 800, 900] {
        let mut child = environment.start("fig3", &["--jobs", "2"]);
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        runs += 1;
        // The run can be killed before it creates a store.
        if !environment.path("cache/wdpipe-store").exists() {
            continue;
        }
        let check = environment.run(&["cache", "check"]);
        assert_eq!(check.code, Some(0), "after {runs} kills: {}{}", check.stdout, check.stderr);
    }
    let kept = environment.files("records").len() as u64;
    let last = environment.make("fig3", &[]);
    assert_eq!(hashes(&last), undisturbed);
    assert_eq!(number(&last, "stages_run"), STAGES - kept.min(STAGES), "every finished stage is kept");
}

#[test]
fn processes_on_one_cache_share_the_work() {
    let environment = Environment::new();
    let children: Vec<_> = (0..3).map(|_| environment.start("fig3", &["--jobs", "1"])).collect();
    let mut run = 0;
    let mut all = Vec::new();
    for child in children {
        let ended = ended(&child.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let made: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        run += number(&made, "stages_run");
        all.push(hashes(&made));
    }
    assert_eq!(run, STAGES, "no stage is computed twice");
    assert!(all.iter().all(|hashes| *hashes == all[0]));
}

#[test]
fn ctrl_c_ends_with_its_code_and_keeps_what_is_finished() {
    let environment = Environment::new();
    let child = environment.start("fig3", &["--set", "trunk.epochs=500", "--jobs", "1"]);
    let records = || walkdir::WalkDir::new(environment.path("cache/records")).into_iter().flatten();
    wait_for("a finished stage", || records().any(|entry| entry.file_type().is_file()));
    let id = i32::try_from(child.id()).unwrap();
    // SAFETY: a signal to our own child, which was not waited for yet.
    assert_eq!(unsafe { libc::kill(id, libc::SIGINT) }, 0);
    let ended = ended(&child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
    assert_eq!(environment.run(&["cache", "check"]).code, Some(0));
}
