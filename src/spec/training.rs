//! Builds instances of stages that train, and of stages that evaluate trained networks.

use super::lineage::{inherit, inherit_evaluated};
use super::stages::{Checkpoint, Instance, Lineage, Site, no_checkpoint};
use super::sweep::MOST;
use base::work::{EmaEval, Numerics, Predictions, Probe, Train, Work};

/// Maximum number of epochs of a stage.
const EPOCHS: u32 = 1_000_000;

/// Reads a stage of kind `train`: a chain of segments from checkpoint to checkpoint.
pub fn train(site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit_evaluated(site) else { return Instance::default() };
    let fields = site.fields;
    let epochs = fields.integer("epochs", None, 1..=EPOCHS);
    let first = fields.integer("checkpoint_first", Some(1), 1..=EPOCHS);
    let every = fields.integer("checkpoint_every", Some(1), 1..=EPOCHS);
    let eval_every = fields.integer("eval_every", Some(1), 1..=EPOCHS);
    if eval_every > 1 && (first, every) == (1, 1) {
        let message = "`eval_every` has no effect: every checkpoint is evaluated as well, and there is one after each epoch. \
                       Set checkpoint_every = N for one checkpoint after every N epochs";
        fields.complain("eval_every", message);
    }
    let ema = fields.has("ema").then(|| fields.number("ema", None, 0.0..=1.0));
    let momentum = fields.number("momentum", Some(0.0), 0.0..=1.0);
    let sphere = lineage.sphere();
    let (lr, wd) = (fields.positive("lr", None, 1e6), fields.number("wd", Some(0.0), 0.0..=1e3));
    let seed = fields.seed("seed", None);
    let Some(mut at) = site.start.first().and_then(|instance| instance.checkpoints.last()).copied() else {
        return Instance::default();
    };
    let end = at.epoch.saturating_add(epochs);
    let mut checkpoints = Vec::new();
    // The caller reports too many stages. This limit only keeps them from filling the memory.
    while at.epoch < end && checkpoints.len() <= MOST {
        // Checkpoints are taken `first + k·every` epochs after the initial weights, also in later stages, and at the end.
        // So a longer run includes the checkpoints of a shorter one that ends on this grid.
        let next = if at.epoch < first { first } else { first + ((at.epoch - first) / every + 1) * every };
        let next = next.min(end);
        let (first_epoch, epochs) = (at.epoch, next - at.epoch);
        let Lineage { model, numerics, batch, eval_images, .. } = lineage;
        let eval_every = Some(eval_every);
        let mut work = Train {
            model,
            numerics,
            batch,
            lr,
            wd,
            momentum,
            sphere,
            ema,
            first_epoch,
            epochs,
            eval_every,
            eval_images,
            seed,
        };
        // A segment that evaluates after every epoch omits the parameter, so its key is the same as without it.
        work.eval_every = work.eval_every.filter(|_| work.evaluations() < epochs);
        let stage = site.push_from(format!("{}@{next}", site.name), Work::Train(work), at.stage, lineage.data);
        at = Checkpoint { epoch: next, stage };
        checkpoints.push(at);
    }
    Instance { checkpoints, lineage: Some(lineage) }
}

/// Reads a stage of kind `probe`.
pub fn probe(site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit_evaluated(site) else { return Instance::default() };
    let fields = site.fields;
    let after = fields.integer("after", None, 0..=EPOCHS);
    let epochs = fields.integer("epochs", None, 1..=EPOCHS);
    let (lr, wd) = (fields.positive("lr", None, 1e6), fields.number("wd", Some(0.0), 0.0..=1e3));
    let seed = fields.seed("seed", None);
    let all = site.checkpoints();
    let Some(checkpoint) = all.iter().find(|checkpoint| checkpoint.epoch == after) else {
        fields.complain("after", no_checkpoint(after, &all));
        return Instance { checkpoints: Vec::new(), lineage: Some(lineage) };
    };
    let Lineage { model, numerics, batch, eval_images, .. } = lineage;
    let sphere = lineage.sphere();
    let work = Work::Probe(Probe { model, numerics, batch, lr, wd, sphere, after, epochs, eval_images, seed });
    let stage = site.push_from(site.name.to_owned(), work, checkpoint.stage, lineage.data);
    Instance { checkpoints: vec![Checkpoint { epoch: after, stage }], lineage: Some(lineage) }
}

/// Reads a stage of kind `ema_eval`.
pub fn ema_eval(site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit_evaluated(site) else { return Instance::default() };
    let fields = site.fields;
    let seed = fields.seed("seed", Some(0));
    let mut checkpoints = Vec::new();
    for checkpoint in site.chosen() {
        if !site.stages[checkpoint.stage].work.declared().any(|output| output.name == "ema") {
            fields.complain("of", "this training keeps no moving average: give it `ema`, such as ema = 0.999");
            break;
        }
        let Lineage { model, batch, eval_images, .. } = lineage;
        // The evaluation computes in float32, even if the run does not.
        let numerics = Numerics { float32_logits: false, ..lineage.numerics };
        let work = Work::EmaEval(EmaEval { model, numerics, batch, after: checkpoint.epoch, eval_images, seed });
        let name = format!("{}@{}", site.name, checkpoint.epoch);
        let stage = site.push_from(name, work, checkpoint.stage, lineage.data);
        checkpoints.push(Checkpoint { epoch: checkpoint.epoch, stage });
    }
    Instance { checkpoints, lineage: None }
}

/// Reads a stage of kind `predictions`.
pub fn predictions(site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit(site) else { return Instance::default() };
    let mut checkpoints = Vec::new();
    for checkpoint in site.chosen() {
        let work = Work::Predictions(Predictions { model: lineage.model });
        let stage = site.push_from(site.name_after(checkpoint.epoch), work, checkpoint.stage, lineage.data);
        checkpoints.push(Checkpoint { epoch: checkpoint.epoch, stage });
    }
    Instance { checkpoints, lineage: None }
}
