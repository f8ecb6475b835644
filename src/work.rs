//! What stages do: one typed description per kind, with its version, outputs and cost.
//!
//! A stage's parameters are hashed as plain data (see [`crate::value`]), so a new optional field that is
//! left out when it is not set keeps old keys. **If what a kind computes changes, bump its version.**

use serde::{Deserialize, Serialize};

use crate::value::{Map, Value, ValueError};

/// A network of the paper (paper's section 2 and appendix A).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ModelName {
    /// Pre-activation ResNet-18 (He et al. 2016), 3×3 stem, batch norm on the input image.
    #[serde(rename = "preact-resnet18")]
    PreactResnet18,
}

/// A network with its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Which network.
    pub name: ModelName,
    /// Channels of the first stage (64 in the paper).
    pub width: u32,
    /// Number of classes.
    pub classes: u32,
}

/// How initial weights are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InitScheme {
    /// The text: convolutions N(0, 2/(k²·out)), linear layers N(0, 2/in), biases 0.
    He,
    /// The authors' code: PyTorch's default, U(±1/√fan_in) for weights and biases.
    Pytorch,
}

/// Arithmetic of forward and backward passes. Weights and updates are float32 always.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE float32 everywhere.
    Fp32,
    /// Float32 storage, TF32 products (CUDA only; equal to fp32 elsewhere).
    Tf32,
    /// Autocast to bfloat16; logits and loss float32.
    Bf16,
}

/// Arithmetic and memory layout: they change the bits of what is computed, so keys depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numerics {
    /// Arithmetic of forward and backward passes.
    pub precision: Precision,
    /// NHWC instead of NCHW memory layout.
    pub channels_last: bool,
}

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
    /// Training images: a class-balanced subset of this size (all, in file order, if it is the whole).
    pub train: u32,
    /// Test images, likewise.
    pub test: u32,
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
    /// Seed of the draw.
    pub seed: u64,
}

/// A segment of training: some epochs of SGD from one checkpoint to the next. Inputs `weights`,
/// `train`, `test` and, after the first segment of a run with `ema`, `ema`; outputs `weights`,
/// `metrics` and, with `ema`, `ema`.
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
    /// Decay β of the moving average of the parameters, after every step; absent: none is kept.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ema: Option<f64>,
    /// Epochs done before this segment since the initial weights.
    pub first_epoch: u32,
    /// Epochs of this segment.
    pub epochs: u32,
    /// Seed of the data order.
    pub seed: u64,
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
    /// Epochs of training before the probe.
    pub after: u32,
    /// Epochs of fine-tuning.
    pub epochs: u32,
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
    /// Seed of the order of the re-estimation's batches.
    pub seed: u64,
}

/// Hutchinson's estimate of Tr ∇²L in eval mode, in float32. Inputs `weights`, `train`; output `trace`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HessianTrace {
    /// The network.
    pub model: Model,
    /// Images of the loss: the first `images / classes` of every class, in the training set's order.
    pub images: u32,
    /// Images differentiated at once; bounds the memory.
    pub batch: u32,
    /// Number of Rademacher probe vectors.
    pub draws: u32,
    /// Epochs of training behind the weights (before a probe).
    pub after: u32,
    /// Seed of the probe vectors.
    pub seed: u64,
}

/// A drawing of recorded numbers. Inputs: tables, named as the curves name them; outputs `svg`,
/// `png`, `numbers`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The name, such as `fig3` or `fig3c`.
    pub name: String,
    /// Title above the panels; may be empty.
    pub title: String,
    /// Panels a row.
    pub columns: u32,
    /// The panels in reading order.
    pub panels: Vec<Panel>,
}

/// One pair of axes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    /// Short name, such as `c`.
    pub id: String,
    /// Title above the axes.
    pub title: String,
    /// Horizontal axis.
    pub x: Axis,
    /// Vertical axis.
    pub y: Axis,
    /// The curves, drawn in order.
    pub curves: Vec<Curve>,
}

/// How an axis counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// By factors.
    Log,
}

/// An axis of a panel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Axis {
    /// Name and unit.
    pub label: String,
    /// Linear or logarithmic.
    #[serde(default)]
    pub scale: Scale,
    /// Fixed limits; absent: those of the data.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub range: Option<[f64; 2]>,
    /// Wanted tick values; those outside the limits are left out. Absent: chosen.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ticks: Option<Vec<f64>>,
}

/// One curve: mean over replicas, and a band of one sample standard deviation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Curve {
    /// What the legend calls it.
    pub label: String,
    /// Index into the palette.
    pub colour: u32,
    /// Dashed instead of solid.
    pub dashed: bool,
    /// Column of the horizontal values.
    pub x: String,
    /// Column of the vertical values.
    pub y: String,
    /// The replicas (seeds): for each the names of its input tables, whose rows are put together.
    pub replicas: Vec<Vec<String>>,
}

/// Columns of the `metrics` of training and probes, a row for every epoch (of a probe: one, at its end):
/// index of the epoch from 0 (the row is measured after `epoch + 1` epochs of training), learning rate,
/// mean cross-entropy in nats and error in percent over the whole training and test set in eval mode,
/// and ‖w‖₂ over all parameters.
pub const METRICS: [&str; 7] = ["epoch", "lr", "train_loss", "train_error", "test_loss", "test_error", "norm"];

/// Columns of the `metrics` of averaged weights; see [`METRICS`].
pub const EMA_METRICS: [&str; 6] = ["epoch", "train_loss", "train_error", "test_loss", "test_error", "norm"];

/// Columns of a `trace`, one row: index of the epoch (see [`METRICS`]), Tr ∇²L and its standard error,
/// number of draws, the loss L, ‖w‖₂ over all parameters.
pub const TRACE: [&str; 6] = ["epoch", "trace", "stderr", "draws", "loss", "norm"];

