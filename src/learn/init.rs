//! Initial weights, the same bits on every platform.

use super::LearnError;
use super::layout::{Entry, Layout, Role, layout};
use super::weights::{Array, Weights};
use crate::rng::Stream;
use crate::work::{InitScheme, Model};

/// Draws the initial weights and batch-norm statistics of `model`: parameters by `scheme`, γ = 1, β = 0,
/// running mean 0 and variance 1. Every tensor has its own stream, named by its place in the layout.
/// Computed in float64, rounded once.
///
/// # Errors
/// If `model` has a senseless size.
pub fn initial_weights(model: Model, scheme: InitScheme, seed: u64) -> Result<Weights, LearnError> {
    let layout = layout(model)?;
    let draw = |(index, entry): (usize, &Entry)| {
        let mut stream = Stream::new(seed, "init", &[index as u64]);
        let data = (0..entry.count()).map(|_| number(entry, scheme, &mut stream) as f32).collect();
        (entry.name.clone(), Array { shape: entry.shape.clone(), data })
    };
    Ok(layout.entries.iter().enumerate().map(draw).collect())
}

/// All tensors of a network with some parameters, and batch-norm statistics as before any training.
pub fn with_fresh_statistics(layout: &Layout, parameters: &Weights) -> Weights {
    let tensor = |entry: &Entry| {
        let fresh =
            || Array { shape: entry.shape.clone(), data: vec![f32::from(entry.role == Role::Variance); entry.count()] };
        (entry.name.clone(), parameters.get(&entry.name).cloned().unwrap_or_else(fresh))
    };
    layout.entries.iter().map(tensor).collect()
}

/// One number of a tensor. He: N(0, 2/(k²·out)) for convolutions and N(0, 2/in) for linear layers, biases
/// 0 (He et al. 2015, as the authors' helper has it); PyTorch: U(±1/√in) for weights and biases.
fn number(entry: &Entry, scheme: InitScheme, stream: &mut Stream) -> f64 {
    match (entry.role, scheme) {
        (Role::Scale | Role::Variance, _) => 1.0,
        (Role::Shift | Role::Mean, _) | (Role::Bias { .. }, InitScheme::He) => 0.0,
        (Role::Convolution, InitScheme::He) => stream.normal() * (2.0 / entry.fan_out() as f64).sqrt(),
        (Role::Linear, InitScheme::He) => stream.normal() * (2.0 / entry.fan_in() as f64).sqrt(),
        (_, InitScheme::Pytorch) => (2.0 * stream.uniform() - 1.0) / (entry.fan_in() as f64).sqrt(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::ObjectDigest;
    use crate::work::ModelName;

    fn draw(width: u32, scheme: InitScheme, seed: u64) -> Weights {
        initial_weights(Model { name: ModelName::PreactResnet18, width, classes: 10 }, scheme, seed).unwrap()
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
                // Five standard errors; the variance of x² is at most 2σ⁴.
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
    fn norm_of_the_start_is_that_of_the_paper() {
        // Measured on the authors' code: 74.23 with PyTorch's default, He 107.7, at width 64; at width 16 both scale with
        // √(Σ count / fan), computed here from the layout.
        let layout = layout(Model { name: ModelName::PreactResnet18, width: 64, classes: 10 }).unwrap();
        let expected = |scheme| {
            let square = |entry: &Entry| match (entry.role, scheme) {
                (Role::Scale, _) => entry.count() as f64,
                (Role::Convolution, InitScheme::He) => 2.0 * entry.count() as f64 / entry.fan_out() as f64,
                (Role::Linear, InitScheme::He) => 2.0 * entry.count() as f64 / entry.fan_in() as f64,
                (Role::Shift, _) | (_, InitScheme::He) => 0.0,
                (_, InitScheme::Pytorch) => entry.count() as f64 / (3.0 * entry.fan_in() as f64),
            };
            layout.parameters().map(square).sum::<f64>().sqrt()
        };
        assert!((expected(InitScheme::Pytorch) - 74.23).abs() < 0.1, "{}", expected(InitScheme::Pytorch));
        assert!((expected(InitScheme::He) - 107.7).abs() < 0.3, "{}", expected(InitScheme::He));
    }
}
