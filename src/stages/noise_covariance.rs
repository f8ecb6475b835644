//! The stage `noise_covariance`.

use super::curvature::{made, nan_row, setting, watch};
use super::torch::{StageInputs, Torch};
use super::{Outputs, Report, StageError};
use base::table::Table;
use base::work::{COSINES, NoiseCovariance, PRODUCTS};
use learn::curvature::{Covariance, Draw, Estimate, covariance};

/// Measures the alignment of the Hessian and its parts with the covariance of the gradient noise.
pub fn run(
    work: &NoiseCovariance,
    torch: &mut Torch,
    inputs: &StageInputs<'_>,
    report: &mut Report<'_>,
) -> Result<Outputs, StageError> {
    let setting = setting(&work.loss, (work.after, work.seed), torch, inputs)?;
    let mut row = nan_row::<{ COSINES.len() }>(work.after);
    let mut products = Vec::new();
    if let Some(setting) = &setting {
        let found = covariance(&setting.objective(), work.draws, work.seed, &mut watch(report))?;
        let estimates: Vec<Estimate> = found
            .cosines()
            .into_iter()
            .chain(found.matrix_cosines())
            .chain(found.traces())
            .chain([found.jacobian()])
            .collect();
        let mut values: Vec<f64> = estimates.iter().flat_map(|estimate| [estimate.value, estimate.error]).collect();
        values.extend([f64::from(work.draws), setting.loss, setting.network.norm()?]);
        row[1..].copy_from_slice(&values);
        products = draws(&found);
    }
    let tables = vec![("cosines", Table::of_rows(COSINES, &[row])), ("products", Table::of_rows(PRODUCTS, &products))];
    made(tables, f64::from(u8::from(setting.is_some())))
}

/// Returns one row for every draw.
fn draws(found: &Covariance) -> Vec<[f64; PRODUCTS.len()]> {
    let row = |(number, draw): (usize, &Draw)| {
        let mut row = [0.0; PRODUCTS.len()];
        row[0] = number as f64;
        row[1..5].copy_from_slice(&draw.forms);
        row[5..9].copy_from_slice(&draw.squares);
        row[9..12].copy_from_slice(&draw.overlaps);
        row[12] = draw.jacobian;
        row
    };
    found.draws.iter().enumerate().map(row).collect()
}
