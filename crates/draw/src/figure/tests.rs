//! Tests of whole drawings: pinned bytes, and labels that neither overlap nor leave the canvas.

mod absent;
mod print;
mod spread;

use resvg::usvg::{self, roxmltree};

use super::*;
use base::rng::Stream;
use base::work::{Axis, Curve, FontSize, Guide, Mark, Panel, Rows, Scale, Width};

pub(super) fn curve(label: &str, replicas: Vec<Vec<String>>) -> Curve {
    let rows = |table: String| Rows { table, settings: BTreeMap::new() };
    Curve {
        label: label.into(),
        colour: 0,
        dashed: false,
        mark: Mark::Line,
        unnamed: false,
        x: "x".into(),
        y: "y".into(),
        z: None,
        error: None,
        to: None,
        last: false,
        replicas: replicas.into_iter().map(|tables| tables.into_iter().map(rows).collect()).collect(),
    }
}

fn axis(label: &str, scale: Scale) -> Axis {
    Axis { label: label.into(), scale, range: None, ticks: None }
}

fn panel(id: &str, curves: Vec<Curve>) -> Panel {
    let (x, y) = (axis("epoch", Scale::Linear), axis("test error (%)", Scale::Log));
    Panel { id: id.into(), title: "Test error".into(), x, y, z: None, curves, guides: Vec::new() }
}

/// Returns a figure with one panel `a`.
pub(super) fn figure_of(curves: Vec<Curve>) -> Figure {
    Figure {
        name: "test".into(),
        title: String::new(),
        note: String::new(),
        columns: 2,
        width: Width::default(),
        font_size: FontSize::default(),
        panels: vec![panel("a", curves)],
        drawn: Vec::new(),
    }
}

/// Returns four panels with bands, dashes, a diverged replica, a lone point, fixed ticks and an empty panel.
fn sample() -> (Figure, BTreeMap<String, Table>) {
    let mut stream = Stream::new(1, "figure test", &[]);
    let mut tables = BTreeMap::new();
    let mut curves = Vec::new();
    for c in 0..3_u32 {
        let names: Vec<Vec<String>> = (0..3).map(|seed| vec![format!("{c}/{seed}")]).collect();
        for (seed, name) in names.iter().flatten().enumerate() {
            let value = |epoch: u32, noise: f64| 300.0 / f64::from(epoch + 1 + c) + f64::from(10 * c) + noise;
            let mut rows: Vec<[f64; 2]> =
                (0..40).map(|epoch| [f64::from(epoch), value(epoch, 4.0 * stream.uniform())]).collect();
            if c == 2 && seed == 1 {
                rows[30..].iter_mut().for_each(|row| row[1] = f64::NAN);
            }
            if c == 1 {
                rows[20][1] = f64::INFINITY;
            }
            tables.insert(name.clone(), Table::of_rows(["x", "y"], &rows));
        }
        let (label, dashed) = (format!("LR {}", 0.1 + 0.05 * f64::from(c)), c == 1);
        curves.push(Curve { colour: c, dashed, ..curve(&label, names) });
    }
    let mut panels =
        vec![panel("a", curves.clone()), panel("b", curves.clone()), panel("c", curves), panel("d", vec![])];
    panels[1].y =
        Axis { range: Some([10.0, 90.0]), ticks: Some(vec![10.0, 20.0, 40.0, 60.0, 90.0]), ..panels[1].y.clone() };
    panels[2].y.scale = Scale::Linear;
    panels[2].title = "Tr(∇²L) of fine-tuned iterates".into();
    (
        Figure {
            name: "fig".into(),
            title: "A figure".into(),
            note: "Profile test: small.".into(),
            columns: 2,
            width: Width::default(),
            font_size: FontSize::default(),
            panels,
            drawn: Vec::new(),
        },
        tables,
    )
}

