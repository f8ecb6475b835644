//! What a project asks of the sandbox of its commands.

use super::commands::{Own, SCRIPT};
use super::environment::{Ended, ended};

impl Own {
    /// Runs the program where there is no bubblewrap.
    fn run_weakly(&self, arguments: &[&str]) -> Ended {
        let mut command = self.environment.command(arguments);
        command.env("WDPIPE_PIPELINES", self.path("pipelines")).env("PATH", self.environment.path("nothing"));
        ended(&command.output().unwrap())
    }
}

#[test]
fn a_project_can_refuse_results_of_a_weaker_sandbox() {
    if sandbox::available()[0] != sandbox::Level::Namespaces {
        println!("skipped: this machine has no namespaces");
        return;
    }
    let own = Own::new(SCRIPT);
    let public = own.run(&["keys", "generate"]).stdout.trim().to_owned();
    assert_eq!(own.run(&["keys", "trust", "ann", &public]).code, Some(0));
    let weak = own.run_weakly(&["make", "own", "--yes"]);
    assert_eq!(weak.code, Some(0), "{}", weak.stderr);
    let ran = sandbox::available()[1].to_string();
    let trust = std::fs::read_to_string(own.environment.path("trust.toml")).unwrap();
    let policy = |lines: &str| {
        std::fs::write(own.environment.path("trust.toml"), format!("[policy]\n{lines}\n{trust}")).unwrap();
    };
    assert_eq!(own.run(&["lock", "own"]).code, Some(0));
    policy("use = \"signed\"");
    assert_eq!(own.make(&[]), 0, "signed results are used");
    policy("use = \"signed\"\nsandbox = \"namespaces\"");
    assert!(own.run(&["keys", "list"]).stdout.contains("sandbox: namespaces"));
    let reason = format!("its result here is not used: it was made with sandbox level {ran}, and trust.toml asks for");
    let planned = own.run(&["make", "own", "-n"]);
    assert!(planned.stdout.contains(&reason), "{}{}", planned.stdout, planned.stderr);
    let explained = own.run(&["explain", "own/count[factor=1,seed=0]"]);
    assert!(explained.stdout.contains(&reason), "{}", explained.stdout);
    let verified = own.run(&["verify", "own", "-v"]);
    let wanted = "4 commands ran in a weaker sandbox than namespaces";
    assert!(verified.code == Some(1) && verified.stdout.contains(wanted), "{}", verified.stdout);
    // Here, nothing is computed that would not be used.
    let refused = own.run_weakly(&["make", "own", "--yes"]);
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    assert!(refused.stderr.contains("needs a sandbox of level namespaces"), "{}", refused.stderr);
    assert!(refused.stderr.contains("bubblewrap"), "{}", refused.stderr);
    assert_eq!(own.make(&[]), 4, "the drawing reads the same numbers");
    assert_eq!(own.make(&[]), 0);
    policy("sandbox = \"namespaces\"");
    let mistake = own.run(&["make", "own"]);
    assert!(mistake.code == Some(2) && mistake.stderr.contains("needs `use = \"signed\"`"), "{}", mistake.stderr);
}
