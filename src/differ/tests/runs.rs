//! Training runs that diverge at known points.

use std::collections::BTreeMap;

use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView};

use super::super::Side;
use super::super::bisect::{Bisection, bisect};
use super::super::tensor::tensor_of;
use super::{Stage, closure, float, read};
use base::digest::ObjectDigest;

/// The tensors of a state, by name.
type State = BTreeMap<&'static str, Vec<f32>>;

fn checkpoint(state: &State) -> Vec<u8> {
    let raw: Vec<Vec<u8>> =
        state.values().map(|values| values.iter().flat_map(|x| x.to_le_bytes()).collect()).collect();
    let views = state
        .iter()
        .zip(&raw)
        .map(|((name, values), bytes)| (*name, TensorView::new(Dtype::F32, vec![values.len() / 2, 2], bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn state(seed: u32) -> State {
    let values = |salt: u32| (0..6).map(|i| ((seed * 31 + salt * 7 + i) as f32).sin()).collect();
    [("a.weight", values(0)), ("b.weight", values(1)), ("c.weight", values(2))].into()
}

fn listed(state: &State, prefix: &str) -> Vec<(String, ObjectDigest)> {
    let hash = |values: &Vec<f32>| ObjectDigest::of(&values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>());
    state.iter().map(|(name, values)| (format!("{prefix}{name}"), hash(values))).collect()
}

/// A run that starts from the first state, with one segment to each other state; all states include momentum.
fn run(states: &[(State, State)]) -> Vec<Stage> {
    let outputs = |(weights, momentum): &(State, State)| {
        vec![("weights", checkpoint(weights)), ("momentum", checkpoint(momentum)), ("metrics", vec![])]
    };
    let stage = |(place, pair): (usize, &(State, State))| match place {
        0 => Stage { name: "f/init".into(), kind: "init", outputs: outputs(pair), ..Stage::default() },
        _ => Stage {
            name: format!("f/run@{place}"),
            kind: "train",
            parameters: [float("first_epoch", place as f64), float("lr", 0.1)].into(),
            inputs: vec![read("weights", place - 1), ("momentum".into(), place - 1, "momentum")],
            outputs: outputs(pair),
            tensors: [listed(&pair.0, ""), listed(&pair.1, "momentum.")].concat(),
            chance: 0,
        },
    };
    states.iter().enumerate().map(stage).collect()
}

/// Bisects two runs and counts the fetched tensors.
fn bisected(a: &[Stage], b: &[Stage]) -> (Bisection, usize) {
    let sides = [closure(a), closure(b)];
    let mut fetched = 0;
    let found = bisect(&sides[0], &sides[1], &mut |side, object, name| {
        fetched += 1;
        let outputs = sides[side as usize].members.iter().flat_map(|member| &member.record.outputs);
        let bytes = outputs.clone().find(|output| output.object == *object)?.inline.as_ref()?;
        tensor_of(bytes, name).ok()
    });
    (found, fetched)
}

fn states(count: u32) -> Vec<(State, State)> {
    (0..count).map(|segment| (state(segment), state(segment + 100))).collect()
}

proptest! {
    /// One bit of one value is flipped in some segment, and all later states differ.
    #[test]
    fn a_flipped_bit_is_found(
        segments in 1_u32..8, at in 0_usize..8, kept: bool, tensor in 0_usize..3, place in 0_usize..6, bit in 0_u32..23,
    ) {
        let at = 1 + at % segments as usize;
        let a = states(segments + 1);
        let mut b = a.clone();
        let altered = if kept { &mut b[at].1 } else { &mut b[at].0 };
        let (name, values) = altered.iter_mut().nth(tensor).unwrap();
        values[place] = f32::from_bits(values[place].to_bits() ^ 1 << bit);
        let name = *name;
        for later in &mut b[at + 1..] {
            *later = (state(999), state(998));
        }
        let (found, fetched) = bisected(&run(&a), &run(&b));
        prop_assert_eq!((found.equal, found.partings.len(), fetched), (0, 1, 2));
        let parting = &found.partings[0];
        prop_assert_eq!((parting.number, parting.of, parting.same_key), (at, segments as usize, true));
        prop_assert_eq!(&parting.segment.stage[0], &format!("f/run@{at}"));
        prop_assert!(parting.inputs.is_empty() && parting.changes.is_empty());
        prop_assert_eq!((parting.tensors.differing, parting.tensors.of), (Some(1), 6));
        let first = parting.tensors.first.as_ref().unwrap();
        prop_assert_eq!((first.output.as_str(), first.name.as_str()), (if kept { "momentum" } else { "weights" }, name));
        prop_assert!(first.misstated.is_empty());
        let distance = first.distance.as_ref().unwrap();
        prop_assert_eq!((distance.differing, &distance.first[..]), (1, &[place / 2, place % 2][..]));
        prop_assert_eq!((distance.max_ulps, distance.first_ulps), (Some(1 << bit), Some(1 << bit)));
    }
}

#[test]
fn equal_runs_are_counted_and_why_others_part_is_said() {
    let whole = run(&states(4));
    let (found, fetched) = bisected(&whole, &whole[..3]);
    assert_eq!((found.equal, found.partings.len(), fetched), (1, 0, 0), "as far as both go");

    // The learning rate differs from the second segment on.
    let mut states_b = states(4);
    (states_b[2], states_b[3]) = ((state(50), state(51)), (state(52), state(53)));
    let mut other = run(&states_b);
    other[2].parameters.extend([float("lr", 0.2)]);
    let parting = bisected(&whole, &other).0.partings.remove(0);
    assert_eq!((parting.number, parting.same_key, parting.changes), (2, false, vec!["lr: 0.1 → 0.2".to_owned()]));

    // The start differs.
    let mut states_b: Vec<_> = (0..4).map(|i| (state(i + 60), state(i + 70))).collect();
    states_b[0].1 = states(1)[0].1.clone();
    let mut other = run(&states_b);
    other[0].parameters.extend([float("seed", 1.0)]);
    let parting = bisected(&whole, &other).0.partings.remove(0);
    assert_eq!((parting.number, parting.changes.len(), parting.inputs.len()), (1, 0, 1));
    assert_eq!(parting.inputs[0].changes, ["seed: 1 is new"]);
    assert_eq!(parting.inputs[0].stages, [Some("f/init".to_owned()), Some("f/init".to_owned())]);
    let first = parting.tensors.first.unwrap();
    assert_eq!((first.name.as_str(), first.distance.unwrap().differing), ("a.weight", 6));

    // The second closure is empty.
    let (found, _) = bisected(&whole, &[]);
    assert_eq!(found.only, [vec!["f/run@3".to_owned()], vec![]]);
    assert_eq!(bisected(&[], &whole).0.only, [vec![], vec!["f/run@3".to_owned()]]);
}

#[test]
fn runs_that_share_their_beginning_part_once() {
    let mut a = run(&states(3));
    let branch = Stage { name: "f/decay@3".into(), ..a[2].clone() };
    a.push(branch);
    a[3].parameters.extend([float("lr", 0.01)]);
    let mut b = a.clone();
    let mut altered = states(3);
    altered[1].0.get_mut("b.weight").unwrap()[0] += 1.0;
    b[1] = run(&altered).remove(1);
    let found = bisected(&a, &b).0;
    assert_eq!(found.partings.len(), 1);
    assert_eq!(found.partings[0].runs, ["f/run@2", "f/decay@3"]);
}

#[test]
fn records_that_hide_what_differs_are_seen_through() {
    let a = run(&states(2));
    let mut altered = states(2);
    altered[1].0.get_mut("b.weight").unwrap()[3] = 7.0;
    let mut b = run(&altered);
    b[1].tensors = a[1].tensors.clone();
    let parting = bisected(&a, &b).0.partings.remove(0);
    assert_eq!(parting.tensors.differing, Some(0));
    let first = parting.tensors.first.unwrap();
    assert_eq!((first.name.as_str(), first.misstated), ("b.weight", vec![Side::B]));

    // The record of a diverged run lists no tensors.
    b[1].tensors.clear();
    let parting = bisected(&a, &b).0.partings.remove(0);
    assert_eq!((parting.tensors.differing, parting.tensors.first.unwrap().name.as_str()), (None, "b.weight"));

    // The bytes are not available.
    let b = closure(&run(&altered));
    let first = bisect(&closure(&a), &b, &mut |_, _, _| None).partings.remove(0).tensors.first.unwrap();
    assert_eq!(
        (first.name.as_str(), first.distance, first.reason.as_str()),
        ("b.weight", None, "the bytes are not available")
    );
}
