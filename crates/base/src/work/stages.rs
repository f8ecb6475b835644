//! What each kind of stage is told: a struct a kind.

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
    /// The name in pipelines and commands.
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
    /// Where the images come from.
    pub source: Source,
    /// Training images: a class-balanced subset of this size (all, as they are stored, if it is the whole).
    pub train: u32,
    /// Test images, likewise.
    pub test: u32,
    /// The classes that are kept, which become 0, 1, … in this order; absent: all.
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
    /// The trained parameters, taken together, are scaled to this norm; absent: left as drawn.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub radius: Option<f64>,
    /// Seed of the draw.
    pub seed: u64,
}

/// Weights that were imported from a file. Input and output `weights`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imported {
    /// The network that they must fit.
    pub model: Model,
    /// The name under which they were imported.
    pub name: String,
    /// The trained parameters, taken together, are scaled to this norm; absent: left as they are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub radius: Option<f64>,
}

/// A segment of training: some epochs of SGD from one checkpoint to the next. Inputs `weights`,
/// `train`, `test` and, after the first segment, what the run [keeps](Train::keeps); outputs `weights`, what it
/// keeps, and `metrics`. A run that leaves the finite numbers has one
/// output more, `diverged` (see [`super::DIVERGED`]), and NaN for weights and numbers from there on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Train {
    /// The network.
    pub model: Model,
    /// Arithmetic and memory layout.
    pub numerics: Numerics,
    /// Images a step; the last incomplete batch of an epoch is dropped.
    pub batch: u32,
    /// Learning rate η.
    pub lr: f64,
    /// Weight decay λ: w ← w − η(g + λw), on all trained parameters.
    pub wd: f64,
    /// Momentum μ: b ← μb + (g + λw), w ← w − ηb; 0 in the paper.
    #[serde(skip_serializing_if = "is_default", default)]
    pub momentum: f64,
    /// The sphere on which the parameters are held; absent: none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sphere: Option<Sphere>,
    /// Decay β of the moving average of the parameters, after every step; absent: none is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ema: Option<f64>,
    /// Epochs done before this segment since the initial weights.
    pub first_epoch: u32,
    /// Epochs of this segment.
    pub epochs: u32,
    /// The network is evaluated after every so many epochs since the initial weights, and at the segment's end; absent:
    /// after every epoch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eval_every: Option<u32>,
    /// Training images that it is evaluated on: the first `eval_images / classes` of every class, in the training set's
    /// order; absent: all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eval_images: Option<u32>,
    /// Seed of the data order.
    pub seed: u64,
}

impl Train {
    /// Whether the network is evaluated after an epoch of this segment, by the epoch's index: whether it has a row.
    pub fn evaluates(&self, epoch: u32) -> bool {
        let done = epoch.saturating_add(1);
        done == self.end() || done.is_multiple_of(self.eval_every.unwrap_or(1))
    }

    /// How often the segment evaluates.
    pub fn evaluations(&self) -> u32 {
        let every = self.eval_every.unwrap_or(1).max(1);
        let end = self.end();
        end / every - self.first_epoch / every + u32::from(!end.is_multiple_of(every))
    }

    /// Epochs done after this segment since the initial weights.
    fn end(&self) -> u32 {
        self.first_epoch.saturating_add(self.epochs)
    }

    /// What goes from segment to segment beside the weights, by the name of its input and output: the moving average,
    /// the momentum, the loss scale of float16.
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
    /// Images a step.
    pub batch: u32,
    /// Learning rate.
    pub lr: f64,
    /// Weight decay (0 in the authors' code; the paper is silent).
    pub wd: f64,
    /// The sphere on which the parameters are held; absent: none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sphere: Option<Sphere>,
    /// Epochs of training before the probe.
    pub after: u32,
    /// Epochs of fine-tuning.
    pub epochs: u32,
    /// Training images that the end is evaluated on, see [`Train::eval_images`]; absent: all.
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
    /// Arithmetic and memory layout; the re-estimation is float32 always.
    pub numerics: Numerics,
    /// Images a batch when the statistics are re-estimated.
    pub batch: u32,
    /// Epochs of training behind the averaged weights.
    pub after: u32,
    /// Training images that they are evaluated on, see [`Train::eval_images`]; absent: all.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eval_images: Option<u32>,
    /// Seed of the order of the re-estimation's batches.
    pub seed: u64,
}

/// The answer of a network to every test image, in eval mode and float32. Inputs `weights`, `test`; output
/// `predictions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Predictions {
    /// The network.
    pub model: Model,
}

