//! Two caches of one run, one of them forged: `bisect` names the segment, the tensor and the number.

use std::collections::BTreeMap;
use std::path::Path;

use base::digest::{ObjectDigest, RecordDigest, StageKey};
use base::record::{KeyParts, Output, Provenance, Record};
use base::value::{Map, Value};
use safetensors::tensor::{Dtype, TensorView};
use store::Store;

use super::environment::Environment;

/// Final state of a segment: tensors of 4 × 3 × 256 numbers by name, too large for a record.
type State = BTreeMap<&'static str, Vec<f32>>;

const SHAPE: [usize; 3] = [4, 3, 256];

fn state(segment: u32) -> State {
    let values = |salt: u32| (0..4 * 3 * 256).map(|i| ((segment * 7919 + salt * 104_729 + i) as f32).sin()).collect();
    [("conv.weight", values(1)), ("head.bias", values(2)), ("stem.weight", values(3))].into()
}

fn raw(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Publishes the segment that ends in a state, under the name that training gives it.
fn publish(store: &Store, number: u32, from: ObjectDigest, state: &State) -> (StageKey, RecordDigest, ObjectDigest) {
    let bytes: Vec<_> = state.values().map(|values| raw(values)).collect();
    let views = state
        .keys()
        .zip(&bytes)
        .map(|(name, bytes)| (*name, TensorView::new(Dtype::F32, SHAPE.into(), bytes).unwrap()));
    let checkpoint = safetensors::serialize(views, None).unwrap();
    let object = store.put(&checkpoint).unwrap();
    let parts = KeyParts {
        kind: "train".into(),
        version: 1,
        parameters: [("first_epoch".into(), Value::Int(number.into())), ("lr".into(), Value::Float(0.1))].into(),
        inputs: [("weights".into(), from)].into(),
        policy: Map::new(),
    };
    let key = parts.key();
    let outputs = vec![Output { name: "weights".into(), object, bytes: checkpoint.len() as u64, inline: None }];
    let tensors = state.iter().map(|(name, values)| ((*name).to_owned(), ObjectDigest::of(&raw(values)))).collect();
    let stage = format!("fig/run[lr=0.1]@{}", number + 1);
    let provenance = Provenance { stage, who: "a@b".into(), device: "cpu".into(), ..Provenance::default() };
    (key, store.publish(&Record { parts, outputs, tensors, provenance }).unwrap(), object)
}

/// Stores a run of four segments and returns their keys and records. All but the first end in altered states.
fn run(folder: &Path, alter: impl Fn(&mut State)) -> Vec<(StageKey, RecordDigest)> {
    let store = Store::open(folder).unwrap();
    let mut from = ObjectDigest::of(b"initial weights");
    let mut published = Vec::new();
    for number in 0..4 {
        let mut state = state(number);
        if number > 0 {
            alter(&mut state);
        }
        let (key, record, object) = publish(&store, number, from, &state);
        (from, published) = (object, [published, vec![(key, record)]].concat());
    }
    published
}

#[test]
fn a_forged_segment_is_found() {
    let environment = Environment::new();
    let (cache, other) = (environment.path("cache"), environment.path("other"));
    let honest = run(&cache, |_| {});
    // Position of the lowest bit of conv.weight[2, 1, 5].
    let place = (2 * 3 + 1) * 256 + 5;
    let flip = |state: &mut State| {
        let value = &mut state.get_mut("conv.weight").unwrap()[place];
        *value = f32::from_bits(value.to_bits() ^ 1);
    };
    let forged = run(&other, flip);
    let cache_b = ["--cache-b", other.to_str().unwrap()];
    let digits = |record: RecordDigest| record.to_string()[..12].to_owned();
    let (last, last_forged) = (digits(honest[3].1), digits(forged[3].1));

    let found = environment.run(&[&["bisect", &last, &last_forged][..], &cache_b].concat());
    assert_eq!(found.code, Some(1), "{}{}", found.stdout, found.stderr);
    assert_eq!(found.stderr, "");
    for words in [
        "fig/run[lr=0.1]@2 (segment 2 of 4)",
        "same key, different outputs",
        "1 of 3 differ, first conv.weight of weights",
        "1 of 3072 differ (F32 [4, 3, 256]), first at [2, 1, 5]",
        "1 ULP at most",
    ] {
        assert!(found.stdout.contains(words), "no `{words}` in\n{}", found.stdout);
    }
    let json = environment.run(&[&["bisect", &last, &last_forged, "--json"][..], &cache_b].concat()).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["partings"][0]["tensors"]["first"]["distance"]["first"], serde_json::json!([2, 1, 5]));

    let same = environment.run(&["bisect", &last, &last]);
    assert_eq!(same.code, Some(0), "{}", same.stderr);
    assert!(same.stdout.contains("1 run: the same to the end"), "{}", same.stdout);

    // The same segment forged within one store: its key has two outcomes, which are compared by their digests.
    let store = Store::open(&cache).unwrap();
    let mut altered = state(1);
    flip(&mut altered);
    let first = Store::open(&cache).unwrap().records(&honest[0].0).unwrap().remove(0).1;
    let (key, record, _) = publish(&store, 1, first.outputs[0].object, &altered);
    assert_eq!((key, record), forged[1]);
    let hint = environment.run(&["bisect", &key.to_string()[..8]]);
    assert_eq!(hint.code, Some(2));
    let (a, b) = (digits(honest[1].1), digits(record));
    assert!(
        hint.stderr.contains(&a) && hint.stderr.contains(&b) && hint.stderr.contains("2 outcomes"),
        "{}",
        hint.stderr
    );
    let found = environment.run(&["bisect", &a, &b]);
    assert!(found.stdout.contains("fig/run[lr=0.1]@2 (segment 2 of 2)"), "{}", found.stdout);

    let diff = environment.run(&["diff", &a, &b]);
    assert_eq!(diff.code, Some(1), "{}", diff.stderr);
    assert!(diff.stdout.contains("different outputs under one key"), "{}", diff.stdout);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let environment = Environment::new();
    store::Store::open(&environment.path("cache")).unwrap();
    let said = |arguments: &[&str]| {
        let ended = environment.run(arguments);
        (ended.code, ended.stderr)
    };
    let (code, text) = said(&["diff", "fig3"]);
    assert!(code == Some(2) && text.contains("there is nothing to compare `fig3` with"), "{text}");
    let (code, text) = said(&["diff", "deadbeef", "fig3"]);
    assert!(code == Some(3) && text.contains("A: no record or key in cache begins with deadbeef"), "{text}");
    let (code, text) = said(&["diff", "fig3", "--set-b", "wd=0.1"]);
    assert!(code == Some(3) && text.contains("was not run yet"), "{text}");
    let (code, text) = said(&["bisect", "fig3", "--cache-b", "nowhere"]);
    assert!(code == Some(2) && text.contains("there is no store nowhere"), "{text}");
    assert!(!environment.path("nowhere").exists());
    let (code, text) = said(&["diff", "fig3", "reports/smoke/fig3.lock"]);
    assert!(code == Some(3) && text.contains("A: "), "{text}");
    let (code, text) = said(&["diff", "reports/smoke/fig3.lock", "fig3"]);
    assert!(code == Some(3) && text.contains("fig3.lock is not there"), "{text}");
}
