//! Tr ∇²L as the mean of the images' own traces.
//!
//! With running statistics the loss of a network of ReLUs is piecewise linear in the logits along every single weight, so the
//! diagonal of E = H − G is zero and Tr H = Tr G (docs/numerics.md). Tr G is the mean over the images of
//! Σ_k ‖J_iᵀs_ik‖², where S_i S_iᵀ = diag(p_i) − p_ip_iᵀ has C − 1 columns. This takes C − 1 backward passes and no random draws.

use tch::Tensor;

use super::{Objective, Trace, Watch};
use crate::LearnError;
use crate::curvature::factor::factor;
use crate::curvature::norms::Examples;
use base::rng::Stream;

/// Number of columns of every factor that a sketch computes exactly: the columns of its most probable classes. The other
/// columns are small.
pub const EXACT_COLUMNS: usize = 2;

/// Number of draws between checks of the standard error.
const BLOCK: u32 = 4;

/// Computes Tr ∇²L without draws.
pub(super) fn exact(objective: &Objective<'_>, watch: &mut Watch<'_>) -> Result<Trace, LearnError> {
    let columns = objective.network.layout().model.classes as usize - 1;
    let mut steps = Steps::new(objective, columns, watch)?;
    let mut traces = Vec::with_capacity(objective.images.count());
    for chunk in objective.examples()? {
        let chunk = chunk?;
        traces.extend(sum_of_columns(&chunk, &factor(&chunk.logits()?)?, columns, &mut steps)?);
    }
    Ok(Trace { standard_error: 0.0, draws: 0, ..Trace::over_images(&traces) })
}

