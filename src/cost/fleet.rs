//! How long a plan takes on several machines.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use crate::graph::{Graph, StageId};

/// A duration that can be ordered: the bits of non-negative numbers have the order of the numbers.
fn bits(seconds: f64) -> u64 {
    seconds.max(0.0).to_bits()
}

/// Returns, for each of some stages, the seconds of the longest chain of these stages that begins with it. `stages` must be
/// in the graph's order.
fn heights(graph: &Graph, stages: &[StageId], seconds: &[f64]) -> BTreeMap<StageId, f64> {
    let mut heights: BTreeMap<StageId, f64> = stages.iter().map(|&stage| (stage, 0.0)).collect();
    for &stage in stages.iter().rev() {
        let height = heights[&stage] + seconds[stage];
        heights.insert(stage, height);
        for input in &graph.stages[stage].inputs {
            if let Some(before) = heights.get_mut(&input.stage) {
                *before = before.max(height);
            }
        }
    }
    heights
}

/// Returns the longest chain of stages that wait for each other, in seconds, and its last stage.
pub fn longest_chain(graph: &Graph, stages: &[StageId], seconds: &[f64]) -> Option<(f64, StageId)> {
    let mut ends: BTreeMap<StageId, f64> = BTreeMap::new();
    for &stage in stages {
        let before = graph.stages[stage].inputs.iter().filter_map(|input| ends.get(&input.stage).copied());
        ends.insert(stage, before.fold(0.0, f64::max) + seconds[stage]);
    }
    let last = ends.into_iter().max_by_key(|&(stage, end)| (bits(end), Reverse(stage)));
    last.map(|(stage, end)| (end, stage))
}

/// Returns the seconds until all stages are done, if `machines` run one stage each at a time, and a free machine takes the
/// ready stage with the longest chain behind it, as the engine does. `stages` must be in the graph's order.
pub fn makespan(graph: &Graph, stages: &[StageId], seconds: &[f64], machines: usize) -> f64 {
    let heights = heights(graph, stages, seconds);
    let mut readers: BTreeMap<StageId, Vec<StageId>> = BTreeMap::new();
    let mut waits: BTreeMap<StageId, usize> = BTreeMap::new();
    for &stage in stages {
        let inputs = graph.stages[stage].inputs.iter().map(|input| input.stage).filter(|id| heights.contains_key(id));
        let count = inputs.inspect(|&input| readers.entry(input).or_default().push(stage)).count();
        waits.insert(stage, count);
    }
    let rank = |stage: StageId| (bits(heights[&stage]), Reverse(stage));
    let mut ready: BinaryHeap<(u64, Reverse<StageId>)> =
        stages.iter().copied().filter(|stage| waits[stage] == 0).map(rank).collect();
    let mut running: BinaryHeap<Reverse<(u64, StageId)>> = BinaryHeap::new();
    let mut now = 0.0_f64;
    loop {
        while running.len() < machines.max(1) {
            let Some((_, Reverse(stage))) = ready.pop() else { break };
            running.push(Reverse((bits(now + seconds[stage]), stage)));
        }
        let Some(Reverse((end, stage))) = running.pop() else { return now };
        now = f64::from_bits(end);
        for &reader in readers.get(&stage).into_iter().flatten() {
            if let Some(count) = waits.get_mut(&reader) {
                *count -= 1;
                if *count == 0 {
                    ready.push(rank(reader));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::tests::graph;

    #[test]
    fn two_chains_and_what_follows_them() {
        // Two chains of four stages, and sixteen stages that need both.
        let mut edges: Vec<Vec<StageId>> = vec![vec![], vec![]];
        (2..8).for_each(|id| edges.push(vec![id - 2]));
        edges.extend(std::iter::repeat_n(vec![6, 7], 16));
        let graph = graph(&edges);
        let (stages, seconds): (Vec<_>, _) = ((0..24).collect(), vec![20.0; 24]);
        assert_eq!(makespan(&graph, &stages, &seconds, 4), 160.0);
        assert_eq!(makespan(&graph, &stages, &seconds, 1), 480.0);
        assert_eq!(makespan(&graph, &stages, &seconds, 100), 100.0);
        assert_eq!(longest_chain(&graph, &stages, &seconds), Some((100.0, 8)));
        // Only what has to run counts.
        assert_eq!(makespan(&graph, &stages[8..], &seconds, 4), 80.0);
        assert_eq!((makespan(&graph, &[], &seconds, 4), longest_chain(&graph, &[], &seconds)), (0.0, None));
    }

    proptest! {
        /// It lies between the bounds that hold for every such schedule (Graham, 1966).
        #[test]
        fn it_is_a_schedule(
            edges in prop::collection::vec(prop::collection::vec(0_usize..12, 0..3), 1..12),
            seconds in prop::collection::vec(0.0_f64..9.0, 12),
            machines in 1_usize..5,
        ) {
            let edges: Vec<Vec<StageId>> = edges.iter().enumerate()
                .map(|(id, inputs)| inputs.iter().copied().filter(|&i| i < id).collect()).collect();
            let graph = graph(&edges);
            let stages: Vec<StageId> = (0..edges.len()).collect();
            let work: f64 = stages.iter().map(|&id| seconds[id]).sum();
            let chain = longest_chain(&graph, &stages, &seconds).unwrap().0;
            let time = makespan(&graph, &stages, &seconds, machines);
            let m = machines as f64;
            prop_assert!(time >= chain.max(work / m) - 1e-9);
            prop_assert!(time <= work / m + chain * (1.0 - 1.0 / m) + 1e-9, "{} {} {}", time, work, chain);
        }
    }
}
