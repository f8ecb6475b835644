//! A network on a device: its tensors and its forward pass.

mod forward;

pub(super) use forward::{Layer, Tap};
use tch::{Device, Kind, Reduction, Tensor, no_grad};

use super::LearnError;
use super::layout::{Entry, Layout, Role, layout};
use super::weights::{Array, Weights};
use crate::torch::{Session, to_host};
use base::work::Model;

/// ε of every batch norm.
const EPSILON: f64 = 1e-5;
/// Alignment: parameters start at multiples of this number of elements of the common buffer.
const ALIGNMENT: usize = 16;

/// Where and how a network is computed. The precision of products is the caller's
/// [`Session`](crate::torch::Session).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arithmetic {
    /// The device.
    pub device: Device,
    /// Element type of weights and activations: `Float`, or `Double` for checks.
    pub kind: Kind,
    /// Whether the memory layout is NHWC instead of NCHW.
    pub channels_last: bool,
}

/// Statistics that a batch norm uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistics {
    /// Statistics of the batch. The running statistics become (1 − m)·running + m·batch, with the unbiased variance.
    Update {
        /// m: 0.1 in training.
        momentum: f64,
    },
    /// Statistics of the batch. The running statistics stay unchanged.
    Batch,
    /// The running statistics (eval mode).
    Running,
}

/// A network with its weights.
///
/// All trained parameters are views of one buffer, so that one operation can update all of them.
pub struct Network {
    layout: Layout,
    arithmetic: Arithmetic,
    flat: Tensor,
    /// The tensors, in the order of the layout's entries.
    tensors: Vec<Tensor>,
}

impl Network {
    /// Puts `weights` on the device.
    ///
    /// # Errors
    /// If the weights are not those of `model`, or the device has not enough memory.
    pub fn new(model: Model, weights: &Weights, arithmetic: Arithmetic) -> Result<Self, LearnError> {
        Self::from_tensors(layout(model)?, arithmetic, |entry| tensor(entry, weights))
    }

    /// Creates a network from tensors of any kind, on any device, with the elements of each entry in row-major order.
    pub(super) fn from_tensors(
        layout: Layout,
        arithmetic: Arithmetic,
        tensor: impl Fn(&Entry) -> Result<Tensor, LearnError>,
    ) -> Result<Self, LearnError> {
        let values = layout.entries.iter().map(|entry| place(entry, &tensor(entry)?, arithmetic));
        let values = values.collect::<Result<Vec<_>, _>>()?;
        let trained = layout.entries.iter().zip(&values).filter(|(entry, _)| entry.is_trained());
        let trained: Vec<Tensor> = trained.map(|(_, value)| value.shallow_clone()).collect();
        let flat = pack(&layout, arithmetic, &trained)?;
        Self::assemble(layout, arithmetic, flat, values)
    }

    /// Creates a network with a copy of the trained parameters `flat` (packed like [`Network::flat`]), the same frozen
    /// parameters, and its own statistics.
    pub(super) fn with_parameters(&self, flat: &Tensor) -> Result<Self, LearnError> {
        let copies = self.tensors.iter().map(copied).collect::<Result<Vec<_>, _>>()?;
        Self::assemble(self.layout.clone(), self.arithmetic, copied(flat)?, copies)
    }

    fn assemble(
        layout: Layout,
        arithmetic: Arithmetic,
        flat: Tensor,
        mut tensors: Vec<Tensor>,
    ) -> Result<Self, LearnError> {
        let mut views = unpack(&layout, arithmetic, &flat)?.into_iter();
        for (entry, tensor) in layout.entries.iter().zip(&mut tensors).filter(|(entry, _)| entry.is_trained()) {
            let view = views.next().ok_or_else(|| misfit(entry, "is not in the buffer"))?;
            *tensor = view.f_set_requires_grad(true)?;
        }
        Ok(Self { layout, arithmetic, flat, tensors })
    }

