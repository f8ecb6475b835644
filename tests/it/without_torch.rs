//! Built without libtorch, the program does all that needs no training, and says what it cannot do.

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
    // What could be made is kept.
    assert_eq!(number(&environment.make("fig3/data", &[]), "stages_run"), 0);
}
