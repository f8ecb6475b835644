//! Tr ∇²L, exact or estimated.

mod hutchinson;
mod images;

use super::{Estimate, Norms, Objective, Watch};
use crate::LearnError;
use base::work::Estimator;

pub(crate) use hutchinson::quadratic_forms;

/// Tr ∇²L with its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trace {
    /// The trace.
    pub value: f64,
    /// The standard error from random draws: 0 if the trace is exact, and for a single draw.
    pub standard_error: f64,
    /// Standard deviation of the images' own traces divided by √n: the expected deviation of the trace over other images of the
    /// same kind. NaN where single images have no trace.
    pub spread: f64,
    /// Number of random draws.
    pub draws: u32,
}

/// Computes Tr ∇²L with one of the estimators. With running statistics, it is the mean of the images' traces (see [`images`]);
/// with batch statistics, only Hutchinson's estimate is valid.
///
/// # Errors
/// If there are no draws where some are needed, the estimator does not fit the statistics, `watch` returns false, or
/// libtorch fails.
pub fn trace(
    objective: &Objective<'_>,
    estimator: Estimator,
    seed: u64,
    watch: &mut Watch<'_>,
) -> Result<Trace, LearnError> {
    if objective.norms == Norms::Batch && !matches!(estimator, Estimator::Hutchinson { .. }) {
        return Err(LearnError::Data("with batch statistics, images have no traces of their own".to_owned()));
    }
    match estimator {
        Estimator::Exact => images::exact(objective, watch),
        Estimator::Sketch { draws, stderr } => images::sketch(objective, draws, stderr, seed, watch),
        Estimator::Hutchinson { draws, stop } => {
            let forms = hutchinson::forms(objective, draws, stop, seed, watch)?;
            let Estimate { value, error } = Estimate::mean(&forms);
            let standard_error = if forms.len() > 1 { error } else { 0.0 };
            Ok(Trace { value, standard_error, spread: f64::NAN, draws: forms.len() as u32 })
        }
    }
}
