//! Finds where two training runs diverge from each other: the first segment, the first tensor, the first number.
//!
//! The record of every segment has a hash of each tensor of its end state, so the segments of a run are compared in
//! order without their checkpoints; there is no need to halve the range. Bytes are read only for the tensors in which
//! two runs diverge.

mod tensors;

use std::collections::BTreeSet;

use serde::Serialize;

use super::pair::{pair, sources};
use super::tensor::Tensor;
use super::{Side, Unequal, unequal};
use crate::reasons;
use base::changes::{self, Change, Part};
use base::closure::{Closure, Member};
use base::digest::ObjectDigest;
use base::work::KindName;
pub use tensors::{FirstTensor, Tensors};
use tensors::{ends, starts};

/// Returns a tensor of a side, given its object and its name there, if it is available.
pub type ReadTensor<'a> = dyn FnMut(Side, &ObjectDigest, &str) -> Option<Tensor> + 'a;

/// The role by which a segment of a run starts from another.
const WEIGHTS: &str = "weights";

/// Outputs of a segment that do not belong to its end state.
const NO_STATE: [&str; 2] = ["metrics", "diverged"];

/// Parameters that control how a run is cut into segments and what is measured. They do not affect the training steps.
const NO_STEP: [&str; 4] = ["epochs", "first_epoch", "eval_every", "eval_images"];

/// The comparison of the runs of two closures.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Bisection {
    /// Number of runs that are equal to their end, or as far as both go.
    pub equal: usize,
    /// Where the other runs diverge, in the first closure's order; runs that diverge in the same segment count once.
    pub partings: Vec<Parting>,
    /// The last segments of runs of which the other side has no segment.
    pub only: [Vec<String>; 2],
    /// Number of inputs on each side that no stage of that side produces; more than 0 if records are missing.
    pub gaps: [usize; 2],
}

/// The segment in which runs diverge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Parting {
    /// The first segment whose end state differs, in each closure, with its origin and the outputs that differ.
    pub segment: Unequal,
    /// The number of this segment in its run, from 1.
    pub number: usize,
    /// Number of segments in the run.
    pub of: usize,
    /// The runs that diverge here, by the names of their last segments.
    pub runs: Vec<String>,
    /// Whether both have the same key. If so, the cause is the machine or nondeterminism, or one of the results is forged.
    pub same_key: bool,
    /// The settings of this segment that differ.
    pub changes: Vec<String>,
    /// The inputs of this segment that differ.
    pub inputs: Vec<InputChange>,
    /// The tensors that differ.
    pub tensors: Tensors,
}

/// An input that differs between two segments.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputChange {
    /// The role.
    pub role: String,
    /// The objects that are read.
    pub objects: [Option<ObjectDigest>; 2],
    /// The stages that produced them, if the closures contain these stages.
    pub stages: [Option<String>; 2],
    /// The settings and inputs of these stages that differ.
    pub changes: Vec<String>,
}

/// Finds where the runs of two closures diverge. Segments are the stages of kind `train`; a run is a chain of segments,
/// each of which starts from the weights of the one before. Stages are paired as in [`super::diff`].
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
    /// For every stage, its input roles and the stages that produced the inputs.
    sources: Vec<Vec<(&'a str, Option<usize>)>>,
    /// Segments that no other segment starts from.
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
        self.closure.members[place].record.parts.kind == KindName::Train.name()
    }

    fn source(&self, place: usize, role: &str) -> Option<usize> {
        self.sources[place].iter().find(|(other, _)| *other == role)?.1
    }

    /// Returns the segment that a segment starts from.
    fn before(&self, place: usize) -> Option<usize> {
        self.source(place, WEIGHTS).filter(|&source| self.is_segment(source))
    }

    /// Returns the segments of the run that ends with `end`. Sources come before their readers, so this terminates.
    fn path(&self, end: usize) -> Vec<usize> {
        let mut path: Vec<usize> = std::iter::successors(Some(end), |&place| self.before(place)).collect();
        path.reverse();
        path
    }
}

/// Returns whether two segments end in the same state. Their measurements are compared as well, unless the segments
/// differ only in how the run is cut and what is measured.
fn ends_alike(a: &Member, b: &Member) -> bool {
    if a.record.same_outputs(&b.record) {
        return true;
    }
    let changes = changes::own(&a.record.parts, &b.record.parts);
    let no_step = |change: &Change| matches!(&change.part, Part::Parameter(name) if NO_STEP.contains(&name.as_str()));
    let same_steps = !changes.is_empty() && changes.iter().all(no_step);
    let state = |member: &Member| -> Vec<_> {
        let outputs = member.record.outputs.iter().filter(|output| !NO_STATE.contains(&output.name.as_str()));
        outputs.map(|output| (output.name.clone(), output.object)).collect()
    };
    same_steps && state(a) == state(b)
}

fn words(changes: &[Change]) -> Vec<String> {
    changes.iter().map(reasons::change).collect()
}

fn part(sides: &[Runs<'_>; 2], places: [usize; 2], fetch: &mut ReadTensor<'_>) -> Parting {
    let [a, b] = [0, 1].map(|side| &sides[side].closure.members[places[side]]);
    let inputs = input_changes(sides, places);
    let begin_apart = inputs.iter().any(|input| input.role == WEIGHTS);
    // Runs that start from different weights differ before the first step, so these weights are compared.
    let tensors = if begin_apart { starts(a, b, fetch) } else { ends(a, b, fetch) };
    Parting {
        segment: unequal(a, b),
        number: 0,
        of: 0,
        runs: Vec::new(),
        same_key: a.key == b.key,
        changes: words(&changes::own(&a.record.parts, &b.record.parts)),
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
            [Some(a), Some(b)] if a.key == b.key => vec!["same key, different outputs".to_owned()],
            [Some(a), Some(b)] => words(&changes::all(&a.record.parts, &b.record.parts)),
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