#[test]
fn the_drawing_is_pinned() {
    let (figure, tables) = sample();
    let drawing = draw(&figure, &tables).unwrap();
    let hash = |bytes: &[u8]| blake3::hash(bytes).to_hex().as_str()[..16].to_owned();
    let hashes = [
        hash(drawing.numbers.to_csv().as_bytes()),
        hash(drawing.svg.as_bytes()),
        hash(&drawing.png),
        hash(&drawing.pdf),
    ];
    assert_eq!(
        hashes, PINNED,
        "the numbers, drawing or pixels of a figure have changed. If that is meant, bump the version of the \
         kind `figure` in work.rs, so that recorded figures are drawn anew, and put the new hashes here"
    );
}

const PINNED: [&str; 4] = ["f551aa439a6c2ced", "f881266da7e54155", "8e2249aad40f39f3", "10050993a0aec044"];

#[test]
fn drawings_are_well_formed_and_name_their_parts() {
    let (mut figure, tables) = sample();
    figure.title = "a < b & \"c\" > 'd'".into();
    figure.panels[0].id = "<&\"".into();
    figure.panels[0].curves[0].label = "η < \"1\" & λ".into();
    let drawing = draw(&figure, &tables).unwrap();
    let document = roxmltree::Document::parse(&drawing.svg).unwrap();
    let words = |tag: &str| document.descendants().find(|n| n.has_tag_name(tag)).and_then(|n| n.text()).unwrap();
    assert_eq!(words("title"), figure.title);
    assert!(words("desc").starts_with("Panel <&\": Test error. test error (%) (logarithmic) against epoch: η"));
    let curves: Vec<(&str, &str)> =
        document.descendants().filter_map(|n| Some((n.attribute("data-panel")?, n.attribute("data-curve")?))).collect();
    assert_eq!(curves.len(), 18, "a band and a curve each");
    assert_eq!(curves[0], ("<&\"", "η < \"1\" & λ"));
    assert!(!drawing.svg.contains("<metadata") && !drawing.svg.contains("NaN") && !drawing.svg.contains("inf"));
    assert_eq!(drawing.png[..8], *b"\x89PNG\r\n\x1a\n");
    assert!(drawing.svg.contains(">LR 0.2, × 1 of 3 diverged<") && drawing.svg.contains(">no data<"));
}

#[test]
fn characters_without_a_glyph_are_named() {
    let (mut figure, tables) = sample();
    figure.panels[1].x.label = "時代".into();
    let error = draw(&figure, &tables).unwrap_err();
    assert_eq!(error.to_string(), "the font has no `時` (U+6642), which occurs in `時代`");
}

/// Collects the boxes of all texts as laid out by the rasteriser, which does not use our metrics.
fn boxes(group: &usvg::Group, out: &mut Vec<(String, usvg::Rect)>) {
    for node in group.children() {
        match node {
            usvg::Node::Group(group) => boxes(group, out),
            usvg::Node::Text(text) => {
                let words: String = text.chunks().iter().map(usvg::TextChunk::text).collect();
                out.push((words, text.abs_bounding_box()));
            }
            _ => {}
        }
    }
}

/// Returns the SVG alone, because the pixels take the longest.
fn drawn(figure: &Figure, tables: &BTreeMap<String, Table>) -> String {
    svg(figure, &numbers(figure, tables).unwrap()).unwrap()
}

fn check_labels(figure: &Figure, tables: &BTreeMap<String, Table>) {
    check_drawing(&drawn(figure, tables));
}

fn check_drawing(svg: &str) {
    let tree = png::tree(svg).unwrap();
    let mut texts = Vec::new();
    boxes(tree.root(), &mut texts);
    for (i, (words, a)) in texts.iter().enumerate() {
        let (width, height) = (tree.size().width(), tree.size().height());
        let inside = a.left() >= 0.0 && a.top() >= 0.0 && a.right() <= width && a.bottom() <= height;
        assert!(inside, "`{words}` at {a:?} leaves the {width} times {height} canvas");
        for (other, b) in &texts[..i] {
            let apart =
                a.left() >= b.right() || b.left() >= a.right() || a.top() >= b.bottom() || b.top() >= a.bottom();
            assert!(apart, "`{words}` and `{other}` overlap: {a:?} {b:?}");
        }
    }
}

