//! Compares the numbers of two tables.

use std::collections::{HashMap, HashSet};

use serde::Serialize;

use base::table::Table;

/// Two numbers that differ, and their position.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Largest {
    /// |b − a|, or its ratio to the larger of |a| and |b|; infinite (in JSON null) if one of them is not finite.
    pub change: f64,
    /// The numbers a and b.
    pub values: [f64; 2],
    /// The stage, by its name in the first closure.
    pub stage: String,
    /// The row, named by its first column, as in `epoch 16`, or by its number from 0, as in `row 3`.
    pub row: String,
}

/// The largest differences in a column over the tables of some stages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ColumnChange {
    /// The output that holds the table.
    pub output: String,
    /// The column.
    pub column: String,
    /// The largest absolute difference.
    pub absolute: Largest,
    /// The largest relative difference.
    pub relative: Largest,
}

/// Returns |b − a|: zero if both are the same number or both are NaN, infinite if only one of them is finite.
pub(super) fn gap(a: f64, b: f64) -> f64 {
    match a.to_bits() == b.to_bits() || a == b || (a.is_nan() && b.is_nan()) {
        true => 0.0,
        false if a.is_finite() && b.is_finite() => (b - a).abs(),
        false => f64::INFINITY,
    }
}

/// Returns the [`gap`] relative to the larger magnitude.
pub(super) fn share(a: f64, b: f64) -> f64 {
    let gap = gap(a, b);
    if gap == 0.0 || gap.is_infinite() { gap } else { gap / a.abs().max(b.abs()) }
}

/// Returns the columns of numbers that differ between two tables of a stage. Rows are matched by the number in the first
/// column (such as an epoch) if it is unique in every row, or else by their position.
pub(super) fn compare(stage: &str, output: &str, a: &Table, b: &Table) -> Vec<ColumnChange> {
    let Some(first) = a.columns().first() else { return Vec::new() };
    let positions = [a, b].map(|table| table.numbers(&first.name).filter(|numbers| all_differ(numbers)));
    let rows = match &positions {
        [Some(a), Some(b)] => aligned(a, b),
        _ => (0..a.rows().min(b.rows())).map(|row| (row, row)).collect(),
    };
    let mut changes = Vec::new();
    for column in a.columns() {
        let (Some(of_a), Some(of_b)) = (a.numbers(&column.name), b.numbers(&column.name)) else { continue };
        let largest = |measure: fn(f64, f64) -> f64| {
            let measured = rows.iter().map(|&(i, j)| (measure(of_a[i], of_b[j]), i, j));
            let (change, i, j) = measured.max_by(|x, y| x.0.total_cmp(&y.0)).filter(|found| found.0 > 0.0)?;
            let row = match &positions {
                [Some(a), Some(_)] => format!("{} {}", first.name, a[i]),
                _ => format!("row {i}"),
            };
            Some(Largest { change, values: [of_a[i], of_b[j]], stage: stage.to_owned(), row })
        };
        if let (Some(absolute), Some(relative)) = (largest(gap), largest(share)) {
            changes.push(ColumnChange { output: output.to_owned(), column: column.name.clone(), absolute, relative });
        }
    }
    changes
}

/// Keeps the largest differences of each column.
pub(super) fn merge(into: &mut Vec<ColumnChange>, changes: Vec<ColumnChange>) {
    for change in changes {
        let same = |other: &&mut ColumnChange| other.output == change.output && other.column == change.column;
        match into.iter_mut().find(same) {
            Some(known) => {
                let larger = |known: &mut Largest, new: Largest| {
                    if new.change > known.change {
                        *known = new;
                    }
                };
                larger(&mut known.absolute, change.absolute);
                larger(&mut known.relative, change.relative);
            }
            None => into.push(change),
        }
    }
}

fn all_differ(numbers: &[f64]) -> bool {
    let mut seen = HashSet::new();
    numbers.iter().all(|number| seen.insert(number.to_bits()))
}

fn aligned(a: &[f64], b: &[f64]) -> Vec<(usize, usize)> {
    let there: HashMap<u64, usize> = b.iter().enumerate().map(|(row, number)| (number.to_bits(), row)).collect();
    a.iter().enumerate().filter_map(|(row, number)| Some((row, *there.get(&number.to_bits())?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_change_of_a_column_is_found_with_its_row() {
        let a = Table::of_rows(["epoch", "loss", "norm"], &[[0.0, 2.0, 5.0], [1.0, 0.5, 5.0], [2.0, f64::NAN, 5.0]]);
        let b = Table::of_rows(["epoch", "loss", "norm"], &[[1.0, 0.75, 5.0], [0.0, 2.4, 5.0], [2.0, f64::NAN, 5.0]]);
        let found = compare("run", "metrics", &a, &b);
        assert_eq!(found.len(), 1, "norm and epoch are the same, and so is NaN");
        let ColumnChange { column, absolute, relative, .. } = &found[0];
        assert_eq!((column.as_str(), absolute.row.as_str(), absolute.values), ("loss", "epoch 0", [2.0, 2.4]));
        assert_eq!((relative.change, relative.row.as_str(), relative.values), (0.25 / 0.75, "epoch 1", [0.5, 0.75]));

        let mut merged = found.clone();
        let mut larger = found.clone();
        larger[0].absolute.change = 7.0;
        merge(&mut merged, larger);
        assert_eq!((merged.len(), merged[0].absolute.change, merged[0].relative.change), (1, 7.0, 0.25 / 0.75));
    }

    #[test]
    fn rows_without_a_position_are_compared_in_order_and_nan_is_as_far_as_it_gets() {
        let a = Table::of_rows(["x", "y"], &[[1.0, 1.0], [1.0, 2.0], [1.0, 9.0]]);
        let b = Table::of_rows(["x", "y"], &[[1.0, 1.0], [1.0, f64::NAN]]);
        let found = compare("s", "t", &a, &b);
        assert_eq!((found[0].absolute.change, found[0].absolute.row.as_str()), (f64::INFINITY, "row 1"));
        assert!(compare("s", "t", &Table::default(), &b).is_empty());
        assert_eq!((gap(0.0, -0.0), gap(f64::INFINITY, f64::INFINITY), share(0.0, 2.0)), (0.0, 0.0, 1.0));
    }
}
