//! The kind `dataset`: training and test images.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Cost, Images};
use super::import::Import;
use super::kind::{Content, Holds, Kind, OutputSpec};
use super::model::Numerics;

/// A data set by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// CIFAR-10, imported or fetched.
    Cifar10,
    /// CIFAR-100 with fine labels, imported or fetched.
    Cifar100,
    /// Built-in procedural images, ten classes.
    Shapes10,
}

impl Source {
    /// Returns the name in pipelines and commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cifar10 => "cifar10",
            Self::Cifar100 => "cifar100",
            Self::Shapes10 => "shapes10",
        }
    }
}

/// Training and test images: a part of an imported data set, or built in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Where the images come from.
    pub source: Source,
    /// Number of training images: a class-balanced subset of this size. If this is the size of the whole set, all images are used
    /// in their stored order.
    pub train: u32,
    /// Number of test images, chosen in the same way.
    pub test: u32,
    /// The classes to keep, which become 0, 1, … in this order. If absent, all classes are kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub classes: Option<Vec<u8>>,
    /// Seed of the subset, or of the procedural images.
    pub seed: u64,
}

impl Kind for Dataset {
    const NAME: &'static str = "dataset";
    const VERSION: u32 = 1;
    const OUTPUTS: &'static [OutputSpec] =
        &[OutputSpec::new("train", Content::Images), OutputSpec::new("test", Content::Images)];

    fn tolerance(_: &str) -> Option<Tolerance> {
        Some(Tolerance::NONE)
    }

    fn inputs(&self) -> Vec<&str> {
        self.import().map_or(Vec::new(), |import| import.outputs().to_vec())
    }

    fn import(&self) -> Option<Import<'_>> {
        match self.source {
            Source::Cifar10 | Source::Cifar100 => Some(Import::Data(self.source)),
            Source::Shapes10 => None,
        }
    }

    fn holds(&self) -> Holds {
        Holds::Images(Images { train: f64::from(self.train), test: f64::from(self.test) })
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