#[test]
fn the_committed_figures_are_whole_and_their_labels_keep_apart() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../reports");
    let mut found = 0;
    for entry in walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap()) {
        if entry.path().extension().is_some_and(|extension| extension == "svg") {
            let svg = std::fs::read_to_string(entry.path()).unwrap();
            check_drawing(&svg);
            assert!(!svg.contains(">no data"), "{} has an empty panel", entry.path().display());
            assert!(pdf(&svg).is_ok() && svg.contains(" run"), "{}", entry.path().display());
            found += 1;
        }
    }
    assert!(found >= 11, "{found} figures are committed");
}

#[test]
fn labels_never_overlap_nor_leave_the_canvas() {
    let (figure, tables) = sample();
    check_labels(&figure, &tables);
    let long = "a very long label of many words that goes on, withoneveryveryveryverylongwordthatdoesnotfitanywhere "
        .repeat(3);
    for columns in [0, 1, 2, 3, u32::MAX] {
        for panels in [0, 1, 2, 4] {
            let mut figure = Figure { columns, ..figure.clone() };
            figure.panels.truncate(panels);
            check_labels(&figure, &tables);
            figure.title = long.clone();
            for panel in &mut figure.panels {
                (panel.title, panel.x.label, panel.y.label) = (long.clone(), long.clone(), long.clone());
                let more: Vec<Curve> = panel
                    .curves
                    .iter()
                    .flat_map(|c| (0..5).map(move |i| Curve { label: format!("{} number {i}", c.label), ..c.clone() }))
                    .collect();
                panel.curves = more;
                panel.curves.iter_mut().take(1).for_each(|curve| curve.label = format!("{} {long}", panel.id));
            }
            check_labels(&figure, &tables);
        }
    }
}

#[test]
fn hostile_numbers_are_drawn_or_left_out_but_never_fail() {
    let far = [f64::NAN, f64::INFINITY, -f64::INFINITY, 1e308, -1e308, 5e-324, 0.0, -1.0, 1e-7, 1e7, 3.0];
    let mut cases: Vec<Vec<[f64; 2]>> = vec![
        vec![],
        vec![[0.0, f64::NAN], [1.0, f64::NAN]],
        vec![[1e7, 1e7], [1e7 + 1e-7, 1e7 + 1e-7]],
        vec![[-1e308, 1e308], [1e308, -1e308]],
        (0..11).zip(far).map(|(x, y)| [f64::from(x), y]).collect(),
        (0..11).zip(far).filter(|(_, x)| x.is_finite()).map(|(y, x)| [x, f64::from(y)]).collect(),
        (-7..=7).map(|k| [f64::from(k), scale::power_of_ten(k)]).collect(),
    ];
    cases.extend(far.map(|value| vec![[2.0, value]]));
    for rows in &cases {
        let other: Vec<[f64; 2]> = rows.iter().map(|row| [row[0], row[1] * 1.5]).collect();
        let tables = BTreeMap::from([("t", rows), ("u", &other)]);
        let tables =
            tables.into_iter().map(|(name, rows)| (name.to_owned(), Table::of_rows(["x", "y"], rows))).collect();
        for (x, y) in [(Scale::Linear, Scale::Linear), (Scale::Linear, Scale::Log), (Scale::Log, Scale::Linear)] {
            for names in [vec![vec!["t".to_owned()]], vec![vec!["t".to_owned()], vec!["u".to_owned()]]] {
                let mut figure = figure_of(vec![curve("all", names)]);
                (figure.panels[0].x.scale, figure.panels[0].y.scale) = (x, y);
                check_labels(&figure, &tables);
                let svg = drawn(&figure, &tables);
                assert!(!svg.contains("NaN") && !svg.contains("inf"), "{rows:?}");
                if y == Scale::Log {
                    png(&svg).unwrap();
                }
            }
        }
    }
}

