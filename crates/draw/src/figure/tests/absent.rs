//! Tests of numbers without a place on the axes, and of curves that look alike.

use super::*;

fn table(rows: &[[f64; 2]]) -> Table {
    Table::of_rows(["x", "y"], rows)
}

/// Returns a figure of one panel with the given scales of its axes, and one curve per table.
fn figure_with(mark: Mark, (x, y): (Scale, Scale), tables: &[&[[f64; 2]]]) -> (Figure, BTreeMap<String, Table>) {
    let name = |i: usize| format!("t{i}");
    let curves =
        (0..tables.len()).map(|i| Curve { mark, colour: i as u32, ..curve(&format!("c{i}"), vec![vec![name(i)]]) });
    let mut figure = figure_of(curves.collect());
    (figure.panels[0].x.scale, figure.panels[0].y.scale) = (x, y);
    (figure, tables.iter().enumerate().map(|(i, rows)| (name(i), table(rows))).collect())
}

/// Returns the drawing, the text at its foot, and the notices that `make` prints.
fn seen(figure: &Figure, tables: &BTreeMap<String, Table>) -> (String, String, Vec<String>) {
    check_labels(figure, tables);
    let numbers = numbers(figure, tables).unwrap();
    (svg(figure, &numbers).unwrap(), caption(figure, &numbers).unwrap(), notices(figure, &numbers).unwrap())
}

fn triangles(svg: &str) -> usize {
    let document = roxmltree::Document::parse(svg).unwrap();
    let paths = document.descendants().filter_map(|node| node.attribute("d"));
    paths
        .filter(|d| d.ends_with('Z') && d.split('M').skip(1).all(|part| part.matches('L').count() == 2))
        .map(|d| d.matches('M').count())
        .sum()
}

const LOG_Y: (Scale, Scale) = (Scale::Linear, Scale::Log);

#[test]
fn zeros_on_a_logarithmic_axis_leave_a_mark_a_line_and_a_notice() {
    for mark in [Mark::Line, Mark::Points, Mark::Dots, Mark::Path, Mark::Star, Mark::Bars] {
        let rows: &[[f64; 2]] = if mark == Mark::Bars { &[[1.0, 0.0]] } else { &[[1.0, 4.0], [2.0, 0.0], [3.0, 2.0]] };
        let (mut figure, tables) = figure_with(mark, LOG_Y, &[rows, &[[1.0, 1.0], [3.0, 5.0]]]);
        if mark == Mark::Bars {
            figure.panels[0].curves[1].replicas[0][0].table = "one".into();
        }
        let mut tables = tables;
        tables.insert("one".into(), table(&[[1.0, 3.0]]));
        let (svg, caption, notices) = seen(&figure, &tables);
        assert_eq!(triangles(&svg), 1, "{mark:?}: {svg}");
        assert!(
            caption.contains("The triangle at the edge is a value of 0, which a log axis cannot show."),
            "{caption}"
        );
        let notice = "panel a, curve `c0`: 1 value is 0, which a log axis cannot show: look for triangles at the edge";
        assert_eq!(notices, [notice], "{mark:?}");
        assert!(!svg.contains(">no "), "{mark:?}");
        figure.panels[0].y.scale = Scale::Linear;
        let (svg, caption, notices) = seen(&figure, &tables);
        assert!(triangles(&svg) == 0 && !caption.contains("triangle") && notices.is_empty(), "{mark:?}: {caption}");
    }
}

