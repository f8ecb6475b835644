//! The closure of a stage, from a graph and the records that the store has of its stages.

use std::collections::BTreeSet;

use super::EngineError;
use crate::graph::{Graph, StageId};
use crate::plan::Knowledge;
use base::closure::{Closure, Member, outcome, root};
use base::digest::{ClosureRoot, RecordDigest};
use base::record::Record;
use base::work::Import;
use store::Store;

/// Returns the closure of a stage: the stages that it depends on, in the graph's order and with the graph's names, and
/// the stage itself last. The record of an import comes before its first reader, named `import cifar10` or
/// `import weights/NAME`.
///
/// # Errors
/// If the outputs of one of the stages are not known, or the record of an import is gone.
pub fn closure(graph: &Graph, knowledge: &[Knowledge], target: StageId, store: &Store) -> Result<Closure, EngineError> {
    let needed = graph.closure(&[target]);
    for id in (0..=target).filter(|&id| needed[id]) {
        let Some(Knowledge::Known { .. }) = knowledge.get(id) else {
            return Err(EngineError::NotMade(graph.stages[id].name.clone()));
        };
    }
    let members = known(graph, knowledge, &needed, store)?;
    Ok(Closure { members })
}

/// Returns the root of a stage's [`closure`]; it reads only the records of imports and their readers.
///
/// # Errors
/// See [`closure`].
pub fn closure_root(
    graph: &Graph,
    knowledge: &[Knowledge],
    target: StageId,
    store: &Store,
) -> Result<ClosureRoot, EngineError> {
    let needed = graph.closure(&[target]);
    let mut outcomes = Vec::new();
    let mut imports = Vec::new();
    for (id, stage) in graph.stages.iter().enumerate().filter(|(id, _)| needed[*id]) {
        let not_made = || EngineError::NotMade(stage.name.clone());
        let Some(Knowledge::Known { key, outline, .. }) = knowledge.get(id) else { return Err(not_made()) };
        if let Some(import) = stage.work.import() {
            let record = store.recorded(key, &outline.digest)?.ok_or_else(not_made)?;
            imports.push((import.parts().key(), brought(import, &record, store)?.1));
        }
        outcomes.push(outcome(*key, &outline.outputs));
    }
    outcomes.extend(imports.iter().map(|(key, record)| outcome(*key, &record.outputs)));
    Ok(root(outcomes))
}

/// Returns the needed stages whose outputs are known, in the form of [`closure`], with the imports that they read.
///
/// # Errors
/// If the record of a stage or of an import is gone.
pub fn known(
    graph: &Graph,
    knowledge: &[Knowledge],
    needed: &[bool],
    store: &Store,
) -> Result<Vec<Member>, EngineError> {
    let (mut members, mut imported) = (Vec::new(), BTreeSet::new());
    for (id, stage) in graph.stages.iter().enumerate().filter(|(id, _)| needed[*id]) {
        let Some(Knowledge::Known { key, outline, .. }) = knowledge.get(id) else { continue };
        let gone = || EngineError::NotMade(stage.name.clone());
        let record = store.recorded(key, &outline.digest)?.ok_or_else(gone)?;
        if let Some(import) = stage.work.import() {
            let (digest, brought) = brought(import, &record, store)?;
            if imported.insert(digest) {
                members.push(member(import.to_string(), digest, brought));
            }
        }
        members.push(member(stage.name.clone(), outline.digest, record));
    }
    Ok(members)
}

/// Returns the record of an import whose outputs `reader` read, and the preferred one if there are several. It need not
/// be the newest record, since other files may have been imported since the stage ran.
fn brought(import: Import<'_>, reader: &Record, store: &Store) -> Result<(RecordDigest, Record), EngineError> {
    let yields = |record: &Record| {
        let yielded: BTreeSet<_> = record.outputs.iter().map(|output| output.object).collect();
        reader.parts.inputs.values().all(|object| yielded.contains(object))
    };
    let records = store.records(&import.parts().key())?;
    records.into_iter().find(|(_, record)| yields(record)).ok_or_else(|| EngineError::not_imported(import))
}

