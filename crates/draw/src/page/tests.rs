//! Tests of the page as text: escaping, balance, content. `browser` opens it in Chromium.

mod browser;

use super::*;
use base::table::{Column, Values};
use base::work::{Axis, Curve, Figure, Mark, Panel, Rows, Scale};

const SVG: &str = include_str!("tests/fig3.svg");
const CSV: &str = include_str!("tests/fig3.csv");
/// Text that ends elements, attributes and scripts, and begins new ones.
const HOSTILE: &str = "</script><script>hostile()</script>\"'><img src=x onerror=hostile()><!-- & \u{2028}]]></pre>";

/// Parses a table of plain comma-separated values; the named columns are text, the others numbers.
fn table(csv: &str, text: &[&str]) -> Table {
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    let column = |(i, name): (usize, &&str)| {
        let cells = rows[1..].iter().map(|row| row[i]);
        let values = match text.contains(name) {
            true => Values::Text(cells.map(str::to_owned).collect()),
            false => Values::Float(cells.map(|cell| cell.parse().unwrap()).collect()),
        };
        Column { name: (*name).to_owned(), values }
    };
    Table::new(rows[0].iter().enumerate().map(column).collect()).unwrap()
}

fn curve(label: &str, colour: &str, mark: &str) -> CurveInfo {
    let (label, colour, mark) = (label.to_owned(), colour.to_owned(), mark.to_owned());
    let dashed = label.ends_with("(EMA)");
    let dash = if dashed { "5.5 3" } else { "" }.to_owned();
    CurveInfo { dashed, dash, marker: "circle".into(), label, colour, mark, runs: Vec::new() }
}

fn panel(id: &str, title: &str, (x_label, y_label): (&str, &str), curves: Vec<CurveInfo>) -> PanelInfo {
    let [id, title, x_label, y_label] = [id, title, x_label, y_label].map(str::to_owned);
    PanelInfo { id, title, x_label, y_label, axes: axes(&curves, [false, true], &[]), curves }
}

/// Returns axes with room for points, as the figure computes them.
fn axes(curves: &[CurveInfo], [x_log, y_log]: [bool; 2], points: &[[f64; 2]]) -> PanelAxes {
    let scale = |log| if log { Scale::Log } else { Scale::Linear };
    let axis = |log| Axis { label: String::new(), scale: scale(log), range: None, ticks: None };
    let is_bars = curves.iter().any(|curve| curve.mark == "bars");
    let one = |(i, curve): (usize, &CurveInfo)| Curve {
        label: if is_bars { curve.label.clone() } else { i.to_string() },
        colour: 0,
        dashed: false,
        mark: if is_bars { Mark::Bars } else { Mark::Line },
        unnamed: false,
        x: "x".into(),
        y: "y".into(),
        z: None,
        error: None,
        to: None,
        last: false,
        replicas: vec![vec![Rows { table: "t".into(), settings: BTreeMap::new() }]],
    };
    let curves = curves.iter().take(if is_bars { usize::MAX } else { 1 }).enumerate().map(one).collect();
    let (id, title, guides) = ("a".to_owned(), String::new(), Vec::new());
    let panel = Panel { id, title, x: axis(x_log), y: axis(y_log), z: None, curves, guides };
    let (name, title, note) = Default::default();
    let figure = Figure {
        name,
        title,
        note,
        columns: 1,
        width: Default::default(),
        font_size: Default::default(),
        panels: vec![panel],
        drawn: Vec::new(),
    };
    let tables = BTreeMap::from([("t".to_owned(), Table::of_rows(["x", "y"], points))]);
    let numbers = crate::figure::numbers(&figure, &tables).unwrap();
    crate::figure::axes(&figure, &numbers, &[]).unwrap().remove(0)
}

/// Gives panels axes that fit the numbers of the repository's figure.
fn fitted(mut panels: Vec<PanelInfo>) -> Vec<PanelInfo> {
    for panel in &mut panels {
        let rows = CSV.lines().map(|line| line.split(',').collect::<Vec<_>>()).filter(|row| row[0] == panel.id);
        let corners = rows.flat_map(|row| [6, 7].map(|y| [3, y].map(|cell| row[cell].parse::<f64>().unwrap())));
        let corner =
            |pick: fn(f64, f64) -> f64| corners.clone().reduce(|a, b| [pick(a[0], b[0]), pick(a[1], b[1])]).unwrap();
        let points = [corner(f64::min), corner(f64::max)];
        panel.axes = axes(&panel.curves, [false, true], &points);
    }
    panels
}

