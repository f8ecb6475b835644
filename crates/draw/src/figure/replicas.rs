//! The values of single replicas, beside the numbers that are drawn of them.

use std::collections::BTreeMap;

use super::FigureError;
use super::rows::rows;
use super::series::{Ordered, Point, aggregate, alone, names_differ, one_at_a_place};
use base::table::Table;
use base::work::{Curve, Figure, Panel};

/// A value of one replica of a curve.
#[derive(Debug, Clone)]
pub struct ReplicaValue<'a> {
    /// The panel.
    pub panel: &'a Panel,
    /// The curve.
    pub curve: &'a Curve,
    /// The table that holds the value.
    pub table: String,
    /// Horizontal position. It is finite, unless the curve shows every row.
    pub x: f64,
    /// Vertical position of a heat map's cell; NaN for other marks.
    pub y: f64,
    /// The value.
    pub value: f64,
    /// The drawn numbers at this place, over all replicas. A curve that shows every row has numbers of its own for each.
    pub point: Point,
}

/// Returns the values of every replica: curves in the figure's order, then replicas, then x (rows, if a curve shows every row).
///
/// # Errors
/// The same as for [`super::numbers`].
pub fn replica_values<'a>(
    figure: &'a Figure,
    tables: &BTreeMap<String, Table>,
) -> Result<Vec<ReplicaValue<'a>>, FigureError> {
    names_differ(figure)?;
    let mut values = Vec::new();
    for panel in &figure.panels {
        for curve in &panel.curves {
            let scale = panel.y.scale;
            let mut drawn = BTreeMap::new();
            if curve.mark.is_mean() {
                let points = aggregate(panel, curve, tables)?.into_iter();
                drawn.extend(points.map(|point| ((Ordered(point.x), Ordered(point.y)), point)));
            }
            for replica in 0..curve.replicas.len() {
                let mut rows = rows(&panel.id, curve, replica, tables)?;
                if curve.mark.is_mean() {
                    rows = one_at_a_place(&panel.id, curve, replica, rows)?;
                }
                values.extend(rows.into_iter().map(|row| {
                    let point = drawn.get(&(Ordered(row.x), Ordered(row.y))).copied();
                    let point = point.unwrap_or_else(|| alone(&row, scale));
                    let y = if curve.mark.is_mean() { row.y } else { f64::NAN };
                    ReplicaValue { panel, curve, table: row.table, x: row.x, y, value: row.value, point }
                }));
            }
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::tests::{curve, figure_of};
    use base::work::Mark;

    #[test]
    fn every_value_is_listed_beside_what_is_drawn_of_it() {
        let table = |rows: &[[f64; 2]]| Table::of_rows(["x", "y"], rows);
        let tables = BTreeMap::from([
            ("a".to_owned(), table(&[[2.0, 5.0], [1.0, 1.0]])),
            ("b".to_owned(), table(&[[1.0, 3.0], [2.0, f64::NAN]])),
        ]);
        let mean = curve("c", vec![vec!["a".into()], vec!["b".into()]]);
        let listed = |mark| {
            let figure = figure_of(vec![Curve { mark, ..mean.clone() }]);
            let values = replica_values(&figure, &tables).unwrap();
            let line = |one: &ReplicaValue<'_>| {
                let ReplicaValue { table, x, value, point, .. } = one;
                format!("{table} {x} {value} {} {} {}", point.mean, point.n, point.diverged)
            };
            values.iter().map(line).collect::<Vec<_>>()
        };
        assert_eq!(listed(Mark::Line), ["a 1 1 2 2 0", "a 2 5 5 1 1", "b 1 3 2 2 0", "b 2 NaN 5 1 1"]);
        assert_eq!(listed(Mark::Path), ["a 2 5 5 1 0", "a 1 1 1 1 0", "b 1 3 3 1 0", "b 2 NaN NaN 0 1"]);
    }
}
