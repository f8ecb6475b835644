//! Every error that drawing and judging can raise: some are found when the pipeline is expanded, others depend on the
//! recorded numbers.

use std::collections::{BTreeMap, BTreeSet};

use base::table::Table;
use base::work::{Axis, Curve, Figure, FontSize, Mark, Panel, Rows, Scale, Width};
use draw::claim::{ClaimError, Series, Statement, judge};
use draw::figure::{self, FigureError};
use wdpipe::spec::{Pipeline, expand};

const FIG3: &str = include_str!("../../pipelines/fig3.toml");

/// Moment at which an error is found.
enum Raised {
    /// When the pipeline is expanded: these changes of fig3.toml give these complaints.
    Expanded(&'static [(&'static str, &'static str, &'static str)]),
    /// When the pipeline is expanded, with a change too long to write down here.
    TooLarge(fn(&str) -> String, &'static str),
    /// When the recorded numbers are available: this function raises the error.
    ByValues(fn() -> String),
    /// Never, as long as the program is correct, for this reason.
    Never(&'static str),
}

use Raised::{ByValues, Expanded, Never, TooLarge};

const NORM: &str = "y     = \"norm\"";
const LABEL: &str = "label = \"LR {per}\"";
const STEADY: &str = "kind   = \"steady\"\nwindow = [0.4, 1.0]";

/// The errors of the stage `figure` and of the comparison with published values.
const FIGURE: &[(&str, Raised)] = &[
    ("NoTable", Never("every table that a curve names is made an input of its figure")),
    ("NoColumn", Expanded(&[(NORM, "y = \"nrom\"", "`trunk` has no column `nrom`; did you mean `norm`?")])),
    ("Position", ByValues(|| drawn(curve("1 / epoch", false), &[[0.0, 1.0]]))),
    ("Conflict", ByValues(|| drawn(curve("0 * epoch", false), &[[0.0, 1.0], [1.0, 2.0]]))),
    (
        "Expression",
        Expanded(&[(NORM, "y = \"norm *\"", "`y`: at character"), (NORM, "y = 3", "must be an expression")]),
    ),
    (
        "Twice",
        Expanded(&[
            (LABEL, "label = \"LR\"", "two curves of the panel are called `LR`"),
            ("id    = \"b\"", "id = \"a\"", "there are two panels `a`"),
        ]),
    ),
    (
        "Range",
        Expanded(&[
            (
                "x     = { label = \"Epoch\" }",
                "x = { label = \"Epoch\", range = [2, 1] }",
                "`range` must be [low, high]",
            ),
            (
                "x     = { label = \"Epoch\" }",
                "x = { label = \"E\", range = [1, 1.0000000001] }",
                "the x axis cannot go from",
            ),
        ]),
    ),
    (
        "Glyph",
        Expanded(&[
            ("title = \"Norm of the weights\"", "title = \"学習率\"", "the font has no `学`"),
            ("title = \"ResNet-18 with", "title = \"שלום with", "the font has no `ש`"),
            ("x     = { label = \"Epoch\" }", "x = { label = \"مرحبا\" }", "the font has no `م`"),
            (LABEL, "label = \"学 {per}\"", "the font has no `学`"),
            ("about = \"built-in", "about = \"学 built-in", "the font has no `学`"),
            ("title   = \"What else", "title = \"\\u0007What else", "the font has no `\\u{7}`"),
        ]),
    ),
    ("Numbers", Never("the numbers are those that the figure was just aggregated to")),
    ("Pixels", TooLarge(|text| text.replacen("What else", &"What else ".repeat(30_000), 1), "pixels are too many")),
    ("Pdf", Never("the drawing is our own, of few elements, and each has its place in the PDF")),
];

/// The errors that judging claims can raise.
const CLAIM: &[(&str, Raised)] = &[
    (
        "Sets",
        Expanded(&[
            (
                "[[claim.curve]]\nfrom  = \"ema\"",
                "[[claim.curve]]\nfrom = \"ema\"\ny = \"norm\"\n[[claim.curve]]\nfrom = \"ema\"",
                "a claim of kind below needs 2 [[claim.curve]], and has 3",
            ),
            (
                "[[claim.curve]]\nfrom  = \"ema\"\ny     = \"test_error\"\nper   = \"lr\"",
                "[[claim.curve]]\nfrom = \"ema\"\ny = \"test_error\"\npick = { lr = 0 }",
                "the claim compares 1 with 3 curves: give both the same `per`",
            ),
            (
                "kind   = \"below\"\nwindow = [0.5, 1.0]\n\n[[claim.curve]]\nfrom  = \"ema\"\ny     = \"test_error\"\nper   = \"lr\"\nlabel = \"LR {per}\"\n\n[[claim.curve]]",
                "kind = \"alike\"\nfactor = 2\nwindow = [0.5, 1.0]\n\n[[claim.curve]]\nfrom = \"ema\"\ny = \"norm\"\npick = { lr = 0 }\n\n[[claim.curve]]",
                "compares the curves of a `per` with each other",
            ),
        ]),
    ),
    ("Empty", Never("a curve without tables is refused when the pipeline is expanded")),
    (
        "NoPoints",
        ByValues(|| judged(Statement::Drops { before: [0.4, 0.5], log: false }, &[&[(0.0, 1.0), (1.0, 2.0)]])),
    ),
    ("Order", Never("the points of a replica are sorted before they are judged")),
    (
        "Window",
        Expanded(&[(
            STEADY,
            "kind = \"steady\"\nwindow = [0.4, 1.5]",
            "`window` must be a part of the range in fractions",
        )]),
    ),
    (
        "NotPositive",
        ByValues(|| {
            judged(Statement::Steady { factor: 2.0 }, &[&[(0.0, -1.0), (1.0, -1.0)], &[(0.0, -1.0), (1.0, -1.0)]])
        }),
    ),
    (
        "Bounds",
        Expanded(&[
            ("factor = 1.5", "factor = 1", "a `factor` of 1 leaves no room"),
            (STEADY, "kind = \"slope\"\nlow = 2\nhigh = 1", "a slope cannot lie between 2 and 1"),
        ]),
    ),
];

/// Returns the name of an error. Every new error needs an entry in the tables above.
fn name_of_figure(error: &FigureError) -> &'static str {
    match error {
        FigureError::NoTable { .. } => "NoTable",
        FigureError::NoColumn { .. } => "NoColumn",
        FigureError::Position { .. } => "Position",
        FigureError::Conflict { .. } => "Conflict",
        FigureError::Expression { .. } => "Expression",
        FigureError::Twice { .. } => "Twice",
        FigureError::Range { .. } => "Range",
        FigureError::Glyph { .. } => "Glyph",
        FigureError::Numbers(_) => "Numbers",
        FigureError::Pixels(_) => "Pixels",
        FigureError::Pdf(_) => "Pdf",
    }
}

