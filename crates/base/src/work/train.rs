//! The kind `train`: a segment of training.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Activations, Cost, Images, Steps};
use super::import::Import;
use super::kind::{Content, Holds, Kind, OutputSpec, Presence};
use super::model::{Model, Numerics, Precision, Sphere, is_default};

/// Columns of the `metrics` of training and probes. Training has a row for every epoch after which the network was
/// evaluated ([`Train::evaluates`]). A probe has one row, at its end.
///
/// The index of the epoch counts from 0, so the row is measured after `epoch + 1` epochs of training. Then follow the
/// learning rate; mean cross-entropy in nats and error in percent, in eval mode, over the training set (all of it, or
/// `eval_images`) and over the whole test set; and ‖w‖₂ over all trained parameters.
pub const METRICS: [&str; 7] = ["epoch", "lr", "train_loss", "train_error", "test_loss", "test_error", "norm"];

/// Columns of `diverged`, one row: the epoch and the step at which a loss, or the weights or running statistics after
/// the last step, were not finite; the learning rate; and the last finite loss before (NaN if there was none). Training
/// counts epochs from the initial weights, a probe from its own start.
pub const DIVERGED: [&str; 4] = ["epoch", "step", "lr", "last_finite_loss"];

/// A segment of training: some epochs of SGD from one checkpoint to the next. A run that leaves the finite numbers has
/// one more output, `diverged` (see [`DIVERGED`]), and NaN for weights and numbers from there on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The network.
    pub model: Model,
    /// Arithmetic and memory layout.
    pub numerics: Numerics,
    /// Number of images per step; the last incomplete batch of an epoch is dropped.
    pub batch: u32,
    /// Learning rate η.
    pub lr: f64,
    /// Weight decay λ: w ← w − η(g + λw), on all trained parameters.
    pub wd: f64,
    /// Momentum μ: b ← μb + (g + λw), w ← w − ηb. The paper has μ = 0.
    #[serde(skip_serializing_if = "is_default", default)]
    pub momentum: f64,
    /// The sphere on which the parameters are kept, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sphere: Option<Sphere>,
    /// Decay β of the moving average of the parameters, after every step. If absent, no average is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ema: Option<f64>,
    /// Number of epochs from the initial weights to the start of this segment.
    pub first_epoch: u32,
    /// Number of epochs in this segment.
    pub epochs: u32,
    /// Number of epochs from one evaluation to the next, counted from the initial weights. If absent, the number is 1. The
    /// network is also evaluated at the segment's end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eval_every: Option<u32>,
    /// Number of training images that the network is evaluated on: the first `eval_images / classes` of every class, in the
    /// training set's order. If absent, all images are used.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eval_images: Option<u32>,
    /// Seed of the data order.
    pub seed: u64,
}

impl Train {
    /// Checks whether the network is evaluated after the epoch with this index, so that the table has a row for it.
    pub fn evaluates(&self, epoch: u32) -> bool {
        let done = epoch.saturating_add(1);
        done == self.end() || done.is_multiple_of(self.eval_every.unwrap_or(1))
    }

    /// Counts the evaluations of the segment.
    pub fn evaluations(&self) -> u32 {
        let every = self.eval_every.unwrap_or(1).max(1);
        let end = self.end();
        end / every - self.first_epoch / every + u32::from(!end.is_multiple_of(every))
    }

    /// Returns the number of epochs from the initial weights to the end of this segment.
    fn end(&self) -> u32 {
        self.first_epoch.saturating_add(self.epochs)
    }

    /// Returns the names of the state that segments pass on besides the weights: the moving average, the momentum and the loss
    /// scale of float16. Inputs and outputs have the same names.
    pub fn keeps(&self) -> Vec<&'static str> {
        let kept = Self::OUTPUTS.iter().filter(|output| output.presence == Presence::Sometimes);
        kept.map(|output| output.name).filter(|name| self.has(name)).collect()
    }
}

/// The output of a run that leaves the finite numbers.
pub(super) const ON_DIVERGENCE: OutputSpec =
    OutputSpec { name: "diverged", content: Content::Table(&DIVERGED), presence: Presence::OnDivergence };

const fn kept(name: &'static str, content: Content) -> OutputSpec {
    OutputSpec { name, content, presence: Presence::Sometimes }
}

impl Kind for Train {
    const NAME: &'static str = "train";
    const VERSION: u32 = 1;
    const OUTPUTS: &'static [OutputSpec] = &[
        OutputSpec::new("weights", Content::Network),
        kept("ema", Content::Parameters),
        kept("momentum", Content::Parameters),
        kept("scaler", Content::LossScale),
        OutputSpec::table("metrics", &METRICS),
        ON_DIVERGENCE,
    ];

    fn tolerance(column: &str) -> Option<Tolerance> {
        (column == "norm").then_some(Tolerance::of(0.0, 0.05))
    }

    /// Returns the roles of the inputs. The first segment of a run starts the moving average, the momentum and the loss scale, so
    /// it does not read them.
    fn inputs(&self) -> Vec<&str> {
        [vec!["weights"], self.keeps(), vec!["train", "test"]].concat()
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
        Some(self.first_epoch..=self.end().saturating_sub(1))
    }

    /// Returns the cost, in which a step of training takes as long as three forward passes.
    fn cost(&self, images: Images) -> Option<Cost> {
        let Self { model, batch, numerics, epochs, .. } = *self;
        let evaluated = f64::from(self.evaluations()) * images.evaluated(self.eval_images);
        Some(Cost {
            model,
            passes: 3.0 * f64::from(epochs) * images.train + evaluated,
            epochs,
            steps: Some(Steps { model, batch, numerics }),
            // The network and its gradients are two copies.
            copies: 2.0 + self.keeps().len() as f64,
            activations: Activations::Step(batch),
        })
    }

    fn has(&self, output: &str) -> bool {
        match output {
            "ema" => self.ema.is_some(),
            "momentum" => self.momentum != 0.0,
            "scaler" => self.numerics.precision == Precision::Fp16,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::work::ModelName;

    #[test]
    fn evaluations_are_counted_as_they_are_done() {
        let numerics = Numerics::float32(false);
        let model = Model::new(ModelName::PreactResnet18, 1, 2);
        for (first_epoch, epochs, every) in
            (0..7).flat_map(|a| (1..8).flat_map(move |b| (1..6).map(move |c| (a, b, c))))
        {
            let train = Train {
                model,
                numerics,
                batch: 1,
                lr: 1.0,
                wd: 0.0,
                momentum: 0.0,
                sphere: None,
                ema: None,
                first_epoch,
                epochs,
                eval_every: Some(every),
                eval_images: None,
                seed: 0,
            };
            let segment = first_epoch..first_epoch + epochs;
            let rows: Vec<u32> = segment.clone().filter(|&epoch| train.evaluates(epoch)).collect();
            let wanted = segment.filter(|epoch| (epoch + 1) % every == 0 || epoch + 1 == first_epoch + epochs);
            assert_eq!(rows, wanted.collect::<Vec<_>>());
            assert_eq!(rows.len(), train.evaluations() as usize, "{train:?}");
        }
    }
}
