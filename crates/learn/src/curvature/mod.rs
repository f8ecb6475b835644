//! Curvature of the mean cross-entropy L, and the covariance of its gradient's noise.
//!
//! With J_i the Jacobian of the logits f_i of image i, p_i their softmax, r_i = p_i − e_y the residual,
//! g_i = J_iᵀr_i the gradient of its loss and g their mean, over n images:
//!
//! - H = ∇²L, the Hessian;
//! - G = 1/n Σ J_iᵀ(diag(p_i) − p_ip_iᵀ)J_i, its Gauss-Newton part;
//! - E = H − G = 1/n Σ_i Σ_k r_ik ∇²f_ik, the rest;
//! - Σ = 1/n Σ g_ig_iᵀ − ggᵀ, the covariance of the noise.
//!
//! None of these matrices is ever formed. All are sums over chunks of images, and only one chunk's graph exists at a time.

mod chunk;
mod factor;
mod lanczos;
mod noise;
mod norms;
#[cfg(test)]
mod tests;
mod trace;

use tch::{Device, Kind, Tensor};

pub use lanczos::{Extremes, extremes};
pub use noise::{Covariance, Draw, Estimate, Scale, covariance, scale};
pub use trace::{Trace, trace};

pub use chunk::mean_loss;
pub(super) use chunk::{hessian_vector_product, products};
pub(super) use trace::quadratic_forms;

use super::LearnError;
use super::batches::DeviceImages;
use super::model::{Network, Statistics};
use base::rng::Stream;

/// Statistics that a chunk's batch norms use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norms {
    /// Eval mode: an affine map with the running statistics. The chunk size has no effect then.
    Running,
    /// Training mode: the statistics of each chunk, which are differentiated too. Examples then interact, so
    /// the noise is that of the chunks' gradients, not that of single examples.
    Batch,
}

impl From<Norms> for Statistics {
    fn from(norms: Norms) -> Self {
        match norms {
            Norms::Running => Self::Running,
            Norms::Batch => Self::Batch,
        }
    }
}

/// The loss that is analysed: the mean cross-entropy of a network over images, computed in chunks.
///
/// It is never computed in bfloat16, and the caller's session must not use TF32.
#[derive(Clone, Copy)]
pub struct Objective<'a> {
    /// The network.
    pub network: &'a Network,
    /// The images.
    pub images: &'a DeviceImages,
    /// Number of images differentiated at once; bounds the memory.
    pub batch: usize,
    /// Statistics that the batch norms use.
    pub norms: Norms,
}

impl Objective<'_> {
    fn chunk_count(&self) -> usize {
        self.images.count().div_ceil(self.batch.max(1))
    }

    /// Checks that the noise of batches can be estimated: with batch statistics, there must be two or more chunks of equal size.
    fn whole_batches(&self) -> Result<(), LearnError> {
        let (images, batch) = (self.images.count(), self.batch.max(1));
        if self.norms == Norms::Running || (images >= 2 * batch && images.is_multiple_of(batch)) {
            return Ok(());
        }
        Err(LearnError::Data(format!("{images} images are not two or more whole batches of {batch}")))
    }
}

/// Number of random directions, as bytes, that are in memory at a time.
const DIRECTIONS_AT_ONCE: u32 = 64;

/// Callback that gets the progress of a computation as (done, total), and returns whether to continue.
pub type Watch<'a> = dyn FnMut(usize, usize) -> bool + 'a;

/// The distribution of a random direction's components, which are independent, with mean 0 and variance 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Components {
    /// ±1, as bytes.
    Signs,
    /// Standard normal.
    Normal,
}

/// Returns the random direction number `draw` of a purpose: a component for every trained parameter, in layout order
/// and row-major within a tensor, packed like the network's parameters.
pub(super) fn direction(
    network: &Network,
    components: Components,
    (seed, purpose, draw): (u64, &str, u32),
) -> Result<Tensor, LearnError> {
    let arithmetic = network.arithmetic();
    let mut stream = Stream::new(seed, purpose, &[u64::from(draw)]);
    let tensors = network.layout().trained().map(|entry| {
        let shape: Vec<i64> = entry.shape.iter().map(|&size| size as i64).collect();
        let values = match components {
            Components::Signs => Tensor::f_from_slice(&stream.signs(entry.count()))?,
            Components::Normal => {
                let normals: Vec<f64> = (0..entry.count()).map(|_| stream.normal()).collect();
                Tensor::f_from_slice(&normals)?.f_to_kind(arithmetic.kind)?
            }
        };
        Ok(values.f_view(shape.as_slice())?)
    });
    let tensors = tensors.collect::<Result<Vec<_>, LearnError>>()?;
    let kind = if components == Components::Signs { Kind::Int8 } else { arithmetic.kind };
    Ok(network.pack_as(&tensors, kind, Device::Cpu)?.f_to_device(arithmetic.device)?)
}

/// Returns ⟨a, b⟩, summed in float64. Waits for the device.
fn dot(a: &Tensor, b: &Tensor) -> Result<f64, LearnError> {
    Ok(a.f_mul(b)?.f_sum(Kind::Double)?.f_double_value(&[])?)
}
