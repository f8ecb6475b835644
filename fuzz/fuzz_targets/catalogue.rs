//! Parts of a catalogue: what is read is written as the same again; put together they answer without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::{Catalogue, Part, parts_to_read};

fuzz_target!(|bytes: &[u8]| {
    // Under a right checksum, which nobody finds by chance.
    let sealed = [bytes, blake3::hash(bytes).as_bytes()].concat();
    let Ok(part) = Part::from_bytes(&sealed) else { return };
    let written = part.to_bytes().expect("what was read can be written");
    assert_eq!(Part::from_bytes(&written).expect("what was written can be read"), part);
    let number = u64::from(bytes.first().copied().unwrap_or(0)) + 1;
    assert!(parts_to_read(number).len() <= 9);
    let catalogue = Catalogue::new([(number, part.clone())].into());
    for listed in &part.records {
        assert!(catalogue.has_record(&listed.key, &listed.record));
        assert!(catalogue.outcomes(&listed.key).iter().any(|other| other.record == listed.record));
    }
    let (next, _) = catalogue.next(part);
    assert_eq!(next, number + 1);
});
