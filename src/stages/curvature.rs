//! Common parts of the stages that measure curvature and gradient noise. If the weights are not finite, every number is NaN.

use super::torch::{StageInputs, Torch};
use super::{Outputs, Progress, Report, StageError};
use base::table::Table;
use base::work::{Loss, NormStatistics, Numerics, row_of};
use learn::LearnError;
use learn::batches::{DeviceImages, Pass, refresh_order};
use learn::curvature::{Norms, Objective, mean_loss};
use learn::data;
use learn::evaluate::refresh_statistics;
use learn::layout::layout;
use learn::model::{Arithmetic, Network};

/// A loss: a network, images, and the statistics of the batch norms.
pub struct LossSetting {
    pub network: Network,
    images: DeviceImages,
    batch: usize,
    norms: Norms,
    /// Mean cross-entropy, with the statistics that `norms` names.
    pub loss: f64,
}

impl LossSetting {
    /// Returns the loss as a function of the weights.
    pub fn objective(&self) -> Objective<'_> {
        Objective { network: &self.network, images: &self.images, batch: self.batch, norms: self.norms }
    }
}

/// Loads the network and the images of a loss; returns `None` if the weights are not finite.
pub fn setting(
    loss: &Loss,
    (after, seed): (u32, u64),
    torch: &Torch,
    inputs: &StageInputs<'_>,
) -> Result<Option<LossSetting>, StageError> {
    let weights = inputs.weights("weights", &layout(loss.model)?)?;
    if !weights.is_finite() {
        return Ok(None);
    }
    let arithmetic = torch.arithmetic(Numerics::float32(false));
    let mut network = Network::new(loss.model, &weights, arithmetic)?;
    let all = data::Images::from_bytes(&(inputs.read)("train")?)?;
    if let NormStatistics::Refreshed { batch } = loss.statistics {
        refresh(&mut network, &all, batch, refresh_order(seed, after, all.labels.len()), arithmetic)?;
    }
    let some = all.first_per_class(loss.images as usize)?;
    let images = DeviceImages::new(&some.pixels, &some.labels, loss.model, arithmetic)?;
    let norms = if loss.statistics == NormStatistics::Batch { Norms::Batch } else { Norms::Running };
    let mut setting = LossSetting { network, images, batch: loss.batch as usize, norms, loss: f64::NAN };
    setting.loss = mean_loss(&setting.objective())?;
    Ok(Some(setting))
}

fn refresh(
    network: &mut Network,
    images: &data::Images,
    batch: u32,
    order: Vec<u32>,
    arithmetic: Arithmetic,
) -> Result<(), LearnError> {
    let images = DeviceImages::new(&images.pixels, &images.labels, network.layout().model, arithmetic)?;
    refresh_statistics(network, &images, &Pass::new(&order, batch as usize, &images)?)
}

/// Returns a function that reports the share of the steps that are done.
pub fn watch(report: &mut Report<'_>) -> impl FnMut(usize, usize) -> bool {
    |done, total| report(Progress::Done(done as f64 / total.max(1) as f64))
}

/// Returns a row with the epoch in the first column and NaN in all others.
pub fn nan_row<const N: usize>(after: u32) -> [f64; N] {
    let mut row = [f64::NAN; N];
    row[0] = f64::from(row_of(after));
    row
}

/// Encodes the tables that a stage yields. `done` is the share of the work that the stage did.
pub fn made(tables: Vec<(&'static str, Table)>, done: f64) -> Result<Outputs, StageError> {
    let outputs = tables.into_iter().map(|(name, table)| Ok((name, table.to_bytes()?)));
    Ok(Outputs::new(outputs.collect::<Result<Vec<_>, StageError>>()?, done))
}
