//! Tests the pipelines that come with the program, and mistakes in them.

mod looks;
mod parts;
mod print;
mod roles;
mod swept;

use super::{Pipeline, expand};
use crate::graph::Graph;
use base::work::Work;

const FIG3: &str = include_str!("../../pipelines/fig3.toml");

fn graph(profile: &str, sets: &[&str]) -> Result<Graph, Vec<String>> {
    graph_of(FIG3, profile, sets)
}

fn graph_of(text: &str, profile: &str, sets: &[&str]) -> Result<Graph, Vec<String>> {
    graph_named("fig3", text, profile, sets)
}

fn graph_named(name: &str, text: &str, profile: &str, sets: &[&str]) -> Result<Graph, Vec<String>> {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    let strings = |complaints: Vec<super::Diagnostic>| complaints.iter().map(ToString::to_string).collect();
    let pipeline = Pipeline::read(name, &format!("{name}.toml"), text, profile, &sets).map_err(strings)?;
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
    let figures = [
        "effective-lr",
        "effective-lr-a",
        "effective-lr-b",
        "effective-lr-c",
        "fig3",
        "fig3a",
        "fig3b",
        "fig3c",
        "fig3d",
        "fig6a",
    ];
    assert_eq!(graph.figures.keys().collect::<Vec<_>>(), figures);
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
        let size =
            |figure: &str| graph.closure(&[graph.figures[figure].stage]).iter().filter(|needed| **needed).count();
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
        (
            "trunk.lr=0.1",
            "--set 'trunk.lr=0.1': `trunk.lr` was \"$lr\", and now no stage uses the setting `lr`: change the setting, --set \
             lr=0.1",
        ),
        ("trunk.epochs=1.0", "`epochs` must be an integer from 1 to 1000000, not 1.0: write 1, without a point"),
        ("after=[17.0]", "`after` must be an integer from 0 to 1000000, not 17.0: write 17, without a point"),
        ("seed=2.0", "`seed` must be an integer from 0, not 2.0: write 2, without a point"),
        ("trunk.epochs=1.5", "`epochs` must be an integer from 1 to 1000000, not 1.5"),
        ("trunk.wd=$wdd", "there is no setting `wdd`"),
        ("after=[2]", "there is no checkpoint after 2 epochs, only after 1, 5, 9, 13, 17, …"),
        ("init.model=resnet", "`model` must be one of preact-resnet18"),
        ("data.train=50001000", "`train` must be an integer from 1 to 200000"),
        ("data.train=90", "`images` is 200, but there are only 90 training images"),
        ("trunk.batch=5000", "`batch` is 5000, but there are only 320 training images"),
        ("data.source=cifar100", "cifar100 has 100 classes, but the network has only 10"),
        ("init.kind=inot", "`kind` must be one of dataset, init, weights, train"),
    ];
    for (set, wanted) in cases {
        let error = error(&[set]);
        assert!(error.contains(wanted), "{set}: {error}");
    }
    let data = |set: &str| graph("paper", &[set]).unwrap_err().join("\n");
    assert!(data("data.train=50001").ends_with("`train` is 50001, but cifar10 has only 50000 training images"));
    assert!(data("data.test=10001").ends_with("`test` is 10001, but cifar10 has only 10000 test images"));
    let two = data("data={classes=[3,5]}");
    assert!(two.contains("`train` is 50000, but cifar10 has only 10000 training images of 2 classes"), "{two}");
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

/// A pipeline with data, a network and the given stages.
fn small(settings: &str, stages: &str) -> String {
    format!(
        "[settings]\nseed = {settings}\n[stage.data]\nkind = \"dataset\"\nsource = \"shapes10\"\ntrain = 100\ntest = 100\n\
         [stage.init]\nkind = \"init\"\nmodel = \"preact-resnet18\"\nwidth = 4\nseed = \"$seed\"\n{stages}[profile.p]\n"
    )
}