#[test]
fn lone_points_have_error_bars_and_breaks_break_lines() {
    let (figure, tables) = sample();
    let svg = drawn(&figure, &tables);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let pieces = |part, filled: bool| {
        let of_part = |n: &roxmltree::Node| [n.attribute("data-dashed"), n.attribute("data-part")] == [Some("1"), part];
        let paths = document.descendants().find(of_part).unwrap().descendants().filter(|n| n.has_tag_name("path"));
        paths.filter(|n| (n.attribute("fill") != Some("none")) == filled).count()
    };
    assert_eq!(pieces(Some("band"), true), 2, "a point without a finite value parts the band");
    assert_eq!(pieces(Some("curve"), false), 3, "and the curve, and there is a cross");

    let rows = |y| Table::of_rows(["x", "y"], &[[1.0, y]]);
    let tables = BTreeMap::from([("t".to_owned(), rows(2.0)), ("u".to_owned(), rows(3.0))]);
    let one = figure_of(vec![curve("c", vec![vec!["t".into()], vec!["u".into()]])]);
    let svg = drawn(&one, &tables);
    assert_eq!(svg.matches("<circle").count(), 2, "one, and one in the legend");
}

/// Returns the plot area, the legend's box if there is one, and all vertices of curves and bands.
fn parts(svg: &str) -> (layout::Rect, Option<layout::Rect>, Vec<(f64, f64)>) {
    let document = roxmltree::Document::parse(svg).unwrap();
    let rect = |n: roxmltree::Node| {
        let rect = n.descendants().find(|n| n.has_tag_name("rect")).unwrap();
        let [x, y, width, height] =
            ["x", "y", "width", "height"].map(|name| rect.attribute(name).unwrap().parse().unwrap());
        layout::Rect { x, y, width, height }
    };
    let plot = rect(document.descendants().find(|n| n.has_tag_name("clipPath")).unwrap());
    let legend = document.descendants().find(|n| n.has_attribute("data-legend")).map(rect);
    let curves = document.descendants().filter(|n| n.has_attribute("data-curve"));
    let paths = curves.flat_map(|n| n.descendants().filter_map(|n| n.attribute("d")).collect::<Vec<_>>());
    let vertex = |text: &str| text.split_once(' ').map(|(x, y)| (x.parse().unwrap(), y.parse().unwrap()));
    let vertices = paths.flat_map(|d| d.split(['M', 'L', 'Z']).filter_map(vertex).collect::<Vec<_>>()).collect();
    (plot, legend, vertices)
}

#[test]
fn legends_hide_no_data() {
    let (mut stream, mut within) = (Stream::new(5, "legends", &[]), 0);
    for round in 0..40 {
        let rows = |stream: &mut Stream| -> Vec<[f64; 2]> {
            let (slope, noise) = (4.0 * stream.normal(), 1.0 + 4.0 * stream.uniform());
            (0..60)
                .map(|x| [f64::from(x), (slope * f64::from(x) / 60.0 + noise * stream.uniform()).abs() + 0.1])
                .collect()
        };
        let name = |c: usize, seed: usize| format!("{c}/{seed}");
        let all = (0..3).flat_map(|c| (0..2).map(move |seed| name(c, seed)));
        let tables = all.map(|name| (name, Table::of_rows(["x", "y"], &rows(&mut stream)))).collect();
        let curves = (0..3).map(|c| curve(&format!("curve {c}"), (0..2).map(|seed| vec![name(c, seed)]).collect()));
        let svg = drawn(&figure_of(curves.collect()), &tables);
        let (plot, legend, vertices) = parts(&svg);
        let legend = legend.unwrap();
        let within_rect =
            |r: &layout::Rect, x: f64, y: f64| r.x < x && x < r.x + r.width && r.y < y && y < r.y + r.height;
        // Vertices outside the axes are cut off, and can be anywhere.
        let holds = |&(x, y): &(f64, f64)| within_rect(&plot, x, y) && within_rect(&legend, x, y);
        assert!(vertices.len() > 300 && !vertices.iter().any(holds), "round {round}");
        within += u32::from(legend.y < plot.y + plot.height);
    }
    assert!((5..=35).contains(&within), "{within} of 40 legends stand in a corner, the others below");
}

