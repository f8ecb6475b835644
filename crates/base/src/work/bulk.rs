//! Distinguishes outputs that are bulk from outputs that are numbers.

use super::KindName;

/// Endings of the outputs of commands that are bulk. Tables and JSON have no ending.
const ENDINGS: [&str; 5] = [".bin", ".pdf", ".png", ".safetensors", ".svg"];

/// Checks whether an output with this name is bulk: weights and the other state of a run, images, and drawings. Bulk is
/// computed, fetched or drawn again if it is needed, and left out where only numbers count. All other outputs are tables, which
/// are small and contain the results.
pub fn is_bulk(output: &str) -> bool {
    let mut declared = KindName::ALL.iter().flat_map(|kind| kind.outputs());
    declared.any(|of| of.name == output && of.content.is_bulk())
        || ENDINGS.iter().any(|ending| output.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every output that is bulk.
    const BULK: [&str; 9] = ["ema", "momentum", "pdf", "png", "scaler", "svg", "test", "train", "weights"];

    /// Every output that is not bulk.
    const NUMBERS: [&str; 13] = [
        "cosines",
        "eigenvalues",
        "landscape",
        "metrics",
        "numbers",
        "optimum",
        "path",
        "predictions",
        "products",
        "scale",
        "trace",
        "tuned",
        "diverged",
    ];

    #[test]
    fn every_output_of_every_kind_is_one_or_the_other() {
        let (mut bulk, mut numbers) = (BTreeSet::new(), BTreeSet::new());
        for output in KindName::ALL.iter().flat_map(|kind| kind.outputs()) {
            let is_bulk = is_bulk(output.name);
            assert_eq!(is_bulk, output.content.is_bulk(), "{} is bulk in one kind only", output.name);
            if is_bulk {
                bulk.insert(output.name)
            } else {
                numbers.insert(output.name)
            };
        }
        assert_eq!(bulk, BULK.into());
        // Archives of numbers include every output that is not bulk, so a new one must be small.
        assert_eq!(numbers, NUMBERS.into());
    }
}
