//! Hutchinson's estimate of the Hessian's trace.

use tch::{Kind, Tensor};

use super::{Components, Objective, Watch, direction};
use crate::learn::LearnError;
use crate::work::Stop;

/// Draws that are made before an estimate may stop by its standard error, and at a time from there on.
const BLOCK: u32 = 8;

/// An estimate of Tr ∇²L.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// vᵀHv of every direction.
    pub forms: Vec<f64>,
    /// Their mean: the estimate.
    pub mean: f64,
    /// Its standard error, s/√n with the sample standard deviation s; 0 for a single direction.
    pub standard_error: f64,
}

impl Trace {
    /// Mean and standard error of `forms`.
    pub fn of(forms: Vec<f64>) -> Self {
        let n = forms.len().max(1) as f64;
        let mean = forms.iter().sum::<f64>() / n;
        let squares: f64 = forms.iter().map(|form| (form - mean).powi(2)).sum();
        let standard_error = if forms.len() > 1 { (squares / (n - 1.0) / n).sqrt() } else { 0.0 };
        Self { forms, mean, standard_error }
    }
}

/// Hutchinson's estimate of Tr ∇²L: the mean of vᵀHv over at most `draws` Rademacher directions, fewer if `stop`
/// says that they are enough.
///
/// Memory: one chunk's graph, and a byte for every parameter and direction.
///
/// # Errors
/// If there are no draws, `watch` returns false, or libtorch fails.
pub fn trace(
    objective: &Objective<'_>,
    draws: u32,
    stop: Option<Stop>,
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<Trace, LearnError> {
    if draws == 0 {
        return Err(LearnError::Data("no trace without a draw".to_owned()));
    }
    let block = if stop.is_some() { BLOCK } else { draws };
    let mut forms = Vec::new();
    while forms.len() < draws as usize {
        let first = forms.len() as u32;
        let numbers = first..draws.min(first + block);
        let share = numbers.len();
        let directions =
            numbers.map(|draw| direction(objective.network, Components::Signs, (seed, "hessian-trace", draw)));
        let directions = directions.collect::<Result<Vec<_>, _>>()?;
        let mut within = |done: usize, all: usize| {
            // In units of one direction's chunk, over the greatest number of draws.
            let a_draw = all / share;
            watch(first as usize * a_draw + done, draws as usize * a_draw)
        };
        forms.extend(quadratic_forms(objective, &directions, &mut within)?);
        if let Some(enough) = stop.and_then(|stop| enough(&forms, stop)) {
            forms.truncate(enough);
            break;
        }
    }
    Ok(Trace::of(forms))
}

/// How many of the first draws are enough, if some are.
fn enough(forms: &[f64], stop: Stop) -> Option<usize> {
    match stop {
        Stop::StandardError(share) => {
            let estimate = Trace::of(forms.to_vec());
            (estimate.standard_error <= share * estimate.mean.abs()).then_some(forms.len())
        }
        // PyHessian 0.1, `trace`.
        Stop::Settled(share) => {
            let mean = |n: usize| if n == 0 { 0.0 } else { forms[..n].iter().sum::<f64>() / n as f64 };
            (1..=forms.len()).find(|&n| (mean(n) - mean(n - 1)).abs() / (mean(n - 1).abs() + 1e-6) < share)
        }
    }
}

/// vᵀHv for every direction, each packed like the network's parameters (of any element type). The gradient's
/// graph of a chunk is built once and serves all directions.
pub(in crate::learn) fn quadratic_forms(
    objective: &Objective<'_>,
    directions: &[Tensor],
    watch: &mut Watch<'_>,
) -> Result<Vec<f64>, LearnError> {
    let arithmetic = objective.network.arithmetic();
    let sums = Tensor::f_zeros([directions.len() as i64], (Kind::Double, arithmetic.device))?;
    let mut done = 0;
    for chunk in objective.chunks() {
        let chunk = chunk?;
        let weight = chunk.count / objective.images.count() as f64;
        let slope = chunk.slope()?;
        for (draw, direction) in directions.iter().enumerate() {
            let v = direction.f_to_kind(arithmetic.kind)?;
            let hv = slope.derivative(&v, draw + 1 < directions.len())?;
            let form = hv.f_mul(&v)?.f_sum(Kind::Double)?.f_mul_scalar(weight)?;
            let _ = sums.f_narrow(0, draw as i64, 1)?.f_add_(&form)?;
            done += 1;
            if !watch(done, objective.chunk_count() * directions.len()) {
                return Err(LearnError::Cancelled);
            }
        }
    }
    let mut forms = vec![0.0; directions.len()];
    sums.f_copy_data(&mut forms, directions.len())?;
    Ok(forms)
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::learn::init::initial_weights;
    use crate::learn::model::Arithmetic;
    use crate::torch::{Libraries, Session, load, policy};
    use crate::work::{InitScheme, Model, ModelName, Precision};

    fn setting(images: usize) -> (Session, Network, Images) {
        load(&Libraries::default()).unwrap();
        let session = policy::apply(Precision::Fp32).unwrap();
        let arithmetic = Arithmetic { device: Device::Cpu, kind: Kind::Double, channels_last: false };
        let model = Model { name: ModelName::PreactResnet18, width: 1, classes: 2 };
        let network = Network::new(model, &initial_weights(model, InitScheme::He, 1).unwrap(), arithmetic).unwrap();
        let mut stream = Stream::new(5, "pixels", &[]);
        let pixels: Vec<u8> = (0..images * 3072).map(|_| stream.below(256) as u8).collect();
        let labels: Vec<u8> = (0..images).map(|i| (i % 2) as u8).collect();
        (session, network, Images::new(&pixels, &labels, 2, arithmetic).unwrap())
    }

    /// The packed gradient at the parameters moved by `by` along coordinate `at`.
    fn gradient(network: &Network, images: &Images, at: i64, by: f64) -> Tensor {
        let moved = network.with_parameters(network.flat()).unwrap();
        let _ = moved.flat().narrow(0, at, 1).f_add_scalar_(by).unwrap();
        let (x, y) = images.chunks(images.count()).next().unwrap().unwrap();
        let loss = moved.loss(&x, &y, Statistics::Running).unwrap();
        moved.pack(&Tensor::f_run_backward(&[&loss], &moved.parameters(), false, false).unwrap()).unwrap()
    }

    #[test]
    fn products_are_derivatives_of_the_gradient() {
        let (_session, network, images) = setting(2);
        let length = network.flat().numel() as i64;
        let mut compared = 0;
        for at in (0..length).step_by(97) {
            let v = network.flat().detach().zeros_like();
            let _ = v.narrow(0, at, 1).fill_(1.0);
            let product = hessian_vector_product(&network, &images, 1, Norms::Running, &v).unwrap();
            // So small a step that no ReLU changes its mind.
            let step = 1e-8;
            let slope = (gradient(&network, &images, at, step) - gradient(&network, &images, at, -step)) / (2.0 * step);
            let error = (&product - &slope).abs().max().double_value(&[]);
            let size = slope.abs().max().double_value(&[]);
            assert!(error <= 1e-5 * size.max(1.0), "coordinate {at}: {error} of {size}");
            compared += i32::from(size > 1e-3);
        }
        assert!(compared > 10, "only {compared} columns are not zero");
    }

    /// The whole diagonal would need thousands of products: that of the stem, the last norm and the classifier.
    #[test]
    fn the_mean_over_draws_is_the_trace() {
        let (_session, network, images) = setting(2);
        let masks = network.layout().parameters().map(|entry| {
            let chosen = ["stem", "final_norm", "head"].iter().any(|part| entry.name.starts_with(part));
            let shape: Vec<i64> = entry.shape.iter().map(|&size| size as i64).collect();
            Tensor::full(shape.as_slice(), f64::from(u8::from(chosen)), (Kind::Double, Device::Cpu))
        });
        let mask = network.pack(&masks.collect::<Vec<_>>()).unwrap();
        let chosen = Vec::<i64>::try_from(mask.nonzero().view([-1])).unwrap();
        assert_eq!(chosen.len(), 27 + 16 + 18);
        let unit = |&at: &i64| {
            let v = mask.zeros_like();
            let _ = v.narrow(0, at, 1).fill_(1.0);
            v
        };
        let units: Vec<Tensor> = chosen.iter().map(unit).collect();
        let forms = |v: &[Tensor]| quadratic_forms(&network, &images, 2, Norms::Running, v, |_, _| true).unwrap();
        let exact: f64 = forms(&units).iter().sum();
        let draws: Vec<Tensor> = (0..120).map(|draw| rademacher(&network, 3, draw).unwrap() * &mask).collect();
        let estimate = Trace::of(forms(&draws));
        let (mean, error) = (estimate.mean, estimate.standard_error);
        assert!((mean - exact).abs() < 4.0 * error, "{mean} ± {error} is not {exact}");
        assert!(error < 0.25 * exact.abs(), "{mean} ± {error}");
    }

    #[test]
    fn draws_do_not_depend_on_the_chunk_and_can_be_stopped() {
        let (_session, network, images) = setting(3);
        let forms = |batch| trace(&network, &images, batch, 2, 3, |_, _| true).unwrap().forms;
        for (a, b) in forms(1).into_iter().zip(forms(3)) {
            assert!((a - b).abs() <= 1e-11 * a.abs(), "{a} {b}");
        }
        let mut calls = Vec::new();
        let stopped = trace(&network, &images, 2, 2, 3, |done, all| {
            calls.push((done, all));
            done < 3
        });
        assert!(matches!(stopped, Err(LearnError::Cancelled)));
        assert_eq!(calls, [(1, 4), (2, 4), (3, 4)]);
    }

    #[test]
    fn mean_and_standard_error() {
        let trace = Trace::of(vec![1.0, 2.0, 6.0]);
        assert_eq!((trace.mean, trace.standard_error), (3.0, (7.0_f64 / 3.0).sqrt()));
        assert_eq!(Trace::of(vec![4.0]).standard_error, 0.0);
    }
}
