//! Finds the tensors in which two training states differ, and by how much the first of them differs.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::super::Side;
use super::super::distance::{Distance, distance};
use super::{ReadTensor, WEIGHTS};
use base::closure::Member;
use base::digest::ObjectDigest;

/// The tensors in which two states differ.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Tensors {
    /// Number of differing tensors by the hashes in the records; `None` if a record lists none (a diverged run).
    pub differing: Option<usize>,
    /// Number of all tensors.
    pub of: usize,
    /// The first differing tensor in the order of the record: by name, the weights first, then the rest of the state.
    pub first: Option<FirstTensor>,
}

/// The first tensor in which two states differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FirstTensor {
    /// The output that holds it.
    pub output: String,
    /// Its name there.
    pub name: String,
    /// The sides whose record lists a hash that the tensor does not have; that record is wrong.
    pub misstated: Vec<Side>,
    /// The distance; `None` if the bytes are not available or cannot be compared.
    pub distance: Option<Distance>,
    /// Why there is no distance.
    pub reason: String,
}

/// Returns the output that holds a tensor and its name there, given its name in the list.
fn resolve<'a>(member: &Member, listed: &'a str) -> (&'a str, &'a str) {
    match listed.split_once('.') {
        Some((output, rest)) if output != WEIGHTS && member.record.output(output).is_some() => (output, rest),
        _ => (WEIGHTS, listed),
    }
}

/// Compares the tensors of the end states of two segments.
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
    // If the lists show no difference, or are missing, the tensors themselves are compared until two differ.
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

/// Compares the states that two segments start from, and finds the first tensor that differs. The records do not list
/// these tensors.
pub(super) fn starts(a: &Member, b: &Member, fetch: &mut ReadTensor<'_>) -> Tensors {
    let objects = [a, b].map(|member| member.record.parts.inputs.get(WEIGHTS).copied());
    let names: Vec<&str> = names(a, b).into_iter().filter(|name| resolve(a, name).0 == WEIGHTS).collect();
    let first = names.iter().find_map(|name| look(WEIGHTS, name, objects, [None, None], true, fetch));
    Tensors { differing: None, of: names.len(), first }
}

/// Returns the names of the tensors that either record lists, in order.
fn names<'a>(a: &'a Member, b: &'a Member) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    let all = a.record.tensors.iter().chain(&b.record.tensors).map(|(name, _)| name.as_str());
    all.filter(|name| seen.insert(*name)).collect()
}

/// Compares a tensor of two objects. In a `search` for a differing tensor, returns `None` if this one is equal or
/// missing.
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
        _ => first.reason = "the bytes are not available".to_owned(),
    }
    Some(first)
}
