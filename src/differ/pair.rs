//! Pairs the stages of two closures.

use std::collections::HashMap;
use std::hash::Hash;

use super::name::Name;
use base::changes;
use base::closure::{Closure, Member};
use base::digest::ObjectDigest;

/// Maximum number of stages at the same position that are searched for the most similar one.
const CANDIDATES: usize = 32;

/// The pairs of stages of two closures, as indices.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Pairs {
    /// The pairs, in the first closure's order.
    pub both: Vec<(usize, usize)>,
    /// The unpaired stages of each closure.
    pub only: [Vec<usize>; 2],
}

/// Pairs the stages of two closures deterministically, each stage with at most one other. Stages with the same key are
/// paired first, then those with the same kind and name, then the closures' targets if they are of the same kind, and
/// finally similar stages in the first closure's order. A similar stage has the same kind and, apart from values of the
/// sweep already known to correspond, the same name. Otherwise it has the same kind and epoch and reads paired stages in
/// the same roles; among several such stages, the same family and then the fewest changed parameters decide.
pub(super) fn pair(a: &Closure, b: &Closure) -> Pairs {
    let mut pairing = Pairing { sides: [a, b], partners: [vec![None; a.members.len()], vec![None; b.members.len()]] };
    pairing.by(|member| member.key);
    pairing.by(|member| (member.record.parts.kind.as_str(), member.name.as_str()));
    pairing.targets();
    pairing.by_likeness();
    let [partners, others] = pairing.partners;
    let alone = |partners: &[Option<usize>]| (0..partners.len()).filter(|&i| partners[i].is_none()).collect();
    let both = partners.iter().enumerate().filter_map(|(i, j)| Some((i, (*j)?))).collect();
    Pairs { both, only: [alone(&partners), alone(&others)] }
}

/// Returns the inputs of every stage: the role and the stage that produced the input, if the closure contains it. If
/// several stages produced the same object, it is the last one before the reader, which is the nearest in a run.
pub(super) fn sources(closure: &Closure) -> Vec<Vec<(&str, Option<usize>)>> {
    let producers = closure.producers();
    let source = |reader: usize, object: &ObjectDigest| {
        let places = producers.get(object)?;
        places[..places.partition_point(|&place| place < reader)].last().copied()
    };
    let mut sources = Vec::with_capacity(closure.members.len());
    for (place, member) in closure.members.iter().enumerate() {
        let inputs = member.record.parts.inputs.iter();
        sources.push(inputs.map(|(role, object)| (role.as_str(), source(place, object))).collect());
    }
    sources
}

struct Pairing<'a> {
    sides: [&'a Closure; 2],
    /// For every stage of each side, its partner on the other side.
    partners: [Vec<Option<usize>>; 2],
}

/// A position in the graph: kind, epoch, and the source of the input in each role, as an index into the second closure.
type Place<'a> = (&'a str, &'a str, Vec<(&'a str, Option<usize>)>);

impl<'a> Pairing<'a> {
    fn join(&mut self, i: usize, j: usize) {
        self.partners[0][i] = Some(j);
        self.partners[1][j] = Some(i);
    }

    fn unpaired(&self, side: usize) -> impl DoubleEndedIterator<Item = (usize, &'a Member)> {
        let members = &self.sides[side].members;
        members.iter().enumerate().filter(move |(place, _)| self.partners[side][*place].is_none())
    }

    /// Pairs stages with an equal trait, in order.
    fn by<K: Hash + Eq>(&mut self, trait_of: impl Fn(&'a Member) -> K) {
        let mut there: HashMap<K, Vec<usize>> = HashMap::new();
        // In reverse, so that the first stage is the last of its list.
        self.unpaired(1).rev().for_each(|(j, member)| there.entry(trait_of(member)).or_default().push(j));
        let here: Vec<_> = self.unpaired(0).map(|(i, member)| (i, trait_of(member))).collect();
        for (i, found) in here {
            if let Some(j) = there.get_mut(&found).and_then(Vec::pop) {
                self.join(i, j);
            }
        }
    }

    fn targets(&mut self) {
        let kind = |side: usize| {
            let last = self.unpaired(side).next_back()?;
            (last.0 + 1 == self.sides[side].members.len()).then_some((last.0, &last.1.record.parts.kind))
        };
        if let (Some((i, kind)), Some((j, other))) = (kind(0), kind(1))
            && kind == other
        {
            self.join(i, j);
        }
    }

    fn by_likeness(&mut self) {
        let [a, b] = self.sides.map(|side| &side.members);
        let kind = |member: &'a Member| member.record.parts.kind.as_str();
        let (mut places, mut names): (HashMap<Place<'a>, Vec<usize>>, HashMap<_, usize>) = Default::default();
        let mut sources_of_b = sources(self.sides[1]);
        for (j, member) in self.unpaired(1) {
            let name = Name::of(&member.name);
            let place = (kind(member), name.epoch, std::mem::take(&mut sources_of_b[j]));
            places.entry(place).or_default().push(j);
            names.entry((kind(member), name.stage, name.epoch, name.axes)).or_insert(j);
        }
        let sources_of_a = sources(self.sides[0]);
        let mut stands_for: HashMap<(&str, &str), &str> = HashMap::new();
        for i in 0..a.len() {
            if let Some(j) = self.partners[0][i] {
                learn(&a[i], &b[j], &mut stands_for);
                continue;
            }
            let name = Name::of(&a[i].name);
            let axes: Vec<_> =
                name.axes.iter().map(|axis| (axis.0, stands_for.get(axis).copied().unwrap_or(axis.1))).collect();
            let named = names.get(&(kind(&a[i]), name.stage, name.epoch, axes)).copied();
            let found = named.filter(|&j| self.partners[1][j].is_none()).or_else(|| {
                let partner = |&(role, source): &(&'a str, Option<usize>)| match source {
                    Some(source) => self.partners[0][source].map(|partner| (role, Some(partner))),
                    None => Some((role, None)),
                };
                let inputs: Option<Vec<_>> = sources_of_a[i].iter().map(partner).collect();
                let candidates = places.get(&(kind(&a[i]), name.epoch, inputs?))?;
                let free = candidates.iter().copied().filter(|&j| self.partners[1][j].is_none()).take(CANDIDATES);
                free.min_by_key(|&j| unlikeness(&a[i], &b[j]))
            });
            if let Some(j) = found {
                self.join(i, j);
                learn(&a[i], &b[j], &mut stands_for);
            }
        }
    }
}

/// Returns whether two stages are of different families, and how many of their parameters differ.
fn unlikeness(a: &Member, b: &Member) -> (bool, usize) {
    let differ = Name::of(&a.name).family() != Name::of(&b.name).family();
    (differ, changes::own(&a.record.parts, &b.record.parts).len())
}

/// Notes which values of a sweep correspond to each other.
fn learn<'a>(a: &'a Member, b: &'a Member, stands_for: &mut HashMap<(&'a str, &'a str), &'a str>) {
    if a.name == b.name {
        return;
    }
    let (a, b) = (Name::of(&a.name), Name::of(&b.name));
    if a.stage == b.stage && a.axes.len() == b.axes.len() {
        for (from, to) in a.axes.into_iter().zip(b.axes).filter(|(from, to)| from.0 == to.0 && from.1 != to.1) {
            stands_for.entry(from).or_insert(to.1);
        }
    }
}
