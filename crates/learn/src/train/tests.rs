//! Tests of steps, epochs and continuation from checkpoints.

use tch::Device;

use super::*;
use crate::batches::{probe_order, training_order};
use crate::evaluate::{evaluate, refresh_statistics};
use crate::init::initial_weights;
use crate::model::Arithmetic;
use crate::torch::policy;
use crate::torch::{Libraries, load};
use base::rng::Stream;
use base::work::{InitScheme, Model, ModelName, Precision};

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

fn images(count: usize, arithmetic: Arithmetic) -> DeviceImages {
    let mut stream = Stream::new(5, "pixels", &[]);
    let pixels: Vec<u8> = (0..count * 3072).map(|_| stream.below(256) as u8).collect();
    let labels: Vec<u8> = (0..count).map(|i| (i % 10) as u8).collect();
    DeviceImages::new(&pixels, &labels, model(), arithmetic).unwrap()
}

fn start(arithmetic: Arithmetic) -> State {
    let weights = initial_weights(model(), InitScheme::He, None, 1).unwrap();
    State::new(Network::new(model(), &weights, arithmetic).unwrap(), averaged(Kept::Fresh)).unwrap()
}

fn epoch(state: &mut State, images: &DeviceImages, number: u32, session: &Session) -> EpochSummary {
    let pass = Pass::new(&training_order(7, number, images.count()), 8, images).unwrap();
    state.run_epoch(images, &pass, &SGD, number, session, |_| Answer::Continue).unwrap()
}

fn bytes(state: &State) -> (Vec<u8>, Vec<u8>) {
    let network = state.network.weights().unwrap().to_bytes().unwrap();
    (network, state.end().unwrap().remove(1).1.to_bytes().unwrap())
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

        let layout = crate::layout::layout(model()).unwrap();
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

/// Runs one epoch in float64 with a rule, always from the same start. Returns the network at the start, and the state after
/// the epoch.
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
    // Two steps of b ← μb + g move by g₁ + (g₂ + μg₁). With steps so small that the slope hardly changes, the difference
    // from plain SGD is μg₁.
    let tiny = Sgd { lr: 1e-9, momentum: 0.5, ..SGD };
    let (start, plain) = after_an_epoch(&tiny, Kept::No);
    let moved = after_an_epoch(&tiny, Kept::Fresh).1;
    let first = Sgd { lr: 0.0, ..tiny };
    assert!(distance(&start, &after_an_epoch(&first, Kept::Fresh).1.network) == 0.0);
    let [a, b] = [&plain, &moved].map(|state| state.network.flat().detach() - start.flat().detach());
    let extra = (&b - &a).norm().double_value(&[]);
    // The extra is μ times the first of two similar steps.
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
    let (saved, momentum) = (state.network.weights().unwrap(), state.end().unwrap().remove(1).1);
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
    // A projection only at the end of the epoch gives the free run, scaled; after every step, it gives another run.
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
    assert!(matches!(DeviceImages::new(&[0; 3072], &[10], model(), FLOAT), Err(LearnError::Data(_))));
    assert!(matches!(DeviceImages::new(&[0; 3071], &[0], model(), FLOAT), Err(LearnError::Data(_))));
    assert!(matches!(DeviceImages::new(&[], &[], model(), FLOAT), Err(LearnError::Data(_))));
    let images = images(4, FLOAT);
    assert!(Pass::new(&[0, 1, 2, 4], 2, &images).is_err());
    assert!(Pass::new(&[0, 1], 3, &images).is_err());
    assert!(Pass::new(&[], 0, &images).is_err());
    let other = initial_weights(Model { width: 3, ..model() }, InitScheme::He, None, 1).unwrap();
    assert!(matches!(Network::new(model(), &other, FLOAT), Err(LearnError::Misfit { .. })));
}

#[test]
fn a_scaled_update_is_the_plain_one_or_none() {
    let _session = session(Precision::Fp32);
    for keep in [false, true] {
        let begun = || {
            let momentum = if keep { Kept::Fresh } else { Kept::No };
            let keeps = Keeps { momentum, scaler: Kept::Fresh, ..Keeps::default() };
            State::new(start(FLOAT).network, keeps).unwrap()
        };
        let (mut plain, mut scaled) = (begun(), begun());
        let moved = |state: &State| {
            let all = state.end().unwrap().into_iter();
            all.filter(|(name, _)| *name != "scaler").collect::<Vec<_>>()
        };
        let mut step = |infinite: bool| {
            let sgd = Sgd { momentum: 0.9, ..SGD };
            no_grad(|| {
                let gradient = plain.network.flat().detach().randn_like() * 0.01;
                let of_scaled = &gradient * 65_536.0;
                if infinite {
                    let _ = of_scaled.narrow(0, 3, 1).fill_(f64::INFINITY);
                } else {
                    plain.update(gradient, &sgd).unwrap();
                }
                let judged = scaled.scaler.as_mut().unwrap().judge(&of_scaled).unwrap();
                scaled.update_scaled(of_scaled, &judged, &sgd).unwrap();
            });
            assert!(moved(&plain) == moved(&scaled), "{keep} {infinite}");
        };
        step(false);
        step(false);
        // This halves the scale; a further gradient would have to be scaled accordingly.
        step(true);
    }
}

#[test]
fn one_pass_gives_the_bits_of_the_tensor_operations() {
    let _session = session(Precision::Fp32);
    for channels_last in [false, true] {
        let arithmetic = Arithmetic { channels_last, ..FLOAT };
        let (one, mut other) = (start(arithmetic), start(arithmetic));
        let like = |tensor: &Tensor| tensor.detach().randn_like() * 0.01;
        let mut gradients: Vec<Tensor> = one.network.trained().into_iter().map(like).collect();
        gradients[3] = Tensor::new();
        for sgd in [SGD, Sgd { wd: 0.0, lr: 0.3, ..SGD }] {
            no_grad(|| {
                assert!(update::in_one_pass(&one.network, &gradients, &sgd).unwrap());
                let packed = other.network.pack(&gradients).unwrap();
                other.update(packed, &sgd).unwrap();
            });
            assert!(bytes(&one) == bytes(&other), "{channels_last} {sgd:?}");
        }
        // Gradients with another memory layout are left to the tensor operations.
        let weight = one.network.trained().into_iter().position(|tensor| tensor.dim() == 4).unwrap();
        let [a, b, c, d] = gradients[weight].size()[..] else { panic!("four dimensions") };
        gradients[weight] = Tensor::randn([d, c, b, a], (Kind::Float, Device::Cpu)).permute([3, 2, 1, 0]);
        assert!(!update::in_one_pass(&one.network, &gradients, &SGD).unwrap());
        assert!(bytes(&one) == bytes(&other));
    }
}
