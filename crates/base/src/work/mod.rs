//! The table of all kinds of stages. Each kind has its own file, with its parameters and the other facts that the program
//! knows about it ([`Kind`]). The program's module `stages` runs it.
//!
//! A stage's parameters are hashed as plain data (see [`crate::value`]). So a new optional parameter that is left out
//! when it is not set does not change old keys.

mod bulk;
mod command;
mod contract;
mod cost;
mod dataset;
mod ema_eval;
mod figure;
mod hessian_trace;
mod import;
mod imported;
mod init;
mod kind;
mod loss;
mod model;
mod noise_covariance;
mod noise_scale;
mod predictions;
mod probe;
mod top_eigenvalue;
mod train;
mod valley;

pub use bulk::is_bulk;
pub use command::{Command, Image, LockFile, NOT_CODE, Out, OutputFormat, Parameter, SECONDS, Terms};
pub use contract::{Contract, Tolerance};
pub use cost::{Activations, Cost, Images, Steps};
pub use dataset::{Dataset, Source};
pub use ema_eval::{EMA_METRICS, EmaEval};
pub use figure::{Axis, Curve, Figure, FontSize, Guide, Mark, Panel, Rows, Scale, Width};
pub use hessian_trace::{Estimator, HessianTrace, Stop, TRACE};
pub use import::Import;
pub use imported::Imported;
pub use init::Init;
pub use kind::{Content, Holds, Kind, OutputSpec, Presence, row_of};
pub use loss::{Loss, NormStatistics};
pub use model::{InitScheme, InputScale, Model, ModelName, Numerics, Policy, Precision, Projection, Sphere};
pub use noise_covariance::{COSINES, NoiseCovariance, PRODUCTS};
pub use noise_scale::{NoiseScale, SCALE};
pub use predictions::{PREDICTIONS, Predictions};
pub use probe::Probe;
pub use top_eigenvalue::{EIGENVALUES, TopEigenvalue};
pub use train::{DIVERGED, METRICS, Train};
pub use valley::{LANDSCAPE, OPTIMUM, PATH, TUNED, Valley};

use std::ops::RangeInclusive;

use serde::Serialize;

use crate::value::{self, Map, Value, ValueError};

/// Generates all code that has one case for each kind from the table of kinds.
macro_rules! kinds {
    ($($kind:ident)*) => {
        /// The work of a stage. Its serialized form is the parameters alone, without the kind.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum Work {
            $(#[doc = concat!("See [`", stringify!($kind), "`].")] $kind($kind),)*
        }

        /// The name of a kind.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum KindName {
            $(#[doc = concat!("See [`", stringify!($kind), "`].")] $kind,)*
        }

        impl KindName {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// Returns the name in pipelines, records and keys.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $kind::NAME,)* }
            }

            /// Returns the version, see [`Kind::VERSION`].
            pub fn version(self) -> u32 {
                match self { $(Self::$kind => $kind::VERSION,)* }
            }

            /// Returns all outputs that a stage of the kind can have, in order.
            pub fn outputs(self) -> &'static [OutputSpec] {
                match self { $(Self::$kind => $kind::OUTPUTS,)* }
            }

            /// Returns the tolerance of a computed number, see [`Kind::tolerance`].
            fn computed(self, column: &str) -> Option<Tolerance> {
                match self { $(Self::$kind => $kind::tolerance(column),)* }
            }

            fn work(self, parameters: &Value) -> Result<Work, ValueError> {
                match self { $(Self::$kind => parameters.to().map(Work::$kind),)* }
            }
        }

        impl Work {
            /// Returns the name of the kind.
            pub fn kind_name(&self) -> KindName {
                match self { $(Self::$kind(_) => KindName::$kind,)* }
            }

            /// Returns whether the stage has an output that only some of its kind have, see [`Kind::has`].
            fn has(&self, output: &str) -> bool {
                match self { $(Self::$kind(stage) => stage.has(output),)* }
            }

            /// Returns the roles of the inputs, see [`Kind::inputs`].
            pub fn inputs(&self) -> Vec<&str> {
                match self { $(Self::$kind(stage) => stage.inputs(),)* }
            }

            /// Returns what a user has to import first, see [`Kind::import`].
            pub fn import(&self) -> Option<Import<'_>> {
                match self { $(Self::$kind(stage) => stage.import(),)* }
            }

            /// Returns what the outputs contain, see [`Kind::holds`].
            pub fn holds(&self) -> Holds {
                match self { $(Self::$kind(stage) => stage.holds(),)* }
            }

            /// Returns the arithmetic of the stage in libtorch, see [`Kind::numerics`].
            pub fn numerics(&self) -> Option<Numerics> {
                match self { $(Self::$kind(stage) => stage.numerics(),)* }
            }

            /// Returns the values in the column `epoch`, see [`Kind::epochs`].
            pub fn epochs(&self) -> Option<RangeInclusive<u32>> {
                match self { $(Self::$kind(stage) => stage.epochs(),)* }
            }

            /// Returns the cost of the stage, see [`Kind::cost`].
            pub fn cost(&self, images: Images) -> Option<Cost> {
                match self { $(Self::$kind(stage) => stage.cost(images),)* }
            }
        }
    };
}

