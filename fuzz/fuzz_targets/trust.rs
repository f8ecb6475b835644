//! Trust files: names and keys are unique, and each key has one standing.
#![no_main]

use std::collections::BTreeSet;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use store::sign::{Standing, Trust};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(trust) = Trust::parse(Path::new("trust.toml"), text) else { return };
    let names: BTreeSet<_> = trust.keys().iter().map(|key| key.name.as_str()).collect();
    assert_eq!(names.len(), trust.keys().len());
    for key in trust.keys() {
        match trust.standing(&key.public) {
            Standing::Trusted(name) => assert!(*name == key.name && key.revoked.is_none()),
            Standing::Revoked(name, reason) => assert!(*name == key.name && key.revoked.as_deref() == Some(reason)),
            Standing::Unknown => panic!("a key of the file is unknown"),
        }
        assert_eq!(trust.vouches(&[key.public]), key.revoked.is_none());
    }
});
