//! The kind `hessian_trace`: the trace of the Hessian of the loss.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Activations, Cost, Images};
use super::import::Import;
use super::kind::{Holds, Kind, OutputSpec, one_row};
use super::loss::{Loss, float32_with};
use super::model::{Model, Numerics, Precision, is_default};

/// Columns of a `trace`, one row: index of the epoch (see [`METRICS`](super::METRICS)), Tr ∇²L and its standard error
/// (0 if it is exact); the standard deviation of the images' own traces over √n, NaN where they are not known; number
/// of draws, the loss L, ‖w‖₂ over all trained parameters.
pub const TRACE: [&str; 7] = ["epoch", "trace", "stderr", "spread", "draws", "loss", "norm"];

/// Rule by which an estimate stops before its maximum number of draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Stop when the standard error is at most this share of the estimate.
    StandardError(f64),
    /// Stop when one more draw changes the estimate by less than this share (the rule of PyHessian, which the authors used).
    Settled(f64),
}

/// Method for computing Tr ∇²L.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Image by image, without draws: C − 1 backward passes for C classes. Not possible with [`NormStatistics::Batch`].
    Exact,
    /// Image by image, with draws for most of the classes. This is for many classes. Not possible with [`NormStatistics::Batch`].
    Sketch {
        /// Maximum number of draws, at least 2.
        draws: u32,
        /// Stop earlier when the standard error is at most this share of the trace.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stderr: Option<f64>,
    },
    /// Hutchinson's estimate, from products with the Hessian.
    Hutchinson {
        /// Maximum number of Rademacher probe vectors.
        draws: u32,
        /// Rule by which to stop earlier. If absent, all draws are made.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stop: Option<Stop>,
    },
}

impl Estimator {
    /// Returns the cost of the trace as a number of forward passes of every image.
    ///
    /// A backward pass to the activations counts as one, or nearly two with the norms of the weights' gradients. The
    /// first gradient of Hutchinson's estimate serves all draws and counts 3; each draw counts 6.
    pub fn passes(self, model: Model) -> f64 {
        match self {
            Self::Exact => 1.0 + 2.0 * (f64::from(model.classes) - 1.0),
            Self::Sketch { draws, .. } => 5.0 + 2.0 * f64::from(draws),
            Self::Hutchinson { draws, .. } => 3.0 + 6.0 * f64::from(draws),
        }
    }
}

/// Measurement of Tr ∇²L.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HessianTrace {
    /// The loss L.
    pub loss: Loss,
    /// The method.
    pub estimator: Estimator,
    /// How products are computed: IEEE float32, or TF32 where the device has it.
    #[serde(skip_serializing_if = "is_default", default)]
    pub precision: Precision,
    /// Number of epochs of training before the weights, without the epochs of a probe.
    pub after: u32,
    /// Seed of the draws.
    pub seed: u64,
}

impl Kind for HessianTrace {
    const NAME: &'static str = "hessian_trace";
    const VERSION: u32 = 3;
    const OUTPUTS: &'static [OutputSpec] = &[OutputSpec::table("trace", &TRACE)];

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

    fn cost(&self, images: Images) -> Option<Cost> {
        let (copies, activations) = match self.estimator {
            Estimator::Exact | Estimator::Sketch { .. } => (2.0, Activations::Chunk),
            Estimator::Hutchinson { .. } => (4.0, self.loss.product()),
        };
        Some(self.loss.cost(images, self.estimator.passes(self.loss.model), copies, activations))
    }

    fn has(&self, _: &str) -> bool {
        false
    }
}
