//! Tests of bands and error bars, and of their description in the caption.

use super::*;

/// Returns a figure of one panel with one curve over some runs, each with rows (x, y, error).
fn figure_with(mark: Mark, y: Scale, error: bool, runs: &[&[[f64; 3]]]) -> (Figure, BTreeMap<String, Table>) {
    let names: Vec<String> = (0..runs.len()).map(|i| format!("t{i}")).collect();
    let replicas = names.iter().map(|name| vec![name.clone()]).collect();
    let mut figure = figure_of(vec![Curve { mark, error: error.then(|| "e".into()), ..curve("c", replicas) }]);
    figure.panels[0].y.scale = y;
    (figure, names.into_iter().zip(runs).map(|(name, rows)| (name, Table::of_rows(["x", "y", "e"], rows))).collect())
}

/// Returns the lower and upper end at every point, and the text at the foot.
fn seen(figure: &Figure, tables: &BTreeMap<String, Table>) -> (Vec<(f64, f64)>, String) {
    check_labels(figure, tables);
    let numbers = numbers(figure, tables).unwrap();
    let points = series::series(figure, &numbers).unwrap().remove(0).remove(0);
    (points.iter().map(|point| (point.low, point.high)).collect(), caption(figure, &numbers).unwrap())
}

#[test]
fn bands_on_a_log_axis_end_above_its_floor() {
    let nan = f64::NAN;
    let low: &[[f64; 3]] = &[[0.0, 80.0, nan], [1.0, 2.0, nan], [2.0, 1.0, nan]];
    let high: &[[f64; 3]] = &[[0.0, 90.0, nan], [1.0, 60.0, nan], [2.0, 55.0, nan]];
    let (figure, tables) = figure_with(Mark::Line, Scale::Log, false, &[low, low, high]);
    let (ends, caption) = seen(&figure, &tables);
    assert!(ends.iter().all(|(low, high)| *low > 0.3 && *high < 100.0), "{ends:?}");
    assert_eq!(caption, "Lines are means over 3 runs; bands: mean ± 1 standard deviation of the runs, in logarithms.");
    // The whole band is inside the frame.
    let svg = drawn(&figure, &tables);
    let (plot, _, vertices) = parts(&svg);
    assert!(vertices.iter().all(|(_, y)| (plot.y..=plot.y + plot.height).contains(y)), "{plot:?} {vertices:?}");
    // The mean and its deviation are those of the numbers themselves, on either axis.
    let (linear, _) = figure_with(Mark::Line, Scale::Linear, false, &[low, low, high]);
    let columns = |figure: &Figure| {
        let numbers = numbers(figure, &tables).unwrap();
        ["mean", "std"].map(|name| numbers.numbers(name).unwrap())
    };
    assert_eq!(columns(&figure), columns(&linear));
    let (ends, caption) = seen(&linear, &tables);
    assert!(ends[2].0 < 0.0, "{ends:?}");
    assert_eq!(caption, "Lines are means over 3 runs; bands: mean ± 1 standard deviation of the runs.");
}

#[test]
fn the_caption_says_which_axes_count_in_logarithms_and_where_there_is_no_band() {
    let zero: &[[f64; 3]] = &[[0.0, 0.0, 0.0], [1.0, 2.0, 0.0]];
    let other: &[[f64; 3]] = &[[0.0, 3.0, 0.0], [1.0, 1.0, 0.0]];
    let (mut figure, tables) = figure_with(Mark::Points, Scale::Log, false, &[zero, other]);
    let (ends, words) = seen(&figure, &tables);
    assert_eq!(ends[0], (1.5, 1.5));
    let of_runs = "error bars: mean ± 1 standard deviation of the runs, in logarithms";
    assert_eq!(words, format!("Points are means over 2 runs; {of_runs}, none where a run is 0 or less."));
    let mut linear = figure.panels[0].clone();
    (linear.id, linear.y.scale, linear.curves[0].mark) = ("b".into(), Scale::Linear, Mark::Line);
    figure.panels.push(linear);
    let words = caption(&figure, &numbers(&figure, &tables).unwrap()).unwrap();
    let of_runs = "bands and error bars: mean ± 1 standard deviation of the runs, on log axes in logarithms";
    assert_eq!(words, format!("Lines and points are means over 2 runs; {of_runs}, none where a run is 0 or less."));
}

