//! Which stages have to run, and which of them can start: what [`plan`](crate::plan::plan) says, kept up to date as stages
//! end, so that a stage's end costs as much as it has neighbours and not as much as there are stages.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::cost;
use crate::graph::{Graph, StageId};
use crate::plan::{Knowledge, MissReason, Plan, reason};

/// The stages that have not run yet.
pub struct Frontier<'a> {
    graph: &'a Graph,
    is_target: Vec<bool>,
    /// The readers of every stage, those that are needed.
    readers: Vec<Vec<StageId>>,
    /// For every stage the arithmetic from its start to the end of the longest chain behind it.
    height: Vec<f64>,
    /// Whether it has to run.
    runs: Vec<bool>,
    /// How many of the stages that it reads have to run before.
    waits_for: Vec<usize>,
    /// Whether a worker has it, or had and gave it up for good.
    taken: Vec<bool>,
    /// What can start: the one with the most work behind it first, of equals the pipeline's first.
    ready: BTreeSet<(Reverse<u64>, StageId)>,
}

impl<'a> Frontier<'a> {
    /// What `plan`, made for `targets` and the stages behind them, begins with.
    pub fn new(graph: &'a Graph, targets: &[StageId], needed: &[bool], plan: &Plan) -> Self {
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
        let mut frontier = Self { graph, is_target, readers, height, runs, waits_for, taken, ready: BTreeSet::new() };
        (0..count).for_each(|id| frontier.place(id));
        frontier
    }

    /// The readers of a stage that are needed.
    pub fn readers(&self, id: StageId) -> &[StageId] {
        &self.readers[id]
    }

    /// What can start, in the order in which it should.
    pub fn ready(&self) -> impl Iterator<Item = StageId> {
        self.ready.iter().map(|(_, id)| *id)
    }

    /// Whether a stage can start.
    pub fn is_ready(&self, id: StageId) -> bool {
        self.ready.contains(&self.rank(id))
    }

    /// Why a stage has to run, if it has to.
    pub fn reason(&self, id: StageId, knowledge: &[Knowledge]) -> Option<MissReason> {
        reason(self.graph, id, knowledge, |output| self.is_demanded(id, output))
    }

    /// The outputs of a stage whose bytes are needed.
    pub fn demanded(&self, id: StageId) -> Vec<&'static str> {
        let outputs = self.graph.stages[id].work.outputs();
        outputs.into_iter().filter(|output| self.is_demanded(id, output)).collect()
    }

    /// A worker takes a stage, or gives it up for good.
    pub fn take(&mut self, id: StageId) {
        self.taken[id] = true;
        self.place(id);
    }

    /// No worker has the stage any more; it may have to run still.
    pub fn put_back(&mut self, id: StageId) {
        self.taken[id] = false;
        self.place(id);
    }

    /// Takes in that something else is known about a stage.
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
            // Bytes that it reads are needed now, or no longer.
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

    /// The place of a stage among those that can start: the less, the earlier.
    pub fn rank(&self, id: StageId) -> (Reverse<u64>, StageId) {
        // The bits of numbers that are not negative are ordered as the numbers are.
        (Reverse(self.height[id].to_bits()), id)
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
    use crate::plan::tests::{graph, known};
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
        /// Whatever becomes known in whatever order, the frontier says what a plan made anew says.
        #[test]
        fn it_is_the_plan(
            edges in prop::collection::vec(prop::collection::vec(0_usize..12, 0..3), 1..12),
            start in prop::collection::vec(0_u8..10, 12),
            events in prop::collection::vec((0_usize..12, 0_u8..10, 0_u8..3), 0..40),
            targets in prop::collection::vec(0_usize..12, 1..3),
        ) {
            let edges: Vec<Vec<StageId>> = edges.iter().enumerate()
                .map(|(id, inputs)| inputs.iter().copied().filter(|&i| i < id).collect()).collect();
            let count = edges.len();
            let targets: Vec<StageId> = targets.iter().map(|target| target % count).collect();
            let graph = graph(&edges);
            let needed = graph.closure(&targets);
            let mut all: Vec<Knowledge> = start.iter().take(count).map(|&code| knowledge(code)).collect();
            let mut frontier = Frontier::new(&graph, &targets, &needed, &plan(&graph, &targets, &all));
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
                // Stable, so that of equals the pipeline's first comes first.
                ready.sort_by(|&a, &b| frontier.height[b].total_cmp(&frontier.height[a]));
                prop_assert_eq!(frontier.ready().collect::<Vec<_>>(), ready.clone());
                prop_assert!((0..count).all(|id| frontier.is_ready(id) == ready.contains(&id)));
            }
        }
    }
}
