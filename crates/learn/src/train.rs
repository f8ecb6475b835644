//! Training by SGD with weight decay, unconstrained or on a sphere, and the moving average of the parameters.

mod recorded;
mod update;

use tch::{Kind, Tensor, no_grad};

use super::batches::{DeviceImages, Pass};
use super::model::{Network, Statistics, copied};
use super::scaler::{Judged, Scaler};
use super::weights::Weights;
use super::{Divergence, LearnError};
use crate::torch::Session;
use base::work::{Projection, Sphere};
use recorded::Steps;

/// Momentum of the running statistics in training: r ← 0.9 r + 0.1 s.
const STATISTICS: Statistics = Statistics::Update { momentum: 0.1 };

/// A network in training, with the other state that is carried from step to step.
pub struct State {
    /// How a GPU does steps. This is the first field, because a recording must be dropped before the tensors it uses.
    steps: Steps,
    /// The network.
    pub network: Network,
    /// The moving average of the network's trained parameters, packed like them.
    average: Option<Tensor>,
    /// The momentum buffer, packed like the parameters.
    momentum: Option<Tensor>,
    /// The loss scale of float16.
    scaler: Option<Scaler>,
}

/// State that a run keeps in addition to the weights.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keeps<'a> {
    /// The moving average of the parameters.
    pub average: Kept<'a>,
    /// The momentum.
    pub momentum: Kept<'a>,
    /// The loss scale of float16.
    pub scaler: Kept<'a>,
}

/// Whether a run keeps a part of its state, and where that starts.
#[derive(Debug, Clone, Copy, Default)]
pub enum Kept<'a> {
    /// The run does not keep it.
    #[default]
    No,
    /// It starts new.
    Fresh,
    /// It continues from a checkpoint.
    From(&'a Weights),
}

/// The update rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sgd {
    /// Learning rate η.
    pub lr: f64,
    /// Weight decay λ.
    pub wd: f64,
    /// Momentum μ, if the state keeps it.
    pub momentum: f64,
    /// Decay β of the moving average, if the state keeps one.
    pub ema: f64,
    /// The sphere on which the trained parameters are kept.
    pub sphere: Option<Sphere>,
}

/// Progress of an epoch, reported to the caller after every step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Number of steps submitted to the device.
    pub step: usize,
    /// Number of steps of the epoch.
    pub steps: usize,
    /// Cross-entropy of the last step's batch, if requested.
    pub loss: Option<f64>,
}

/// The caller's answer to a report of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Continue.
    Continue,
    /// Read the loss and report again. This waits for the device, so it should be rare.
    Loss,
    /// Stop with [`LearnError::Cancelled`].
    Cancel,
}

/// Result of an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochSummary {
    /// Number of steps done.
    pub steps: usize,
    /// Mean over the steps of the batch's cross-entropy before its update, in training mode.
    pub loss: f64,
    /// ‖w‖₂ after the epoch, over all trained parameters.
    pub norm: f64,
}

