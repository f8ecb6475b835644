//! Reads individual tensors and elements of checkpoints.

use safetensors::tensor::{Dtype as Stored, SafeTensors};
use serde::Serialize;

use base::digest::ObjectDigest;

/// The type of the elements of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Dtype {
    /// IEEE-754 binary32.
    F32,
    /// IEEE-754 binary64.
    F64,
    /// IEEE-754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// Signed integers of 8 bytes.
    I64,
    /// Bytes.
    U8,
}

impl Dtype {
    fn of(stored: Stored) -> Option<Self> {
        Some(match stored {
            Stored::F32 => Self::F32,
            Stored::F64 => Self::F64,
            Stored::F16 => Self::F16,
            Stored::BF16 => Self::BF16,
            Stored::I64 => Self::I64,
            Stored::U8 => Self::U8,
            _ => return None,
        })
    }

    /// Returns the size of an element in bytes.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::U8 => 1,
        }
    }
}

/// A tensor with its stored bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    dtype: Dtype,
    /// The elements, little-endian and row-major, in the number given by the shape.
    bytes: Vec<u8>,
}

/// Why a tensor cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The bytes are not a checkpoint.
    #[error("not a readable safetensors file: {0}")]
    NoCheckpoint(String),
    /// There is no tensor with this name.
    #[error("the checkpoint has no tensor `{0}`")]
    Missing(String),
    /// Its elements have a type that cannot be compared.
    #[error("tensor `{0}` has elements of type {1}, which cannot be compared")]
    Type(String, String),
}

/// Reads one tensor of a checkpoint (safetensors). It is safe on untrusted bytes and copies only the tensor's bytes.
///
/// # Errors
/// If the bytes are not a checkpoint, or the checkpoint has no such tensor, or the tensor's type is not supported.
pub fn tensor_of(checkpoint: &[u8], name: &str) -> Result<Tensor, TensorError> {
    let file = SafeTensors::deserialize(checkpoint).map_err(|error| TensorError::NoCheckpoint(error.to_string()))?;
    let view = file.tensor(name).map_err(|_| TensorError::Missing(name.to_owned()))?;
    let dtype = Dtype::of(view.dtype());
    let dtype = dtype.ok_or_else(|| TensorError::Type(name.to_owned(), format!("{:?}", view.dtype())))?;
    Ok(Tensor { shape: view.shape().to_vec(), dtype, bytes: view.data().to_vec() })
}

impl Tensor {
    /// Returns the sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the type of the elements.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Returns the hash of its bytes, as listed in records.
    pub fn digest(&self) -> ObjectDigest {
        ObjectDigest::of(&self.bytes)
    }

    /// Returns the number of elements.
    pub fn count(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// Returns the indices of an element along each dimension, given its row-major position.
    pub fn index(&self, mut place: usize) -> Vec<usize> {
        let mut index = vec![0; self.shape.len()];
        for (at, size) in index.iter_mut().zip(&self.shape).rev() {
            (*at, place) = (place % size.max(&1), place / size.max(&1));
        }
        index
    }

    pub(super) fn element(&self, place: usize) -> Element {
        let size = self.dtype.size();
        let bytes = self.bytes.get(place * size..(place + 1) * size).unwrap_or_default();
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        Element { dtype: self.dtype, bits: u64::from_le_bytes(wide) }
    }
}

/// An element of a tensor: its bits and their type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Element {
    dtype: Dtype,
    pub bits: u64,
}

impl Element {
    /// Returns the element as a number; integers beyond 2⁵³ are rounded.
    pub fn number(self) -> f64 {
        let bits = self.bits;
        match self.dtype {
            Dtype::F32 => f64::from(f32::from_bits(bits as u32)),
            Dtype::F64 => f64::from_bits(bits),
            Dtype::BF16 => f64::from(f32::from_bits((bits as u32) << 16)),
            Dtype::F16 => half(bits as u16),
            Dtype::I64 => bits.cast_signed() as f64,
            Dtype::U8 => bits as f64,
        }
    }

