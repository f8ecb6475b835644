//! Runs stages. Each kind has its own file with a function from the stage's parameters and inputs to its outputs.
//!
//! A [`Worker`] serves one thread. It keeps data on its device, so that a segment of training does not load the state that the
//! previous segment has just saved; the bytes are the same either way.

mod command;
mod dataset;
mod device;
mod error;
mod figure;
mod imported;
mod init;
mod outputs;
mod processor;
mod valley;

#[cfg(feature = "torch")]
mod curvature;
#[cfg(feature = "torch")]
mod ema_eval;
#[cfg(feature = "torch")]
mod epochs;
#[cfg(feature = "torch")]
mod hessian_trace;
#[cfg(feature = "torch")]
mod noise_covariance;
#[cfg(feature = "torch")]
mod noise_scale;
#[cfg(feature = "torch")]
mod predictions;
#[cfg(feature = "torch")]
mod probe;
#[cfg(feature = "torch")]
pub mod selftest;
#[cfg(feature = "torch")]
mod top_eigenvalue;
#[cfg(feature = "torch")]
mod torch;
#[cfg(feature = "torch")]
mod train;

use std::collections::BTreeMap;

pub use command::{CommandSandbox, other_files};
#[cfg(feature = "torch")]
pub(crate) use device::open;
pub use device::{
    Device, built_with, describe, gpus, has_room, libraries, libtorch_setup, own_libtorch, prepare,
    variables_without_effect,
};
pub use error::StageError;
pub use outputs::{Notes, Outputs, Product};
pub use processor::describe as describe_processor;

use base::digest::ObjectDigest;
use base::table::Table;
#[cfg(not(feature = "torch"))]
use base::work::Kind;
use base::work::{EmaEval, METRICS, Policy, Work};
use learn::Divergence;
#[cfg(feature = "torch")]
use learn::LearnError;
use learn::weights::Weights;

/// A row of a table with the columns [`METRICS`].
pub type MetricsRow = [f64; METRICS.len()];

/// What a stage reports while it runs. Everything in it is computed in any case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Progress {
    /// This share of the work is done, from 0 to 1.
    Done(f64),
    /// A step of training was submitted to the device.
    Step {
        /// Share of the work done, from 0 to 1.
        done: f64,
        /// Number of epochs since the initial weights; a probe counts from its own start.
        epoch: f64,
        /// Training loss of the latest batch whose loss was read in this epoch.
        loss: Option<f64>,
        /// Training images per second.
        images_per_second: f64,
    },
    /// An epoch of training ended.
    Epoch {
        /// Number of epochs since the initial weights; a probe counts from its own start.
        epoch: f64,
        /// Mean training loss of the batches of the epoch.
        loss: f64,
    },
    /// A segment of training evaluated its network.
    Evaluated(MetricsRow),
}

/// Describes the output `diverged` of a stage of training in words; returns `None` if the bytes are not such a table.
pub fn divergence(bytes: &[u8]) -> Option<String> {
    let table = Table::from_bytes(bytes).ok()?;
    let value = |name: &str| table.numbers(name)?.first().copied();
    let last_finite_loss = value("last_finite_loss").filter(|loss| loss.is_finite());
    let (epoch, step) = (value("epoch")? as u32, value("step")? as usize);
    Some(Divergence { epoch, step, lr: value("lr")?, last_finite_loss }.to_string())
}

/// A function that reads an input by its role.
pub type Read<'a> = dyn Fn(&str) -> Result<Vec<u8>, StageError> + 'a;

/// A function that receives progress and returns whether to continue.
pub type Report<'a> = dyn FnMut(Progress) -> bool + 'a;

/// Expands to the function that runs a numeric stage: `run` of its kind's module. Without libtorch there is no such function, so
/// the macro expands to the stage.
#[cfg(feature = "torch")]
macro_rules! numeric {
    ($kind:ident, $stage:ident) => {
        |torch, inputs, report| $kind::run($stage, torch, inputs, report)
    };
}

#[cfg(not(feature = "torch"))]
macro_rules! numeric {
    ($kind:ident, $stage:ident) => {
        $stage
    };
}

/// A worker that runs stages one after the other on one thread.
pub struct Worker {
    device: Device,
    #[cfg_attr(not(feature = "torch"), expect(dead_code, reason = "nothing is computed"))]
    policy: Policy,
    #[cfg_attr(not(feature = "torch"), expect(dead_code, reason = "nothing is computed"))]
    number: usize,
    #[cfg(feature = "torch")]
    torch: Option<torch::Torch>,
}

impl Worker {
    /// Makes a worker whose numeric stages run on `device` under `policy`. If the device is `auto` and there are several GPUs,
    /// `number` selects one. Libraries are loaded only when they are needed.
    pub fn new(device: Device, policy: Policy, number: usize) -> Self {
        Self {
            device,
            policy,
            number,
            #[cfg(feature = "torch")]
            torch: None,
        }
    }

