//! The update of plain SGD on a CPU: one pass over the parameters and their gradients instead of five with tensor operations.
//! The operations on each number are the same, so the bits are the same.

use tch::{Device, Kind, Tensor};

use super::Sgd;
use crate::LearnError;
use crate::model::Network;

/// Sets w ← (1 − ηλ)w − ηg for every trained parameter, if the gradients have the memory layout of the parameters. Returns
/// whether it did. Undefined gradients count as zero.
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
        // SAFETY: a parameter is a dense view of the network's buffer, of float32 on the host. Nothing else accesses it while
        // the network is borrowed, and no two parameters overlap.
        let w = unsafe { std::slice::from_raw_parts_mut(parameter.data_ptr().cast::<f32>(), parameter.numel()) };
        if !gradient.defined() {
            w.iter_mut().for_each(|w| *w *= shrink);
            continue;
        }
        // SAFETY: the gradient has the parameter's shape, strides and kind, so it is equally dense; they are different tensors.
        let g = unsafe { std::slice::from_raw_parts(gradient.data_ptr().cast::<f32>(), gradient.numel()) };
        for (w, g) in w.iter_mut().zip(g) {
            // The result is rounded after each of the three operations.
            *w = *w * shrink + *g * along;
        }
    }
    Ok(true)
}

/// Checks whether the elements of two tensors have the same order in memory.
fn lie_alike(a: &Tensor, b: &Tensor) -> Result<bool, LearnError> {
    let size = a.size();
    // The stride of a dimension with one element has no meaning.
    let strides = |tensor: &Tensor| {
        tensor.stride().into_iter().zip(&size).filter(|(_, n)| **n > 1).map(|(s, _)| s).collect::<Vec<_>>()
    };
    Ok(b.size() == size && b.f_kind()? == a.f_kind()? && b.device() == a.device() && strides(a) == strides(b))
}
