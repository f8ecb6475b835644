//! Damage is found, moved aside and repaired by repeating the work; a damaged index does not count as damage.

use std::os::unix::fs::MetadataExt;

use super::*;

#[test]
fn every_flipped_byte_of_an_object_is_found_by_whoever_looks_first() {
    for bytes in [noise(40, 1), vec![7; 1000]] {
        let (folder, store) = store();
        let digest = store.put(&bytes).unwrap();
        let path = object_file(&store, &bytes);
        for at in 0..fs::metadata(&path).unwrap().len() as usize {
            let mut file = fs::read(&path).unwrap();
            file[at] ^= 1 << (at % 8);
            overwrite(&path, &file);
            match at % 4 {
                0 => assert!(matches!(store.get(&digest), Err(StoreError::Damaged { moved_to: Ok(_), .. })), "{at}"),
                1 => assert_eq!(store.state(&digest).unwrap(), ObjectState::Damaged, "{at}"),
                2 => assert_eq!(store.check(&mut |_| {}).unwrap().damaged_objects, [digest], "{at}"),
                _ => assert_eq!(store.put(&bytes).unwrap(), digest, "{at}"),
            }
            assert_eq!(fs::read_dir(folder.path().join("quarantine")).unwrap().count(), at + 1);
            store.put(&bytes).unwrap();
            assert_eq!(store.get(&digest).unwrap(), bytes);
        }
        sound(&store);
    }
}

#[test]
fn cut_lengthened_and_lying_objects_are_found() {
    let (_folder, store) = store();
    let bytes = noise(100, 1);
    let digest = store.put(&bytes).unwrap();
    let path = object_file(&store, &bytes);
    let good = fs::read(&path).unwrap();
    let mut lie = good.clone();
    lie[8..16].copy_from_slice(&(super::super::OBJECT_LIMIT - 1).to_le_bytes());
    for bad in [&good[..50], &good[..7], &[], &[&good[..], b"x"].concat(), &lie] {
        overwrite(&path, bad);
        assert_eq!(store.state(&digest).unwrap(), ObjectState::Damaged);
        assert_eq!(store.state(&digest).unwrap(), ObjectState::Missing);
        store.put(&bytes).unwrap();
    }
    // A sparse file of a terabyte is cheap to send.
    fs::remove_file(&path).unwrap();
    fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(store.get(&digest), Err(StoreError::Damaged { moved_to: Ok(_), .. })));
}

#[test]
fn an_object_whose_times_were_set_back_is_found_too() {
    let (_folder, store) = store();
    let bytes = noise(100, 1);
    let digest = store.put(&bytes).unwrap();
    let path = object_file(&store, &bytes);
    let (before, mut file) = (fs::metadata(&path).unwrap(), fs::read(&path).unwrap());
    file[50] ^= 1;
    // Wait for one tick of the file system's clock: a change within the same tick could only be deliberate.
    std::thread::sleep(std::time::Duration::from_millis(20));
    overwrite(&path, &file);
    fs::File::options().write(true).open(&path).unwrap().set_modified(before.modified().unwrap()).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mtime(), before.mtime());
    assert_eq!(store.state(&digest).unwrap(), ObjectState::Damaged);
}

#[test]
fn every_flipped_byte_of_a_record_is_found_and_the_others_remain() {
    let (folder, store) = store();
    let [one, two] = [record("train", 1, 1, b"a", &[b"x"]), record("train", 1, 2, b"b", &[])];
    let (key, digest) = (one.parts.key(), store.publish(&one).unwrap());
    store.publish(&two).unwrap();
    let path = store.layout.record(&key, &digest);
    let good = fs::read(&path).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        overwrite(&path, &bad);
        match at % 3 {
            0 => assert_eq!(store.record(&key).unwrap().as_ref(), Some(&two), "{at}"),
            1 => assert_eq!(store.check(&mut |_| {}).unwrap().damaged_records, [(key, digest)], "{at}"),
            _ => assert_eq!(store.publish(&one).unwrap(), digest, "{at}"),
        }
        assert_eq!(fs::read_dir(folder.path().join("quarantine")).unwrap().count(), 1, "{at}");
        fs::remove_dir_all(folder.path().join("quarantine")).unwrap();
        store.publish(&one).unwrap();
        assert_eq!(store.record(&key).unwrap().as_ref(), Some(&one));
    }
}

