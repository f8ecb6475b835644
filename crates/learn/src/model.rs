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
/// Parameters start at multiples of this many elements of the common buffer, so that each is aligned.
const ALIGNMENT: usize = 16;

/// Where and how a network is computed. The precision of products is the caller's
/// [`Session`](crate::torch::Session).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arithmetic {
    /// The device.
    pub device: Device,
    /// Element type of weights and activations: `Float`, or `Double` for checks.
    pub kind: Kind,
    /// NHWC instead of NCHW memory layout.
    pub channels_last: bool,
}

/// Which statistics a batch norm divides by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Statistics {
    /// Those of the batch; the running ones become (1 − m)·running + m·batch, the variance unbiased.
    Update {
        /// m: 0.1 in training.
        momentum: f64,
    },
    /// Those of the batch; nothing is updated.
    Batch,
    /// The running ones (eval mode).
    Running,
}

/// A network with its weights.
///
/// All trained parameters are views of one buffer, so that an update of every one of them is a single operation.
pub struct Network {
    layout: Layout,
    arithmetic: Arithmetic,
    flat: Tensor,
    /// By entry of the layout.
    tensors: Vec<Tensor>,
}

impl Network {
    /// Puts `weights` on the device.
    ///
    /// # Errors
    /// If the weights are not those of `model`, or the device has no room for them.
    pub fn new(model: Model, weights: &Weights, arithmetic: Arithmetic) -> Result<Self, LearnError> {
        Self::from_tensors(layout(model)?, arithmetic, |entry| tensor(entry, weights))
    }

    /// The same from tensors of any kind, on any device, with the elements of each entry in row-major order.
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

    /// A network with the trained parameters `flat` (packed as [`Network::flat`] is, and copied), the same frozen
    /// ones, and statistics of its own.
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

    /// Its tensors' names, shapes and roles.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where and how it is computed.
    pub fn arithmetic(&self) -> Arithmetic {
        self.arithmetic
    }

    /// Every tensor with its name, shape and role, in layout order.
    pub(super) fn tensors(&self) -> impl Iterator<Item = (&Entry, &Tensor)> {
        self.layout.entries.iter().zip(&self.tensors)
    }

    /// All trained parameters in one buffer, which the network's own tensors are views of.
    pub(super) fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// The trained parameters, in layout order.
    pub(super) fn trained(&self) -> Vec<&Tensor> {
        let entries = self.layout.entries.iter().zip(&self.tensors);
        entries.filter(|(entry, _)| entry.is_trained()).map(|(_, tensor)| tensor).collect()
    }

    /// Tensors shaped like the trained parameters (undefined ones count as zero) as one buffer in the order of [`Network::flat`].
    pub(super) fn pack(&self, tensors: &[Tensor]) -> Result<Tensor, LearnError> {
        pack(&self.layout, self.arithmetic, tensors)
    }

    /// The same for tensors of another kind, on another device.
    pub(super) fn pack_as(&self, tensors: &[Tensor], kind: Kind, device: Device) -> Result<Tensor, LearnError> {
        pack(&self.layout, Arithmetic { kind, device, ..self.arithmetic }, tensors)
    }

    /// The inverse of [`Network::pack`]: views of `flat`.
    pub(super) fn unpack(&self, flat: &Tensor) -> Result<Vec<Tensor>, LearnError> {
        unpack(&self.layout, self.arithmetic, flat)
    }

    /// Parameters and running statistics on the host.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn weights(&self) -> Result<Weights, LearnError> {
        let all: Vec<_> = self.tensors().map(|(entry, tensor)| (entry, tensor.shallow_clone())).collect();
        host(&all)
    }

    /// A buffer like [`Network::flat`] as named tensors on the host, and the frozen parameters with it: all
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

    /// The inverse: a buffer on the device.
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

    /// ‖w‖₂ over all trained parameters; accumulated in float64.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn norm(&self) -> Result<f64, LearnError> {
        let square = no_grad(|| self.flat.f_to_kind(Kind::Double)?.f_square()?.f_sum(Kind::Double))?;
        Ok(square.f_double_value(&[])?.sqrt())
    }

    /// Whether all running statistics are finite; with a finite norm all that a checkpoint holds is.
    pub(super) fn has_finite_statistics(&self) -> Result<bool, LearnError> {
        let statistics = self.tensors().filter(|(entry, _)| !entry.is_parameter());
        let sums = statistics.map(|(_, tensor)| tensor.f_abs()?.f_sum(Kind::Double)).collect::<Result<Vec<_>, _>>()?;
        if sums.is_empty() {
            return Ok(true);
        }
        Ok(Tensor::f_stack(&sums, 0)?.f_sum(Kind::Double)?.f_double_value(&[])?.is_finite())
    }

    /// Scales the trained parameters to ‖w‖₂ = `radius` (the map Π of the paper's Eq. 2). Stays on the device.
    pub(super) fn project(&mut self, radius: f64) -> Result<(), LearnError> {
        no_grad(|| {
            let square = self.flat.f_to_kind(Kind::Double)?.f_square()?.f_sum(Kind::Double)?;
            let scale = square.f_sqrt()?.f_reciprocal()?.f_mul_scalar(radius)?;
            let _ = self.flat.shallow_clone().f_mul_(&scale.f_to_kind(self.arithmetic.kind)?)?;
            Ok(())
        })
    }

    /// Mean cross-entropy of a batch, a scalar, forward in the precision of `session`.
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

/// Cross-entropy of logits `[b, c]` and labels `[b]`.
pub(super) fn cross_entropy(logits: &Tensor, labels: &Tensor, reduction: Reduction) -> Result<Tensor, LearnError> {
    Ok(logits.f_cross_entropy_loss(labels, None::<&Tensor>, reduction, -100, 0.0)?)
}

/// A copy with the same memory layout and no history.
pub(super) fn copied(tensor: &Tensor) -> Result<Tensor, LearnError> {
    Ok(tensor.f_detach()?.f_to_dtype(tensor.f_kind()?, false, true)?)
}

fn misfit(entry: &Entry, what: &str) -> LearnError {
    LearnError::Misfit { name: entry.name.clone(), what: what.to_owned() }
}

/// An array as a tensor of one dimension, on the host.
pub(super) fn tensor(entry: &Entry, weights: &Weights) -> Result<Tensor, LearnError> {
    let array = weights.get(&entry.name).filter(|array| array.data.len() == entry.count());
    let array = array.ok_or_else(|| misfit(entry, "is missing or has the wrong size"))?;
    Ok(Tensor::f_from_slice(&array.data)?)
}

/// A tensor of one dimension as an entry of a network.
fn place(entry: &Entry, tensor: &Tensor, arithmetic: Arithmetic) -> Result<Tensor, LearnError> {
    let shape: Vec<i64> = entry.shape.iter().map(|&size| size as i64).collect();
    Ok(tensor.f_view(shape.as_slice())?.f_to_kind(arithmetic.kind)?.f_to_device(arithmetic.device)?)
}

/// Tensors on the host, by one copy from the device.
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

/// Elements of the buffer that an entry takes.
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
