//! The kind `noise_covariance`: the Hessian along the covariance of the gradient noise.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Cost, Images};
use super::import::Import;
use super::kind::{Holds, Kind, OutputSpec, one_row};
use super::loss::Loss;
use super::model::Numerics;

/// Columns of `cosines`, one row: index of the epoch; the mean over the draws v of cos(Xv, Σv) for X = H, G, E with
/// its standard error; the matrices' own cosine ⟨X, Σ⟩/(‖X‖‖Σ‖) in the Frobenius product (a ratio of means, with the
/// jackknife's standard error); the traces of H, G, E, Σ with their standard errors; the mean over the images of ‖J‖² in the
/// Frobenius norm with its standard error, where J is the Jacobian of the logits; number of draws, the loss, ‖w‖₂.
pub const COSINES: [&str; 26] = [
    "epoch",
    "cos_h",
    "cos_h_stderr",
    "cos_g",
    "cos_g_stderr",
    "cos_e",
    "cos_e_stderr",
    "matrix_cos_h",
    "matrix_cos_h_stderr",
    "matrix_cos_g",
    "matrix_cos_g_stderr",
    "matrix_cos_e",
    "matrix_cos_e_stderr",
    "trace_h",
    "trace_h_stderr",
    "trace_g",
    "trace_g_stderr",
    "trace_e",
    "trace_e_stderr",
    "trace_s",
    "trace_s_stderr",
    "jacobian",
    "jacobian_stderr",
    "draws",
    "loss",
    "norm",
];

/// Columns of `products`, one row per draw v: v·Xv and ‖Xv‖² for X = H, G, E, Σ; ⟨Xv, Σv⟩ for X = H, G, E; the mean over
/// the images of ‖Jv‖².
pub const PRODUCTS: [&str; 13] = ["draw", "v_h", "v_g", "v_e", "v_s", "hh", "gg", "ee", "ss", "hs", "gs", "es", "jv"];

/// Alignment of the Hessian H, its Gauss-Newton part G and the rest E = H − G with the covariance Σ of the gradient noise
/// (paper, Figure 7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseCovariance {
    /// The loss.
    pub loss: Loss,
    /// Number of Gaussian vectors.
    pub draws: u32,
    /// Number of epochs of training before the weights.
    pub after: u32,
    /// Seed of the vectors.
    pub seed: u64,
}

impl Kind for NoiseCovariance {
    const NAME: &'static str = "noise_covariance";
    const VERSION: u32 = 2;
    const OUTPUTS: &'static [OutputSpec] =
        &[OutputSpec::table("cosines", &COSINES), OutputSpec::table("products", &PRODUCTS)];

    fn tolerance(column: &str) -> Option<Tolerance> {
        Some(if column.contains("cos") { Tolerance::of(0.02, 0.0) } else { Tolerance::MEASURED })
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

    /// Returns the cost: 3 passes serve all draws; for each draw, E v and J v together take 6, and G v and Σ v take 2 each.
    fn cost(&self, images: Images) -> Option<Cost> {
        Some(self.loss.cost(images, 3.0 + 10.0 * f64::from(self.draws), 6.0, self.loss.product()))
    }

    fn has(&self, _: &str) -> bool {
        false
    }
}
