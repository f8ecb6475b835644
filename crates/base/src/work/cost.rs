//! The cost of a stage, in units that do not depend on the machine.

use super::model::{Model, Numerics};

/// Numbers of images that a stage reads or yields.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Images {
    /// Number of training images.
    pub train: f64,
    /// Number of test images.
    pub test: f64,
}

impl Images {
    /// Returns the number of images in one evaluation: `part` of the training images, or all of them, and all test images.
    pub(super) fn evaluated(self, part: Option<u32>) -> f64 {
        part.map_or(self.train, f64::from) + self.test
    }
}

/// Cost of a stage with a network.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// The network.
    pub model: Model,
    /// Arithmetic, as a number of forward passes of one image.
    pub passes: f64,
    /// Number of epochs of training, including fine-tuning.
    pub epochs: u32,
    /// The steps that most of the work consists of, if there are any.
    pub steps: Option<Steps>,
    /// Number of values on the device in multiples of the network's size: the network, gradients, vectors and averages.
    pub copies: f64,
    /// Outputs of layers that are in memory at a time.
    pub activations: Activations,
}

impl Cost {
    /// Returns the cost of a stage that evaluates a network and does not train it.
    pub(super) fn evaluation(model: Model, passes: f64) -> Self {
        Self { model, passes, epochs: 0, steps: None, copies: 1.0, activations: Activations::Evaluation }
    }
}

/// The steps of a stage that trains, or that runs over batches as training does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// The network.
    pub model: Model,
    /// Number of images per step.
    pub batch: u32,
    /// Arithmetic and memory layout.
    pub numerics: Numerics,
}

/// Outputs of layers that a stage has in memory at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activations {
    /// The outputs of one step of training with this number of images, or of an evaluation if that needs more.
    Step(u32),
    /// The outputs of an evaluation.
    Evaluation,
    /// The outputs of a product with the Hessian over this number of images.
    Product(u32),
    /// Outputs that fit into a chunk of fixed size.
    Chunk,
}