fn name_of_claim(error: &ClaimError) -> &'static str {
    match error {
        ClaimError::Sets(_) => "Sets",
        ClaimError::Empty(_) => "Empty",
        ClaimError::NoPoints { .. } => "NoPoints",
        ClaimError::Order { .. } => "Order",
        ClaimError::Window(_) => "Window",
        ClaimError::NotPositive { .. } => "NotPositive",
        ClaimError::Bounds(_) => "Bounds",
    }
}

fn curve(x: &str, last: bool) -> Curve {
    let rows = Rows { table: "t".into(), settings: BTreeMap::new() };
    Curve {
        label: "c".into(),
        colour: 0,
        dashed: false,
        mark: Mark::Line,
        unnamed: false,
        x: x.into(),
        y: "loss".into(),
        z: None,
        error: None,
        to: None,
        last,
        replicas: vec![vec![rows]],
    }
}

/// Returns the name of the error that drawing a curve of these numbers raises.
fn drawn(curve: Curve, rows: &[[f64; 2]]) -> String {
    let axis = || Axis { label: "l".into(), scale: Scale::Linear, range: None, ticks: None };
    let panel = Panel {
        id: "a".into(),
        title: "t".into(),
        x: axis(),
        y: axis(),
        z: None,
        curves: vec![curve],
        guides: Vec::new(),
    };
    let figure = Figure {
        name: "f".into(),
        title: String::new(),
        note: String::new(),
        columns: 1,
        width: Width::default(),
        font_size: FontSize::default(),
        panels: vec![panel],
        drawn: Vec::new(),
    };
    assert_eq!(figure::check(&figure), Ok(()), "`check` cannot find the error");
    let tables = [("t".to_owned(), Table::of_rows(["epoch", "loss"], rows))].into();
    name_of_figure(&figure::draw(&figure, &tables).unwrap_err()).to_owned()
}

fn judged(statement: Statement, replicas: &[&[(f64, f64)]]) -> String {
    let replicas = replicas.iter().map(|points| points.to_vec()).collect();
    let sets = [vec![Series { label: "c".into(), replicas }]];
    name_of_claim(&judge(&statement, &sets, [0.0, 1.0]).unwrap_err()).to_owned()
}

fn refused(name: &str, text: &str, wanted: &str) {
    let read = Pipeline::read("fig3", "fig3.toml", text, "smoke", &[]);
    let complaints = read.and_then(|pipeline| expand(&pipeline)).err().unwrap_or_default();
    let found = complaints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let short: String = found.chars().take(1000).collect();
    assert!(found.contains(wanted), "{name}: {wanted}: {short}");
    assert!(found.lines().all(|line| line.starts_with("fig3.toml:")), "with its line: {short}");
}

#[test]
fn every_error_is_known_before_anything_runs_or_depends_on_values() {
    for (table, names) in [(FIGURE, 11), (CLAIM, 7)] {
        let distinct: BTreeSet<_> = table.iter().map(|(name, _)| name).collect();
        assert_eq!((distinct.len(), table.len()), (names, names));
        for (name, raised) in table {
            match raised {
                Expanded(cases) => cases.iter().for_each(|(old, new, wanted)| {
                    assert!(FIG3.contains(old), "{name}: {old}");
                    refused(name, &FIG3.replacen(old, new, 1), wanted);
                }),
                TooLarge(change, wanted) => refused(name, &change(FIG3), wanted),
                ByValues(raise) => assert_eq!(raise(), *name),
                Never(why) => assert!(!why.is_empty()),
            }
        }
    }
}

#[test]
fn of_two_values_of_one_epoch_neither_is_the_last() {
    assert_eq!(drawn(curve("0 * epoch", true), &[[1.0, 1.0], [1.0, 2.0]]), "Conflict");
}
