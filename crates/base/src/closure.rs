//! The closure of a figure: all stages that it depends on with their records, from the data to the drawing.

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::{ClosureRoot, ObjectDigest, RecordDigest, StageKey};
use crate::record::{Output, Record};

/// A stage and the record of one of its runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Name of the stage, such as `fig3/trunk[lr=0.1,seed=0]@3`.
    pub name: String,
    /// Key of the stage.
    pub key: StageKey,
    /// Name of the record.
    pub digest: RecordDigest,
    /// The record.
    pub record: Record,
}

/// A stage's key and its outputs, in ascending order of their names; the root of a closure is the hash of these.
pub type Outcome<'a> = (StageKey, Vec<(&'a str, ObjectDigest)>);

/// Returns a key with the outputs of its record.
pub fn outcome(key: StageKey, outputs: &[Output]) -> Outcome<'_> {
    let mut outputs: Vec<_> = outputs.iter().map(|output| (output.name.as_str(), output.object)).collect();
    outputs.sort_by_key(|(name, _)| *name);
    // If several outputs have the same name, the last one counts.
    outputs.reverse();
    outputs.dedup_by_key(|(name, _)| *name);
    outputs.reverse();
    (key, outputs)
}

/// Returns the hash of stages and their outputs: BLAKE3 (derived key, see the code) of the number of stages, and for
/// every stage, in ascending order of the keys, of the 32 bytes of its key, the number of its outputs and each
/// output's name and object. Numbers take 8 bytes, little-endian; names follow their length. Repeated outcomes count
/// once.
pub fn root<'a>(outcomes: impl IntoIterator<Item = Outcome<'a>>) -> ClosureRoot {
    let mut outcomes: Vec<Outcome<'a>> = outcomes.into_iter().collect();
    outcomes.sort_unstable();
    outcomes.dedup();
    let mut hasher = blake3::Hasher::new_derive_key("wdpipe 2026 closure root v1");
    let length = |hasher: &mut blake3::Hasher, length: usize| {
        hasher.update(&(length as u64).to_le_bytes());
    };
    length(&mut hasher, outcomes.len());
    for (key, outputs) in outcomes {
        hasher.update(key.as_bytes());
        length(&mut hasher, outputs.len());
        for (name, object) in outputs {
            length(&mut hasher, name.len());
            hasher.update(name.as_bytes());
            hasher.update(object.as_bytes());
        }
    }
    ClosureRoot::from_bytes(hasher.finalize().into())
}

/// The stages that a figure depends on; every stage comes after those that it reads from, the figure last.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Closure {
    /// The stages.
    pub members: Vec<Member>,
}

impl Member {
    /// Returns the stage's key and outputs.
    pub fn outcome(&self) -> Outcome<'_> {
        outcome(self.key, &self.record.outputs)
    }
}

impl Closure {
    /// Returns the root of the closure, see [`root`].
    pub fn root(&self) -> ClosureRoot {
        root(self.members.iter().map(Member::outcome))
    }

    /// Returns the figure's stage, which depends on all others.
    pub fn figure(&self) -> Option<&Member> {
        self.members.last()
    }

    /// Returns for every object the stages (indices in [`Self::members`]) that yield it, in order.
    pub fn producers(&self) -> BTreeMap<ObjectDigest, Vec<usize>> {
        let mut producers: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (place, member) in self.members.iter().enumerate() {
            for output in &member.record.outputs {
                producers.entry(output.object).or_default().push(place);
            }
        }
        producers
    }

    /// Returns the inputs, by stage and role, that no earlier stage yields. A complete closure has none.
    pub fn gaps(&self) -> Vec<(&Member, &str)> {
        let mut yielded = BTreeSet::new();
        let mut gaps = Vec::new();
        for member in &self.members {
            let inputs = member.record.parts.inputs.iter();
            gaps.extend(
                inputs.filter(|(_, object)| !yielded.contains(*object)).map(|(role, _)| (member, role.as_str())),
            );
            yielded.extend(member.record.outputs.iter().map(|output| output.object));
        }
        gaps
    }

