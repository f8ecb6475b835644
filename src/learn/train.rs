//! Training by SGD with weight decay, freely or on a sphere, and the moving average of the parameters.

use tch::{Kind, Tensor, no_grad};

use super::batches::{Images, Pass};
use super::model::{Network, Statistics, copied};
use super::scaler::Scaler;
use super::weights::Weights;
use super::{Divergence, LearnError};
use crate::torch::Session;
use crate::work::{Projection, Sphere};

/// Momentum of the running statistics in training: r ← 0.9 r + 0.1 s.
const STATISTICS: Statistics = Statistics::Update { momentum: 0.1 };

/// A network in training and what else goes from step to step.
pub struct State {
    /// The network.
    pub network: Network,
    /// The moving average of its trained parameters, packed as they are.
    average: Option<Tensor>,
    /// The momentum buffer, likewise.
    momentum: Option<Tensor>,
    /// The loss scale of float16.
    scaler: Option<Scaler>,
}

/// What a run keeps beside the weights.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keeps<'a> {
    /// The moving average of the parameters.
    pub average: Kept<'a>,
    /// The momentum.
    pub momentum: Kept<'a>,
    /// The loss scale of float16.
    pub scaler: Kept<'a>,
}

/// Whether a run keeps something, and from where.
#[derive(Debug, Clone, Copy, Default)]
pub enum Kept<'a> {
    /// It does not.
    #[default]
    No,
    /// It begins here.
    Fresh,
    /// It goes on from a checkpoint.
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
    /// The sphere on which the trained parameters are held.
    pub sphere: Option<Sphere>,
}

/// How far an epoch is; what the caller is told after every step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Steps given to the device.
    pub step: usize,
    /// Steps of the epoch.
    pub steps: usize,
    /// Cross-entropy of the last step's batch, if it was asked for.
    pub loss: Option<f64>,
}

/// What the caller answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Go on.
    Continue,
    /// Read the loss and tell me again: waits for the device, so ask seldom.
    Loss,
    /// Stop with [`LearnError::Cancelled`].
    Cancel,
}

/// What an epoch came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochSummary {
    /// Steps done.
    pub steps: usize,
    /// Mean over the steps of the batch's cross-entropy before its update, in training mode.
    pub loss: f64,
    /// ‖w‖₂ after the epoch, over all trained parameters.
    pub norm: f64,
}

