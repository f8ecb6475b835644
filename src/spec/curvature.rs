//! One instance of a stage that looks at curvature or noise: its table becomes typed work.

use super::fields::Fields;
use super::stages::{Checkpoint, Instance, Lineage, Site, Variant, dataset_of, inherit, input};
use crate::work::{HessianTrace, Loss, NoiseCovariance, NoiseScale, NormStatistics, Stop, TopEigenvalue, Work};

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
    let official = lineage.variant == Variant::OfficialCode;
    let seed = fields.seed("seed", None);
    match kind {
        "hessian_trace" => {
            // PyHessian, as the authors use it: eval mode, at most 100 draws, until the mean settles.
            let loss = loss(fields, site, lineage, Norms::Running);
            let (most, settled) = if official { (100, Some(1e-3)) } else { (64, None) };
            let draws = fields.integer("draws", Some(most), 1..=100_000);
            let share = |name: &'static str| fields.has(name).then(|| fields.number(name, None, 0.0..=1.0));
            let (stderr, settled) = (share("stderr"), share("settled").or(settled.filter(|_| !fields.has("stderr"))));
            if stderr.is_some() && settled.is_some() {
                fields.complain("settled", "`stderr` and `settled` are two rules to stop by: choose one");
            }
            let stop = stderr.map(Stop::StandardError).or(settled.map(Stop::Settled));
            Box::new(move |after| Work::HessianTrace(HessianTrace { loss, draws, stop, after, seed }))
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
            let draws = fields.integer("draws", Some(100), 1..=100_000);
            Box::new(move |after| Work::NoiseScale(NoiseScale { loss, draws, after, seed }))
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
