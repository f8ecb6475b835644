//! Describes in words what the runs of a figure were made with: data, networks, lengths of training, seeds. The words are derived from its stages, so that they are
//! true after any `--set`.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Graph, StageId};
use base::work::{Dataset, Model, ModelName, Source, Work};

/// Describes the data, networks, lengths of training and seeds on which some stages depend; empty if there are none.
pub fn made_with(graph: &Graph, from: impl IntoIterator<Item = StageId>) -> String {
    let mut found = Found::default();
    for id in behind(graph, from) {
        match &graph.stages[id].work {
            Work::Dataset(dataset) => {
                found.data.insert(images(dataset));
            }
            Work::Init(init) => {
                found.add_network(&init.model);
                found.seeds.insert(init.seed);
            }
            Work::Imported(imported) => found.add_network(&imported.model),
            Work::Train(train) => {
                // A segment replaces the segment that it continues as the end of the run.
                for input in &graph.stages[id].inputs {
                    found.ends.remove(&input.stage);
                }
                found.ends.insert(id, train.first_epoch + train.epochs);
                found.seeds.insert(train.seed);
            }
            Work::Probe(probe) => {
                found.tuned.insert(probe.epochs);
            }
            Work::Valley(valley) => {
                found.steps.insert(valley.steps);
                found.seeds.insert(valley.seed);
            }
            Work::EmaEval(_)
            | Work::Predictions(_)
            | Work::HessianTrace(_)
            | Work::TopEigenvalue(_)
            | Work::NoiseCovariance(_)
            | Work::NoiseScale(_)
            | Work::Command(_)
            | Work::Figure(_) => {}
        }
    }
    found.words()
}

/// Returns some stages together with all their dependencies, in the graph's order.
fn behind(graph: &Graph, from: impl IntoIterator<Item = StageId>) -> BTreeSet<StageId> {
    let mut waiting: Vec<StageId> = from.into_iter().collect();
    let mut found = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if found.insert(id) {
            waiting.extend(graph.stages[id].inputs.iter().map(|input| input.stage));
        }
    }
    found
}

#[derive(Default)]
struct Found {
    data: BTreeSet<String>,
    /// Widths of each network.
    networks: BTreeMap<&'static str, BTreeSet<u32>>,
    /// Numbers of epochs between the initial weights and the ends of runs.
    ends: BTreeMap<StageId, u32>,
    /// Numbers of epochs of fine-tuning.
    tuned: BTreeSet<u32>,
    /// Numbers of steps in a valley.
    steps: BTreeSet<u32>,
    /// Seeds of initial weights and of training.
    seeds: BTreeSet<u64>,
}

impl Found {
    fn add_network(&mut self, model: &Model) {
        let name = match model.name {
            ModelName::PreactResnet18 => "ResNet-18",
            ModelName::PreactResnet34 => "ResNet-34",
            ModelName::ScaleInvariantResnet18 => "scale-invariant ResNet-18",
            ModelName::Vgg16 => "VGG-16",
        };
        self.networks.entry(name).or_default().insert(model.width);
    }

    fn words(self) -> String {
        let width = |(name, widths): (&str, BTreeSet<u32>)| {
            let several = if widths.len() == 1 { "" } else { "s" };
            format!("{name} of width{several} {}", list(widths.into_iter()))
        };
        let ends: BTreeSet<u32> = self.ends.into_values().collect();
        let mut parts = vec![list(self.data.into_iter()), list(self.networks.into_iter().map(width))];
        let epochs = |of: &BTreeSet<u32>| match (of.first(), of.last()) {
            (Some(1), Some(1)) => "1 epoch".to_owned(),
            (Some(least), Some(most)) if least < most => format!("{least} to {most} epochs"),
            (_, Some(most)) => format!("{most} epochs"),
            _ => String::new(),
        };
        parts.push(epochs(&ends));
        if !self.tuned.is_empty() {
            parts.push(format!("fine-tuning for {}", epochs(&self.tuned)));
        }
        if !self.steps.is_empty() {
            parts.push(format!("{} steps", list(self.steps.into_iter().map(thousands))));
        }
        match self.seeds.len() {
            0 => {}
            1 => parts.push("1 seed".to_owned()),
            seeds => parts.push(format!("{seeds} seeds")),
        }
        parts.retain(|part| !part.is_empty());
        parts.join("; ")
    }
}

/// Describes the training images.
fn images(dataset: &Dataset) -> String {
    let classes = match &dataset.classes {
        Some(classes) => format!(" of {} classes", classes.len()),
        None => String::new(),
    };
    let count = thousands(dataset.train);
    match dataset.source {
        Source::Cifar10 => format!("{count} CIFAR-10 training images{classes}"),
        Source::Cifar100 => format!("{count} CIFAR-100 training images{classes}"),
        Source::Shapes10 => format!("{count} built-in training images{classes}"),
    }
}

