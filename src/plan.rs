//! Decides which stages have to run, and why, from what is known about each stage, without accessing a disk.

use crate::graph::{Graph, StageId};
use base::changes::{self, Change};
use base::digest::StageKey;
use base::isolation::Isolation;
use base::record::{KeyParts, Outline, Output};

/// Knowledge about a stage.
#[derive(Debug, Clone, Default)]
pub enum Knowledge {
    /// Some of its inputs are not known yet, so its key is not known either.
    #[default]
    Waits,
    /// Its key is known, but there is no record of it.
    Absent {
        /// The key.
        key: StageKey,
        /// Why there is no record.
        reason: MissReason,
    },
    /// A record says what its outputs are.
    Known {
        /// The key.
        key: StageKey,
        /// The outputs that the record lists.
        outline: Outline,
        /// For each output, whether its bytes are available.
        bytes: Vec<Bytes>,
    },
}

/// Whether an output's bytes are available.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bytes {
    /// In the record or in the store.
    Present,
    /// Dropped to save space, or never fetched: computed again only if something needs them.
    Dropped,
    /// Found damaged just now, and moved to quarantine. Such bytes are treated as dropped.
    Damaged,
}

/// Why a stage has to run. The module `reasons` expresses it in words.
#[derive(Debug, Clone, PartialEq)]
pub enum MissReason {
    /// No stage of this name ever ran here.
    New,
    /// A stage of this name ran with other settings or inputs.
    Changed(Vec<Change>),
    /// An input is not known until this stage has run.
    Waits(String),
    /// The data set or the weights that it reads were not imported here.
    NotHere,
    /// There is a record, but the bytes of this output are missing, and a target or a stage needs them.
    Dropped(String),
    /// The bytes of this output were damaged, and a target or a stage needs them.
    Damaged(String),
    /// There is a record, but the project does not use it.
    Refused(Refusal),
}

/// Why a project does not use a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// No trusted key signed it.
    Unsigned,
    /// Its command ran in a weaker sandbox than the project asks for.
    Sandbox {
        /// The sandbox in which it ran.
        ran: Isolation,
        /// The weakest that the project accepts.
        wanted: Isolation,
    },
}

impl MissReason {
    /// Returns why a stage has to run for `parts`, if its last run had the parts `last`.
    pub fn between(last: Option<&KeyParts>, parts: &KeyParts) -> Self {
        let changes = last.map(|last| changes::all(last, parts)).unwrap_or_default();
        match changes.is_empty() {
            true => Self::New,
            false => Self::Changed(changes),
        }
    }
}

/// A stage that has to run.
#[derive(Debug, Clone, PartialEq)]
pub struct ToRun {
    /// The stage.
    pub stage: StageId,
    /// Why it has to run.
    pub reason: MissReason,
}

/// The stages that have to run for some targets, and counts of the others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// The stages that have to run, in dependency order. A stage that waits can turn out to be known.
    pub run: Vec<ToRun>,
    /// Number of needed stages, targets included, whose outputs are known and that do not have to run.
    pub cached: usize,
    /// Number of outputs of these stages that were found damaged but are not needed.
    pub damaged: usize,
}

/// Decides which stages have to run. A stage runs if its outputs are unknown, or if bytes of an output are missing that a
/// stage to run reads or that a target consists of. Damaged bytes are moved to quarantine, so the next process finds them
/// missing. The plan treats them as missing too, so that it does not depend on which process looked first.
pub fn plan(graph: &Graph, targets: &[StageId], knowledge: &[Knowledge]) -> Plan {
    let closure = graph.closure(targets);
    let mut demanded: Vec<Vec<&str>> = vec![Vec::new(); graph.stages.len()];
    for &target in targets {
        demanded[target].extend(graph.stages[target].work.outputs());
    }
    let mut plan = Plan::default();
    for id in (0..graph.stages.len()).rev().filter(|&id| closure[id]) {
        let reason = reason(graph, id, knowledge, |output| demanded[id].contains(&output));
        match reason {
            Some(reason) => {
                for input in &graph.stages[id].inputs {
                    demanded[input.stage].push(input.output);
                }
                plan.run.push(ToRun { stage: id, reason });
            }
            None => {
                plan.cached += 1;
                if let Knowledge::Known { bytes, .. } = &knowledge[id] {
                    plan.damaged += bytes.iter().filter(|bytes| **bytes == Bytes::Damaged).count();
                }
            }
        }
    }
    plan.run.reverse();
    plan
}

/// Returns why a stage has to run, if it has to. `demanded` says whether a target or a stage to run needs the bytes of an
/// output.
pub fn reason(
    graph: &Graph,
    id: StageId,
    knowledge: &[Knowledge],
    demanded: impl Fn(&str) -> bool,
) -> Option<MissReason> {
    match &knowledge[id] {
        Knowledge::Waits => Some(waits(graph, id, knowledge)),
        Knowledge::Absent { reason, .. } => Some(reason.clone()),
        Knowledge::Known { outline, bytes, .. } => {
            let lacks = |(output, bytes): &(&Output, &Bytes)| **bytes != Bytes::Present && demanded(&output.name);
            let (output, bytes) = outline.outputs.iter().zip(bytes).find(lacks)?;
            Some(match bytes {
                Bytes::Damaged => MissReason::Damaged(output.name.clone()),
                _ => MissReason::Dropped(output.name.clone()),
            })
        }
    }
}

