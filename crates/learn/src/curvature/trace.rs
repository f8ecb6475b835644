//! Tr ∇²L: exactly, or estimated.

mod hutchinson;
mod images;

use super::{Estimate, Norms, Objective, Watch};
use crate::LearnError;
use base::work::Estimator;

pub(crate) use hutchinson::quadratic_forms;

/// Tr ∇²L, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trace {
    /// The trace.
    pub value: f64,
    /// The standard error that drawing leaves: 0 if it is exact, and of a single draw.
    pub standard_error: f64,
    /// Standard deviation of the images' own traces over √n: how far the trace over other images of the same kind would
    /// be. NaN where single images are not looked at.
    pub spread: f64,
    /// Number of random draws.
    pub draws: u32,
}

/// Tr ∇²L by one of the estimators. With running statistics it is the mean of the images' traces (see [`images`]); with
/// statistics of batches only Hutchinson's estimate holds.
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
        return Err(LearnError::Data("with statistics of batches images have no traces of their own".to_owned()));
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