/// Joins items as in `a`, `a and b`, `a, b and c`.
fn list(items: impl Iterator<Item = impl ToString>) -> String {
    let mut items: Vec<String> = items.map(|item| item.to_string()).collect();
    let last = items.pop().unwrap_or_default();
    if items.is_empty() { last } else { format!("{} and {last}", items.join(", ")) }
}

/// Formats a number with commas between groups of three digits.
fn thousands(count: u32) -> String {
    let digits = count.to_string();
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Pipeline, expand};

    const FIG1: &str = include_str!("../../pipelines/fig1.toml");
    const FIG3: &str = include_str!("../../pipelines/fig3.toml");
    const FIG4: &str = include_str!("../../pipelines/fig4.toml");
    const PROP3: &str = include_str!("../../pipelines/prop3.toml");

    /// Returns the note at the foot of a figure.
    fn note((name, text): (&str, &str), figure: &str, profile: &str, sets: &[&str]) -> String {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let pipeline = Pipeline::read(name, &format!("{name}.toml"), text, profile, &sets).unwrap();
        let graph = expand(&pipeline).unwrap();
        let Work::Figure(figure) = &graph.stages[graph.figures[figure].stage].work else { panic!() };
        figure.note.clone()
    }

    #[test]
    fn the_foot_says_what_the_stages_say() {
        assert_eq!(
            note(("fig3", FIG3), "fig3", "paper", &[]),
            "Profile paper: 50,000 CIFAR-10 training images; ResNet-18 of width 64; 200 epochs; fine-tuning for 100 epochs; 5 seeds."
        );
        // The note of a panel covers only its own dependencies.
        let norms = note(("fig3", FIG3), "fig3a", "paper", &[]);
        assert_eq!(
            norms,
            "Profile paper: 50,000 CIFAR-10 training images; ResNet-18 of width 64; 200 epochs; 5 seeds."
        );
        let tuned = note(("fig3", FIG3), "fig3d", "paper", &[]);
        assert!(tuned.ends_with("; 99 epochs; fine-tuning for 100 epochs; 5 seeds."), "{tuned}");
        let several = note(("fig1", FIG1), "fig1", "paper", &[]);
        assert!(
            several.contains(": 50,000 CIFAR-10 training images and 50,000 CIFAR-100 training images; "),
            "{several}"
        );
        assert!(
            several.contains("; ResNet-18 of width 64, ResNet-34 of width 64 and VGG-16 of width 64; "),
            "{several}"
        );
        let two = note(("prop3", PROP3), "prop3", "smoke", &["two_init.width=5", "sphere.width=6", "run.epochs=21"]);
        assert!(two.contains("200 built-in training images of 2 classes and 320 built-in training images; "), "{two}");
        assert!(two.contains("scale-invariant ResNet-18 of widths 5 and 6; 13 to 21 epochs; 2 seeds."), "{two}");
    }

    #[test]
    fn the_foot_follows_what_is_set() {
        let sets = ["data.source=cifar10", "data.train=10000", "init.width=8", "trunk.epochs=5", "after=[1,5]"];
        assert_eq!(
            note(("fig3", FIG3), "fig3d", "smoke", &[&sets[..], &["probe.epochs=1"]].concat()),
            "Profile smoke with 6 changes: 10,000 CIFAR-10 training images; ResNet-18 of width 8; 5 epochs; \
             fine-tuning for 1 epoch; 3 seeds."
        );
        let wide = note(("fig3", FIG3), "fig3a", "smoke", &["init.width=8", "seed=[0]"]);
        assert!(
            wide.starts_with("Profile smoke with init.width=8: ") && wide.contains("ResNet-18 of width 8"),
            "{wide}"
        );
        let valley = |sets: &[&str]| note(("fig4", FIG4), "fig4", "smoke", sets);
        assert_eq!(valley(&[]), "Profile smoke: 1,600 steps; 3 seeds.");
        assert_eq!(valley(&["valley.steps=200"]), "Profile smoke with valley.steps=200: 200 steps; 3 seeds.");
        // Seeds are counted, not mentioned as a change; a setting whose name only begins with `seed` is.
        let text =
            FIG4.replace("[settings]", "[settings]\nseeding = 100").replace("every      = 100", "every = \"$seeding\"");
        let seeding = note(("fig4", &text), "fig4", "smoke", &["seeding=200", "seed=[4]"]);
        assert_eq!(seeding, "Profile smoke with seeding=200: 1,600 steps; 1 seed.");
    }

    #[test]
    fn numbers_are_grouped() {
        let shown = [0, 7, 320, 1000, 50_000, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "7", "320", "1,000", "50,000", "1,234,567"]);
    }
}