fn claim(id: &str, text: &str, verdict: &str, statistics: &str) -> ClaimInfo {
    let [id, text, verdict, statistics] = [id, text, verdict, statistics].map(str::to_owned);
    ClaimInfo { id, text, verdict, statistics }
}

fn stage(i: usize) -> StageInfo {
    let hash = |salt: usize| format!("{:016x}", (i * 31 + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15)).repeat(4);
    let kinds = ["init", "train", "evaluate", "figure"];
    StageInfo {
        name: format!("fig3/trunk[after={},lr=0.15,seed={}]", i % 7, i % 3),
        kind: kinds[i % 4].to_owned(),
        seconds: 0.4 + (i % 13) as f64 * 1.75,
        device: "cpu".to_owned(),
        machine: "x86_64 AVX512, AuthenticAMD family 25 model 17, libtorch 2.11.0".to_owned(),
        key: hash(1),
        inputs: (i >= 2).then_some(i / 2).into_iter().collect(),
        outputs: vec![("weights".to_owned(), hash(2)), ("metrics".to_owned(), hash(3))],
    }
}

fn check(level: &str, holds: bool) -> CheckInfo {
    let verdict = if holds { "ok" } else { "DIFFERS" };
    let [level, verdict, summary, meaning] =
        [level, verdict, "fig3.svg is another file", "the files match"].map(str::to_owned);
    CheckInfo { level, holds, verdict, summary, meaning }
}

/// Returns the report of the repository, as its page shows it.
fn smoke() -> Page {
    let colours = ["#1d3557", "#a8dadc", "#faa307"];
    let plain = |mark| ["LR 0.1", "LR 0.15", "LR 0.2"].into_iter().zip(colours).map(move |(l, c)| curve(l, c, mark));
    let averaged = ["LR 0.1 (EMA)", "LR 0.15 (EMA)", "LR 0.2 (EMA)"];
    let averaged = || averaged.into_iter().zip(colours).map(|(l, c)| curve(l, c, "line"));
    let (epoch, start) = ("Epoch", "Epoch after which fine-tuning starts");
    let mut figure = Section {
        name: "fig3".into(),
        title: "Weight decay and a large learning rate: the noise drives the iterates to flatter minima".into(),
        root: "14f10f0115f4".into(),
        newest: "2026-11-28".into(),
        checks: Checks::Done(vec![check("files", true), check("records", true)]),
        drawing: Picture::Svg(SVG.into()),
        numbers: table(CSV, &["panel", "curve"]),
        panels: fitted(vec![
            panel("a", "Norm of the weights", (epoch, "‖w‖"), plain("line").chain(averaged()).collect()),
            panel("b", "Test error", (epoch, "Test error (%)"), plain("line").chain(averaged()).collect()),
            panel("c", "Tr(∇²L) of fine-tuned iterates", (start, "Tr(∇²L)"), plain("points").collect()),
            panel("d", "Test error of fine-tuned iterates", (start, "Test error (%)"), plain("line").collect()),
        ]),
        caption: "3 runs a curve.".into(),
        claims: vec![
            claim(
                "norm",
                "A larger learning rate ends at a smaller norm of the weights.",
                "reproduced",
                "LR 0.1: 14.8 ± 0.1\nLR 0.2: 12.9 ± 0.2\ndifference 1.9, p = 0.0002 (one-sided permutation test)",
            ),
            claim("trace", "The trace of the Hessian falls while training goes on.", "undecided", "p = 0.11, 3 runs"),
            claim("error", "So does the test error.", "not reproduced", "mean difference −0.2 ± 1.1 points"),
        ],
        published: vec![Listing {
            title: "Published values: 1 agrees".into(),
            heading: ["curve", "published", "here", ""].map(str::to_owned).to_vec(),
            rows: vec![["<LR> 0.1", "10.25 ± 0.25", "10.3 ± 0.1", "agrees"].map(str::to_owned).to_vec()],
            note: "These runs have another scale.".into(),
            open: true,
        }],
        pipeline: ("fig3.toml".into(), include_str!("../../../../pipelines/fig3.toml").into()),
        command: "wdpipe make fig3 --profile smoke".into(),
        stages: (0..40).map(stage).collect(),
        unlocked: None,
        files: [("SVG", "fig3.svg"), ("PNG", "fig3.png"), ("CSV", "fig3.csv")]
            .map(|(a, b)| (a.into(), b.into()))
            .into(),
    };
    for (seed, shift) in [("seed 0", -0.5), ("seed 1", 0.5)] {
        let points = vec![(0.0, 31.0 + shift), (2.0, 26.5 + shift)];
        figure.panels[0].curves[0].runs.push(RunInfo { name: seed.into(), points });
    }
    Page {
        title: "Why Do We Need Weight Decay for Overparameterized Deep Networks?".into(),
        profile: "smoke".into(),
        about: "built-in images, a tiny network, three seeds, two CPU cores, under 3 minutes".into(),
        paper: Some(Paper { authors: vec!["F. D'Angelo".into(), "A. Varre".into()], arxiv: "2310.04415".into() }),
        commit: None,
        program: "wdpipe 0.1.0".into(),
        figures: vec![figure],
        kept: Vec::new(),
    }
}

