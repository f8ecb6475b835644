//! Attestations: reading, writing and reading again gives the same attestations.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::attestation::Attestation;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(attestations) = Attestation::read(text) else { return };
    let written: String = attestations.iter().map(Attestation::to_text).collect();
    assert_eq!(Attestation::read(&written), Ok(attestations));
});
