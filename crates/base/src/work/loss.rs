//! The loss whose curvature or noise a stage measures, and common parts of the stages that do so.

use serde::{Deserialize, Serialize};

use super::cost::{Activations, Cost, Images};
use super::model::{Model, Numerics, Precision};

/// Statistics that the batch norms divide by when the curvature of a loss is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormStatistics {
    /// The running statistics of training (eval mode).
    Running,
    /// Statistics that are re-estimated over the training set first, as for averaged weights (eval mode).
    Refreshed {
        /// Number of images per batch of the re-estimation.
        batch: u32,
    },
    /// Statistics of each batch, which are differentiated through (training mode).
    Batch,
}

/// The loss whose curvature or noise is measured: the mean cross-entropy L of a network over a part of the
/// training set, always in float32.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The network.
    pub model: Model,
    /// Number of images: the first `images / classes` of every class, in the training set's order.
    pub images: u32,
    /// Number of images differentiated at once, which limits the memory. With [`NormStatistics::Batch`], it is also the size of
    /// the batches whose statistics are used and whose gradient noise is measured.
    pub batch: u32,
    /// Statistics that the batch norms divide by.
    pub statistics: NormStatistics,
}

impl Loss {
    /// The roles of the objects that every stage with a loss reads.
    pub(super) const INPUTS: [&'static str; 2] = ["weights", "train"];

    /// Returns the cost of a stage that needs `passes` forward passes of every image of the loss.
    pub(super) fn cost(&self, images: Images, passes: f64, copies: f64, activations: Activations) -> Cost {
        let refreshed = match self.statistics {
            NormStatistics::Refreshed { .. } => images.train,
            NormStatistics::Running | NormStatistics::Batch => 0.0,
        };
        Cost {
            model: self.model,
            passes: f64::from(self.images).min(images.train) * passes + refreshed,
            epochs: 0,
            steps: None,
            copies,
            activations,
        }
    }

    /// Returns the activations of one product with the Hessian.
    pub(super) fn product(&self) -> Activations {
        Activations::Product(self.batch.min(self.images))
    }
}

/// Returns float32 arithmetic, with products in `precision`.
pub(super) fn float32_with(precision: Precision) -> Numerics {
    Numerics { precision, ..Numerics::float32(false) }
}
