//! Stamps in drawings: removing a stamp and adding it again gives the same bytes, and vice versa.
#![no_main]

use libfuzzer_sys::fuzz_target;
use base::digest::{ClosureRoot, StageKey};
use draw::stamp::{Format, Stamp, stamp, unstamp};
use wdpipe_fuzz::mode;

fuzz_target!(|input: &[u8]| {
    let Some((mode, bytes)) = mode(input) else { return };
    let format = [Format::Svg, Format::Png, Format::Pdf][usize::from(mode % 3)];
    let read = unstamp(format, bytes);
    if let Ok((original, found)) = &read {
        match found {
            Some(found) => assert_eq!(stamp(format, original, found).as_deref(), Ok(bytes)),
            None => assert_eq!(original, bytes),
        }
    }
    let (key, root) = (StageKey::from_bytes([1; 32]), ClosureRoot::from_bytes([2; 32]));
    let other = Stamp { figure: "fuzz".to_owned(), key, root };
    if let Ok(stamped) = stamp(format, bytes, &other) {
        let (original, _) = read.expect("a file that can be stamped can be read");
        assert_eq!(unstamp(format, &stamped), Ok((original, Some(other))));
    }
});
