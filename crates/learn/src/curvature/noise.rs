//! The relation of the curvature to the covariance of the gradient noise, and the scale of the noise.

use tch::{Kind, Tensor};

use super::chunk::{Softmax, row_sums};
use super::{Components, Norms, Objective, Watch, direction, dot, products};
use crate::LearnError;
use base::rng::Stream;

/// Number of directions whose products, four vectors each, are in memory at a time.
const PRODUCTS_AT_ONCE: u32 = 8;

/// An estimate and its standard error (NaN for a single draw).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// The standard error.
    pub error: f64,
}

impl Estimate {
    /// Returns the mean of independent draws.
    pub fn mean(draws: &[f64]) -> Self {
        let n = draws.len() as f64;
        let value = draws.iter().sum::<f64>() / n;
        let squares: f64 = draws.iter().map(|draw| (draw - value).powi(2)).sum();
        Self { value, error: if n > 1.0 { (squares / (n - 1.0) / n).sqrt() } else { f64::NAN } }
    }

    /// Estimates a function of means of draws by the jackknife: `of` gets the index of the draw to leave out.
    fn jackknife(draws: usize, of: impl Fn(Option<usize>) -> f64) -> Self {
        let n = draws as f64;
        let without: Vec<f64> = (0..draws).map(|i| of(Some(i))).collect();
        let mean = without.iter().sum::<f64>() / n;
        let squares: f64 = without.iter().map(|value| (value - mean).powi(2)).sum();
        Self { value: of(None), error: if draws > 1 { ((n - 1.0) / n * squares).sqrt() } else { f64::NAN } }
    }
}

/// Scalars of the products with one direction v, for X = H, G, E, Σ in this order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// v·Xv.
    pub forms: [f64; 4],
    /// ‖Xv‖².
    pub squares: [f64; 4],
    /// ⟨Xv, Σv⟩ for H, G, E.
    pub overlaps: [f64; 3],
    /// Mean over the images of ‖J_iv‖².
    pub jacobian: f64,
}

/// Estimates about H, G, E and Σ from products with random directions.
#[derive(Debug, Clone, PartialEq)]
pub struct Covariance {
    /// The scalars of every draw.
    pub draws: Vec<Draw>,
}

impl Covariance {
    /// Returns E_v[cos(Xv, Σv)] for X = H, G, E.
    pub fn cosines(&self) -> [Estimate; 3] {
        std::array::from_fn(|x| {
            let cosine = |draw: &Draw| draw.overlaps[x] / (draw.squares[x] * draw.squares[3]).sqrt();
            Estimate::mean(&self.draws.iter().map(cosine).collect::<Vec<_>>())
        })
    }

    /// Returns ⟨X, Σ⟩/(‖X‖‖Σ‖) in the Frobenius product for X = H, G, E, with each part estimated by its mean over the draws.
    pub fn matrix_cosines(&self) -> [Estimate; 3] {
        std::array::from_fn(|x| {
            Estimate::jackknife(self.draws.len(), |without| {
                let kept = || self.draws.iter().enumerate().filter(|(i, _)| Some(*i) != without).map(|(_, draw)| draw);
                let sum = |of: fn(&Draw, usize) -> f64, x: usize| kept().map(|draw| of(draw, x)).sum::<f64>();
                let square = |draw: &Draw, x: usize| draw.squares[x];
                sum(|draw, x| draw.overlaps[x], x) / (sum(square, x) * sum(square, 3)).sqrt()
            })
        })
    }

    /// Returns the traces of H, G, E, Σ.
    pub fn traces(&self) -> [Estimate; 4] {
        std::array::from_fn(|x| Estimate::mean(&self.draws.iter().map(|draw| draw.forms[x]).collect::<Vec<_>>()))
    }

    /// Returns the mean over the images of ‖J_i‖², Frobenius norm.
    pub fn jacobian(&self) -> Estimate {
        Estimate::mean(&self.draws.iter().map(|draw| draw.jacobian).collect::<Vec<_>>())
    }
}