// The table of kinds. A new kind needs a line here, a file beside this one, a form in the program's module `spec::forms`, and a
// file and a line in its module `stages`.
kinds! {
    Dataset
    Init
    Imported
    Train
    Probe
    EmaEval
    Predictions
    HessianTrace
    TopEigenvalue
    NoiseCovariance
    NoiseScale
    Valley
    Command
    Figure
}

/// Why this program cannot run the stage that a record describes.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkError {
    /// There is no such kind.
    #[error("unknown stage kind `{0}`")]
    Kind(String),
    /// The program knows another version of the kind.
    #[error("stage kind `{kind}` version {found} is requested, but this wdpipe computes version {known}")]
    Version {
        /// Name of the kind.
        kind: String,
        /// The requested version.
        found: u32,
        /// The version that this program knows.
        known: u32,
    },
    /// The parameters do not fit the kind.
    #[error("parameters of stage kind `{kind}`: {source}")]
    Parameters {
        /// Name of the kind.
        kind: String,
        /// The mistake.
        source: ValueError,
    },
}

impl KindName {
    /// Checks whether stages of this kind run a program of the user's own, whose isolation is recorded.
    pub fn runs_program(self) -> bool {
        matches!(self, Self::Command)
    }

    /// Finds a kind by its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl Work {
    /// Returns the kind's name in pipelines, records and keys.
    pub fn kind(&self) -> &'static str {
        self.kind_name().name()
    }

    /// Returns the kind's version, which is part of every key.
    pub fn version(&self) -> u32 {
        self.kind_name().version()
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

    /// Returns the work that a kind, a version and parameters describe.
    ///
    /// # Errors
    /// If this program does not know the kind or the version, or the parameters do not fit.
    pub fn from_parameters(kind: &str, version: u32, parameters: &Map) -> Result<Self, WorkError> {
        let name = KindName::named(kind).ok_or_else(|| WorkError::Kind(kind.to_owned()))?;
        let known = name.version();
        if version != known {
            return Err(WorkError::Version { kind: kind.to_owned(), found: version, known });
        }
        let work = name.work(&Value::Map(parameters.clone()));
        work.map_err(|source| WorkError::Parameters { kind: kind.to_owned(), source })
    }

    /// Returns the network whose weights are among the outputs.
    pub fn network(&self) -> Option<Model> {
        match self.holds() {
            Holds::Weights(model) => Some(model),
            Holds::Images(_) | Holds::Nothing => None,
        }
    }

    /// Returns all outputs that stages with these declarations can have, in order: those of the kind, or of the command.
    pub fn specs(&self) -> &'static [OutputSpec] {
        if let Self::Command(command) = self { command.specs() } else { self.kind_name().outputs() }
    }

    /// Lists the tables that curves can be drawn from, with name and columns, the default table first.
    pub fn tables(&self) -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
        let always = self.specs().iter().filter(|output| output.presence == Presence::Always);
        always.filter_map(|output| match output.content {
            Content::Table(columns) => Some((output.name, columns)),
            Content::Images
            | Content::Network
            | Content::Parameters
            | Content::LossScale
            | Content::Drawing
            | Content::Plotted
            | Content::Json
            | Content::Bytes => None,
        })
    }

    /// Lists the outputs that the stage has, in order. A stage of training that diverges has `diverged` as well.
    pub fn declared(&self) -> impl Iterator<Item = &'static OutputSpec> {
        self.specs().iter().filter(|output| match output.presence {
            Presence::Always => true,
            Presence::Sometimes => self.has(output.name),
            Presence::OnDivergence => false,
        })
    }

    /// Returns the names of the outputs that the stage has, in order.
    pub fn outputs(&self) -> Vec<&'static str> {
        self.declared().map(|output| output.name).collect()
    }

    /// Returns the figure that the stage draws, if it draws one.
    pub fn figure(&self) -> Option<&Figure> {
        if let Self::Figure(figure) = self { Some(figure) } else { None }
    }

    /// Returns the precision of products.
    pub fn precision(&self) -> Precision {
        self.numerics().map_or(Precision::Fp32, |numerics| numerics.precision)
    }

    /// Checks whether libtorch does the work, so that the bytes depend on the numeric policy.
    pub fn needs_torch(&self) -> bool {
        self.numerics().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One stage of every kind, in the table's order.
    const KINDS: [(&str, &str); 14] = [
        ("dataset", "source = 'cifar10', train = 10, test = 10, seed = 0"),
        ("init", "model = M, scheme = 'he', seed = 0"),
        ("weights", "model = M, name = 'x'"),
        (
            "train",
            "model = M, numerics = { precision = 'fp16', channels_last = false }, batch = 1, lr = 0.1, wd = 0.0, \
             momentum = 0.9, ema = 0.9, first_epoch = 0, epochs = 1, seed = 0",
        ),
        ("probe", "model = M, numerics = N, batch = 1, lr = 0.1, wd = 0.0, after = 1, epochs = 1, seed = 0"),
        ("ema_eval", "model = M, numerics = N, batch = 1, after = 1, seed = 0"),
        ("predictions", "model = M"),
        ("hessian_trace", "loss = L, estimator = 'exact', after = 1, seed = 0"),
        ("top_eigenvalue", "loss = L, iterations = 1, tolerance = 0.1, after = 1, seed = 0"),
        ("noise_covariance", "loss = L, draws = 1, after = 1, seed = 0"),
        ("noise_scale", "loss = L, after = 1, seed = 0"),
        ("valley", "lr = 0.1, noise = 0.1, steps = 1, every = 1, flow_lr = 0.1, flow_steps = 1, seed = 0"),
        (
            "command",
            "run = ['a', '{in.x}'], inputs = ['x'], code = {}, out = { t = { format = 'table' }, \
             d = { format = 'svg' }, j = { format = 'json' } }, parameters = { rho = 0.1 }, after = 1",
        ),
        ("figure", "name = 'fig', title = '', columns = 1, panels = []"),
    ];

    /// Makes the stage of a kind with these parameters, in which `M`, `N` and `L` stand for a network, an arithmetic and a loss.
    fn sample(kind: &str, parameters: &str) -> Work {
        let text = parameters
            .replace("= L", "= { model = M, images = 1, batch = 1, statistics = 'running' }")
            .replace("= M", "= { name = 'vgg16', width = 1, classes = 10 }")
            .replace("= N", "= { precision = 'fp32', channels_last = false }");
        let table: toml::Table = toml::from_str(&format!("x = {{ {text} }}")).unwrap();
        let Value::Map(map) = Value::of(&table["x"]).unwrap() else { panic!("{text}") };
        Work::from_parameters(kind, KindName::named(kind).unwrap().version(), &map).unwrap()
    }

    #[test]
    fn every_kind_is_found_by_its_name_and_has_the_outputs_that_it_declares() {
        assert!(
            KindName::ALL.iter().map(|kind| kind.name()).eq(KINDS.map(|(kind, _)| kind)),
            "a kind is missing above"
        );
        for (kind, parameters) in KINDS {
            let work = sample(kind, parameters);
            assert_eq!(work.kind(), kind);
            let declared = work.specs().iter().filter(|output| output.presence != Presence::OnDivergence);
            // If only some stages of a kind have an output, the sample has it.
            assert!(declared.map(|output| output.name).eq(work.outputs()), "{kind}");
            let again = Work::from_parameters(kind, work.version(), &work.parameters().unwrap());
            assert_eq!(again.unwrap(), work);
        }
    }

    #[test]
    fn the_work_of_every_kind_is_counted_in_forward_passes() {
        let counted = KINDS.iter().filter_map(|(kind, parameters)| {
            let cost = sample(kind, parameters).cost(Images { train: 60.0, test: 20.0 })?;
            Some((*kind, cost.passes, cost.copies, cost.epochs))
        });
        let wanted = [
            // Three passes for each training image, then an evaluation of all images.
            ("train", 260.0, 5.0, 1),
            ("probe", 260.0, 2.0, 1),
            ("ema_eval", 140.0, 1.0, 0),
            ("predictions", 20.0, 1.0, 0),
            // The loss has one image.
            ("hessian_trace", 19.0, 2.0, 0),
            ("top_eigenvalue", 9.0, 5.0, 0),
            ("noise_covariance", 13.0, 6.0, 0),
            ("noise_scale", 26.0, 3.0, 0),
        ];
        assert_eq!(counted.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn what_needs_libtorch_costs_something_and_nothing_else_does() {
        for (kind, parameters) in KINDS {
            let work = sample(kind, parameters);
            assert_eq!(work.cost(Images { train: 10.0, test: 10.0 }).is_some(), work.needs_torch(), "{kind}");
            let by_class = work.needs_torch() || kind == "command";
            assert_eq!(work.contract() == Contract::MachineClass, by_class, "{kind}");
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
