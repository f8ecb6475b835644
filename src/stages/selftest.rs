//! Checks of the numbers, with libtorch loaded first.

use super::{StageError, device};
use base::work::Policy;
use learn::selftest::{self, ManyClasses, Problem};

pub use learn::selftest::{Comparison, Coverage, DRAWS, Deviation, Exact, IMAGES, REFERENCE, STANDARD_ERRORS, TRAINED};

/// Images of the sketch.
const SKETCHED: usize = 60;

/// What the check of the estimators found.
#[derive(Debug)]
pub struct Checked {
    /// The class of machines that computed it.
    pub machine: String,
    /// Largest difference of a product from the matrix's, by its name.
    pub products: [(&'static str, f64); 4],
    /// What needs no draws.
    pub exact: Vec<Exact>,
    /// How often each estimate was near the exact value.
    pub coverages: Vec<Coverage>,
}

/// Compares with PyTorch's results in a case file.
///
/// # Errors
/// If libtorch cannot be loaded, or the bytes are no case.
pub fn compare(case: &[u8]) -> Result<Comparison, StageError> {
    device::libtorch(Policy::Native).map_err(StageError::Device)?;
    Ok(selftest::compare(case)?)
}

/// Compares every estimator with exact values.
///
/// # Errors
/// If libtorch cannot be loaded or fails.
pub fn check(repetitions: u32) -> Result<Checked, StageError> {
    let loaded = device::libtorch(Policy::Native).map_err(StageError::Device)?;
    let problem = Problem::new()?;
    let [hessian, gauss_newton, rest, covariance] = problem.products()?;
    let products = [("H v", hessian), ("G v", gauss_newton), ("E v", rest), ("Σ v", covariance)];
    let coverages = [
        problem.trace(repetitions)?,
        problem.covariance(repetitions)?,
        vec![ManyClasses::new(SKETCHED)?.coverage(repetitions)?],
        problem.eigenvalues(repetitions)?,
    ];
    let machine = device::machine(loaded, tch::Device::Cpu);
    let exact = problem.exact()?;
    Ok(Checked { machine, products, exact, coverages: coverages.concat() })
}
