//! The kind `probe`: fine-tuning of a checkpoint.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Activations, Cost, Images, Steps};
use super::import::Import;
use super::kind::{Content, Holds, Kind, OutputSpec, one_row};
use super::model::{Model, Numerics, Sphere};
use super::train::{METRICS, ON_DIVERGENCE};

/// Fine-tuning of a checkpoint with a small learning rate (the paper's "early-stopped gradient
/// flow").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The network.
    pub model: Model,
    /// Arithmetic and memory layout.
    pub numerics: Numerics,
    /// Number of images per step.
    pub batch: u32,
    /// Learning rate.
    pub lr: f64,
    /// Weight decay (0 in the authors' code; the paper does not say).
    pub wd: f64,
    /// The sphere on which the parameters are kept, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sphere: Option<Sphere>,
    /// Number of epochs of training before the probe.
    pub after: u32,
    /// Number of epochs of fine-tuning.
    pub epochs: u32,
    /// Number of training images that the final network is evaluated on, see [`Train::eval_images`]. If absent, all images are
    /// used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eval_images: Option<u32>,
    /// Seed of the probe's own data order.
    pub seed: u64,
}

impl Kind for Probe {
    const NAME: &'static str = "probe";
    const VERSION: u32 = 1;
    const OUTPUTS: &'static [OutputSpec] =
        &[OutputSpec::new("weights", Content::Network), OutputSpec::table("metrics", &METRICS), ON_DIVERGENCE];

    fn tolerance(column: &str) -> Option<Tolerance> {
        Some(if column.ends_with("error") { Tolerance::of(3.0, 0.0) } else { Tolerance::of(1e-3, 0.05) })
    }

    fn inputs(&self) -> Vec<&str> {
        vec!["weights", "train", "test"]
    }

    fn import(&self) -> Option<Import<'_>> {
        None
    }

    fn holds(&self) -> Holds {
        Holds::Weights(self.model)
    }

    fn numerics(&self) -> Option<Numerics> {
        Some(self.numerics)
    }

    fn epochs(&self) -> Option<RangeInclusive<u32>> {
        one_row(self.after)
    }

    fn cost(&self, images: Images) -> Option<Cost> {
        let Self { model, batch, numerics, epochs, .. } = *self;
        Some(Cost {
            model,
            passes: 3.0 * f64::from(epochs) * images.train + images.evaluated(self.eval_images),
            epochs,
            steps: Some(Steps { model, batch, numerics }),
            copies: 2.0,
            activations: Activations::Step(batch),
        })
    }

    fn has(&self, _: &str) -> bool {
        false
    }
}
