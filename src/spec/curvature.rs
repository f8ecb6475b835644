//! One instance of a stage that looks at curvature or noise: its table becomes typed work.

use super::fields::Fields;
use super::stages::{Checkpoint, Convention, Instance, Lineage, Site, dataset_of, inherit, input};
use base::work::{
    Estimator, HessianTrace, Loss, NoiseCovariance, NoiseScale, NormStatistics, Precision, Stop, TopEigenvalue, Work,
};

/// What the batch norms divide by, as a pipeline says it.
#[derive(Clone, Copy)]
enum Norms {
    Running,
    Refreshed,
    Batch,
}

/// Reads the fields of `kind` and adds a stage for every checkpoint that it looks at.
pub fn build(kind: &str, site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit(site) else { return Instance::default() };
    let fields = site.fields;
    let make = reader(kind, fields, site, lineage);
    let mut checkpoints = Vec::new();
    for checkpoint in site.chosen() {
        let after = checkpoint.epoch;
        let mut inputs = vec![input("weights", checkpoint.stage, "weights")];
        inputs.extend(lineage.data.map(|data| input("train", data, "train")));
        let stage = site.push(site.name_after(after), make(after), inputs);
        checkpoints.push(Checkpoint::of(after, stage));
    }
    Instance { checkpoints, lineage: None }
}

/// Reads what a kind is told; the work then depends on the epoch only.
fn reader(kind: &str, fields: &Fields<'_>, site: &Site<'_>, lineage: Lineage) -> Box<dyn Fn(u32) -> Work> {
    let official = lineage.variant == Convention::OfficialCode;
    let seed = fields.seed("seed", None);
    let precision = precision(kind, fields, lineage);
    match kind {
        "hessian_trace" => {
            let loss = loss(fields, site, lineage, Norms::Running);
            let estimator = estimator(fields, &loss, official);
            Box::new(move |after| Work::HessianTrace(HessianTrace { loss, estimator, precision, after, seed }))
        }
        "top_eigenvalue" => {
            let loss = loss(fields, site, lineage, Norms::Running);
            let iterations = fields.integer("iterations", Some(100), 1..=300);
            let tolerance = fields.number("tolerance", Some(1e-3), 0.0..=1.0);
            Box::new(move |after| Work::TopEigenvalue(TopEigenvalue { loss, iterations, tolerance, after, seed }))
        }
        "noise_covariance" => {
            let loss = noisy(fields, loss(fields, site, lineage, Norms::Refreshed));
            let draws = fields.integer("draws", Some(100), 1..=100_000);
            Box::new(move |after| Work::NoiseCovariance(NoiseCovariance { loss, draws, after, seed }))
        }
        _ => {
            let loss = noisy(fields, loss(fields, site, lineage, Norms::Refreshed));
            let exact = loss.model.classes <= FEW_CLASSES || loss.statistics == NormStatistics::Batch;
            if exact && fields.has("draws") {
                fields.complain("draws", "of so few classes all are taken in turn: leave `draws` out");
            }
            let draws = (!exact).then(|| fields.integer("draws", Some(8), 1..=100_000));
            Box::new(move |after| Work::NoiseScale(NoiseScale { loss, draws, precision, after, seed }))
        }
    }
}

/// How products are computed: in float32 whatever the training says, or in TF32 where the stage itself asks for it.
fn precision(kind: &str, fields: &Fields<'_>, lineage: Lineage) -> Precision {
    let may = matches!(kind, "hessian_trace" | "noise_scale");
    match lineage.numerics.precision {
        _ if !fields.has("precision") => Precision::Fp32,
        Precision::Fp32 => Precision::Fp32,
        Precision::Tf32 if may => Precision::Tf32,
        _ => {
            let message = if may { "a trace takes fp32 or tf32" } else { "this is always computed in fp32" };
            fields.complain("precision", message);
            Precision::Fp32
        }
    }
}

/// Most classes for which exact values are the default: C − 1 backward passes, or C.
const FEW_CLASSES: u32 = 20;

/// How a trace is found: exactly if the classes are few, else by a sketch. With statistics of batches only Hutchinson's
/// estimate holds, and the authors' code has it too: PyHessian, at most 100 draws, until the mean settles.
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
            "with `statistics = \"batch\"` images have no traces of their own: say estimator = \"hutchinson\"";
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

/// A loss whose noise is looked at: that of batches needs two or more of one size.
fn noisy(fields: &Fields<'_>, loss: Loss) -> Loss {
    let Loss { images, batch, statistics, .. } = loss;
    if statistics == NormStatistics::Batch && (images < 2 * batch || !images.is_multiple_of(batch)) {
        let message = format!(
            "the noise of batches needs `images` to be a multiple, at least twice, of `chunk`, but they are {images} \
             and {batch}"
        );
        fields.complain("images", message);
    }
    loss
}

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
    // With batch statistics the chunk is the batch of training.
    let usual = if statistics == NormStatistics::Batch { lineage.batch } else { 250 };
    let batch = fields.integer("chunk", Some(usual), 1..=65_536);
    Loss { model: lineage.model, images, batch, statistics }
}
