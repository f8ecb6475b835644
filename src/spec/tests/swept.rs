//! Tests sweeps whose values a curve does not distinguish.

use super::{FIG3, graph, graph_named};

const FIG2: &str = include_str!("../../../pipelines/fig2.toml");
const FIG4: &str = include_str!("../../../pipelines/fig4.toml");
const GRID: &str = include_str!("../../../pipelines/grid.toml");
const PROP3: &str = include_str!("../../../pipelines/prop3.toml");
const TWO_BATCHES: &str = include_str!("../../../tests/fixtures/mistakes/two_batches.toml");

/// Returns the complaints about a pipeline with some of its text replaced.
fn complaints(text: &str, changes: &[(&str, &str)], sets: &[&str]) -> String {
    let changed = changes.iter().fold(text.to_owned(), |text, (old, new)| {
        assert!(text.contains(old), "{old}");
        text.replace(old, new)
    });
    graph_named("p", &changed, "smoke", sets).map(|_| String::new()).unwrap_or_else(|errors| errors.join("\n"))
}

#[test]
fn a_sweep_that_a_curve_does_not_name_is_refused() {
    // With `last`, only the first value would be drawn, and the others trained in vain.
    let line = TWO_BATCHES.lines().position(|line| line == "[[panel.curve]]").unwrap() + 1;
    assert_eq!(
        complaints(TWO_BATCHES, &[], &[]),
        format!(
            "p.toml:{line}: curve `last epoch`: the setting `batch` has 2 values, and the curve does not say which it \
             shows: say per = \"batch\" for a curve of each, or pick = {{ batch = 0 }} for the first, or over = \"batch\" \
             for their mean"
        )
    );
    let text = complaints(GRID, &[], &["variant=[\"text\",\"official-code\"]"]);
    assert!(text.contains("curve `test error`: the setting `variant` has 2 values"), "{text}");
    assert!(text.contains("curve `trace`: the setting `variant`"), "all of them: {text}");
    // Without `last`, the drawing would fail after all the training.
    let text = complaints(
        FIG4,
        &[("noise      = 0.5", "noise = \"$noise\""), ("seed = [0]", "seed = [0]\nnoise = [0.5, 0.6]")],
        &[],
    );
    assert!(text.contains("curve `Tr(∇²L(w̃_t))`: the setting `noise` has 2 values"), "{text}");
    let text = complaints(FIG3, &[], &["wd=[0.015,0.03]"]);
    assert!(text.contains("the setting `wd` has 2 values") && text.contains("per = [\"lr\", \"wd\"]"), "{text}");
    assert!(!text.contains("over ="), "the seeds are averaged already: {text}");
    // Curves average over `seed` by default.
    let text = complaints(
        FIG4,
        &[
            ("seed = [0]", "run = [0, 1]"),
            ("$seed", "$run"),
            ("{ seed = 0 }", "{ run = 0 }"),
            ("seed  = [0, 1, 2]", "run = [0, 1]"),
            ("seed  = { from = 0, to = 4 }", "run = [0, 1]"),
        ],
        &[],
    );
    assert!(
        text.contains("the setting `run` has 2 values") && text.contains("over = \"run\" for their mean"),
        "{text}"
    );
    // Several settings at once, and in claims as well.
    let text = complaints(FIG3, &[], &["wd=[0.015,0.03]", "beta=[0.9,0.99]"]);
    assert!(text.contains("the settings `beta` (2 values) and `wd` (2 values) have several values"), "{text}");
    let claims = FIG3.find("[[claim]]").map(|at| FIG3[..at].lines().count()).unwrap();
    let lines: Vec<usize> = text.lines().filter_map(|line| line.split(':').nth(1)?.parse().ok()).collect();
    assert!(lines.iter().any(|line| *line > claims), "{text}");
    // Two combinations with the same position: 0.1·0.02 and 0.2·0.01.
    let product = [
        ("x     = \"$lr\"\ny     = \"$wd\"", "x = \"$lr * $wd\"\ny = \"test_error\""),
        ("mark  = \"heat\"", "mark = \"points\""),
        ("\nz     = \"test_error\"", ""),
        ("\nz     = \"trace\"", ""),
        ("\nz     = \"train_loss\"", ""),
    ];
    let text = complaints(GRID, &product, &[]);
    assert!(text.contains("the settings `lr` (3 values) and `wd` (3 values)"), "{text}");
}

