//! Which stages have to run, and which of them can start. This is the result of [`plan`](crate::plan::plan), updated
//! incrementally: the cost of a stage's end depends on the number of its neighbours, not on the size of the graph.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::cost;
use crate::graph::{Graph, StageId};
use crate::plan::{Knowledge, MissReason, Plan, reason};

/// The stages that have not run yet.
pub struct Frontier<'a> {
    graph: &'a Graph,
    is_target: Vec<bool>,
    /// The needed readers of every stage.
    readers: Vec<Vec<StageId>>,
    /// For every stage, the operations on the most expensive chain of stages that starts with it.
    height: Vec<f64>,
    /// Whether each stage has to run.
    runs: Vec<bool>,
    /// For every stage, the number of stages that it reads from and that have to run first.
    waits_for: Vec<usize>,
    /// Whether a worker is running the stage, or has given it up for good.
    taken: Vec<bool>,
    /// Shuffles stages of equal height: their places are their numbers XOR this one.
    shuffle: usize,
    /// The heights and places of the stages that can start: the greatest height first.
    ready: BTreeSet<(Reverse<u64>, usize)>,
}

impl<'a> Frontier<'a> {
    /// Creates the initial frontier of `plan`, which was made for `targets` and their dependencies. Stages of equal height
    /// keep the pipeline's order if `shuffle` is 0; processes that share a run have different numbers, so that they rarely
    /// try the same stage.
    pub fn new(graph: &'a Graph, targets: &[StageId], needed: &[bool], plan: &Plan, shuffle: usize) -> Self {
        let count = graph.stages.len();
        let mut readers = graph.dependents();
        readers.iter_mut().for_each(|readers| readers.retain(|&reader| needed[reader]));
        let (mut is_target, mut runs) = (vec![false; count], vec![false; count]);
        targets.iter().for_each(|&target| is_target[target] = true);
        plan.run.iter().for_each(|run| runs[run.stage] = true);
        let mut waits_for = vec![0; count];
        for id in (0..count).filter(|&id| runs[id]) {
            readers[id].iter().for_each(|&reader| waits_for[reader] += 1);
        }
        let (height, taken) = (heights(graph, needed), vec![false; count]);
        let ready = BTreeSet::new();
        let mut frontier = Self { graph, is_target, readers, height, runs, waits_for, taken, shuffle, ready };
        (0..count).for_each(|id| frontier.place(id));
        frontier
    }

    /// Returns the needed readers of a stage.
    pub fn readers(&self, id: StageId) -> &[StageId] {
        &self.readers[id]
    }

    /// Returns the stages that can start, in the order in which they should.
    pub fn ready(&self) -> impl Iterator<Item = StageId> {
        self.ready.iter().map(|(_, place)| place ^ self.shuffle)
    }

    /// Returns whether a stage can start.
    pub fn is_ready(&self, id: StageId) -> bool {
        self.ready.contains(&self.rank(id))
    }

    /// Returns why a stage has to run, or `None` if it need not.
    pub fn reason(&self, id: StageId, knowledge: &[Knowledge]) -> Option<MissReason> {
        reason(self.graph, id, knowledge, |output| self.is_demanded(id, output))
    }

    /// Returns the outputs of a stage whose bytes are needed.
    pub fn demanded(&self, id: StageId) -> Vec<&'static str> {
        let outputs = self.graph.stages[id].work.outputs();
        outputs.into_iter().filter(|output| self.is_demanded(id, output)).collect()
    }

    /// Notes that a worker has taken a stage, or that the stage is given up for good.
    pub fn take(&mut self, id: StageId) {
        self.taken[id] = true;
        self.place(id);
    }

    /// Notes that no worker is running the stage any more; it may still have to run.
    pub fn put_back(&mut self, id: StageId) {
        self.taken[id] = false;
        self.place(id);
    }

    /// Updates the frontier after the knowledge about a stage has changed.
    pub fn learned(&mut self, id: StageId, knowledge: &[Knowledge]) {
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            let runs = self.reason(id, knowledge).is_some();
            if runs == self.runs[id] {
                continue;
            }
            self.runs[id] = runs;
            self.place(id);
            for at in 0..self.readers[id].len() {
                let reader = self.readers[id][at];
                match runs {
                    true => self.waits_for[reader] += 1,
                    false => self.waits_for[reader] -= 1,
                }
                self.place(reader);
            }
            // Whether the bytes of its inputs are needed may have changed.
            open.extend(self.graph.stages[id].inputs.iter().map(|input| input.stage));
        }
    }

    /// Whether the bytes of an output are needed.
    fn is_demanded(&self, id: StageId, output: &str) -> bool {
        let reads = |reader: StageId| {
            self.graph.stages[reader].inputs.iter().any(|input| input.stage == id && input.output == output)
        };
        self.is_target[id] || self.readers[id].iter().any(|&reader| self.runs[reader] && reads(reader))
    }

    fn place(&mut self, id: StageId) {
        let rank = self.rank(id);
        match self.runs[id] && !self.taken[id] && self.waits_for[id] == 0 {
            true => self.ready.insert(rank),
            false => self.ready.remove(&rank),
        };
    }

    /// Returns the rank of a stage among the stages that can start. Smaller ranks start earlier.
    pub fn rank(&self, id: StageId) -> (Reverse<u64>, usize) {
        // The bits of non-negative floating-point numbers have the same order as the numbers.
        (Reverse(self.height[id].to_bits()), id ^ self.shuffle)
    }
}