/// Estimates Tr ∇²L for many classes: the first columns of every factor exactly, the others by random signs, with at most
/// `draws` draws. It stops earlier, after two or more draws, if the standard error is at most the share `stderr` of the trace.
pub(super) fn sketch(
    objective: &Objective<'_>,
    draws: u32,
    stderr: Option<f64>,
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<Trace, LearnError> {
    if draws < 2 {
        return Err(LearnError::Data("a sketch needs two draws or more to estimate its error".to_owned()));
    }
    let columns = objective.network.layout().model.classes as usize - 1;
    let exact = columns.min(EXACT_COLUMNS);
    let mut steps = Steps::new(objective, exact + draws as usize, watch)?;
    let block = if stderr.is_some() { BLOCK } else { draws };
    let mut images = vec![Drawn::default(); objective.images.count()];
    let mut done = 0;
    loop {
        let numbers = done..draws.min(done + block);
        let signs: Vec<_> = numbers.clone().map(|draw| Signs::new(seed, draw, columns - exact, images.len())).collect();
        let mut first = 0;
        for chunk in objective.examples()? {
            let chunk = chunk?;
            let count = chunk.labels.numel();
            let s = factor(&chunk.logits()?)?;
            let images = &mut images[first..first + count];
            if done == 0 {
                let sums = sum_of_columns(&chunk, &s, exact, &mut steps)?;
                images.iter_mut().zip(sums).for_each(|(image, sum)| image.exact = sum);
            }
            let rest = s.f_narrow(1, exact as i64, (columns - exact) as i64)?;
            for signs in &signs {
                let u = signs.of(first, count, &rest)?.f_matmul(&rest)?.f_squeeze_dim(1)?;
                let values = host(&chunk.squares(&u)?)?;
                images.iter_mut().zip(values).for_each(|(image, value)| image.drawn.push(value));
                steps.step()?;
            }
            first += count;
        }
        done = numbers.end;
        let trace = of_drawn(&images, done);
        if done >= draws || stderr.is_some_and(|share| trace.standard_error <= share * trace.value.abs()) {
            return Ok(trace);
        }
    }
}

impl Trace {
    /// Returns the mean and spread of the images' traces.
    fn over_images(traces: &[f64]) -> Self {
        let estimate = super::Estimate::mean(traces);
        Self { value: estimate.value, standard_error: f64::NAN, spread: estimate.error, draws: 0 }
    }
}

/// The parts of one image's trace: the exact one, and its draws.
#[derive(Debug, Clone, Default)]
struct Drawn {
    exact: f64,
    drawn: Vec<f64>,
}

/// Returns the mean over the images and its error. DeviceImages have independent draws, so their variances add up.
fn of_drawn(images: &[Drawn], draws: u32) -> Trace {
    let mut traces = Vec::with_capacity(images.len());
    let mut variance = 0.0;
    for image in images {
        let rest = super::Estimate::mean(&image.drawn);
        traces.push(image.exact + rest.value);
        variance += rest.error.powi(2);
    }
    let standard_error = variance.sqrt() / images.len() as f64;
    Trace { standard_error, draws, ..Trace::over_images(&traces) }
}

/// Computes ‖J_iᵀs‖² of every image, summed over its first `count` columns s.
fn sum_of_columns(
    chunk: &Examples,
    s: &Tensor,
    count: usize,
    steps: &mut Steps<'_, '_>,
) -> Result<Vec<f64>, LearnError> {
    let mut sums = vec![0.0; chunk.labels.numel()];
    for column in 0..count {
        let values = host(&chunk.squares(&s.f_select(1, column as i64)?)?)?;
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        steps.step()?;
    }
    Ok(sums)
}

/// Random signs for the columns of every image.
struct Signs {
    signs: Vec<i8>,
    columns: usize,
}

impl Signs {
    fn new(seed: u64, draw: u32, columns: usize, images: usize) -> Self {
        let mut stream = Stream::new(seed, "trace-sketch", &[u64::from(draw)]);
        Self { signs: stream.signs(columns * images), columns }
    }

    /// Returns the signs of `count` images from the `first` on, `[b, 1, columns]`, of the kind and on the device of `like`.
    fn of(&self, first: usize, count: usize, like: &Tensor) -> Result<Tensor, LearnError> {
        let part = &self.signs[first * self.columns..(first + count) * self.columns];
        let part = Tensor::f_from_slice(part)?.f_view([count as i64, 1, self.columns as i64])?;
        Ok(part.f_to_device(like.device())?.f_to_kind(like.f_kind()?)?)
    }
}

fn host(values: &Tensor) -> Result<Vec<f64>, LearnError> {
    let mut found = vec![0.0; values.numel()];
    values.f_copy_data(&mut found, values.numel())?;
    Ok(found)
}

/// Reports progress in passes over chunks.
struct Steps<'a, 'b> {
    watch: &'a mut Watch<'b>,
    done: usize,
    all: usize,
}

impl<'a, 'b> Steps<'a, 'b> {
    fn new(objective: &Objective<'_>, passes: usize, watch: &'a mut Watch<'b>) -> Result<Self, LearnError> {
        let chunks = objective.images.count().div_ceil(objective.examples_at_once()?);
        Ok(Self { watch, done: 0, all: chunks * passes })
    }

    fn step(&mut self) -> Result<(), LearnError> {
        self.done += 1;
        if (self.watch)(self.done, self.all) { Ok(()) } else { Err(LearnError::Cancelled) }
    }
}

#[cfg(test)]
mod tests {
    use tch::Kind;

    use super::super::super::tests::setting_of;
    use super::super::{Estimator, trace};
    use super::*;
    use crate::batches::DeviceImages;
    use crate::model::{Network, Statistics};
    use base::work::{Model, ModelName};

    fn of(objective: &Objective<'_>, estimator: Estimator) -> Trace {
        trace(objective, estimator, 3, &mut |_, _| true).unwrap()
    }

    #[test]
    fn the_chunk_does_not_matter_and_progress_is_told() {
        let setting = setting_of(Model::new(ModelName::PreactResnet18, 1, 5), 5, false);
        let exact = of(&setting.objective(5), Estimator::Exact);
        let sketch = of(&setting.objective(5), Estimator::Sketch { draws: 3, stderr: None });
        for batch in [1, 2] {
            let again = of(&setting.objective(batch), Estimator::Exact);
            assert!(
                (again.value / exact.value - 1.0).abs() < 1e-12 && (again.spread / exact.spread - 1.0).abs() < 1e-12
            );
            let again = of(&setting.objective(batch), Estimator::Sketch { draws: 3, stderr: None });
            assert!((again.value / sketch.value - 1.0).abs() < 1e-12, "{again:?} {sketch:?}");
        }
        assert_eq!((exact.standard_error, exact.draws, sketch.draws), (0.0, 0, 3));
        let mut calls = Vec::new();
        let stopped = trace(&setting.objective(3), Estimator::Exact, 3, &mut |done, all| {
            calls.push((done, all));
            done < 5
        });
        assert!(matches!(stopped, Err(LearnError::Cancelled)));
        assert_eq!(calls, [(1, 8), (2, 8), (3, 8), (4, 8), (5, 8)]);
    }

    /// Computes Tr G = 1/n Σ_i Σ_{k<l} p_ik p_il ‖J_ik − J_il‖²: the same number without a factor or a difference of
    /// probabilities, from whole gradients of single logits.
    fn by_pairs(network: &Network, images: &DeviceImages, classes: i64) -> f64 {
        let of_image = |(x, _): (Tensor, Tensor)| {
            let logits = network.logits(&x, Statistics::Running).unwrap().squeeze_dim(0);
            let gradient = |k: i64| {
                let gradients = Tensor::f_run_backward(&[&logits.select(0, k)], &network.trained(), true, false);
                network.pack(&gradients.unwrap()).unwrap()
            };
            let jacobian: Vec<Tensor> = (0..classes).map(gradient).collect();
            let p = logits.log_softmax(0, Kind::Double).exp();
            let pairs = (0..classes).flat_map(|k| (0..k).map(move |l| (k, l)));
            let term = |(k, l): (i64, i64)| {
                let distance = (&jacobian[k as usize] - &jacobian[l as usize]).square().sum(Kind::Double);
                (p.select(0, k) * p.select(0, l) * distance).double_value(&[])
            };
            pairs.map(term).sum::<f64>()
        };
        images.chunks(1).map(|chunk| of_image(chunk.unwrap())).sum::<f64>() / images.count() as f64
    }

    #[test]
    fn it_is_exact_from_the_first_steps_to_losses_that_nearly_vanish() {
        let (classes, count) = (4, 3);
        let setting = setting_of(Model::new(ModelName::PreactResnet18, 1, classes), count, false);
        let start = setting.objective(1);
        let mut losses = Vec::new();
        for factor in [0.1, 1.0, 4.0, 12.0, 40.0, 160.0] {
            // A larger last layer gives the same answers with more confidence.
            let mut tensors = start.network.unpack(start.network.flat()).unwrap();
            let head = tensors.len() - 2;
            tensors[head..].iter_mut().for_each(|tensor| *tensor = tensor.detach() * factor);
            let network = start.network.with_parameters(&start.network.pack(&tensors).unwrap()).unwrap();
            let objective = Objective { network: &network, ..start };
            let want = by_pairs(&network, start.images, i64::from(classes));
            let have = of(&objective, Estimator::Exact).value;
            assert!((have / want - 1.0).abs() < 1e-12, "{factor}: {have} {want}");
            // The loss if every answer is right.
            let sure = |(x, _): (Tensor, Tensor)| {
                let logits = network.logits(&x, Statistics::Running).unwrap();
                let (best, _) = logits.max_dim(1, true);
                let others = (logits - best).exp().sum(Kind::Double).double_value(&[]) - 1.0;
                others.ln_1p()
            };
            losses.push(start.images.chunks(1).map(|chunk| sure(chunk.unwrap())).sum::<f64>() / count as f64);
        }
        assert!(losses[0] > 1.0 && losses[losses.len() - 1] < 1e-10, "{losses:?}");
    }

    #[test]
    fn a_sketch_of_few_classes_is_exact_and_of_more_stops_when_it_knows_enough() {
        let setting = setting_of(Model::new(ModelName::PreactResnet18, 1, 3), 4, false);
        let exact = of(&setting.objective(4), Estimator::Exact);
        let sketch = of(&setting.objective(4), Estimator::Sketch { draws: 2, stderr: None });
        assert!((sketch.value / exact.value - 1.0).abs() < 1e-12 && sketch.standard_error == 0.0);
        let setting = setting_of(Model::new(ModelName::PreactResnet18, 1, 20), 4, false);
        let some = of(&setting.objective(4), Estimator::Sketch { draws: 40, stderr: Some(1e3) });
        assert_eq!(some.draws, BLOCK);
        let all = of(&setting.objective(4), Estimator::Sketch { draws: 10, stderr: Some(0.0) });
        assert_eq!((all.draws, all), (10, of(&setting.objective(4), Estimator::Sketch { draws: 10, stderr: None })));
    }
}
