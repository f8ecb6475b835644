//! The kind `noise_scale`: the scale of the gradient noise.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Activations, Cost, Images};
use super::import::Import;
use super::kind::{Holds, Kind, OutputSpec, one_row};
use super::loss::{Loss, float32_with};
use super::model::{Numerics, Precision, is_default};

/// Columns of `scale`, one row: index of the epoch; the loss L; S₁ = mean ‖g_i‖² over the images' gradients with its
/// standard error; ‖ḡ‖² of their mean; Tr Σ = S₁ − ‖ḡ‖² with its standard error; Tr Σ/L; ‖w‖₂; smallest, median
/// and largest of the images' ‖J_i‖ in the Frobenius norm; smallest ‖r_i‖²/ℓ_i over the images, where r_i = p_i − e_y is the
/// residual and ℓ_i the loss of image i; number of draws by which ‖J_i‖ was estimated, 0 if it is exact. S₁ and Tr Σ are
/// exact in both cases, and their errors are 0. With batch statistics, the gradients are those of the K batches of B images each;
/// Tr Σ = B·K/(K − 1)·(S₁ − ‖ḡ‖²) is scaled to the noise of one image, the errors are those of a mean over batches, and there is
/// no ‖J_i‖.
pub const SCALE: [&str; 14] = [
    "epoch",
    "loss",
    "second_moment",
    "second_moment_stderr",
    "mean_gradient",
    "noise",
    "noise_stderr",
    "ratio",
    "norm",
    "jacobian_min",
    "jacobian_median",
    "jacobian_max",
    "residual_ratio_min",
    "draws",
];

/// The scale of the gradient noise, Tr Σ, compared with the loss (paper, Proposition 3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseScale {
    /// The loss.
    pub loss: Loss,
    /// Number of vectors of random signs over the classes, by which every ‖J_i‖² is estimated. If absent, ‖J_i‖² is computed
    /// exactly, with each class in turn. Not used with [`NormStatistics::Batch`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub draws: Option<u32>,
    /// How products are computed: IEEE float32, or TF32 where the device has it.
    #[serde(skip_serializing_if = "is_default", default)]
    pub precision: Precision,
    /// Number of epochs of training before the weights.
    pub after: u32,
    /// Seed of the signs.
    pub seed: u64,
}

impl Kind for NoiseScale {
    const NAME: &'static str = "noise_scale";
    const VERSION: u32 = 3;
    const OUTPUTS: &'static [OutputSpec] = &[OutputSpec::table("scale", &SCALE)];

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
        Some(float32_with(self.precision))
    }

    fn epochs(&self) -> Option<RangeInclusive<u32>> {
        one_row(self.after)
    }

    /// Returns the cost: loss and mean gradient take 3 passes, the layers 1, every image's gradient 2, and each class or draw 2.
    fn cost(&self, images: Images) -> Option<Cost> {
        let each = self.draws.unwrap_or(self.loss.model.classes);
        Some(self.loss.cost(images, 6.0 + 2.0 * f64::from(each), 3.0, Activations::Chunk))
    }

    fn has(&self, _: &str) -> bool {
        false
    }
}
