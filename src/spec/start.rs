//! Builds instances of stages that read no other stage of the pipeline: data, initial and imported weights.

use super::OWN;
use super::lineage::{IMAGES, founder};
use super::stages::{Convention, Instance, Site};
use base::work::{Dataset, Imported, Init, InitScheme, Source, Work};

/// Reads a stage of kind `dataset`.
pub fn dataset(site: &mut Site<'_>) -> Instance {
    let fields = site.fields;
    let sources = [("cifar10", Source::Cifar10), ("cifar100", Source::Cifar100), ("shapes10", Source::Shapes10)];
    fields.advise(OWN);
    let source = fields.choice_or("source", None, &sources, OWN).unwrap_or(Source::Shapes10);
    let train = fields.integer("train", None, 1..=IMAGES);
    let test = fields.integer("test", None, 1..=IMAGES);
    let seed = fields.seed("seed", Some(0));
    let all = if source == Source::Cifar100 { 100 } else { 10 };
    let classes = fields.integers("classes").map(|classes| {
        let mut sorted = classes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != classes.len() || classes.len() < 2 || classes.iter().any(|&class| class >= all) {
            fields.complain("classes", format!("`classes` are two or more different numbers from 0 to {}", all - 1));
        }
        classes.into_iter().map(|class| class.min(255) as u8).collect::<Vec<u8>>()
    });
    if source != Source::Shapes10 {
        // CIFAR-10 and CIFAR-100 each have the same number of images in every class.
        let share = classes.as_ref().map_or(all, |classes| classes.len() as u32);
        let of = if classes.is_some() { format!(" of {share} classes") } else { String::new() };
        for (field, wanted, there, what) in [("train", train, 50_000, "training"), ("test", test, 10_000, "test")] {
            let there = there / all * share;
            if wanted > there {
                let name = source.name();
                fields.complain(field, format!("`{field}` is {wanted}, but {name} has only {there} {what} images{of}"));
            }
        }
    }
    site.push_source(Work::Dataset(Dataset { source, train, test, classes, seed }), None)
}

/// Reads a stage of kind `init`.
pub fn init(site: &mut Site<'_>) -> Instance {
    let fields = site.fields;
    let lineage = founder(site);
    let default = match lineage.variant {
        Convention::Text => InitScheme::He,
        Convention::OfficialCode => InitScheme::Pytorch,
    };
    let schemes = [("he", InitScheme::He), ("pytorch", InitScheme::Pytorch)];
    let scheme = fields.choice("scheme", Some(default), &schemes).unwrap_or(default);
    let radius = lineage.start_radius();
    let seed = fields.seed("seed", None);
    let work = Work::Init(Init { model: lineage.model, scheme, radius, seed });
    site.push_source(work, Some(lineage))
}

/// Reads a stage of kind `weights`.
pub fn imported(site: &mut Site<'_>) -> Instance {
    let lineage = founder(site);
    let name = site.fields.text("name", None);
    let work = Work::Imported(Imported { model: lineage.model, name, radius: lineage.start_radius() });
    site.push_source(work, Some(lineage))
}