#[test]
fn what_tells_tables_apart_is_accepted() {
    let fine = |text: &str, changes: &[(&str, &str)], sets: &[&str]| {
        assert_eq!(complaints(text, changes, sets), "", "{changes:?} {sets:?}");
    };
    // A setting named by the axis, the epoch, a single value, and a picked one.
    fine(FIG2, &[], &[]);
    fine(FIG3, &[], &["wd=[0.03]"]);
    fine(TWO_BATCHES, &[("last  = true", "last = true\npick = { batch = 1 }")], &[]);
    fine(TWO_BATCHES, &[("x     = \"$lr\"", "x = \"$lr * $batch\"")], &[]);
    fine(TWO_BATCHES, &[("last  = true", "last = true\nper = \"batch\""), ("last epoch", "{batch}")], &[]);
    fine(TWO_BATCHES, &[("last  = true", "last = true\nover = \"batch\"")], &[]);
    // Probes at several epochs as dots of one run.
    let swept = [
        ("after  = [1, 3, 5, 9, 15, 25, 35, 45, 55, 65, 75, 85, 95]\nimages", "after = \"$after\"\nimages"),
        ("lr_two  = [3e-3] ", "after = [1, 5]\nlr_two = [3e-3] "),
        ("sphere_noise.after  = [1, 5, 9, 13, 17]", ""),
        ("\nnoise.after  = [1, 5, 9, 13, 17, 21]", ""),
        ("two_noise.after  = [1, 5, 9, 13]", ""),
    ];
    fine(PROP3, &swept, &[]);
}

#[test]
fn what_a_curve_names_its_stages_depend_on() {
    for (changes, wanted) in [
        (&[("last  = true", "last = true\nper = \"speed\"")][..], "`per` names the setting `speed`, on which no stage"),
        (
            &[("last  = true", "last = true\npick = { speed = 1 }")],
            "`pick` names the setting `speed`, on which no stage",
        ),
        (&[("\"$lr\"\ny ", "\"$speed\"\ny ")], "`$speed` has 2 values, and `run` depends on none of them"),
        (&[("last  = true", "over = \"sed\"")], "there is no setting `sed`; did you mean `seed`?"),
        (&[("x     = \"$lr\"", "x = \"$lr / 0\"")], "is inf at [lr="),
    ] {
        let other = [
            ("seed  = [0]", "seed  = [0]\nspeed = [1, 2]"),
            ("[[panel]]", "[stage.toy]\nkind = \"valley\"\nlr = \"$speed\"\nseed = 0\n\n[[panel]]"),
        ];
        let text = complaints(TWO_BATCHES, &[&other[..], changes].concat(), &["batch=16"]);
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    // A curve without any data.
    let text = complaints(FIG2, &[("per     = \"lr\"\nonly    = \"probe\"", "per = \"lr\"")], &[]);
    assert!(text.contains("curve `LR 0.0001`: `trace` does not exist at [lr=0.0001]: say only = \"trace\""), "{text}");
    let text = complaints(
        FIG4,
        &[("table  = \"tuned\"\nx      = \"step\"", "table = \"tuned\"\nlast = true\nx = \"step\"")],
        &[],
    );
    assert!(text.contains("the tuned of `valley` has no epochs, so it has no last one"), "{text}");
}

#[test]
fn published_values_are_of_a_panel_that_there_is() {
    let published = FIG3.find("[[published]]").unwrap();
    let with = |old: &str, new: &str| {
        let text = format!("{}{}", &FIG3[..published], FIG3[published..].replacen(old, new, 1));
        assert!(text != FIG3, "{old}");
        complaints(&text, &[], &[])
    };
    assert!(with("panel  = \"a\"", "panel  = \"e\"").contains("figure `p` has no panel `e`"));
    assert!(with("[40, 96]", "[96, 40]").contains("a published value is"));
    for (old, new, wanted) in [
        ("[40, 96]", "[40, 101]", "no phase of the published run has the epochs 40 to 101"),
        ("110,", "200,", "no phase of the published run has the epochs 200 to 200"),
        ("decay  = 100", "decay = 200", "`decay` is the number of epochs before the learning rate is lowered"),
        ("epochs = 200\n", "", "`decay` is the number of epochs before"),
        ("\"order\"", "\"ordr\"", "`carries` lists order, ratio, plateau, not `ordr`; did you mean `order`?"),
        ("carries = [\"order\"]", "order_below = 1", "say carries = [\"order\"] too"),
        ("within_share = 0.02\ncarries = [\"order\"]", "within = 1\ncarries = [\"ratio\"]", "say `within_share`"),
        ("source = ", "profile = \"papr\"\nsource = ", "there is no profile `papr`; did you mean `paper`?"),
    ] {
        let text = with(old, new);
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert_eq!(with("carries = [\"order\"]", "carries = [\"ratio\", \"plateau\"]\nprofile = \"quick\""), "");
    let text = complaints(FIG3, &[("label  = \"LR {per} (EMA)\"", "label = \"LR {per}\"")], &["lr=[0.1,0.2]"]);
    assert!(text.contains("has two curves `LR 0.1`, one of them dashed"), "{text}");
}

#[test]
fn a_profile_of_the_paper_takes_no_longer_to_check() {
    let start = std::time::Instant::now();
    assert!(graph("paper", &["seed={from=0,to=49}"]).is_ok());
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
