//! Finds the curves of a figure that moved, and by how much.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use super::tables::share;
use base::table::{Table, Values};

/// The changes of the curves of a figure.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct FigureChange {
    /// Name of the figure's stage.
    pub figure: String,
    /// Whether the plotted numbers of both sides were available; if not, the curves were not compared.
    pub compared: bool,
    /// The curves that moved, in the figure's order.
    pub moved: Vec<CurveChange>,
    /// The curves that are equal bit by bit, including their spread and number of runs.
    pub same: Vec<String>,
    /// The curves that exist on only one side.
    pub only: [Vec<String>; 2],
}

/// The change of a curve at the point where it moved most, that is where the relative change of its mean is largest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CurveChange {
    /// The curve, as `panel: label`.
    pub curve: String,
    /// The x of the point.
    pub x: f64,
    /// The y of the point, in a heat map.
    pub y: Option<f64>,
    /// The means of both sides.
    pub values: [f64; 2],
    /// The change relative to the larger mean. The change is infinite (in JSON null) if a mean is not finite, and zero if only
    /// the spread or the number of runs differs.
    pub relative: f64,
    /// The change in standard deviations over the replicas (the root mean square of both, or the only one recorded). `None` if
    /// no standard deviation was recorded, or it is zero.
    pub deviations: Option<f64>,
    /// Number of points that moved.
    pub points: usize,
    /// Number of points that exist on only one side.
    pub points_only: [usize; 2],
}

/// The columns of numbers of a curve, the mean first.
const NUMBERS: [&str; 6] = ["mean", "std", "low", "high", "n", "diverged"];

/// The position of a point: the bits of x and y, and the number of earlier points of the curve at the same coordinates.
type Place = (u64, u64, usize);

struct Point {
    x: f64,
    y: Option<f64>,
    numbers: [f64; NUMBERS.len()],
}

/// Compares the plotted numbers of two figures.
pub(super) fn compare(figure: &str, a: &Table, b: &Table) -> FigureChange {
    let (Some(of_a), Some(mut of_b)) = (curves(a), curves(b)) else {
        return FigureChange { figure: figure.to_owned(), ..FigureChange::default() };
    };
    let mut change = FigureChange { figure: figure.to_owned(), compared: true, ..FigureChange::default() };
    for (name, points) in of_a {
        let Some(there) = of_b.iter().position(|(other, _)| *other == name) else {
            change.only[0].push(name);
            continue;
        };
        match moved(&name, &points, &of_b.remove(there).1) {
            Some(found) => change.moved.push(found),
            None => change.same.push(name),
        }
    }
    change.only[1] = of_b.into_iter().map(|(name, _)| name).collect();
    change
}

/// Returns the curves of a table of plotted numbers, in order; `None` if it is not such a table.
fn curves(table: &Table) -> Option<Vec<(String, BTreeMap<Place, Point>)>> {
    let text = |name: &str| match &table.columns().iter().find(|column| column.name == name)?.values {
        Values::Text(values) => Some(values),
        _ => None,
    };
    let (panels, labels, dashed, x) = (text("panel")?, text("curve")?, table.numbers("dashed")?, table.numbers("x")?);
    let y = table.numbers("y");
    let numbers: Vec<Vec<f64>> = NUMBERS.iter().map(|name| table.numbers(name)).collect::<Option<_>>()?;
    let mut curves: Vec<(String, BTreeMap<Place, Point>)> = Vec::new();
    let mut places: HashMap<(&str, &str, u64), usize> = HashMap::new();
    let mut again: HashMap<(usize, u64, u64), usize> = HashMap::new();
    for row in 0..table.rows() {
        let (panel, label) = (panels[row].as_str(), labels[row].as_str());
        let curve = *places.entry((panel, label, dashed[row].to_bits())).or_insert_with(|| {
            let dash = if dashed[row] == 0.0 { "" } else { ", dashed" };
            curves.push((format!("{panel}: {label}{dash}"), BTreeMap::new()));
            curves.len() - 1
        });
        let point =
            Point { x: x[row], y: y.as_ref().map(|y| y[row]), numbers: std::array::from_fn(|i| numbers[i][row]) };
        let bits = (point.x.to_bits(), point.y.unwrap_or_default().to_bits());
        let count = again.entry((curve, bits.0, bits.1)).or_default();
        curves[curve].1.insert((bits.0, bits.1, *count), point);
        *count += 1;
    }
    Some(curves)
}