/// Computes products with H, G, E and Σ along `draws` Gaussian directions (paper, Figure 7).
///
/// # Errors
/// If there are no draws, `watch` returns false, or libtorch fails.
pub fn covariance(
    objective: &Objective<'_>,
    draws: u32,
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<Covariance, LearnError> {
    if draws == 0 {
        return Err(LearnError::Data("estimating cosines needs at least one draw".to_owned()));
    }
    objective.whole_batches()?;
    let mut found = Vec::new();
    while found.len() < draws as usize {
        let first = found.len() as u32;
        let numbers = first..draws.min(first + PRODUCTS_AT_ONCE);
        let directions =
            numbers.map(|draw| direction(objective.network, Components::Normal, (seed, "noise-covariance", draw)));
        let directions = directions.collect::<Result<Vec<_>, _>>()?;
        let chunks = objective.chunk_count();
        let mut within = |done: usize, _: usize| watch(first as usize * chunks + done, draws as usize * chunks);
        for (v, products) in directions.iter().zip(products(objective, &directions, &mut within)?) {
            let hessian = products.gauss_newton.f_add(&products.rest)?;
            let all = [&hessian, &products.gauss_newton, &products.rest, &products.covariance];
            let mut draw = Draw { forms: [0.0; 4], squares: [0.0; 4], overlaps: [0.0; 3], jacobian: products.jacobian };
            for (x, product) in all.into_iter().enumerate() {
                draw.forms[x] = dot(v, product)?;
                draw.squares[x] = dot(product, product)?;
                if x < 3 {
                    draw.overlaps[x] = dot(product, &products.covariance)?;
                }
            }
            found.push(draw);
        }
    }
    Ok(Covariance { draws: found })
}

/// The scale of the gradient noise.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    /// L, the loss.
    pub loss: f64,
    /// S₁ = mean ‖g_i‖²: over the images with running statistics, over the chunks with batch statistics.
    pub second_moment: Estimate,
    /// ‖g‖² of the mean gradient.
    pub mean_gradient: f64,
    /// Tr Σ of one image's gradient. With batch statistics, it is estimated from the spread of the chunks' gradients, times
    /// the chunk's size.
    pub noise: Estimate,
    /// ‖J_i‖, Frobenius norm, of every image, ascending; empty with batch statistics.
    pub jacobians: Vec<f64>,
    /// Smallest ‖r_i‖²/ℓ_i over the images.
    pub residual_ratio: f64,
}

