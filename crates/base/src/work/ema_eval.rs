//! The kind `ema_eval`: evaluation of averaged weights.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Cost, Images, Steps};
use super::import::Import;
use super::kind::{Holds, Kind, OutputSpec, one_row};
use super::model::{Model, Numerics};

/// Columns of the `metrics` of averaged weights; see [`METRICS`](super::METRICS).
pub const EMA_METRICS: [&str; 6] = ["epoch", "train_loss", "train_error", "test_loss", "test_error", "norm"];

/// Evaluation of the averaged weights with re-estimated batch-norm statistics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmaEval {
    /// The network.
    pub model: Model,
    /// Arithmetic and memory layout of the run. The evaluation itself uses only the memory layout.
    pub numerics: Numerics,
    /// Number of images per batch when the statistics are re-estimated.
    pub batch: u32,
    /// Number of epochs of training before the averaged weights.
    pub after: u32,
    /// Number of training images that they are evaluated on, see [`Train::eval_images`]. If absent, all images are used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eval_images: Option<u32>,
    /// Seed of the order of the re-estimation's batches.
    pub seed: u64,
}

impl Kind for EmaEval {
    const NAME: &'static str = "ema_eval";
    const VERSION: u32 = 1;
    const OUTPUTS: &'static [OutputSpec] = &[OutputSpec::table("metrics", &EMA_METRICS)];

    fn tolerance(column: &str) -> Option<Tolerance> {
        match column {
            "train_error" | "test_error" => Some(Tolerance::of(1.0, 0.0)),
            _ => Some(Tolerance::MEASURED),
        }
    }

    fn inputs(&self) -> Vec<&str> {
        vec!["ema", "train", "test"]
    }

    fn import(&self) -> Option<Import<'_>> {
        None
    }

    fn holds(&self) -> Holds {
        Holds::Nothing
    }

    /// Returns float32 even if the run has another precision, as in the authors' code.
    fn numerics(&self) -> Option<Numerics> {
        Some(Numerics::float32(self.numerics.channels_last))
    }

    fn epochs(&self) -> Option<RangeInclusive<u32>> {
        one_row(self.after)
    }

    /// One pass over the training images estimates the statistics.
    fn cost(&self, images: Images) -> Option<Cost> {
        let Self { model, batch, numerics, .. } = *self;
        let passes = images.train + images.evaluated(self.eval_images);
        Some(Cost { steps: Some(Steps { model, batch, numerics }), ..Cost::evaluation(model, passes) })
    }

    fn has(&self, _: &str) -> bool {
        false
    }
}
