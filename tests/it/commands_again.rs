//! Recorded commands that run again: only when the user asks for it and allows it, and only from the recorded files.

use std::os::unix::fs::PermissionsExt;

use super::commands::{Own, PIPELINE, SCRIPT};
use super::environment::Ended;

/// Verifies the figure, computing everything again.
fn rebuilt(own: &Own, more: &[&str]) -> Ended {
    own.run(&[&["verify", "own", "--rebuild", "all", "-v"], more].concat())
}

/// Makes and locks the figure.
fn locked(own: &Own) {
    own.make(&[]);
    assert_eq!(own.run(&["lock", "own"]).code, Some(0));
}

#[test]
fn a_recorded_command_runs_again_if_the_user_allows_it() {
    let own = Own::new(SCRIPT);
    locked(&own);
    let refused = rebuilt(&own, &[]);
    assert_eq!(refused.code, Some(3), "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("sh code/count.sh") && refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert!(refused.stdout.contains("only those that you allow"), "{}", refused.stdout);
    let allowed = rebuilt(&own, &["--yes"]);
    assert_eq!(allowed.code, Some(0), "{}{}", allowed.stdout, allowed.stderr);
    assert!(allowed.stdout.contains("7 of 7 stages computed again"), "{}", allowed.stdout);
    assert!(allowed.stdout.contains("7 equal bit by bit"), "{}", allowed.stdout);
    // Another checkout has another program.
    own.write("code/count.sh", "echo changed");
    let changed = rebuilt(&own, &["--yes"]);
    assert!(changed.stdout.contains("rebuild     missing"), "{}", changed.stdout);
    let wanted = "code/count.sh differs from the recorded one: check out the commit of the lock";
    assert!(changed.stdout.contains(wanted), "{}", changed.stdout);
    std::fs::remove_file(own.path("code/count.sh")).unwrap();
    let gone = rebuilt(&own, &["--yes"]);
    assert!(gone.stdout.contains("code/count.sh does not exist"), "{}", gone.stdout);
}

/// Writes a table whose number deviates by chance from a million by up to a hundred, and a drawing that differs.
const NOISY: &str = "noise=$(($(od -An -N4 -tu4 /dev/urandom) % 100))
printf 'step,rows\\n1,%d\\n' $((1000000 + noise)) > \"$3\"
echo \"<svg xmlns='http://www.w3.org/2000/svg'>$(od -An -N4 -tu4 /dev/urandom)</svg>\" > \"$4\"\n";

#[test]
fn a_command_that_is_not_deterministic_says_how_far_its_numbers_can_differ() {
    let own = Own::new(NOISY);
    let pipeline = |more: &str| {
        let text = PIPELINE.replace("\"{out.rows}\"]", "\"{out.rows}\", \"{out.d}\"]");
        let text =
            text.replace("out = { rows = [\"step\", \"rows\"] }", "out = { rows = [\"step\", \"rows\"], d = \"svg\" }");
        own.write("pipelines/own.toml", &text.replace("env = \"host\"\n", &format!("env = \"host\"\n{more}\n")));
    };
    pipeline("");
    locked(&own);
    let differs = rebuilt(&own, &["--yes"]);
    assert_eq!(differs.code, Some(1), "{}", differs.stderr);
    assert!(differs.stdout.contains("`rows` has different bytes"), "{}", differs.stdout);
    assert!(differs.stdout.contains("declare `deterministic = false` and a `tolerance`"), "{}", differs.stdout);
    // The tolerance is a fact about the results, so it is part of the key.
    pipeline("deterministic = false\ntolerance = 1e-3");
    assert!(own.make(&[]) >= 4);
    locked(&own);
    let within = rebuilt(&own, &["--yes"]);
    assert_eq!(within.code, Some(0), "{}{}", within.stdout, within.stderr);
    assert!(within.stdout.contains("4 within tolerance"), "{}", within.stdout);
    assert!(within.stdout.contains("rows in row 0: 10000"), "{}", within.stdout);
    assert!(
        within.stdout.contains("`d.svg` has different bytes and no numbers: it is not judged"),
        "{}",
        within.stdout
    );
    pipeline("deterministic = false\ntolerance = { relative = 1e-9, absolute = 1e-9 }");
    locked(&own);
    let beyond = rebuilt(&own, &["--yes"]);
    assert_eq!(beyond.code, Some(1), "{}", beyond.stderr);
    assert!(beyond.stdout.contains("`rows`: rows in row 0: 10000"), "{}", beyond.stdout);
    for (more, wanted) in [
        ("deterministic = false", "add `tolerance = 1e-6`"),
        ("tolerance = 1e-3", "add `deterministic = false`"),
        ("deterministic = false\ntolerance = \"small\"", "`tolerance` must be a number such as 1e-6"),
        ("deterministic = false\ntolerance = { rel = 1e-3 }", "`tolerance` must be a number such as 1e-6"),
        ("deterministic = false\ntolerance = -1.0", "`tolerance` must be a number such as 1e-6"),
    ] {
        pipeline(more);
        let refused = own.run(&["make", "own", "--yes"]);
        assert!(refused.code == Some(2) && refused.stderr.contains(wanted), "{more}: {}", refused.stderr);
    }
}

#[test]
fn nothing_else_runs_a_recorded_command() {
    let own = Own::new(SCRIPT);
    // A result that is too large to be part of its record, so that it can be damaged.
    own.write("code/count.sh", &format!("{SCRIPT}seq 2 20000 | sed 's/.*/&,&/' >> \"$3\"\n"));
    locked(&own);
    // Before a command runs, the program looks for bubblewrap. This one leaves a mark.
    let (tools, mark) = (own.environment.path("tools"), own.environment.path("mark"));
    std::fs::create_dir(&tools).unwrap();
    std::fs::write(tools.join("bwrap"), format!("#!/bin/sh\ntouch {}\nexit 1\n", mark.display())).unwrap();
    std::fs::set_permissions(tools.join("bwrap"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = own.environment.command(arguments);
        let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
        command.env("WDPIPE_PIPELINES", own.path("pipelines")).env("PATH", path).output().unwrap()
    };
    let shared = own.environment.path("shared").display().to_string();
    for object in own.environment.files("objects") {
        std::fs::remove_file(&object).unwrap();
        std::fs::write(&object, "damaged").unwrap();
    }
    for arguments in [
        &["cache", "check", "--repair"][..],
        &["cache", "export", "own", "own.wdpipe", "--numbers"],
        &["cache", "import", "own.wdpipe", "--accept", "unsigned"],
        &["push", "own", "--to", &shared],
        &["pull", "own", "--from", &shared, "--accept", "unsigned"],
        &["verify", "own"],
        &["verify", "own", "--objects", "--render", "--statistics"],
        &["verify", "own", "--rebuild", "all"],
        &["make", "own", "-n"],
    ] {
        let ended = run(arguments);
        assert!(ended.status.code().is_some_and(|code| code != 2), "{arguments:?}: {ended:?}");
        assert!(!mark.exists(), "{arguments:?} ran a command");
        let said = [ended.stdout, ended.stderr].concat();
        let is_repair = arguments.contains(&"--repair");
        assert!(!is_repair || String::from_utf8_lossy(&said).contains("it is a command"), "{}", said.escape_ascii());
    }
    run(&["verify", "own", "--rebuild", "all", "--yes"]);
    assert!(mark.exists(), "the mark shows that a command ran");
}
