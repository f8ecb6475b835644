use std::collections::HashSet;

use proptest::prelude::*;

use super::super::tests::{record, store};
use super::*;

fn part_of(numbers: std::ops::RangeInclusive<u64>) -> Part {
    let objects = numbers.map(|number| (ObjectDigest::of(&number.to_le_bytes()), number)).collect();
    Part { objects, ..Part::default() }
}

/// Returns all parts of a catalogue in which each of `count` parts lists one new object.
fn written(count: u64) -> BTreeMap<u64, Part> {
    let mut all = BTreeMap::new();
    for number in 1..=count {
        let read = parts_to_read(number - 1).into_iter().map(|n| (n, all.get(&n).cloned().unwrap())).collect();
        let (next, part) = Catalogue::new(read).next(part_of(number..=number));
        assert_eq!(next, number);
        all.insert(next, part);
    }
    all
}

#[test]
fn few_parts_tell_everything_and_little_is_repeated() {
    let all = written(200);
    for last in 0..=200 {
        let numbers = parts_to_read(last);
        assert!(numbers.len() <= 8, "{last}: {numbers:?}");
        let read = Catalogue::new(numbers.iter().map(|n| (*n, all[n].clone())).collect());
        assert_eq!(read.counts(), (0, last as usize));
        assert_eq!(read.last, last);
    }
    let repeated: usize = all.values().map(|part| part.objects.len()).sum();
    assert!(repeated <= 200 * 5, "{repeated}");
}

#[test]
fn names_are_numbers() {
    assert_eq!(part_number(&part_name(7)), Some(7));
    for wrong in ["", "7", "0000000000", "00000000x7", "000000000007"] {
        assert_eq!(part_number(wrong), None, "{wrong}");
    }
}

#[test]
fn what_is_gone_is_gone_and_may_come_back() {
    let mut all = part_of(1..=3);
    let gone = part_of(2..=2).objects[0].0;
    all.extend(&Part { gone: vec![gone], ..Part::default() });
    assert!(!all.objects.iter().any(|(object, _)| *object == gone));
    // Readers that have only the older part must also learn that the object was removed.
    assert_eq!(all.gone, [gone]);
    all.extend(&part_of(2..=2));
    assert!(all.gone.is_empty() && all.objects.iter().any(|(object, _)| *object == gone));
}

#[test]
fn a_record_that_is_listed_under_a_wrong_key_is_found_under_its_own_too() {
    let (_folder, store) = store();
    let record = record("train", 1, 10, b"inline", &[]);
    let (key, digest) = (record.parts.key(), store.publish(&record).unwrap());
    store.list_all().unwrap();
    let honest = store.catalogue().unwrap().unwrap();
    let mut lie = honest.parts[&1].clone();
    lie.records[0].key = StageKey::from_bytes([0; 32]);
    let both = Catalogue::new([(1, lie.clone()), (2, honest.parts[&1].clone())].into());
    assert_eq!(both.outcomes(&key).len(), 1);
    assert!(!Catalogue::new([(1, lie)].into()).has_record(&key, &digest), "so it is listed again");
}

#[test]
fn a_store_lists_what_it_has_and_what_it_lost() {
    let (_folder, store) = store();
    let bytes = b"an object".as_slice();
    let object = store.put(bytes).unwrap();
    let one = record("train", 1, 10, b"inline", &[bytes]);
    let digest = store.publish(&one).unwrap();
    assert!(store.catalogue().unwrap().is_none());
    store.list(&[(one.parts.key(), digest)], &[]).unwrap();
    assert!(store.catalogue().unwrap().is_none(), "nobody created one");

    assert_eq!(store.list_all().unwrap(), 1);
    let listed = store.catalogue().unwrap().unwrap();
    assert_eq!(listed.outcomes(&one.parts.key())[0].record, digest);
    assert!(listed.object(&object).is_some() && listed.has_record(&one.parts.key(), &digest));

    let two = record("train", 2, 10, b"inline", &[b"never stored"]);
    let second = store.publish(&two).unwrap();
    store.list(&[(two.parts.key(), second)], &[]).unwrap();
    let listed = store.catalogue().unwrap().unwrap();
    assert_eq!((listed.last, listed.counts()), (2, (2, 1)));
    assert_eq!(store.contents().unwrap().counts(), (2, 1));

    files::remove(&store.layout.object(&object)).unwrap();
    assert_eq!(store.list_all().unwrap(), 0);
    assert_eq!(store.catalogue().unwrap().unwrap().counts(), (2, 0));
    store.put(bytes).unwrap();
    store.list_all().unwrap();
    assert_eq!(store.catalogue().unwrap().unwrap().counts(), (2, 1));
    assert_eq!((store.list_all().unwrap(), store.catalogue().unwrap().unwrap().last), (0, 4), "nothing new, no part");
}

#[test]
fn two_who_add_at_once_both_do() {
    let (folder, store) = store();
    store.list_all().unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let folder = folder.path();
            scope.spawn(move || {
                let store = Store::open(folder).unwrap();
                for number in 0..10 {
                    let record = record("train", writer * 10 + number, 10, b"inline", &[]);
                    let digest = store.publish(&record).unwrap();
                    store.list(&[(record.parts.key(), digest)], &[]).unwrap();
                }
            });
        }
    });
    assert_eq!(store.catalogue().unwrap().unwrap().counts().0, 40);
}

#[test]
fn signatures_are_found_by_what_they_sign() {
    let sign = |name: &[u8]| Signed {
        batch: BatchDigest::of(name),
        bytes: 1,
        records: vec![part::prefix(&RecordDigest::of(name))],
    };
    let signatures = vec![sign(b"a"), sign(b"b")];
    let catalogue = Catalogue::new([(1, Part { signatures, ..Part::default() })].into());
    let found = catalogue.batches_for(&HashSet::from([RecordDigest::of(b"b"), RecordDigest::of(b"c")]));
    assert_eq!(found.iter().map(|signed| signed.batch).collect::<Vec<_>>(), [BatchDigest::of(b"b")]);
}

#[test]
fn a_large_part_is_read_as_it_was_written_and_a_damaged_one_not_at_all() {
    let mut part = part_of(1..=5000);
    part.records.push(Listed::of(RecordDigest::of(b"x"), &record("train", 1, 2, b"y", &[b"z"]), 77));
    part.gone = vec![ObjectDigest::of(b"gone")];
    let bytes = part.to_bytes().unwrap();
    assert_eq!(Part::from_bytes(&bytes).unwrap(), part);
    for place in (0..bytes.len()).step_by(997) {
        let mut wrong = bytes.clone();
        wrong[place] ^= 1;
        assert!(Part::from_bytes(&wrong).is_err(), "{place}");
        assert!(Part::from_bytes(&bytes[..place]).is_err(), "{place}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_or_ask_for_much_memory(mut bytes: Vec<u8>, raw: u32, packed: u32) {
        bytes.splice(..0, [raw.to_le_bytes(), packed.to_le_bytes()].concat());
        bytes.extend(blake3::hash(&bytes).as_bytes());
        let _ = Part::from_bytes(&bytes);
    }
}
