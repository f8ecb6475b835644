//! Aggregation over replicas: the numbers of a curve and its band.

use std::collections::{BTreeMap, BTreeSet};

use super::rows::{Row, rows};
use super::{FigureError, spread};
use base::stats;
use base::table::{Column, Table, Values};
use base::work::{Curve, Figure, Mark, Panel, Scale};

/// Numbers of a curve at one place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Horizontal position.
    pub x: f64,
    /// Vertical value of a heat map's cell; NaN for other marks.
    pub y: f64,
    /// Mean of the finite values; NaN if there is none.
    pub mean: f64,
    /// Lower end of the band or error bar, see [`spread`]; the mean if there is none.
    pub low: f64,
    /// Upper end of the band or error bar.
    pub high: f64,
    /// Sample standard deviation (n − 1); NaN for fewer than two values.
    pub std: f64,
    /// Number of finite values.
    pub n: i64,
    /// Number of replicas with a value here that is not finite.
    pub diverged: i64,
}

impl Point {
    /// Checks whether the point has a band or an error bar.
    pub fn is_spread(&self) -> bool {
        self.low < self.high
    }

    /// Checks whether this is not a point but the separator between the rows of two replicas.
    pub fn is_break(&self) -> bool {
        self.n == 0 && self.diverged == 0
    }
}

/// Returns the plotted numbers, one row per curve and x, curves in the figure's order and x ascending. The columns are
/// `panel` (its id), `curve` (its label), `dashed` (1 or 0), `x`, then over the replicas that have this x: `mean` and `std`
/// (sample standard deviation, n − 1) of the finite values, `low` and `high` (the ends of the band: mean ∓ std, on a
/// logarithmic axis computed from the logarithms), `n` (the number of finite values) and `diverged` (the number of values
/// that are not finite). A single value has std NaN; its band comes from its own error if the curve names one, otherwise
/// low = high = mean. The order of replicas and rows does not change any bit of the result.
///
/// A figure with a heat map has another column `y`, and the map has one row per x and y. Curves that show every row
/// (not [`Mark::is_mean`]) have one row for each, in their order, with the value as `mean`; for paths and dots, a row of NaN
/// with `n` and `diverged` 0 separates the replicas.
///
/// # Errors
/// If a table or column is missing, an x is not finite, a replica has two values at one x, or panels or
/// curves cannot be distinguished.
pub fn numbers(figure: &Figure, tables: &BTreeMap<String, Table>) -> Result<Table, FigureError> {
    names_differ(figure)?;
    let mut rows: Vec<(&Panel, &Curve, Point)> = Vec::new();
    for panel in &figure.panels {
        for curve in &panel.curves {
            rows.extend(aggregate(panel, curve, tables)?.into_iter().map(|point| (panel, curve, point)));
        }
    }
    let text = |name: &str, value: &dyn Fn(&Panel, &Curve) -> String| Column {
        name: name.to_owned(),
        values: Values::Text(rows.iter().map(|(panel, curve, _)| value(panel, curve)).collect()),
    };
    let float = |name: &str, value: fn(&Point) -> f64| Column {
        name: name.to_owned(),
        values: Values::Float(rows.iter().map(|(_, _, point)| value(point)).collect()),
    };
    let int = |name: &str, value: &dyn Fn(&Curve, &Point) -> i64| Column {
        name: name.to_owned(),
        values: Values::Int(rows.iter().map(|(_, curve, point)| value(curve, point)).collect()),
    };
    let mut columns = vec![
        text("panel", &|panel, _| panel.id.clone()),
        text("curve", &|_, curve| curve.label.clone()),
        int("dashed", &|curve, _| i64::from(curve.dashed)),
        float("x", |point| point.x),
        float("mean", |point| point.mean),
        float("std", |point| point.std),
        float("low", |point| point.low),
        float("high", |point| point.high),
        int("n", &|_, point| point.n),
        int("diverged", &|_, point| point.diverged),
    ];
    if figure.panels.iter().flat_map(|panel| &panel.curves).any(|curve| curve.mark == Mark::Heat) {
        columns.insert(4, float("y", |point| point.y));
    }
    Table::new(columns).map_err(|e| FigureError::Numbers(e.to_string()))
}

