//! Tests of products and noise against values that are computed without them. [`crate::selftest`] checks the
//! estimators.

use tch::{Device, Kind, Reduction, Tensor};

use super::*;
use crate::evaluate::predict;
use crate::init::initial_weights;
use crate::model::{Arithmetic, cross_entropy};
use crate::torch::{Libraries, Session, load, policy};
use crate::weights::Array;
use base::work::{Estimator, InitScheme, Model, ModelName, Precision};

/// A network of width 1 with two classes, and images.
pub(super) struct Fixture {
    _session: Session,
    network: Network,
    images: DeviceImages,
}

impl Fixture {
    pub fn objective(&self, batch: usize) -> Objective<'_> {
        Objective { network: &self.network, images: &self.images, batch, norms: Norms::Running }
    }
}

pub(super) fn setting(images: usize, invariant: bool) -> Fixture {
    let name = if invariant { ModelName::ScaleInvariantResnet18 } else { ModelName::PreactResnet18 };
    setting_of(Model { conv_bias: invariant, ..Model::new(name, 1, 2) }, images, false)
}

/// Returns a network with initial weights, and images of every class in turn.
pub(super) fn setting_of(model: Model, images: usize, channels_last: bool) -> Fixture {
    load(&Libraries::default()).unwrap();
    let session = policy::apply(Precision::Fp32).unwrap();
    let arithmetic = Arithmetic { device: Device::Cpu, kind: Kind::Double, channels_last };
    let weights = initial_weights(model, InitScheme::He, None, 1).unwrap();
    let network = Network::new(model, &weights, arithmetic).unwrap();
    let mut stream = Stream::new(5, "pixels", &[]);
    let pixels: Vec<u8> = (0..images * 3072).map(|_| stream.below(256) as u8).collect();
    let labels: Vec<u8> = (0..images).map(|i| (i % model.classes as usize) as u8).collect();
    Fixture { _session: session, network, images: DeviceImages::new(&pixels, &labels, model, arithmetic).unwrap() }
}

/// Returns the packed gradient of the mean loss of some images.
fn gradient(network: &Network, chunk: (Tensor, Tensor), statistics: Statistics) -> Tensor {
    let loss = cross_entropy(&network.logits(&chunk.0, statistics).unwrap(), &chunk.1, Reduction::Mean).unwrap();
    network.pack(&Tensor::f_run_backward(&[&loss], &network.trained(), false, false).unwrap()).unwrap()
}

pub(super) fn relative(have: &Tensor, want: &Tensor) -> f64 {
    (have - want).abs().max().double_value(&[]) / want.abs().max().double_value(&[])
}

#[test]
fn hessian_products_are_derivatives_of_the_gradient() {
    let setting = setting(2, false);
    let network = &setting.network;
    let at = |coordinate: i64, by: f64| {
        let moved = network.with_parameters(network.flat()).unwrap();
        let _ = moved.flat().narrow(0, coordinate, 1).f_add_scalar_(by).unwrap();
        gradient(&moved, setting.images.chunks(2).next().unwrap().unwrap(), Statistics::Running)
    };
    let mut compared = 0;
    for coordinate in (0..network.flat().numel() as i64).step_by(97) {
        let v = network.flat().detach().zeros_like();
        let _ = v.narrow(0, coordinate, 1).fill_(1.0);
        let product = hessian_vector_product(&setting.objective(1), &v).unwrap();
        // The step is too small to switch a ReLU.
        let step = 1e-8;
        let slope = (at(coordinate, step) - at(coordinate, -step)) / (2.0 * step);
        let error = (&product - &slope).abs().max().double_value(&[]);
        let size = slope.abs().max().double_value(&[]);
        assert!(error <= 1e-5 * size.max(1.0), "coordinate {coordinate}: {error} of {size}");
        compared += i32::from(size > 1e-3);
    }
    assert!(compared > 10, "only {compared} columns are not zero");
}

#[test]
fn gauss_newton_and_the_rest_make_the_hessian() {
    for invariant in [false, true] {
        let setting = setting(3, invariant);
        for norms in [Norms::Running, Norms::Batch] {
            let objective = Objective { norms, ..setting.objective(3) };
            let v = direction(&setting.network, Components::Normal, (1, "test", 0)).unwrap();
            let hessian = hessian_vector_product(&objective, &v).unwrap();
            let product = products(&objective, &[v], &mut |_, _| true).unwrap().remove(0);
            let error = relative(&(&product.gauss_newton + &product.rest), &hessian);
            assert!(error < 1e-12, "{invariant} {norms:?}: {error}");
        }
    }
}

#[test]
fn the_noise_is_that_of_the_gradients_of_examples_or_batches() {
    let setting = setting(6, false);
    let network = &setting.network;
    for (norms, batch, size) in [(Norms::Running, 4, 1), (Norms::Batch, 2, 2)] {
        let objective = Objective { norms, batch, ..setting.objective(batch) };
        let gradients = setting.images.chunks(size).map(|chunk| gradient(network, chunk.unwrap(), norms.into()));
        let gradients = Tensor::stack(&gradients.collect::<Vec<_>>(), 0);
        let mean = gradients.mean_dim([0].as_slice(), true, None);
        let spread = &gradients - &mean;
        let v = direction(network, Components::Normal, (1, "test", 0)).unwrap();
        let count = gradients.size()[0];
        let want = spread.transpose(0, 1).matmul(&spread.matmul(&v)) / count;
        let product = products(&objective, &[v], &mut |_, _| true).unwrap().remove(0);
        let error = relative(&product.covariance, &want);
        assert!(error < 1e-12, "{norms:?}: {error}");

        // Tr Σ of single examples. From batches, it is their size times the unbiased variance of their mean gradients.
        let squares = spread.square().sum(Kind::Double).double_value(&[]);
        let found = scale(&objective, None, 1, &mut |_, _| true).unwrap();
        match norms {
            Norms::Running => {
                let error = found.noise.value / (squares / count as f64) - 1.0;
                assert!(error.abs() < 1e-12 && found.noise.error == 0.0, "{error} {:?}", found.noise);
                assert_eq!(found.jacobians.len(), 6);
                // ‖J‖ by random signs: many draws give a good approximation.
                let drawn = scale(&objective, Some(400), 1, &mut |_, _| true).unwrap();
                for (drawn, exact) in drawn.jacobians.iter().zip(&found.jacobians) {
                    assert!((drawn / exact - 1.0).abs() < 0.1, "{drawn} {exact}");
                }
            }
            Norms::Batch => {
                let want = size as f64 * squares / (count - 1) as f64;
                assert!((found.noise.value / want - 1.0).abs() < 1e-12, "{} {want}", found.noise.value);
            }
        }
    }
}