    /// Returns the closure of one record of an archive or a store: the record itself and, for every object that a stage in
    /// the closure reads, all of `records` that yield the object. All of them are included, since
    /// stages can yield the same bytes by chance (the weights of two runs that diverged) or by design (a data stage
    /// that takes the whole of an import), and no choice among them would be right. Names are those that the stages
    /// had when they ran.
    pub fn of(figure: RecordDigest, records: &BTreeMap<RecordDigest, Record>) -> Self {
        let mut producers: BTreeMap<ObjectDigest, Vec<RecordDigest>> = BTreeMap::new();
        for (digest, record) in records {
            for output in &record.outputs {
                let of_it = producers.entry(output.object).or_default();
                // Two outputs of a record can have the same bytes.
                if of_it.last() != Some(digest) {
                    of_it.push(*digest);
                }
            }
        }
        // Depth first, without recursion: a chain of segments can be long. Every object is expanded once, so that
        // hostile records that all yield and read the same objects take no longer than others.
        let (mut found, mut seen, mut seen_objects) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        let mut open = vec![Open::Record(figure)];
        while let Some(next) = open.pop() {
            match next {
                Open::Record(digest) if seen.insert(digest) => {
                    let Some(record) = records.get(&digest) else { continue };
                    open.push(Open::Done(digest, record));
                    open.extend(record.parts.inputs.values().rev().map(|object| Open::Object(*object)));
                }
                Open::Object(object) if seen_objects.insert(object) => {
                    open.extend(producers.get(&object).into_iter().flatten().rev().map(|digest| Open::Record(*digest)));
                }
                Open::Done(digest, record) => found.push((digest, record)),
                Open::Record(_) | Open::Object(_) => {}
            }
        }
        let member = |(digest, record): (RecordDigest, &Record)| {
            let (name, key) = (record.provenance.stage.clone(), record.parts.key());
            Member { name, key, digest, record: record.clone() }
        };
        Self { members: settled(found).into_iter().map(member).collect() }
    }
}

/// The work that [`Closure::of`] still has to do.
enum Open<'a> {
    Record(RecordDigest),
    Object(ObjectDigest),
    /// All dependencies of the record have been found.
    Done(RecordDigest, &'a Record),
}

