//! The stage `hessian_trace`.

use super::curvature::{made, nan_row, setting, watch};
use super::torch::{StageInputs, Torch};
use super::{Outputs, Report, StageError};
use base::table::Table;
use base::work::{Estimator, HessianTrace, TRACE};
use learn::curvature::trace;

/// Measures the trace of the Hessian.
pub fn run(
    work: &HessianTrace,
    torch: &mut Torch,
    inputs: &StageInputs<'_>,
    report: &mut Report<'_>,
) -> Result<Outputs, StageError> {
    let setting = setting(&work.loss, (work.after, work.seed), torch, inputs)?;
    let mut row = nan_row::<{ TRACE.len() }>(work.after);
    let mut done = 0.0;
    if let Some(setting) = &setting {
        let found = trace(&setting.objective(), work.estimator, work.seed, &mut watch(report))?;
        let (draws, norm) = (f64::from(found.draws), setting.network.norm()?);
        row[1..].copy_from_slice(&[found.value, found.standard_error, found.spread, draws, setting.loss, norm]);
        done = match work.estimator {
            Estimator::Exact => 1.0,
            Estimator::Sketch { draws: most, .. } | Estimator::Hutchinson { draws: most, .. } => {
                draws / f64::from(most)
            }
        };
    }
    made(vec![("trace", Table::of_rows(TRACE, &[row]))], done)
}
