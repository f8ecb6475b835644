//! Signatures are found by all readers; damaged or forged ones are ignored.

use std::thread;

use super::*;
use crate::sign::{Batch, PublicKey, SecretKey};
use base::digest::{BatchDigest, RecordDigest};

fn digests(numbers: impl IntoIterator<Item = u64>) -> Vec<RecordDigest> {
    numbers.into_iter().map(|number| RecordDigest::of(&number.to_le_bytes())).collect()
}

fn batch(key: &SecretKey, numbers: impl IntoIterator<Item = u64>) -> Batch {
    Batch::sign(key, digests(numbers)).unwrap()
}

/// Returns the signers of record number `number`.
fn signers(store: &Store, number: u64) -> Vec<PublicKey> {
    store.signers(&digests([number])[0]).unwrap()
}

#[test]
fn signatures_are_found_in_this_store_and_another_on_the_same_folder() {
    let (folder, store) = store();
    assert!(store.batches().unwrap().is_empty());
    assert!(!folder.path().join("signatures").exists());
    let mut keys = [SecretKey::generate().unwrap(), SecretKey::generate().unwrap()];
    keys.sort_by_key(SecretKey::public);
    let [one, two] = &keys;

    // Queried before and after: signatures published later are included.
    assert!(signers(&store, 1).is_empty());
    let first = batch(two, [1, 2]);
    let name = store.publish_signatures(&first).unwrap();
    assert_eq!(store.publish_signatures(&first).unwrap(), name);
    store.publish_signatures(&batch(one, [2, 3])).unwrap();
    store.publish_signatures(&batch(two, [2, 4])).unwrap();
    for store in [&store, &Store::open(folder.path()).unwrap()] {
        assert_eq!(signers(store, 1), [two.public()]);
        assert_eq!(signers(store, 2), [one.public(), two.public()]);
        assert_eq!(signers(store, 3), [one.public()]);
        assert!(signers(store, 5).is_empty());
        assert_eq!(store.batches().unwrap().len(), 3);
        assert!(store.batches().unwrap().contains(&(name, first.clone())));
    }
    assert_eq!(sound(&store).signatures, 3);
    assert_eq!(store.plan_gc(&GcPolicy::default(), u64::MAX).unwrap(), super::super::GcPlan::default());
}

#[test]
fn threads_and_stores_publish_side_by_side() {
    let (folder, store) = store();
    let other = Store::open(folder.path()).unwrap();
    let keys = [0; 4].map(|_| SecretKey::generate().unwrap());
    thread::scope(|scope| {
        for (i, key) in keys.iter().enumerate() {
            let store = if i % 2 == 0 { &store } else { &other };
            scope.spawn(move || {
                for number in 0..10 {
                    store.publish_signatures(&batch(key, [number, 100])).unwrap();
                    assert_eq!(signers(store, number).iter().filter(|signer| **signer == key.public()).count(), 1);
                }
            });
        }
    });
    let report = sound(&store);
    assert_eq!((report.signatures, signers(&Store::open(folder.path()).unwrap(), 100).len()), (40, 4));
}

#[test]
fn damaged_and_forged_batches_are_moved_aside_and_do_not_count() {
    let (folder, store) = store();
    let [key, other] = [0; 2].map(|_| SecretKey::generate().unwrap());
    let (good, kept) = (batch(&key, [1]), batch(&other, [1]));
    let name = store.publish_signatures(&good).unwrap();
    store.publish_signatures(&kept).unwrap();
    let file = store.layout.batch(&name);
    let bytes = fs::read(&file).unwrap();
    let quarantined = || fs::read_dir(folder.path().join("quarantine")).unwrap().count();
    // The tests of batches check that every flipped bit is refused; here every case writes and syncs files.
    for at in (0..bytes.len()).step_by(13) {
        let mut bad = bytes.clone();
        bad[at] ^= 1;
        overwrite(&file, &bad);
        let store = Store::open(folder.path()).unwrap();
        match at % 3 {
            0 => assert_eq!(signers(&store, 1), [other.public()], "{at}"),
            1 => assert_eq!(store.check(&mut |_| {}).unwrap().damaged_signatures, [name], "{at}"),
            _ => assert_eq!(store.batches().unwrap().len(), 1, "{at}"),
        }
        assert!(!file.exists() && quarantined() == 1, "{at}");
        fs::remove_dir_all(folder.path().join("quarantine")).unwrap();
        assert_eq!(store.publish_signatures(&good).unwrap(), name);
        assert_eq!(signers(&store, 1).len(), 2);
    }

    // A batch under a name that is not its hash, a forged one under the right name, and a huge file of zeros.
    let write = |name: BatchDigest, bytes: &[u8]| fs::write(store.layout.batch(&name), bytes).unwrap();
    write(BatchDigest::of(b"another"), &bytes);
    let mut forged = bytes.clone();
    forged[6..38].copy_from_slice(other.public().as_bytes());
    write(BatchDigest::of(&forged), &forged);
    fs::File::create(store.layout.batch(&BatchDigest::of(b"long"))).unwrap().set_len(1 << 40).unwrap();
    // A batch of a newer program must be left alone. Files with other names are skipped.
    let newer = [&b"WDsg\x02\x00"[..], &bytes[6..]].concat();
    write(BatchDigest::of(&newer), &newer);
    fs::write(folder.path().join("signatures/README"), "").unwrap();
    let report = store.check(&mut |_| {}).unwrap();
    assert_eq!((report.signatures, report.damaged_signatures.len(), report.is_sound()), (2, 3, false));
    assert_eq!(report.foreign_signatures, [BatchDigest::of(&newer)]);
    assert_eq!(quarantined(), 3);
    assert_eq!(signers(&Store::open(folder.path()).unwrap(), 1).len(), 2);
    sound(&store);
}
