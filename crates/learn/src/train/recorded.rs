//! A training step that a GPU records once and repeats: the host launches some 300 kernels in one call. The kernels are the
//! same and in the same order, so the bits are the same as without a recording.

use tch::Tensor;

use super::{Sgd, State};
use crate::LearnError;
use crate::batches::DeviceImages;
use crate::model::copied;
use crate::torch::{Recording, Session, gpu};

/// Number of steps done one by one before recording: they choose kernels and allocate memory, which cannot be recorded.
const FIRST: u32 = 3;

/// Number of attempts to record: one can fail if another thread begins to use a CUDA library.
const ATTEMPTS: u32 = 3;

/// How steps are done.
#[derive(Default)]
pub(super) enum Steps {
    /// No step was done yet.
    #[default]
    None,
    /// Steps are done one by one: the setting, the number of steps done in it, and the number of failed attempts to record.
    Counting(Setting, u32, u32),
    /// Steps replay a recording.
    Recorded(Box<Recorded>),
    /// Steps are done one by one, because recording failed for this reason.
    OneByOne(String),
}

/// The conditions for which a recording is valid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Setting {
    sgd: Sgd,
    /// Addresses of the images.
    images: [*mut std::ffi::c_void; 4],
    count: usize,
    batch: usize,
}

/// A recorded step. Fields are dropped in their order: the recording before the tensors that it reads.
pub(super) struct Recorded {
    setting: Setting,
    /// The recording, which returns the loss of the batch.
    recording: Recording<Tensor>,
    /// The rows of the batch, written before every replay.
    rows: Tensor,
}

impl State {
    /// Does a step on the images at `rows`: recorded, or one by one where recording is impossible or not worthwhile. Returns
    /// the cross-entropy before the step, which is valid until the next step.
    pub(super) fn next_step(
        &mut self,
        images: &DeviceImages,
        rows: &Tensor,
        sgd: &Sgd,
        session: &Session,
    ) -> Result<Tensor, LearnError> {
        if !self.network.arithmetic().device.is_cuda() {
            return self.step_at(images, rows, sgd, session);
        }
        let setting = Setting { sgd: *sgd, images: images.addresses(), count: images.count(), batch: rows.numel() };
        match std::mem::take(&mut self.steps) {
            Steps::Recorded(recorded) if recorded.setting == setting => {
                let mut into = recorded.rows.shallow_clone();
                into.f_copy_(rows)?;
                recorded.recording.replay().map_err(LearnError::Torch)?;
                let loss = recorded.recording.made.shallow_clone();
                self.steps = Steps::Recorded(recorded);
                Ok(loss)
            }
            Steps::Counting(counted, FIRST, failed) if counted == setting => {
                match self.record(images, rows, setting, session) {
                    Ok(recorded) => {
                        self.steps = Steps::Recorded(Box::new(recorded));
                        self.next_step(images, rows, sgd, session)
                    }
                    Err(reason) => {
                        self.steps = match failed + 1 {
                            ATTEMPTS => Steps::OneByOne(reason),
                            failed => Steps::Counting(setting, 0, failed),
                        };
                        self.step_at(images, rows, sgd, session)
                    }
                }
            }
            before => {
                self.steps = match before {
                    Steps::OneByOne(reason) => Steps::OneByOne(reason),
                    Steps::Counting(counted, done, failed) if counted == setting => {
                        Steps::Counting(setting, done + 1, failed)
                    }
                    _ => Steps::Counting(setting, 1, 0),
                };
                self.step_at(images, rows, sgd, session)
            }
        }
    }

    /// Returns why steps are done one by one on a GPU, if recording them failed.
    pub fn not_recorded(&self) -> Option<&str> {
        if let Steps::OneByOne(reason) = &self.steps { Some(reason) } else { None }
    }

    fn record(
        &mut self,
        images: &DeviceImages,
        rows: &Tensor,
        setting: Setting,
        session: &Session,
    ) -> Result<Recorded, String> {
        let own = copied(rows).map_err(|error| error.to_string())?;
        let step = || self.step_at(images, &own, &setting.sgd, session).map_err(|error| error.to_string());
        let recording = gpu()?.record(step)?;
        Ok(Recorded { setting, recording, rows: own })
    }

    fn step_at(
        &mut self,
        images: &DeviceImages,
        rows: &Tensor,
        sgd: &Sgd,
        session: &Session,
    ) -> Result<Tensor, LearnError> {
        let (x, y) = images.gather(rows)?;
        self.step(&x, &y, sgd, session)
    }
}
