//! Reading and writing objects piece by piece.

use std::io::Read;

use super::*;
use files::Named;

fn read(store: &Store, digest: &ObjectDigest) -> Result<Vec<u8>, StoreError> {
    let mut bytes = Vec::new();
    let length = store.read_object::<StoreError>(digest, &mut |piece| {
        bytes.extend_from_slice(piece);
        Ok(())
    })?;
    assert_eq!(length, bytes.len() as u64);
    Ok(bytes)
}

fn temporary(store: &Store) -> usize {
    fs::read_dir(store.layout.temporary()).unwrap().count()
}

/// Returns samples of every size and kind that is treated differently: empty, small, compressible and incompressible
/// ones, and some that only seem compressible.
fn samples() -> Vec<Vec<u8>> {
    let mut mostly = noise(1_000_000, 3);
    for start in [0, 467_232, 934_464] {
        mostly[start..start + (64 << 10)].fill(7);
    }
    let large = noise(3_000_001, 4);
    vec![
        vec![],
        vec![7],
        vec![7; 1000],
        noise(300_000, 1),
        b"weight decay".repeat(60_000),
        noise(100, 2),
        mostly,
        large,
    ]
}

#[test]
fn both_ways_give_the_same_files() {
    for bytes in samples() {
        let ((_a, whole), (_b, pieces)) = (store(), store());
        let digest = whole.put(&bytes).unwrap();
        assert!(pieces.put_from(&digest, bytes.len() as u64, &mut &bytes[..]).unwrap());
        assert_eq!(read(&whole, &digest).unwrap(), bytes);
        assert_eq!(read(&pieces, &digest).unwrap(), bytes);
        assert_eq!(pieces.get(&digest).unwrap(), bytes);
        let path = pieces.root().join("restored");
        for store in [&whole, &pieces] {
            assert_eq!(store.restore(&digest, Named::create(&path).unwrap()).unwrap(), bytes.len() as u64);
            assert!(fs::read(&path).unwrap() == bytes);
        }
        let [a, b] = [&whole, &pieces].map(|store| fs::metadata(object_file(store, &bytes)).unwrap().len());
        // zstd knows the length in advance in one case, which can change a few choices.
        assert!(a.abs_diff(b) <= 16 + a / 1000, "{a} {b} bytes for {}", bytes.len());
        assert_eq!(temporary(&pieces), 0);
    }
}

#[test]
fn only_the_object_s_own_bytes_are_taken_and_only_if_they_are_not_there() {
    let (_folder, store) = store();
    let bytes = noise(500_000, 1);
    let digest = ObjectDigest::of(&bytes);
    let source = [&bytes[..], b"rest"].concat();
    let mut rest = &source[..];
    assert!(store.put_from(&digest, 500_000, &mut rest).unwrap());
    assert_eq!(rest, b"rest");
    let mut untouched = &source[..];
    assert!(!store.put_from(&digest, 500_000, &mut untouched).unwrap());
    assert_eq!(untouched.len(), 500_004);

    let other = ObjectDigest::of(b"other");
    for (length, source) in [(5, &b"othes"[..]), (4, b"othe"), (6, b"other"), (5, b"othe"), (1 << 32, b"other")] {
        let refused = store.put_from(&other, length, &mut &source[..]);
        assert!(matches!(refused, Err(StoreError::Another(digest)) if digest == other), "{length}");
    }
    assert!(matches!(store.put_from(&other, 1 << 33, &mut &b""[..]), Err(StoreError::TooLarge { .. })));
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("no more"))
        }
    }
    assert_eq!(
        store.put_from(&other, 5, &mut Broken).unwrap_err().to_string(),
        "cannot read the bytes to be stored: no more"
    );
    assert_eq!((store.state(&other).unwrap(), temporary(&store)), (ObjectState::Missing, 0));
}

#[test]
fn damage_is_found_moved_aside_and_mended() {
    for bytes in [noise(40, 1), vec![7; 3000]] {
        let (_folder, store) = store();
        let digest = store.put(&bytes).unwrap();
        let path = object_file(&store, &bytes);
        let good = fs::read(&path).unwrap();
        let flipped = (0..good.len()).map(|at| {
            let mut bad = good.clone();
            bad[at] ^= 1;
            bad
        });
        let cut = (0..good.len()).map(|length| good[..length].to_vec());
        for bad in flipped.chain(cut).chain([[&good[..], b"x"].concat()]) {
            overwrite(&path, &bad);
            assert!(matches!(read(&store, &digest), Err(StoreError::Damaged { moved_to: Ok(_), .. })));
            assert!(matches!(read(&store, &digest), Err(StoreError::Missing(_))));
            overwrite_or_create(&path, &bad);
            assert!(store.put_from(&digest, bytes.len() as u64, &mut &bytes[..]).unwrap());
            assert_eq!(read(&store, &digest).unwrap(), bytes);
        }
    }
}

#[test]
fn what_is_wrong_is_not_restored() {
    for bytes in [noise(3_000_000, 1), noise(4000, 1), vec![7; 3000]] {
        let (folder, store) = store();
        let digest = store.put(&bytes).unwrap();
        let (object, path) = (object_file(&store, &bytes), folder.path().join("restored"));
        fs::write(&path, "as before").unwrap();
        let mut bad = fs::read(&object).unwrap();
        *bad.last_mut().unwrap() ^= 1;
        overwrite(&object, &bad);
        let restored = || store.restore(&digest, Named::create(&path).unwrap());
        assert!(matches!(restored(), Err(StoreError::Damaged { moved_to: Ok(_), .. })));
        assert!(matches!(restored(), Err(StoreError::Missing(_))));
        assert!(store.put(&bytes).is_ok());
        assert_eq!(fs::read(&path).unwrap(), b"as before");
        assert!(restored().is_ok() && fs::read(&path).unwrap() == bytes);
        assert!(
            !fs::read_dir(folder.path())
                .unwrap()
                .any(|entry| { entry.unwrap().file_name().to_string_lossy().starts_with(".restored") })
        );
    }
}

fn overwrite_or_create(path: &Path, bytes: &[u8]) {
    let _ = fs::remove_file(path);
    fs::write(path, bytes).unwrap();
}
