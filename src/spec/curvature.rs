//! Builds instances of stages that measure curvature or noise.

use super::fields::Fields;
use super::lineage::{dataset_of, inherit};
use super::stages::{Checkpoint, Convention, Instance, Lineage, Site};
use base::work::{
    Estimator, HessianTrace, Loss, NoiseCovariance, NoiseScale, NormStatistics, Precision, Stop, TopEigenvalue, Work,
};

/// Statistics that batch norms divide by, as a pipeline names them.
#[derive(Clone, Copy, PartialEq)]
enum Norms {
    Running,
    Refreshed,
    Batch,
}

/// Reads a stage of kind `hessian_trace`.
pub fn hessian_trace(site: &mut Site<'_>) -> Instance {
    measured(site, |fields, site, lineage| {
        let seed = fields.seed("seed", None);
        let precision = trace_precision(fields);
        let loss = loss(fields, site, lineage, Norms::Running);
        let estimator = estimator(fields, &loss, lineage.variant == Convention::OfficialCode);
        move |after| Work::HessianTrace(HessianTrace { loss, estimator, precision, after, seed })
    })
}

/// Reads a stage of kind `top_eigenvalue`.
pub fn top_eigenvalue(site: &mut Site<'_>) -> Instance {
    measured(site, |fields, site, lineage| {
        let seed = fields.seed("seed", None);
        always_float32(fields);
        let loss = loss(fields, site, lineage, Norms::Running);
        let iterations = fields.integer("iterations", Some(100), 1..=300);
        let tolerance = fields.number("tolerance", Some(1e-3), 0.0..=1.0);
        move |after| Work::TopEigenvalue(TopEigenvalue { loss, iterations, tolerance, after, seed })
    })
}

/// Reads a stage of kind `noise_covariance`.
pub fn noise_covariance(site: &mut Site<'_>) -> Instance {
    measured(site, |fields, site, lineage| {
        let seed = fields.seed("seed", None);
        always_float32(fields);
        let loss = noisy(fields, loss(fields, site, lineage, Norms::Refreshed));
        let draws = fields.integer("draws", Some(100), 1..=100_000);
        move |after| Work::NoiseCovariance(NoiseCovariance { loss, draws, after, seed })
    })
}

/// Reads a stage of kind `noise_scale`.
pub fn noise_scale(site: &mut Site<'_>) -> Instance {
    measured(site, |fields, site, lineage| {
        let seed = fields.seed("seed", None);
        let precision = trace_precision(fields);
        let loss = noisy(fields, loss(fields, site, lineage, Norms::Refreshed));
        let exact = loss.model.classes <= FEW_CLASSES || loss.statistics == NormStatistics::Batch;
        if exact && fields.has("draws") {
            fields.complain("draws", "with so few classes, each is used in turn: leave `draws` out");
        }
        let draws = (!exact).then(|| fields.integer("draws", Some(8), 1..=100_000));
        move |after| Work::NoiseScale(NoiseScale { loss, draws, precision, after, seed })
    })
}

/// Adds a stage for every checkpoint that the instance measures. `read` reads the fields and returns the work as a function of
/// the number of epochs.
fn measured<M: Fn(u32) -> Work>(
    site: &mut Site<'_>,
    read: impl FnOnce(&Fields<'_>, &Site<'_>, Lineage) -> M,
) -> Instance {
    let Some(lineage) = inherit(site) else { return Instance::default() };
    let work = read(site.fields, site, lineage);
    let mut checkpoints = Vec::new();
    for Checkpoint { epoch, stage } in site.chosen() {
        let stage = site.push_from(site.name_after(epoch), work(epoch), stage, lineage.data);
        checkpoints.push(Checkpoint { epoch, stage });
    }
    Instance { checkpoints, lineage: None }
}

/// Reads how a trace computes products: in float32, even if training does not, or in TF32 if the stage itself requests it.
fn trace_precision(fields: &Fields<'_>) -> Precision {
    let words = [("fp32", Precision::Fp32), ("tf32", Precision::Tf32)];
    fields.choice("precision", Some(Precision::Fp32), &words).unwrap_or(Precision::Fp32)
}

/// Checks that the stage does not request another precision than float32.
fn always_float32(fields: &Fields<'_>) {
    fields.choice("precision", Some(Precision::Fp32), &[("fp32", Precision::Fp32)]);
}