/// Returns the points of every panel and curve; the inverse of [`numbers`].
pub(super) fn series(figure: &Figure, numbers: &Table) -> Result<Vec<Vec<Vec<Point>>>, FigureError> {
    names_differ(figure)?;
    let mut place = BTreeMap::new();
    for (p, panel) in figure.panels.iter().enumerate() {
        for (c, curve) in panel.curves.iter().enumerate() {
            place.insert((panel.id.as_str(), curve.label.as_str(), curve.dashed), (p, c));
        }
    }
    let absent = |name: &str| FigureError::Numbers(format!("there is no column `{name}`"));
    let text = |name: &str| match numbers.columns().iter().find(|column| column.name == name).map(|c| &c.values) {
        Some(Values::Text(values)) => Ok(values),
        _ => Err(absent(name)),
    };
    let float = |name: &str| numbers.numbers(name).ok_or_else(|| absent(name));
    let (panels, curves, dashed) = (text("panel")?, text("curve")?, float("dashed")?);
    let (x, mean, std, low) = (float("x")?, float("mean")?, float("std")?, float("low")?);
    let (high, n, diverged) = (float("high")?, float("n")?, float("diverged")?);
    let y = numbers.numbers("y").unwrap_or_else(|| vec![f64::NAN; numbers.rows()]);
    let mut series: Vec<Vec<Vec<Point>>> = figure.panels.iter().map(|p| vec![Vec::new(); p.curves.len()]).collect();
    for row in 0..numbers.rows() {
        let Some(&(p, c)) = place.get(&(panels[row].as_str(), curves[row].as_str(), dashed[row] != 0.0)) else {
            let what = format!("it has no curve `{}` in a panel `{}`", curves[row], panels[row]);
            return Err(FigureError::Numbers(what));
        };
        let (n, diverged) = (n[row] as i64, diverged[row] as i64);
        let (mean, std, low, high) = (mean[row], std[row], low[row], high[row]);
        let point = Point { x: x[row], y: y[row], mean, std, low, high, n, diverged };
        // The position of a bar is the index of its curve in the panel.
        let x = if figure.panels[p].curves[c].mark == Mark::Bars { c as f64 } else { point.x };
        series[p][c].push(Point { x, ..point });
    }
    Ok(series)
}

pub(super) fn names_differ(figure: &Figure) -> Result<(), FigureError> {
    let mut panels = BTreeSet::new();
    for panel in &figure.panels {
        let twice = |what: String| FigureError::Twice { panel: panel.id.clone(), what };
        if !panels.insert(&panel.id) {
            return Err(twice("its id".into()));
        }
        let mut curves = BTreeSet::new();
        if let Some(curve) = panel.curves.iter().find(|curve| !curves.insert((&curve.label, curve.dashed))) {
            return Err(twice(format!("a {}curve `{}`", if curve.dashed { "dashed " } else { "" }, curve.label)));
        }
    }
    Ok(())
}

pub(super) fn aggregate(
    panel: &Panel,
    curve: &Curve,
    tables: &BTreeMap<String, Table>,
) -> Result<Vec<Point>, FigureError> {
    let mut values: BTreeMap<(Ordered, Ordered), Vec<Value>> = BTreeMap::new();
    let mut single = Vec::new();
    // The cells of a heat map show no spread.
    let scale = if curve.mark == Mark::Heat { Scale::Linear } else { panel.y.scale };
    for replica in 0..curve.replicas.len() {
        let rows = rows(&panel.id, curve, replica, tables)?;
        if curve.mark.is_mean() {
            for row in one_at_a_place(&panel.id, curve, replica, rows)? {
                values.entry((Ordered(row.x), Ordered(row.y))).or_default().push(Value::of(&row));
            }
        } else {
            if matches!(curve.mark, Mark::Path | Mark::Dots) && !single.is_empty() {
                single.push(summary(f64::NAN, f64::NAN, Vec::new(), scale));
            }
            single.extend(rows.iter().map(|row| alone(row, scale)));
        }
    }
    single.extend(values.into_iter().map(|((x, y), values)| summary(x.0, y.0, values, scale)));
    Ok(single)
}

/// Returns the points (x, y) of every replica of a curve, x ascending. `what` is the name of the curve's owner in messages.
///
/// # Errors
/// See [`numbers`].
pub fn replica_points(
    what: &str,
    curve: &Curve,
    tables: &BTreeMap<String, Table>,
) -> Result<Vec<Vec<(f64, f64)>>, FigureError> {
    let points = |replica| {
        let rows = one_at_a_place(what, curve, replica, rows(what, curve, replica, tables)?)?;
        Ok(rows.into_iter().map(|row| (row.x, row.value)).collect())
    };
    (0..curve.replicas.len()).map(points).collect()
}

