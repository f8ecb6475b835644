//! The stage `probe`.

use super::epochs::{Epoch, diverged_output, diverged_row, metrics, run_epoch};
use super::torch::{StageInputs, Torch};
use super::{Outputs, Report, StageError};
use base::table::Table;
use base::work::{METRICS, Probe, row_of};
use learn::batches::{Pass, probe_order};
use learn::layout::layout;
use learn::model::Network;
use learn::train::{Keeps, Kept, Sgd, State};
use learn::weights::Weights;
use learn::{Divergence, LearnError};

/// Fine-tunes a checkpoint.
pub fn run(
    work: &Probe,
    torch: &mut Torch,
    inputs: &StageInputs<'_>,
    report: &mut Report<'_>,
) -> Result<Outputs, StageError> {
    let weights = inputs.weights("weights", &layout(work.model)?)?;
    if !weights.is_finite() {
        return diverged(work, None);
    }
    let network = Network::new(work.model, &weights, torch.arithmetic(work.numerics))?;
    let scaler = if inputs.session.scales_loss() { Kept::Fresh } else { Kept::No };
    let mut state = State::new(network, Keeps { scaler, ..Keeps::default() })?;
    let sets = torch.sets(work.model, work.numerics, work.eval_images, inputs)?;
    let train = sets.train;
    let sgd = Sgd { lr: work.lr, wd: work.wd, momentum: 0.0, ema: 0.0, sphere: work.sphere };
    for number in 0..work.epochs {
        let order = probe_order(work.seed, work.after, number, train.count());
        let pass = Pass::new(&order, work.batch as usize, train)?;
        let part = (f64::from(number) / f64::from(work.epochs), 1.0 / f64::from(work.epochs));
        let epoch = Epoch { images: train, pass: &pass, sgd: &sgd, number, part };
        match run_epoch(&mut state, &epoch, inputs.session, report) {
            Err(LearnError::Diverged(divergence)) => return diverged(work, Some(divergence)),
            ended => ended?,
        }
    }
    let row = metrics(&state.network, &sets, row_of(work.after), work.lr, inputs.session)?;
    let metrics = ("metrics", Table::of_rows(METRICS, &[row]).to_bytes()?);
    let mut made = Outputs::trained(&[("weights", state.network.weights()?)], [metrics])?;
    made.notes.one_by_one = state.not_recorded().map(str::to_owned);
    Ok(made)
}

/// Returns the outputs of a probe that diverged, or that started from weights that are not finite.
fn diverged(work: &Probe, divergence: Option<Divergence>) -> Result<Outputs, StageError> {
    let metrics = Table::of_rows(METRICS, &[diverged_row(row_of(work.after), work.lr)]).to_bytes()?;
    let weights = Weights::diverged(&layout(work.model)?.entries).to_bytes()?;
    let mut outputs = vec![("weights", weights), ("metrics", metrics)];
    let done = divergence.map_or(0.0, |divergence| f64::from(divergence.epoch) / f64::from(work.epochs));
    outputs.extend(divergence.map(diverged_output).transpose()?);
    Ok(Outputs::new(outputs, done))
}
