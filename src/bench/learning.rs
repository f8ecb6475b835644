//! Measures training, evaluation and Hessian traces on synthetic images, and compares them with the device's peak.
//!
//! Each chain runs on its own thread, as stages do. A measurement covers one step of all chains together.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Barrier, OnceLock};
use std::time::{Duration, Instant};

use tch::{Kind, Tensor, no_grad};

use super::{Clock, Measured, Timings, repeated, until};
use crate::cost;
use crate::stages::{Device, Outputs, StageError, open};
use base::parallel::together;
use base::work::{Estimator, InitScheme, Model, Policy, Precision};
use learn::LearnError;
use learn::batches::{DeviceImages, Pass, training_order};
use learn::curvature::{Norms, Objective, trace};
use learn::evaluate::evaluate;
use learn::init::initial_weights;
use learn::model::{Arithmetic, Network};
use learn::torch::{Session, own_stream, policy};
use learn::train::{Answer, Keeps, Kept, Sgd, State};

/// Number of training images.
const IMAGES: usize = 2048;
/// Number of images of an evaluation, in the same batches as in stages.
const EVALUATED: usize = 1000;
/// Number of draws of a trace.
const DRAWS: u32 = 4;
/// Minimum duration of a round of steps in seconds. On a GPU, which is synchronized only at the end, a round is one timing.
const ROUND: f64 = 0.5;

/// The settings of a measurement.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The network.
    pub model: Model,
    /// Number of images per step, or per chunk of a trace.
    pub batch: usize,
    /// Number of images of a trace.
    pub images: usize,
    /// Precision of matrix products and convolutions.
    pub precision: Precision,
    /// Whether the memory layout is NHWC instead of NCHW.
    pub channels_last: bool,
    /// Whether a moving average of the parameters is kept.
    pub average: bool,
    /// Number of runs in parallel.
    pub chains: usize,
    /// Whether only deterministic algorithms are used, as in stages.
    pub strict: bool,
}

impl Setting {
    /// Returns the additional state that a run keeps.
    fn keeps(&self, session: &Session) -> Keeps<'static> {
        let fresh_if = |kept: bool| if kept { Kept::Fresh } else { Kept::No };
        Keeps { average: fresh_if(self.average), scaler: fresh_if(session.scales_loss()), momentum: Kept::No }
    }
}

/// One round of a chain, which records the timings of its steps.
pub(super) type Round = Box<dyn FnMut(&Session, &mut Timings) -> Result<(), StageError>>;

/// A device to measure.
pub struct Bench {
    device: tch::Device,
    budget: Duration,
    ceilings: Vec<(Precision, f64)>,
}

impl Bench {
    /// Opens a device under a policy; each measurement takes about `budget`.
    ///
    /// # Errors
    /// If the device or libtorch is missing.
    pub fn new(choice: &Device, policy: Policy, budget: Duration) -> Result<Self, StageError> {
        let (_, device) = open(choice, policy, 0).map_err(StageError::Device)?;
        Ok(Self { device, budget, ceilings: Vec::new() })
    }

    /// Returns whether the device is a GPU.
    pub fn is_on_gpu(&self) -> bool {
        self.device.is_cuda()
    }

