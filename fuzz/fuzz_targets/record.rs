//! Records: reading and writing preserves a record and its key, and the work that it describes has the same kind,
//! version and parameters.
#![no_main]

use libfuzzer_sys::fuzz_target;
use base::record::Record;
use base::work::Work;

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = Record::from_bytes(bytes) else { return };
    let (name, written) = record.to_bytes().expect("a parsed value can be written");
    let again = Record::from_bytes(&written).expect("a written value can be read");
    assert_eq!(again.to_bytes().expect("as before"), (name, written));
    assert_eq!(again.parts.key(), record.parts.key());
    assert!(again.same_outputs(&record));
    for output in &record.outputs {
        assert!(output.inline.as_ref().is_none_or(|inline| inline.len() as u64 == output.bytes));
    }
    let parts = &record.parts;
    let Ok(work) = Work::from_parameters(&parts.kind, parts.version, &parts.parameters) else { return };
    assert_eq!((work.kind(), work.version()), (parts.kind.as_str(), parts.version));
    let Ok(parameters) = work.parameters() else { return };
    let again = Work::from_parameters(work.kind(), work.version(), &parameters).expect("its own parameters");
    assert_eq!(again, work);
});
