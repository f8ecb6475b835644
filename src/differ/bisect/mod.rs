//! Where two runs of training part: the first segment, the first tensor, the first number.
//!
//! The record of every segment holds a hash of each tensor of its end state, so all segments of a run are compared
//! without their checkpoints, from the first on; there is no need to halve the range. Only of the tensors in which two
//! runs part are the bytes asked for.

mod tensors;

use std::collections::BTreeSet;

use serde::Serialize;

use super::pair::{pair, sources};
use super::tensor::Tensor;
use super::{Side, Unequal, unequal};
use base::changes;
use base::closure::{Closure, Member};
use base::digest::ObjectDigest;
pub use tensors::{FirstTensor, Tensors};
use tensors::{ends, starts};

/// A tensor of a side, by the object that it is in and its name there, if it is at hand.
pub type ReadTensor<'a> = dyn FnMut(Side, &ObjectDigest, &str) -> Option<Tensor> + 'a;

/// The kind whose stages are segments of runs, and the role by which one starts from another.
const TRAIN: &str = "train";
const WEIGHTS: &str = "weights";

/// Outputs of a segment that do not belong to the state it ends in.
const NO_STATE: [&str; 2] = ["metrics", "diverged"];

/// Parameters that say how a run is cut into segments and what is measured of it. They do not change how it goes.
const NO_STEP: [&str; 4] = ["epochs", "first_epoch", "eval_every", "eval_images"];

/// How the runs of two closures compare.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Bisection {
    /// Runs that are the same to their end, or as far as both go.
    pub equal: usize,
    /// Where the others part, in the first closure's order; runs that part together count once.
    pub partings: Vec<Parting>,
    /// The last segments of runs that the other side has nothing of.
    pub only: [Vec<String>; 2],
    /// How many inputs of a side no stage of it yields: there something is missing.
    pub gaps: [usize; 2],
}

/// Where runs part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parting {
    /// The first segment that ends differently, in either closure; who ran it, and what came out differently.
    pub segment: Unequal,
    /// Which segment of its run it is, from 1, and of how many.
    pub number: usize,
    /// See above.
    pub of: usize,
    /// The runs that part here, by the names of their last segments.
    pub runs: Vec<String>,
    /// Whether both have one key: then it is the machine, or chance, or one of them is forged.
    pub same_key: bool,
    /// What was set differently in this segment.
    pub changes: Vec<String>,
    /// What it read differently.
    pub inputs: Vec<InputChange>,
    /// In which tensors.
    pub tensors: Tensors,
}

/// Something that two segments read differently.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputChange {
    /// The role.
    pub role: String,
    /// What is read.
    pub objects: [Option<ObjectDigest>; 2],
    /// The stages that yielded it, if they are there.
    pub stages: [Option<String>; 2],
    /// What was set differently in them, or differs in what they read.
    pub changes: Vec<String>,
}

/// Finds where the runs of two closures part. Segments are the stages of kind `train`; a run is a chain of them, each
/// starting from the weights that the one before yielded. Stages are paired as by [`super::diff`].
pub fn bisect(a: &Closure, b: &Closure, fetch: &mut ReadTensor<'_>) -> Bisection {
    let sides = [a, b].map(Runs::of);
    let pairs = pair(a, b);
    let mut partner: Vec<Option<usize>> = vec![None; a.members.len()];
    pairs.both.iter().for_each(|&(i, j)| partner[i] = Some(j));
    let mut found = Bisection { gaps: [a.gaps().len(), b.gaps().len()], ..Bisection::default() };
    let mut parted: Vec<(usize, usize)> = Vec::new();
    for &end in &sides[0].ends {
        let path = sides[0].path(end);
        let both: Vec<_> = path.iter().enumerate().filter_map(|(n, &i)| Some((n, i, partner[i]?))).collect();
        if both.is_empty() {
            found.only[0].push(a.members[end].name.clone());
            continue;
        }
        let Some(&(n, i, j)) = both.iter().find(|(_, i, j)| !ends_alike(&a.members[*i], &b.members[*j])) else {
            found.equal += 1;
            continue;
        };
        if let Some(known) = parted.iter().position(|&(other, _)| other == i) {
            found.partings[known].runs.push(a.members[end].name.clone());
            continue;
        }
        parted.push((i, j));
        let mut parting = part(&sides, [i, j], fetch);
        (parting.number, parting.of) = (n + 1, path.len());
        parting.runs.push(a.members[end].name.clone());
        found.partings.push(parting);
    }
    let paired: BTreeSet<usize> = partner.into_iter().flatten().collect();
    let alone = |end: &&usize| sides[1].path(**end).iter().all(|j| !paired.contains(j));
    found.only[1] = sides[1].ends.iter().filter(alone).map(|&end| b.members[end].name.clone()).collect();
    found
}