#[test]
fn one_run_shows_the_error_of_its_estimates_and_several_their_spread() {
    let one: &[[f64; 3]] = &[[0.0, 10.0, 2.0], [1.0, 20.0, 4.0]];
    let exact: &[[f64; 3]] = &[[0.0, 10.0, 0.0], [1.0, 20.0, 0.0]];
    let estimate = "± 1 standard error of the estimate";
    for (mark, noun, bars) in [(Mark::Line, "line", "bands"), (Mark::Points, "point", "error bars")] {
        let (figure, tables) = figure_with(mark, Scale::Linear, true, &[one]);
        let (ends, caption) = seen(&figure, &tables);
        assert_eq!(ends, [(8.0, 12.0), (16.0, 24.0)]);
        assert_eq!(caption, format!("Every {noun} is one run; {bars}: {estimate}."));
        let paths = |figure: &Figure| drawn(figure, &tables).matches("<path").count();
        let plain = figure_with(mark, Scale::Linear, false, &[one]).0;
        assert!(paths(&figure) > paths(&plain), "{mark:?}: the error is drawn");
        // Exact values have no error, and neither has a curve that names none.
        for (error, rows) in [(true, exact), (false, one)] {
            let (figure, tables) = figure_with(mark, Scale::Linear, error, &[rows]);
            let (ends, caption) = seen(&figure, &tables);
            assert_eq!((ends[0], &*caption), ((10.0, 10.0), &*format!("Every {noun} is one run.")));
        }
        // The spread of several runs includes the errors of their estimates.
        let (figure, tables) = figure_with(mark, Scale::Linear, true, &[one, exact, &[[1.0, 26.0, 9.0]]]);
        let (ends, caption) = seen(&figure, &tables);
        assert_eq!(ends[0], (10.0, 10.0), "two equal runs");
        assert!((ends[1].1 - 22.0 - 12_f64.sqrt()).abs() < 1e-12, "{ends:?}");
        assert!(caption.contains("s are means over 3 runs; ") && !caption.contains("estimate"), "{caption}");
        let (figure, tables) = figure_with(mark, Scale::Linear, true, &[one, &[[1.0, 26.0, 9.0]]]);
        let (ends, caption) = seen(&figure, &tables);
        assert_eq!(ends[0], (8.0, 12.0));
        assert!(caption.ends_with(&format!("; {bars} where there is one run: {estimate}.")), "{caption}");
    }
    let (figure, tables) = figure_with(Mark::Dots, Scale::Log, true, &[one, exact]);
    let (ends, caption) = seen(&figure, &tables);
    assert!(ends[0].0 > 8.0 && ends[0].0 < 8.5 && ends[4].0 == 20.0, "{ends:?}");
    let dots = "Every dot is one moment of one run, the paler the earlier";
    assert_eq!(caption, format!("{dots}; error bars of dots: {estimate}."));
}

#[test]
fn epochs_on_an_axis_are_said_to_count_from_0() {
    let rows = Table::of_rows(["epoch", "x", "y"], &[[0.0, 0.0, 1.0], [2.0, 2.0, 4.0]]);
    let tables = BTreeMap::from([("t".to_owned(), rows)]);
    for (x, says) in [("epoch", true), ("epoch + 1", false), ("x", false)] {
        let figure = figure_of(vec![Curve { x: x.into(), ..curve("c", vec![vec!["t".into()]]) }]);
        let words = caption(&figure, &numbers(&figure, &tables).unwrap()).unwrap();
        assert_eq!(words.ends_with("Epochs count from 0; a value is that at the end of its epoch."), says, "{words}");
    }
    let bars = Curve { x: "epoch".into(), mark: Mark::Bars, ..curve("c", vec![vec!["t".into()]]) };
    let figure = figure_of(vec![Curve { last: true, ..bars }]);
    assert_eq!(caption(&figure, &numbers(&figure, &tables).unwrap()).unwrap(), "Every bar is one run.");
}
