//! A run has one look in all figures.

use std::collections::BTreeMap;

use super::graph_named;
use base::work::{Mark, Work};

/// Returns the look of every label in the figures of a pipeline, and fails if a label has two.
fn looks(name: &str, text: &str, profile: &str) -> BTreeMap<(String, bool), u32> {
    let graph = graph_named(name, text, profile, &[]).unwrap();
    let mut looks = BTreeMap::new();
    for stage in &graph.stages {
        let Work::Figure(figure) = &stage.work else { continue };
        let curves = figure.panels.iter().flat_map(|panel| &panel.curves);
        for curve in curves.filter(|curve| !curve.unnamed && curve.mark != Mark::Heat) {
            let look = *looks.entry((curve.label.clone(), curve.dashed)).or_insert(curve.colour);
            assert_eq!(look, curve.colour, "{name}, {}: `{}` has two looks", stage.name, curve.label);
        }
    }
    looks
}

#[test]
fn a_run_looks_the_same_in_all_figures() {
    for profile in ["paper", "cifar", "smoke"] {
        let of = |name: &str, text: &str| looks(name, text, profile);
        of("fig1", include_str!("../../../pipelines/fig1.toml"));
        let sphere = of("fig2", include_str!("../../../pipelines/fig2.toml"));
        let decay = of("fig3", include_str!("../../../pipelines/fig3.toml"));
        of("fig4", include_str!("../../../pipelines/fig4.toml"));
        of("momentum", include_str!("../../../pipelines/momentum.toml"));
        let both = of("prop3", include_str!("../../../pipelines/prop3.toml"));
        let mut shared = 0;
        for ((label, _), look) in both {
            let (found, all) = match (label.strip_prefix("sphere, "), label.split_once(", WD 0.")) {
                (Some(rate), _) => (rate, &sphere),
                (None, Some((rate, _))) => (rate, &decay),
                (None, None) => continue,
            };
            assert_eq!(all[&(found.to_owned(), false)], look, "{profile}: {label}");
            shared += 1;
        }
        assert_eq!(shared, 4, "three learning rates on the sphere, and one with weight decay");
        // A moving average has the look of its run, dashed.
        let averages = decay.iter().filter_map(|((label, dashed), look)| {
            let run = label.strip_suffix(" (EMA)").filter(|_| *dashed)?;
            Some(decay[&(run.to_owned(), false)] == *look)
        });
        assert_eq!(averages.collect::<Vec<_>>(), [true; 3]);
    }
}
