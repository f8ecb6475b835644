//! Tests that targets are affected only by the parts of a pipeline that they need.

use super::super::{Contents, Need, Pipeline, expand};
use super::{FIG3, graph_named};

const FIG2: &str = include_str!("../../../pipelines/fig2.toml");

/// Reduces the pipeline fig2 to some needs; returns the stages' kinds and the figures, or the error.
fn reduced(needs: &[Need], sets: &[&str]) -> Result<(Vec<&'static str>, Vec<String>), String> {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    let mut pipeline = Pipeline::read("fig2", "fig2.toml", FIG2, "smoke", &sets).unwrap();
    pipeline.reduce_to(needs);
    let graph = expand(&pipeline).map_err(|complaints| complaints[0].to_string())?;
    let mut kinds: Vec<_> = graph.stages.iter().map(|stage| stage.work.kind()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    Ok((kinds, graph.figures.into_keys().collect()))
}

#[test]
fn a_target_needs_its_own_stages_only() {
    let panel = |id: &str| Need::Panel("fig2".into(), id.into());
    // Panel a shows the ends of the runs, and needs neither probes nor curvature.
    let late = ["trunk.checkpoint_first=20"];
    assert!(graph_named("fig2", FIG2, "smoke", &late).unwrap_err()[0].contains("there is no checkpoint after"));
    assert_eq!(reduced(&[panel("a")], &late), Ok((vec!["dataset", "figure", "init", "train"], vec!["fig2a".into()])));
    let error = reduced(&[panel("a"), panel("c")], &late).unwrap_err();
    assert!(error.contains("there is no checkpoint after 5 epochs"), "{error}");
    assert!(reduced(&[Need::Figure("fig2".into())], &late).is_err());
    assert_eq!(reduced(&[Need::Stage("trunk".into())], &late), Ok((vec!["dataset", "init", "train"], vec![])));
    // A setting that no stage uses at all is a mistake for every target.
    let error = reduced(&[panel("a")], &["trunk.lr=1"]).unwrap_err();
    assert!(error.contains("now no stage uses the setting `lr`"), "{error}");
    // Needed stages have the same keys and names as in the whole pipeline.
    let whole = graph_named("fig2", FIG2, "smoke", &[]).unwrap();
    let needs = ["fig2", "fig6b", "fig7", "fine-tuned"].map(|name| Need::Figure(name.into()));
    let sets: Vec<String> = Vec::new();
    let mut pipeline = Pipeline::read("fig2", "fig2.toml", FIG2, "smoke", &sets).unwrap();
    pipeline.reduce_to(&needs);
    assert!(expand(&pipeline).unwrap() == whole);
    let mut pipeline = Pipeline::read("fig2", "fig2.toml", FIG2, "smoke", &sets).unwrap();
    pipeline.reduce_to(&[panel("b")]);
    let part = expand(&pipeline).unwrap();
    let work = |graph: &crate::graph::Graph| graph.stages[graph.figures["fig2b"].stage].work.clone();
    assert!(work(&part) == work(&whole));
}

#[test]
fn names_within_a_pipeline_are_one_figure_each() {
    let error = |old: &str, new: &str| {
        assert!(FIG3.contains(old), "{old}");
        graph_named("fig3", &FIG3.replace(old, new), "smoke", &[]).unwrap_err().join("\n")
    };
    let wanted = "`fig3b` is a figure and a panel of `fig3`: rename the figure";
    assert!(error("\"fig6a\"", "\"fig3b\"").contains(wanted));
    assert!(error("\"fig6a\"", "\"effective-lr-b\"").contains("is a figure and a panel of `effective-lr`"));
    for name in ["all", "index"] {
        assert!(error("\"fig6a\"", &format!("\"{name}\"")).contains(&format!("no figure can be called `{name}`")));
    }
    let upper = graph_named("Fig3", FIG3, "smoke", &[]).unwrap_err().join("\n");
    assert!(upper.contains("lower-case letters, digits, - and _, at most 64: rename the file"), "{upper}");
    let contents = Contents::of("fig3", "fig3.toml", FIG3).unwrap();
    let graph = graph_named("fig3", FIG3, "smoke", &[]).unwrap();
    assert!(contents.drawn.keys().eq(graph.figures.keys()));
    assert!(contents.stages.contains("trunk"));
}