    /// Measures products of large square matrices: the peak of the device in a precision, on one thread if it is a CPU.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn ceiling(&mut self, precision: Precision) -> Result<Measured, StageError> {
        let session = policy::apply(precision).map_err(|error| StageError::Device(error.to_string()))?;
        let size: i64 = if self.device.is_cuda() { 8192 } else { 1024 };
        let kind = match precision {
            Precision::Bf16 => Kind::BFloat16,
            Precision::Fp16 => Kind::Half,
            _ => Kind::Float,
        };
        let product = || -> Result<(), LearnError> {
            let a = Tensor::f_rand([size, size], (kind, self.device))?;
            for _ in 0..8 {
                let _ = std::hint::black_box(a.f_matmul(&a)?);
            }
            // This waits for the device.
            a.f_sum(Kind::Float)?.f_double_value(&[])?;
            Ok(())
        };
        let seconds = repeated(self.budget, || product().map(|()| 8))?;
        drop(session);
        let bytes = 3.0 * (size as f64).powi(2) * bytes_of(precision);
        let measured = Measured {
            settings: vec![("product of", size.to_string()), ("precision", precision.name().to_owned())],
            flops: 2.0 * (size as f64).powi(3),
            ..Measured::new("ceiling", (1.0, "products"), bytes, seconds)
        };
        self.ceilings.retain(|(known, _)| *known != precision);
        self.ceilings.extend(measured.flops_per_second().map(|flops| (precision, flops)));
        Ok(measured)
    }

    /// Measures a step of SGD.
    ///
    /// # Errors
    /// If a size is invalid, or libtorch fails.
    pub fn training(&self, setting: &Setting) -> Result<Measured, StageError> {
        let sgd = Sgd { lr: 0.01, wd: 0.0125, momentum: 0.0, ema: 0.999, sphere: None };
        let how = Arc::new(OnceLock::new());
        let seconds = self.side_by_side(setting, |number, session| {
            let (images, network) = self.start(setting, number, IMAGES.max(setting.batch))?;
            let mut state = State::new(network, setting.keeps(session))?;
            let order = training_order(number as u64, 0, images.count());
            let batch = setting.batch;
            let how = Arc::clone(&how);
            let on_gpu = self.device.is_cuda();
            let mut epoch = move |steps: usize, session: &Session, timings: &mut Timings| -> Result<(), LearnError> {
                let order: Vec<u32> = order.iter().copied().cycle().take(steps * batch).collect();
                let pass = Pass::new(&order, batch, &images)?;
                let mut clock = Clock::start();
                state.run_epoch(&images, &pass, &sgd, 0, session, |_| {
                    if !on_gpu {
                        clock.lap(1, timings);
                    }
                    Answer::Continue
                })?;
                if on_gpu {
                    clock.lap(steps as u32, timings);
                }
                if let Some(reason) = state.not_recorded() {
                    let _ = how.set(format!("one by one ({reason})"));
                }
                Ok(())
            };
            // The first epoch chooses kernels, allocates memory and, on a GPU, records a step.
            epoch(if on_gpu { 8 } else { 1 }, session, &mut Timings::default())?;
            let started = Instant::now();
            epoch(1, session, &mut Timings::default())?;
            let steps = (ROUND / started.elapsed().as_secs_f64().max(1e-4)).ceil() as usize;
            Ok(Box::new(move |session, timings| Ok(epoch(steps, session, timings)?)))
        })?;
        let images = (setting.batch * setting.chains) as f64;
        let passes = 3.0 * setting.chains as f64;
        let mut measured = self.measured(setting, seconds);
        if self.device.is_cuda() {
            measured.settings.push(("steps", how.get().cloned().unwrap_or_else(|| "recorded".to_owned())));
        }
        Ok(Measured {
            what: "training step",
            flops: 3.0 * images * cost::forward(setting.model),
            bytes: passes * cost::traffic(setting.model, setting.batch as f64) * bytes_of(setting.precision),
            items: (images, "images"),
            ..measured
        })
    }

    /// Measures a checkpoint: copying the end state of a run from the device and serializing and hashing it. The next segment
    /// of a run starts after that, while another thread stores the bytes.
    ///
    /// # Errors
    /// If a size is invalid, or libtorch fails.
    pub fn checkpoint(&self, setting: &Setting) -> Result<Measured, StageError> {
        let bytes = OnceLock::new();
        let timings = self.side_by_side(setting, |number, session| {
            let (_, network) = self.start(setting, number, 1)?;
            let state = State::new(network, setting.keeps(session))?;
            let end = || Outputs::trained(&state.end()?, []);
            let _ = bytes.set(end()?.outputs.iter().map(|output| output.bytes.len()).sum::<usize>());
            Ok(Box::new(move |_, timings| {
                let mut clock = Clock::start();
                Outputs::trained(&state.end()?, [])?;
                clock.lap(1, timings);
                Ok(())
            }))
        })?;
        let chains = setting.chains as f64;
        Ok(Measured {
            what: "checkpoint",
            bytes: chains * bytes.get().map_or(0.0, |bytes| *bytes as f64),
            items: (chains, "checkpoints"),
            ..self.measured(setting, timings)
        })
    }

    /// Measures an evaluation of 1000 images.
    ///
    /// # Errors
    /// If a size is invalid, or libtorch fails.
    pub fn evaluation(&self, setting: &Setting) -> Result<Measured, StageError> {
        let seconds = self.side_by_side(setting, |number, _| {
            let (images, network) = self.start(setting, number, EVALUATED)?;
            Ok(Box::new(move |session, timings| {
                let mut clock = Clock::start();
                evaluate(&network, &images, EVALUATED, session)?;
                clock.lap(1, timings);
                Ok(())
            }))
        })?;
        let images = (EVALUATED * setting.chains) as f64;
        Ok(Measured {
            what: "evaluation",
            flops: images * cost::forward(setting.model),
            bytes: cost::traffic(setting.model, images) * bytes_of(setting.precision),
            items: (images, "images"),
            ..self.measured(setting, seconds)
        })
    }

    /// Measures a fine-tuning probe of one epoch: steps over all images at a small learning rate, and evaluations of training
    /// and test images, as in stages.
    ///
    /// # Errors
    /// If a size is invalid, or libtorch fails.
    pub fn probe(&self, setting: &Setting) -> Result<Measured, StageError> {
        let sgd = Sgd { lr: 1e-3, wd: 0.0, momentum: 0.0, ema: 0.0, sphere: None };
        let count = IMAGES.max(setting.batch);
        let seconds = self.side_by_side(setting, |number, session| {
            let (images, network) = self.start(setting, number, count)?;
            let (test, _) = self.start(setting, number, EVALUATED)?;
            let scaler = if session.scales_loss() { Kept::Fresh } else { Kept::No };
            let mut state = State::new(network, Keeps { scaler, ..Keeps::default() })?;
            let (order, batch) = (training_order(number as u64, 0, images.count()), setting.batch);
            Ok(Box::new(move |session, timings| {
                let mut clock = Clock::start();
                state
                    .run_epoch(&images, &Pass::new(&order, batch, &images)?, &sgd, 0, session, |_| Answer::Continue)?;
                evaluate(&state.network, &images, EVALUATED, session)?;
                evaluate(&state.network, &test, EVALUATED, session)?;
                clock.lap(1, timings);
                Ok(())
            }))
        })?;
        let chains = setting.chains as f64;
        let passes = (4 * count + EVALUATED) as f64 * chains;
        Ok(Measured {
            what: "probe",
            flops: passes * cost::forward(setting.model),
            bytes: cost::traffic(setting.model, passes) * bytes_of(setting.precision),
            items: (count as f64 * chains, "images"),
            ..self.measured(setting, seconds)
        })
    }

    /// Measures Tr ∇²L with one of the estimators (Hutchinson's with four draws), in float32 or TF32 and never in 16 bits.
    ///
    /// # Errors
    /// If a size is invalid, or libtorch fails.
    pub fn trace(&self, setting: &Setting, exact: bool) -> Result<Measured, StageError> {
        let estimator = if exact { Estimator::Exact } else { Estimator::Hutchinson { draws: DRAWS, stop: None } };
        let precision = if setting.precision == Precision::Tf32 { Precision::Tf32 } else { Precision::Fp32 };
        let setting = &Setting { precision, ..*setting };
        let Setting { images: count, batch, .. } = *setting;
        let seconds = self.side_by_side(setting, |number, _| {
            let (images, network) = self.start(setting, number, count)?;
            Ok(Box::new(move |_, timings| {
                let mut clock = Clock::start();
                let objective = Objective { network: &network, images: &images, batch, norms: Norms::Running };
                trace(&objective, estimator, 0, &mut |_, _| true)?;
                clock.lap(1, timings);
                Ok(())
            }))
        })?;
        let images = (count * setting.chains) as f64;
        let passes = estimator.passes(setting.model);
        Ok(Measured {
            what: if exact { "exact Hessian trace" } else { "Hessian trace" },
            flops: passes * images * cost::forward(setting.model),
            bytes: passes * cost::traffic(setting.model, images) * bytes_of(setting.precision),
            items: if exact { (images, "images") } else { (images * f64::from(DRAWS), "image draws") },
            ..self.measured(setting, seconds)
        })
    }

    /// Prepares the chains of a setting, each on its own thread, and times their rounds once all are ready.
    pub(super) fn side_by_side(
        &self,
        setting: &Setting,
        prepare: impl Fn(usize, &Session) -> Result<Round, StageError> + Sync,
    ) -> Result<Timings, StageError> {
        let relaxed = (!setting.strict).then(policy::relax);
        let barrier = Barrier::new(setting.chains);
        let run = |number: usize| -> Result<Timings, StageError> {
            let prepared = || {
                own_stream(self.device).map_err(StageError::Device)?;
                let session = policy::apply(setting.precision);
                let session = session.map_err(|error| StageError::Device(error.to_string()))?;
                Ok::<_, StageError>((prepare(number, &session)?, session))
            };
            let round = catch_unwind(AssertUnwindSafe(prepared));
            // A thread also reaches the barrier if its preparation fails or panics.
            barrier.wait();
            let (mut round, session) = round.unwrap_or_else(|panic| resume_unwind(panic))?;
            round(&session, &mut Timings::default())?;
            until(self.budget, |timings| round(&session, timings))
        };
        let ended = together(setting.chains, run);
        drop(relaxed);
        let ended =
            ended.map_err(|error| StageError::Device(format!("cannot start a thread for each chain: {error}")))?;
        let mut all = Vec::new();
        for seconds in ended {
            all.push(seconds.unwrap_or_else(|_| Err(StageError::Device("a chain ended early".to_owned())))?);
        }
        Ok(Timings::merged(all))
    }

    /// Creates images of noise and an initialized network.
    pub(super) fn start(
        &self,
        setting: &Setting,
        number: usize,
        count: usize,
    ) -> Result<(DeviceImages, Network), StageError> {
        let Setting { model, channels_last, .. } = *setting;
        let arithmetic = Arithmetic { device: self.device, kind: Kind::Float, channels_last };
        let mut pixels = vec![0; count * 3 * 32 * 32];
        blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut pixels);
        let labels: Vec<u8> = (0..count).map(|image| (image % model.classes as usize) as u8).collect();
        let images = DeviceImages::new(&pixels, &labels, model, arithmetic)?;
        let weights = initial_weights(model, InitScheme::He, None, number as u64)?;
        Ok((images, no_grad(|| Network::new(model, &weights, arithmetic))?))
    }

    pub(super) fn measured(&self, setting: &Setting, timings: Timings) -> Measured {
        let ceiling = self.ceilings.iter().find(|(precision, _)| *precision == setting.precision);
        let chains = setting.chains as f64;
        Measured {
            settings: vec![
                ("network", setting.model.name.name().to_owned()),
                ("width", setting.model.width.to_string()),
                ("batch", setting.batch.to_string()),
                ("precision", setting.precision.name().to_owned()),
                ("layout", if setting.channels_last { "NHWC" } else { "NCHW" }.to_owned()),
                ("chains", setting.chains.to_string()),
                ("bits", if setting.strict { "repeat" } else { "need not repeat" }.to_owned()),
            ],
            // On a CPU, the measured ceiling is that of one thread.
            ceiling: ceiling.map(|(_, flops)| if self.device.is_cuda() { *flops } else { flops * chains }),
            ..Measured::new("", (0.0, ""), 0.0, timings)
        }
    }
}

/// Returns the size of an activation in bytes.
fn bytes_of(precision: Precision) -> f64 {
    if matches!(precision, Precision::Bf16 | Precision::Fp16) { 2.0 } else { 4.0 }
}
