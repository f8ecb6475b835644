//! The work of stages: one typed description per kind, with its version and outputs.
//!
//! A stage's parameters are hashed as plain data (see [`crate::value`]), so a new optional field that is omitted when
//! it is not set preserves old keys. **If a kind computes something different, bump its version.**

mod bulk;
mod contract;
mod figure;
mod model;
mod stages;
mod tables;

pub use bulk::is_bulk;
pub use contract::{Contract, Tolerance, tolerance};
pub use figure::{Axis, Curve, Figure, Guide, Mark, Panel, Rows, Scale};
pub use model::{InitScheme, InputScale, Model, ModelName, Numerics, Policy, Precision, Projection, Sphere};
pub use stages::{
    Dataset, EmaEval, Estimator, HessianTrace, Imported, Init, Loss, NoiseCovariance, NoiseScale, NormStatistics,
    Predictions, Probe, Source, Stop, TopEigenvalue, Train, Valley,
};
pub use tables::{
    COSINES, DIVERGED, EIGENVALUES, EMA_METRICS, LANDSCAPE, METRICS, OPTIMUM, PATH, PREDICTIONS, PRODUCTS, SCALE,
    TRACE, TUNED,
};

use std::ops::RangeInclusive;

use serde::Serialize;

use crate::value::{self, Map, Value, ValueError};

/// The work of a stage. It is serialized as its parameters alone, without the kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Work {
    /// See [`Dataset`].
    Dataset(Dataset),
    /// See [`Init`].
    Init(Init),
    /// See [`Imported`].
    Imported(Imported),
    /// See [`Train`].
    Train(Train),
    /// See [`Probe`].
    Probe(Probe),
    /// See [`EmaEval`].
    EmaEval(EmaEval),
    /// See [`Predictions`].
    Predictions(Predictions),
    /// See [`HessianTrace`].
    HessianTrace(HessianTrace),
    /// See [`TopEigenvalue`].
    TopEigenvalue(TopEigenvalue),
    /// See [`NoiseCovariance`].
    NoiseCovariance(NoiseCovariance),
    /// See [`NoiseScale`].
    NoiseScale(NoiseScale),
    /// See [`Valley`].
    Valley(Valley),
    /// See [`Figure`].
    Figure(Figure),
}

/// A stage description that this program cannot run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// There is no such kind.
    #[error("unknown stage kind `{0}`")]
    Kind(String),
    /// The kind exists in another version.
    #[error("stage kind `{kind}` version {found} is required, but this wdpipe computes version {known}")]
    Version {
        /// Name of the kind.
        kind: String,
        /// The requested version.
        found: u32,
        /// Version of this program.
        known: u32,
    },
    /// The parameters do not fit the kind.
    #[error("parameters of stage kind `{kind}`: {source}")]
    Parameters {
        /// Name of the kind.
        kind: String,
        /// What is wrong.
        source: ValueError,
    },
}

/// Every kind: name and version. The order is that of [`Work`].
const KINDS: [(&str, u32); 13] = [
    ("dataset", 1),
    ("init", 1),
    ("weights", 1),
    ("train", 1),
    ("probe", 1),
    ("ema_eval", 1),
    ("predictions", 1),
    ("hessian_trace", 3),
    ("top_eigenvalue", 2),
    ("noise_covariance", 2),
    ("noise_scale", 3),
    ("valley", 1),
    ("figure", 5),
];

impl Work {
    fn entry(&self) -> (&'static str, u32) {
        KINDS[match self {
            Self::Dataset(_) => 0,
            Self::Init(_) => 1,
            Self::Imported(_) => 2,
            Self::Train(_) => 3,
            Self::Probe(_) => 4,
            Self::EmaEval(_) => 5,
            Self::Predictions(_) => 6,
            Self::HessianTrace(_) => 7,
            Self::TopEigenvalue(_) => 8,
            Self::NoiseCovariance(_) => 9,
            Self::NoiseScale(_) => 10,
            Self::Valley(_) => 11,
            Self::Figure(_) => 12,
        }]
    }

