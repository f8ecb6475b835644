//! Products with H, G, E and Σ, by differentiating the logits of a chunk of images.

use tch::{Kind, Tensor, no_grad};

use super::{Norms, Objective, Watch};
use crate::LearnError;
use crate::model::{Network, copied, cross_entropy};

/// Xv for X = G, E and Σ, packed like the network's parameters, and another result of the same pass.
pub(crate) struct Products {
    /// G v.
    pub gauss_newton: Tensor,
    /// E v. H v is the sum of G v and E v.
    pub rest: Tensor,
    /// Σ v.
    pub covariance: Tensor,
    /// Mean over the images of ‖J_iv‖².
    pub jacobian: f64,
}

/// Computes the products with each direction, in one pass over the chunks.
///
/// Memory: one chunk's graph and four vectors per direction.
pub(crate) fn products(
    objective: &Objective<'_>,
    directions: &[Tensor],
    watch: &mut Watch<'_>,
) -> Result<Vec<Products>, LearnError> {
    let flat = objective.network.flat();
    let images = objective.images.count() as f64;
    let zeros = || -> Result<Tensor, LearnError> { Ok(flat.f_detach()?.f_zeros_like()?) };
    let sums = directions
        .iter()
        .map(|_| Ok(Products { gauss_newton: zeros()?, rest: zeros()?, covariance: zeros()?, jacobian: 0.0 }));
    let mut sums = sums.collect::<Result<Vec<_>, LearnError>>()?;
    let mut mean = zeros()?;
    let mut along = vec![0.0; directions.len()];
    let mut done = 0;
    for chunk in objective.chunks() {
        let chunk = chunk?;
        let tangent = chunk.tangent()?;
        let Softmax { probabilities: p, residual } = &tangent.softmax;
        let gradient = chunk.pull_back(residual)?;
        let _ = mean.f_add_(&gradient.f_mul_scalar(1.0 / images)?)?;
        for ((sum, v), along) in sums.iter_mut().zip(directions).zip(&mut along) {
            let (jv, rest) = tangent.along(v)?;
            let curved = p.f_mul(&jv)?.f_sub(&p.f_mul(&row_sums(&p.f_mul(&jv)?)?)?)?;
            let slopes = row_sums(&residual.f_mul(&jv)?)?;
            let slope = slopes.f_sum(Kind::Double)?.f_double_value(&[])?;
            let noise = match objective.norms {
                Norms::Running => chunk.pull_back(&residual.f_mul(&slopes)?)?,
                // The gradient of the chunk is one sample: g_b⟨g_b, v⟩, weighted with the chunk's share of the images.
                Norms::Batch => gradient.f_mul_scalar(slope / chunk.count)?,
            };
            let _ = sum.gauss_newton.f_add_(&chunk.pull_back(&curved)?.f_mul_scalar(1.0 / images)?)?;
            let _ = sum.rest.f_add_(&rest.f_mul_scalar(1.0 / images)?)?;
            let _ = sum.covariance.f_add_(&noise.f_mul_scalar(1.0 / images)?)?;
            sum.jacobian += jv.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])? / images;
            *along += slope / images;
            done += 1;
            if !watch(done, objective.chunk_count() * directions.len()) {
                return Err(LearnError::Cancelled);
            }
        }
    }
    for (sum, along) in sums.iter_mut().zip(along) {
        let _ = sum.covariance.f_sub_(&mean.f_mul_scalar(along)?)?;
    }
    Ok(sums)
}

/// Computes the loss itself.
///
/// # Errors
/// If libtorch fails.
pub fn mean_loss(objective: &Objective<'_>) -> Result<f64, LearnError> {
    let losses = no_grad(|| {
        let sum = |chunk: Result<Chunk<'_>, LearnError>| Ok(chunk?.losses()?.f_sum(Kind::Double)?);
        objective.chunks().map(sum).collect::<Result<Vec<_>, LearnError>>()
    })?;
    let sum = losses.iter().map(|loss| Ok(loss.f_double_value(&[])?)).sum::<Result<f64, LearnError>>()?;
    Ok(sum / objective.images.count() as f64)
}

/// Computes H v by differentiating the gradient. `v` and the product are packed like the network's parameters.
pub(crate) fn hessian_vector_product(objective: &Objective<'_>, v: &Tensor) -> Result<Tensor, LearnError> {
    let mut product = v.f_zeros_like()?;
    for chunk in objective.chunks() {
        let chunk = chunk?;
        let part = chunk.slope()?.derivative(v, false)?;
        let _ = product.f_add_(&part.f_mul_scalar(chunk.count / objective.images.count() as f64)?)?;
    }
    Ok(product)
}

/// The logits of some images with their graph, in float64.
pub(crate) struct Chunk<'a> {
    network: &'a Network,
    logits: Tensor, // [b, c]
    labels: Tensor, // [b]
    /// Number of images, b.
    pub count: f64,
}

impl Objective<'_> {
    /// Returns the chunks in order.
    pub(super) fn chunks(&self) -> impl Iterator<Item = Result<Chunk<'_>, LearnError>> {
        self.images.chunks(self.batch).map(|chunk| {
            let (x, labels) = chunk?;
            let logits = self.network.logits(&x, self.norms.into())?;
            // The residual of an image with a small loss is a small difference from 1, which float32 would lose.
            let logits = logits.f_to_kind(Kind::Double)?;
            Ok(Chunk { network: self.network, logits, count: labels.numel() as f64, labels })
        })
    }

    /// Returns the first chunk: all images, if there are at most `batch`.
    pub(crate) fn only_chunk(&self) -> Result<Chunk<'_>, LearnError> {
        self.chunks().next().unwrap_or_else(|| Err(LearnError::Data("there is no image".to_owned())))
    }
}