#[test]
fn a_scale_invariant_loss_has_no_slope_along_the_weights_in_training_mode() {
    // Exact except for the ε of the norms (paper, section 2): ⟨w, g⟩ = 0, and its derivative is Hw = −g.
    let setting = setting(4, true);
    let network = &setting.network;
    let objective = Objective { norms: Norms::Batch, ..setting.objective(4) };
    let w = network.flat().detach();
    let g = gradient(network, setting.images.chunks(4).next().unwrap().unwrap(), Statistics::Batch);
    let (along, lengths) = (dot(&w, &g).unwrap(), dot(&w, &w).unwrap().sqrt() * dot(&g, &g).unwrap().sqrt());
    assert!(along.abs() < 1e-3 * lengths, "{along} of {lengths}");
    let product = hessian_vector_product(&objective, &w).unwrap();
    assert!(relative(&product.neg(), &g) < 0.02, "{}", relative(&product.neg(), &g));
}

#[test]
fn the_noise_of_images_with_tiny_losses_survives_float32() {
    let setting = setting(6, false);
    let precise = &setting.network;
    // The head is so large that nearly all probability is on one class, and the labels are the network's answers.
    let enlarged = |kind: Kind| {
        let mut weights = initial_weights(precise.layout().model, InitScheme::He, None, 1).unwrap();
        let of_head = |(name, array): (&str, &Array)| {
            let factor = if name == "head.weight" { 40.0 } else { 1.0 };
            let data = array.data.iter().map(|value| value * factor).collect();
            (name.to_owned(), Array { shape: array.shape.clone(), data })
        };
        weights = weights.iter().map(of_head).collect();
        let arithmetic = Arithmetic { kind, ..precise.arithmetic() };
        let network = Network::new(precise.layout().model, &weights, arithmetic).unwrap();
        let mut stream = Stream::new(5, "pixels", &[]);
        let pixels: Vec<u8> = (0..6 * 3072).map(|_| stream.below(256) as u8).collect();
        let unnamed = DeviceImages::new(&pixels, &[0; 6], precise.layout().model, arithmetic).unwrap();
        let answers = predict(&network, &unnamed, 6).unwrap();
        let labels: Vec<u8> = answers.into_iter().map(|(answer, _)| answer as u8).collect();
        let images = DeviceImages::new(&pixels, &labels, precise.layout().model, arithmetic).unwrap();
        let objective = Objective { network: &network, images: &images, batch: 4, norms: Norms::Running };
        scale(&objective, None, 1, &mut |_, _| true).unwrap()
    };
    let (double, single) = (enlarged(Kind::Double), enlarged(Kind::Float));
    // This is near twice the smallest loss of an image.
    assert!((1e-14..1e-7).contains(&double.residual_ratio), "{}", double.residual_ratio);
    for (name, want, have) in [
        ("loss", double.loss, single.loss),
        ("second moment", double.second_moment.value, single.second_moment.value),
        ("noise", double.noise.value, single.noise.value),
        ("residual ratio", double.residual_ratio, single.residual_ratio),
    ] {
        assert!((have / want - 1.0).abs() < 1e-3, "{name}: {have} instead of {want}");
    }
}

#[test]
fn senseless_requests_are_refused() {
    let setting = setting(5, false);
    let batches = Objective { norms: Norms::Batch, ..setting.objective(2) };
    assert!(matches!(scale(&batches, None, 1, &mut |_, _| true), Err(LearnError::Data(_))), "5 is not divided by 2");
    assert!(matches!(covariance(&batches, 1, 1, &mut |_, _| true), Err(LearnError::Data(_))));
    assert!(scale(&setting.objective(2), Some(0), 1, &mut |_, _| true).is_err());
    assert!(covariance(&setting.objective(2), 0, 1, &mut |_, _| true).is_err());
    assert!(extremes(&setting.objective(2), 0, 0.1, 1, &mut |_, _| true).is_err());
    let none = [Estimator::Hutchinson { draws: 0, stop: None }, Estimator::Sketch { draws: 1, stderr: None }];
    assert!(
        none.map(|estimator| trace(&setting.objective(2), estimator, 1, &mut |_, _| true)).iter().all(Result::is_err)
    );
    assert!(matches!(trace(&batches, Estimator::Exact, 1, &mut |_, _| true), Err(LearnError::Data(_))));
    assert!(matches!(covariance(&setting.objective(2), 1, 1, &mut |_, _| false), Err(LearnError::Cancelled)));
    assert!(matches!(extremes(&setting.objective(2), 9, 0.0, 1, &mut |_, _| false), Err(LearnError::Cancelled)));
}