#[test]
fn a_curve_of_nothing_but_zeros_is_not_without_data() {
    let zeros: Vec<[f64; 2]> = (0..40).map(|x| [f64::from(x), 0.0]).collect();
    let (figure, tables) = figure_with(Mark::Line, LOG_Y, &[&zeros, &[[0.0, -1.0], [39.0, 0.0]]]);
    let (svg, caption, notices) = seen(&figure, &tables);
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(notices[0].starts_with("panel a, curves `c0` and `c1`: 41 values are 0,"), "{notices:?}");
    assert!(notices[1].starts_with("panel a, curve `c1`: 1 value is below 0,"), "{notices:?}");
    assert!(svg.contains(">no value above 0<") && !svg.contains(">no data<"), "{svg}");
    assert!(caption.contains("Triangles at the edge are 42 values of 0 or less"), "{caption}");
    assert!((20..43).contains(&triangles(&svg)), "many beside each other are some: {}", triangles(&svg));
    for (rows, words) in [
        (vec![], "no data"),
        (vec![[0.0, f64::NAN]], "no finite value"),
        (vec![[9.0, 1.0]], "no data within these limits"),
    ] {
        let (mut figure, tables) = figure_with(Mark::Line, LOG_Y, &[&rows]);
        figure.panels[0].x.range = Some([0.0, 1.0]);
        let (svg, ..) = seen(&figure, &tables);
        assert!(svg.contains(&format!(">{words}<")), "{words}: {svg}");
    }
}

#[test]
fn what_has_no_place_across_stands_at_the_left_edge() {
    for mark in [Mark::Line, Mark::Points, Mark::Dots] {
        let (figure, tables) =
            figure_with(mark, (Scale::Log, Scale::Linear), &[&[[0.0, 5.0], [1.0, 4.0], [10.0, 3.0]]]);
        let (svg, caption, notices) = seen(&figure, &tables);
        let (plot, _, vertices) = parts(&svg);
        assert_eq!((triangles(&svg), notices.len()), (1, 1), "{mark:?}");
        assert!(caption.contains("a value of 0"), "{caption}");
        assert!(vertices.iter().any(|&(x, y)| x < plot.x + 9.0 && y < plot.y + 0.1 * plot.height), "at its height");
    }
}

#[test]
fn points_beyond_fixed_limits_are_counted_unless_a_line_leads_to_them() {
    let rows: &[[f64; 2]] = &[[1.0, 1.0], [2.0, 5.0], [3.0, 9.0]];
    for (mark, expected) in [(Mark::Dots, 1), (Mark::Points, 1), (Mark::Star, 1), (Mark::Line, 0), (Mark::Path, 0)] {
        let (mut figure, tables) = figure_with(mark, LOG_Y, &[rows]);
        figure.panels[0].y.range = Some([1.0, 6.0]);
        let (_, caption, notices) = seen(&figure, &tables);
        assert_eq!(notices.len(), expected, "{mark:?}: {notices:?}");
        assert_eq!(caption.contains("1 value is outside the limits of the axes."), expected == 1, "{caption}");
    }
    let (mut figure, tables) = figure_with(Mark::Line, LOG_Y, &[rows, &[[1.0, 50.0], [2.0, 60.0]]]);
    figure.panels[0].y.range = Some([1.0, 6.0]);
    let (_, _, notices) = seen(&figure, &tables);
    assert_eq!(notices, ["panel a, curve `c1`: 2 values are outside the limits (`range`) of the axes, so not drawn"]);
}

#[test]
fn rows_that_are_not_finite_are_told_of_and_arrows_keep_their_tips() {
    let nan = f64::NAN;
    let rows: &[[f64; 2]] = &[[1.0, 1.0], [2.0, nan], [nan, 3.0], [4.0, 4.0]];
    let (figure, tables) = figure_with(Mark::Dots, LOG_Y, &[rows]);
    let (svg, caption, notices) = seen(&figure, &tables);
    assert_eq!(svg.matches("<circle").count(), 3, "two, and one in the legend");
    assert!(caption.contains("2 values are not finite and not drawn."), "{caption}");
    assert_eq!(notices, ["panel a, curve `c0`: 2 values are not finite, so not drawn"]);

    let (mut figure, tables) = figure_with(Mark::Arrows, LOG_Y, &[rows]);
    figure.panels[0].curves[0].to = Some(("x".into(), "10 * x".into()));
    let points = series::series(&figure, &numbers(&figure, &tables).unwrap()).unwrap().remove(0).remove(0);
    let of = |i: usize| (points[i].x, points[i].mean);
    assert_eq!((of(0), of(1), of(6), of(7)), ((1.0, 1.0), (1.0, 10.0), (4.0, 4.0), (4.0, 40.0)));
}

