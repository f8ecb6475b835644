//! Expressions: reading and writing an expression preserves its value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use base::expr::Expr;

fuzz_target!(|text: &str| {
    let Ok(read) = Expr::parse(text) else { return };
    let written = read.to_string();
    let values = |name: &str| Some(name.bytes().map(f64::from).sum::<f64>() / 100.0 - 1.0);
    let value = read.eval(&values);
    assert!(!value.is_nan() || value.to_bits() == f64::NAN.to_bits());
    // A written number can have more digits than the original, which can make the text too long.
    if let Ok(again) = Expr::parse(&written) {
        assert_eq!(again, read);
        assert_eq!(again.eval(&values).to_bits(), value.to_bits());
        assert!(again.names().eq(&read.names()));
    } else {
        assert!(written.len() > 1000, "{written}");
    }
});