/// The runs of a closure.
struct Runs<'a> {
    closure: &'a Closure,
    /// For every stage what it reads and from which stage.
    sources: Vec<Vec<(&'a str, Option<usize>)>>,
    /// Segments from which no other starts.
    ends: Vec<usize>,
}

impl<'a> Runs<'a> {
    fn of(closure: &'a Closure) -> Self {
        let mut runs = Self { closure, sources: sources(closure), ends: Vec::new() };
        let segments = (0..closure.members.len()).filter(|&place| runs.is_segment(place));
        let begun: BTreeSet<usize> = segments.clone().filter_map(|place| runs.before(place)).collect();
        runs.ends = segments.filter(|place| !begun.contains(place)).collect();
        runs
    }

    fn is_segment(&self, place: usize) -> bool {
        self.closure.members[place].record.parts.kind == TRAIN
    }

    fn source(&self, place: usize, role: &str) -> Option<usize> {
        self.sources[place].iter().find(|(other, _)| *other == role)?.1
    }

    /// The segment that one starts from.
    fn before(&self, place: usize) -> Option<usize> {
        self.source(place, WEIGHTS).filter(|&source| self.is_segment(source))
    }

    /// The segments of the run that ends with one. Sources stand before their readers, so this ends.
    fn path(&self, end: usize) -> Vec<usize> {
        let mut path: Vec<usize> = std::iter::successors(Some(end), |&place| self.before(place)).collect();
        path.reverse();
        path
    }
}

/// Whether two segments end in the same state. Unless they differ only in where a run is cut and what is measured,
/// what they measured counts as well.
fn ends_alike(a: &Member, b: &Member) -> bool {
    if a.record.same_outputs(&b.record) {
        return true;
    }
    let changes = changes::own(&a.record.parts, &b.record.parts);
    let same_steps = !changes.is_empty() && changes.iter().all(|change| NO_STEP.contains(&change.what.as_str()));
    let state = |member: &Member| -> Vec<_> {
        let outputs = member.record.outputs.iter().filter(|output| !NO_STATE.contains(&output.name.as_str()));
        outputs.map(|output| (output.name.clone(), output.object)).collect()
    };
    same_steps && state(a) == state(b)
}

fn part(sides: &[Runs<'_>; 2], places: [usize; 2], fetch: &mut ReadTensor<'_>) -> Parting {
    let [a, b] = [0, 1].map(|side| &sides[side].closure.members[places[side]]);
    let inputs = input_changes(sides, places);
    let words = |changes: Vec<changes::Change>| changes.iter().map(ToString::to_string).collect();
    let begin_apart = inputs.iter().any(|input| input.role == WEIGHTS);
    // Two runs that start apart part before the first step: in what they start from.
    let tensors = if begin_apart { starts(a, b, fetch) } else { ends(a, b, fetch) };
    Parting {
        segment: unequal(a, b),
        number: 0,
        of: 0,
        runs: Vec::new(),
        same_key: a.key == b.key,
        changes: words(changes::own(&a.record.parts, &b.record.parts)),
        inputs,
        tensors,
    }
}

fn input_changes(sides: &[Runs<'_>; 2], places: [usize; 2]) -> Vec<InputChange> {
    let [a, b] = [0, 1].map(|side| &sides[side].closure.members[places[side]].record.parts.inputs);
    let roles: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let mut changes = Vec::new();
    for role in roles.into_iter().filter(|role| a.get(*role) != b.get(*role)) {
        let source = |side: usize| Some(&sides[side].closure.members[sides[side].source(places[side], role)?]);
        let sources = [source(0), source(1)];
        let between = match sources {
            [Some(a), Some(b)] if a.key == b.key => vec!["same key, other outputs".to_owned()],
            [Some(a), Some(b)] => {
                changes::all(&a.record.parts, &b.record.parts).iter().map(ToString::to_string).collect()
            }
            _ => Vec::new(),
        };
        changes.push(InputChange {
            role: role.clone(),
            objects: [a.get(role).copied(), b.get(role).copied()],
            stages: sources.map(|source| source.map(|source| source.name.clone())),
            changes: between,
        });
    }
    changes
}