#[test]
fn what_a_short_text_asks_for_is_bounded() {
    let start = std::time::Instant::now();
    let train = |name: &str, from: &str, lr: &str| {
        format!(
            "[stage.{name}]\nkind = \"train\"\nstart = \"{from}\"\ndata = \"data\"\nlr = {lr}\nbatch = 10\n\
             epochs = 1000000\nseed = \"$seed\"\n"
        )
    };
    // Ten stages of 10⁴ instances of 10⁶ segments each.
    let stages: String = (0..10).map(|i| train(&format!("run{i}"), "init", "0.1")).collect();
    let complaints = graph_of(&small("{ from = 0, to = 9999 }", &stages), "p", &[]).unwrap_err();
    assert_eq!(complaints, ["fig3.toml:13: with stage `run0` the pipeline has more than 100000 stages"]);
    // A mistake in every instance, each with a different value.
    let many = graph_of(&small("{ from = -20000, to = 0 }", &train("run", "init", "\"$seed\"")), "p", &[]);
    assert!(many.unwrap_err().len() > 20_000);
    // A list of very many values, each on its own line.
    let values: String = (0..20_000).map(|i| format!("{i},\n")).collect();
    assert!(graph_of(&small(&format!("[{values}]"), "epochs = 1\n"), "p", &[]).is_err());
    // Stages that start from each other in a very long chain.
    let chain: String =
        (1..20_000).map(|i| format!("[stage.s{}]\nkind = \"probe\"\nstart = \"s{i}\"\n", i - 1)).collect();
    let complaints = graph_of(&small("[0]", &chain), "p", &[]).unwrap_err();
    assert_eq!(complaints, ["fig3.toml:1: the file has 20001 stages, more than 1000"]);
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
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
    use base::work::{Estimator, InitScheme, NormStatistics, Precision, Projection, Stop};
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
    // The trace is exact by default; the official code's variant stops by PyHessian's rule.
    let trace = |sets: &[&str]| match work(&graph("paper", sets).unwrap(), "trace") {
        Work::HessianTrace(trace) => (trace.estimator, trace.loss.statistics),
        _ => panic!(),
    };
    let running = NormStatistics::Running;
    assert_eq!(trace(&[]), (Estimator::Exact, running));
    let settled = Estimator::Hutchinson { draws: 100, stop: Some(Stop::Settled(1e-3)) };
    assert_eq!(trace(&["variant=official-code"]), (settled, running));
    let stop = Estimator::Hutchinson { draws: 9, stop: Some(Stop::StandardError(0.05)) };
    assert_eq!(trace(&["trace.draws=9", "trace.stderr=0.05", "trace.statistics=batch"]).0, stop);
    assert_eq!(trace(&["trace.estimator=sketch"]).0, Estimator::Sketch { draws: 8, stderr: None });
    assert_eq!(trace(&["data.source=cifar100", "init.classes=100"]).0, Estimator::Sketch { draws: 8, stderr: None });
}

#[test]
fn a_trace_is_in_float32_unless_it_asks_for_tf32() {
    use base::work::Precision;
    let parameters =
        |sets: &[&str], stage| work(&graph_named("fig3", KINDS, "smoke", sets).unwrap(), stage).parameters();
    for stage in ["exact", "scale"] {
        let usual = parameters(&[], stage).unwrap();
        let set = |precision| format!("{stage}.precision={precision}");
        // Keys have not changed: float32 is not mentioned in the parameters.
        assert!(!usual.contains_key("precision"));
        assert_eq!(parameters(&[&set("fp32")], stage).unwrap(), usual);
        // The precision of training does not affect a trace.
        assert_eq!(parameters(&["trunk.precision=tf32", "epochwise.precision=tf32"], stage).unwrap(), usual);
        let fast = parameters(&[&set("tf32")], stage).unwrap();
        assert_eq!(fast.len(), usual.len() + 1);
        let work = work(&graph_named("fig3", KINDS, "smoke", &[&set("tf32")]).unwrap(), stage);
        assert_eq!(work.precision(), Precision::Tf32);
        assert_eq!(Work::from_parameters(work.kind(), work.version(), &fast).unwrap(), work);
    }
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
        ("noise.chunk=30", "must be a multiple of `chunk`, at least twice as large, but they are 40 and 30"),
        ("noise.chunk=40", "must be a multiple of `chunk`, at least twice as large, but they are 40 and 40"),
        ("invariant.variant=code", "`variant` must be one of text, official-code"),
        ("policy=fast", "`policy` must be native or portable, not \"fast\""),
        ("scale.statistics=running2", "`statistics` must be one of running, refreshed, batch"),
        ("trace.estimator=exact", "an exact trace draws nothing: leave `stderr` out, or choose another `estimator`"),
        ("scale.draws=3", "with so few classes, each is used in turn: leave `draws` out"),
        ("trace.precision=bf16", "`precision` must be one of fp32, tf32, not \"bf16\""),
        ("scale.precision=fp16", "`precision` must be one of fp32, tf32, not \"fp16\""),
        ("top.precision=tf32", "`precision` must be fp32, not \"tf32\""),
        ("top.images=61", "`images` is 61, but there are only 60 training images"),
    ] {
        let error = error(set);
        assert!(error.contains(wanted), "{set}: {error}");
    }
    let policy = |sets: &[&str]| graph_of(KINDS, "smoke", sets).unwrap().policy;
    assert_eq!((policy(&[]).name(), policy(&["policy=portable"]).name()), ("native", "portable"));
}