/// Returns a figure with every mark, gaps, values that a logarithmic axis cannot show, and diverged runs.
fn marks() -> Section {
    let csv = "panel,curve,dashed,x,mean,std,low,high,n,diverged,extra\n\
        e,up,0,1,2,0.5,1.5,2.5,3,0,1\ne,up,0,2,NaN,NaN,NaN,NaN,0,3,1\ne,up,0,3,4,1,3,5,3,0,1\ne,up,0,4,5,9,-4,14,2,1,1\n\
        e,down,0,1,3,NaN,NaN,NaN,1,0,1\ne,down,0,3,1,NaN,NaN,NaN,1,0,1\n\
        f,cloud,0,0.001,-1,NaN,NaN,NaN,NaN,NaN,1\nf,cloud,0,0.1,3,NaN,NaN,NaN,NaN,NaN,1\n\
        f,way,0,0.01,1,NaN,NaN,NaN,NaN,NaN,1\nf,way,0,10,2,NaN,NaN,NaN,NaN,NaN,1\nf,way,0,0.02,5,NaN,NaN,NaN,NaN,NaN,1\n\
        g,field,0,0,0,NaN,NaN,NaN,1,0,1\nh,none,0,1,NaN,NaN,NaN,NaN,0,1,1\n";
    let mut e =
        panel("e", "Bars", ("Class", "Count"), vec![curve("up", "#1d3557", "bars"), curve("down", "#faa307", "bars")]);
    let mut f =
        panel("f", "Points", ("x", "y"), vec![curve("cloud", "#a10035", "scatter"), curve("way", "#4a8f3c", "path")]);
    e.axes = axes(&e.curves, [false, false], &[[0.0, -4.0], [1.0, 14.0]]);
    f.axes = axes(&f.curves, [true, false], &[[0.001, -1.0], [10.0, 5.0]]);
    let panels = vec![
        e,
        f,
        panel("g", "Heat", ("x", "y"), vec![curve("field", "#1d3557", "heat")]),
        panel("h", "Nothing", ("x", "y"), vec![curve("none", "#1d3557", "line")]),
    ];
    let numbers = table(csv, &["panel", "curve"]);
    Section {
        name: "marks".into(),
        drawing: Picture::Svg(SVG.replace("wdpipe-fig3", "wdpipe-marks")),
        numbers,
        panels,
        ..smoke().figures.remove(0)
    }
}

