//! How the curvature looks along the gradient noise's covariance, and how large the noise is.

use tch::{Kind, Tensor};

use super::chunk::row_sums;
use super::{Components, Norms, Objective, Watch, direction, dot, products};
use crate::learn::LearnError;

/// Directions whose products are in memory at a time.
const AT_ONCE: u32 = 8;

/// An estimate and its standard error (NaN where one draw tells nothing of it).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

impl Estimate {
    /// The mean of independent draws.
    pub fn mean(draws: &[f64]) -> Self {
        let n = draws.len() as f64;
        let value = draws.iter().sum::<f64>() / n;
        let squares: f64 = draws.iter().map(|draw| (draw - value).powi(2)).sum();
        Self { value, error: if n > 1.0 { (squares / (n - 1.0) / n).sqrt() } else { f64::NAN } }
    }

    /// A function of means of draws, by the jackknife: `of` is told the index of the draw to leave out.
    fn jackknife(draws: usize, of: impl Fn(Option<usize>) -> f64) -> Self {
        let n = draws as f64;
        let without: Vec<f64> = (0..draws).map(|i| of(Some(i))).collect();
        let mean = without.iter().sum::<f64>() / n;
        let squares: f64 = without.iter().map(|value| (value - mean).powi(2)).sum();
        Self { value: of(None), error: if draws > 1 { ((n - 1.0) / n * squares).sqrt() } else { f64::NAN } }
    }
}

/// Scalars of the products with one direction v; X runs over H, G, E, Σ in this order.
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

/// What is known of H, G, E and Σ from products with random directions.
#[derive(Debug, Clone, PartialEq)]
pub struct Covariance {
    /// The scalars of every draw.
    pub draws: Vec<Draw>,
}

impl Covariance {
    /// E_v[cos(Xv, Σv)] for X = H, G, E.
    pub fn cosines(&self) -> [Estimate; 3] {
        std::array::from_fn(|x| {
            let cosine = |draw: &Draw| draw.overlaps[x] / (draw.squares[x] * draw.squares[3]).sqrt();
            Estimate::mean(&self.draws.iter().map(cosine).collect::<Vec<_>>())
        })
    }

    /// ⟨X, Σ⟩/(‖X‖‖Σ‖) in the Frobenius product for X = H, G, E, each part estimated by its mean over the draws.
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

    /// The traces of H, G, E, Σ.
    pub fn traces(&self) -> [Estimate; 4] {
        std::array::from_fn(|x| Estimate::mean(&self.draws.iter().map(|draw| draw.forms[x]).collect::<Vec<_>>()))
    }

    /// The mean over the images of ‖J_i‖², Frobenius norm.
    pub fn jacobian(&self) -> Estimate {
        Estimate::mean(&self.draws.iter().map(|draw| draw.jacobian).collect::<Vec<_>>())
    }
}

/// Products with H, G, E and Σ along `draws` Gaussian directions (paper, Figure 7).
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
        return Err(LearnError::Data("no cosine without a draw".to_owned()));
    }
    let mut found = Vec::new();
    while found.len() < draws as usize {
        let first = found.len() as u32;
        let numbers = first..draws.min(first + AT_ONCE);
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
    /// L.
    pub loss: f64,
    /// S₁ = mean ‖g_i‖²: over the images with running statistics, over the chunks with batch statistics.
    pub second_moment: Estimate,
    /// ‖g‖² of the mean gradient.
    pub mean_gradient: f64,
    /// Tr Σ of one image's gradient. With batch statistics from the spread of the chunks' gradients, times the
    /// chunk's size.
    pub noise: Estimate,
    /// Estimates of ‖J_i‖, Frobenius norm, of every image, ascending; empty with batch statistics.
    pub jacobians: Vec<f64>,
    /// Least ‖r_i‖²/ℓ_i over the images.
    pub residual_ratio: f64,
}