    /// Returns the rank of the element among all values of its type in ascending order, in which adjacent values have
    /// adjacent ranks. Both zeros of a floating-point type have the same rank. NaN has none.
    pub fn rank(self) -> Option<i64> {
        let width = match self.dtype {
            Dtype::I64 | Dtype::U8 => return Some(self.bits.cast_signed()),
            _ if self.number().is_nan() => return None,
            dtype => 8 * dtype.size(),
        };
        let sign = 1_u64 << (width - 1);
        let magnitude = (self.bits & (sign - 1)).cast_signed();
        Some(if self.bits & sign == 0 { magnitude } else { -magnitude })
    }

    /// Returns the shortest decimal text that parses back to the same value.
    pub fn text(self) -> String {
        match self.dtype {
            Dtype::F64 => self.number().to_string(),
            Dtype::I64 => self.bits.cast_signed().to_string(),
            _ => (self.number() as f32).to_string(),
        }
    }
}

/// Returns the number with the given bits in binary16.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
    let magnitude = match exponent {
        0 => fraction * 2_f64.powi(-24),
        0x1f if fraction == 0.0 => f64::INFINITY,
        0x1f => f64::NAN,
        _ => (1024.0 + fraction) * 2_f64.powi(exponent - 25),
    };
    if bits >> 15 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;
    use safetensors::tensor::TensorView;

    use super::*;

    #[test]
    fn every_type_has_its_numbers() {
        let number = |dtype, bits| Element { dtype, bits };
        // IEEE-754: binary16 0x3555 is 0.33325195, 0x7bff 65504, 0x0001 2^-24, 0xfc00 −∞; bfloat16 0x3eab is 0.33398438.
        let halves = [0x3555, 0x7bff, 0x0001, 0xfc00].map(|bits| number(Dtype::F16, bits).number());
        assert_eq!(halves, [0.333_251_953_125, 65504.0, 2_f64.powi(-24), f64::NEG_INFINITY]);
        assert!(number(Dtype::F16, 0x7e00).number().is_nan());
        assert_eq!(number(Dtype::BF16, 0x3eab).text(), "0.33398438");
        assert_eq!(number(Dtype::BF16, 0x8001).rank(), Some(-1));
        assert_eq!(number(Dtype::I64, u64::MAX).text(), "-1");
        assert_eq!(number(Dtype::I64, u64::MAX).rank(), Some(-1));
        assert_eq!(number(Dtype::U8, 255).rank(), Some(255));
        assert_eq!(number(Dtype::F64, 0.1_f64.to_bits()).text(), "0.1");
    }

    /// Creates a tensor of type float32.
    pub(in crate::differ) fn floats(shape: &[usize], values: &[f32]) -> Tensor {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Tensor { shape: shape.to_vec(), dtype: Dtype::F32, bytes }
    }

    fn checkpoint() -> Vec<u8> {
        let bytes: Vec<u8> = [1.0_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        let view = |dtype, shape: &[usize], bytes| TensorView::new(dtype, shape.to_vec(), bytes).unwrap();
        let tensors = [
            ("a", view(Stored::F32, &[2, 1], &bytes[..])),
            ("b", view(Stored::U8, &[8], &bytes[..])),
            ("c", view(Stored::I32, &[2], &bytes[..])),
        ];
        safetensors::serialize(tensors, None).unwrap()
    }

    #[test]
    fn a_tensor_is_read_out_of_a_checkpoint() {
        let bytes = checkpoint();
        let tensor = tensor_of(&bytes, "a").unwrap();
        assert_eq!(tensor, floats(&[2, 1], &[1.0, -2.0]));
        assert_eq!((tensor.dtype(), tensor.count()), (Dtype::F32, 2));
        assert_eq!(tensor_of(&bytes, "b").unwrap().digest(), tensor.digest());
        assert!(matches!(tensor_of(&bytes, "c"), Err(TensorError::Type(..))));
        assert_eq!(tensor_of(&bytes, "d"), Err(TensorError::Missing("d".into())));
        assert!(matches!(tensor_of(b"x", "a"), Err(TensorError::NoCheckpoint(_))));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(flips in prop::collection::vec((0_usize..400, any::<u8>()), 1..6)) {
            let mut bytes = checkpoint();
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            if let Ok(tensor) = tensor_of(&bytes, "a") {
                let texts = (0..tensor.count()).map(|place| tensor.element(place).text());
                prop_assert_eq!(texts.count(), tensor.shape().iter().product::<usize>());
            }
        }
    }
}