/// Returns a page in which every text is hostile.
fn hostile() -> Page {
    let text = || HOSTILE.to_owned();
    let mut numbers = Vec::new();
    for name in ["panel", "curve", HOSTILE] {
        numbers.push(Column { name: name.into(), values: Values::Text(vec![text(); 2]) });
    }
    for (name, values) in [("x", [1.0, 2.0]), ("mean", [f64::INFINITY, 1.0]), ("std", [f64::NAN; 2])] {
        numbers.push(Column { name: name.into(), values: Values::Float(values.into()) });
    }
    let curve = CurveInfo {
        label: text(),
        colour: text(),
        dashed: false,
        dash: text(),
        marker: text(),
        mark: "line".into(),
        runs: vec![RunInfo { name: text(), points: vec![(1.0, 2.0)] }],
    };
    let figure = Section {
        name: text(),
        title: text(),
        root: text(),
        newest: text(),
        checks: Checks::Done(vec![CheckInfo {
            level: text(),
            holds: false,
            verdict: text(),
            summary: text(),
            meaning: text(),
        }]),
        drawing: Picture::Svg(text()),
        numbers: Table::new(numbers).unwrap(),
        panels: vec![
            panel(HOSTILE, HOSTILE, (HOSTILE, HOSTILE), vec![curve.clone()]),
            panel("i", "", ("", ""), vec![CurveInfo { mark: text(), ..curve }]),
        ],
        caption: text(),
        claims: vec![claim(HOSTILE, HOSTILE, HOSTILE, HOSTILE)],
        published: vec![Listing {
            title: text(),
            heading: vec![text()],
            rows: vec![vec![text()]],
            note: text(),
            open: false,
        }],
        pipeline: (text(), text()),
        command: text(),
        stages: vec![StageInfo {
            name: text(),
            kind: text(),
            seconds: f64::NAN,
            device: text(),
            machine: text(),
            key: text(),
            inputs: vec![0, 7],
            outputs: vec![(text(), text())],
        }],
        unlocked: Some(text()),
        files: vec![(text(), text()), ("bad".into(), "javascript:hostile()".into())],
    };
    Page {
        title: text(),
        profile: text(),
        about: text(),
        paper: Some(Paper { authors: vec![text()], arxiv: text() }),
        commit: Some(text()),
        program: text(),
        figures: vec![figure.clone(), figure],
        kept: Vec::new(),
    }
}

#[test]
fn published_values_and_the_rules_of_verdicts_are_on_the_page() {
    let page = html(&smoke());
    for part in [
        "<summary>Published values: 1 agrees</summary>",
        "<tr><td>&lt;LR&gt; 0.1</td><td>10.25 ± 0.25</td><td>10.3 ± 0.1</td><td>agrees</td></tr>",
        "<th scope=\"col\">published</th>",
        "one-sided tests over three or more seeds",
        "verdicts hold for the survivors",
        "neither the training nor the test images",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // A page without claims has no explanation.
    let mut bare = smoke();
    bare.figures[0].claims.clear();
    bare.figures[0].published.clear();
    let page = html(&bare);
    assert!(!page.contains("decided by one-sided tests") && !page.contains("<summary>Published values"));
}

/// An element's start tag: its name, and its attributes as text.
type Tag = (String, String);

/// Checks that every element is closed in order, and returns the start tags. It handles only the HTML of our pages.
fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut open: Vec<String> = Vec::new();
    let mut rest = html.strip_prefix("<!DOCTYPE html>").expect("a document type");
    while let Some((_, tag)) = rest.split_once('<') {
        let (inside, after) = tag.split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = inside.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "an end tag");
            continue;
        }
        let (name, attributes) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        let name = name.trim_end_matches('/');
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()), "`<{inside}>` is a tag");
        assert_eq!(attributes.matches('"').count() % 2, 0, "`{attributes}` are quoted");
        tags.push((name.to_owned(), attributes.to_owned()));
        if ["script", "style"].contains(&name) {
            let end = rest.find(&format!("</{name}")).expect("it ends");
            rest = &rest[end..];
        }
        if !inside.ends_with('/') && !["meta", "link", "br", "img", "wbr"].contains(&name) {
            open.push(name.to_owned());
        }
    }
    assert_eq!(open, Vec::<String>::new(), "all is closed");
    tags
}

/// Returns the values of an attribute.
fn values(tags: &[Tag], attribute: &str) -> Vec<String> {
    let start = format!("{attribute}=\"");
    let value = |(_, attributes): &Tag| {
        let text = format!(" {attributes}");
        let (_, after) = text.split_once(&format!(" {start}"))?;
        Some(after.split_once('"')?.0.to_owned())
    };
    tags.iter().filter_map(value).collect()
}