#[test]
fn panels_share_a_legend_unless_they_contradict_each_other() {
    let (mut figure, tables) = sample();
    let legends = |figure: &Figure| drawn(figure, &tables).matches("data-legend").count();
    assert_eq!(legends(&figure), 1);
    figure.panels[1].curves[0].colour = 5;
    assert_eq!(legends(&figure), 3);
    figure.panels[1].curves[0].label = "another".into();
    assert_eq!(legends(&figure), 1);
    figure.panels[2].curves[1].colour = 0;
    figure.panels[2].curves[1].dashed = false;
    assert_eq!(legends(&figure), 3, "one look for two names");
}

#[test]
fn numbers_from_elsewhere_cannot_harm() {
    use base::table::{Column, Values};
    let (mut figure, tables) = sample();
    figure.panels.truncate(1);
    let good = numbers(&figure, &tables).unwrap();
    let rows = good.rows();
    let spoilt = |value: f64| {
        let spoil = |column: &Column| match column.values {
            Values::Text(_) => column.clone(),
            _ if column.name == "dashed" => column.clone(),
            _ => Column { values: Values::Float(vec![value; rows]), ..column.clone() },
        };
        Table::new(good.columns().iter().map(spoil).collect()).unwrap()
    };
    for value in [f64::NAN, f64::INFINITY, -f64::INFINITY, f64::MAX, f64::MIN, 1e19, -1e19, 0.0, 5e-324] {
        let text = svg(&figure, &spoilt(value)).unwrap();
        roxmltree::Document::parse(&text).unwrap();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{value}");
    }
}

#[test]
fn many_points_are_no_trouble() {
    let mut stream = Stream::new(0, "many", &[]);
    let rows: Vec<[f64; 2]> = (0..100_000).map(|x| [f64::from(x), 1.0 + stream.uniform()]).collect();
    let tables = BTreeMap::from([("t".to_owned(), Table::of_rows(["x", "y"], &rows))]);
    let figure = figure_of(vec![curve("c", vec![vec!["t".into()]])]);
    let start = std::time::Instant::now();
    let drawing = draw(&figure, &tables).unwrap();
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    assert!(drawing.svg.len() < 4_000_000);
}

#[test]
fn a_drawing_can_be_too_large_for_pixels_but_is_never_attempted() {
    let huge = r#"<svg xmlns="http://www.w3.org/2000/svg" width="100000" height="100000"/>"#;
    assert!(matches!(png(huge), Err(FigureError::Pixels(_))));
    assert!(matches!(png("<svg"), Err(FigureError::Pixels(_))));
}

