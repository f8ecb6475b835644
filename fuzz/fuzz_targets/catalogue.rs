//! Parts of a catalogue: reading and writing preserves a part, and a catalogue of such parts answers without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::{Catalogue, Part, parts_to_read};

fuzz_target!(|bytes: &[u8]| {
    // Under a correct checksum, which fuzzing cannot find by chance.
    let sealed = [bytes, blake3::hash(bytes).as_bytes()].concat();
    let Ok(part) = Part::from_bytes(&sealed) else { return };
    let written = part.to_bytes().expect("a parsed value can be written");
    assert_eq!(Part::from_bytes(&written).expect("a written value can be read"), part);
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