/// What the batch norms divide by where the curvature of a loss is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NormStatistics {
    /// The running statistics of training (eval mode).
    Running,
    /// Statistics that are re-estimated over the training set first, as for averaged weights (eval mode).
    Refreshed {
        /// Images a batch of the re-estimation.
        batch: u32,
    },
    /// Those of each batch, through which is differentiated (training mode).
    Batch,
}

/// The loss whose curvature or noise is measured: the mean cross-entropy L of a network over a part of the
/// training set. Always in float32.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loss {
    /// The network.
    pub model: Model,
    /// Images: the first `images / classes` of every class, in the training set's order.
    pub images: u32,
    /// Images differentiated at once. Bounds the memory; with [`NormStatistics::Batch`] it also is the batch whose
    /// statistics are used, and whose gradient's noise is measured.
    pub batch: u32,
    /// What the batch norms divide by.
    pub statistics: NormStatistics,
}

/// When an estimate stops before its greatest number of draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// When its standard error is at most this share of it.
    StandardError(f64),
    /// When one more draw moves it by less than this share (the rule of PyHessian, which the authors used).
    Settled(f64),
}

/// How Tr ∇²L is found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Estimator {
    /// Image by image, without draws: C − 1 backward passes for C classes. Not with [`NormStatistics::Batch`].
    Exact,
    /// Image by image, with most of the classes drawn for: for many of them. Not with [`NormStatistics::Batch`].
    Sketch {
        /// Greatest number of draws, at least 2.
        draws: u32,
        /// Fewer are enough when the standard error is at most this share of the trace.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stderr: Option<f64>,
    },
    /// Hutchinson's, from products with the Hessian.
    Hutchinson {
        /// Greatest number of Rademacher probe vectors.
        draws: u32,
        /// When fewer are enough; absent: never.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stop: Option<Stop>,
    },
}

/// Tr ∇²L. Inputs `weights`, `train`; output `trace`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HessianTrace {
    /// Of which loss.
    pub loss: Loss,
    /// How.
    pub estimator: Estimator,
    /// How products are computed: IEEE float32, or TF32 where the device has it.
    #[serde(skip_serializing_if = "is_default", default)]
    pub precision: Precision,
    /// Epochs of training behind the weights (before a probe).
    pub after: u32,
    /// Seed of what is drawn.
    pub seed: u64,
}

/// Largest and smallest eigenvalue of ∇²L by Lanczos' method. Inputs `weights`, `train`; output `eigenvalues`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopEigenvalue {
    /// Of which loss.
    pub loss: Loss,
    /// Greatest number of products with the Hessian.
    pub iterations: u32,
    /// Stops when the error bound of the largest is at most this share of it.
    pub tolerance: f64,
    /// Epochs of training behind the weights.
    pub after: u32,
    /// Seed of the first vector.
    pub seed: u64,
}

/// How the Hessian H, its Gauss-Newton part G and the rest E = H − G look along the gradient noise's covariance Σ
/// (paper, Figure 7). Inputs `weights`, `train`; outputs `cosines` (one row) and `products` (a row a draw).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseCovariance {
    /// Of which loss.
    pub loss: Loss,
    /// Number of Gaussian vectors.
    pub draws: u32,
    /// Epochs of training behind the weights.
    pub after: u32,
    /// Seed of the vectors.
    pub seed: u64,
}

/// The scale of the gradient noise, Tr Σ, against the loss (paper, Proposition 3). Inputs `weights`, `train`;
/// output `scale`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseScale {
    /// Of which loss.
    pub loss: Loss,
    /// Number of random signs over the classes by which every ‖J_i‖² is estimated; absent: each class in turn, exactly. Of no
    /// use with [`NormStatistics::Batch`].
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub draws: Option<u32>,
    /// How products are computed: IEEE float32, or TF32 where the device has it.
    #[serde(skip_serializing_if = "is_default", default)]
    pub precision: Precision,
    /// Epochs of training behind the weights.
    pub after: u32,
    /// Seed of the signs.
    pub seed: u64,
}

/// The toy of the paper's Figure 4: label-noise SGD w ← w − η(f − ξ)∇f, ξ ~ N(0, σ²), in a valley of minima of
/// L = f²/2, and gradient flows on L from some of its iterates (see [`learn::valley`]). No inputs; outputs `path`,
/// `tuned`, `optimum`, `landscape`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Valley {
    /// Learning rate η.
    pub lr: f64,
    /// Standard deviation σ of the labels.
    pub noise: f64,
    /// Steps of SGD.
    pub steps: u32,
    /// Steps from one fine-tuned iterate to the next; the first is the start.
    pub every: u32,
    /// Step of the gradient flow.
    pub flow_lr: f64,
    /// Number of its steps.
    pub flow_steps: u32,
    /// Seed of the labels.
    pub seed: u64,
}
