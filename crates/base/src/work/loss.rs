//! The loss whose curvature or noise a stage measures, and what such stages have in common.

use serde::{Deserialize, Serialize};

use super::cost::{Activations, Cost, Images};
use super::model::{Model, Numerics, Precision};

/// What the batch norms divide by where the curvature of a loss is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormStatistics {
    /// The running statistics of training (eval mode).
    Running,
    /// Statistics that are re-estimated over the training set first, as for averaged weights (eval mode).
    Refreshed {
        /// Images a batch of the re-estimation.
        batch: u32,
    },
    /// Those of each batch, through which is differentiated (training mode).
    Batch,
}

/// The loss whose curvature or noise is measured: the mean cross-entropy L of a network over a part of the
/// training set. Always in float32.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The network.
    pub model: Model,
    /// Images: the first `images / classes` of every class, in the training set's order.
    pub images: u32,
    /// Images differentiated at once. Bounds the memory; with [`NormStatistics::Batch`] it also is the batch whose
    /// statistics are used, and whose gradient's noise is measured.
    pub batch: u32,
    /// What the batch norms divide by.
    pub statistics: NormStatistics,
}

impl Loss {
    /// The roles of the objects that every stage of this sort reads.
    pub(super) const INPUTS: [&'static str; 2] = ["weights", "train"];

    /// Returns the cost of a stage that needs so many forward passes of every image of the loss.
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

    /// The images of one product with the Hessian.
    pub(super) fn product(&self) -> Activations {
        Activations::Product(self.batch.min(self.images))
    }
}

/// Float32, with products as `precision` says.
pub(super) fn float32_with(precision: Precision) -> Numerics {
    Numerics { precision, ..Numerics::float32(false) }
}
