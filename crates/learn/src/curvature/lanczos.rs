//! Extreme eigenvalues of the Hessian by Lanczos' method.

use tch::{Kind, Tensor};

use super::{Components, Objective, Watch, direction, dot, hessian_vector_product};
use crate::LearnError;

/// Largest and smallest eigenvalue of H, each with a bound on the distance to a true eigenvalue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extremes {
    /// The largest eigenvalue and its bound.
    pub largest: (f64, f64),
    /// The smallest eigenvalue and its bound.
    pub smallest: (f64, f64),
    /// Number of products with H.
    pub iterations: u32,
}

/// Computes the largest and smallest eigenvalue of H = ∇²L from a random start. Every new vector is made orthogonal to all
/// earlier ones (twice, which is enough). The computation ends when the bound of the largest eigenvalue is at most
/// `tolerance` times its size, or after `iterations` products. Except for rounding, the bound is the residual's norm
/// ‖Hx − θx‖ (Parlett 1998, section 13.2).
///
/// Memory: one vector per iteration.
///
/// # Errors
/// If there are no iterations, `watch` returns false, or libtorch fails.
pub fn extremes(
    objective: &Objective<'_>,
    iterations: u32,
    tolerance: f64,
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<Extremes, LearnError> {
    if iterations == 0 {
        return Err(LearnError::Data("computing eigenvalues needs at least one iteration".to_owned()));
    }
    let start = direction(objective.network, Components::Normal, (seed, "lanczos", 0))?;
    let mut basis = vec![start.f_mul_scalar(1.0 / dot(&start, &start)?.sqrt())?];
    let (mut diagonal, mut beside) = (Vec::new(), Vec::new());
    loop {
        let newest = &basis[basis.len() - 1];
        let mut next = hessian_vector_product(objective, newest)?;
        diagonal.push(dot(newest, &next)?);
        for _ in 0..2 {
            for vector in &basis {
                let overlap = dot(vector, &next)?;
                let _ = next.f_sub_(&vector.f_mul_scalar(overlap)?)?;
            }
        }
        let rest = dot(&next, &next)?.sqrt();
        let found = ritz(&diagonal, &beside, rest)?;
        let done = diagonal.len() as u32;
        // The rest is zero or not a number.
        let size = found.largest.0.abs().max(found.smallest.0.abs());
        let exhausted = !rest.is_finite() || rest <= f64::EPSILON * size;
        if done == iterations || exhausted || found.largest.1 <= tolerance * found.largest.0.abs() {
            return Ok(Extremes { iterations: done, ..found });
        }
        if !watch(done as usize, iterations as usize) {
            return Err(LearnError::Cancelled);
        }
        beside.push(rest);
        basis.push(next.f_mul_scalar(1.0 / rest)?);
    }
}

/// Returns the extreme eigenvalues of the tridiagonal matrix, and the norms of their residuals: the rest after the last
/// step times the last component of the eigenvector.
fn ritz(diagonal: &[f64], beside: &[f64], rest: f64) -> Result<Extremes, LearnError> {
    let n = diagonal.len();
    let mut matrix = vec![0.0; n * n];
    for (i, value) in diagonal.iter().enumerate() {
        matrix[i * n + i] = *value;
    }
    for (i, value) in beside.iter().enumerate() {
        matrix[i * n + i + 1] = *value;
        matrix[(i + 1) * n + i] = *value;
    }
    if matrix.iter().any(|value| !value.is_finite()) {
        let nan = (f64::NAN, f64::NAN);
        return Ok(Extremes { largest: nan, smallest: nan, iterations: n as u32 });
    }
    let (values, vectors) = Tensor::f_from_slice(&matrix)?.f_view([n as i64, n as i64])?.f_linalg_eigh("L")?;
    let last = vectors.f_select(0, n as i64 - 1)?.f_abs()?.f_to_kind(Kind::Double)?;
    let at = |i: usize| -> Result<(f64, f64), LearnError> {
        Ok((values.f_double_value(&[i as i64])?, rest * last.f_double_value(&[i as i64])?))
    };
    Ok(Extremes { largest: at(n - 1)?, smallest: at(0)?, iterations: n as u32 })
}
