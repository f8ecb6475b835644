//! The stage `noise_scale`.

use super::curvature::{made, nan_row, setting, watch};
use super::torch::{StageInputs, Torch};
use super::{Outputs, Report, StageError};
use base::table::Table;
use base::work::{NoiseScale, SCALE};
use learn::curvature::scale;

/// Measures the scale of the gradient noise.
pub fn run(
    work: &NoiseScale,
    torch: &mut Torch,
    inputs: &StageInputs<'_>,
    report: &mut Report<'_>,
) -> Result<Outputs, StageError> {
    let setting = setting(&work.loss, (work.after, work.seed), torch, inputs)?;
    let mut row = nan_row::<{ SCALE.len() }>(work.after);
    if let Some(setting) = &setting {
        let found = scale(&setting.objective(), work.draws, work.seed, &mut watch(report))?;
        let jacobian = |share: f64| {
            let last = found.jacobians.len().saturating_sub(1) as f64;
            found.jacobians.get((share * last).round() as usize).copied().unwrap_or(f64::NAN)
        };
        row[1..].copy_from_slice(&[
            found.loss,
            found.second_moment.value,
            found.second_moment.error,
            found.mean_gradient,
            found.noise.value,
            found.noise.error,
            found.noise.value / found.loss,
            setting.network.norm()?,
            jacobian(0.0),
            jacobian(0.5),
            jacobian(1.0),
            found.residual_ratio,
            f64::from(work.draws.unwrap_or(0)),
        ]);
    }
    made(vec![("scale", Table::of_rows(SCALE, &[row]))], f64::from(u8::from(setting.is_some())))
}
