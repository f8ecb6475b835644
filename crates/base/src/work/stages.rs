//! Parameters of each kind of stage: one struct per kind.

use serde::{Deserialize, Serialize};

use super::model::{InitScheme, Model, Numerics, Precision, Sphere, is_default};

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

/// Training and test images. Outputs `train` and `test`; inputs `train` and `test` (the imported
/// whole) unless the source is built in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// Source of the images.
    pub source: Source,
    /// Number of training images: a class-balanced subset of this size (all, in stored order, if it is the whole
    /// set).
    pub train: u32,
    /// Number of test images, a subset as for `train`.
    pub test: u32,
    /// Classes to keep, which become 0, 1, … in this order; if absent, all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub classes: Option<Vec<u8>>,
    /// Seed of the subset, or of the procedural images.
    pub seed: u64,
}

/// Initial weights and batch-norm statistics. Output `weights`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Init {
    /// The network.
    pub model: Model,
    /// How weights are drawn.
    pub scheme: InitScheme,
    /// Norm to which the trained parameters together are scaled; if absent, they are left as drawn.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub radius: Option<f64>,
    /// Seed of the random weights.
    pub seed: u64,
}

/// Weights imported from a file. Input and output `weights`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// The network that they must fit.
    pub model: Model,
    /// Name under which they were imported.
    pub name: String,
    /// Norm to which the trained parameters together are scaled; if absent, they are left unchanged.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub radius: Option<f64>,
}

/// A segment of training: some epochs of SGD from one checkpoint to the next. Inputs `weights`, `train`, `test` and,
/// after the first segment, the additional state of the run (see [`Train::keeps`]); outputs `weights`, that state,
/// and `metrics`. A run with non-finite numbers has an additional output `diverged` (see [`super::DIVERGED`]), and
/// NaN for weights and numbers from there on.
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
    /// Momentum μ: b ← μb + (g + λw), w ← w − ηb; 0 in the paper.
    #[serde(skip_serializing_if = "is_default", default)]
    pub momentum: f64,
    /// Sphere onto which the parameters are projected; if absent, none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sphere: Option<Sphere>,
    /// Decay β of the moving average of the parameters, updated after every step; if absent, no average is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ema: Option<f64>,
    /// Number of epochs between the initial weights and this segment.
    pub first_epoch: u32,
    /// Number of epochs of this segment.
    pub epochs: u32,
    /// Number of epochs, counted from the initial weights, between evaluations; the segment's end is always
    /// evaluated. If absent, every epoch is evaluated.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eval_every: Option<u32>,
    /// Number of training images used for evaluation: the first `eval_images / classes` of every class, in the
    /// training set's order; if absent, all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eval_images: Option<u32>,
    /// Seed of the data order.
    pub seed: u64,
}

impl Train {
    /// Whether the network is evaluated after the epoch of this segment with the given index, so that the epoch has a
    /// row.
    pub fn evaluates(&self, epoch: u32) -> bool {
        let done = epoch.saturating_add(1);
        done == self.end() || done.is_multiple_of(self.eval_every.unwrap_or(1))
    }

    /// Returns the number of evaluations in the segment.
    pub fn evaluations(&self) -> u32 {
        let every = self.eval_every.unwrap_or(1).max(1);
        let end = self.end();
        end / every - self.first_epoch / every + u32::from(!end.is_multiple_of(every))
    }

    /// Returns the number of epochs from the initial weights to the end of this segment.
    fn end(&self) -> u32 {
        self.first_epoch.saturating_add(self.epochs)
    }

    /// Returns the state passed from segment to segment in addition to the weights, by the name of its input and
    /// output: the moving average, the momentum, the loss scale of float16.
    pub fn keeps(&self) -> Vec<&'static str> {
        let kept = [
            ("ema", self.ema.is_some()),
            ("momentum", self.momentum != 0.0),
            ("scaler", self.numerics.precision == Precision::Fp16),
        ];
        kept.into_iter().filter(|(_, kept)| *kept).map(|(name, _)| name).collect()
    }
}

/// Fine-tuning of a checkpoint with a small learning rate (the paper's "early-stopped gradient
/// flow"). Inputs `weights`, `train`, `test`; outputs `weights`, `metrics`.
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
    /// Weight decay (0 in the authors' code; not stated in the paper).
    pub wd: f64,
    /// Sphere onto which the parameters are projected; if absent, none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sphere: Option<Sphere>,
    /// Number of training epochs before the probe.
    pub after: u32,
    /// Number of epochs of fine-tuning.
    pub epochs: u32,
    /// Number of training images used for the evaluation at the end, see [`Train::eval_images`]; if absent, all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eval_images: Option<u32>,
    /// Seed of the probe's own data order.
    pub seed: u64,
}

/// Evaluation of the averaged weights with re-estimated batch-norm statistics. Inputs `ema`, `train`,
/// `test`; output `metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmaEval {
    /// The network.
    pub model: Model,
    /// Arithmetic and memory layout; the re-estimation always uses float32.
    pub numerics: Numerics,
    /// Number of images per batch when the statistics are re-estimated.
    pub batch: u32,
    /// Number of training epochs of the averaged weights.
    pub after: u32,
    /// Number of training images used for evaluation, see [`Train::eval_images`]; if absent, all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eval_images: Option<u32>,
    /// Seed of the order of batches in the re-estimation.
    pub seed: u64,
}