#[test]
fn the_page_is_well_formed_and_asks_for_nothing() {
    let mut page = smoke();
    page.figures.push(marks());
    let html = html(&page);
    let tags = tags(&html);
    let ids = values(&tags, "id");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "ids are unique: {ids:?}");
    for reference in values(&tags, "aria-labelledby").iter().chain(&values(&tags, "aria-controls")) {
        assert!(reference.split(' ').all(|id| ids.iter().any(|known| known == id)), "{reference}");
    }
    let addresses = [values(&tags, "href"), values(&tags, "src")].concat();
    for address in &addresses {
        let known = address.strip_prefix('#').is_some_and(|id| ids.iter().any(|known| known == id));
        let paper = address == "https://arxiv.org/abs/2310.04415";
        assert!(
            known || paper || ["data:,", "fig3.svg", "fig3.png", "fig3.csv"].contains(&address.as_str()),
            "{address}"
        );
    }
    assert!(addresses.iter().any(|address| address == "#figure-fig3") && addresses.iter().any(|a| a == "fig3.csv"));
    for name in ["url(http", "@import", "@font-face", "fetch(", "XMLHttpRequest", "import("] {
        assert!(!html.contains(name), "{name}");
    }
    assert!(!STYLE.contains("</") && !SCRIPT.contains("</") && !SCRIPT.contains("<!--"));
}

#[test]
fn without_javascript_everything_is_said() {
    let mut page = smoke();
    page.figures.push(marks());
    let html = html(&page);
    let before_script = &html[..html.rfind("<script type=\"module\">").unwrap()];
    for figure in &page.figures {
        // Except for the file's metadata, which the page leaves out.
        let shown = |line| if str::starts_with(line, "<metadata>") { "" } else { line };
        let Picture::Svg(svg) = &figure.drawing else { panic!() };
        let lines: Vec<&str> = svg.split_once("?>").unwrap().1.trim().lines().map(shown).collect();
        assert!(before_script.contains(&lines.join("\n")), "the drawing of {}", figure.name);
        for claim in &figure.claims {
            assert!(before_script.contains(&claim.text) && before_script.contains(&claim.statistics));
            assert!(before_script.contains(&format!("</span> {}</a>", claim.verdict)));
        }
        for stage in &figure.stages {
            let output = format!("<code>{}</code>", &stage.outputs[1].1[..12]);
            assert!(before_script.contains(&stage.name.replace(',', ",<wbr>")) && before_script.contains(&output));
        }
    }
    assert!(!html.contains("<?xml"));
    let texts = [
        "Profile <strong>smoke</strong>: built-in images",
        "2 figures, 6 claims, 40 stages. Of the claims: 2 reproduced, 2 not reproduced, 2 undecided.",
        "2 undecided. Computed on 2026-11-28.",
        "by F. D&#39;Angelo, A. Varre, computed again: ",
        "<a href=\"https://arxiv.org/abs/2310.04415\">arXiv:2310.04415</a>",
        "Root</a></dt><dd><code>14f10f0115f4</code></dd>",
        "<span class=\"state yes\">matches its lock</span><ul><li title=\"the files match\">files ok: ",
        "<dt id=\"word-undecided\"><dfn>undecided</dfn></dt><dd>Neither:",
        "<a class=\"badge open\" href=\"#word-undecided\">",
        "These runs have another scale.",
        ">trunk</text><text class=\"kind\"",
        "3 runs a curve.",
        "wdpipe make fig3 --profile smoke",
        "[profile.smoke]",
        "Stages: 40, ",
        "<a href=\"fig3.csv\">CSV</a>",
        "Written by wdpipe 0.1.0.",
    ];
    texts.into_iter().for_each(|text| assert!(before_script.contains(text), "{text}"));
}

#[test]
fn the_same_page_gives_the_same_bytes() {
    assert_eq!(html(&smoke()), html(&smoke()));
    assert_eq!(html(&hostile()), html(&hostile()));
}

#[test]
fn hostile_text_stays_text() {
    let page = html(&hostile());
    let tags = tags(&page);
    let count = |name: &str| tags.iter().filter(|tag| tag.0 == name).count();
    // One script of numbers per figure, and the page's own; one image per figure.
    assert_eq!((count("script"), count("img"), count("style")), (3, 2, 1));
    assert!(!page.contains("<script>hostile") && !page.contains("<!-- "), "nothing got out");
    assert!(tags.iter().all(|(_, attributes)| !attributes.contains(" onerror=hostile()>")), "{tags:?}");
    assert!(values(&tags, "href").iter().all(|address| {
        // The address of the paper cannot be another site.
        let address = address.strip_prefix("https://arxiv.org/abs/%3C/script%3E").unwrap_or(address);
        !address.contains(':') || address == "data:,"
    }));
    let ids = values(&tags, "id");
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    let (_, json) = page.split_once("class=\"numbers\">").unwrap();
    let json: serde_json::Value = serde_json::from_str(json.split_once("</script>").unwrap().0).unwrap();
    let panel = &json["panels"][0];
    assert_eq!((&panel["title"], &panel["curves"][0]["label"]), (&HOSTILE.into(), &HOSTILE.into()));
    assert_eq!(panel["curves"][0]["colour"], "#222222");
    assert_eq!(panel["curves"][0]["y"], serde_json::json!([null, 1]));
    assert_eq!(json["others"], serde_json::json!(["i"]));
}

