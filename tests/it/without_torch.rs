//! Built without libtorch, the program does everything that needs no training, and names what it cannot do.

use super::environment::{Environment, number};

#[test]
fn what_needs_no_training_is_made() {
    let environment = Environment::new();
    let made = environment.make("fig3/init", &[]);
    assert_eq!(number(&made, "stages_run"), 1);
    assert_eq!(number(&environment.make("fig3/data", &[]), "stages_run"), 1);
    assert_eq!(number(&environment.make("fig3/init", &[]), "stages_run"), 0);
}

#[test]
fn training_is_refused_clearly() {
    let environment = Environment::new();
    let ended = environment.run(&Environment::tiny("fig3", &[]));
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("built without libtorch"), "{}", ended.stderr);
    // Stages that need no libtorch are kept.
    assert_eq!(number(&environment.make("fig3/data", &[]), "stages_run"), 0);
}

#[test]
fn what_needs_training_is_not_repaired_and_that_is_said_of_each_object() {
    let environment = Environment::new();
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/reports/smoke/fig3.wdpipe");
    let run = |arguments: &[&str], code| {
        let ended = environment.run(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        ended.stdout + &ended.stderr
    };
    run(&["cache", "import", archive, "--accept", "unsigned"], 0);
    let pinned = run(&["cache", "pin", "fig3"], 0);
    assert!(pinned.contains("of it are not here"), "{pinned}");
    let said = run(&["cache", "check", "--repair"], 3);
    assert!(said.contains("built without libtorch") && said.contains("pin fig3@smoke keeps it"), "{said}");
    // Objects that need no training are restored.
    assert!(said.contains("computed again, the same bytes"), "{said}");
}
