//! The stage `predictions`.

use super::torch::{EVALUATION_BATCH, StageInputs, Torch};
use super::{Outputs, Report, StageError};
use base::table::Table;
use base::work::{Numerics, PREDICTIONS, Predictions};
use learn::batches::DeviceImages;
use learn::data;
use learn::evaluate::predict;
use learn::layout::layout;
use learn::model::Network;

/// Records the answer of a network to every test image.
pub fn run(
    work: &Predictions,
    torch: &mut Torch,
    inputs: &StageInputs<'_>,
    _: &mut Report<'_>,
) -> Result<Outputs, StageError> {
    let weights = inputs.weights("weights", &layout(work.model)?)?;
    let arithmetic = torch.arithmetic(Numerics::float32(false));
    let network = Network::new(work.model, &weights, arithmetic)?;
    let raw = data::Images::from_bytes(&(inputs.read)("test")?)?;
    let images = DeviceImages::new(&raw.pixels, &raw.labels, work.model, arithmetic)?;
    let answers = predict(&network, &images, EVALUATION_BATCH)?;
    let row =
        |(image, ((answer, loss), label)): (usize, ((f64, f64), &u8))| [image as f64, f64::from(*label), answer, loss];
    let rows: Vec<_> = answers.into_iter().zip(&raw.labels).enumerate().map(row).collect();
    let table = Table::of_rows(PREDICTIONS, &rows).to_bytes()?;
    Ok(Outputs::whole([("predictions", table)]))
}
