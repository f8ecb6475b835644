//! The stage `train`.

use std::collections::BTreeMap;

use super::epochs::{Epoch, diverged_output, diverged_row, metrics, run_epoch};
use super::torch::{End, StageInputs, Torch};
use super::{MetricsRow, Outputs, Progress, Report, StageError};
use base::table::Table;
use base::work::{METRICS, Train};
use learn::batches::{Pass, training_order};
use learn::layout::layout;
use learn::model::Network;
use learn::scaler;
use learn::train::{Keeps, Kept, Sgd, State};
use learn::weights::Weights;
use learn::{Divergence, LearnError};

/// Trains from one checkpoint to the next.
pub fn run(
    work: &Train,
    torch: &mut Torch,
    inputs: &StageInputs<'_>,
    report: &mut Report<'_>,
) -> Result<Outputs, StageError> {
    let Some(mut state) = start(work, torch, inputs)? else {
        return diverged_segment(work, Vec::new(), None);
    };
    let sets = torch.sets(work.model, work.numerics, work.eval_images, inputs)?;
    let train = sets.train;
    let sgd = Sgd {
        lr: work.lr,
        wd: work.wd,
        momentum: work.momentum,
        ema: work.ema.unwrap_or_default(),
        sphere: work.sphere,
    };
    let mut rows = Vec::new();
    for i in 0..work.epochs {
        let epoch = work.first_epoch + i;
        let order = training_order(work.seed, epoch, train.count());
        let pass = Pass::new(&order, work.batch as usize, train)?;
        let part = (f64::from(i) / f64::from(work.epochs), 1.0 / f64::from(work.epochs));
        let ran = Epoch { images: train, pass: &pass, sgd: &sgd, number: epoch, part };
        match run_epoch(&mut state, &ran, inputs.session, report) {
            Err(LearnError::Diverged(divergence)) => return diverged_segment(work, rows, Some(divergence)),
            ended => ended?,
        }
        if work.evaluates(epoch) {
            let row = metrics(&state.network, &sets, epoch, work.lr, inputs.session)?;
            report(Progress::Evaluated(row));
            rows.push(row);
        }
    }
    let metrics = ("metrics", Table::of_rows(METRICS, &rows).to_bytes()?);
    let mut made = Outputs::trained(&state.end()?, [metrics])?;
    made.notes.one_by_one = state.not_recorded().map(str::to_owned);
    let end = made.outputs.iter().filter(|made| made.name != "metrics").map(|made| (made.name, made.object));
    torch.resident = Some((end.collect(), work.numerics, state));
    Ok(made)
}

/// Returns the state at the start of a segment: the end state of the last segment if the new segment continues it, or a loaded
/// state; `None` if the weights are not finite.
fn start(work: &Train, torch: &mut Torch, inputs: &StageInputs<'_>) -> Result<Option<State>, StageError> {
    let keeps = work.keeps();
    let names = std::iter::once("weights").chain(keeps.iter().copied());
    let start: End = names.filter_map(|name| Some((name, inputs.object(name).ok()?))).collect();
    if let Some((end, numerics, state)) = torch.resident.take()
        && (end, numerics) == (start, work.numerics)
        && keeps.iter().all(|name| inputs.object(name).is_ok())
    {
        return Ok(Some(state));
    }
    let layout = layout(work.model)?;
    let weights = inputs.weights("weights", &layout)?;
    if !weights.is_finite() {
        return Ok(None);
    }
    let mut kept = BTreeMap::new();
    for name in keeps {
        let found = match inputs.object(name) {
            Ok(_) if name == "scaler" => Some(Weights::from_bytes(&(inputs.read)(name)?, &scaler::entries())?),
            Ok(_) => Some(inputs.parameters(name, &layout)?),
            Err(_) => None,
        };
        kept.insert(name, found);
    }
    let from = |name: &str| match kept.get(name) {
        None => Kept::No,
        Some(None) => Kept::Fresh,
        Some(Some(weights)) => Kept::From(weights),
    };
    let keeps = Keeps { average: from("ema"), momentum: from("momentum"), scaler: from("scaler") };
    Ok(Some(State::new(Network::new(work.model, &weights, torch.arithmetic(work.numerics))?, keeps)?))
}

/// Returns the outputs of a segment that diverged: the rows up to there, then NaN. `divergence` says where, if it was in this
/// segment.
fn diverged_segment(
    work: &Train,
    mut rows: Vec<MetricsRow>,
    divergence: Option<Divergence>,
) -> Result<Outputs, StageError> {
    // A segment that starts from weights that are not finite does nothing.
    let first = divergence.as_ref().map_or(work.first_epoch, |divergence| divergence.epoch);
    let done = f64::from(first - work.first_epoch) / f64::from(work.epochs);
    let lost = (first..work.first_epoch + work.epochs).filter(|&epoch| work.evaluates(epoch));
    rows.extend(lost.map(|epoch| diverged_row(epoch, work.lr)));
    let layout = layout(work.model)?;
    let mut outputs = vec![("weights", Weights::diverged(&layout.entries).to_bytes()?)];
    for name in work.keeps() {
        let lost = match name {
            "scaler" => Weights::diverged(&scaler::entries()),
            _ => Weights::diverged(layout.parameters()),
        };
        outputs.push((name, lost.to_bytes()?));
    }
    outputs.push(("metrics", Table::of_rows(METRICS, &rows).to_bytes()?));
    outputs.extend(divergence.map(diverged_output).transpose()?);
    Ok(Outputs::new(outputs, done))
}