/// Returns one row of a replica for each place, and refuses places that are not finite.
pub(super) fn one_at_a_place(
    panel: &str,
    curve: &Curve,
    replica: usize,
    rows: Vec<Row>,
) -> Result<Vec<Row>, FigureError> {
    let (panel, label) = (panel.to_owned(), curve.label.clone());
    let mut found: BTreeMap<(Ordered, Ordered), Row> = BTreeMap::new();
    for row in rows {
        let place = if curve.mark == Mark::Heat { row.y } else { 0.0 };
        for (column, value) in [(&curve.x, row.x), (&curve.y, place)] {
            if !value.is_finite() {
                let column = column.clone();
                return Err(FigureError::Position { panel, curve: label, table: row.table, column, value });
            }
        }
        // Adding 0 makes −0 and 0 one place.
        let key = (Ordered(row.x + 0.0), Ordered(place + 0.0));
        match found.get(&key) {
            Some(before) if curve.last && before.epoch > row.epoch => {}
            // Two rows of the same epoch contradict each other: neither is the last.
            Some(before) if !(before.says_the_same(&row) || curve.last && before.epoch < row.epoch) => {
                return Err(FigureError::Conflict { panel, curve: label, replica, x: row.x });
            }
            _ => {
                found.insert(
                    key,
                    Row { x: key.0.0, y: if curve.mark == Mark::Heat { place + 0.0 } else { f64::NAN }, ..row },
                );
            }
        }
    }
    Ok(found.into_values().collect())
}

/// Returns the point of a single row. A row that is not finite in x or y has no value.
pub(super) fn alone(row: &Row, scale: Scale) -> Point {
    if row.x.is_finite() {
        summary(row.x, f64::NAN, vec![Value::of(row)], scale)
    } else {
        summary(f64::NAN, f64::NAN, vec![Value { value: f64::NAN, error: f64::NAN }], scale)
    }
}

/// A value with its own standard error, or NaN if that is unknown.
struct Value {
    value: f64,
    error: f64,
}

impl Value {
    fn of(row: &Row) -> Self {
        Self { value: row.value, error: row.error }
    }
}

fn summary(x: f64, y: f64, values: Vec<Value>, scale: Scale) -> Point {
    let own_error = |only: f64| values.iter().find(|value| value.value == only).map_or(f64::NAN, |value| value.error);
    let mut finite: Vec<f64> = values.iter().map(|value| value.value).filter(|value| value.is_finite()).collect();
    // Sums depend on the order of their terms. Sorting makes them independent of the order of the replicas.
    finite.sort_by(f64::total_cmp);
    let (n, diverged) = (finite.len() as i64, (values.len() - finite.len()) as i64);
    let (mean, std, low, high) = match finite[..] {
        // NaN is a constant here, because the sign of a computed NaN differs between processors.
        [] => (f64::NAN, f64::NAN, f64::NAN, f64::NAN),
        [only] => {
            let (low, high) = spread::of_estimate(only, own_error(only), scale);
            (only, f64::NAN, low, high)
        }
        _ => {
            let (low, high) = spread::of_runs(&finite, scale);
            (stats::mean(&finite), stats::deviation(&finite), low, high)
        }
    };
    Point { x, y, mean, std, low, high, n, diverged }
}

