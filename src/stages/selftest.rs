//! Runs the self-tests of `learn`, after loading libtorch.

use super::{StageError, device};
use base::work::Policy;
use learn::selftest::{self, ManyClasses, Problem};

pub use learn::selftest::{Comparison, Coverage, DRAWS, Deviation, Exact, IMAGES, REFERENCE, STANDARD_ERRORS, TRAINED};

/// Number of images in the check of the sketch.
const SKETCHED: usize = 60;

/// Results of the check of the estimators.
#[derive(Debug)]
pub struct Checked {
    /// The class of machines that computed it.
    pub machine: String,
    /// Largest difference between a product and the explicit matrix's product, by name.
    pub products: [(&'static str, f64); 4],
    /// Results of methods without random draws.
    pub exact: Vec<Exact>,
    /// How often each estimate was close to the exact value.
    pub coverages: Vec<Coverage>,
}

/// Compares results with those of PyTorch in a case file.
///
/// # Errors
/// If libtorch cannot be loaded, or the bytes are not a valid case.
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

/// Number of estimates of every quantity in the check of repetition.
const FEW: u32 = 2;

/// Computes estimates twice, and compares all their bits. Returns the class of machines that computed them.
///
/// # Errors
/// If libtorch cannot be loaded or fails, or the results differ.
pub fn repeats() -> Result<String, String> {
    let once = || check(FEW).map_err(|error| error.to_string());
    let (first, second) = (once()?, once()?);
    // Numbers are printed with as many digits as it takes to tell them apart.
    match format!("{first:?}") == format!("{second:?}") {
        true => Ok(first.machine),
        false => Err("the same computation gave different numbers".to_owned()),
    }
}
