//! The kind `init`: initial weights and batch-norm statistics.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Cost, Images};
use super::import::Import;
use super::kind::{Content, Holds, Kind, OutputSpec};
use super::model::{InitScheme, Model, Numerics};

/// Initial weights and batch-norm statistics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// The network.
    pub model: Model,
    /// How weights are drawn.
    pub scheme: InitScheme,
    /// Norm to which the trained parameters, taken together, are scaled. If absent, they are not scaled.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub radius: Option<f64>,
    /// Seed of the draw.
    pub seed: u64,
}

impl Kind for Init {
    const NAME: &'static str = "init";
    const VERSION: u32 = 1;
    const OUTPUTS: &'static [OutputSpec] = &[OutputSpec::new("weights", Content::Network)];

    fn tolerance(_: &str) -> Option<Tolerance> {
        Some(Tolerance::NONE)
    }

    fn inputs(&self) -> Vec<&str> {
        Vec::new()
    }

    fn import(&self) -> Option<Import<'_>> {
        None
    }

    fn holds(&self) -> Holds {
        Holds::Weights(self.model)
    }

    fn numerics(&self) -> Option<Numerics> {
        None
    }

    fn epochs(&self) -> Option<RangeInclusive<u32>> {
        None
    }

    fn cost(&self, _: Images) -> Option<Cost> {
        None
    }

    fn has(&self, _: &str) -> bool {
        false
    }
}