/// A number with the total order of floats.
#[derive(Clone, Copy)]
pub(super) struct Ordered(pub f64);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::figure::tests::{curve, figure_of};

    fn table(rows: &[[f64; 2]]) -> Table {
        Table::of_rows(["x", "y"], rows)
    }

    fn points(replicas: &[&[[f64; 2]]]) -> Vec<Point> {
        let tables = (0..).zip(replicas).map(|(i, rows): (usize, _)| (format!("t{i}"), table(rows))).collect();
        let names: Vec<Vec<String>> = (0..replicas.len()).map(|i| vec![format!("t{i}")]).collect();
        let mut figure = figure_of(vec![curve("c", names)]);
        figure.panels[0].y.scale = Scale::Linear;
        let numbers = numbers(&figure, &tables).unwrap();
        series(&figure, &numbers).unwrap().remove(0).remove(0)
    }

    #[test]
    fn aggregates_agree_with_hand_computed_numbers() {
        let nan = f64::NAN;
        let found =
            points(&[&[[2.0, 5.0], [1.0, 1.0]], &[[1.0, 2.0], [2.0, nan]], &[[1.0, 6.0], [2.0, 7.0], [3.0, 4.0]]]);
        // x = 1: 1, 2, 6: mean 3, variance (4 + 1 + 9)/2 = 7; x = 2: 5, 7 and a NaN; x = 3: one value.
        let root = 7_f64.sqrt();
        let expected = [
            [1.0, 3.0, root, 3.0 - root, 3.0 + root, 3.0, 0.0],
            [2.0, 6.0, 2_f64.sqrt(), 6.0 - 2_f64.sqrt(), 6.0 + 2_f64.sqrt(), 2.0, 1.0],
            [3.0, 4.0, nan, 4.0, 4.0, 1.0, 0.0],
        ];
        assert_eq!(found.len(), expected.len());
        for (p, want) in found.iter().zip(expected) {
            let have = [p.x, p.mean, p.std, p.low, p.high, p.n as f64, p.diverged as f64];
            let close = |(a, b): (f64, f64)| (a - b).abs() < 1e-14 || a.is_nan() && b.is_nan();
            assert!(have.into_iter().zip(want).all(close), "{have:?} {want:?}");
        }
        let [only] = points(&[&[[0.0, nan]], &[[-0.0, f64::INFINITY]]])[..] else { panic!("one x") };
        assert!(only.mean.is_nan() && only.low.is_nan() && (only.n, only.diverged) == (0, 2));
        let [large] = points(&[&[[0.0, 1.6e308]], &[[0.0, 1.4e308]]])[..] else { panic!("one x") };
        assert!((large.mean / 1.5e308 - 1.0).abs() < 1e-12 && (large.std / 1.414_213_562_373e307 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let tables = BTreeMap::from([("t".to_owned(), table(&[[1.0, 2.0]])), ("u".to_owned(), table(&[[1.0, 3.0]]))]);
        let run = |curve: Curve| numbers(&figure_of(vec![curve]), &tables).unwrap_err().to_string();
        let with = |names: &[&str]| curve("LR", vec![names.iter().map(|&name| name.to_owned()).collect()]);
        assert_eq!(run(with(&["t", "v"])), "panel `a`, curve `LR`: there is no table `v`");
        assert_eq!(run(with(&["t", "u"])), "panel `a`, curve `LR`: replica 0 has two values at x = 1");
        let other = Curve { y: "loss".into(), ..with(&["t"]) };
        assert_eq!(run(other), "panel `a`, curve `LR`: table `t` has no column of numbers `loss`");
        let twice = figure_of(vec![with(&["t"]), with(&["u"])]);
        assert!(matches!(numbers(&twice, &tables), Err(FigureError::Twice { .. })));
        let bad = BTreeMap::from([("t".to_owned(), table(&[[f64::NAN, 2.0]]))]);
        assert!(matches!(numbers(&figure_of(vec![with(&["t"])]), &bad), Err(FigureError::Position { .. })));
        let good = figure_of(vec![with(&["t"])]);
        assert!(matches!(series(&good, &table(&[])), Err(FigureError::Numbers(_))));
        let foreign = numbers(&figure_of(vec![curve("else", vec![vec!["t".into()]])]), &tables).unwrap();
        assert!(matches!(series(&good, &foreign), Err(FigureError::Numbers(_))));
    }

    proptest! {
        #[test]
        fn order_of_replicas_and_rows_does_not_matter(
            rows in proptest::collection::vec(proptest::collection::vec(any::<f64>(), 6), 1..6),
            turn in 0_usize..6,
        ) {
            let replicas: Vec<Vec<[f64; 2]>> =
                rows.iter().map(|ys| (0..).map(f64::from).zip(ys).map(|(x, &y)| [x, y]).collect()).collect();
            let mut turned: Vec<Vec<[f64; 2]>> = replicas.iter().rev().cloned().collect();
            turned.iter_mut().for_each(|rows| rows.rotate_left(turn));
            let all = |replicas: &[Vec<[f64; 2]>]| {
                let bits = |p: Point| [p.x, p.mean, p.std, p.low, p.high, p.n as f64, p.diverged as f64].map(f64::to_bits);
                points(&replicas.iter().map(Vec::as_slice).collect::<Vec<_>>()).into_iter().map(bits).collect::<Vec<_>>()
            };
            prop_assert_eq!(all(&replicas), all(&turned));
        }
    }
}