/// Returns how a curve moved; `None` if it did not.
fn moved(name: &str, a: &BTreeMap<Place, Point>, b: &BTreeMap<Place, Point>) -> Option<CurveChange> {
    let bits = |point: &Point| point.numbers.map(f64::to_bits);
    let both = a.iter().filter_map(|(place, point)| Some((point, b.get(place)?)));
    let others: Vec<_> = both.clone().filter(|(a, b)| bits(a) != bits(b)).collect();
    let shared = both.count();
    let points_only = [a.len() - shared, b.len() - shared];
    if others.is_empty() && points_only == [0, 0] {
        return None;
    }
    let relative = |(a, b): &(&Point, &Point)| share(a.numbers[0], b.numbers[0]);
    let most = others.iter().max_by(|one, other| relative(one).total_cmp(&relative(other)));
    let nan = Point { x: f64::NAN, y: None, numbers: [f64::NAN; NUMBERS.len()] };
    let (a, b) = most.copied().unwrap_or((&nan, &nan));
    let deviations = pooled(a.numbers[1], b.numbers[1]).map(|std| (b.numbers[0] - a.numbers[0]).abs() / std);
    Some(CurveChange {
        curve: name.to_owned(),
        x: a.x,
        y: a.y.filter(|y| !y.is_nan()),
        values: [a.numbers[0], b.numbers[0]],
        relative: relative(&(a, b)),
        deviations: deviations.filter(|deviations| deviations.is_finite()),
        points: others.len(),
        points_only,
    })
}

fn pooled(a: f64, b: f64) -> Option<f64> {
    let std = match (a.is_finite(), b.is_finite()) {
        (true, true) => ((a * a + b * b) / 2.0).sqrt(),
        (true, false) => a,
        _ => b,
    };
    (std.is_finite() && std > 0.0).then_some(std)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::table::Column;

    /// Rows of panel, curve, x, mean, std.
    fn table(rows: &[(&str, &str, f64, f64, f64)]) -> Table {
        let text = |name: &str, value: fn(&(&str, &str, f64, f64, f64)) -> String| Column {
            name: name.into(),
            values: Values::Text(rows.iter().map(value).collect()),
        };
        let float = |name: &str, value: fn(&(&str, &str, f64, f64, f64)) -> f64| Column {
            name: name.into(),
            values: Values::Float(rows.iter().map(value).collect()),
        };
        let columns = vec![
            text("panel", |row| row.0.into()),
            text("curve", |row| row.1.into()),
            float("dashed", |_| 0.0),
            float("x", |row| row.2),
            float("mean", |row| row.3),
            float("std", |row| row.4),
            float("low", |row| row.3 - row.4),
            float("high", |row| row.3 + row.4),
            float("n", |_| 3.0),
            float("diverged", |_| 0.0),
        ];
        Table::new(columns).unwrap()
    }

    #[test]
    fn curves_move_stay_come_and_go() {
        let nan = f64::NAN;
        let a = [
            ("a", "u", 0.0, 1.0, 0.1),
            ("a", "u", 1.0, 10.0, 3.0),
            ("b", "v", 0.0, 5.0, nan),
            ("b", "w", 0.0, 1.0, nan),
        ];
        let mut b = a;
        (b[0].3, b[1].3, b[1].4, b[3].1) = (2.0, 12.0, 4.0, "z");
        let change = compare("fig", &table(&a), &table(&b));
        assert!(change.compared);
        assert_eq!(
            (change.same, change.only),
            (vec!["b: v".to_owned()], [vec!["b: w".to_owned()], vec!["b: z".to_owned()]])
        );
        let [moved] = &change.moved[..] else { panic!("{:?}", change.moved) };
        let found = (moved.curve.as_str(), moved.x, moved.values, moved.relative, moved.points, moved.points_only);
        assert_eq!(found, ("a: u", 0.0, [1.0, 2.0], 0.5, 2, [0, 0]));
        assert!((moved.deviations.unwrap() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn points_are_told_apart_where_places_repeat_and_other_tables_are_none() {
        let path = [("a", "p", 1.0, 1.0, f64::NAN), ("a", "p", 1.0, 2.0, f64::NAN)];
        let moved = |b: &[(&str, &str, f64, f64, f64)]| compare("fig", &table(&path), &table(b)).moved;
        assert!(moved(&path).is_empty());
        assert_eq!(moved(&[path[0]])[0].points_only, [1, 0]);
        assert_eq!(moved(&[path[0], ("a", "p", 1.0, 3.0, f64::NAN)])[0].values, [2.0, 3.0]);
        assert!(!compare("fig", &table(&path), &Table::of_rows(["x"], &[[1.0]])).compared);
    }
}
