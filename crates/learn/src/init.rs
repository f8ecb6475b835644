//! Initial weights, with the same bits on every platform.

use super::LearnError;
use super::layout::{Entry, Layout, Role, layout};
use super::weights::{Array, Weights};
use base::rng::Stream;
use base::work::{InitScheme, Model, ModelName};

/// Draws the initial weights and batch-norm statistics of `model`: parameters by `scheme`, γ = 1, β = 0,
/// running mean 0 and variance 1. Every tensor has its own stream, named by its place in the layout. With a
/// `radius`, the trained parameters together are scaled to this norm. The weights are computed in float64 and rounded once.
///
/// # Errors
/// If `model` has an invalid size.
pub fn initial_weights(
    model: Model,
    scheme: InitScheme,
    radius: Option<f64>,
    seed: u64,
) -> Result<Weights, LearnError> {
    let layout = layout(model)?;
    let draw = |(index, entry): (usize, &Entry)| -> Vec<f64> {
        let mut stream = Stream::new(seed, "init", &[index as u64]);
        (0..entry.count()).map(|_| number(model, entry, scheme, &mut stream)).collect()
    };
    let mut numbers: Vec<Vec<f64>> = layout.entries.iter().enumerate().map(draw).collect();
    if let Some(radius) = radius {
        let trained = || layout.entries.iter().enumerate().filter(|(_, entry)| entry.is_trained()).map(|(i, _)| i);
        let square: f64 = trained().flat_map(|i| &numbers[i]).fold(0.0, |sum, x| sum + x * x);
        let scale = radius / square.sqrt();
        trained().for_each(|i| numbers[i].iter_mut().for_each(|x| *x *= scale));
    }
    let entries = layout.entries.iter().zip(numbers);
    let rounded = entries.map(|(entry, data)| {
        let data = data.into_iter().map(|x| x as f32).collect();
        (entry.name.clone(), Array { shape: entry.shape.clone(), data })
    });
    Ok(rounded.collect())
}

/// Scales the trained parameters together to the norm `radius`, computed in float64 and rounded once.
pub fn scaled_to(radius: f64, layout: &Layout, weights: &Weights) -> Weights {
    let trained = || layout.entries.iter().filter(|entry| entry.is_trained()).filter_map(|e| weights.get(&e.name));
    let square = trained().flat_map(|array| &array.data).fold(0.0, |sum, &x| sum + f64::from(x).powi(2));
    let scale = radius / square.sqrt();
    let scaled = |(name, array): (&str, &Array)| {
        let entry = layout.entries.iter().find(|entry| entry.name == name);
        let by = if entry.is_some_and(Entry::is_trained) { scale } else { 1.0 };
        let data = array.data.iter().map(|&x| (f64::from(x) * by) as f32).collect();
        (name.to_owned(), Array { shape: array.shape.clone(), data })
    };
    weights.iter().map(scaled).collect()
}

/// Returns all tensors of a network with the given parameters and the batch-norm statistics before training.
pub fn with_fresh_statistics(layout: &Layout, parameters: &Weights) -> Weights {
    let tensor = |entry: &Entry| {
        let fresh =
            || Array { shape: entry.shape.clone(), data: vec![f32::from(entry.role == Role::Variance); entry.count()] };
        (entry.name.clone(), parameters.get(&entry.name).cloned().unwrap_or_else(fresh))
    };
    layout.entries.iter().map(tensor).collect()
}