#[test]
fn every_pipeline_expands_in_every_profile() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for profile in ["paper", "quick", "smoke"] {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let graph = graph_named(name, &text, profile, &[])
                .unwrap_or_else(|errors| panic!("{}: {errors:?}", path.display()));
            for figure in graph.figures.values() {
                let Work::Figure(work) = &graph.stages[figure.stage].work else { panic!() };
                for curve in work.panels.iter().flat_map(|panel| &panel.curves) {
                    assert!(!curve.replicas.is_empty(), "{}, {profile}: {} is empty", work.name, curve.label);
                }
            }
            for claim in &graph.claims {
                assert!(claim.sets.iter().flatten().all(|curve| !curve.replicas.is_empty()), "{}, {profile}", claim.id);
            }
            found += 1;
        }
    }
    assert!(found >= 7 * 3);
}

#[test]
fn curves_choose_among_the_sweeps() {
    const FIG1: &str = include_str!("../../pipelines/fig1.toml");
    const FIG2: &str = include_str!("../../pipelines/fig2.toml");
    let figure = |graph: &Graph, name: &str| match &graph.stages[graph.figures[name].stage].work {
        Work::Figure(figure) => figure.clone(),
        _ => panic!(),
    };
    // There is a curve for every combination of two settings, each in its own colour.
    let fig1 = graph_named("fig1", FIG1, "paper", &[]).unwrap();
    let curves = &figure(&fig1, "fig1b").panels[0].curves;
    let looks: Vec<_> = curves.iter().map(|curve| (curve.label.as_str(), curve.colour)).collect();
    assert_eq!(
        looks,
        [("LR 0.08, WD 0.0125", 1), ("LR 0.08, WD 0", 2), ("LR 0.001, WD 0.0125", 0), ("LR 0.001, WD 0", 3)]
    );
    assert!(curves.iter().all(|curve| curve.replicas.len() == 5));
    // Nine rates on one axis, three of which have probes.
    let fig2 = graph_named("fig2", FIG2, "paper", &[]).unwrap();
    let against = &figure(&fig2, "fig2a").panels[0].curves[0];
    let rates: Vec<f64> = against.replicas[0].iter().map(|rows| rows.settings["lr"]).collect();
    assert_eq!(rates, [1e-4, 2.5e-4, 5e-4, 7.5e-4, 1e-3, 2e-3, 3e-3, 4e-3, 5e-3]);
    assert_eq!(figure(&fig2, "fig2b").panels[0].curves.len(), 3);
    assert_eq!(count(&fig2, "noise_covariance"), 5);

    let gone = graph_named("fig2", FIG2, "paper", &["lr=[0.7]"]).unwrap_err().join("\n");
    assert!(gone.contains("`only` leaves nothing of stage `probe`") && gone.contains("probe.only="), "{gone}");
    let both = graph_named("fig2", FIG2, "paper", &["lr=[0.7]", "probe.only={lr=[0.7]}", "cosines.only={lr=[0.7]}"]);
    assert_eq!(count(&both.unwrap(), "probe"), 50 * 5);
    let error = |old: &str, new: &str| {
        let text = FIG1.replacen(old, new, 1);
        assert_ne!(text, FIG1, "{old}");
        graph_named("fig1", &text, "paper", &[]).unwrap_err().join("\n")
    };
    let y = "y       = \"test_error\"";
    for (old, new, wanted) in [
        (y, "y = \"test_eror\"", "has no column `test_eror`; did you mean `test_error`?"),
        (y, "y = \"test_error *\"", "`y`: at character"),
        (y, "y = \"$lr_q\"", "there is no setting `lr_q`"),
        (y, "y = \"$variant\"", "the values of `$variant` are not numbers"),
        (y, "y = \"test_error\"\nerror = \"stderr\"", "has no column `stderr`"),
        (y, "y = \"test_error\"\nerror = \"norm\"\nmark = \"path\"", "curves of mark path cannot show errors"),
        (y, "y = 3", "`y` must be an expression in quotes, not 3"),
        ("per     = [\"lr_a\"", "per = [\"lr_q\"", "there is no setting `lr_q`"),
        ("pick  = { lr_a = 0, wd_a = 0 }", "pick  = { lr_a = 2, wd_a = 0 }", "`lr_a` has the indices 0 to 1"),
        ("colours = [1, 2, 0, 3]", "colours = [1, 24]", "`colours` are integers from 0 to 23"),
        ("figure = \"fig5\"\nid    = \"a\"", "figure = \"Fig 5\"\nid    = \"a\"", "the name of a figure is lower-case"),
        ("kind   = \"steady\"", "kind   = \"stedy\"", "`kind` must be one of below"),
        ("window = [0.5, 1.0]", "window = [0.5, 2.0]", "must be a part of the range in fractions"),
        ("within = 0.8", "wthin = 0.3", "give either `within`"),
        ("24.4]", "nan]", "a published value is"),
    ] {
        let error = error(old, new);
        assert!(error.contains(wanted), "{new}: {error}");
    }
}

