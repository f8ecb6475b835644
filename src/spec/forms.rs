//! The table of forms: how a pipeline describes each kind of stage.

use super::stages::{Form, Instance, Site};
use super::{command, curvature, start, training, valley};
use base::work::KindName;

/// Kinds whose outputs are states of a run. A probe can start from them.
const RUNS: &[KindName] = &[KindName::Init, KindName::Imported, KindName::Train];
/// Kinds that yield weights.
const WEIGHTS: &[KindName] = &[KindName::Init, KindName::Imported, KindName::Train, KindName::Probe];

/// Kinds whose outputs a command can read.
const ANY: &[KindName] = KindName::ALL;

/// Returns the form of a kind in `[stage.…]`, or `None` if the kind has no such table.
pub fn form(kind: KindName) -> Option<Form> {
    match kind {
        KindName::Dataset => Form::of_source(start::dataset),
        KindName::Init => Form::of_source(start::init),
        KindName::Imported => Form::of_source(start::imported),
        KindName::Train => Form::of_training(WEIGHTS, training::train),
        KindName::Probe => Form::of_training(RUNS, training::probe),
        KindName::EmaEval => Form::of_measurement(RUNS, training::ema_eval),
        KindName::Predictions => Form::of_measurement(WEIGHTS, training::predictions),
        KindName::HessianTrace => Form::of_measurement(WEIGHTS, curvature::hessian_trace),
        KindName::TopEigenvalue => Form::of_measurement(WEIGHTS, curvature::top_eigenvalue),
        KindName::NoiseCovariance => Form::of_measurement(WEIGHTS, curvature::noise_covariance),
        KindName::NoiseScale => Form::of_measurement(WEIGHTS, curvature::noise_scale),
        KindName::Valley => Form::of_source(valley::build),
        KindName::Command => {
            Some(Form { references: &["in"], starts_from: ANY, trains: false, build: command::command })
        }
        // A pipeline describes its figures by `[figure]` and `[[panel]]`.
        KindName::Figure => None,
    }
}

/// Checks whether a field of `[stage.…]` is not a parameter, but says what the stage is or names other stages.
pub fn is_reference(field: &str) -> bool {
    let named = || KindName::ALL.iter().filter_map(|kind| form(*kind)).any(|form| form.references.contains(&field));
    ["kind", "only"].contains(&field) || named()
}

impl Form {
    /// Makes the form of a kind that reads nothing from other stages.
    fn of_source(build: fn(&mut Site<'_>) -> Instance) -> Option<Self> {
        Some(Self { references: &[], starts_from: &[], trains: false, build })
    }

    /// Makes the form of a kind that trains from a checkpoint.
    fn of_training(starts_from: &'static [KindName], build: fn(&mut Site<'_>) -> Instance) -> Option<Self> {
        Some(Self { references: &["start", "data"], starts_from, trains: true, build })
    }

    /// Makes the form of a kind that measures checkpoints.
    fn of_measurement(starts_from: &'static [KindName], build: fn(&mut Site<'_>) -> Instance) -> Option<Self> {
        Some(Self { references: &["of", "data"], starts_from, trains: false, build })
    }
}
