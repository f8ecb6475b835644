//! One instance of a stage of kind `valley`, which starts from nothing.

use super::stages::{Checkpoint, Instance, Site};
use base::work::{Valley, Work};

/// Reads the fields and adds the stage. With the defaults the iterates drift the whole way.
pub fn build(site: &mut Site<'_>) -> Instance {
    let fields = site.fields;
    let work = Valley {
        lr: fields.positive("lr", Some(0.1), 1e3),
        noise: fields.number("noise", Some(0.5), 0.0..=1e3),
        steps: fields.integer("steps", Some(1600), 1..=100_000),
        every: fields.integer("every", Some(100), 1..=100_000),
        flow_lr: fields.positive("flow_lr", Some(0.01), 1e3),
        flow_steps: fields.integer("flow_steps", Some(4000), 0..=1_000_000),
        seed: fields.seed("seed", None),
    };
    let stage = site.push(site.name.to_owned(), Work::Valley(work), Vec::new());
    Instance { checkpoints: vec![Checkpoint::of(0, stage)], lineage: None }
}