#[test]
fn a_record_under_another_key_or_of_another_version_is_not_used() {
    let (_folder, store) = store();
    let one = record("train", 1, 1, b"a", &[]);
    let digest = store.publish(&one).unwrap();
    let other = record("train", 2, 1, b"", &[]).parts.key();
    fs::create_dir(store.layout.records(&other)).unwrap();
    fs::copy(store.layout.record(&one.parts.key(), &digest), store.layout.record(&other, &digest)).unwrap();
    assert_eq!(store.record(&other).unwrap(), None);

    let mut newer = one.to_bytes().unwrap().1;
    newer[4] = 99;
    let name = base::digest::RecordDigest::of(&newer);
    fs::write(store.layout.record(&other, &name), &newer).unwrap();
    assert!(matches!(store.record(&other), Err(StoreError::Record { .. })));
    assert_eq!(sound(&store).foreign_records, [name]);
    assert!(store.layout.record(&other, &name).exists());
}

#[test]
fn leftovers_of_a_killed_process_are_harmless() {
    let (folder, store) = store();
    fs::write(folder.path().join("tmp/1-0-1"), "half an obj").unwrap();
    fs::write(folder.path().join("claims").join("00".repeat(32)), "").unwrap();
    fs::create_dir(store.layout.records(&record("train", 1, 1, b"", &[]).parts.key())).unwrap();
    for name in ["objects/00/notes", "objects/00/é", "records/00/notes"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    store.put(b"x").unwrap();
    let report = sound(&store);
    assert_eq!((report.objects, report.records), (1, 0));
    assert_eq!(store.stats().unwrap().objects, 1);
}

#[test]
fn without_its_index_and_with_a_damaged_one_a_store_answers_the_same() {
    let harm: [fn(&Path); 7] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::write(path, noise(5000, 1)).unwrap(),
        |path| fs::write(path, "").unwrap(),
        |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        },
        |path| {
            // All pages but the first.
            let mut bytes = fs::read(path).unwrap();
            bytes[4096..].fill(0xa5);
            fs::write(path, bytes).unwrap();
        },
        |path| {
            let newer = rusqlite::Connection::open(path).unwrap();
            newer.pragma_update(None, "user_version", 99).unwrap();
        },
        |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
    ];
    for (i, harm) in harm.iter().enumerate() {
        for reopen in [false, true] {
            let (folder, mut store) = store();
            store.put(b"x").unwrap();
            let record = record("train", 1, 1, b"a", &[b"x"]);
            store.publish(&record).unwrap();
            let stats = store.stats().unwrap();
            harm(&folder.path().join("index.sqlite"));
            if reopen {
                store = Store::open(folder.path()).unwrap();
            }
            assert_eq!(store.state(&ObjectDigest::of(b"x")).unwrap(), ObjectState::Present, "{i}");
            assert_eq!(store.record(&record.parts.key()).unwrap().as_ref(), Some(&record), "{i}");
            // An index that is found to be damaged during a query is repaired for the next one.
            let _ = store.last_named("fig/train@1").unwrap();
            assert_eq!(store.last_named("fig/train@1").unwrap().as_ref(), Some(&record), "{i}");
            assert_eq!(store.history("train", "cpu").unwrap().len(), 1, "{i}");
            assert_eq!(store.stats().unwrap(), stats, "{i}");
            store.put(b"y").unwrap();
            assert_eq!(sound(&store).objects, 2, "{i}");
        }
    }
}
