//! Several pipelines as one graph, in which equal stages are merged.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::graph::{Drawn, Graph, Input, Stage, StageId};
use base::value::ValueError;

/// Adds the stages of another pipeline. A stage that computes the same from the same inputs as an existing one becomes an
/// alias of it.
pub fn append(graph: &mut Graph, other: Graph, known: &mut HashMap<u64, StageId>) -> Result<(), ValueError> {
    graph.policy = other.policy;
    let mut ids: Vec<StageId> = Vec::with_capacity(other.stages.len());
    for mut stage in other.stages {
        for input in &mut stage.inputs {
            input.stage = ids[input.stage];
        }
        let next = graph.stages.len();
        let id = *known.entry(likeness(&stage)?).or_insert(next);
        let equal =
            graph.stages.get(id).is_some_and(|other| (&other.work, &other.inputs) == (&stage.work, &stage.inputs));
        ids.push(if equal { id } else { next });
        if equal {
            graph.aliases.insert(stage.name, id);
        } else {
            graph.stages.push(stage);
        }
    }
    graph.claims.extend(other.claims.into_iter().map(|mut claim| {
        claim.inputs.iter_mut().for_each(|input| input.stage = ids[input.stage]);
        claim
    }));
    graph.published.extend(other.published);
    graph.figures.extend(other.figures.into_iter().map(|(name, drawn)| {
        let stage = ids[drawn.stage];
        (name, Drawn { stage, ..drawn })
    }));
    Ok(())
}

/// Hashes a stage's work and inputs. Equal stages have equal hashes, and other stages hardly ever do.
fn likeness(stage: &Stage) -> Result<u64, ValueError> {
    let mut hasher = DefaultHasher::new();
    stage.work.encoded()?.hash(&mut hasher);
    for Input { role, stage, output } in &stage.inputs {
        (role, stage, output).hash(&mut hasher);
    }
    Ok(hasher.finish())
}
