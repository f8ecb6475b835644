//! The inputs of stages in the graph, against the roles that their kinds declare.

use std::collections::BTreeSet;

use super::{KINDS, graph_of};
use base::work::Work;

#[test]
fn a_stage_reads_what_its_kind_declares() {
    let graph = graph_of(KINDS, "smoke", &[]).unwrap();
    let mut first_segments = 0;
    for stage in &graph.stages {
        let read = stage.inputs.iter().map(|input| input.role.as_str());
        let imported = stage.work.import().into_iter().flat_map(|import| import.outputs().iter().copied());
        let read: BTreeSet<_> = read.chain(imported).collect();
        let declared: BTreeSet<_> = stage.work.inputs().into_iter().collect();
        let lacking: Vec<_> = declared.difference(&read).copied().collect();
        assert!(read.is_subset(&declared), "{}: {read:?} are not all among {declared:?}", stage.name);
        // The first segment of a run begins what the run keeps.
        let Work::Train(train) = &stage.work else {
            assert!(lacking.is_empty(), "{} does not read {lacking:?}", stage.name);
            continue;
        };
        assert!(lacking.is_empty() || lacking == train.keeps(), "{} does not read {lacking:?}", stage.name);
        first_segments += usize::from(!lacking.is_empty());
    }
    assert!(first_segments > 0);
}
