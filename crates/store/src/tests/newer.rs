//! Files of a newer program are refused or left alone, and the message names the required version; the lack of newer
//! files is not a fault.

use super::*;
use base::digest::RecordDigest;

/// Writes the file of a record as a newer program would.
fn newer_record(store: &Store, record: &Record) -> PathBuf {
    let (_, mut bytes) = record.to_bytes().unwrap();
    bytes[4..6].copy_from_slice(&3_u16.to_le_bytes());
    let folder = store.layout.records(&record.parts.key());
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(RecordDigest::of(&bytes).to_string());
    fs::write(&path, &bytes).unwrap();
    path
}

#[test]
fn a_newer_layout_is_refused_with_the_version_that_it_names() {
    let (folder, store) = store();
    drop(store);
    let marker = folder.path().join("wdpipe-store");
    for (text, wanted) in [
        ("wdpipe store, layout version 2\n", "use a newer wdpipe, one that knows layout 2"),
        ("wdpipe store, layout version 3\nneeds wdpipe 0.4\n", "use wdpipe 0.4 or newer"),
        ("wdpipe store, layout version 3\nneeds wdpipe \u{1b}[1m\n", "one that knows layout 3"),
    ] {
        overwrite(&marker, text.as_bytes());
        let error = Store::open(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with(wanted) && error.contains("knows version 1"), "{error}");
    }
    overwrite(&marker, b"wdpipe store, layout version 1\nsomething more\n");
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_newer_object_is_left_alone_and_a_flipped_version_is_damage() {
    let (_folder, store) = store();
    let digest = store.put(b"some bytes").unwrap();
    let path = object_file(&store, b"some bytes");
    let good = fs::read(&path).unwrap();
    let newer = [&good[..4], &3_u16.to_le_bytes(), b"something that only a newer program understands"].concat();
    overwrite(&path, &newer);
    let refused = store.get(&digest).unwrap_err();
    assert!(matches!(refused, StoreError::NewerObject { found: 3, known: 2, .. }), "{refused}");
    assert!(refused.to_string().contains("use a wdpipe that reads 3"), "{refused}");
    assert!(matches!(store.state(&digest), Err(StoreError::NewerObject { .. })));
    assert!(matches!(store.put(b"some bytes"), Err(StoreError::NewerObject { .. })));
    let report = sound(&store);
    assert_eq!((report.foreign_objects, report.foreign.len()), (vec![digest], 1));
    assert_eq!(fs::read(&path).unwrap(), newer);

    let mut flipped = good.clone();
    flipped[4] ^= 2;
    overwrite(&path, &flipped);
    assert_eq!(store.state(&digest).unwrap(), ObjectState::Damaged);
}

#[test]
fn newer_records_are_left_alone_and_nothing_is_removed_that_they_may_need() {
    let (_folder, store) = store();
    store.put(b"x").unwrap();
    let record = record("train", 1, 1, b"a", &[b"x"]);
    let path = newer_record(&store, &record);
    for refused in
        [store.records(&record.parts.key()).unwrap_err(), store.plan_gc(&GcPolicy::default(), u64::MAX).unwrap_err()]
    {
        assert!(refused.to_string().contains("use a newer wdpipe, one that reads 3"), "{refused}");
    }
    store.publish(&super::record("probe", 2, 1, b"", &[])).unwrap();
    assert_eq!(store.known_makings().unwrap().len(), 1, "what can be read can be repaired");
    let report = sound(&store);
    assert_eq!((report.foreign_records.len(), report.foreign.len()), (1, 1));
    assert!(path.exists() && store.stats().unwrap().kinds.len() == 1);
}

#[test]
fn an_index_from_before_there_were_uses_is_brought_up_to_date() {
    let (folder, store) = store();
    store.put(b"x").unwrap();
    store.publish(&record("train", 1, 1, b"a", &[b"x"])).unwrap();
    drop(store);
    let path = folder.path().join("index.sqlite");
    let index = rusqlite::Connection::open(&path).unwrap();
    index.execute_batch("DROP TABLE yields; ALTER TABLE objects DROP COLUMN used; PRAGMA user_version = 1;").unwrap();
    drop(index);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.occupied().unwrap()[0].kind, "train");
    assert_eq!(store.stats().unwrap().kinds["train"].records, 1);
    assert_eq!(sound(&store).index_corrections, 0);
}

#[test]
fn a_store_without_the_folders_that_came_later_opens() {
    let (folder, store) = store();
    let digest = store.put(b"x").unwrap();
    drop(store);
    for later in ["signatures", "pins", "catalog"] {
        assert!(!folder.path().join(later).exists(), "{later} is created when it is first needed");
    }
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.get(&digest).unwrap(), b"x");
    assert!(store.pins().unwrap().is_empty() && store.batches().unwrap().is_empty());
    sound(&store);
}
