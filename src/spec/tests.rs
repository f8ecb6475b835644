//! The pipelines that come with the program, and mistakes in them.

use super::{Pipeline, expand};
use crate::graph::Graph;
use crate::work::Work;

const FIG3: &str = include_str!("../../pipelines/fig3.toml");

fn graph(profile: &str, sets: &[&str]) -> Result<Graph, Vec<String>> {
    graph_of(FIG3, profile, sets)
}

fn graph_of(text: &str, profile: &str, sets: &[&str]) -> Result<Graph, Vec<String>> {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    let strings = |complaints: Vec<super::Diagnostic>| complaints.iter().map(ToString::to_string).collect();
    let pipeline = Pipeline::read("fig3", "fig3.toml", text, profile, &sets).map_err(strings)?;
    expand(&pipeline).map_err(strings)
}

fn count(graph: &Graph, kind: &str) -> usize {
    graph.stages.iter().filter(|stage| stage.work.kind() == kind).count()
}

#[test]
fn figure_3_of_the_paper_has_the_papers_stages() {
    let graph = graph("paper", &[]).unwrap();
    // Section 4 of the paper: three learning rates, five seeds, 100 + 100 epochs, 50 probes each. The trunk
    // has checkpoints after 1, 3, … 99 and 100 epochs, the rest after 101, … 199 and 200.
    assert_eq!((count(&graph, "dataset"), count(&graph, "init")), (1, 5));
    assert_eq!(count(&graph, "train"), 15 * (51 + 51));
    assert_eq!(count(&graph, "ema_eval"), 15 * (51 + 51));
    assert_eq!((count(&graph, "probe"), count(&graph, "hessian_trace")), (750, 750));
    assert_eq!(graph.figures.keys().collect::<Vec<_>>(), ["fig3", "fig3a", "fig3b", "fig3c", "fig3d"]);
    let epochs: u32 = graph.stages.iter().map(|s| if let Work::Train(t) = &s.work { t.epochs } else { 0 }).sum();
    assert_eq!(epochs, 15 * 200);
    for (id, stage) in graph.stages.iter().enumerate() {
        assert!(stage.inputs.iter().all(|input| input.stage < id), "{} comes before what it reads", stage.name);
        for input in &stage.inputs {
            assert!(graph.stages[input.stage].work.outputs().contains(&input.output), "{input:?}");
        }
    }
    let names: std::collections::BTreeSet<_> = graph.stages.iter().map(|stage| &stage.name).collect();
    assert_eq!(names.len(), graph.stages.len(), "names are unique");
}

#[test]
fn every_profile_expands_and_panels_need_less_than_the_figure() {
    for profile in ["paper", "quick", "smoke"] {
        let graph = graph(profile, &[]).unwrap();
        let size = |figure: &str| graph.closure(&[graph.figures[figure].stage]).iter().filter(|needed| **needed).count();
        assert!(size("fig3a") < size("fig3"), "{profile}");
        assert_eq!(size("fig3c"), size("fig3d") + count(&graph, "hessian_trace"), "{profile}");
    }
}

#[test]
fn stages_are_found_by_what_people_call_them() {
    let graph = graph("smoke", &[]).unwrap();
    let find = |pattern: &str| graph.find(pattern).len();
    assert_eq!(find("trunk"), 3 * 3 * 6);
    assert_eq!(find("fig3/trunk[lr=0.1]"), 3 * 6);
    assert_eq!(find("trunk[lr=0.1,seed=0]@5"), 1);
    assert_eq!((find("fig3"), find("trunk[lr=0.]"), find("tru"), find("")), (1, 0, 0, 0));
}

#[test]
fn longer_training_keeps_the_segments_there_are() {
    let parts = |graph: &Graph| -> Vec<_> {
        let trains = graph.stages.iter().filter(|stage| stage.name.starts_with("fig3/trunk[lr=0.1,"));
        trains.map(|stage| stage.work.clone()).collect()
    };
    let short = parts(&graph("smoke", &["trunk.epochs=9", "after=[1]", "seed=0"]).unwrap());
    let long = parts(&graph("smoke", &["trunk.epochs=13", "after=[1]", "seed=0"]).unwrap());
    assert_eq!(long[..short.len()], short[..]);
}

#[test]
fn mistakes_are_named_with_their_line() {
    let line = |wanted: &str| FIG3.lines().position(|line| line.starts_with(wanted)).unwrap() + 1;
    let error = |sets: &[&str]| graph("smoke", sets).unwrap_err().join("\n");
    let cases = [
        ("trunk.epocs=3", "stage `trunk` has no `epocs`; did you mean `epochs`?"),
        ("trunk.lr=-1", "`lr` must be a number above 0, at most 1000000, not -1"),
        ("trunk.lr=0", "`lr` must be a number above 0, at most 1000000, not 0"),
        ("lr=[0.1,\"x\"]", "`lr` must be a number above 0, at most 1000000, not \"x\""),
        ("trunk.start=ini", "stage `trunk` names `ini`, which does not exist; did you mean `init`?"),
        ("trunk.start=decay", "in a circle: decay → trunk → decay"),
        (
            "trunk.start=data",
            "stage `trunk` needs a stage of kind init or weights or train or probe, but `data` is a dataset",
        ),
        ("trunk.lr=0.1", "no stage uses the setting `lr`"),
        ("trunk.wd=$wdd", "there is no setting `wdd`"),
        ("after=[2]", "there is no checkpoint after 2 epochs, only after 1, 5, 9, 13, 17, …"),
        ("init.model=resnet", "`model` must be one of preact-resnet18"),
        ("data.train=50001000", "`train` must be an integer from 1 to 200000"),
        ("data.train=90", "`images` is 100, but there are only 90 training images"),
        ("trunk.batch=5000", "`batch` is 5000, but there are only 320 training images"),
        ("data.source=cifar100", "cifar100 has 100 classes, but the network only 10"),
        ("init.kind=inot", "`kind` must be one of dataset, init, weights, train"),
    ];
    for (set, wanted) in cases {
        let error = error(&[set]);
        assert!(error.contains(wanted), "{set}: {error}");
    }
    let bad = FIG3.replace("y     = \"norm\"", "y     = \"nrom\"").replace("epochs = 100", "epochs = 0");
    let complaints = graph_of(&bad, "paper", &[]).unwrap_err();
    assert!(
        complaints.iter().any(|c| c.starts_with(&format!("fig3.toml:{}: `epochs` must be", line("epochs = 100")))),
        "{complaints:?}"
    );
    let bad = FIG3.replacen("y     = \"norm\"", "y     = \"nrom\"", 1);
    let complaints = graph_of(&bad, "paper", &[]).unwrap_err();
    let wanted = format!("fig3.toml:{}: `trunk` has no column `nrom`; did you mean `norm`?", line("y     = \"norm\""));
    assert!(complaints[0].starts_with(&wanted), "{complaints:?}");
}