fn member(name: String, digest: RecordDigest, record: Record) -> Member {
    Member { name, key: record.parts.key(), digest, record }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Resolver;
    use crate::graph::{Input, Stage};
    use base::digest::ObjectDigest;
    use base::record::{KeyParts, Output, Provenance};
    use base::work::{Dataset, Init, InitScheme, Model, ModelName, Source, Work};

    fn record(parts: KeyParts, outputs: &[&str]) -> Record {
        let bytes = |name: &&str| format!("{} of {}", name, parts.key()).into_bytes();
        let output = |name: &&str| Output {
            name: (*name).into(),
            object: ObjectDigest::of(&bytes(name)),
            bytes: bytes(name).len() as u64,
            inline: Some(bytes(name)),
        };
        let outputs = outputs.iter().map(output).collect();
        Record { parts, outputs, tensors: Vec::new(), provenance: Provenance::default() }
    }

    /// Two subsets of CIFAR-10, one initial network from each, and one network that no stage needs.
    fn graph() -> Graph {
        let data = |train| Work::Dataset(Dataset { source: Source::Cifar10, train, test: 10, classes: None, seed: 0 });
        let init = |seed| {
            let model = Model::new(ModelName::PreactResnet18, 1, 10);
            Work::Init(Init { model, scheme: InitScheme::He, radius: None, seed })
        };
        let stage = |name: &str, work, from: &[(&str, StageId, &'static str)]| Stage {
            name: name.into(),
            work,
            inputs: from.iter().map(|&(role, stage, output)| Input { role: role.into(), stage, output }).collect(),
        };
        let stages = vec![
            stage("f/some", data(10), &[]),
            stage("f/all", data(20), &[]),
            stage("f/unneeded", init(7), &[]),
            stage("f/a", init(0), &[("train", 0, "train")]),
            stage("f/b", init(1), &[("train", 1, "train"), ("weights", 3, "weights")]),
        ];
        Graph { stages, ..Graph::default() }
    }

    #[test]
    fn a_closure_is_whole_and_has_each_import_once() {
        let folder = tempfile::tempdir().unwrap();
        let (store, graph) = (Store::open(folder.path()).unwrap(), graph());
        let resolver = Resolver::new(&store, &graph, &crate::engine::Indifferent);
        let look = || resolver.outlook(&[true; 5]).unwrap();
        assert!(matches!(closure(&graph, &look(), 4, &store), Err(EngineError::NotMade(name)) if name == "f/some"));

        store.publish(&record(Import::Data(Source::Cifar10).parts(), &["train", "test"])).unwrap();
        for id in [0, 1, 3, 4] {
            let parts = resolver.parts(id, &resolver.inputs(id, &look()).unwrap().unwrap()).unwrap();
            store.publish(&record(parts, &graph.stages[id].work.outputs())).unwrap();
        }
        let knowledge = look();
        let found = closure(&graph, &knowledge, 4, &store).unwrap();
        let names: Vec<_> = found.members.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["import cifar10", "f/some", "f/all", "f/a", "f/b"]);
        assert!(found.gaps().is_empty());
        assert_eq!(closure_root(&graph, &knowledge, 4, &store).unwrap(), found.root());
        for member in &found.members {
            assert!(store.records(&member.key).unwrap().iter().any(|(digest, _)| *digest == member.digest));
        }

        // Other images are imported later; the stages were computed from the older ones.
        let mut newer = record(Import::Data(Source::Cifar10).parts(), &["train", "test"]);
        for output in &mut newer.outputs {
            (output.object, output.inline, output.bytes) = (ObjectDigest::of(b"x"), Some(b"x".to_vec()), 1);
        }
        store.publish_newest(newer).unwrap();
        assert_eq!(closure(&graph, &knowledge, 4, &store).unwrap(), found);
    }
}