impl State {
    /// Creates a run of `network`, new or continued from the result of [`State::end`].
    ///
    /// # Errors
    /// If an average or momentum does not belong to the network, or the device has not enough memory.
    pub fn new(network: Network, keeps: Keeps<'_>) -> Result<Self, LearnError> {
        let buffer = |kept: Kept<'_>, fresh: fn(&Tensor) -> Result<Tensor, LearnError>| match kept {
            Kept::No => Ok(None),
            Kept::Fresh => fresh(network.flat()).map(Some),
            Kept::From(weights) => network.parameter_buffer(weights).map(Some),
        };
        let average = buffer(keeps.average, copied)?;
        let momentum = buffer(keeps.momentum, |flat| Ok(flat.f_zeros_like()?))?;
        let device = network.arithmetic().device;
        let scaler = match keeps.scaler {
            Kept::No => None,
            Kept::Fresh => Some(Scaler::fresh(device)?),
            Kept::From(weights) => Some(Scaler::from(weights, device)?),
        };
        Ok(Self { network, average, momentum, scaler, steps: Steps::default() })
    }

    /// Returns the contents of a checkpoint: the weights, and the other state that the run keeps, by the names of
    /// [`Train::keeps`](base::work::Train::keeps). These are the averaged parameters and the momentum (without running
    /// statistics, and with the values of frozen parameters), and the loss scale.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn end(&self) -> Result<Vec<(&'static str, Weights)>, LearnError> {
        let buffers = [("ema", &self.average), ("momentum", &self.momentum)];
        let mut end = vec![("weights", self.network.weights()?)];
        for (name, flat) in buffers.into_iter().filter_map(|(name, flat)| Some((name, flat.as_ref()?))) {
            end.push((name, self.network.parameter_weights(flat)?));
        }
        if let Some(scaler) = &self.scaler {
            end.push(("scaler", scaler.weights()?));
        }
        Ok(end)
    }

    /// Returns a separate network with the averaged parameters and the running statistics of the trained network.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn averaged_network(&self) -> Result<Option<Network>, LearnError> {
        self.average.as_ref().map(|flat| self.network.with_parameters(flat)).transpose()
    }

    /// Does one step: w ← w − η(g + λw) for every trained parameter (with momentum b ← μb + g + λw, w ← w − ηb), then the
    /// projection to the sphere if it is done every step, then a ← βa + (1 − β)w. With a loss scale, w and b do not change
    /// if the gradient is not finite. Returns the cross-entropy before the step, on the device.
    pub(super) fn step(&mut self, x: &Tensor, y: &Tensor, sgd: &Sgd, session: &Session) -> Result<Tensor, LearnError> {
        let loss = self.network.loss(x, y, STATISTICS, session)?;
        let scaled = self.scaler.as_ref().map(|scaler| scaler.scaled(&loss)).transpose()?;
        let source = scaled.as_ref().unwrap_or(&loss);
        let gradients = Tensor::f_run_backward(&[source], &self.network.trained(), false, false)?;
        no_grad(|| {
            match &mut self.scaler {
                None if self.momentum.is_none() && update::in_one_pass(&self.network, &gradients, sgd)? => {}
                None => self.update(self.network.pack(&gradients)?, sgd)?,
                Some(scaler) => {
                    let gradient = self.network.pack(&gradients)?;
                    let judged = scaler.judge(&gradient)?;
                    self.update_scaled(gradient, &judged, sgd)?;
                }
            }
            if let Some(Sphere { radius, every: Projection::Step }) = sgd.sphere {
                self.network.project(radius)?;
            }
            if let Some(average) = &mut self.average {
                let _ = average.f_lerp_(self.network.flat(), 1.0 - sgd.ema)?;
            }
            Ok(loss.f_detach()?)
        })
    }

    /// Updates the parameters by a gradient of the scaled loss, or not at all if it is not finite, without waiting for the
    /// device.
    fn update_scaled(&mut self, mut gradient: Tensor, judged: &Judged, sgd: &Sgd) -> Result<(), LearnError> {
        let Judged { finite, inverse } = judged;
        let if_finite = |value: f64, otherwise: f64| Tensor::f_where_scalar(finite, value, otherwise);
        // Fill instead of multiplying by zero: infinity times zero is not zero.
        let _ = gradient.f_masked_fill_(&finite.f_logical_not()?, 0.0)?;
        let mut flat = self.network.flat().shallow_clone();
        if let Some(momentum) = &mut self.momentum {
            let _ = gradient.f_mul_(inverse)?.f_add_(&flat.f_mul(&if_finite(sgd.wd, 0.0)?)?)?;
            let _ = momentum.f_mul_(&if_finite(sgd.momentum, 1.0)?)?.f_add_(&gradient)?;
            let _ = flat.f_sub_(&momentum.f_mul(&if_finite(sgd.lr, 0.0)?)?)?;
            return Ok(());
        }
        let _ = gradient.f_mul_(&if_finite(-sgd.lr, 0.0)?.f_mul(inverse)?)?;
        if sgd.wd != 0.0 {
            let _ = flat.f_mul_(&if_finite(1.0 - sgd.lr * sgd.wd, 1.0)?)?;
        }
        let _ = flat.f_add_(&gradient)?;
        Ok(())
    }

    fn update(&mut self, mut gradient: Tensor, sgd: &Sgd) -> Result<(), LearnError> {
        let mut flat = self.network.flat().shallow_clone();
        if let Some(momentum) = &mut self.momentum {
            let _ = gradient.f_add_(&flat.f_mul_scalar(sgd.wd)?)?;
            let _ = momentum.f_mul_scalar_(sgd.momentum)?.f_add_(&gradient)?;
            let _ = flat.f_sub_(&momentum.f_mul_scalar(sgd.lr)?)?;
            return Ok(());
        }
        // Computed as (1 − ηλ)w − ηg, in place.
        let _ = gradient.f_mul_scalar_(-sgd.lr)?;
        if sgd.wd != 0.0 {
            let _ = flat.f_mul_scalar_(1.0 - sgd.lr * sgd.wd)?;
        }
        let _ = flat.f_add_(&gradient)?;
        Ok(())
    }

    /// Runs one epoch over `pass`, with the forward pass in the precision of `session`. `epoch` is only for messages. `watch` is
    /// called after every step.
    ///
    /// # Errors
    /// [`LearnError::Diverged`] if a loss or the weights are not finite (noticed when they are read: at the end, or
    /// when `watch` requests the loss), [`LearnError::Cancelled`], or an error of libtorch. The state is unusable then.
    pub fn run_epoch(
        &mut self,
        images: &DeviceImages,
        pass: &Pass,
        sgd: &Sgd,
        epoch: u32,
        session: &Session,
        mut watch: impl FnMut(Progress) -> Answer,
    ) -> Result<EpochSummary, LearnError> {
        let steps = pass.steps();
        let arithmetic = self.network.arithmetic();
        // The losses stay on the device, so that no step waits for the previous one.
        let losses = Tensor::f_zeros([steps as i64], (arithmetic.kind, arithmetic.device))?;
        let diverged = |losses: &[f64], step: usize| {
            let last_finite_loss = step.checked_sub(1).and_then(|last| losses.get(last)).copied();
            LearnError::Diverged(Divergence { epoch, step, lr: sgd.lr, last_finite_loss })
        };
        let read = |count: usize| -> Result<Vec<f64>, LearnError> {
            let mut values = vec![0.0_f64; count];
            losses.f_narrow(0, 0, count as i64)?.f_to_kind(Kind::Double)?.f_copy_data(&mut values, count)?;
            // With a loss scale, a loss that is not finite only skips its step, unless all losses of the epoch are not finite.
            let finite = values.iter().any(|loss| loss.is_finite());
            let spared = session.scales_loss() && (finite || count < steps);
            match values.iter().position(|loss| !loss.is_finite()).filter(|_| !spared) {
                Some(step) => Err(diverged(&values, step)),
                None => Ok(values),
            }
        };
        for step in 0..steps {
            let loss = self.next_step(images, &pass.rows(step)?, sgd, session)?;
            losses.f_narrow(0, step as i64, 1)?.f_copy_(&loss.f_view([1])?)?;
            let mut progress = Progress { step: step + 1, steps, loss: None };
            let mut answer = watch(progress);
            if answer == Answer::Loss {
                progress.loss = read(step + 1)?.last().copied();
                answer = watch(progress);
            }
            if answer == Answer::Cancel {
                return Err(LearnError::Cancelled);
            }
        }
        let values = read(steps)?;
        if let Some(Sphere { radius, every: Projection::Epoch }) = sgd.sphere {
            self.network.project(radius)?;
        }
        let norm = self.network.norm()?;
        if !norm.is_finite() || !self.network.has_finite_statistics()? {
            return Err(diverged(&values, steps));
        }
        Ok(EpochSummary { steps, loss: values.iter().sum::<f64>() / steps as f64, norm })
    }
}

#[cfg(test)]
mod tests;