#[test]
fn a_single_value_is_no_sweep_but_still_a_curve() {
    let graph = graph("smoke", &["lr=0.1", "seed=3"]).unwrap();
    assert_eq!(graph.find("trunk").len(), 6);
    let Work::Figure(figure) = &graph.stages[graph.figures["fig3a"].stage].work else { panic!() };
    let labels: Vec<_> = figure.panels[0].curves.iter().map(|curve| curve.label.as_str()).collect();
    assert_eq!(labels, ["LR 0.1", "LR 0.1 (EMA)"]);
}

const KINDS: &str = include_str!("../../tests/fixtures/pipelines/kinds.toml");

fn work(graph: &Graph, name: &str) -> Work {
    graph.stages.iter().find(|stage| stage.name.starts_with(&format!("fig3/{name}"))).unwrap().work.clone()
}

#[test]
fn the_variant_gives_the_defaults_that_the_pipeline_leaves_open() {
    use crate::work::{InitScheme, NormStatistics, Precision, Projection, Stop};
    let text = KINDS.replace("projection = \"step\"\n", "");
    for (variant, scheme, start, every, bias, precision) in [
        ("text", InitScheme::He, Some(1.0), Projection::Step, false, Precision::Bf16),
        ("official-code", InitScheme::Pytorch, None, Projection::Epoch, true, Precision::Fp16),
    ] {
        let sets = [format!("invariant.variant={variant}")];
        let graph = graph_of(&text, "smoke", &sets.each_ref().map(String::as_str)).unwrap();
        let Work::Init(init) = work(&graph, "invariant") else { panic!() };
        assert_eq!((init.scheme, init.radius, init.model.conv_bias), (scheme, start, bias), "{variant}");
        let Work::Train(train) = work(&graph, "sphere") else { panic!() };
        assert_eq!(train.sphere.map(|sphere| (sphere.radius, sphere.every)), Some((1.0, every)), "{variant}");
        let set = format!("variant={variant}");
        for (graph, stage) in [(&graph, "sphere"), (&self::graph("paper", &[&set]).unwrap(), "trunk")] {
            let Work::Train(train) = work(graph, stage) else { panic!() };
            assert_eq!(train.numerics.precision, precision, "{variant} {stage}");
        }
    }
    // PyHessian's rule with the code; with the text as many draws as said, and no rule.
    let trace = |sets: &[&str]| match work(&graph("paper", sets).unwrap(), "trace") {
        Work::HessianTrace(trace) => (trace.draws, trace.stop, trace.loss.statistics),
        _ => panic!(),
    };
    let running = NormStatistics::Running;
    assert_eq!(trace(&[]), (64, None, running));
    assert_eq!(trace(&["variant=official-code"]), (100, Some(Stop::Settled(1e-3)), running));
    let stop = Some(Stop::StandardError(0.05));
    assert_eq!(trace(&["trace.draws=9", "trace.stderr=0.05", "trace.statistics=batch"]).1, stop);
}

#[test]
fn what_does_not_go_together_is_said() {
    let error = |set: &str| graph_of(KINDS, "smoke", &[set]).unwrap_err().join("\n");
    for (set, wanted) in [
        ("trace.settled=0.1", "`stderr` and `settled` are two rules to stop by: choose one"),
        ("init.projection=step", "`projection` needs a `radius`, which the run does not have"),
        ("vgg.conv_bias=true", "the convolutions of vgg16 always have biases"),
        ("invariant.radius=0", "`radius` must be a number above 0"),
        ("sphere.projection=init", "`projection` must be one of step, epoch"),
        ("noise.chunk=30", "a multiple, at least twice, of `chunk`, but they are 40 and 30"),
        ("noise.chunk=40", "a multiple, at least twice, of `chunk`, but they are 40 and 40"),
        ("invariant.variant=code", "`variant` must be one of text, official-code"),
        ("policy=fast", "`policy` must be native or portable, not \"fast\""),
        ("scale.statistics=running2", "`statistics` must be one of running, refreshed, batch"),
        ("top.images=61", "`images` is 61, but there are only 60 training images"),
    ] {
        let error = error(set);
        assert!(error.contains(wanted), "{set}: {error}");
    }
    let policy = |sets: &[&str]| graph_of(KINDS, "smoke", sets).unwrap().policy;
    assert_eq!((policy(&[]).name(), policy(&["policy=portable"]).name()), ("native", "portable"));
}
