//! Remembered outcomes are valid as long as the files are unchanged.

use std::time::Duration;

use super::*;
use base::digest::StageKey;
use base::record::Outline;

/// Returns the remembered outcome of a key and the states of its outputs; `None` if it is not valid.
fn recalled(store: &Store, key: &StageKey) -> Option<(Outline, Vec<ObjectState>)> {
    let (outline, witnesses) = store.recall(1).outline(key)?;
    let states = store.held().unwrap().holds(&witnesses)?;
    Some((outline, states))
}

#[test]
fn what_is_remembered_holds_until_a_file_changes() {
    let (folder, store) = store();
    let records: Vec<_> = (0..5).map(|i| record("train", i, 1, b"m", &[&noise(100, i.unsigned_abs())])).collect();
    for (i, record) in (0..).zip(&records) {
        store.put(&noise(100, i)).unwrap();
        store.publish(record).unwrap();
    }
    let keys: Vec<_> = records.iter().map(|record| record.parts.key()).collect();
    let look = || keys.iter().for_each(|key| drop(store.outlines(key).unwrap()));
    look();
    store.remember_outlines();
    assert_eq!(recalled(&store, &keys[0]), None, "the folder was just changed, and can change again");

    std::thread::sleep(Duration::from_millis(2100));
    look();
    store.remember_outlines();
    let present = vec![ObjectState::Present];
    for (key, record) in keys.iter().zip(&records) {
        let (outline, states) = recalled(&store, key).unwrap();
        assert_eq!((&outline.outputs, &states), (&record.outputs, &present));
        assert_eq!(outline.digest, store.records(key).unwrap()[0].0);
    }
    // This also works in a store that is opened later, and with few queries to a large index.
    let later = Store::open(folder.path()).unwrap();
    assert_eq!(recalled(&later, &keys[0]), recalled(&store, &keys[0]));
    assert_eq!(later.recall(0).outline(&keys[1]).map(|(outline, _)| outline.outputs), Some(records[1].outputs.clone()));

    // Change another outcome of the first key, an object's file, a record's bytes, a record's name.
    store.publish(&record("train", 0, 2, b"n", &[])).unwrap();
    let object = store.layout.object(&records[1].outputs[0].object);
    let (bytes, aside) = (fs::read(&object).unwrap(), folder.path().join("aside"));
    fs::rename(&object, &aside).unwrap();
    assert_eq!(recalled(&store, &keys[1]).unwrap().1, [ObjectState::Missing]);
    fs::write(&object, bytes).unwrap();
    let file = |i: usize| store.layout.record(&keys[i], &store.layout.records_of(&keys[i]).unwrap()[0]);
    let (changed, gone) = (file(2), file(3));
    let mut bytes = fs::read(&changed).unwrap();
    bytes[20] ^= 1;
    fs::remove_file(&changed).unwrap();
    fs::write(&changed, bytes).unwrap();
    fs::remove_file(gone).unwrap();
    for key in &keys[..4] {
        assert_eq!(recalled(&store, key), None);
    }
    assert!(recalled(&store, &keys[4]).is_some());
    assert_eq!(store.outlines(&keys[0]).unwrap().len(), 2);
    assert!(store.outlines(&keys[2]).unwrap().is_empty() && store.outlines(&keys[3]).unwrap().is_empty());
}
