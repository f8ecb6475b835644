//! Which outputs are numbers and which are bulk.

/// Outputs that only training needs: weights, other state passed from segment to segment, and images. Drawings are
/// included too, since they can be redrawn from the numbers in less than a second.
const BULK: [&str; 9] = ["ema", "momentum", "pdf", "png", "scaler", "svg", "test", "train", "weights"];

/// Whether an output of this name is bulk: large, recomputed or fetched again when needed, and omitted where only
/// numbers are needed. All other outputs (tables) are small and contain a figure's results.
pub fn is_bulk(output: &str) -> bool {
    BULK.contains(&output)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::value::Value;
    use crate::work::Work;

    /// Sample parameters of every kind, with all possible outputs.
    const KINDS: [(&str, &str); 13] = [
        ("dataset", "source = 'cifar10', train = 10, test = 10, seed = 0"),
        ("init", "model = M, scheme = 'he', seed = 0"),
        ("weights", "model = M, name = 'x'"),
        (
            "train",
            "model = M, numerics = { precision = 'fp16', channels_last = false }, batch = 1, lr = 0.1, wd = 0.0, \
             momentum = 0.9, ema = 0.9, first_epoch = 0, epochs = 1, seed = 0",
        ),
        ("probe", "model = M, numerics = N, batch = 1, lr = 0.1, wd = 0.0, after = 1, epochs = 1, seed = 0"),
        ("ema_eval", "model = M, numerics = N, batch = 1, after = 1, seed = 0"),
        ("predictions", "model = M"),
        ("hessian_trace", "loss = L, estimator = 'exact', after = 1, seed = 0"),
        ("top_eigenvalue", "loss = L, iterations = 1, tolerance = 0.1, after = 1, seed = 0"),
        ("noise_covariance", "loss = L, draws = 1, after = 1, seed = 0"),
        ("noise_scale", "loss = L, after = 1, seed = 0"),
        ("valley", "lr = 0.1, noise = 0.1, steps = 1, every = 1, flow_lr = 0.1, flow_steps = 1, seed = 0"),
        ("figure", "name = 'fig', title = '', columns = 1, panels = []"),
    ];

    /// All outputs that are not bulk.
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
        assert!(Work::kinds().eq(KINDS.map(|(kind, _)| kind)), "a kind is missing above");
        let (mut bulk, mut numbers) = (BTreeSet::new(), BTreeSet::from(["diverged"]));
        for (kind, parameters) in KINDS {
            let text = parameters
                .replace("= M", "= { name = 'vgg16', width = 1, classes = 10 }")
                .replace("= N", "= { precision = 'fp32', channels_last = false }")
                .replace("= L", "= { model = M, images = 1, batch = 1, statistics = 'running' }")
                .replace("= M", "= { name = 'vgg16', width = 1, classes = 10 }");
            let table: toml::Table = toml::from_str(&format!("x = {{ {text} }}")).unwrap();
            let Value::Map(map) = Value::of(&table["x"]).unwrap() else { panic!("{text}") };
            let version = (0..9).find_map(|version| Work::from_parameters(kind, version, &map).ok());
            for output in version.unwrap_or_else(|| panic!("{kind}: {text}")).outputs() {
                if is_bulk(output) {
                    bulk.insert(output)
                } else {
                    numbers.insert(output)
                };
            }
        }
        assert_eq!(bulk, BULK.into());
        // Archives of numbers contain all of these: a new output must be small, or be listed as bulk.
        assert_eq!(numbers, NUMBERS.into());
    }
}