/// Draws one number of a tensor. He: N(0, 2/(k²·out)) for convolutions and N(0, 2/in) for linear layers, biases
/// 0 (He et al. 2015, as in the authors' helper). PyTorch: U(±1/√in) for weights and biases, except for VGG's
/// convolutions, which the authors draw as He.
fn number(model: Model, entry: &Entry, scheme: InitScheme, stream: &mut Stream) -> f64 {
    let in_convolution = entry.name.starts_with("features");
    let he = scheme == InitScheme::He || (model.name == ModelName::Vgg16 && in_convolution);
    match entry.role {
        Role::Scale | Role::Variance => 1.0,
        Role::Shift | Role::Mean => 0.0,
        Role::Bias { .. } if he => 0.0,
        Role::Convolution if he => stream.normal() * (2.0 / entry.fan_out() as f64).sqrt(),
        Role::Linear if he => stream.normal() * (2.0 / entry.fan_in() as f64).sqrt(),
        _ => (2.0 * stream.uniform() - 1.0) / (entry.fan_in() as f64).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::digest::ObjectDigest;

    fn draw(width: u32, scheme: InitScheme, seed: u64) -> Weights {
        initial_weights(Model::new(ModelName::PreactResnet18, width, 10), scheme, None, seed).unwrap()
    }

    #[test]
    fn bytes_are_pinned() {
        // If these change, bump the version of the stage kind `init`.
        let digest = |scheme| ObjectDigest::of(&draw(4, scheme, 1).to_bytes().unwrap()).short();
        assert_eq!(
            (digest(InitScheme::He).as_str(), digest(InitScheme::Pytorch).as_str()),
            ("75e51e366d93", "5d2cf5ddccee")
        );
        assert_ne!(draw(1, InitScheme::He, 1), draw(1, InitScheme::He, 2));
    }

    #[test]
    fn weights_are_scaled_to_a_norm_but_for_statistics() {
        let model = Model::new(ModelName::ScaleInvariantResnet18, 2, 10);
        let layout = layout(model).unwrap();
        let drawn = initial_weights(model, InitScheme::He, None, 1).unwrap();
        let scaled = scaled_to(2.5, &layout, &drawn);
        let trained = layout.trained().flat_map(|entry| &scaled.get(&entry.name).unwrap().data);
        let norm = trained.map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
        assert!((norm / 2.5 - 1.0).abs() < 1e-6, "{norm}");
        for entry in layout.entries.iter().filter(|entry| !entry.is_trained()) {
            assert_eq!(scaled.get(&entry.name), drawn.get(&entry.name), "{}", entry.name);
        }
    }

    #[test]
    fn moments_are_those_of_the_schemes() {
        for scheme in [InitScheme::He, InitScheme::Pytorch] {
            let weights = draw(16, scheme, 3);
            // 128 · 128 · 9 and 10 · 128 numbers.
            for (name, variance) in [
                ("stage4.1.conv1.weight", [2.0 / (9.0 * 128.0), 1.0 / (3.0 * 9.0 * 128.0)]),
                ("head.weight", [2.0 / 128.0, 1.0 / (3.0 * 128.0)]),
            ] {
                let data = &weights.get(name).unwrap().data;
                let n = data.len() as f64;
                let variance = variance[usize::from(scheme == InitScheme::Pytorch)];
                let moment = |k: i32| data.iter().map(|&x| f64::from(x).powi(k)).sum::<f64>() / n;
                // The bounds are five standard errors. The variance of x² is at most 2σ⁴.
                assert!(moment(1).abs() < 5.0 * (variance / n).sqrt(), "{name}");
                assert!((moment(2) / variance - 1.0).abs() < 5.0 * (2.0 / n).sqrt(), "{name}");
            }
            let bias = &weights.get("head.bias").unwrap().data;
            let bound = if scheme == InitScheme::He { 0.0 } else { (1.0_f32 / 128.0).sqrt() };
            assert!(bias.iter().all(|b| b.abs() <= bound) && (bias[0] == bias[1]) == (scheme == InitScheme::He));
            let all = |name: &str, value: f32| weights.get(name).unwrap().data.iter().all(|&x| x == value);
            assert!(all("final_norm.weight", 1.0) && all("final_norm.running_var", 1.0));
            assert!(all("final_norm.bias", 0.0) && all("final_norm.running_mean", 0.0));
        }
    }

    #[test]
    fn norm_of_the_start_is_that_of_the_authors_networks() {
        use ModelName::{PreactResnet18, PreactResnet34, ScaleInvariantResnet18, Vgg16};
        // Measured on the authors' code at width 64, with the scheme that it uses and with its He helper. Here at
        // width 64 too, but from the variances: tens of millions of draws would take seconds.
        let expected = |model: Model, scheme| {
            let he = |entry: &Entry| scheme == InitScheme::He || entry.name.starts_with("features");
            let square = |entry: &Entry| match entry.role {
                Role::Scale => entry.count() as f64,
                Role::Convolution if he(entry) => 2.0 * entry.count() as f64 / entry.fan_out() as f64,
                Role::Linear if he(entry) => 2.0 * entry.count() as f64 / entry.fan_in() as f64,
                Role::Shift => 0.0,
                _ if he(entry) => 0.0,
                _ => entry.count() as f64 / (3.0 * entry.fan_in() as f64),
            };
            layout(model).unwrap().trained().map(square).sum::<f64>().sqrt()
        };
        for (name, classes, conv_bias, scheme, norm) in [
            (PreactResnet18, 10, false, InitScheme::Pytorch, 74.23),
            (PreactResnet18, 10, false, InitScheme::He, 107.7),
            (PreactResnet34, 100, false, InitScheme::Pytorch, 102.4),
            (PreactResnet34, 100, false, InitScheme::He, 150.9),
            (ScaleInvariantResnet18, 10, true, InitScheme::Pytorch, 40.04),
            (ScaleInvariantResnet18, 10, true, InitScheme::He, 87.7),
            (Vgg16, 10, false, InitScheme::Pytorch, 88.18),
        ] {
            let found = expected(Model { conv_bias, ..Model::new(name, 64, classes) }, scheme);
            assert!((found / norm - 1.0).abs() < 0.005, "{name:?} {scheme:?}: {found} for {norm}");
        }
    }

    #[test]
    fn a_start_on_the_sphere_is_the_same_start_scaled() {
        let model = Model::new(ModelName::ScaleInvariantResnet18, 2, 10);
        let [plain, scaled] = [None, Some(3.0)].map(|r| initial_weights(model, InitScheme::He, r, 1).unwrap());
        let layout = layout(model).unwrap();
        let norm = |weights: &Weights| {
            let numbers = layout.trained().flat_map(|entry| weights.get(&entry.name).unwrap().data.clone());
            numbers.map(|x| f64::from(x).powi(2)).sum::<f64>().sqrt()
        };
        assert!((norm(&scaled) - 3.0).abs() < 1e-6, "{}", norm(&scaled));
        for (name, array) in plain.iter() {
            let factor = if name == "stem.weight" { 3.0 / norm(&plain) } else { 1.0 };
            if ["stem.weight", "head.weight", "final_norm.running_var"].contains(&name) {
                let other = &scaled.get(name).unwrap().data;
                assert!(
                    array.data.iter().zip(other).all(|(a, b)| (f64::from(*a) * factor - f64::from(*b)).abs() < 1e-6)
                );
            }
        }
    }
}
