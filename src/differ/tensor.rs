//! One tensor of a checkpoint, and how far two of them are from each other.

use safetensors::tensor::{Dtype as Stored, SafeTensors};
use serde::Serialize;

use crate::digest::ObjectDigest;

/// What the elements of a tensor are.
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

    /// Bytes of an element.
    pub fn size(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::U8 => 1,
        }
    }
}

/// A tensor as it stands in a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    dtype: Dtype,
    /// The elements, little-endian, row-major; as many as the shape says.
    bytes: Vec<u8>,
}

/// Why a tensor cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// The bytes are no checkpoint.
    #[error("not a readable safetensors file: {0}")]
    NoCheckpoint(String),
    /// There is no tensor of that name.
    #[error("the checkpoint has no tensor `{0}`")]
    Missing(String),
    /// Its elements are of a type that is not compared.
    #[error("tensor `{0}` has elements of type {1}, which is not compared")]
    Type(String, String),
}

/// Reads one tensor of a checkpoint (safetensors); safe on untrusted bytes, of which no more are copied than the tensor
/// has.
///
/// # Errors
/// If the bytes are no checkpoint, or it has no such tensor, or of a type that is not known here.
pub fn tensor_of(checkpoint: &[u8], name: &str) -> Result<Tensor, TensorError> {
    let file = SafeTensors::deserialize(checkpoint).map_err(|error| TensorError::NoCheckpoint(error.to_string()))?;
    let view = file.tensor(name).map_err(|_| TensorError::Missing(name.to_owned()))?;
    let dtype = Dtype::of(view.dtype());
    let dtype = dtype.ok_or_else(|| TensorError::Type(name.to_owned(), format!("{:?}", view.dtype())))?;
    Ok(Tensor { shape: view.shape().to_vec(), dtype, bytes: view.data().to_vec() })
}

impl Tensor {
    /// Sizes of the dimensions.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// What the elements are.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// The hash of its bytes, as records list it.
    pub fn digest(&self) -> ObjectDigest {
        ObjectDigest::of(&self.bytes)
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.bytes.len() / self.dtype.size()
    }

    /// The indices of an element in the dimensions, of its place in the row-major order.
    pub fn index(&self, mut place: usize) -> Vec<usize> {
        let mut index = vec![0; self.shape.len()];
        for (at, size) in index.iter_mut().zip(&self.shape).rev() {
            (*at, place) = (place % size.max(&1), place / size.max(&1));
        }
        index
    }

    fn element(&self, place: usize) -> Element {
        let size = self.dtype.size();
        let bytes = self.bytes.get(place * size..(place + 1) * size).unwrap_or_default();
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        Element { dtype: self.dtype, bits: u64::from_le_bytes(wide) }
    }
}

/// An element of a tensor: its bits, and what they are.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Element {
    dtype: Dtype,
    bits: u64,
}

impl Element {
    /// As a number; integers beyond 2⁵³ are rounded.
    fn number(self) -> f64 {
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

    /// The place among all values of its type in ascending order: next to it stands the next larger value. Both zeros of
    /// a floating-point type have one place. NaN has none.
    fn rank(self) -> Option<i64> {
        let width = match self.dtype {
            Dtype::I64 | Dtype::U8 => return Some(self.bits.cast_signed()),
            _ if self.number().is_nan() => return None,
            dtype => 8 * dtype.size(),
        };
        let sign = 1_u64 << (width - 1);
        let magnitude = (self.bits & (sign - 1)).cast_signed();
        Some(if self.bits & sign == 0 { magnitude } else { -magnitude })
    }

    /// With the fewest digits that read back as the same value.
    fn text(self) -> String {
        match self.dtype {
            Dtype::F64 => self.number().to_string(),
            Dtype::I64 => self.bits.cast_signed().to_string(),
            _ => (self.number() as f32).to_string(),
        }
    }
}

/// The number that the bits of a binary16 mean.
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

/// How far two tensors are from each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distance {
    /// What their elements are.
    pub dtype: Dtype,
    /// Their shape.
    pub shape: Vec<usize>,
    /// How many elements have other bits.
    pub differing: usize,
    /// The indices of the first of them.
    pub first: Vec<usize>,
    /// Its value in each.
    pub values: [String; 2],
    /// Its distance in ULPs; nothing if one is NaN.
    pub first_ulps: Option<u64>,
    /// The largest distance in ULPs of those that differ and are no NaN: by how many values of the type they lie apart
    /// (0 between zeros of different sign; for integers the difference).
    pub max_ulps: Option<u64>,
    /// The median of these distances (of an even number the upper one).
    pub median_ulps: Option<u64>,
    /// How many are NaN in one of both.
    pub nan: usize,
    /// The largest |a − b| of those that are finite in both.
    pub max_absolute: f64,
}

/// Why two tensors have no distance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("one is {} {:?}, the other {} {:?}", dtypes.0, shapes.0, dtypes.1, shapes.1)]
pub struct Misfit {
    dtypes: (String, String),
    shapes: (Vec<usize>, Vec<usize>),
}

