//! Loss scaling for float16, with the rules and defaults of PyTorch's `GradScaler`, which the authors' code uses. The loss
//! is multiplied by a scale before the backward pass, so that small gradients do not vanish. A step whose gradient is
//! not finite is skipped and halves the scale; 2,000 good steps in a row double the scale, as long as it stays finite.
//! No operation waits for the device.

use tch::{Device, Kind, Tensor};

use super::LearnError;
use super::layout::{Entry, Role};
use super::weights::{Array, Weights};

/// The scale at the start of a run.
const START: f32 = 65_536.0;
/// Number of good steps in a row that double the scale.
const INTERVAL: f64 = 2_000.0;
/// The largest power of two in float32.
const LARGEST: f64 = (1_u128 << 127) as f64;

/// A loss scale, on the device.
pub struct Scaler {
    scale: Tensor,  // scalar
    streak: Tensor, // scalar: good steps since the scale last changed
}

/// The judgement of a gradient of the scaled loss, on the device.
pub(super) struct Judged {
    /// Whether the gradient is finite, as a scalar.
    pub finite: Tensor,
    /// Factor that turns the gradient of the scaled loss into the gradient of the loss, as a scalar.
    pub inverse: Tensor,
}

/// Returns the parts of a scaler as tensors of a checkpoint.
pub fn entries() -> [Entry; 2] {
    ["scale", "streak"].map(|name| Entry { name: name.to_owned(), shape: vec![1], role: Role::Scale, frozen: true })
}

impl Scaler {
    /// Creates the scaler for the start of a run.
    pub(super) fn fresh(device: Device) -> Result<Self, LearnError> {
        Self::at(START, 0.0, device)
    }

    /// Restores a scaler from the result of [`Scaler::weights`].
    pub(super) fn from(weights: &Weights, device: Device) -> Result<Self, LearnError> {
        let value = |name: &str| {
            let number = weights.get(name).and_then(|array| array.data.first()).copied();
            number.ok_or_else(|| LearnError::Misfit { name: name.to_owned(), what: "is missing".to_owned() })
        };
        Self::at(value("scale")?, value("streak")?, device)
    }

    fn at(scale: f32, streak: f32, device: Device) -> Result<Self, LearnError> {
        let scalar = |value: f32| -> Result<Tensor, LearnError> {
            Ok(Tensor::f_from_slice(&[value])?.f_view([0_i64; 0].as_slice())?.f_to_device(device)?)
        };
        Ok(Self { scale: scalar(scale)?, streak: scalar(streak)? })
    }

    /// Returns the scaler's state on the host.
    pub(super) fn weights(&self) -> Result<Weights, LearnError> {
        let parts = [("scale", &self.scale), ("streak", &self.streak)];
        let array = |(name, tensor): (&str, &Tensor)| {
            let data = vec![tensor.f_double_value(&[])? as f32];
            Ok((name.to_owned(), Array { shape: vec![1], data }))
        };
        parts.into_iter().map(array).collect()
    }

    /// Returns the scaled loss, which is to be differentiated.
    pub(super) fn scaled(&self, loss: &Tensor) -> Result<Tensor, LearnError> {
        Ok(loss.f_mul(&self.scale)?)
    }

    /// Checks the gradient of [`Scaler::scaled`], and updates the scale for the next step.
    pub(super) fn judge(&mut self, gradient: &Tensor) -> Result<Judged, LearnError> {
        // One number that is not finite makes the sum not finite. Finite numbers of 16 bits are too small to overflow it.
        let finite = gradient.f_sum(gradient.f_kind()?)?.f_isfinite()?;
        // Exact: scales are powers of two.
        let inverse = self.scale.f_reciprocal()?;
        let good = finite.f_to_kind(Kind::Float)?;
        let streak = self.streak.f_add_scalar(1.0)?.f_mul(&good)?;
        let double = streak.f_ge(INTERVAL)?.f_to_kind(Kind::Float)?;
        // ½ after a bad step, 1 after a good one, 2 after the last of a series.
        let factor = good.f_mul_scalar(0.5)?.f_add_scalar(0.5)?.f_add(&double)?;
        // The updates are in place, because a recorded step uses fixed addresses.
        self.scale.f_copy_(&self.scale.f_mul(&factor)?.f_clamp_max(LARGEST)?)?;
        self.streak.f_copy_(&streak.f_mul(&double.f_neg()?.f_add_scalar(1.0)?)?)?;
        Ok(Judged { finite, inverse })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{Libraries, load};

    #[test]
    fn the_scale_halves_after_a_bad_step_and_doubles_after_many_good_ones() {
        load(&Libraries::default()).unwrap();
        let mut scaler = Scaler::fresh(Device::Cpu).unwrap();
        let mut step = |value: f64, times: u32| {
            let mut finite = false;
            for _ in 0..times {
                let judged = scaler.judge(&Tensor::from_slice(&[65_536.0, value])).unwrap();
                finite = judged.finite.int64_value(&[]) == 1;
            }
            let state = scaler.weights().unwrap();
            let number = |name: &str| state.get(name).unwrap().data[0];
            (finite, number("scale"), number("streak"))
        };
        assert_eq!(step(1.0, 1999), (true, 65_536.0, 1999.0));
        assert_eq!(step(1.0, 1), (true, 131_072.0, 0.0));
        assert_eq!(step(1.0, 3), (true, 131_072.0, 3.0));
        assert_eq!(step(f64::INFINITY, 1), (false, 65_536.0, 0.0));
        assert_eq!(step(f64::NAN, 2), (false, 16_384.0, 0.0));
        let mut largest = Scaler::at(LARGEST as f32, INTERVAL as f32 - 1.0, Device::Cpu).unwrap();
        largest.judge(&Tensor::from_slice(&[1.0])).unwrap();
        assert_eq!(largest.weights().unwrap().get("scale").unwrap().data, [LARGEST as f32]);
        let saved = scaler.weights().unwrap();
        let again = Scaler::from(&saved, Device::Cpu).unwrap();
        assert_eq!(again.weights().unwrap(), saved);
        assert_eq!(scaler.judge(&Tensor::from_slice(&[1.0])).unwrap().inverse.double_value(&[]), 1.0 / 16_384.0);
    }
}