    /// Runs a stage. `objects` has the hashes of its inputs by role, and `read` returns their bytes.
    ///
    /// # Errors
    /// If an input cannot be read or the work cannot be done; [`StageError::Cancelled`] if `report` returns false.
    pub fn run(
        &mut self,
        work: &Work,
        objects: &BTreeMap<String, ObjectDigest>,
        read: &Read<'_>,
        report: &mut Report<'_>,
    ) -> Result<Outputs, StageError> {
        match work {
            Work::Dataset(stage) => dataset::run(stage, read),
            Work::Init(stage) => init::run(stage),
            Work::Imported(stage) => imported::run(stage, read),
            Work::Train(stage) => self.compute(work, objects, read, report, numeric!(train, stage)),
            Work::Probe(stage) => self.compute(work, objects, read, report, numeric!(probe, stage)),
            Work::EmaEval(stage) => self.compute(work, objects, read, report, numeric!(ema_eval, stage)),
            Work::Predictions(stage) => self.compute(work, objects, read, report, numeric!(predictions, stage)),
            Work::HessianTrace(stage) => self.compute(work, objects, read, report, numeric!(hessian_trace, stage)),
            Work::TopEigenvalue(stage) => self.compute(work, objects, read, report, numeric!(top_eigenvalue, stage)),
            Work::NoiseCovariance(stage) => {
                self.compute(work, objects, read, report, numeric!(noise_covariance, stage))
            }
            Work::NoiseScale(stage) => self.compute(work, objects, read, report, numeric!(noise_scale, stage)),
            Work::Valley(stage) => valley::run(stage, report),
            Work::Command(stage) => command::run(stage, &self.device, read, report),
            Work::Figure(stage) => figure::run(stage, objects, read),
        }
    }

    /// Returns the tensors of the network that a stage `ema_eval` evaluates: the average, with batch-norm statistics estimated as
    /// in that stage. The stage itself records only numbers.
    ///
    /// # Errors
    /// If an input cannot be read or the statistics cannot be computed.
    #[cfg(feature = "torch")]
    pub fn averaged(
        &mut self,
        work: &EmaEval,
        objects: &BTreeMap<String, ObjectDigest>,
        read: &Read<'_>,
    ) -> Result<Weights, StageError> {
        ema_eval::averaged_weights(work, self.torch()?, objects, read)
    }

    /// Fails, because there is no libtorch.
    ///
    /// # Errors
    /// Always.
    #[cfg(not(feature = "torch"))]
    pub fn averaged(
        &mut self,
        _: &EmaEval,
        _: &BTreeMap<String, ObjectDigest>,
        _: &Read<'_>,
    ) -> Result<Weights, StageError> {
        Err(StageError::NoTorch)
    }

    #[cfg(feature = "torch")]
    fn torch(&mut self) -> Result<&mut torch::Torch, StageError> {
        if self.torch.is_none() {
            self.torch = Some(torch::Torch::start(&self.device, self.policy, self.number)?);
        }
        self.torch.as_mut().ok_or(StageError::NoTorch)
    }

    /// Runs a stage with libtorch, using the function `run`.
    #[cfg(feature = "torch")]
    fn compute<'r>(
        &mut self,
        work: &Work,
        objects: &BTreeMap<String, ObjectDigest>,
        read: &Read<'_>,
        report: &mut Report<'r>,
        run: impl FnOnce(&mut torch::Torch, &torch::StageInputs<'_>, &mut Report<'r>) -> Result<Outputs, StageError>,
    ) -> Result<Outputs, StageError> {
        let made = self.torch()?.run(work, objects, read, |torch, inputs| run(torch, inputs, report));
        made.map_err(|error| match error {
            StageError::Learn(LearnError::Cancelled) => StageError::Cancelled,
            error => error,
        })
    }

    #[cfg(not(feature = "torch"))]
    #[expect(clippy::unused_self, reason = "has the signature of the other build")]
    fn compute(
        &mut self,
        _: &Work,
        _: &BTreeMap<String, ObjectDigest>,
        _: &Read<'_>,
        _: &mut Report<'_>,
        _: &impl Kind,
    ) -> Result<Outputs, StageError> {
        Err(StageError::NoTorch)
    }

    /// Returns the device of numeric stages, such as `cpu` or `cuda`, for records.
    pub fn device(&self) -> String {
        #[cfg(feature = "torch")]
        if let Some(torch) = &self.torch {
            return torch.device_name();
        }
        self.device.to_string()
    }

    /// Returns the class of machines within which numeric stages give the same bytes, for records.
    pub fn machine(&self) -> String {
        #[cfg(feature = "torch")]
        if let Some(torch) = &self.torch {
            return torch.machine();
        }
        String::new()
    }
}