/// Compares two tensors element by element; nothing if all bits are the same. An element that is NaN in both, with other
/// bits, differs and has no distance.
///
/// # Errors
/// If their types or shapes differ.
pub fn distance(a: &Tensor, b: &Tensor) -> Result<Option<Distance>, Misfit> {
    if a.dtype != b.dtype || a.shape != b.shape {
        let dtypes = (format!("{:?}", a.dtype), format!("{:?}", b.dtype));
        return Err(Misfit { dtypes, shapes: (a.shape.clone(), b.shape.clone()) });
    }
    let (mut ulps, mut nan, mut max_absolute) = (Vec::new(), 0, 0_f64);
    let (mut first, mut differing) = (None, 0);
    for place in 0..a.count().min(b.count()) {
        let (x, y) = (a.element(place), b.element(place));
        if x.bits == y.bits {
            continue;
        }
        differing += 1;
        let apart = x.rank().zip(y.rank()).map(|(x, y)| x.abs_diff(y));
        ulps.extend(apart);
        nan += usize::from(x.rank().is_some() != y.rank().is_some());
        let absolute = (x.number() - y.number()).abs();
        if absolute.is_finite() {
            max_absolute = max_absolute.max(absolute);
        }
        first.get_or_insert((place, [x.text(), y.text()], apart));
    }
    let Some((place, values, first_ulps)) = first else { return Ok(None) };
    ulps.sort_unstable();
    Ok(Some(Distance {
        dtype: a.dtype,
        shape: a.shape.clone(),
        differing,
        first: a.index(place),
        values,
        first_ulps,
        max_ulps: ulps.last().copied(),
        median_ulps: ulps.get(ulps.len() / 2).copied(),
        nan,
        max_absolute,
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::tensor::TensorView;

    use super::*;

    fn floats(shape: &[usize], values: &[f32]) -> Tensor {
        let bytes = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        Tensor { shape: shape.to_vec(), dtype: Dtype::F32, bytes }
    }

    fn between(a: f32, b: f32) -> Distance {
        distance(&floats(&[1], &[a]), &floats(&[1], &[b])).unwrap().unwrap()
    }

    #[test]
    fn distances_are_counted_in_values_between() {
        // Checked with numpy: np.float32(x).view(np.int32), and np.nextafter.
        assert_eq!(between(1.0, 1.000_000_1).max_ulps, Some(1));
        assert_eq!(between(1.0, 0.999_999_94).max_ulps, Some(1));
        assert_eq!(between(1.0, 2.0).max_ulps, Some(1 << 23));
        assert_eq!(between(0.0, -0.0).max_ulps, Some(0));
        assert_eq!(between(f32::from_bits(1), -f32::from_bits(1)).max_ulps, Some(2));
        assert_eq!(between(f32::MAX, f32::INFINITY).max_ulps, Some(1));
        let furthest = between(f32::INFINITY, f32::NEG_INFINITY);
        assert_eq!((furthest.max_ulps, furthest.max_absolute), (Some(2 * 0x7f80_0000), 0.0));
        let nan = between(f32::NAN, 1.0);
        assert_eq!((nan.nan, nan.max_ulps, nan.first_ulps, nan.values), (1, None, None, ["NaN".into(), "1".into()]));
        let both = between(f32::NAN, f32::from_bits(f32::NAN.to_bits() + 1));
        assert_eq!((both.nan, both.differing, both.max_ulps), (0, 1, None));
    }

    #[test]
    fn the_first_difference_has_its_indices_and_all_are_summed_up() {
        let a = floats(&[2, 1, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let b = floats(&[2, 1, 3], &[1.0, 2.0, 3.0, 4.5, 5.0, 6.000_000_5]);
        let found = distance(&a, &b).unwrap().unwrap();
        assert_eq!(
            (found.differing, found.first, found.values),
            (2, vec![1, 0, 0], ["4".to_owned(), "4.5".to_owned()])
        );
        assert_eq!((found.max_ulps, found.median_ulps, found.max_absolute), (Some(1 << 20), Some(1 << 20), 0.5));
        assert_eq!(distance(&a, &a), Ok(None));
        let misfit = distance(&a, &floats(&[6], &[0.0; 6])).unwrap_err();
        assert_eq!(misfit.to_string(), "one is F32 [2, 1, 3], the other F32 [6]");
        assert_eq!(distance(&floats(&[0], &[]), &floats(&[0], &[])), Ok(None));
    }

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
                let _ = distance(&tensor, &floats(tensor.shape(), &[0.0; 2]));
            }
        }

        /// The distance is one exactly between neighbours, whatever their signs.
        #[test]
        fn the_next_value_is_one_ulp_away(bits in any::<u32>()) {
            let x = f32::from_bits(bits);
            prop_assume!(x.is_finite());
            prop_assert_eq!(between(x, x.next_up()).max_ulps, Some(1));
        }
    }
}