impl<'a> Chunk<'a> {
    /// Returns the gradient of the chunk's mean cross-entropy, with its graph.
    pub fn slope(&self) -> Result<Slope<'a>, LearnError> {
        let loss = cross_entropy(&self.logits, &self.labels, tch::Reduction::Mean)?;
        let gradients = Tensor::f_run_backward(&[&loss], &self.network.trained(), true, true)?;
        Ok(Slope { network: self.network, gradients })
    }

    /// Returns the cross-entropy of each image, in float64: `[b]`.
    pub fn losses(&self) -> Result<Tensor, LearnError> {
        cross_entropy(&self.logits.f_detach()?, &self.labels, tch::Reduction::None)
    }

    /// Computes Σ_i J_iᵀu_i for `u`, `[b, c]`; packed, without graph.
    pub fn pull_back(&self, u: &Tensor) -> Result<Tensor, LearnError> {
        let along = self.logits.f_mul(&u.f_detach()?)?.f_sum(None)?;
        let gradients = Tensor::f_run_backward(&[&along], &self.network.trained(), true, false)?;
        no_grad(|| self.network.pack(&gradients))
    }

    /// Returns p and r, without graph.
    pub fn softmax(&self) -> Result<Softmax, LearnError> {
        Softmax::of(&self.logits.f_detach()?, &self.labels)
    }

    /// Returns the graph of u ↦ Σ_i J_iᵀu_i at the residuals.
    pub fn tangent(&self) -> Result<Tangent<'a>, LearnError> {
        let softmax = self.softmax()?;
        let u = copied(&softmax.residual)?.f_set_requires_grad(true)?;
        let along = self.logits.f_mul(&u)?.f_sum(None)?;
        let image = Tensor::f_run_backward(&[&along], &self.network.trained(), true, true)?;
        Ok(Tangent { network: self.network, softmax, u, image })
    }
}

/// The gradient of a chunk's loss, with its graph.
pub(crate) struct Slope<'a> {
    network: &'a Network,
    gradients: Vec<Tensor>,
}

impl Slope<'_> {
    /// Returns the derivative of the gradient along `v`, packed.
    pub fn derivative(&self, v: &Tensor, keep_graph: bool) -> Result<Tensor, LearnError> {
        let Some(along) = inner(self.network, &self.gradients, v)? else { return Ok(v.f_zeros_like()?) };
        let products = Tensor::f_run_backward(&[&along], &self.network.trained(), keep_graph, false)?;
        no_grad(|| self.network.pack(&products))
    }
}

/// The softmax and residuals of a chunk.
pub(crate) struct Softmax {
    /// p, `[b, c]`.
    pub probabilities: Tensor,
    /// r = p − e_y, `[b, c]`: the gradient of each image's loss by its logits.
    pub residual: Tensor,
}

impl Softmax {
    /// Computes both from logits `[b, c]` in float64, without graph, and labels `[b]`.
    pub fn of(logits: &Tensor, labels: &Tensor) -> Result<Self, LearnError> {
        let probabilities = logits.f_softmax(1, None)?;
        let classes = probabilities.size().get(1).copied().unwrap_or_default();
        let truth = labels.f_one_hot(classes)?.f_to_kind(Kind::Double)?;
        let residual = probabilities.f_sub(&truth)?;
        Ok(Self { probabilities, residual })
    }
}

/// The map u ↦ Σ_i J_iᵀu_i of a chunk, with its graph in u and in the parameters.
pub(crate) struct Tangent<'a> {
    network: &'a Network,
    pub softmax: Softmax,
    u: Tensor,
    image: Vec<Tensor>,
}

impl Tangent<'_> {
    /// Returns J_iv for every image, `[b, c]`, and Σ_i Σ_k r_ik ∇²f_ik v, packed. The map is linear in u, so its
    /// derivative by u along v is Jv; its derivative by the parameters at u = r is the second result.
    pub fn along(&self, v: &Tensor) -> Result<(Tensor, Tensor), LearnError> {
        let mut sources = self.network.trained();
        sources.push(&self.u);
        let Some(along) = inner(self.network, &self.image, v)? else {
            return Ok((self.u.f_zeros_like()?, v.f_zeros_like()?));
        };
        let mut found = Tensor::f_run_backward(&[&along], &sources, true, false)?;
        let jv = found.pop().filter(Tensor::defined).map_or_else(|| self.u.f_zeros_like(), Ok)?;
        Ok((jv.f_detach()?, no_grad(|| self.network.pack(&found))?))
    }
}

/// Returns ⟨gradients, v⟩ with its graph, or `None` if no gradient has a graph.
fn inner(network: &Network, gradients: &[Tensor], v: &Tensor) -> Result<Option<Tensor>, LearnError> {
    let directions = network.unpack(v)?;
    // A parameter without influence on the loss has no gradient; a constant gradient has no graph.
    let live = gradients.iter().zip(&directions).filter(|(g, _)| g.defined() && g.requires_grad());
    let along = live.map(|(g, v)| g.f_mul(v)?.f_sum(None)).collect::<Result<Vec<_>, _>>()?;
    if along.is_empty() {
        return Ok(None);
    }
    Ok(Some(Tensor::f_stack(&along, 0)?.f_sum(None)?))
}

/// Returns the sum over the classes of `[b, c]`, as `[b, 1]`.
pub(super) fn row_sums(values: &Tensor) -> Result<Tensor, LearnError> {
    Ok(values.f_sum_dim_intlist([1].as_slice(), true, None::<Kind>)?)
}