fn heights(graph: &Graph, needed: &[bool]) -> Vec<f64> {
    let mut heights = vec![0.0_f64; graph.stages.len()];
    for id in (0..graph.stages.len()).rev().filter(|&id| needed[id]) {
        heights[id] += cost::flops(graph, id) + 1.0;
        for input in &graph.stages[id].inputs {
            heights[input.stage] = heights[input.stage].max(heights[id]);
        }
    }
    heights
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::graph::tests::graph;
    use crate::plan::tests::known;
    use crate::plan::{Bytes, plan};

    fn knowledge(code: u8) -> Knowledge {
        let byte = |code: u8| [Bytes::Present, Bytes::Dropped, Bytes::Damaged][code as usize];
        match code {
            0 => Knowledge::Waits,
            1..10 => known(byte((code - 1) / 3), byte((code - 1) % 3)),
            _ => unreachable!("codes go up to nine"),
        }
    }

    proptest! {
        /// Whatever is learned, and in whatever order, the frontier agrees with a newly made plan.
        #[test]
        fn it_is_the_plan(
            edges in prop::collection::vec(prop::collection::vec(0_usize..12, 0..3), 1..12),
            start in prop::collection::vec(0_u8..10, 12),
            events in prop::collection::vec((0_usize..12, 0_u8..10, 0_u8..3), 0..40),
            targets in prop::collection::vec(0_usize..12, 1..3),
            shuffle in prop_oneof![Just(0_usize), 0_usize..100],
        ) {
            let edges: Vec<Vec<StageId>> = edges.iter().enumerate()
                .map(|(id, inputs)| inputs.iter().copied().filter(|&i| i < id).collect()).collect();
            let count = edges.len();
            let targets: Vec<StageId> = targets.iter().map(|target| target % count).collect();
            let graph = graph(&edges);
            let needed = graph.closure(&targets);
            let mut all: Vec<Knowledge> = start.iter().take(count).map(|&code| knowledge(code)).collect();
            let mut frontier = Frontier::new(&graph, &targets, &needed, &plan(&graph, &targets, &all), shuffle);
            let mut taken = vec![false; count];
            for (id, code, what) in events {
                let id = id % count;
                match what {
                    0 if needed[id] => {
                        all[id] = knowledge(code);
                        frontier.learned(id, &all);
                    }
                    1 => {
                        taken[id] = true;
                        frontier.take(id);
                    }
                    _ => {
                        taken[id] = false;
                        frontier.put_back(id);
                    }
                }
                let anew = plan(&graph, &targets, &all);
                let waiting: BTreeSet<StageId> = anew.run.iter().map(|run| run.stage).collect();
                for run in &anew.run {
                    prop_assert_eq!(frontier.reason(run.stage, &all), Some(run.reason.clone()));
                }
                let mut ready: Vec<StageId> = waiting.iter().copied()
                    .filter(|&id| !taken[id] && edges[id].iter().all(|input| !waiting.contains(input))).collect();
                let by_height = |a: StageId, b: StageId| frontier.height[b].total_cmp(&frontier.height[a]);
                ready.sort_by(|&a, &b| by_height(a, b).then((a ^ shuffle).cmp(&(b ^ shuffle))));
                prop_assert_eq!(frontier.ready().collect::<Vec<_>>(), ready.clone());
                prop_assert!((0..count).all(|id| frontier.is_ready(id) == ready.contains(&id)));
            }
        }
    }
}