    /// Returns the names of all kinds.
    pub fn kinds() -> impl Iterator<Item = &'static str> {
        KINDS.iter().map(|(name, _)| *name)
    }

    /// Returns the name of the kind.
    pub fn kind(&self) -> &'static str {
        self.entry().0
    }

    /// Returns the version of the kind: it is part of every key, and bumped when the kind computes something
    /// different.
    pub fn version(&self) -> u32 {
        self.entry().1
    }

    /// Returns the parameters as plain data.
    ///
    /// # Errors
    /// If a parameter is NaN.
    pub fn parameters(&self) -> Result<Map, ValueError> {
        match Value::of(self)? {
            Value::Map(map) => Ok(map),
            other => Err(ValueError::Unsupported(format!("{other} is not a set of parameters"))),
        }
    }

    /// Returns the canonical encoding of the parameters.
    ///
    /// # Errors
    /// If a parameter is NaN.
    pub fn encoded(&self) -> Result<Vec<u8>, ValueError> {
        value::encoded(self)
    }

    /// Returns the work described by a kind, version and parameters: the inverse of the methods above.
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
            "weights" => value.to().map(Self::Imported),
            "train" => value.to().map(Self::Train),
            "probe" => value.to().map(Self::Probe),
            "ema_eval" => value.to().map(Self::EmaEval),
            "predictions" => value.to().map(Self::Predictions),
            "hessian_trace" => value.to().map(Self::HessianTrace),
            "top_eigenvalue" => value.to().map(Self::TopEigenvalue),
            "noise_covariance" => value.to().map(Self::NoiseCovariance),
            "noise_scale" => value.to().map(Self::NoiseScale),
            "valley" => value.to().map(Self::Valley),
            _ => value.to().map(Self::Figure),
        }
        .map_err(|source| WorkError::Parameters { kind: kind.to_owned(), source })
    }

    /// Returns the names of the outputs, in order. Diverged training also has `diverged`.
    pub fn outputs(&self) -> Vec<&'static str> {
        match self {
            Self::Dataset(_) => vec!["train", "test"],
            Self::Init(_) | Self::Imported(_) => vec!["weights"],
            Self::Train(train) => [vec!["weights"], train.keeps(), vec!["metrics"]].concat(),
            Self::Probe(_) => vec!["weights", "metrics"],
            Self::EmaEval(_) => vec!["metrics"],
            Self::Predictions(_) => vec!["predictions"],
            Self::HessianTrace(_) => vec!["trace"],
            Self::TopEigenvalue(_) => vec!["eigenvalues"],
            Self::NoiseCovariance(_) => vec!["cosines", "products"],
            Self::NoiseScale(_) => vec!["scale"],
            Self::Valley(_) => vec!["path", "tuned", "optimum", "landscape"],
            Self::Figure(_) => vec!["svg", "png", "pdf", "numbers"],
        }
    }

    /// Returns the network whose weights are among the outputs.
    pub fn network(&self) -> Option<Model> {
        match self {
            Self::Init(p) => Some(p.model),
            Self::Imported(p) => Some(p.model),
            Self::Train(p) => Some(p.model),
            Self::Probe(p) => Some(p.model),
            _ => None,
        }
    }

    /// Returns the values in the column `epoch` of its tables, for tables that have one (see [`METRICS`]).
    pub fn epochs(&self) -> Option<RangeInclusive<u32>> {
        let after = match self {
            Self::Train(p) => return Some(p.first_epoch..=(p.first_epoch.saturating_add(p.epochs)).saturating_sub(1)),
            Self::Probe(p) => p.after,
            Self::EmaEval(p) => p.after,
            Self::HessianTrace(p) => p.after,
            Self::TopEigenvalue(p) => p.after,
            Self::NoiseCovariance(p) => p.after,
            Self::NoiseScale(p) => p.after,
            Self::Dataset(_)
            | Self::Init(_)
            | Self::Imported(_)
            | Self::Predictions(_)
            | Self::Valley(_)
            | Self::Figure(_) => return None,
        };
        let row = after.saturating_sub(1);
        Some(row..=row)
    }

    /// Returns the precision in which products are computed.
    pub fn precision(&self) -> Precision {
        match self {
            Self::Train(p) => p.numerics.precision,
            Self::Probe(p) => p.numerics.precision,
            Self::HessianTrace(p) => p.precision,
            Self::NoiseScale(p) => p.precision,
            _ => Precision::Fp32,
        }
    }

    /// Whether the work is done with libtorch, and so depends on the numeric policy.
    pub fn needs_torch(&self) -> bool {
        !matches!(self, Self::Dataset(_) | Self::Init(_) | Self::Imported(_) | Self::Valley(_) | Self::Figure(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn parameters_round_trip_and_unknown_ones_are_refused() {
        let work = Work::Train(Train {
            model: Model::new(ModelName::PreactResnet18, 8, 10),
            numerics: Numerics::float32(false),
            batch: 128,
            lr: 0.1,
            wd: 0.015,
            momentum: 0.0,
            sphere: Some(Sphere { radius: 1.0, every: Projection::Step }),
            ema: Some(0.999),
            first_epoch: 1,
            epochs: 2,
            eval_every: None,
            eval_images: None,
            seed: 3,
        });
        let mut parameters = work.parameters().unwrap();
        assert!(!parameters.keys().any(|name| name.starts_with("eval")), "unset options do not enter keys");
        assert_eq!(Work::from_parameters("train", work.version(), &parameters).unwrap(), work);
        let mut bytes = Vec::new();
        value::encode_map(&mut bytes, &parameters);
        assert_eq!(work.encoded().unwrap(), bytes);
        assert!(matches!(Work::from_parameters("train", 99, &parameters), Err(WorkError::Version { .. })));
        assert!(matches!(Work::from_parameters("trian", 1, &parameters), Err(WorkError::Kind(_))));
        parameters.insert("lrr".into(), Value::Int(1));
        assert!(matches!(Work::from_parameters("train", 1, &parameters), Err(WorkError::Parameters { .. })));
    }
}
