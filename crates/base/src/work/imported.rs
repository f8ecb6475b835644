//! The kind `weights`: weights that a user imported from a file.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Cost, Images};
use super::import::Import;
use super::kind::{Content, Holds, Kind, OutputSpec};
use super::model::{Model, Numerics};

/// Weights that were imported from a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// The network that they must fit.
    pub model: Model,
    /// The name under which they were imported.
    pub name: String,
    /// Norm to which the trained parameters, taken together, are scaled. If absent, they are not scaled.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub radius: Option<f64>,
}

impl Kind for Imported {
    const NAME: &'static str = "weights";
    const VERSION: u32 = 1;
    const OUTPUTS: &'static [OutputSpec] = &[OutputSpec::new("weights", Content::Network)];

    fn tolerance(_: &str) -> Option<Tolerance> {
        Some(Tolerance::NONE)
    }

    fn inputs(&self) -> Vec<&str> {
        vec!["weights"]
    }

    fn import(&self) -> Option<Import<'_>> {
        Some(Import::Weights(&self.name))
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