/// Returns a heat map of rows (x, y, z).
fn heat(rows: &[[f64; 3]], (x, y, z): (Scale, Scale, Scale)) -> (Figure, BTreeMap<String, Table>) {
    let cells = Curve { mark: Mark::Heat, z: Some("z".into()), ..curve("cells", vec![vec!["grid".into()]]) };
    let mut figure = figure_of(vec![cells]);
    (figure.panels[0].x.scale, figure.panels[0].y.scale) = (x, y);
    figure.panels[0].z = Some(axis("value", z));
    (figure, BTreeMap::from([("grid".to_owned(), Table::of_rows(["x", "y", "z"], rows))]))
}

/// Returns the boxes of the cells by the number in them, which is drawn on a patch in the middle of its cell.
fn cells(svg: &str) -> BTreeMap<String, (f64, f64, f64, f64)> {
    let document = roxmltree::Document::parse(svg).unwrap();
    let area = |node: &roxmltree::Node| {
        let number = |name: &str| node.attribute(name)?.parse::<f64>().ok();
        Some((number("x")?, number("y")?, number("width")?, number("height")?))
    };
    let middle = |(x, y, width, height): (f64, f64, f64, f64)| (x + width / 2.0, y + height / 2.0);
    let nodes: Vec<_> = document.descendants().filter(|node| node.is_element()).collect();
    let boxes: Vec<_> = nodes.iter().filter(|node| node.has_attribute("stroke")).filter_map(area).collect();
    let mut found = BTreeMap::new();
    for pair in nodes.windows(2) {
        let (Some(patch), true, Some(text)) = (area(&pair[0]), pair[1].has_tag_name("text"), pair[1].text()) else {
            continue;
        };
        let at = middle(patch);
        let is_around = |cell: &&(f64, f64, f64, f64)| {
            let (x, y) = middle(**cell);
            (x - at.0).abs() < 0.02 && (y - at.1).abs() < 0.02
        };
        if let Some(cell) = boxes.iter().find(is_around) {
            found.insert(text.to_owned(), *cell);
        }
    }
    found
}

#[test]
fn zero_has_a_row_of_its_own_below_the_others() {
    let log = (Scale::Log, Scale::Log, Scale::Linear);
    let grid = |ys: &[f64]| -> Vec<[f64; 3]> {
        (0..).zip(ys).flat_map(|(row, &y)| (1..3).map(move |x| [f64::from(x), y, f64::from(10 * row + x)])).collect()
    };
    for ys in [&[0.0, 0.01, 0.02][..], &[0.0, 0.01], &[0.0], &[0.0, 1e-4, 0.01, 0.02]] {
        let (mut figure, tables) = heat(&grid(ys), log);
        figure.panels[0].guides = vec![Guide { label: "xy".into(), y: "0.01 / x".into() }];
        let (svg, caption, notices) = seen(&figure, &tables);
        let (plot, ..) = parts(&svg);
        let cells = cells(&svg);
        assert_eq!((cells.len(), notices.len()), (2 * ys.len(), 0), "{ys:?}: {svg}");
        assert!(svg.contains(">0<") && caption.starts_with("Every cell is one run."), "{caption}");
        let bottom = plot.y + plot.height;
        for row in 1..ys.len() {
            let (zero, above) = (cells["1"], cells[&format!("{}", 10 * row + 1)]);
            assert!(above.1 + above.3 < zero.1 - 1.0, "a gap is between them: {above:?} {zero:?}");
            assert!(above.1 >= plot.y - 0.1);
        }
        assert!((cells["1"].1 + cells["1"].3 - bottom).abs() < 0.1, "{:?} {bottom}", cells["1"]);
    }
    // Zero has a column of its own on a horizontal axis, and both axes can show 0 in one figure.
    let (figure, tables) = heat(&[[0.0, 1.0, 7.0], [1.0, 1.0, 8.0], [10.0, 0.0, 9.0]], log);
    let (svg, ..) = seen(&figure, &tables);
    let found = cells(&svg);
    assert!(found["7"].0 + found["7"].2 < found["8"].0 && found["9"].1 > found["8"].1 + found["8"].3, "{found:?}");
    // A linear axis has a place for 0; no logarithmic axis has a place for values below 0.
    let (figure, tables) = heat(&grid(&[0.0, 1.0]), (Scale::Log, Scale::Linear, Scale::Linear));
    assert!(parts(&seen(&figure, &tables).0).0.height > 0.0);
    let (figure, tables) = heat(&grid(&[-1.0, 0.0, 1.0]), log);
    assert_eq!(seen(&figure, &tables).2.len(), 1);
}