/// Sorts records, the figure's last, so that each comes after a producer of each of its inputs, changing the given
/// order as little as possible. Records with inputs that no record yields, or only in a cycle, come late.
fn settled(found: Vec<(RecordDigest, &Record)>) -> Vec<(RecordDigest, &Record)> {
    let mut readers: BTreeMap<ObjectDigest, Vec<usize>> = BTreeMap::new();
    let mut lacking = Vec::with_capacity(found.len());
    for (place, (_, record)) in found.iter().enumerate() {
        let inputs: BTreeSet<_> = record.parts.inputs.values().collect();
        lacking.push(inputs.len());
        inputs.into_iter().for_each(|object| readers.entry(*object).or_default().push(place));
    }
    let Some(figure) = found.len().checked_sub(1) else { return found };
    let mut ready: BTreeSet<usize> = (0..figure).filter(|&place| lacking[place] == 0).collect();
    let (mut order, mut placed) = (Vec::with_capacity(found.len()), vec![false; found.len()]);
    while let Some(place) = ready.pop_first() {
        placed[place] = true;
        order.push(found[place]);
        for output in &found[place].1.outputs {
            for reader in readers.remove(&output.object).unwrap_or_default() {
                lacking[reader] -= 1;
                if lacking[reader] == 0 && reader < figure {
                    ready.insert(reader);
                }
            }
        }
    }
    order.extend((0..=figure).filter(|&place| !placed[place]).map(|place| found[place]));
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{KeyParts, Provenance};
    use crate::value::Map;

    /// Returns a record that reads and yields objects made of the given texts.
    fn record(kind: &str, reads: &[&str], yields: &[&str]) -> Record {
        let object = |text: &&str| ObjectDigest::of(text.as_bytes());
        let inputs = reads.iter().map(|text| ((*text).to_owned(), object(text))).collect();
        let output = |text: &&str| Output { name: (*text).into(), object: object(text), bytes: 1, inline: None };
        Record {
            parts: KeyParts { kind: kind.into(), version: 1, parameters: Map::new(), inputs, policy: Map::new() },
            outputs: yields.iter().map(output).collect(),
            tensors: Vec::new(),
            provenance: Provenance { stage: kind.into(), ..Provenance::default() },
        }
    }

    fn names(closure: &Closure) -> Vec<&str> {
        closure.members.iter().map(|member| member.name.as_str()).collect()
    }

    #[test]
    fn a_closure_holds_what_is_behind_the_figure_in_order() {
        let all = [
            record("figure", &["b", "c"], &["svg"]),
            record("data", &[], &["a"]),
            record("train", &["a"], &["b"]),
            record("probe", &["b", "a"], &["c"]),
            record("other", &["b"], &["d"]),
        ];
        let records: BTreeMap<_, _> = all.iter().map(|r| (r.to_bytes().unwrap().0, r.clone())).collect();
        let mut closure = Closure::of(all[0].to_bytes().unwrap().0, &records);
        assert_eq!(names(&closure), ["data", "train", "probe", "figure"]);
        assert!(closure.gaps().is_empty());
        let whole = closure.root();
        closure.members.reverse();
        assert_eq!(closure.root(), whole, "the root does not depend on the order");
        closure.members.retain(|member| member.name != "data");
        assert_ne!(closure.root(), whole);
        closure.members.reverse();
        assert_eq!(closure.gaps().len(), 2, "train and probe read `a`");
    }

    #[test]
    fn all_that_yield_the_same_are_in_it_and_what_yields_what_it_reads_comes_after_another() {
        // `whole` passes the images of the import on; both runs end in the same bytes.
        let all = [
            record("figure", &["end", "a", "b"], &["svg"]),
            record("import", &[], &["images"]),
            record("whole", &["images"], &["images"]),
            record("one", &["images"], &["end", "a"]),
            record("two", &["images"], &["end", "b"]),
            record("three", &["end"], &["end"]),
        ];
        // This must hold for any digests, which depend on the versions.
        for version in 0..10 {
            let mut all = all.clone();
            all.iter_mut().for_each(|record| record.parts.version = version);
            let records: BTreeMap<_, _> = all.iter().map(|r| (r.to_bytes().unwrap().0, r.clone())).collect();
            let closure = Closure::of(all[0].to_bytes().unwrap().0, &records);
            let names = names(&closure);
            assert_eq!((names.len(), names[0], names[5]), (6, "import", "figure"), "{names:?}");
            assert!(closure.gaps().is_empty(), "{names:?}");
        }
        // A cycle without a starting point is a gap.
        let circle = [record("figure", &["a"], &["svg"]), record("x", &["a"], &["b"]), record("y", &["b"], &["a"])];
        let records: BTreeMap<_, _> = circle.iter().map(|r| (r.to_bytes().unwrap().0, r.clone())).collect();
        let closure = Closure::of(circle[0].to_bytes().unwrap().0, &records);
        assert_eq!((closure.members.len(), closure.gaps().len()), (3, 1));
        assert_eq!(closure.figure().unwrap().name, "figure");
    }

    #[test]
    fn a_chain_of_any_length_is_followed() {
        let link = |i: usize| record(&format!("{i}"), &[&format!("o{i}")], &[&format!("o{}", i + 1)]);
        let all: Vec<Record> = (0..5000).map(link).collect();
        let records: BTreeMap<_, _> = all.iter().map(|r| (r.to_bytes().unwrap().0, r.clone())).collect();
        assert_eq!(Closure::of(all[4999].to_bytes().unwrap().0, &records).members.len(), 5000);
    }

    #[test]
    fn the_root_is_pinned() {
        // Computed from the description above by a few lines of Python. Committed locks and figures contain roots: if
        // this fails, the derived key's context must say v2.
        let key = StageKey::from_bytes([7; 32]);
        let outcome = (key, vec![("svg", ObjectDigest::of(b"x"))]);
        assert_eq!(root([outcome.clone(), outcome]).to_string(), PINNED);
    }

    const PINNED: &str = "e79fabbee1ac79400dccc06d07260d00610a47f393edefba10990043be7ee4c6";
}
