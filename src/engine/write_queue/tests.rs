use std::sync::Mutex;

use super::*;
use base::record::{KeyParts, Provenance};
use base::value::Map;
use store::ObjectState;

/// What a stage made, under a claim; its only output has these bytes.
fn made(store: &Store, stage: StageId, bytes: &[u8], before: Knowledge) -> Unstored {
    let parts = KeyParts {
        kind: "kind".into(),
        version: stage as u32,
        parameters: Map::new(),
        inputs: [].into(),
        policy: Map::new(),
    };
    let object = ObjectDigest::of(bytes);
    let outputs = vec![Output { name: "out".into(), object, bytes: bytes.len() as u64, inline: None }];
    let claim = store.claim(&parts.key()).unwrap().ours().unwrap();
    let record = Record { parts, outputs, tensors: vec![], provenance: Provenance::default() };
    let digest = record.to_bytes().unwrap().0;
    Unstored {
        stage,
        seconds: 1.0,
        before,
        digest,
        record,
        objects: vec![(object, Arc::new(bytes.to_vec()))],
        claim,
        notes: Notes::default(),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("store")).unwrap();
    (folder, store)
}

#[test]
fn bytes_are_on_the_way_until_all_who_made_them_are_stored() {
    let (_folder, store) = store();
    let on_the_way = OnTheWay::default();
    let [one, two] = [1, 2].map(|stage| made(&store, stage, b"the same", Knowledge::Waits));
    let object = one.objects[0].0;
    on_the_way.begin(&one);
    on_the_way.begin(&two);
    one.store(&store, &on_the_way, &|_| {}).unwrap();
    assert_eq!(on_the_way.get(&object).unwrap().as_slice(), b"the same");
    two.store(&store, &on_the_way, &|_| {}).unwrap();
    assert!(on_the_way.get(&object).is_none());
    assert_eq!(store.get(&object).unwrap(), b"the same");
}

#[test]
fn a_record_comes_after_its_objects_and_the_key_is_free_after_both() {
    let (_folder, store) = store();
    let made = made(&store, 1, b"bytes", Knowledge::Waits);
    let (key, object, digest) = (made.record.parts.key(), made.objects[0].0, made.digest);
    assert!(store.claim(&key).unwrap().ours().is_none());
    assert_eq!(made.store(&store, &OnTheWay::default(), &|_| {}).unwrap(), Some(digest));
    assert_eq!(store.state(&object).unwrap(), ObjectState::Present);
    assert!(store.recorded(&key, &digest).unwrap().is_some() && store.claim(&key).unwrap().ours().is_some());
}

#[test]
fn bytes_that_come_again_are_no_new_record_and_others_are_a_second_one() {
    let (_folder, store) = store();
    let recorded = made(&store, 1, b"recorded", Knowledge::Waits).known();
    for (bytes, wanted) in [(&b"recorded"[..], vec![]), (b"something else", vec!["out".to_owned()])] {
        let events = Mutex::new(Vec::new());
        let again = made(&store, 1, bytes, recorded.clone());
        let published = again.store(&store, &OnTheWay::default(), &|event| events.lock().unwrap().push(event)).unwrap();
        assert_eq!(published.is_some(), !wanted.is_empty());
        let differs = Event::Differs { stage: 1, outputs: wanted.clone() };
        assert_eq!(*events.lock().unwrap(), if wanted.is_empty() { vec![] } else { vec![differs] });
    }
}

#[test]
fn what_cannot_be_stored_is_not_recorded_and_its_key_is_free() {
    #![allow(clippy::disallowed_methods, reason = "it disturbs the store from outside")]
    let (_folder, store) = store();
    let on_the_way = OnTheWay::default();
    let made = made(&store, 1, b"bytes", Knowledge::Waits);
    let (key, object) = (made.record.parts.key(), made.objects[0].0);
    std::fs::create_dir(store.root().join(store::object_path(&object))).unwrap();
    on_the_way.begin(&made);
    assert!(matches!(made.store(&store, &on_the_way, &|_| {}), Err(EngineError::Store(_))));
    assert!(on_the_way.get(&object).is_none(), "nobody waits for it");
    assert!(store.records(&key).unwrap().is_empty() && store.claim(&key).unwrap().ours().is_some());
}