#[test]
fn runs_that_two_figures_show_have_one_colour_and_a_ninth_curve_has_a_look_of_its_own() {
    const FIG2: &str = include_str!("../../pipelines/fig2.toml");
    const PROP3: &str = include_str!("../../pipelines/prop3.toml");
    let looks = |graph: &Graph, name: &str| -> Vec<(String, u32)> {
        let Work::Figure(figure) = &graph.stages[graph.figures[name].stage].work else { panic!() };
        let curves = figure.panels.iter().flat_map(|panel| &panel.curves);
        curves.map(|curve| (curve.label.clone(), curve.colour)).collect()
    };
    for profile in ["paper", "quick", "smoke"] {
        let fig2 = looks(&graph_named("fig2", FIG2, profile, &[]).unwrap(), "fig2");
        let prop3 = looks(&graph_named("prop3", PROP3, profile, &[]).unwrap(), "prop3");
        let of_sphere: Vec<_> =
            prop3.iter().filter_map(|(label, colour)| Some((label.strip_prefix("sphere, ")?, colour))).collect();
        assert_eq!(of_sphere.len(), 6, "{prop3:?}");
        for (label, colour) in of_sphere {
            assert!(fig2.contains(&(label.to_owned(), *colour)), "{profile}: {label} has colour {colour} in prop3");
        }
    }
    let many = graph("smoke", &["lr=[0.01,0.02,0.03,0.04,0.05,0.06,0.07,0.08,0.09,0.1]"]).unwrap();
    let colours: Vec<u32> = looks(&many, "fig3c").into_iter().map(|(_, colour)| colour).collect();
    assert_eq!(colours, (0..10).collect::<Vec<_>>());
}

#[test]
fn float32_logits_are_in_the_keys_of_16_bit_training_that_follows_the_text_alone() {
    let parameters = |sets: &[&str]| {
        let graph = graph("smoke", sets).unwrap();
        let of = |kind: &str| graph.stages.iter().find(|stage| stage.work.kind() == kind).unwrap().work.parameters();
        ["train", "probe", "ema_eval"].map(|kind| format!("{:?}", of(kind).unwrap()).contains("float32_logits"))
    };
    for precision in ["bf16", "fp16"] {
        let set = format!("trunk.precision={precision}");
        let probe = format!("probe.precision={precision}");
        assert_eq!(parameters(&[&set, &probe]), [true, true, false], "{precision}");
        assert_eq!(parameters(&[&set, &probe, "variant=official-code"]), [false; 3], "{precision}");
    }
    assert_eq!(parameters(&["trunk.precision=fp32", "probe.precision=tf32"]), [false; 3]);
}

#[test]
fn a_curve_may_be_drawn_from_another_table_of_its_stage() {
    let graph = graph_of(KINDS, "smoke", &[]).unwrap();
    let stage = &graph.stages[graph.figures["fig3e"].stage];
    let inputs: Vec<_> = stage.inputs.iter().map(|input| (input.role.as_str(), input.output)).collect();
    let name = "fig3/valley[seed=0]";
    assert_eq!(inputs, [(name, "path"), (&*format!("{name}:tuned"), "tuned")]);
    let Work::Figure(figure) = &stage.work else { panic!() };
    let tables: Vec<_> = figure.panels[0].curves.iter().map(|curve| curve.replicas[0][0].table.as_str()).collect();
    assert!(tables.iter().eq(inputs.iter().map(|(role, _)| role)), "{tables:?}");
    let error = |from: &str, to: &str| graph_of(&KINDS.replace(from, to), "smoke", &[]).unwrap_err().join("\n");
    let wrong = error("table  = \"tuned\"", "table  = \"tunde\"");
    assert!(wrong.contains("`valley` has no table `tunde`, only path, tuned, optimum, landscape"), "{wrong}");
    let wrong = error("table  = \"tuned\"", "table  = \"path\"");
    assert!(wrong.contains("`valley` has no column `trace`"), "{wrong}");
    let wrong = error("from  = \"valley\"", "from  = \"data\"");
    assert!(wrong.contains("`data` is a dataset, which has no numbers to draw"), "{wrong}");
    let products = KINDS.replace("y     = \"cos_g\"", "x = \"draw\"\ny = \"ss\"\ntable = \"products\"");
    assert!(graph_of(&products, "smoke", &[]).is_ok());
}