#[test]
fn a_cell_shows_its_number_though_its_colour_scale_has_no_place_for_it() {
    let (mut figure, mut tables) = heat(
        &[[1.0, 1.0, 0.0], [1.0, 2.0, 5.0], [2.0, 1.0, f64::NAN], [2.0, 2.0, 50.0]],
        (Scale::Log, Scale::Log, Scale::Log),
    );
    let (svg, caption, _) = seen(&figure, &tables);
    assert_eq!(cells(&svg).into_keys().collect::<Vec<_>>(), ["0", "5", "50", "×"], "0 is not divergence");
    assert!(caption.contains("×: runs that diverged."), "{caption}");
    // One of two runs diverged.
    tables.insert("two".into(), Table::of_rows(["x", "y", "z"], &[[1.0, 1.0, 3.0], [2.0, 2.0, f64::INFINITY]]));
    figure.panels[0].curves[0].replicas.push(vec![Rows { table: "two".into(), settings: BTreeMap::new() }]);
    let (svg, caption, _) = seen(&figure, &tables);
    assert!(cells(&svg).contains_key("50 ×"), "{svg}");
    assert_eq!(caption, "Cells are means over 2 runs. ×: runs that diverged.");
}

#[test]
fn many_curves_look_different() {
    let rows: Vec<[f64; 2]> = (0..40).map(|x| [f64::from(x), 2.0]).collect();
    let short: Vec<[f64; 2]> = rows[..3].to_vec();
    for (mark, rows) in [(Mark::Line, &rows), (Mark::Line, &short), (Mark::Points, &short), (Mark::Dots, &short)] {
        let all: Vec<&[[f64; 2]]> = vec![rows; 24];
        let (mut figure, tables) = figure_with(mark, LOG_Y, &all);
        let (svg, _, notices) = seen(&figure, &tables);
        assert_eq!(notices, [""; 0]);
        // The marks of each entry of the legend, without their position.
        let document = roxmltree::Document::parse(&svg).unwrap();
        let legend = document.descendants().find(|node| node.has_attribute("data-legend")).unwrap();
        let number = |text: &str| text.parse::<f64>().unwrap();
        let vertex = |text: &str| text.split_once(' ').map(|(x, y)| (number(x), number(y)));
        let look = |node: roxmltree::Node| {
            let vertices: Vec<_> =
                node.attribute("d").into_iter().flat_map(|d| d.split(['M', 'L', 'Z'])).filter_map(vertex).collect();
            let tenths = |a: f64, b: f64| (10.0 * (a - b)).round() as i64;
            let shape: Vec<_> =
                vertices.iter().map(|at| (tenths(at.0, vertices[0].0), tenths(at.1, vertices[0].1))).collect();
            let colours = ["fill", "stroke", "stroke-dasharray"].map(|name| node.attribute(name));
            format!("{} {shape:?} {colours:?}", node.tag_name().name())
        };
        let mut looks = std::collections::BTreeSet::new();
        let mut of_one = String::new();
        for node in legend.children().filter(|node| node.is_element() && !node.has_tag_name("rect")) {
            if node.has_tag_name("text") {
                looks.insert(std::mem::take(&mut of_one));
            } else {
                of_one += &look(node);
            }
        }
        assert_eq!(looks.len(), 24, "{mark:?}: {looks:?}");
        figure.panels[0].curves[9].colour = 1;
        figure.panels[0].curves[3].colour = 24 + 5;
        let notices = seen(&figure, &tables).2;
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert_eq!(notices[0], "panel a: `c3` and `c5` look the same; give them different `colours` (0 to 23)");
        assert_eq!(notices[1], "panel a: `c1` and `c9` look the same; give them different `colours` (0 to 23)");
        figure.panels[0].curves[9].unnamed = true;
        figure.panels[0].curves[3].unnamed = true;
        assert_eq!(seen(&figure, &tables).2, [""; 0], "what has no name cannot be taken for another");
    }
}

