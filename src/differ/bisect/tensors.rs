//! In which tensors two states of training differ, and by how much the first of them.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::super::Side;
use super::super::distance::{Distance, distance};
use super::{ReadTensor, WEIGHTS};
use base::closure::Member;
use base::digest::ObjectDigest;

/// In which tensors two states differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tensors {
    /// How many, by the hashes in the records; nothing if a record lists none (of a run that diverged).
    pub differing: Option<usize>,
    /// How many there are.
    pub of: usize,
    /// The first in the order of the record: by name, the weights first, then what the run keeps besides.
    pub first: Option<FirstTensor>,
}

/// The first tensor in which two states differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FirstTensor {
    /// The output that it is in.
    pub output: String,
    /// Its name there.
    pub name: String,
    /// The sides whose record lists another hash than the tensor has: that record is wrong.
    pub misstated: Vec<Side>,
    /// How far apart they are; nothing if the bytes are not at hand.
    pub distance: Option<Distance>,
    /// Why there is no distance.
    pub reason: String,
}

/// A tensor of a state: the output that holds it and its name there, from its name in the list.
fn resolve<'a>(member: &Member, listed: &'a str) -> (&'a str, &'a str) {
    match listed.split_once('.') {
        Some((output, rest)) if output != WEIGHTS && member.record.output(output).is_some() => (output, rest),
        _ => (WEIGHTS, listed),
    }
}

/// The tensors in which the end states of two segments differ.
pub(super) fn ends(a: &Member, b: &Member, fetch: &mut ReadTensor<'_>) -> Tensors {
    let names = names(a, b);
    let hashes = [a, b].map(|member| -> HashMap<&str, ObjectDigest> {
        member.record.tensors.iter().map(|(name, hash)| (name.as_str(), *hash)).collect()
    });
    let hash = |name: &str| hashes.each_ref().map(|hashes| hashes.get(name).copied());
    let listed = hashes.iter().all(|hashes| !hashes.is_empty());
    let differs = |name: &str| {
        let [of_a, of_b] = hash(name);
        of_a != of_b
    };
    let differing: Vec<&str> = names.iter().copied().filter(|name| listed && differs(name)).collect();
    let mut tensors = Tensors { differing: listed.then_some(differing.len()), of: names.len(), first: None };
    // Where the lists tell nothing, or hide something, the tensors themselves are compared until two differ.
    let search = differing.is_empty();
    for name in if search { names } else { differing } {
        let (output, inner) = resolve(if hash(name)[0].is_some() { a } else { b }, name);
        let object = |member: &Member| Some(member.record.output(output)?.object);
        let objects = [object(a), object(b)];
        if search && objects[0] == objects[1] {
            continue;
        }
        if let Some(first) = look(output, inner, objects, hash(name), search, fetch) {
            tensors.first = Some(first);
            break;
        }
    }
    tensors
}

/// The first tensor in which the states differ that two segments start from. Their records do not list those.
pub(super) fn starts(a: &Member, b: &Member, fetch: &mut ReadTensor<'_>) -> Tensors {
    let objects = [a, b].map(|member| member.record.parts.inputs.get(WEIGHTS).copied());
    let names: Vec<&str> = names(a, b).into_iter().filter(|name| resolve(a, name).0 == WEIGHTS).collect();
    let first = names.iter().find_map(|name| look(WEIGHTS, name, objects, [None, None], true, fetch));
    Tensors { differing: None, of: names.len(), first }
}

/// The names of the tensors that either lists, in order.
fn names<'a>(a: &'a Member, b: &'a Member) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    let all = a.record.tensors.iter().chain(&b.record.tensors).map(|(name, _)| name.as_str());
    all.filter(|name| seen.insert(*name)).collect()
}

/// Compares a tensor of two objects; nothing if it is `search`ed for one that differs and this does not, or is not there.
fn look(
    output: &str,
    name: &str,
    objects: [Option<ObjectDigest>; 2],
    listed: [Option<ObjectDigest>; 2],
    search: bool,
    fetch: &mut ReadTensor<'_>,
) -> Option<FirstTensor> {
    let tensors = [(Side::A, objects[0]), (Side::B, objects[1])].map(|(side, object)| fetch(side, &object?, name));
    let mut first = FirstTensor {
        output: output.to_owned(),
        name: name.to_owned(),
        misstated: Vec::new(),
        distance: None,
        reason: String::new(),
    };
    for ((side, tensor), listed) in [Side::A, Side::B].into_iter().zip(&tensors).zip(listed) {
        if let (Some(tensor), Some(listed)) = (tensor, listed)
            && tensor.digest() != listed
        {
            first.misstated.push(side);
        }
    }
    match tensors {
        [Some(a), Some(b)] => match distance(&a, &b) {
            Ok(Some(distance)) => first.distance = Some(distance),
            Ok(None) if search => return None,
            Ok(None) => first.reason = "their bytes are the same".to_owned(),
            Err(misfit) => first.reason = misfit.to_string(),
        },
        _ if search => return None,
        _ => first.reason = "the bytes are not at hand".to_owned(),
    }
    Some(first)
}
