//! The kind `top_eigenvalue`: the largest and the smallest eigenvalue of the Hessian.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Cost, Images};
use super::import::Import;
use super::kind::{Holds, Kind, OutputSpec, one_row};
use super::loss::Loss;
use super::model::Numerics;

/// Columns of `eigenvalues`, one row: index of the epoch, largest and smallest eigenvalue of ∇²L, each with a bound
/// on its distance from a true eigenvalue; number of products with ∇²L, the loss, ‖w‖₂.
pub const EIGENVALUES: [&str; 8] =
    ["epoch", "largest", "largest_error", "smallest", "smallest_error", "iterations", "loss", "norm"];

/// Largest and smallest eigenvalue of ∇²L by Lanczos' method.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopEigenvalue {
    /// The loss L.
    pub loss: Loss,
    /// Maximum number of products with the Hessian.
    pub iterations: u32,
    /// Stops when the error bound of the largest eigenvalue is at most this share of it.
    pub tolerance: f64,
    /// Number of epochs of training before the weights.
    pub after: u32,
    /// Seed of the first vector.
    pub seed: u64,
}

impl Kind for TopEigenvalue {
    const NAME: &'static str = "top_eigenvalue";
    const VERSION: u32 = 2;
    const OUTPUTS: &'static [OutputSpec] = &[OutputSpec::table("eigenvalues", &EIGENVALUES)];

    fn tolerance(_: &str) -> Option<Tolerance> {
        Some(Tolerance::MEASURED)
    }

    fn inputs(&self) -> Vec<&str> {
        Loss::INPUTS.to_vec()
    }

    fn import(&self) -> Option<Import<'_>> {
        None
    }

    fn holds(&self) -> Holds {
        Holds::Nothing
    }

    fn numerics(&self) -> Option<Numerics> {
        Some(Numerics::float32(false))
    }

    fn epochs(&self) -> Option<RangeInclusive<u32>> {
        one_row(self.after)
    }

    fn cost(&self, images: Images) -> Option<Cost> {
        let vectors = f64::from(self.iterations);
        Some(self.loss.cost(images, 9.0 * vectors, 4.0 + vectors, self.loss.product()))
    }

    fn has(&self, _: &str) -> bool {
        false
    }
}