/// The predictions of a network for every test image, in eval mode and float32. Inputs `weights`, `test`; output
/// `predictions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predictions {
    /// The network.
    pub model: Model,
}

/// Statistics that batch norms use when the curvature of a loss is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormStatistics {
    /// The running statistics of training (eval mode).
    Running,
    /// Statistics that are first re-estimated over the training set, as for averaged weights (eval mode).
    Refreshed {
        /// Number of images per batch of the re-estimation.
        batch: u32,
    },
    /// Those of each batch, which are part of the derivative (training mode).
    Batch,
}

/// The loss whose curvature or noise is measured: the mean cross-entropy L of a network over a part of the
/// training set. Always in float32.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The network.
    pub model: Model,
    /// Number of images: the first `images / classes` of every class, in the training set's order.
    pub images: u32,
    /// Number of images differentiated at once. This bounds the memory; with [`NormStatistics::Batch`] it is also the
    /// batch whose statistics are used, and whose gradient noise is measured.
    pub batch: u32,
    /// Statistics that batch norms use.
    pub statistics: NormStatistics,
}

/// When an estimate stops before the maximum number of draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// When its standard error is at most this share of the estimate.
    StandardError(f64),
    /// When one more draw changes it by less than this share (the rule of PyHessian, which the authors used).
    Settled(f64),
}

/// Method of computing Tr ∇²L.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Image by image, without draws: C − 1 backward passes for C classes. Not with [`NormStatistics::Batch`].
    Exact,
    /// Image by image, exactly for the most probable classes and by random draws for the others: for large numbers of
    /// classes. Not with [`NormStatistics::Batch`].
    Sketch {
        /// Maximum number of draws, at least 2.
        draws: u32,
        /// Stop early when the standard error is at most this share of the trace.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stderr: Option<f64>,
    },
    /// Hutchinson's method, from products with the Hessian.
    Hutchinson {
        /// Maximum number of Rademacher probe vectors.
        draws: u32,
        /// When to stop early; if absent, never.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stop: Option<Stop>,
    },
}

/// Tr ∇²L. Inputs `weights`, `train`; output `trace`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HessianTrace {
    /// The loss.
    pub loss: Loss,
    /// Method of computing the trace.
    pub estimator: Estimator,
    /// Precision of products: IEEE float32, or TF32 where the device has it.
    #[serde(skip_serializing_if = "is_default", default)]
    pub precision: Precision,
    /// Number of training epochs of the weights (before a probe).
    pub after: u32,
    /// Seed of the random draws.
    pub seed: u64,
}

/// Largest and smallest eigenvalue of ∇²L by Lanczos' method. Inputs `weights`, `train`; output `eigenvalues`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopEigenvalue {
    /// The loss.
    pub loss: Loss,
    /// Maximum number of products with the Hessian.
    pub iterations: u32,
    /// Stops when the error bound of the largest eigenvalue is at most this share of it.
    pub tolerance: f64,
    /// Number of training epochs of the weights.
    pub after: u32,
    /// Seed of the first vector.
    pub seed: u64,
}

/// How the Hessian H, its Gauss-Newton part G and the rest E = H − G align with the gradient noise's covariance Σ
/// (paper, Figure 7). Inputs `weights`, `train`; outputs `cosines` (one row) and `products` (one row per draw).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseCovariance {
    /// The loss.
    pub loss: Loss,
    /// Number of Gaussian vectors.
    pub draws: u32,
    /// Number of training epochs of the weights.
    pub after: u32,
    /// Seed of the vectors.
    pub seed: u64,
}

/// The scale of the gradient noise, Tr Σ, against the loss (paper, Proposition 3). Inputs `weights`, `train`;
/// output `scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseScale {
    /// The loss.
    pub loss: Loss,
    /// Number of random sign vectors over the classes by which every ‖J_i‖² is estimated; if absent, each class in
    /// turn, exactly. Not used with [`NormStatistics::Batch`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub draws: Option<u32>,
    /// Precision of products: IEEE float32, or TF32 where the device has it.
    #[serde(skip_serializing_if = "is_default", default)]
    pub precision: Precision,
    /// Number of training epochs of the weights.
    pub after: u32,
    /// Seed of the signs.
    pub seed: u64,
}

/// The toy example of the paper's Figure 4: label-noise SGD w ← w − η(f − ξ)∇f, ξ ~ N(0, σ²), in a valley of minima
/// of L = f²/2, and gradient flows on L from some of its iterates (see [`learn::valley`]). No inputs; outputs `path`,
/// `tuned`, `optimum`, `landscape`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Valley {
    /// Learning rate η.
    pub lr: f64,
    /// Standard deviation σ of the label noise.
    pub noise: f64,
    /// Number of steps of SGD.
    pub steps: u32,
    /// Number of steps between fine-tuned iterates; the first one is the starting point.
    pub every: u32,
    /// Step size of the gradient flow.
    pub flow_lr: f64,
    /// Number of steps of the gradient flow.
    pub flow_steps: u32,
    /// Seed of the label noise.
    pub seed: u64,
}
