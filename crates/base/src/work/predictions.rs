//! The kind `predictions`: the answer of a network to every test image.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Cost, Images};
use super::import::Import;
use super::kind::{Holds, Kind, OutputSpec};
use super::model::{Model, Numerics};

/// Columns of `predictions`, one row for every test image: its index, its label, the class with the largest logit, and
/// the cross-entropy in nats.
pub const PREDICTIONS: [&str; 4] = ["image", "label", "answer", "loss"];

/// The answer of a network to every test image, in eval mode and float32.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predictions {
    /// The network.
    pub model: Model,
}

impl Kind for Predictions {
    const NAME: &'static str = "predictions";
    const VERSION: u32 = 1;
    const OUTPUTS: &'static [OutputSpec] = &[OutputSpec::table("predictions", &PREDICTIONS)];

    fn tolerance(_: &str) -> Option<Tolerance> {
        Some(Tolerance::MEASURED)
    }

    fn inputs(&self) -> Vec<&str> {
        vec!["weights", "test"]
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
        None
    }

    fn cost(&self, images: Images) -> Option<Cost> {
        Some(Cost::evaluation(self.model, images.test))
    }

    fn has(&self, _: &str) -> bool {
        false
    }
}