#[test]
fn panels_are_explored_where_their_marks_can_be_drawn() {
    let found = data::explorable(&marks()).unwrap();
    let ids: Vec<_> = found["panels"].as_array().unwrap().iter().map(|panel| panel["id"].clone()).collect();
    assert_eq!(
        (serde_json::json!(ids), &found["others"]),
        (serde_json::json!(["e", "f"]), &serde_json::json!(["g", "h"]))
    );
    let up = &found["panels"][0]["curves"][0];
    assert_eq!(up["y"], serde_json::json!([2, null, 4, 5]));
    assert_eq!(up["diverged"], serde_json::json!([0, 3, 0, 1]));
    let cloud = found["panels"][1]["curves"][0].as_object().unwrap();
    assert!(["std", "low", "high", "n", "diverged"].iter().all(|key| !cloud.contains_key(*key)), "no empty columns");

    let mut bare = marks();
    bare.numbers = Table::of_rows(["x", "mean"], &[[1.0, 2.0]]);
    assert_eq!(data::explorable(&bare), None);
    assert!(!section::section(&bare, "a").contains("explore"));
    // The column distinguishes solid and dashed curves of one name. Without the column, they cannot be distinguished.
    let mut twins = smoke().figures.remove(0);
    let of = |dashed| CurveInfo { dashed, ..curve("LR 0.1", "#1d3557", "line") };
    twins.panels = vec![panel("a", "", ("", ""), vec![of(false), of(true)])];
    let points = |section: &Section, i: usize| {
        data::explorable(section).unwrap()["panels"][0]["curves"][i]["x"].as_array().unwrap().len()
    };
    assert_eq!((points(&twins, 0), points(&twins, 1)), (23, 0));
    let columns = twins.numbers.columns().iter().filter(|column| column.name != "dashed").cloned().collect();
    twins.numbers = Table::new(columns).unwrap();
    assert_eq!((points(&twins, 0), points(&twins, 1)), (23, 23));
}

/// Returns the numbers that a page hands to its script, figure by figure.
fn handed(page: &str) -> Vec<serde_json::Value> {
    let all = page.split("class=\"numbers\">").skip(1);
    all.map(|rest| serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()).collect()
}

#[test]
fn the_script_gets_every_number_of_the_csv_file() {
    let page = html(&smoke());
    let data = handed(&page).remove(0);
    let cells: Vec<Vec<&str>> = CSV.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let mut rows = 0;
    for panel in data["panels"].as_array().unwrap() {
        for curve in panel["curves"].as_array().unwrap() {
            let dashed = if curve["dashed"] == true { "1" } else { "0" };
            let own = [panel["id"].as_str().unwrap(), curve["label"].as_str().unwrap(), dashed];
            let of_file: Vec<_> = cells.iter().filter(|row| row[..3] == own).collect();
            for (column, key) in ["x", "y", "std", "low", "high", "n", "diverged"].into_iter().enumerate() {
                let numbers =
                    |row: &&Vec<&str>| if row[column + 3] == "NaN" { "null" } else { row[column + 3] }.to_owned();
                let text: Vec<String> = of_file.iter().map(numbers).collect();
                // The digits are those of the file.
                let text = format!("[{}]", text.join(","));
                assert!(page.contains(&format!("\"{key}\":{text}")), "{own:?} {key}: {text}");
                assert_eq!(curve[key], serde_json::from_str::<serde_json::Value>(&text).unwrap(), "{own:?} {key}");
            }
            rows += of_file.len();
        }
    }
    assert_eq!(rows, cells.len());
    // The values of runs are beside the points of their curve.
    let runs = &data["panels"][0]["curves"][0]["runs"];
    assert_eq!((&runs[1]["name"], &runs[1]["y"][0], &runs[1]["y"][2]), (&"seed 1".into(), &31.5.into(), &27.into()));
    assert!(runs[0]["y"][1].is_null() && runs[0]["y"].as_array().unwrap().len() == 23);
    // Panels with equal axes share them.
    let axes: Vec<_> = data["panels"].as_array().unwrap().iter().map(|panel| panel["x"].as_u64().unwrap()).collect();
    assert_eq!((axes, data["xAxes"].as_array().unwrap().len()), (vec![0, 0, 1, 1], 2));
    let ticks = &data["xAxes"][0]["linear"]["ticks"];
    assert_eq!(ticks.as_array().unwrap().len(), 5);
    assert_eq!(ticks[0]["at"].as_array().unwrap().len(), ticks[0]["text"].as_array().unwrap().len());
}

