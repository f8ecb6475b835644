//! Receipts: what is read is written as a text that reads as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::receipt::Receipt;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(receipts) = Receipt::read(text) else { return };
    let written: String = receipts.iter().map(Receipt::to_text).collect();
    assert_eq!(Receipt::read(&written), Ok(receipts));
});
