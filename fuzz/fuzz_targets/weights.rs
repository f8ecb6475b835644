//! Checkpoints: a checkpoint that was read has the expected tensors, and writing it preserves the numbers; an imported
//! checkpoint is a complete network.
#![no_main]

use libfuzzer_sys::fuzz_target;
use learn::exchange::{Float64, ImportedWeights, import};
use learn::layout::{Entry, Role, layout};
use learn::weights::Weights;

fuzz_target!(|bytes: &[u8]| {
    let entry = |name: &str, shape: &[usize]| Entry {
        name: name.to_owned(),
        shape: shape.to_vec(),
        role: Role::Scale,
        frozen: false,
    };
    let expected = [entry("a", &[1, 2]), entry("b", &[3])];
    if let Ok(weights) = Weights::from_bytes(bytes, &expected) {
        let tensors: Vec<_> = weights.iter().map(|(name, array)| (name, &array.shape[..], array.data.len())).collect();
        assert_eq!(tensors, [("a", &[1, 2][..], 2), ("b", &[3][..], 3)]);
        let written = weights.to_bytes().expect("a parsed value can be written");
        let again = Weights::from_bytes(&written, &expected).expect("a written value can be read");
        assert!(again.digests().eq(weights.digests()));
        assert_eq!(again.to_bytes().expect("as before"), written);
    }
    for float64 in [Float64::Exact, Float64::Rounded] {
        let Ok(ImportedWeights { model, weights, .. }) = import(bytes, float64) else { continue };
        let layout = layout(model).expect("a known network");
        assert!(weights.is_finite() && weights.iter().count() == layout.entries.len());
        let written = weights.to_bytes().expect("a parsed value can be written");
        let again = Weights::from_bytes(&written, &layout.entries).expect("a complete network");
        assert_eq!(again, weights);
    }
});