/// Computes the scale of the gradient noise relative to the loss (paper, Proposition 3). With running statistics, S₁ and Tr Σ
/// are exact, and ‖J_i‖² is the sum of ‖J_iᵀe_k‖² over the classes k, or the mean of ‖J_iᵀu‖² over `draws` vectors u of random
/// signs. With batch statistics, S₁ and Tr Σ are estimated from the spread of the chunks' gradients.
///
/// Memory: one chunk's graph and layers.
///
/// # Errors
/// If there are no draws, batch statistics have fewer than two chunks or unequal ones, `watch` returns false, or libtorch
/// fails.
pub fn scale(
    objective: &Objective<'_>,
    draws: Option<u32>,
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<Scale, LearnError> {
    if draws == Some(0) {
        return Err(LearnError::Data("estimating the Jacobians' norms needs at least one draw".to_owned()));
    }
    objective.whole_batches()?;
    let chunks = objective.chunk_count();
    let classes = objective.network.layout().model.classes;
    let passes = 1 + draws.unwrap_or(classes) as usize;
    let of_batches = objective.norms == Norms::Batch;
    let examples = if of_batches { 0 } else { objective.images.count().div_ceil(objective.examples_at_once()?) };
    let total = chunks + examples * passes;
    let Means { loss, gradient, batches, residual_ratio } = means(objective, &mut |done| watch(done, total))?;
    let mean_gradient = dot(&gradient, &gradient)?;
    if of_batches {
        let second_moment = Estimate::mean(&batches);
        // B K/(K − 1) (mean ‖g_b‖² − ‖g‖²): unbiased for independent batches; the mean's own error is neglected.
        let factor = objective.batch as f64 * chunks as f64 / (chunks as f64 - 1.0);
        let noise =
            Estimate { value: factor * (second_moment.value - mean_gradient), error: factor * second_moment.error };
        return Ok(Scale { loss, second_moment, mean_gradient, noise, jacobians: Vec::new(), residual_ratio });
    }
    let directions = Directions::new(draws, classes, objective.images.count(), seed);
    let (mut moment, mut jacobians, mut done) = (0.0, Vec::new(), chunks);
    for chunk in objective.examples()? {
        let chunk = chunk?;
        let mut step = || {
            done += 1;
            if watch(done, total) { Ok(()) } else { Err(LearnError::Cancelled) }
        };
        let residual = Softmax::of(&chunk.logits()?, &chunk.labels)?.residual;
        moment += chunk.squares(&residual)?.f_sum(Kind::Double)?.f_double_value(&[])?;
        step()?;
        let mut sum = vec![0.0; chunk.labels.numel()];
        for pass in 0..passes - 1 {
            let u = directions.of(pass, jacobians.len(), &residual)?;
            let squares = chunk.squares(&u)?;
            let mut found = vec![0.0; sum.len()];
            squares.f_copy_data(&mut found, sum.len())?;
            sum.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
            step()?;
        }
        let draws = f64::from(draws.unwrap_or(1));
        jacobians.extend(sum.into_iter().map(|square| (square / draws).sqrt()));
    }
    jacobians.sort_by(f64::total_cmp);
    let exact = |value| Estimate { value, error: 0.0 };
    let second_moment = exact(moment / objective.images.count() as f64);
    let noise = exact(second_moment.value - mean_gradient);
    Ok(Scale { loss, second_moment, mean_gradient, noise, jacobians, residual_ratio })
}

/// Vectors that the images' Jacobians are applied to: every class in turn, or random signs.
enum Directions {
    Classes,
    /// The signs of all images for every draw, `[n, c]` row by row.
    Signs {
        draws: Vec<Vec<i8>>,
        classes: usize,
    },
}

impl Directions {
    fn new(draws: Option<u32>, classes: u32, images: usize, seed: u64) -> Self {
        let Some(draws) = draws else { return Self::Classes };
        let classes = classes as usize;
        let signs = |draw: u32| Stream::new(seed, "noise-scale", &[u64::from(draw)]).signs(images * classes);
        Self::Signs { draws: (0..draws).map(signs).collect(), classes }
    }

    /// Returns the vectors of a pass for the images from the `first` on, shaped like `like`, `[b, c]`.
    fn of(&self, pass: usize, first: usize, like: &Tensor) -> Result<Tensor, LearnError> {
        match self {
            Self::Classes => {
                let u = like.f_zeros_like()?;
                let _ = u.f_narrow(1, pass as i64, 1)?.f_fill_(1.0)?;
                Ok(u)
            }
            Self::Signs { draws, classes } => {
                let signs = &draws[pass][first * classes..][..like.numel()];
                Ok(Tensor::f_from_slice(signs)?
                    .f_view_as(like)?
                    .f_to_device(like.device())?
                    .f_to_kind(like.f_kind()?)?)
            }
        }
    }
}

/// The results that need no draws.
struct Means {
    loss: f64,
    /// g, packed.
    gradient: Tensor,
    /// ‖g_b‖² of every chunk's mean gradient.
    batches: Vec<f64>,
    residual_ratio: f64,
}

fn means(objective: &Objective<'_>, watch: &mut dyn FnMut(usize) -> bool) -> Result<Means, LearnError> {
    let images = objective.images.count() as f64;
    let gradient = objective.network.flat().f_detach()?.f_zeros_like()?;
    let mut means = Means { loss: 0.0, gradient, batches: Vec::new(), residual_ratio: f64::INFINITY };
    for chunk in objective.chunks() {
        let chunk = chunk?;
        let residual = chunk.softmax()?.residual;
        let sum = chunk.pull_back(&residual)?;
        means.batches.push(dot(&sum, &sum)? / chunk.count.powi(2));
        let _ = means.gradient.f_add_(&sum.f_mul_scalar(1.0 / images)?)?;
        let losses = chunk.losses()?;
        means.loss += losses.f_sum(Kind::Double)?.f_double_value(&[])? / images;
        // For an image without loss, the ratio is 0, as in the limit.
        let squares = row_sums(&residual.f_square()?)?.f_view([-1])?;
        let ratios = squares.f_div(&losses.f_clamp_min(f64::MIN_POSITIVE)?)?.f_mul(&losses.f_gt(0.0)?)?;
        means.residual_ratio = means.residual_ratio.min(ratios.f_min()?.f_double_value(&[])?);
        if !watch(means.batches.len()) {
            return Err(LearnError::Cancelled);
        }
    }
    Ok(means)
}
