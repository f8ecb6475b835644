//! Common parts of training, probes and evaluations: epochs, rows of `metrics`, and the outputs of a run that diverged.
//!
//! A run that leaves the finite numbers is a result: its weights and numbers are NaN from there on, and a stage that starts from
//! these weights yields NaN without computing.

use std::time::{Duration, Instant};

use super::torch::{EVALUATION_BATCH, Sets};
use super::{MetricsRow, Progress, Report, StageError};
use base::table::Table;
use base::work::{DIVERGED, METRICS};
use learn::batches::{DeviceImages, Pass};
use learn::evaluate::evaluate;
use learn::model::Network;
use learn::torch::Session;
use learn::train::{Answer, Sgd, State};
use learn::{Divergence, LearnError};

/// How often the loss is read from the device for the progress report.
const READ_LOSS: Duration = Duration::from_millis(500);

/// One epoch of training.
pub struct Epoch<'a> {
    pub images: &'a DeviceImages,
    pub pass: &'a Pass,
    pub sgd: &'a Sgd,
    /// Index of the epoch, for messages and the output `diverged`.
    pub number: u32,
    /// Start and length of the epoch, as shares of the stage's work.
    pub part: (f64, f64),
}

/// Runs an epoch and reports its progress.
pub fn run_epoch(
    state: &mut State,
    epoch: &Epoch<'_>,
    session: &Session,
    report: &mut Report<'_>,
) -> Result<(), LearnError> {
    let Epoch { images, pass, sgd, number, part: (start, length) } = *epoch;
    let started = Instant::now();
    let mut read = started;
    let mut last = None;
    let ended = state.run_epoch(images, pass, sgd, number, session, |progress| {
        if progress.loss.is_none() && read.elapsed() >= READ_LOSS {
            read = Instant::now();
            return Answer::Loss;
        }
        last = progress.loss.or(last);
        let share = progress.step as f64 / progress.steps as f64;
        let rate = (progress.step * pass.batch()) as f64 / started.elapsed().as_secs_f64().max(1e-9);
        let (done, epoch) = (start + length * share, f64::from(number) + share);
        let go_on = report(Progress::Step { done, epoch, loss: last, images_per_second: rate });
        if go_on { Answer::Continue } else { Answer::Cancel }
    })?;
    // Whether to stop is asked again at the next step.
    report(Progress::Epoch { epoch: f64::from(number) + 1.0, loss: ended.loss });
    Ok(())
}

/// Evaluates a network and returns a row of [`METRICS`].
pub fn metrics(
    network: &Network,
    sets: &Sets<'_>,
    epoch: u32,
    lr: f64,
    session: &Session,
) -> Result<MetricsRow, LearnError> {
    let on_train = evaluate(network, sets.judged, EVALUATION_BATCH, session)?;
    let on_test = evaluate(network, sets.test, EVALUATION_BATCH, session)?;
    let norm = network.norm()?;
    Ok([f64::from(epoch), lr, on_train.loss, on_train.error_percent, on_test.loss, on_test.error_percent, norm])
}

/// Returns the row of an epoch in which the run was no longer finite.
pub fn diverged_row(epoch: u32, lr: f64) -> MetricsRow {
    let mut row = [f64::NAN; METRICS.len()];
    (row[0], row[1]) = (f64::from(epoch), lr);
    row
}

/// Returns the output that says where a run left the finite numbers.
pub fn diverged_output(divergence: Divergence) -> Result<(&'static str, Vec<u8>), StageError> {
    let Divergence { epoch, step, lr, last_finite_loss } = divergence;
    let row = [f64::from(epoch), step as f64, lr, last_finite_loss.unwrap_or(f64::NAN)];
    Ok(("diverged", Table::of_rows(DIVERGED, &[row]).to_bytes()?))
}
