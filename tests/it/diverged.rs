//! A run whose numbers stop being finite is a result: it is reported, recorded, cached and drawn.

use super::environment::{Environment, number};

#[test]
fn divergence_is_said_recorded_and_drawn() {
    let environment = Environment::new();
    // Six steps, each of which multiplies the weights by a large number, so they overflow in the first or second epoch.
    let sets = ["--set", "lr=[0.1,1e6]", "--set", "after=[2]"];
    let ended = environment.run(&Environment::tiny("fig3", &sets));
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    // Reported at once and again at the end, with epoch, step, learning rate and last finite loss.
    let said: Vec<_> = ended.stderr.lines().filter(|line| line.contains("diverged")).collect();
    assert_eq!(said.len(), 2, "{}", ended.stderr);
    let made: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let [stage] = &made["diverged"].as_array().unwrap()[..] else { panic!("{made}") };
    let stage = stage.as_str().unwrap();
    assert!(stage.starts_with("fig3/trunk[lr=1000000,seed=0]@"), "{stage}");
    let wanted = format!("{stage} diverged (epoch ");
    assert!(said[1].starts_with(&format!("warning: {wanted}")), "{}", said[1]);
    for part in ["step ", "learning rate 1000000", "last finite loss "] {
        assert!(said[1].contains(part), "{}", said[1]);
    }

    // All later results are NaN; the figure says how many runs diverged.
    let csv = std::fs::read_to_string(environment.file("fig3", "csv")).unwrap();
    let rows: Vec<Vec<&str>> = csv.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let (mut lost, mut panels) = (0, std::collections::BTreeSet::new());
    for row in &rows {
        let (curve, epoch, mean, n, diverged) = (row[1], row[3], row[4], row[8], row[9]);
        if curve.contains("1000000") && epoch != "0" {
            assert_eq!((mean, n, diverged), ("NaN", "0", "1"), "{row:?}");
            (lost, _) = (lost + 1, panels.insert(row[0]));
        } else if curve.contains("0.1") {
            assert_eq!((n, diverged), ("1", "0"), "{row:?}");
        }
    }
    // Norm and test error of the run and its average at two epochs, trace and test error of its probe.
    assert_eq!((lost, panels.len()), (2 * 2 * 2 + 2, 4));

    // The run is not repeated, but the divergence is reported again.
    let again = environment.run(&Environment::tiny("fig3", &sets));
    let json: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!(number(&json, "stages_run"), 0);
    assert!(again.stderr.contains(&wanted), "{}", again.stderr);
}
