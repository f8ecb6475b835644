//! Builds instances of stages of kind `valley`, which start from no other stage.

use super::stages::{Instance, Site};
use base::work::{Valley, Work};

/// Reads a stage of kind `valley`. With the defaults, the iterates drift the whole way along the valley.
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
    site.push_source(Work::Valley(work), None)
}
