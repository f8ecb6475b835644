//! The stage `ema_eval`.

use std::collections::BTreeMap;

use super::epochs::metrics;
use super::torch::{StageInputs, Torch};
use super::{Outputs, Read, Report, StageError};
use base::digest::ObjectDigest;
use base::table::Table;
use base::work::{EMA_METRICS, EmaEval, Numerics, Precision, row_of};
use learn::batches::{Pass, refresh_order};
use learn::evaluate::refresh_statistics;
use learn::init::with_fresh_statistics;
use learn::layout::layout;
use learn::model::Network;
use learn::torch::policy;
use learn::weights::Weights;

/// Evaluates averaged weights.
pub fn run(
    work: &EmaEval,
    torch: &mut Torch,
    inputs: &StageInputs<'_>,
    _: &mut Report<'_>,
) -> Result<Outputs, StageError> {
    let epoch = row_of(work.after);
    let mut row = [f64::NAN; EMA_METRICS.len()];
    row[0] = f64::from(epoch);
    let averaged = averaged(work, torch, inputs)?;
    if let Some((network, numerics)) = &averaged {
        let sets = torch.sets(work.model, *numerics, work.eval_images, inputs)?;
        let all = metrics(network, &sets, epoch, 0.0, inputs.session)?;
        // Copy all columns except the learning rate.
        row[1..].copy_from_slice(&all[2..]);
    }
    let metrics = Table::of_rows(EMA_METRICS, &[row]).to_bytes()?;
    let done = f64::from(u8::from(averaged.is_some()));
    Ok(Outputs::new([("metrics", metrics)], done))
}

/// Returns the averaged network with re-estimated statistics, and its arithmetic; `None` if the run has diverged.
fn averaged(
    work: &EmaEval,
    torch: &mut Torch,
    inputs: &StageInputs<'_>,
) -> Result<Option<(Network, Numerics)>, StageError> {
    // The arithmetic is always float32, as in the authors' code.
    let numerics = Numerics::float32(work.numerics.channels_last);
    let layout = layout(work.model)?;
    let average = inputs.parameters("ema", &layout)?;
    if !average.is_finite() {
        return Ok(None);
    }
    let weights = with_fresh_statistics(&layout, &average);
    let mut network = Network::new(work.model, &weights, torch.arithmetic(numerics))?;
    let train = torch.sets(work.model, numerics, None, inputs)?.train;
    let order = refresh_order(work.seed, work.after, train.count());
    refresh_statistics(&mut network, train, &Pass::new(&order, work.batch as usize, train)?)?;
    Ok(Some((network, numerics)))
}

/// Returns the tensors of the network that the stage evaluates.
pub fn averaged_weights(
    work: &EmaEval,
    torch: &mut Torch,
    objects: &BTreeMap<String, ObjectDigest>,
    read: &Read<'_>,
) -> Result<Weights, StageError> {
    let session = policy::apply(Precision::Fp32).map_err(|error| StageError::Device(error.to_string()))?;
    let inputs = StageInputs { objects, read, session: &session };
    match averaged(work, torch, &inputs)? {
        Some((network, _)) => Ok(network.weights()?),
        None => Ok(Weights::diverged(&layout(work.model)?.entries)),
    }
}
