//! The training whose results a curve shows, divided into phases of one learning rate.

use std::collections::BTreeSet;

use crate::graph::{Graph, Stage, StageId};
use base::work::{Curve, Panel, Work};
use draw::claim::phase::Phase;

/// Finds the curve to which published values with a curve name belong.
pub fn curve<'a>(panel: &'a Panel, name: &str) -> Option<&'a Curve> {
    let named = |curve: &&Curve| curve.label == name;
    // The values can belong to the only curve of a panel if that curve has no name, but not if it has another name.
    let alone = |curve: &&Curve| panel.curves.len() == 1 && curve.label.is_empty();
    panel.curves.iter().find(named).or_else(|| panel.curves.iter().find(alone))
}

/// Finds the phases of the training whose results a curve shows. A phase is a range of epochs at one learning rate.
pub fn run(graph: &Graph, figure: &Stage, curve: &Curve) -> Vec<Phase> {
    let tables = curve.replicas.first().into_iter().flatten();
    let behind = tables.filter_map(|rows| figure.inputs.iter().find(|input| input.role == rows.table));
    let mut segments: BTreeSet<StageId> = BTreeSet::new();
    for input in behind {
        let mut at = Some(input.stage);
        while let Some(stage) = at {
            let trains = matches!(graph.stages[stage].work, Work::Train(_));
            if trains && !segments.insert(stage) {
                break;
            }
            at = before(graph, stage);
        }
    }
    let train = |stage: &StageId| if let Work::Train(train) = &graph.stages[*stage].work { Some(train) } else { None };
    // The last probe may start before its phase ends.
    if let Some(last) = segments.iter().max_by_key(|stage| train(stage).map(|train| train.first_epoch)).copied() {
        segments.extend(later(graph, last));
    }
    let mut trained: Vec<_> = segments.iter().filter_map(train).collect();
    trained.sort_by_key(|train| train.first_epoch);
    let mut phases: Vec<(Phase, f64)> = Vec::new();
    for train in trained {
        let from = f64::from(train.first_epoch);
        let to = from + f64::from(train.epochs);
        match phases.last_mut() {
            Some((phase, same)) if *same == train.lr => phase.to = phase.to.max(to),
            _ => phases.push((Phase { from, to }, train.lr)),
        }
    }
    phases.into_iter().map(|(phase, _)| phase).collect()
}

/// Finds the stage whose weights a stage starts from or evaluates.
fn before(graph: &Graph, stage: StageId) -> Option<StageId> {
    let inputs = &graph.stages[stage].inputs;
    inputs.iter().find(|input| input.role == "weights" || input.role == "ema").map(|input| input.stage)
}

/// Finds the segments of training that continue a segment at the same learning rate.
fn later(graph: &Graph, stage: StageId) -> Vec<StageId> {
    let mut found = vec![stage];
    // Readers come after what they read.
    for (id, next) in graph.stages.iter().enumerate().skip(stage + 1) {
        let at = found[found.len() - 1];
        if let (Work::Train(now), Work::Train(then)) = (&graph.stages[at].work, &next.work)
            && now.lr == then.lr
            && before(graph, id) == Some(at)
        {
            found.push(id);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Pipeline, expand};
    use draw::claim::phase::phases;

    fn graph(profile: &str, sets: &[&str]) -> Graph {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let text = include_str!("../../../pipelines/fig3.toml");
        let pipeline = Pipeline::read("fig3", "fig3.toml", text, profile, &sets).unwrap();
        expand(&pipeline).unwrap()
    }

    #[test]
    fn phases_are_those_of_the_training_behind_a_curve() {
        let run = |graph: &Graph, panel: &str, name: &str| {
            let stage = &graph.stages[graph.figures["fig3"].stage];
            let Work::Figure(figure) = &stage.work else { panic!() };
            let panel = figure.panels.iter().find(|other| other.id == panel).unwrap();
            run(graph, stage, curve(panel, name).unwrap())
        };
        let small =
            ["trunk.epochs=30", "decay.epochs=15", "after=[1,5,13,29]", "trunk.checkpoint_every=4", "seed=[0,1]"];
        let small = graph("paper", &small);
        let (large, end) = (Phase { from: 0.0, to: 30.0 }, Phase { from: 30.0, to: 45.0 });
        assert_eq!(run(&small, "a", "LR 0.1"), [large, end]);
        assert_eq!(run(&small, "a", "LR 0.1 (EMA)"), [large, end]);
        // The last probe starts after 29 epochs of a phase of 30; its own epochs do not count.
        assert_eq!(run(&small, "c", "LR 0.1"), [large]);
        assert_eq!(run(&small, "d", "LR 0.2"), [large]);
        let paper = graph("paper", &["seed=0"]);
        assert_eq!(run(&paper, "b", "LR 0.2"), phases(200.0, Some(100.0)));
        assert_eq!(run(&paper, "c", "LR 0.2"), phases(100.0, None));
        // A rate that is not lowered is one phase.
        let whole = graph("paper", &["decay.lr=0.1", "lr=[0.1,0.15,0.2]", "seed=0"]);
        assert_eq!(run(&whole, "a", "LR 0.1"), phases(200.0, None));
    }
}