fn waits(graph: &Graph, id: StageId, knowledge: &[Knowledge]) -> MissReason {
    let unknown = |stage: StageId| !matches!(knowledge[stage], Knowledge::Known { .. });
    let input = graph.stages[id].inputs.iter().find(|input| unknown(input.stage));
    input.map_or(MissReason::NotHere, |input| MissReason::Waits(graph.stages[input.stage].name.clone()))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::graph::tests::graph;
    use base::changes::{How, Part};
    use base::digest::ObjectDigest;
    use base::digest::RecordDigest;
    use base::value::Value;

    fn parts() -> KeyParts {
        let model = Value::Map([("width".into(), Value::Int(8))].into());
        KeyParts {
            kind: "train".into(),
            version: 1,
            parameters: [("lr".into(), Value::Float(0.1)), ("model".into(), model)].into(),
            inputs: [("weights".into(), ObjectDigest::of(b"a"))].into(),
            policy: [("threads".into(), Value::Int(1))].into(),
        }
    }

    #[test]
    fn a_stage_that_was_never_run_differs_from_nothing() {
        let (old, mut new) = (parts(), parts());
        assert_eq!(MissReason::between(Some(&old), &new), MissReason::New);
        new.version = 2;
        let wanted = MissReason::Changed(vec![Change {
            part: Part::Version("train".into()),
            how: How::To("1".into(), "2".into()),
        }]);
        assert_eq!(MissReason::between(Some(&old), &new), wanted);
        assert_eq!(MissReason::between(None, &new), MissReason::New);
    }

    pub(crate) fn known(train: Bytes, test: Bytes) -> Knowledge {
        let output = |name: &str| Output { name: name.into(), object: ObjectDigest::of(b"x"), bytes: 1, inline: None };
        let outline = Outline { digest: RecordDigest::of(b"r"), outputs: vec![output("train"), output("test")] };
        Knowledge::Known { key: parts().key(), outline, bytes: vec![train, test] }
    }

    #[test]
    fn dropped_bytes_are_computed_again_only_if_needed() {
        use Bytes::{Damaged, Dropped, Present};
        let graph = graph(&[vec![], vec![0], vec![1]]);
        let run = |knowledge: &[Knowledge]| -> Vec<StageId> {
            plan(&graph, &[2], knowledge).run.iter().map(|run| run.stage).collect()
        };
        let all = known(Present, Present);
        assert!(run(&[known(Dropped, Dropped), known(Dropped, Present), all.clone()]).is_empty());
        assert_eq!(run(&[all.clone(), known(Dropped, Present), known(Dropped, Present)]), [1, 2]);
        // `test` of stage 1 is dropped, but no stage reads it.
        assert_eq!(run(&[all.clone(), known(Present, Dropped), known(Present, Dropped)]), [2]);
        // Damaged bytes are treated as dropped.
        assert!(run(&[all.clone(), known(Present, Damaged), all.clone()]).is_empty());
        assert_eq!(plan(&graph, &[2], &[all.clone(), known(Damaged, Damaged), all.clone()]).damaged, 2);
        assert_eq!(run(&[known(Dropped, Present), known(Damaged, Present), known(Present, Damaged)]), [0, 1, 2]);
    }

    proptest! {
        /// The oracle follows the definition: it asks each stage's readers whether the stage must run.
        #[test]
        fn the_plan_is_what_the_definition_says(
            edges in prop::collection::vec(prop::collection::vec(0_usize..12, 0..3), 1..12),
            states in prop::collection::vec((0_u8..3, 0_u8..3, 0_u8..3), 12),
            target in 0_usize..12,
        ) {
            let edges: Vec<Vec<StageId>> = edges.iter().enumerate()
                .map(|(id, inputs)| inputs.iter().copied().filter(|&i| i < id).collect()).collect();
            let target = target % edges.len();
            let graph = graph(&edges);
            let byte = |code: u8| [Bytes::Present, Bytes::Dropped, Bytes::Damaged][code as usize];
            let absent = || Knowledge::Absent { key: parts().key(), reason: MissReason::New };
            let knowledge: Vec<Knowledge> = (0..edges.len())
                .map(|id| match states[id] { (0, ..) => absent(), (_, a, b) => known(byte(a), byte(b)) }).collect();

            fn reachable(edges: &[Vec<StageId>], from: StageId, seen: &mut BTreeSet<StageId>) {
                if seen.insert(from) { for &next in &edges[from] { reachable(edges, next, seen); } }
            }
            let mut behind = BTreeSet::new();
            reachable(&edges, target, &mut behind);
            fn runs(id: StageId, target: StageId, edges: &[Vec<StageId>], behind: &BTreeSet<StageId>, states: &[(u8, u8, u8)]) -> bool {
                let readers = || behind.iter().filter(|&&reader| edges[reader].contains(&id));
                match states[id] {
                    (0, ..) => true,
                    (_, a, b) => {
                        (id == target && (a > 0 || b > 0))
                            || (a > 0 && readers().any(|&reader| runs(reader, target, edges, behind, states)))
                    }
                }
            }
            let wanted: Vec<StageId> = behind.iter().copied().filter(|&id| runs(id, target, &edges, &behind, &states)).collect();
            let plan = plan(&graph, &[target], &knowledge);
            prop_assert_eq!(plan.run.iter().map(|run| run.stage).collect::<Vec<_>>(), wanted);
            prop_assert_eq!(plan.cached + plan.run.len(), behind.len());
        }
    }
}
