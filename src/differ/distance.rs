//! The distance between two tensors, in absolute terms and in ULPs.

use serde::Serialize;

use super::tensor::{Dtype, Tensor};

/// The distance between two tensors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distance {
    /// The type of their elements.
    pub dtype: Dtype,
    /// Their shape.
    pub shape: Vec<usize>,
    /// Number of elements with different bits.
    pub differing: usize,
    /// Indices of the first differing element.
    pub first: Vec<usize>,
    /// Its value in each tensor.
    pub values: [String; 2],
    /// Its distance in ULPs; `None` if one of the values is NaN.
    pub first_ulps: Option<u64>,
    /// The largest distance in ULPs among differing elements that are not NaN: the number of steps between adjacent
    /// values of the type (0 between zeros of different sign; for integers the difference).
    pub max_ulps: Option<u64>,
    /// The median of these distances (the upper one if their number is even).
    pub median_ulps: Option<u64>,
    /// Number of elements that are NaN in exactly one tensor.
    pub nan: usize,
    /// The largest |a − b| among elements for which it is finite.
    pub max_absolute: f64,
}

/// Why two tensors have no distance.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("one is {} {:?}, the other {} {:?}", dtypes.0, shapes.0, dtypes.1, shapes.1)]
pub struct Misfit {
    dtypes: (String, String),
    shapes: (Vec<usize>, Vec<usize>),
}

/// Compares two tensors element by element; returns `None` if all bits are equal. An element that is NaN in both with
/// different bits counts as different and has no distance.
///
/// # Errors
/// If their types or shapes differ.
pub fn distance(a: &Tensor, b: &Tensor) -> Result<Option<Distance>, Misfit> {
    if a.dtype() != b.dtype() || a.shape() != b.shape() {
        let dtypes = (format!("{:?}", a.dtype()), format!("{:?}", b.dtype()));
        return Err(Misfit { dtypes, shapes: (a.shape().to_vec(), b.shape().to_vec()) });
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
        dtype: a.dtype(),
        shape: a.shape().to_vec(),
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

    use super::super::tensor::tests::floats;
    use super::*;

    fn between(a: f32, b: f32) -> Distance {
        distance(&floats(&[1], &[a]), &floats(&[1], &[b])).unwrap().unwrap()
    }

    #[test]
    fn distances_are_counted_in_values_between() {
        // Checked with NumPy: np.float32(x).view(np.int32) and np.nextafter.
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

    proptest! {
        /// The distance between neighbours is exactly one, whatever their signs.
        #[test]
        fn the_next_value_is_one_ulp_away(bits in any::<u32>()) {
            let x = f32::from_bits(bits);
            prop_assume!(x.is_finite());
            prop_assert_eq!(between(x, x.next_up()).max_ulps, Some(1));
        }
    }
}
