//! Recorded commands that run again: only when the user asks for it and allows it, and only from the recorded files.

use std::os::unix::fs::PermissionsExt;

use super::commands::{Own, SCRIPT};
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
    assert_eq!(changed.code, Some(3), "{}", changed.stderr);
    let wanted = "code/count.sh differs from the recorded one: check out the commit of the lock";
    assert!(changed.stdout.contains(wanted), "{}", changed.stdout);
    std::fs::remove_file(own.path("code/count.sh")).unwrap();
    let gone = rebuilt(&own, &["--yes"]);
    assert!(gone.code == Some(3) && gone.stdout.contains("code/count.sh does not exist"), "{}", gone.stdout);
}

#[test]
fn a_program_that_gives_other_bytes_is_found_out() {
    // Its result depends on a file that it leaves behind where no sandbox hides it, or else on chance.
    let own = Own::new("printf 'step,rows\\n1,%d\\n' $(od -An -N4 -tu4 /dev/urandom) > \"$3\"\n");
    locked(&own);
    let differs = rebuilt(&own, &["--yes"]);
    assert_eq!(differs.code, Some(1), "{}", differs.stderr);
    assert!(differs.stdout.contains("`rows` has different bytes"), "{}", differs.stdout);
    assert!(differs.stdout.contains("deterministic = false"), "{}", differs.stdout);
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
    let large = |path: &std::path::PathBuf| path.metadata().unwrap().len() > 100_000;
    for object in own.environment.files("objects").into_iter().filter(large) {
        std::fs::remove_file(object).unwrap();
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
    }
    run(&["verify", "own", "--rebuild", "all", "--yes"]);
    assert!(mark.exists(), "the mark shows that a command ran");
}
