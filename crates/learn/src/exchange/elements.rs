//! Conversion of elements of other types to float32.

use safetensors::tensor::{Dtype, TensorView};

use super::Float64;
use crate::LearnError;

/// Returns the elements of a tensor as float32. Every number of 16 bits is exact in float32; a number of 64 bits can be
/// inexact.
///
/// # Errors
/// If the elements are not floating-point numbers of 16, 32 or 64 bits, or rounding is needed but `float64` forbids it.
pub fn as_float32(name: &str, tensor: &TensorView<'_>, float64: Float64) -> Result<Vec<f32>, LearnError> {
    let misfit = |what| LearnError::Misfit { name: super::short(name), what };
    let bytes = tensor.data();
    match tensor.dtype() {
        Dtype::F32 => Ok(bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()),
        Dtype::BF16 => Ok(bytes.as_chunks().0.iter().map(|&bytes| bfloat16(u16::from_le_bytes(bytes))).collect()),
        Dtype::F16 => Ok(bytes.as_chunks().0.iter().map(|&bytes| float16(u16::from_le_bytes(bytes))).collect()),
        Dtype::F64 => {
            let wide: Vec<f64> = bytes.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
            let is_exact = |x: &&f64| f64::from(**x as f32) == **x || x.is_nan();
            let others = wide.len() - wide.iter().filter(is_exact).count();
            if others > 0 && float64 == Float64::Exact {
                let what =
                    format!("is of float64, and {others} of its {} numbers are not exact in float32", wide.len());
                return Err(misfit(format!("{what}: use --round to round them")));
            }
            Ok(wide.into_iter().map(|x| x as f32).collect())
        }
        other => Err(misfit(format!("has elements of type {other:?}, which cannot be converted; save it as float32"))),
    }
}

/// Returns the float32 whose upper half is these bits.
fn bfloat16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Converts IEEE 754's binary16: a sign, 5 bits of exponent with bias 15, 10 bits of fraction. Every value is exact in
/// float32.
fn float16(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, fraction) = (u32::from(bits >> 10 & 31), u32::from(bits & 0x3ff));
    match exponent {
        // Subnormal: the fraction counts steps of 2^-24.
        0 => f32::from_bits((fraction as f32 / 16_777_216.0).to_bits() | sign),
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(dtype: Dtype, bytes: &[u8], float64: Float64) -> Result<Vec<f32>, String> {
        let size = dtype.bitsize() / 8;
        let view = TensorView::new(dtype, vec![bytes.len() / size], bytes).unwrap();
        as_float32("x", &view, float64).map_err(|error| error.to_string())
    }

    #[test]
    fn sixteen_bits_are_widened_exactly() {
        for (bits, value) in [
            (0x3c00_u16, 1.0_f32),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0400, 6.103_515_6e-5),
            (0x0001, 5.960_464_5e-8),
            (0x83ff, -6.097_555e-5),
            (0x7c00, f32::INFINITY),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(read(Dtype::F16, &bits.to_le_bytes(), Float64::Exact), Ok(vec![value]), "{bits:#06x}");
        }
        assert_eq!(float16(0x8000).to_bits(), (-0.0_f32).to_bits());
        assert!(float16(0x7e00).is_nan() && bfloat16(0x7fc0).is_nan());
        for (bits, value) in [(0x3f80_u16, 1.0_f32), (0xc049, -3.140_625), (0x0001, 9.183_55e-41)] {
            assert_eq!(read(Dtype::BF16, &bits.to_le_bytes(), Float64::Exact), Ok(vec![value]), "{bits:#06x}");
        }
    }

    #[test]
    fn float64_is_rounded_only_on_request() {
        let bytes = |values: &[f64]| values.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
        let (exact, more) = (bytes(&[0.5, f64::from(-1e30_f32)]), bytes(&[0.1, 0.5, 1e300]));
        assert_eq!(read(Dtype::F64, &exact, Float64::Exact), Ok(vec![0.5, -1e30]));
        let refused = read(Dtype::F64, &more, Float64::Exact).unwrap_err();
        assert!(refused.contains("2 of its 3 numbers are not exact in float32: use --round"), "{refused}");
        assert_eq!(read(Dtype::F64, &more, Float64::Rounded), Ok(vec![0.1, 0.5, f32::INFINITY]));
        assert!(read(Dtype::I32, &[0; 8], Float64::Rounded).is_err_and(|said| said.contains("I32")));
    }
}
