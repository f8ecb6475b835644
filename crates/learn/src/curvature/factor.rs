//! A factor of the softmax's covariance: S Sᵀ = diag(p) − ppᵀ, whose rank is C − 1.

use tch::{Kind, Tensor};

use crate::LearnError;

/// Returns the columns s_1, …, s_{C−1} of a factor for every image, as `[b, C − 1, C]` in float64, from logits `[b, C]`.
///
/// With the classes in descending order of p and the tail sums q_j = Σ_{m>j} p_m (q_0 = 1),
/// s_j = √(p_j q_j / q_{j−1}) · (0 before j, 1 at j, −p_m/q_j at m > j): the Cholesky factor in closed form. Tails are summed
/// from their small end, so that the difference of a probability near 1 from 1 keeps all its digits.
pub(super) fn factor(logits: &Tensor) -> Result<Tensor, LearnError> {
    let probabilities = logits.f_softmax(1, Kind::Double)?;
    let classes = probabilities.size().get(1).copied().unwrap_or_default();
    let (p, order) = probabilities.f_sort_stable(true, 1, true)?;
    let tails = p.f_flip([1])?.f_cumsum(1, Kind::Double)?.f_flip([1])?; // q_{j−1} at j
    let columns = classes - 1;
    let before = tails.f_narrow(1, 0, columns)?.f_clamp_min(f64::MIN_POSITIVE)?;
    let after = tails.f_narrow(1, 1, columns)?;
    let lengths = after.f_div(&before)?.f_mul(&p.f_narrow(1, 0, columns)?)?.f_sqrt()?;
    let after = after.f_clamp_min(f64::MIN_POSITIVE)?.f_unsqueeze(2)?;
    let later = p.f_unsqueeze(1)?.f_repeat([1, columns, 1])?.f_triu(1)?.f_div(&after)?;
    let ones = Tensor::f_eye_m(columns, classes, (Kind::Double, logits.device()))?;
    let sorted = ones.f_sub(&later)?.f_mul(&lengths.f_unsqueeze(2)?)?;
    let order = order.f_unsqueeze(1)?.f_expand_as(&sorted)?;
    Ok(sorted.f_zeros_like()?.f_scatter(2, &order, &sorted)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::torch::{Libraries, load};
    use base::rng::Stream;

    #[test]
    fn its_square_is_the_covariance() {
        load(&Libraries::default()).unwrap();
        let mut stream = Stream::new(2, "logits", &[]);
        for (classes, spread) in [(2, 1.0), (10, 0.0), (10, 3.0), (10, 30.0), (100, 10.0)] {
            let logits: Vec<f64> = (0..3 * classes).map(|_| spread * stream.normal()).collect();
            let logits = Tensor::from_slice(&logits).view([3, classes]);
            let s = factor(&logits).unwrap();
            assert_eq!(s.size(), [3, classes - 1, classes]);
            let p = logits.softmax(1, Kind::Double);
            let wanted = p.diag_embed(0, -2, -1) - p.unsqueeze(2).matmul(&p.unsqueeze(1));
            let found = s.transpose(1, 2).matmul(&s);
            assert!((found - wanted).abs().max().double_value(&[]) < 1e-15, "{classes} classes, spread {spread}");
        }
    }

    #[test]
    fn a_tiny_rest_keeps_its_digits() {
        load(&Libraries::default()).unwrap();
        // p = 1 − 3e-30 and three times 1e-30: the trace of the covariance is 2·3e-30 up to 1e-59.
        let logits = Tensor::from_slice(&[0.0, 1e-30_f64.ln(), 1e-30_f64.ln(), 1e-30_f64.ln()]).view([1, 4]);
        let trace = factor(&logits).unwrap().square().sum(Kind::Double).double_value(&[]);
        assert!((trace / 6e-30 - 1.0).abs() < 1e-12, "{trace}");
        // Probabilities that differ from 0 and 1 by less than a float64 can express.
        let certain = Tensor::from_slice(&[0.0, -1e4, -2e4]).view([1, 3]);
        assert_eq!(factor(&certain).unwrap().abs().sum(Kind::Double).double_value(&[]), 0.0);
    }
}