#[test]
fn a_path_and_a_line_of_one_colour_differ_in_the_legend() {
    let (mut figure, tables) = figure_with(Mark::Line, LOG_Y, &[&[[1.0, 1.0], [2.0, 2.0]], &[[1.0, 2.0], [2.0, 1.0]]]);
    (figure.panels[0].curves[1].mark, figure.panels[0].curves[1].colour) = (Mark::Path, 0);
    let (svg, _, notices) = seen(&figure, &tables);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let legend = document.descendants().find(|node| node.has_attribute("data-legend")).unwrap();
    let widths: Vec<&str> = legend.descendants().filter_map(|node| node.attribute("stroke-width")).collect();
    assert_eq!((widths, notices.len()), (vec!["1.8", "0.9", "0.9"], 0), "as they are drawn");
}

#[test]
fn shades_begin_anew_with_every_replica() {
    let (mut figure, mut tables) = figure_with(Mark::Dots, LOG_Y, &[&[[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]]]);
    tables.insert("other".into(), table(&[[4.0, 4.0], [5.0, 5.0]]));
    tables.insert("short".into(), table(&[[6.0, 6.0]]));
    for name in ["other", "short"] {
        let rows = Rows { table: name.into(), settings: BTreeMap::new() };
        figure.panels[0].curves[0].replicas.push(vec![rows]);
    }
    figure.panels[0].curves[0].unnamed = true;
    let (svg, caption, notices) = seen(&figure, &tables);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let dots = document.descendants().filter(|node| node.has_tag_name("circle"));
    let shades: Vec<&str> = dots.map(|dot| dot.attribute("fill-opacity").unwrap_or("1")).collect();
    assert_eq!(shades, ["0.25", "0.63", "1", "0.25", "1", "1"]);
    assert_eq!(caption, "Every dot is one moment of one run, the paler the earlier.");
    assert_eq!(notices, [""; 0]);
}

#[test]
fn error_bars_end_at_the_frame() {
    let (mut figure, mut tables) = figure_with(Mark::Points, LOG_Y, &[&[[1.0, 1.0], [2.0, 3.0]]]);
    tables.insert("other".into(), table(&[[1.0, 100.0], [2.0, 4.0]]));
    figure.panels[0].curves[0].replicas.push(vec![Rows { table: "other".into(), settings: BTreeMap::new() }]);
    figure.panels[0].y.range = Some([1.5, 60.0]);
    let (svg, caption, _) = seen(&figure, &tables);
    let (plot, _, vertices) = parts(&svg);
    assert!(vertices.iter().all(|(_, y)| (plot.y - 0.01..=plot.y + plot.height + 0.01).contains(y)), "{vertices:?}");
    assert_eq!(
        caption,
        "Points are means over 2 runs; error bars: mean ± 1 standard deviation of the runs, in logarithms."
    );
}

#[test]
fn captions_say_what_is_drawn() {
    let (mut figure, tables) = marked();
    let of = |figure: &Figure| seen(figure, &tables).1;
    assert_eq!(
        of(&figure),
        "In (a), (b) and (e), every point, every bar and every cell is one run. In (c) and (d), every dot is one \
         moment of one run, the paler the earlier; thin lines, arrows and stars show single runs. In (e), dashed lines, from \
         below: xy = 2.6 and xy = 5."
    );
    figure.panels.truncate(1);
    assert_eq!(of(&figure), "Every point is one run.");
    let rows = Rows { table: "t".into(), settings: BTreeMap::new() };
    figure.panels[0].curves[0].replicas.push(vec![rows]);
    assert_eq!(of(&figure), "Points are means over 2 runs.", "which are equal");
    let mut dots = figure.panels[0].clone();
    (dots.id, dots.curves[0].mark) = ("b".into(), Mark::Dots);
    figure.panels.push(dots);
    assert_eq!(
        of(&figure),
        "In (a), points are means over 2 runs. In (b), every dot is one moment of one run, the paler the earlier."
    );
}
