//! The update of plain SGD on a processor: one pass over the parameters and their gradients, where tensor operations take
//! five. Each number goes through the same operations, so the bits are the same.

use tch::{Device, Kind, Tensor};

use super::Sgd;
use crate::LearnError;
use crate::model::Network;

/// w ← (1 − ηλ)w − ηg for every trained parameter, if the gradients lie in memory as the parameters do; says whether it was
/// done. Undefined gradients count as zero.
pub(super) fn in_one_pass(network: &Network, gradients: &[Tensor], sgd: &Sgd) -> Result<bool, LearnError> {
    let arithmetic = network.arithmetic();
    let trained = network.trained();
    if arithmetic.device != Device::Cpu || arithmetic.kind != Kind::Float || gradients.len() != trained.len() {
        return Ok(false);
    }
    for (parameter, gradient) in trained.iter().zip(gradients) {
        if gradient.defined() && !lie_alike(parameter, gradient)? {
            return Ok(false);
        }
    }
    let (shrink, along) = ((1.0 - sgd.lr * sgd.wd) as f32, -sgd.lr as f32);
    for (parameter, gradient) in trained.iter().zip(gradients) {
        // SAFETY: a parameter is a dense view of the network's buffer, of float32 on the host; nobody else has it while the
        // network is borrowed, and no two overlap.
        let w = unsafe { std::slice::from_raw_parts_mut(parameter.data_ptr().cast::<f32>(), parameter.numel()) };
        if !gradient.defined() {
            w.iter_mut().for_each(|w| *w *= shrink);
            continue;
        }
        // SAFETY: it has the parameter's shape, strides and kind, so its elements are as dense; the two are different tensors.
        let g = unsafe { std::slice::from_raw_parts(gradient.data_ptr().cast::<f32>(), gradient.numel()) };
        for (w, g) in w.iter_mut().zip(g) {
            // Rounded after each of the three operations.
            *w = *w * shrink + *g * along;
        }
    }
    Ok(true)
}

/// Whether the elements of two tensors follow each other in the same order.
fn lie_alike(a: &Tensor, b: &Tensor) -> Result<bool, LearnError> {
    let size = a.size();
    // The stride of a dimension of one element says nothing.
    let strides = |tensor: &Tensor| {
        tensor.stride().into_iter().zip(&size).filter(|(_, n)| **n > 1).map(|(s, _)| s).collect::<Vec<_>>()
    };
    Ok(b.size() == size && b.f_kind()? == a.f_kind()? && b.device() == a.device() && strides(a) == strides(b))
}