/// The scale of the gradient noise against the loss (paper, Proposition 3). With running statistics S₁ and ‖J_i‖
/// are estimated by `draws` Rademacher directions v: E (r_iᵀJ_iv)² = ‖g_i‖², E ‖J_iv‖² = ‖J_i‖². With batch
/// statistics no draw is needed.
///
/// Memory: one chunk's graph, and a byte for every parameter and direction.
///
/// # Errors
/// If there are no draws, with batch statistics fewer than two chunks or unequal ones, `watch` returns false, or
/// libtorch fails.
pub fn scale(objective: &Objective<'_>, draws: u32, seed: u64, watch: &mut Watch<'_>) -> Result<Scale, LearnError> {
    let (images, chunks) = (objective.images.count(), objective.chunk_count());
    let of_batches = objective.norms == Norms::Batch;
    if draws == 0 {
        return Err(LearnError::Data("no noise scale without a draw".to_owned()));
    }
    if of_batches && (chunks < 2 || images % objective.batch != 0) {
        let message = format!("{images} images are not two or more whole batches of {}", objective.batch);
        return Err(LearnError::Data(message));
    }
    // A byte for every component, so that all fit beside the graph.
    let directions = (0..if of_batches { 0 } else { draws })
        .map(|draw| direction(objective.network, Components::Signs, (seed, "noise-scale", draw)))
        .collect::<Result<Vec<_>, _>>()?;
    let kind = objective.network.arithmetic().kind;
    let mut mean = objective.network.flat().f_detach()?.f_zeros_like()?;
    let mut second_moments = vec![0.0; directions.len()];
    let (mut loss, mut ratio, mut jacobians, mut batches) = (0.0, f64::INFINITY, Vec::new(), Vec::new());
    let mut done = 0;
    for chunk in objective.chunks() {
        let chunk = chunk?;
        let tangent = chunk.tangent()?;
        let gradient = chunk.pull_back(&tangent.residual)?;
        batches.push(dot(&gradient, &gradient)? / chunk.count.powi(2));
        let _ = mean.f_add_(&gradient.f_mul_scalar(1.0 / images as f64)?)?;
        let losses = chunk.losses()?;
        loss += losses.f_sum(Kind::Double)?.f_double_value(&[])? / images as f64;
        let residual = row_sums(&tangent.residual.f_to_kind(Kind::Double)?.f_square()?)?;
        // Of an image without loss it is 0, as in the limit.
        let ratios = residual.f_view([-1])?.f_div(&losses.f_clamp_min(f64::MIN_POSITIVE)?)?;
        ratio = ratio.min(ratios.f_min()?.f_double_value(&[])?);
        let mut squares = Tensor::f_zeros([losses.numel() as i64], (Kind::Double, losses.device()))?;
        for (v, second_moment) in directions.iter().zip(&mut second_moments) {
            let jv = tangent.jacobian(&v.f_to_kind(kind)?)?.f_to_kind(Kind::Double)?;
            let slopes = row_sums(&tangent.residual.f_to_kind(Kind::Double)?.f_mul(&jv)?)?;
            *second_moment += slopes.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])? / images as f64;
            let _ = squares.f_add_(&row_sums(&jv.f_square()?)?.f_view([-1])?)?;
            done += 1;
            if !watch(done, chunks * directions.len()) {
                return Err(LearnError::Cancelled);
            }
        }
        if !of_batches {
            let mut found = vec![0.0; losses.numel()];
            squares.f_copy_data(&mut found, losses.numel())?;
            jacobians.extend(found.into_iter().map(|square: f64| (square / f64::from(draws)).sqrt()));
        }
    }
    jacobians.sort_by(f64::total_cmp);
    let mean_gradient = dot(&mean, &mean)?;
    let (second_moment, noise) = if of_batches {
        let second_moment = Estimate::mean(&batches);
        // B K/(K − 1) (mean ‖g_b‖² − ‖g‖²): unbiased for independent batches; the mean's own error is neglected.
        let factor = objective.batch as f64 * chunks as f64 / (chunks as f64 - 1.0);
        let value = factor * (second_moment.value - mean_gradient);
        (second_moment, Estimate { value, error: factor * second_moment.error })
    } else {
        let second_moment = Estimate::mean(&second_moments);
        (second_moment, Estimate { value: second_moment.value - mean_gradient, ..second_moment })
    };
    Ok(Scale { loss, second_moment, mean_gradient, noise, jacobians, residual_ratio: ratio })
}
