//! `wdpipe shell`: the sandbox of a command, by hand.

use super::commands::{Own, SCRIPT};
use super::environment::Ended;

const STAGE: &str = "own/count[factor=1,seed=0]";

/// Runs a program in the stage's sandbox.
fn shell(own: &Own, options: &[&str], script: &str) -> Ended {
    own.run(&[&["shell", STAGE], options, &["--", "sh", "-c", script]].concat())
}

#[test]
fn a_program_by_hand_sees_what_the_stage_sees() {
    let own = Own::new(SCRIPT);
    own.make(&["--set", "seed=[0]"]);
    own.write("secret.txt", "secret");
    let secret = own.path("secret.txt").display().to_string();
    let records = own.environment.files("records");
    for level in sandbox::available() {
        let options = ["--yes", "--sandbox", &level.to_string()];
        let ended =
            shell(&own, &options, "sh code/count.sh in/path.csv 1 out/rows.csv && cat out/rows.csv && echo $TZ");
        assert_eq!((ended.code, &*ended.stdout), (Some(0), "step,rows\n1,12\nUTC\n"), "{level}: {}", ended.stderr);
        assert!(ended.stderr.contains("sh code/count.sh in/path.csv 1 out/rows.csv\n"), "{level}: {}", ended.stderr);
        let ended = shell(&own, &options, &format!("cat {secret} || exit 7"));
        match level {
            sandbox::Level::None => assert_eq!(ended.stdout, "secret"),
            _ => assert!(ended.code == Some(1) && ended.stderr.contains("exit code 7"), "{level}: {}", ended.stderr),
        }
        // What it leaves behind ends with it, and its folder is gone.
        let ended = shell(&own, &options, "pwd; (sleep 7127 &)");
        let folder = ended.stdout.lines().next().unwrap().to_owned();
        assert!(level == sandbox::Level::Namespaces || folder.contains("/command-"), "{level}: {folder}");
        assert!(level == sandbox::Level::Namespaces || !std::path::Path::new(&folder).exists(), "{level}: {folder}");
    }
    assert_eq!(own.environment.files("records"), records, "nothing was recorded");
    let is_left = |process: &String| {
        let words = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).contains("7127")
    };
    let processes = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(processes.filter(is_left).count(), 0);
}

#[test]
fn a_shell_needs_a_command_its_inputs_and_consent() {
    let own = Own::new(SCRIPT);
    let said = |ended: Ended, code: i32, wanted: &[&str]| {
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        wanted.iter().for_each(|wanted| assert!(ended.stderr.contains(wanted), "{wanted}: {}", ended.stderr));
    };
    own.run(&["make", "own/valley[seed=1]"]);
    said(shell(&own, &["--yes"], "true"), 3, &["reads `own/valley[seed=0]`", "`wdpipe make 'own/valley[seed=0]'`"]);
    own.make(&["--set", "seed=[0]"]);
    said(shell(&own, &[], "true"), 3, &["sh code/count.sh", "--yes"]);
    said(shell(&own, &["--yes", "--sandbox", "best"], "true"), 2, &["none, landlock, namespaces"]);
    said(own.run(&["shell", "own/valley[seed=0]", "--yes"]), 2, &["kind valley", "name a stage of kind command"]);
    said(own.run(&["shell", "own/count[seed=0]", "--yes"]), 2, &["these are 2 stages", STAGE]);
    // A failed stage recommends it, with the settings in force.
    let error = own.fails("exit 5", &["--set", "factor=[1]"]);
    assert!(error.contains("to try it by hand: `wdpipe shell 'own/count[factor=1,seed="), "{error}");
    assert!(error.contains("--set 'factor=[1]'`"), "{error}");
    own.write("code/count.sh", SCRIPT);
    said(shell(&own, &["--yes", "--set", "factor=[1]"], "exit 5"), 1, &["it ended with exit code 5"]);
}

#[test]
fn without_a_program_it_is_a_shell() {
    let own = Own::new(SCRIPT);
    own.make(&["--set", "seed=[0]"]);
    // Standard input is no terminal here, and the shell ends at its end.
    let ended = own.run(&["shell", STAGE, "--yes"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("The folder is removed when you leave the shell"), "{}", ended.stderr);
}
