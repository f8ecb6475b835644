//! Level *statistics*: compares results of another machine as samples of the same distribution.

use std::collections::BTreeMap;

use super::{Check, Level, Verdict};
use base::stats::{Sample, welch_of};
use base::table::{Table, Values};

/// The level of significance for all points together.
const FAMILY: f64 = 0.01;

/// A point of a figure: panel, curve, whether it is dashed, and the bits of its coordinates.
type Place = (String, String, bool, u64, u64);

/// Compares the plotted numbers of a figure as committed and as computed here. A point differs if its means differ
/// significantly at 1 % for all points together (Welch's test, Holm's correction). Points with fewer than two runs on
/// a side cannot be compared.
pub fn statistics(locked: &Table, here: &Table) -> Check {
    let mut check = Check::new(Level::Statistics);
    let (Some(a), Some(b)) = (points(locked), points(here)) else {
        check.found(Verdict::Differs, "the tables of plotted numbers have different columns");
        return check.summed_up("not compared");
    };
    let only = a.keys().filter(|place| !b.contains_key(*place)).chain(b.keys().filter(|place| !a.contains_key(*place)));
    if let Some((panel, curve, ..)) = only.clone().next() {
        let count = only.count();
        let what = format!("{count} points exist on only one side, such as in panel {panel}, curve `{curve}`");
        check.found(Verdict::Differs, what);
    }
    let mut tests = Vec::new();
    let (mut same, mut single) = (0, 0);
    for (place, (a, a_diverged)) in &a {
        let Some((b, b_diverged)) = b.get(place) else { continue };
        if a.mean.to_bits() == b.mean.to_bits() && a.std.to_bits() == b.std.to_bits() {
            same += 1;
        } else if a.n < 2 || b.n < 2 {
            single += 1;
        } else if let Some(test) = welch_of(*a, *b, a.mean.abs().max(b.mean.abs())) {
            let p = 2.0 * test.p_above(0.0).min(test.p_below(0.0));
            tests.push((p, place, a, b));
        } else {
            single += 1;
        }
        if a_diverged != b_diverged {
            let text = format!("{}: {a_diverged} runs diverged there, {b_diverged} here", told(place));
            check.findings.push(text);
        }
    }
    tests.sort_by(|a, b| a.0.total_cmp(&b.0));
    // Holm's correction: the k-th smallest p of m, counted from 0, is compared with α/(m − k).
    let count = tests.len();
    let significant = tests.iter().enumerate().take_while(|(k, (p, ..))| *p < FAMILY / (count - k) as f64).count();
    for (p, place, a, b) in &tests[..significant] {
        let text = format!(
            "{}: {} ± {} of {} there, {} ± {} of {} here (p = {p:.1e})",
            told(place),
            a.mean,
            a.std,
            a.n,
            b.mean,
            b.std,
            b.n
        );
        check.found(Verdict::Differs, text);
    }
    if single > 0 {
        let text = format!("{single} points have one run on a side, or no spread, and cannot be compared");
        check.findings.push(text);
    }
    if count == 0 && same < a.len() && check.verdict == Verdict::Holds {
        check.found(
            Verdict::Missing,
            "no point has two runs on both sides: add seeds (`make --until-width`) for a comparison",
        );
    }
    let smallest = tests.first().map_or(String::new(), |(p, ..)| format!(", smallest p = {p:.2e}"));
    check.summed_up(format!("{} points: {same} equal, {count} tested, {significant} differ{smallest}", a.len()))
}

fn told((panel, curve, dashed, x, y): &Place) -> String {
    let (x, y) = (f64::from_bits(*x), f64::from_bits(*y));
    let dashed = if *dashed { " (dashed)" } else { "" };
    let y = if y.is_nan() { String::new() } else { format!(", y = {y}") };
    format!("panel {panel}, curve `{curve}`{dashed}, x = {x}{y}")
}

/// Returns the points of a table of plotted numbers as samples of runs, with the number of diverged runs; `None` if it is
/// not such a table.
fn points(table: &Table) -> Option<BTreeMap<Place, (Sample, f64)>> {
    let text = |name: &str| match table.columns().iter().find(|column| column.name == name).map(|c| &c.values) {
        Some(Values::Text(values)) => Some(values),
        _ => None,
    };
    let (panel, curve) = (text("panel")?, text("curve")?);
    let number = |name: &str| table.numbers(name);
    let (dashed, x, mean, std) = (number("dashed")?, number("x")?, number("mean")?, number("std")?);
    let (n, diverged) = (number("n")?, number("diverged")?);
    let y = number("y").unwrap_or_else(|| vec![f64::NAN; table.rows()]);
    let mut points = BTreeMap::new();
    for row in 0..table.rows() {
        let place = (panel[row].clone(), curve[row].clone(), dashed[row] != 0.0, x[row].to_bits(), y[row].to_bits());
        let sample = Sample { mean: mean[row], std: std[row], n: n[row].max(0.0) as usize };
        points.insert(place, (sample, diverged[row]));
    }
    Some(points)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::rng::Stream;
    use base::table::Column;

    /// Twenty points, each the mean of `runs` normal draws, around `shift` for the first point and around 0 for the others.
    fn numbers(seed: u64, shift: f64, runs: usize) -> Table {
        let mut rows = Vec::new();
        let mut random = Stream::new(seed, "test", &[]);
        for x in 0..20 {
            let at = if x == 0 { shift } else { 0.0 };
            let values: Vec<f64> = (0..runs).map(|_| at + random.normal()).collect();
            let sample = Sample::of(&values);
            rows.push([0.0, f64::from(x), sample.mean, sample.std, runs as f64, 0.0]);
        }
        let numbers = Table::of_rows(["dashed", "x", "mean", "std", "n", "diverged"], &rows);
        let text = |name: &str| Column { name: name.into(), values: Values::Text(vec!["a".into(); 20]) };
        Table::new([vec![text("panel"), text("curve")], numbers.columns().to_vec()].concat()).unwrap()
    }

    #[test]
    fn samples_of_the_same_agree_and_a_shift_is_found() {
        let wrong = (0..200).filter(|seed| {
            statistics(&numbers(2 * seed, 0.0, 5), &numbers(2 * seed + 1, 0.0, 5)).verdict != Verdict::Holds
        });
        assert!(wrong.count() <= 8, "1 % of 200 are 2, with three standard deviations 6");
        let shifted = statistics(&numbers(1, 0.0, 5), &numbers(2, 12.0, 5));
        assert_eq!(shifted.verdict, Verdict::Differs);
        assert!(shifted.findings[0].starts_with("panel a, curve `a`, x = 0: "), "{:?}", shifted.findings);
    }

    #[test]
    fn what_cannot_be_judged_is_not_called_right() {
        assert_eq!(statistics(&numbers(1, 0.0, 1), &numbers(2, 0.0, 1)).verdict, Verdict::Missing);
        assert_eq!(statistics(&numbers(1, 0.0, 1), &numbers(1, 0.0, 1)).verdict, Verdict::Holds);
        let other = Table::of_rows(["x"], &[[1.0]]);
        assert_eq!(statistics(&other, &numbers(1, 0.0, 2)).verdict, Verdict::Differs);
    }
}