#[test]
fn the_page_says_what_verify_found_and_nothing_more() {
    let shown = |checks| section::section(&Section { checks, ..smoke().figures.remove(0) }, "a");
    let bad = shown(Checks::Done(vec![check("files", false), check("records", true)]));
    assert!(
        bad.contains(
            "differs from its lock</span><ul><li title=\"the files match\">files DIFFERS: fig3.svg is another file</li>"
        ),
        "{bad}"
    );
    let missing = CheckInfo { verdict: "missing".into(), ..check("records", false) };
    assert!(shown(Checks::Done(vec![check("files", true), missing])).contains("state open\">not complete<"));
    let none = shown(Checks::NotLocked);
    assert!(none.contains("not locked</span> there was no lock to compare with") && !none.contains("matches its lock"));
    // Only a writer who asks for it gets a commit on the page.
    assert!(!html(&smoke()).contains("from commit"));
    let page = Page { commit: Some("abc of 2026-11-30".into()), ..smoke() };
    assert!(html(&page).contains("Written from commit <code>abc</code> of 2026-11-30."));
}

#[test]
fn many_stages_are_summed_up() {
    let all: Vec<StageInfo> = (0..=stages::MOST_ROWS).map(stage).collect();
    let (few, many) = (stages::stages(&all[1..], "fig3", "a"), stages::stages(&all, "fig3", "a"));
    assert_eq!(few.matches("<tr").count(), 1 + 4 + 1 + 2000);
    assert_eq!(many.matches("<tr").count(), 1 + 4);
    assert!(many.contains("2001 stages are too many to list here"), "{many}");
    let known = StageInfo { seconds: 60.0, device: "a".into(), ..stage(0) };
    let unknown = StageInfo { seconds: f64::NAN, device: "b".into(), ..stage(4) };
    assert!(stages::stages(std::slice::from_ref(&unknown), "fig3", "a").contains("Stages: 1, of unknown time<"));
    let text = stages::stages(&[known, unknown], "fig3", "a");
    assert!(text.contains("Stages: 2, 1 min 0 s in all") && text.contains("<td>a; b</td>"), "{text}");
    assert_eq!(stages::stages(&[], "fig3", "a"), "");
}

#[test]
fn a_page_keeps_figures_of_an_earlier_one_as_they_are() {
    let (fig2, zoom) = (smoke().figures.remove(0), marks());
    let page = |figures: &[&Section], kept: &[Kept]| {
        let figures = figures.iter().map(|figure| (*figure).clone()).collect();
        html(&Page { figures, kept: kept.to_vec(), ..smoke() })
    };
    let earlier = page(&[&fig2, &zoom], &[]);
    let before = kept(&earlier);
    assert_eq!(before.iter().map(|kept| &kept.name).collect::<Vec<_>>(), [&fig2.name, &zoom.name]);
    // The page is the same, whichever of its figures are kept and which are new.
    for (figures, kept) in [(&[][..], &before[..]), (&[&fig2], &before[1..]), (&[&zoom], &before[..1])] {
        for (now, before) in page(figures, kept).lines().zip(earlier.lines()) {
            assert_eq!(now, before);
        }
    }
    assert!(kept("<section id=\"figure-x\">").is_empty() && kept("").is_empty());
    // Hostile text can neither end nor forge a section.
    let hostile = html(&hostile());
    assert_eq!(kept(&hostile).len(), 2);
    assert!(kept(&hostile).iter().all(|kept| hostile.contains(&kept.section) && hostile.contains(&kept.entry)));
}
