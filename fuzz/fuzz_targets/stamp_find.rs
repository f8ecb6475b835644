//! Stamps in any file: every stamp found is valid, none is reported twice, and a stamp that is added is found.
#![no_main]

use std::collections::BTreeSet;

use libfuzzer_sys::fuzz_target;
use base::digest::{ClosureRoot, StageKey};
use draw::stamp::{Stamp, find};

fuzz_target!(|bytes: &[u8]| {
    let found = find(bytes);
    for stamp in &found {
        assert_eq!(stamp.to_string().parse().as_ref(), Ok(stamp));
    }
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len());
    let (key, root) = (StageKey::from_bytes([1; 32]), ClosureRoot::from_bytes([2; 32]));
    let added = Stamp { figure: "fuzz".to_owned(), key, root };
    let after = [bytes, b"\n", added.to_string().as_bytes()].concat();
    assert!(find(&after).contains(&added));
});
