//! Pipelines: a text is either refused with complaints, or becomes an ordered graph whose stages can be rebuilt from
//! their parameters.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use wdpipe::spec::{Pipeline, expand};
use base::work::Work;

/// Longest text, in bytes. The program itself must limit the size of the graph that a text expands to.
const LIMIT: usize = 16 << 10;

fuzz_target!(|text: &str| {
    if text.len() > LIMIT {
        return;
    }
    let Ok(profiles) = Pipeline::profiles("p.toml", text) else { return };
    for (profile, _) in profiles.iter().take(2) {
        let read = || Pipeline::read("p", "p.toml", text, profile, &[]).and_then(|pipeline| expand(&pipeline));
        let graph = match read() {
            Ok(graph) => graph,
            Err(complaints) => {
                assert!(!complaints.is_empty());
                continue;
            }
        };
        let mut names = BTreeSet::new();
        for (id, stage) in graph.stages.iter().enumerate() {
            assert!(names.insert(&stage.name), "{} twice", stage.name);
            for input in &stage.inputs {
                assert!(input.stage < id, "{} reads what comes later", stage.name);
                assert!(graph.stages[input.stage].work.outputs().contains(&input.output), "{}", stage.name);
            }
            let parameters = stage.work.parameters().expect("parameters are plain data");
            let work = Work::from_parameters(stage.work.kind(), stage.work.version(), &parameters);
            assert_eq!(work.as_ref(), Ok(&stage.work));
        }
        assert_eq!(read().ok().as_ref(), Some(&graph), "the same text, the same graph");
    }
});