    /// Returns the tensors' names, shapes and roles.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Returns where and how the network is computed.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// Returns every tensor with its name, shape and role, in layout order.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (&Entry, &Tensor)> {
        self.layout.entries.iter().zip(&self.tensors)
    }

    /// Returns all trained parameters in one buffer. The network's own tensors are views of it.
    pub(super) fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// Returns the trained parameters, in layout order.
    pub(super) fn trained(&self) -> Vec<&Tensor> {
        let entries = self.layout.entries.iter().zip(&self.tensors);
        entries.filter(|(entry, _)| entry.is_trained()).map(|(_, tensor)| tensor).collect()
    }

    /// Packs tensors shaped like the trained parameters (undefined ones count as zero) into one buffer in the order of
    /// [`Network::flat`].
    pub(super) fn pack(&self, tensors: &[Tensor]) -> Result<Tensor, LearnError> {
        pack(&self.layout, self.arithmetic, tensors)
    }

    /// Packs tensors like [`Network::pack`], but of another kind or on another device.
    pub(super) fn pack_as(&self, tensors: &[Tensor], kind: Kind, device: Device) -> Result<Tensor, LearnError> {
        pack(&self.layout, Arithmetic { kind, device, ..self.arithmetic }, tensors)
    }

    /// Returns the tensors in `flat` as views: the inverse of [`Network::pack`].
    pub(super) fn unpack(&self, flat: &Tensor) -> Result<Vec<Tensor>, LearnError> {
        unpack(&self.layout, self.arithmetic, flat)
    }

    /// Returns parameters and running statistics on the host.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn weights(&self) -> Result<Weights, LearnError> {
        let all: Vec<_> = self.tensors().map(|(entry, tensor)| (entry, tensor.shallow_clone())).collect();
        host(&all)
    }

    /// Returns a buffer like [`Network::flat`] as named tensors on the host, together with the frozen parameters: all
    /// parameters, without statistics.
    pub(super) fn parameter_weights(&self, flat: &Tensor) -> Result<Weights, LearnError> {
        let mut views = self.unpack(flat)?.into_iter();
        let parameters = self.tensors().filter(|(entry, _)| entry.is_parameter());
        let values = parameters.map(|(entry, tensor)| match entry.is_trained() {
            true => Ok((entry, views.next().ok_or_else(|| misfit(entry, "is not in the buffer"))?)),
            false => Ok((entry, tensor.shallow_clone())),
        });
        host(&values.collect::<Result<Vec<_>, LearnError>>()?)
    }

    /// Returns named tensors as a buffer on the device: the inverse of [`Network::parameter_weights`].
    pub(super) fn parameter_buffer(&self, weights: &Weights) -> Result<Tensor, LearnError> {
        let load = |entry| place(entry, &tensor(entry, weights)?, self.arithmetic);
        self.pack(&self.layout.trained().map(load).collect::<Result<Vec<_>, _>>()?)
    }

    /// Sets running means to 0 and variances to 1.
    pub(super) fn reset_statistics(&mut self) -> Result<(), LearnError> {
        for (entry, tensor) in self.layout.entries.iter().zip(&mut self.tensors) {
            match entry.role {
                Role::Mean => drop(tensor.f_zero_()?),
                Role::Variance => drop(tensor.f_fill_(1.0)?),
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns ‖w‖₂ over all trained parameters, accumulated in float64.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn norm(&self) -> Result<f64, LearnError> {
        let square = no_grad(|| self.flat.f_to_kind(Kind::Double)?.f_square()?.f_sum(Kind::Double))?;
        Ok(square.f_double_value(&[])?.sqrt())
    }

    /// Checks whether all running statistics are finite. If the norm is finite too, all numbers of a checkpoint are finite.
    pub(super) fn has_finite_statistics(&self) -> Result<bool, LearnError> {
        let statistics = self.tensors().filter(|(entry, _)| !entry.is_parameter());
        let sums = statistics.map(|(_, tensor)| tensor.f_abs()?.f_sum(Kind::Double)).collect::<Result<Vec<_>, _>>()?;
        if sums.is_empty() {
            return Ok(true);
        }
        Ok(Tensor::f_stack(&sums, 0)?.f_sum(Kind::Double)?.f_double_value(&[])?.is_finite())
    }

    /// Scales the trained parameters to ‖w‖₂ = `radius` (the map Π of the paper's Eq. 2), without waiting for the device.
    pub(super) fn project(&mut self, radius: f64) -> Result<(), LearnError> {
        no_grad(|| {
            let square = self.flat.f_to_kind(Kind::Double)?.f_square()?.f_sum(Kind::Double)?;
            let scale = square.f_sqrt()?.f_reciprocal()?.f_mul_scalar(radius)?;
            let _ = self.flat.shallow_clone().f_mul_(&scale.f_to_kind(self.arithmetic.kind)?)?;
            Ok(())
        })
    }

    /// Returns the mean cross-entropy of a batch, a scalar, with the forward pass in the precision of `session`.
    pub(super) fn loss(
        &self,
        x: &Tensor,
        y: &Tensor,
        statistics: Statistics,
        session: &Session,
    ) -> Result<Tensor, LearnError> {
        cross_entropy(&self.logits_in(x, statistics, session)?, y, Reduction::Mean)
    }
}

/// Returns the cross-entropy of logits `[b, c]` and labels `[b]`.
pub(super) fn cross_entropy(logits: &Tensor, labels: &Tensor, reduction: Reduction) -> Result<Tensor, LearnError> {
    Ok(logits.f_cross_entropy_loss(labels, None::<&Tensor>, reduction, -100, 0.0)?)
}

/// Returns a copy with the same memory layout and without a graph.
pub(super) fn copied(tensor: &Tensor) -> Result<Tensor, LearnError> {
    Ok(tensor.f_detach()?.f_to_dtype(tensor.f_kind()?, false, true)?)
}

fn misfit(entry: &Entry, what: &str) -> LearnError {
    LearnError::Misfit { name: entry.name.clone(), what: what.to_owned() }
}

/// Returns an array as a tensor of one dimension, on the host.
pub(super) fn tensor(entry: &Entry, weights: &Weights) -> Result<Tensor, LearnError> {
    let array = weights.get(&entry.name).filter(|array| array.data.len() == entry.count());
    let array = array.ok_or_else(|| misfit(entry, "is missing or has the wrong size"))?;
    Ok(Tensor::f_from_slice(&array.data)?)
}

/// Returns a tensor of one dimension in the shape, kind and place of an entry of a network.
fn place(entry: &Entry, tensor: &Tensor, arithmetic: Arithmetic) -> Result<Tensor, LearnError> {
    let shape: Vec<i64> = entry.shape.iter().map(|&size| size as i64).collect();
    Ok(tensor.f_view(shape.as_slice())?.f_to_kind(arithmetic.kind)?.f_to_device(arithmetic.device)?)
}

/// Returns tensors on the host, with one copy from the device.
fn host(tensors: &[(&Entry, Tensor)]) -> Result<Weights, LearnError> {
    let rows = tensors.iter().map(|(_, tensor)| Ok(tensor.f_detach()?.f_to_kind(Kind::Float)?.f_reshape([-1])?));
    let mut rows = rows.collect::<Result<Vec<_>, LearnError>>()?;
    if rows.iter().any(|row| row.device() != Device::Cpu) {
        let lengths: Vec<i64> = tensors.iter().map(|(entry, _)| entry.count() as i64).collect();
        rows = to_host(&Tensor::f_cat(&rows, 0)?)?.f_split_with_sizes(lengths, 0)?;
    }
    let array = |((entry, _), row): (&(&Entry, Tensor), Tensor)| {
        let mut data = vec![0.0_f32; entry.count()];
        row.f_copy_data(&mut data, entry.count())?;
        Ok((entry.name.clone(), Array { shape: entry.shape.clone(), data }))
    };
    tensors.iter().zip(rows).map(array).collect()
}

/// Returns the number of elements that an entry takes in the buffer.
fn padded(entry: &Entry) -> usize {
    entry.count().next_multiple_of(ALIGNMENT)
}

fn is_spatial(entry: &Entry) -> bool {
    entry.shape.len() == 4
}

fn pack(layout: &Layout, arithmetic: Arithmetic, tensors: &[Tensor]) -> Result<Tensor, LearnError> {
    let options = (arithmetic.kind, arithmetic.device);
    let padding = Tensor::f_zeros([ALIGNMENT as i64], options)?;
    let mut parts = Vec::with_capacity(2 * tensors.len());
    for (entry, tensor) in layout.trained().zip(tensors) {
        let count = entry.count() as i64;
        parts.push(match tensor.defined() {
            false => Tensor::f_zeros([count], options)?,
            true if arithmetic.channels_last && is_spatial(entry) => {
                tensor.f_permute([0, 2, 3, 1])?.f_reshape([count])?
            }
            true => tensor.f_reshape([count])?,
        });
        let rest = padded(entry) as i64 - count;
        if rest > 0 {
            parts.push(padding.f_narrow(0, 0, rest)?);
        }
    }
    Ok(no_grad(|| Tensor::f_cat(&parts, 0))?)
}

fn unpack(layout: &Layout, arithmetic: Arithmetic, flat: &Tensor) -> Result<Vec<Tensor>, LearnError> {
    let flat = flat.f_detach()?;
    let mut start = 0;
    let view = |entry: &Entry| {
        let part = flat.f_narrow(0, start, entry.count() as i64)?;
        start += padded(entry) as i64;
        let shape: Vec<i64> = entry.shape.iter().map(|&size| size as i64).collect();
        let whole = match shape[..] {
            [to, from, height, width] if arithmetic.channels_last => {
                part.f_view([to, height, width, from])?.f_permute([0, 3, 1, 2])?
            }
            _ => part.f_view(shape.as_slice())?,
        };
        Ok(whole.f_detach()?)
    };
    layout.trained().map(view).collect()
}