impl State {
    /// A run of `network`, at its start or taken up again from what [`State::kept`] gave.
    ///
    /// # Errors
    /// If an average or momentum is not one of the network, or the device has no room for them.
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
        Ok(Self { network, average, momentum, scaler })
    }

    /// What is kept, by the names of [`Train::keeps`](crate::work::Train::keeps): the averaged parameters and the
    /// momentum (without running statistics; frozen parameters stand with their value), and the loss scale.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn kept(&self) -> Result<Vec<(&'static str, Weights)>, LearnError> {
        let buffers = [("ema", &self.average), ("momentum", &self.momentum)];
        let mut kept = Vec::new();
        for (name, flat) in buffers.into_iter().filter_map(|(name, flat)| Some((name, flat.as_ref()?))) {
            kept.push((name, self.network.parameter_weights(flat)?));
        }
        if let Some(scaler) = &self.scaler {
            kept.push(("scaler", scaler.weights()?));
        }
        Ok(kept)
    }

    /// A network of its own with the averaged parameters; its running statistics are those of the trained one.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn averaged_network(&self) -> Result<Option<Network>, LearnError> {
        self.average.as_ref().map(|flat| self.network.with_parameters(flat)).transpose()
    }

    /// One step: w ← w − η(g + λw) for every trained parameter (with momentum b ← μb + g + λw, w ← w − ηb), then
    /// back on the sphere if it is one of every step, then a ← βa + (1 − β)w. With a loss scale w and b stay as they are
    /// if the gradient is not finite. Returns the cross-entropy before it, on the device.
    pub(super) fn step(&mut self, x: &Tensor, y: &Tensor, sgd: &Sgd, session: &Session) -> Result<Tensor, LearnError> {
        let device = self.network.arithmetic().device;
        let loss = session.autocast(device, || self.network.loss(x, y, STATISTICS))?;
        let scaled = self.scaler.as_ref().map(|scaler| scaler.scaled(&loss)).transpose()?;
        let source = scaled.as_ref().unwrap_or(&loss);
        let gradients = Tensor::f_run_backward(&[source], &self.network.trained(), false, false)?;
        no_grad(|| {
            let mut gradient = self.network.pack(&gradients)?;
            match &mut self.scaler {
                None => self.update(gradient, sgd)?,
                Some(scaler) => {
                    let finite = scaler.unscale(&mut gradient)?;
                    self.update_if(&finite, gradient, sgd)?;
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

    /// An update that has no effect if the scalar `finite` is false; the device is not asked.
    fn update_if(&mut self, finite: &Tensor, gradient: Tensor, sgd: &Sgd) -> Result<(), LearnError> {
        let before = copied(self.network.flat())?;
        let momentum = self.momentum.as_ref().map(copied).transpose()?;
        self.update(gradient, sgd)?;
        let restore = |now: &Tensor, before: &Tensor| -> Result<(), LearnError> {
            now.shallow_clone().f_copy_(&now.f_where_self(finite, before)?)?;
            Ok(())
        };
        restore(self.network.flat(), &before)?;
        if let (Some(now), Some(before)) = (&self.momentum, &momentum) {
            restore(now, before)?;
        }
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
        // As (1 − ηλ)w − ηg, in place.
        let _ = gradient.f_mul_scalar_(-sgd.lr)?;
        if sgd.wd != 0.0 {
            let _ = flat.f_mul_scalar_(1.0 - sgd.lr * sgd.wd)?;
        }
        let _ = flat.f_add_(&gradient)?;
        Ok(())
    }

    /// One epoch over `pass`, forward in the precision of `session`. `epoch` is for messages only. `watch` is told of every step.
    ///
    /// # Errors
    /// [`LearnError::Diverged`] if a loss or the weights are not finite (noticed when read: at the end, or
    /// when `watch` asks), [`LearnError::Cancelled`], or what libtorch says. The state is of no use then.
    pub fn run_epoch(
        &mut self,
        images: &Images,
        pass: &Pass,
        sgd: &Sgd,
        epoch: u32,
        session: &Session,
        mut watch: impl FnMut(Progress) -> Answer,
    ) -> Result<EpochSummary, LearnError> {
        let steps = pass.steps();
        let arithmetic = self.network.arithmetic();
        // Stays on the device, so that no step waits for the one before it.
        let losses = Tensor::f_zeros([steps as i64], (arithmetic.kind, arithmetic.device))?;
        let diverged = |losses: &[f64], step: usize| {
            let last_finite_loss = step.checked_sub(1).and_then(|last| losses.get(last)).copied();
            LearnError::Diverged(Divergence { epoch, step, lr: sgd.lr, last_finite_loss })
        };
        let read = |count: usize| -> Result<Vec<f64>, LearnError> {
            let mut values = vec![0.0_f64; count];
            losses.f_narrow(0, 0, count as i64)?.f_to_kind(Kind::Double)?.f_copy_data(&mut values, count)?;
            // With a loss scale a loss that is not finite costs its step and no more, unless all are.
            let lost = values.iter().position(|loss| !loss.is_finite());
            match lost.filter(|_| !session.scales_loss() || values.iter().all(|loss| !loss.is_finite())) {
                Some(step) => Err(diverged(&values, step)),
                None => Ok(values),
            }
        };
        for step in 0..steps {
            let (x, y) = images.gather(&pass.rows(step)?)?;
            let loss = self.step(&x, &y, sgd, session)?;
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
        if !norm.is_finite() {
            return Err(diverged(&values, steps));
        }
        Ok(EpochSummary { steps, loss: values.iter().sum::<f64>() / steps as f64, norm })
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::learn::batches::{probe_order, training_order};
    use crate::learn::evaluate::{evaluate, refresh_statistics};
    use crate::learn::init::initial_weights;
    use crate::learn::model::Arithmetic;
    use crate::rng::Stream;
    use crate::torch::policy;
    use crate::torch::{Libraries, load};
    use crate::work::{InitScheme, Model, ModelName, Precision};

    fn model() -> Model {
        Model::new(ModelName::PreactResnet18, 2, 10)
    }
    const FLOAT: Arithmetic = Arithmetic { device: Device::Cpu, kind: Kind::Float, channels_last: false };
    const SGD: Sgd = Sgd { lr: 0.05, wd: 0.01, momentum: 0.0, ema: 0.9, sphere: None };

    fn averaged(average: Kept<'_>) -> Keeps<'_> {
        Keeps { average, ..Keeps::default() }
    }

    fn moved(momentum: Kept<'_>) -> Keeps<'_> {
        Keeps { momentum, ..Keeps::default() }
    }

    fn session(precision: Precision) -> Session {
        load(&Libraries::default()).unwrap();
        policy::apply(precision).unwrap()
    }

    fn images(count: usize, arithmetic: Arithmetic) -> Images {
        let mut stream = Stream::new(5, "pixels", &[]);
        let pixels: Vec<u8> = (0..count * 3072).map(|_| stream.below(256) as u8).collect();
        let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
        Images::new(&pixels, &labels, model(), arithmetic).unwrap()
    }

    fn start(arithmetic: Arithmetic) -> State {
        let weights = initial_weights(model(), InitScheme::He, None, 1).unwrap();
        State::new(Network::new(model(), &weights, arithmetic).unwrap(), averaged(Kept::Fresh)).unwrap()
    }

    fn epoch(state: &mut State, images: &Images, number: u32, session: &Session) -> EpochSummary {
        let pass = Pass::new(&training_order(7, number, images.count()), 8, images).unwrap();
        state.run_epoch(images, &pass, &SGD, number, session, |_| Answer::Continue).unwrap()
    }

    fn bytes(state: &State) -> (Vec<u8>, Vec<u8>) {
        let network = state.network.weights().unwrap().to_bytes().unwrap();
        (network, state.kept().unwrap().remove(0).1.to_bytes().unwrap())
    }

    #[test]
    fn repeats_bit_by_bit_and_resumed_is_continued() {
        let session = session(Precision::Fp32);
        for channels_last in [false, true] {
            let arithmetic = Arithmetic { channels_last, ..FLOAT };
            let images = images(35, arithmetic);
            let mut state = start(arithmetic);
            let first = epoch(&mut state, &images, 0, &session);
            assert_eq!(first.steps, 4); // 35 images: the last 3 are dropped
            let (saved, average) = bytes(&state);
            let second = epoch(&mut state, &images, 1, &session);

            let layout = crate::learn::layout::layout(model()).unwrap();
            let weights = Weights::from_bytes(&saved, &layout.entries).unwrap();
            let average = Weights::from_bytes(&average, layout.parameters()).unwrap();
            let network = Network::new(model(), &weights, arithmetic).unwrap();
            let mut resumed = State::new(network, averaged(Kept::From(&average))).unwrap();
            assert_eq!(epoch(&mut resumed, &images, 1, &session), second);
            assert_eq!(bytes(&resumed), bytes(&state));
            assert_ne!(saved, bytes(&state).0);
        }
    }

    #[test]
    fn memory_layout_changes_nothing_in_float64() {
        let session = session(Precision::Fp32);
        let run = |channels_last| {
            let arithmetic = Arithmetic { kind: Kind::Double, channels_last, ..FLOAT };
            let images = images(16, arithmetic);
            let mut state = start(arithmetic);
            let summary = epoch(&mut state, &images, 0, &session);
            let mut averaged = state.averaged_network().unwrap().unwrap();
            let pass = Pass::new(&probe_order(1, 0, 0, 16), 8, &images).unwrap();
            refresh_statistics(&mut averaged, &images, &pass).unwrap();
            [summary.loss, summary.norm, evaluate(&averaged, &images, 7, &session).unwrap().loss]
        };
        for (plain, last) in run(false).into_iter().zip(run(true)) {
            assert!((plain - last).abs() <= 1e-11 * plain.abs(), "{plain} {last}");
        }
    }

    #[test]
    fn it_learns_in_16_bits_too() {
        for precision in [Precision::Fp32, Precision::Bf16, Precision::Fp16] {
            let session = session(precision);
            let images = images(40, FLOAT);
            let mut state = start(FLOAT);
            state.scaler = session.scales_loss().then(|| Scaler::fresh(Device::Cpu).unwrap());
            let losses: Vec<f64> = (0..12).map(|number| epoch(&mut state, &images, number, &session).loss).collect();
            assert!(losses[11] < 0.8 * losses[0], "{precision:?} {losses:?}");
            let evaluation = evaluate(&state.network, &images, 1000, &session).unwrap();
            assert_eq!(evaluation.error_percent, evaluation.wrong as f64 * 100.0 / 40.0);
        }
    }

    /// Runs one epoch in float64 with a rule, from the same start; returns the weights before and after, packed, and
    /// the gradients of the steps as if nothing but them moved the weights.
    fn after_an_epoch(sgd: &Sgd, momentum: Kept<'_>) -> (Network, State) {
        let session = session(Precision::Fp32);
        let arithmetic = Arithmetic { kind: Kind::Double, ..FLOAT };
        let weights = initial_weights(model(), InitScheme::He, None, 1).unwrap();
        let network = || Network::new(model(), &weights, arithmetic).unwrap();
        let images = images(16, arithmetic);
        let pass = Pass::new(&training_order(7, 0, 16), 8, &images).unwrap();
        let mut state = State::new(network(), moved(momentum)).unwrap();
        state.run_epoch(&images, &pass, sgd, 0, &session, |_| Answer::Continue).unwrap();
        (network(), state)
    }

    fn distance(a: &Network, b: &Network) -> f64 {
        (a.flat().detach() - b.flat().detach()).norm().double_value(&[])
    }

    #[test]
    fn momentum_of_zero_and_of_a_constant_slope() {
        // μ = 0 is plain SGD.
        let plain = after_an_epoch(&SGD, Kept::No).1;
        let zero = after_an_epoch(&SGD, Kept::Fresh).1;
        assert!(distance(&plain.network, &zero.network) < 1e-12);
        // Two steps of b ← μb + g move by g₁ + (g₂ + μg₁): half as much again as plain SGD, if the step is so small
        // that the slope hardly changes.
        let tiny = Sgd { lr: 1e-9, momentum: 0.5, ..SGD };
        let (start, plain) = after_an_epoch(&tiny, Kept::No);
        let moved = after_an_epoch(&tiny, Kept::Fresh).1;
        let first = Sgd { lr: 0.0, ..tiny };
        assert!(distance(&start, &after_an_epoch(&first, Kept::Fresh).1.network) == 0.0);
        let [a, b] = [&plain, &moved].map(|state| state.network.flat().detach() - start.flat().detach());
        let extra = (&b - &a).norm().double_value(&[]);
        // The extra is μ times the first of two like steps.
        assert!(extra > 0.1 * a.norm().double_value(&[]) && extra < 0.5 * a.norm().double_value(&[]), "{extra}");
    }

    #[test]
    fn momentum_goes_on_from_a_checkpoint() {
        let session = session(Precision::Fp32);
        let images = images(16, FLOAT);
        let sgd = Sgd { momentum: 0.9, ..SGD };
        let pass = |epoch| Pass::new(&training_order(7, epoch, 16), 8, &images).unwrap();
        let weights = initial_weights(model(), InitScheme::He, None, 1).unwrap();
        let network = |weights: &Weights| Network::new(model(), weights, FLOAT).unwrap();
        let mut state = State::new(network(&weights), moved(Kept::Fresh)).unwrap();
        state.run_epoch(&images, &pass(0), &sgd, 0, &session, |_| Answer::Continue).unwrap();
        let (saved, momentum) = (state.network.weights().unwrap(), state.kept().unwrap().remove(0).1);
        state.run_epoch(&images, &pass(1), &sgd, 1, &session, |_| Answer::Continue).unwrap();
        let run_on = |kept: Kept<'_>| {
            let mut resumed = State::new(network(&saved), moved(kept)).unwrap();
            resumed.run_epoch(&images, &pass(1), &sgd, 1, &session, |_| Answer::Continue).unwrap();
            resumed.network.weights().unwrap()
        };
        assert_eq!(run_on(Kept::From(&momentum)), state.network.weights().unwrap());
        assert_ne!(run_on(Kept::Fresh), state.network.weights().unwrap());
    }

    #[test]
    fn the_sphere_holds_the_weights_after_steps_or_epochs() {
        let run = |every: Option<Projection>| {
            let sphere = every.map(|every| Sphere { radius: 3.0, every });
            after_an_epoch(&Sgd { sphere, ..SGD }, Kept::No).1
        };
        let free = run(None);
        assert!(free.network.norm().unwrap() > 5.0);
        let (step, epoch) = (run(Some(Projection::Step)), run(Some(Projection::Epoch)));
        for state in [&step, &epoch] {
            assert!((state.network.norm().unwrap() - 3.0).abs() < 1e-12);
        }
        // At the end of the epoch only: the free run, scaled. After every step: another run.
        let mut scaled = free;
        scaled.network.project(3.0).unwrap();
        assert!(distance(&scaled.network, &epoch.network) < 1e-12);
        assert!(distance(&scaled.network, &step.network) > 1e-3);
    }

    #[test]
    fn divergence_is_found_at_its_step() {
        let session = session(Precision::Fp32);
        let images = images(40, FLOAT);
        let pass = Pass::new(&training_order(7, 0, 40), 8, &images).unwrap();
        let sgd = Sgd { lr: 1e38, ..SGD };
        let error = start(FLOAT).run_epoch(&images, &pass, &sgd, 3, &session, |_| Answer::Continue).unwrap_err();
        let LearnError::Diverged(Divergence { epoch: 3, step, last_finite_loss: Some(loss), .. }) = error else {
            panic!("{error}");
        };
        assert!(step >= 1 && loss > 0.0, "{step} {loss}");
    }

    #[test]
    fn the_caller_can_ask_and_stop() {
        let session = session(Precision::Fp32);
        let images = images(24, FLOAT);
        let pass = Pass::new(&training_order(7, 0, 24), 8, &images).unwrap();
        let mut told = Vec::new();
        let stopped = start(FLOAT).run_epoch(&images, &pass, &SGD, 0, &session, |progress| {
            told.push((progress.step, progress.loss.is_some()));
            match progress {
                Progress { loss: Some(loss), .. } if loss.is_finite() => Answer::Continue,
                Progress { step: 1, .. } => Answer::Loss,
                _ => Answer::Cancel,
            }
        });
        assert!(matches!(stopped, Err(LearnError::Cancelled)));
        assert_eq!(told, [(1, false), (1, true), (2, false)]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let _session = session(Precision::Fp32);
        assert!(matches!(Images::new(&[0; 3072], &[10], model(), FLOAT), Err(LearnError::Data(_))));
        assert!(matches!(Images::new(&[0; 3071], &[0], model(), FLOAT), Err(LearnError::Data(_))));
        assert!(matches!(Images::new(&[], &[], model(), FLOAT), Err(LearnError::Data(_))));
        let images = images(4, FLOAT);
        assert!(Pass::new(&[0, 1, 2, 4], 2, &images).is_err());
        assert!(Pass::new(&[0, 1], 3, &images).is_err());
        assert!(Pass::new(&[], 0, &images).is_err());
        let other = initial_weights(Model { width: 3, ..model() }, InitScheme::He, None, 1).unwrap();
        assert!(matches!(Network::new(model(), &other, FLOAT), Err(LearnError::Misfit { .. })));
    }
}
