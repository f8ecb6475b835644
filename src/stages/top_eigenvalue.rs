//! The stage `top_eigenvalue`.

use super::curvature::{made, nan_row, setting, watch};
use super::torch::{StageInputs, Torch};
use super::{Outputs, Report, StageError};
use base::table::Table;
use base::work::{EIGENVALUES, TopEigenvalue};
use learn::curvature::extremes;

/// Measures the largest and the smallest eigenvalue of the Hessian.
pub fn run(
    work: &TopEigenvalue,
    torch: &mut Torch,
    inputs: &StageInputs<'_>,
    report: &mut Report<'_>,
) -> Result<Outputs, StageError> {
    let setting = setting(&work.loss, (work.after, work.seed), torch, inputs)?;
    let mut row = nan_row::<{ EIGENVALUES.len() }>(work.after);
    let mut done = 0.0;
    if let Some(setting) = &setting {
        let found = extremes(&setting.objective(), work.iterations, work.tolerance, work.seed, &mut watch(report))?;
        let ((largest, largest_error), (smallest, smallest_error)) = (found.largest, found.smallest);
        let (iterations, norm) = (f64::from(found.iterations), setting.network.norm()?);
        row[1..].copy_from_slice(&[largest, largest_error, smallest, smallest_error, iterations, setting.loss, norm]);
        done = iterations / f64::from(work.iterations);
    }
    made(vec![("eigenvalues", Table::of_rows(EIGENVALUES, &[row]))], done)
}
