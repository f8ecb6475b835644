//! The one way to run a stage: its work and the objects that it reads in, the bytes of its outputs out.
//!
//! A [`Worker`] serves one thread. It keeps what it has on its device, so that segments of training that
//! follow each other do not load what they have just saved; the bytes are the same either way.

#[cfg(feature = "torch")]
mod curvature;
mod dataset;
mod device;
mod figure;
mod outputs;
mod processor;
#[cfg(feature = "torch")]
pub mod selftest;
#[cfg(feature = "torch")]
mod torch;
mod valley;

use std::collections::BTreeMap;

#[cfg(feature = "torch")]
pub(crate) use device::open;
pub use device::{Device, built_with, describe, gpus, has_room, libraries, prepare, variables_without_effect};
pub use outputs::{Notes, Outputs, Product};
pub use processor::describe as describe_processor;

use base::digest::ObjectDigest;
use base::table::{Table, TableError};
use base::work::{EmaEval, Policy, Work};
use draw::figure::FigureError;
use learn::data::ImagesError;
use learn::weights::Weights;
use learn::{Divergence, LearnError};
use store::StoreError;

/// How far a stage is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Share of the work done, from 0 to 1.
    pub done: f64,
    /// Training loss of the latest batch, if it trains.
    pub loss: Option<f64>,
    /// Training images a second, if it trains.
    pub images_per_second: Option<f64>,
}

/// Why a stage failed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The stage was not given something that its kind reads.
    #[error("the input `{0}` is missing")]
    NoInput(String),
    /// An input cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An input is no set of images, or too small a one.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// An input is no table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The numbers could not be computed.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// The figure could not be drawn.
    #[error(transparent)]
    Figure(#[from] FigureError),
    /// libtorch or the device is not to be had.
    #[error("{0}")]
    Device(String),
    /// The device had no room while another stage recorded a step, when memory that is kept for later cannot be freed.
    #[error("{0}")]
    WhileRecording(LearnError),
    /// This program was built without libtorch.
    #[error("this wdpipe was built without libtorch and cannot compute it")]
    NoTorch,
    /// Asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl StageError {
    /// Whether something is missing that the user can bring, rather than that the work failed.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Device(_) | Self::NoTorch)
    }

    /// What libtorch says when the device has no room.
    #[cfg(test)]
    pub fn no_room() -> Self {
        Self::Learn(LearnError::Torch("CUDA out of memory".to_owned()))
    }

    /// The same while another stage records a step.
    #[cfg(test)]
    pub fn no_room_while_recording() -> Self {
        Self::WhileRecording(LearnError::Torch("CUDA out of memory".to_owned()))
    }

    /// Whether the device had no room, as libtorch, cuBLAS and cuDNN say it.
    pub fn is_out_of_memory(&self) -> bool {
        // The last is what is left when cuDNN finds no room for any of its plans.
        let said = ["out of memory", "_STATUS_ALLOC_FAILED", "unable to find an engine to execute"];
        match self {
            Self::Learn(LearnError::Torch(text)) => said.iter().any(|said| text.contains(said)),
            _ => self.is_passing(),
        }
    }

    /// Whether that may pass by itself.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::WhileRecording(_))
    }

    /// Whether the store failed.
    pub fn is_storage(&self) -> bool {
        matches!(self, Self::Store(_))
    }
}

/// What the output `diverged` of a stage of training says, in words; nothing if the bytes are no such table.
pub fn divergence(bytes: &[u8]) -> Option<String> {
    let table = Table::from_bytes(bytes).ok()?;
    let value = |name: &str| table.numbers(name)?.first().copied();
    let last_finite_loss = value("last_finite_loss").filter(|loss| loss.is_finite());
    let (epoch, step) = (value("epoch")? as u32, value("step")? as usize);
    Some(Divergence { epoch, step, lr: value("lr")?, last_finite_loss }.to_string())
}

/// Reads an input by its role.
pub type Read<'a> = dyn Fn(&str) -> Result<Vec<u8>, StageError> + 'a;

/// Takes progress; answers whether to go on.
pub type Report<'a> = dyn FnMut(Progress) -> bool + 'a;

/// Runs stages one after the other on one thread.
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
    /// A worker whose numeric stages run on `device` under `policy`; its number says on which of several GPUs, if the device
    /// leaves that open. Nothing is loaded before it is needed.
    pub fn new(device: Device, policy: Policy, number: usize) -> Self {
        Self {
            device,
            policy,
            number,
            #[cfg(feature = "torch")]
            torch: None,
        }
    }

    /// Runs a stage. `objects` are the hashes of its inputs by role, `read` gives their bytes.
    ///
    /// # Errors
    /// If an input cannot be read or the work cannot be done; [`StageError::Cancelled`] if `report` says
    /// to stop.
    pub fn run(
        &mut self,
        work: &Work,
        objects: &BTreeMap<String, ObjectDigest>,
        read: &Read<'_>,
        report: &mut Report<'_>,
    ) -> Result<Outputs, StageError> {
        match work {
            Work::Dataset(data) => dataset::dataset(data, read),
            Work::Init(init) => {
                let weights = learn::init::initial_weights(init.model, init.scheme, init.radius, init.seed)?;
                Ok(Outputs::whole([("weights", weights.to_bytes()?)]))
            }
            Work::Imported(imported) => {
                let layout = learn::layout::layout(imported.model)?;
                let weights = Weights::from_bytes(&read("weights")?, &layout.entries)?;
                let weights = match imported.radius {
                    Some(radius) => learn::init::scaled_to(radius, &layout, &weights),
                    None => weights,
                };
                Ok(Outputs::whole([("weights", weights.to_bytes()?)]))
            }
            Work::Valley(work) => valley::valley(work, report),
            Work::Figure(figure) => figure::figure(figure, objects, read),
            _ => self.compute(work, objects, read, report),
        }
    }

    /// The tensors of the network that an evaluation of averaged weights evaluates: the average, with batch-norm statistics
    /// estimated as in that evaluation. The evaluation itself records numbers only.
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
        self.torch()?.averaged_weights(work, objects, read)
    }

    /// The same without libtorch.
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

    #[cfg(feature = "torch")]
    fn compute(
        &mut self,
        work: &Work,
        objects: &BTreeMap<String, ObjectDigest>,
        read: &Read<'_>,
        report: &mut Report<'_>,
    ) -> Result<Outputs, StageError> {
        self.torch()?.run(work, objects, read, report).map_err(|error| match error {
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
    ) -> Result<Outputs, StageError> {
        Err(StageError::NoTorch)
    }

    /// The device of numeric stages, such as `cpu` or `cuda`, for records.
    pub fn device(&self) -> String {
        #[cfg(feature = "torch")]
        if let Some(torch) = &self.torch {
            return torch.device_name();
        }
        self.device.to_string()
    }

    /// The class of machines within which numeric stages give the same bytes, for records.
    pub fn machine(&self) -> String {
        #[cfg(feature = "torch")]
        if let Some(torch) = &self.torch {
            return torch.machine();
        }
        String::new()
    }
}
