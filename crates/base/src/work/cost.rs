//! What a stage costs, in units that do not depend on the machine.

use super::model::{Model, Numerics};

/// How many images a stage reads or yields.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Images {
    /// Training images.
    pub train: f64,
    /// Test images.
    pub test: f64,
}

impl Images {
    /// Images that one evaluation looks at: `part` of the training images, or all of them, and all test images.
    pub(super) fn evaluated(self, part: Option<u32>) -> f64 {
        part.map_or(self.train, f64::from) + self.test
    }
}

/// What a stage with a network costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// The network.
    pub model: Model,
    /// Its arithmetic, as a number of forward passes of one image.
    pub passes: f64,
    /// Epochs of training, including fine-tuning.
    pub epochs: u32,
    /// The steps that most of the work consists of, if it consists of steps.
    pub steps: Option<Steps>,
    /// Numbers held on the device, as multiples of the network's size: the network, gradients, vectors and averages.
    pub copies: f64,
    /// What is held of the layers' outputs.
    pub activations: Activations,
}

impl Cost {
    /// The cost of a stage that evaluates a network and does not train it.
    pub(super) fn evaluation(model: Model, passes: f64) -> Self {
        Self { model, passes, epochs: 0, steps: None, copies: 1.0, activations: Activations::Evaluation }
    }
}

/// The steps of a stage that trains, or that runs over batches as training does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steps {
    /// The network.
    pub model: Model,
    /// Images a step.
    pub batch: u32,
    /// Arithmetic and memory layout.
    pub numerics: Numerics,
}

/// What a stage holds of the layers' outputs at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activations {
    /// Those of one step of training with so many images, or of an evaluation if that is more.
    Step(u32),
    /// Those of an evaluation.
    Evaluation,
    /// Those of a product with the Hessian over so many images.
    Product(u32),
    /// As many as fit into a chunk of fixed size.
    Chunk,
}