/// Returns panels with every mark, guides and a colour axis.
fn marked() -> (Figure, BTreeMap<String, Table>) {
    let mut tables = BTreeMap::new();
    let with = |label: &str, mark: Mark, colour: u32| Curve { mark, colour, ..curve(label, vec![vec!["t".into()]]) };
    tables.insert("t".to_owned(), Table::of_rows(["x", "y"], &[[1.0, 20.0], [2.0, 12.0], [4.0, 15.0], [3.0, 30.0]]));
    let grid: Vec<[f64; 3]> =
        (1..4).flat_map(|x| (1..4).map(move |y| [f64::from(x), f64::from(y), f64::from(x * y)])).collect();
    tables.insert("grid".to_owned(), Table::of_rows(["x", "y", "z"], &grid));
    let heat = Curve { z: Some("z".into()), ..curve("cells", vec![vec!["grid".into()]]) };
    let guide = |label: &str, y: &str| Guide { label: label.into(), y: y.into() };
    let mut panels = vec![
        panel("a", vec![with("means", Mark::Points, 2)]),
        panel("b", vec![with("H", Mark::Bars, 0), with("G", Mark::Bars, 1)]),
        panel("c", vec![with("dots", Mark::Dots, 0), with("path", Mark::Path, 1), with("star", Mark::Star, 2)]),
        panel("d", vec![Curve { to: Some(("x + 0.5".into(), "y + 5".into())), ..with("arrows", Mark::Arrows, 3) }]),
        panel("e", vec![Curve { mark: Mark::Heat, ..heat }]),
    ];
    panels[4].z = Some(axis("value", Scale::Log));
    panels[4].guides = vec![guide("xy = 2.6", "2.6 / x"), guide("xy = 5", "5 / x")];
    panels[2].guides = vec![guide("slope 1", "10 * x"), guide("", "5 * x^2")];
    (
        Figure {
            name: "marks".into(),
            title: String::new(),
            note: String::new(),
            columns: 3,
            width: Width::default(),
            font_size: FontSize::default(),
            panels,
            drawn: Vec::new(),
        },
        tables,
    )
}

#[test]
fn every_mark_is_drawn_and_labels_keep_apart() {
    let (figure, tables) = marked();
    check_labels(&figure, &tables);
    let text = drawn(&figure, &tables);
    for part in [">slope 1<", ">H<", ">9<", "stroke-dasharray=\"1 2.5\""] {
        assert!(text.contains(part), "{part} is missing");
    }
    let numbers = numbers(&figure, &tables).unwrap();
    assert_eq!(svg(&figure, &numbers).unwrap(), text);
    // Guides run below the numbers of cells, and are named at the foot.
    assert!(text.rfind(&format!("stroke-dasharray=\"{}\"", style::GUIDE)) < text.find(">9<"));
    let words = caption::words(&figure, &series::series(&figure, &numbers).unwrap());
    assert!(words.contains("In (e), dashed lines, from below: xy = 2.6 and xy = 5."), "{words}");
    // Marks that show every row keep the order of the rows; means are sorted.
    let of = |id: &str| {
        let panel = figure.panels.iter().position(|panel| panel.id == id).unwrap();
        series::series(&figure, &numbers).unwrap()[panel][0].iter().map(|point| point.x).collect::<Vec<_>>()
    };
    assert_eq!((of("a"), of("c")), (vec![1.0, 2.0, 3.0, 4.0], vec![1.0, 2.0, 4.0, 3.0]));
}

#[test]
fn expressions_settings_and_last_rows_make_the_points() {
    let rows: Vec<[f64; 3]> = vec![[0.0, 1.0, 4.0], [1.0, 2.0, 9.0]];
    let tables = BTreeMap::from([("t".to_owned(), Table::of_rows(["epoch", "lr", "y"], &rows))]);
    let settings = BTreeMap::from([("eta".to_owned(), 0.5)]);
    let made = Curve {
        x: "setting_eta".into(),
        y: "sqrt(y) + lr".into(),
        last: true,
        replicas: vec![vec![Rows { table: "t".into(), settings }]],
        ..curve("c", Vec::new())
    };
    assert_eq!(replica_points("a", &made, &tables).unwrap(), [vec![(0.5, 5.0)]]);
    let all = Curve { last: false, ..made.clone() };
    assert!(matches!(replica_points("a", &all, &tables), Err(FigureError::Conflict { .. })));
    let bad = Curve { y: "sqrt(".into(), ..made };
    assert!(matches!(replica_points("a", &bad, &tables), Err(FigureError::Expression { .. })));
}
