//! The stages that look at the curvature of the loss and at the noise of its gradient.

use super::torch::{StageInputs, Torch, row_of};
use super::{Outputs, Progress, Report, StageError};
use base::table::Table;
use base::work::{
    COSINES, EIGENVALUES, Estimator, HessianTrace, Loss, NoiseCovariance, NoiseScale, NormStatistics, Numerics,
    PRODUCTS, SCALE, TRACE, TopEigenvalue, Work,
};
use learn::LearnError;
use learn::batches::{Images, Pass, refresh_order};
use learn::curvature::{Covariance, Estimate, Norms, Objective, covariance, extremes, mean_loss, scale, trace};
use learn::data;
use learn::evaluate::refresh_statistics;
use learn::layout::layout;
use learn::model::{Arithmetic, Network};

/// A network and the images that its loss is taken over.
struct Setting {
    network: Network,
    images: Images,
    batch: usize,
    norms: Norms,
    /// Mean cross-entropy, with the statistics that `norms` says.
    loss: f64,
}

impl Setting {
    fn objective(&self) -> Objective<'_> {
        Objective { network: &self.network, images: &self.images, batch: self.batch, norms: self.norms }
    }
}

impl Torch {
    /// Runs a stage of curvature. Of weights that are not finite everything is NaN.
    pub(super) fn curvature(
        &mut self,
        work: &Work,
        inputs: &StageInputs<'_>,
        report: &mut Report<'_>,
    ) -> Result<Outputs, StageError> {
        let mut watch = |done: usize, total: usize| {
            report(Progress { done: done as f64 / total.max(1) as f64, loss: None, images_per_second: None })
        };
        match work {
            Work::HessianTrace(work) => {
                let setting = self.setting(&work.loss, (work.after, work.seed), inputs)?;
                hessian_trace(work, setting.as_ref(), &mut watch)
            }
            Work::TopEigenvalue(work) => {
                let setting = self.setting(&work.loss, (work.after, work.seed), inputs)?;
                top_eigenvalue(work, setting.as_ref(), &mut watch)
            }
            Work::NoiseCovariance(work) => {
                let setting = self.setting(&work.loss, (work.after, work.seed), inputs)?;
                noise_covariance(work, setting.as_ref(), &mut watch)
            }
            Work::NoiseScale(work) => {
                let setting = self.setting(&work.loss, (work.after, work.seed), inputs)?;
                noise_scale(work, setting.as_ref(), &mut watch)
            }
            _ => Err(StageError::NoTorch),
        }
    }

    /// What a loss is measured with; nothing if the weights are not finite.
    fn setting(
        &self,
        loss: &Loss,
        (after, seed): (u32, u64),
        inputs: &StageInputs<'_>,
    ) -> Result<Option<Setting>, StageError> {
        let weights = inputs.weights("weights", &layout(loss.model)?)?;
        if !weights.is_finite() {
            return Ok(None);
        }
        let arithmetic = self.arithmetic(Numerics::float32(false));
        let mut network = Network::new(loss.model, &weights, arithmetic)?;
        let all = data::Images::from_bytes(&(inputs.read)("train")?)?;
        if let NormStatistics::Refreshed { batch } = loss.statistics {
            refresh(&mut network, &all, batch, refresh_order(seed, after, all.labels.len()), arithmetic)?;
        }
        let some = all.first_per_class(loss.images as usize)?;
        let images = Images::new(&some.pixels, &some.labels, loss.model, arithmetic)?;
        let norms = if loss.statistics == NormStatistics::Batch { Norms::Batch } else { Norms::Running };
        let mut setting = Setting { network, images, batch: loss.batch as usize, norms, loss: f64::NAN };
        setting.loss = mean_loss(&setting.objective())?;
        Ok(Some(setting))
    }
}

fn refresh(
    network: &mut Network,
    images: &data::Images,
    batch: u32,
    order: Vec<u32>,
    arithmetic: Arithmetic,
) -> Result<(), LearnError> {
    let images = Images::new(&images.pixels, &images.labels, network.layout().model, arithmetic)?;
    refresh_statistics(network, &images, &Pass::new(&order, batch as usize, &images)?)
}

fn hessian_trace(
    work: &HessianTrace,
    setting: Option<&Setting>,
    watch: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Outputs, StageError> {
    let mut row = nan_row::<{ TRACE.len() }>(work.after);
    let mut done = 0.0;
    if let Some(setting) = setting {
        let found = trace(&setting.objective(), work.estimator, work.seed, watch)?;
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

fn top_eigenvalue(
    work: &TopEigenvalue,
    setting: Option<&Setting>,
    watch: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Outputs, StageError> {
    let mut row = nan_row::<{ EIGENVALUES.len() }>(work.after);
    let mut done = 0.0;
    if let Some(setting) = setting {
        let found = extremes(&setting.objective(), work.iterations, work.tolerance, work.seed, watch)?;
        let ((largest, largest_error), (smallest, smallest_error)) = (found.largest, found.smallest);
        let (iterations, norm) = (f64::from(found.iterations), setting.network.norm()?);
        row[1..].copy_from_slice(&[largest, largest_error, smallest, smallest_error, iterations, setting.loss, norm]);
        done = iterations / f64::from(work.iterations);
    }
    made(vec![("eigenvalues", Table::of_rows(EIGENVALUES, &[row]))], done)
}

fn noise_covariance(
    work: &NoiseCovariance,
    setting: Option<&Setting>,
    watch: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Outputs, StageError> {
    let mut row = nan_row::<{ COSINES.len() }>(work.after);
    let mut products = Vec::new();
    if let Some(setting) = setting {
        let found = covariance(&setting.objective(), work.draws, work.seed, watch)?;
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

fn draws(found: &Covariance) -> Vec<[f64; PRODUCTS.len()]> {
    let row = |(number, draw): (usize, &learn::curvature::Draw)| {
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

fn noise_scale(
    work: &NoiseScale,
    setting: Option<&Setting>,
    watch: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Outputs, StageError> {
    let mut row = nan_row::<{ SCALE.len() }>(work.after);
    if let Some(setting) = setting {
        let found = scale(&setting.objective(), work.draws, work.seed, watch)?;
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

/// A row with the epoch in front and NaN for everything else.
fn nan_row<const N: usize>(after: u32) -> [f64; N] {
    let mut row = [f64::NAN; N];
    row[0] = f64::from(row_of(after));
    row
}

fn made(tables: Vec<(&'static str, Table)>, done: f64) -> Result<Outputs, StageError> {
    let outputs = tables.into_iter().map(|(name, table)| Ok((name, table.to_bytes()?)));
    Ok(Outputs::new(outputs.collect::<Result<Vec<_>, StageError>>()?, done))
}