/// What a stage does.
#[derive(Debug, Clone, PartialEq)]
pub enum Work {
    /// See [`Dataset`].
    Dataset(Dataset),
    /// See [`Init`].
    Init(Init),
    /// See [`Train`].
    Train(Train),
    /// See [`Probe`].
    Probe(Probe),
    /// See [`EmaEval`].
    EmaEval(EmaEval),
    /// See [`HessianTrace`].
    HessianTrace(HessianTrace),
    /// See [`Figure`].
    Figure(Figure),
}

/// A stage description that this program cannot run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// No such kind.
    #[error("unknown stage kind `{0}`")]
    Kind(String),
    /// The kind exists in another version.
    #[error("stage kind `{kind}` version {found} is wanted, but this wdpipe computes version {known}")]
    Version {
        /// The kind.
        kind: String,
        /// The version asked for.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// The parameters do not fit the kind.
    #[error("parameters of stage kind `{kind}`: {source}")]
    Parameters {
        /// The kind.
        kind: String,
        /// What is wrong.
        source: ValueError,
    },
}

/// Every kind: name, version. The order is that of [`Work`].
const KINDS: [(&str, u32); 7] =
    [("dataset", 1), ("init", 1), ("train", 1), ("probe", 1), ("ema_eval", 1), ("hessian_trace", 1), ("figure", 1)];

impl Work {
    fn entry(&self) -> (&'static str, u32) {
        KINDS[match self {
            Self::Dataset(_) => 0,
            Self::Init(_) => 1,
            Self::Train(_) => 2,
            Self::Probe(_) => 3,
            Self::EmaEval(_) => 4,
            Self::HessianTrace(_) => 5,
            Self::Figure(_) => 6,
        }]
    }

    /// The names of all kinds.
    pub fn kinds() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|(name, _)| *name)
    }

    /// The kind's name.
    pub fn kind(&self) -> &'static str {
        self.entry().0
    }

    /// The kind's version: part of every key, bumped when what the kind computes changes.
    pub fn version(&self) -> u32 {
        self.entry().1
    }

    /// The parameters as plain data.
    ///
    /// # Errors
    /// If a parameter is NaN.
    pub fn parameters(&self) -> Result<Map, ValueError> {
        let value = match self {
            Self::Dataset(p) => Value::of(p),
            Self::Init(p) => Value::of(p),
            Self::Train(p) => Value::of(p),
            Self::Probe(p) => Value::of(p),
            Self::EmaEval(p) => Value::of(p),
            Self::HessianTrace(p) => Value::of(p),
            Self::Figure(p) => Value::of(p),
        }?;
        match value {
            Value::Map(map) => Ok(map),
            other => Err(ValueError::Unsupported(format!("{other} is not a set of parameters"))),
        }
    }

    /// The work that a kind, version and parameters describe: the inverse of the above.
    ///
    /// # Errors
    /// If this program does not know the kind or version, or the parameters do not fit.
    pub fn from_parameters(kind: &str, version: u32, parameters: &Map) -> Result<Self, WorkError> {
        let Some(&(_, known)) = KINDS.iter().find(|(name, _)| *name == kind) else {
            return Err(WorkError::Kind(kind.to_owned()));
        };
        if version != known {
            return Err(WorkError::Version { kind: kind.to_owned(), found: version, known });
        }
        let value = Value::Map(parameters.clone());
        match kind {
            "dataset" => value.to().map(Self::Dataset),
            "init" => value.to().map(Self::Init),
            "train" => value.to().map(Self::Train),
            "probe" => value.to().map(Self::Probe),
            "ema_eval" => value.to().map(Self::EmaEval),
            "hessian_trace" => value.to().map(Self::HessianTrace),
            _ => value.to().map(Self::Figure),
        }
        .map_err(|source| WorkError::Parameters { kind: kind.to_owned(), source })
    }

    /// The names of the outputs, in order.
    pub fn outputs(&self) -> &'static [&'static str] {
        match self {
            Self::Dataset(_) => &["train", "test"],
            Self::Init(_) => &["weights"],
            Self::Train(Train { ema: Some(_), .. }) => &["weights", "ema", "metrics"],
            Self::Train(_) | Self::Probe(_) => &["weights", "metrics"],
            Self::EmaEval(_) => &["metrics"],
            Self::HessianTrace(_) => &["trace"],
            Self::Figure(_) => &["svg", "png", "numbers"],
        }
    }

    /// Whether the work is done with libtorch, and so depends on the numeric policy.
    pub fn needs_torch(&self) -> bool {
        matches!(self, Self::Train(_) | Self::Probe(_) | Self::EmaEval(_) | Self::HessianTrace(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_round_trip_and_unknown_ones_are_refused() {
        let model = Model { name: ModelName::PreactResnet18, width: 8, classes: 10 };
        let numerics = Numerics { precision: Precision::Fp32, channels_last: false };
        let (lr, wd, ema) = (0.1, 0.015, Some(0.999));
        let work = Work::Train(Train { model, numerics, batch: 128, lr, wd, ema, first_epoch: 1, epochs: 2, seed: 3 });
        let mut parameters = work.parameters().unwrap();
        assert_eq!(Work::from_parameters("train", work.version(), &parameters).unwrap(), work);
        assert!(matches!(Work::from_parameters("train", 99, &parameters), Err(WorkError::Version { .. })));
        assert!(matches!(Work::from_parameters("trian", 1, &parameters), Err(WorkError::Kind(_))));
        parameters.insert("lrr".into(), Value::Int(1));
        assert!(matches!(Work::from_parameters("train", 1, &parameters), Err(WorkError::Parameters { .. })));
    }
}