/// Maximum number of classes C for which exact values are the default. They take C − 1 or C backward passes.
const FEW_CLASSES: u32 = 20;

/// Reads how a trace is computed. The default is the exact trace if there are few classes, and a sketch otherwise. With batch
/// statistics, only Hutchinson's estimate is valid. The authors' code uses it too: PyHessian, with at most 100 draws, until the
/// mean settles.
fn estimator(fields: &Fields<'_>, loss: &Loss, official: bool) -> Estimator {
    let none = Estimator::Hutchinson { draws: 0, stop: None };
    let sketch = Estimator::Sketch { draws: 0, stderr: None };
    let default = match loss.statistics {
        NormStatistics::Batch => none,
        _ if official => none,
        _ if loss.model.classes <= FEW_CLASSES => Estimator::Exact,
        _ => sketch,
    };
    let words = [("exact", Estimator::Exact), ("sketch", sketch), ("hutchinson", none)];
    let chosen = fields.choice("estimator", Some(default), &words).unwrap_or(default);
    if loss.statistics == NormStatistics::Batch && !matches!(chosen, Estimator::Hutchinson { .. }) {
        let message =
            "with `statistics = \"batch\"` images have no traces of their own: set estimator = \"hutchinson\"";
        fields.complain("estimator", message);
    }
    let share = |name: &'static str| fields.has(name).then(|| fields.number(name, None, 0.0..=1.0));
    let unused = |names: &[&'static str], what: &str| {
        for name in names.iter().filter(|name| fields.has(name)) {
            fields.complain(name, format!("{what}: leave `{name}` out, or choose another `estimator`"));
        }
    };
    match chosen {
        Estimator::Exact => {
            unused(&["draws", "stderr", "settled"], "an exact trace draws nothing");
            Estimator::Exact
        }
        Estimator::Sketch { .. } => {
            unused(&["settled"], "a sketch stops by its standard error (`stderr`) only");
            Estimator::Sketch { draws: fields.integer("draws", Some(8), 2..=100_000), stderr: share("stderr") }
        }
        Estimator::Hutchinson { .. } => {
            let (most, settled) = if official { (100, Some(1e-3)) } else { (64, None) };
            let draws = fields.integer("draws", Some(most), 1..=100_000);
            let (stderr, settled) = (share("stderr"), share("settled").or(settled.filter(|_| !fields.has("stderr"))));
            if stderr.is_some() && settled.is_some() {
                fields.complain("settled", "`stderr` and `settled` are two rules to stop by: choose one");
            }
            Estimator::Hutchinson { draws, stop: stderr.map(Stop::StandardError).or(settled.map(Stop::Settled)) }
        }
    }
}

/// Checks a loss whose noise is measured: the noise of batches needs at least two batches of the same size.
fn noisy(fields: &Fields<'_>, loss: Loss) -> Loss {
    let Loss { images, batch, statistics, .. } = loss;
    if statistics == NormStatistics::Batch && (images < 2 * batch || !images.is_multiple_of(batch)) {
        let message = format!(
            "the noise of batches needs at least two whole batches: `images` must be a multiple of `chunk`, at least \
             twice as large, but they are {images} and {batch}"
        );
        fields.complain("images", message);
    }
    loss
}

/// Reads the loss.
fn loss(fields: &Fields<'_>, site: &Site<'_>, lineage: Lineage, default: Norms) -> Loss {
    let images = fields.integer("images", None, 1..=1_000_000);
    if let Some(data) = dataset_of(lineage, site.stages)
        && images > data.train
    {
        fields.complain("images", format!("`images` is {images}, but there are only {} training images", data.train));
    }
    let words = [("running", Norms::Running), ("refreshed", Norms::Refreshed), ("batch", Norms::Batch)];
    let statistics = match fields.choice("statistics", Some(default), &words).unwrap_or(default) {
        Norms::Running => NormStatistics::Running,
        Norms::Refreshed => NormStatistics::Refreshed { batch: lineage.batch },
        Norms::Batch => NormStatistics::Batch,
    };
    // With batch statistics, the chunk has the batch size of training.
    let usual = if statistics == NormStatistics::Batch { lineage.batch } else { 250 };
    let batch = fields.integer("chunk", Some(usual), 1..=65_536);
    Loss { model: lineage.model, images, batch, statistics }
}
