//! Real CIFAR-10 through the same commands, where it is to be had.

use super::environment::{Environment, number};

/// Names the folder of CIFAR-10's binary version.
const VARIABLE: &str = "WDPIPE_TEST_CIFAR10";

#[test]
fn real_images_run_through_the_same_commands() {
    let Some(folder) = std::env::var_os(VARIABLE) else {
        println!("skipped: {VARIABLE} does not name a folder with CIFAR-10's binary version");
        return;
    };
    let environment = Environment::new();
    let imported = environment.run(&["data", "import", folder.to_str().unwrap()]);
    assert_eq!(imported.code, Some(0), "{}", imported.stderr);
    assert!(imported.stderr.contains("50000 training and 10000 test images"), "{}", imported.stderr);
    let sets = ["--set", "data.source=cifar10", "--set", "data.train=200", "--set", "data.test=100"];
    let made = environment.make("fig3", &sets);
    assert_eq!(number(&made, "stages_run"), number(&made, "stages_total"));
    assert_eq!(number(&environment.make("fig3", &sets), "stages_run"), 0);
}
