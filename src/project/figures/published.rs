//! Compares published values with ours, which are computed from the recorded numbers.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::judged::{tables, unfit};
use super::phases::{curve, run};
use crate::graph::{Carry, Published, PublishedValue, Tolerance};
use crate::plan::Knowledge;
use crate::project::Failure;
use crate::project::targets::select::Selection;
use base::stats;
use base::work::Work;
use draw::claim::equivalence::{Mean, Standing, below, level, ratio};
use draw::claim::phase::{Phase, counterpart, phases};
use draw::figure::replica_points;
use store::Store;

/// All published values of a figure, and ours.
#[derive(Default)]
pub struct Comparison<'a> {
    /// Single values.
    pub values: Vec<ComparedValue<'a>>,
    /// Orders and ratios of values at the same place.
    pub relations: Vec<Relation<'a>>,
}

/// A published value, and our value.
pub struct ComparedValue<'a> {
    /// The panel.
    pub published: &'a Published,
    /// The value.
    pub value: &'a PublishedValue,
    /// Our value; `None` if there is no counterpart.
    pub ours: Option<Ours>,
    /// Result of the comparison.
    pub standing: Standing,
}

/// Our value that corresponds to a published one.
#[derive(Debug, Clone)]
pub struct Ours {
    /// Range on the horizontal axis over which the mean is taken.
    pub x: [f64; 2],
    /// The level of every run, NaN where it diverged.
    levels: Vec<f64>,
}

impl Ours {
    /// Returns the levels of the runs that did not diverge.
    fn finite(&self) -> Vec<f64> {
        self.levels.iter().copied().filter(|level| level.is_finite()).collect()
    }

    /// Computes the mean, the sample standard deviation (NaN for one run) and the number of these runs.
    pub fn sample(&self) -> stats::Sample {
        stats::Sample::of(&self.finite())
    }
}

/// Two published values at the same place, the lower one first.
pub struct Relation<'a> {
    /// The panel.
    pub published: &'a Published,
    /// Whether their order or their ratio is compared.
    pub kind: Carry,
    /// The values.
    pub values: [&'a PublishedValue; 2],
    /// Our values.
    pub ours: [Ours; 2],
    /// Result of the comparison.
    pub standing: Standing,
}

/// Compares the published values of a figure with ours.
///
/// # Errors
/// If the store cannot be read, or numbers do not fit the figure.
pub fn published<'a>(
    selection: &'a Selection,
    knowledge: &[Knowledge],
    store: &Store,
    figure: &str,
) -> Result<Comparison<'a>, Failure> {
    let graph = &selection.graph;
    let mut found = Comparison::default();
    let Some(drawn) = graph.figures.get(figure) else { return Ok(found) };
    let stage = &graph.stages[drawn.stage];
    let Work::Figure(work) = &stage.work else { return Ok(found) };
    // A command can have drawn the figure, and then its inputs are no tables.
    if work.is_of_command() {
        return Ok(found);
    }
    let tables = tables(&stage.inputs, knowledge, store)?.ok();
    // Other seeds are other runs at the same scale; any other change of a setting is another scale.
    let like_profile = selection.variants.set(figure).iter().all(|set| set.trim_start().starts_with("seed"));
    for published in graph.published.iter().filter(|published| published.figure == figure) {
        let panel = work.panels.iter().find(|panel| panel.id == published.panel);
        let at_scale = like_profile && selection.profile == published.profile;
        let first = found.values.len();
        let mut curves: BTreeMap<&str, Option<RecordedCurve>> = BTreeMap::new();
        for value in &published.values {
            let recorded = match curves.entry(&value.curve) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    let curve = panel.and_then(|panel| curve(panel, &value.curve));
                    entry.insert(match (&tables, curve) {
                        (Some(tables), Some(curve)) => Some(RecordedCurve {
                            replicas: replica_points(&published.panel, curve, tables).map_err(unfit)?,
                            run: run(graph, stage, curve),
                        }),
                        _ => None,
                    })
                }
            };
            let ours = recorded.as_ref().and_then(|recorded| ours(published, value, recorded));
            let standing = match (&tables, &ours) {
                (None, _) => Standing::NotMade,
                (_, None) => Standing::NoCounterpart,
                (_, Some(ours)) => standing(published, value, ours, at_scale),
            };
            found.values.push(ComparedValue { published, value, ours, standing });
        }
        found.relations.extend(relations(published, &found.values[first..]));
    }
    Ok(found)
}

/// The recorded numbers of a curve.
struct RecordedCurve {
    /// The points of every run.
    replicas: Vec<Vec<(f64, f64)>>,
    /// The phases of the training that they were measured in.
    run: Vec<Phase>,
}

/// Computes our value at the place that corresponds to the place of a published value.
fn ours(
    published: &Published,
    value: &PublishedValue,
    RecordedCurve { replicas, run }: &RecordedCurve,
) -> Option<Ours> {
    let measured: Vec<f64> = replicas.iter().flatten().map(|point| point.0).collect();
    let x = match published.epochs {
        Some(epochs) => counterpart(&phases(epochs, published.decay), value.x, run, &measured)?,
        // A learning rate has no counterpart other than the same rate.
        None => {
            let same = |at: &&f64| (*at - value.x[0]).abs() <= 1e-9 * value.x[0].abs();
            [*measured.iter().find(same)?; 2]
        }
    };
    let level = |replica: &Vec<(f64, f64)>| {
        let inside: Vec<f64> = replica.iter().filter(|(at, _)| (x[0]..=x[1]).contains(at)).map(|(_, y)| *y).collect();
        stats::mean(&inside)
    };
    let levels: Vec<f64> = replicas.iter().map(level).collect();
    levels.iter().any(|level| level.is_finite()).then_some(Ours { x, levels })
}

fn mean_of(published: &Published, value: &PublishedValue) -> Mean {
    Mean { mean: value.mean, std: value.std, runs: published.runs as usize }
}

fn allowed(tolerance: Tolerance, value: &PublishedValue) -> f64 {
    match tolerance {
        Tolerance::Absolute(allowed) => allowed,
        Tolerance::Relative(share) => share * value.mean.abs(),
    }
}

fn standing(published: &Published, value: &PublishedValue, ours: &Ours, at_scale: bool) -> Standing {
    let carries = |what| published.carries.contains(&what);
    if value.mean.abs() < published.order_below {
        Standing::OrderOnly
    } else if at_scale || carries(Carry::Plateau) && value.x[0] != value.x[1] {
        level(&ours.finite(), mean_of(published, value), allowed(published.tolerance, value))
    } else if carries(Carry::Order) && published.epochs.is_some() {
        Standing::OrderOnly
    } else {
        Standing::NotComparable
    }
}

/// Finds the orders and ratios that carry over. Each value with a counterpart here is paired with the next lower value
/// at the same place that differs from it by more than the tolerance.
fn relations<'a>(published: &'a Published, values: &[ComparedValue<'a>]) -> Vec<Relation<'a>> {
    let mut sorted: Vec<(&'a PublishedValue, &Ours)> =
        values.iter().filter_map(|beside| Some((beside.value, beside.ours.as_ref()?))).collect();
    sorted.sort_by(|a, b| a.0.mean.total_cmp(&b.0.mean));
    let mut found = Vec::new();
    for (at, &(high, above)) in sorted.iter().enumerate() {
        let clear = |(low, _): &&(&PublishedValue, &Ours)| {
            low.x == high.x && high.mean - low.mean > allowed(published.tolerance, low)
        };
        let Some(&(low, below)) = sorted[..at].iter().rev().find(clear) else { continue };
        for kind in published.carries.iter().copied().filter(|kind| *kind != Carry::Plateau) {
            let standing = related(kind, published, [low, high], [below, above]);
            let ours = [below.clone(), above.clone()];
            found.push(Relation { published, kind, values: [low, high], ours, standing });
        }
    }
    found.sort_by(|a, b| a.values[0].x[0].total_cmp(&b.values[0].x[0]));
    found
}

fn related(kind: Carry, published: &Published, values: [&PublishedValue; 2], [a, b]: [&Ours; 2]) -> Standing {
    let (left, right): (Vec<f64>, Vec<f64>) = if a.levels.len() == b.levels.len() {
        a.levels.iter().zip(&b.levels).filter(|(a, b)| a.is_finite() && b.is_finite()).unzip()
    } else {
        (a.finite(), b.finite())
    };
    match (kind, published.tolerance) {
        (Carry::Ratio, Tolerance::Relative(share)) => {
            ratio([&left, &right], values.map(|value| mean_of(published, value)), 1.0 + share)
        }
        _ => below([&left, &right]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(carries: &[Carry], values: &[(&str, [f64; 2], f64)]) -> Published {
        let value = |(curve, x, mean): &(&str, [f64; 2], f64)| PublishedValue {
            curve: (*curve).to_owned(),
            x: *x,
            mean: *mean,
            std: None,
        };
        Published {
            figure: "f".into(),
            panel: "a".into(),
            epochs: Some(200.0),
            decay: Some(100.0),
            profile: "paper".into(),
            carries: carries.to_vec(),
            order_below: 1e-6,
            runs: 5,
            tolerance: Tolerance::Relative(0.1),
            source: String::new(),
            values: values.iter().map(value).collect(),
        }
    }

    fn beside<'a>(published: &'a Published, levels: &[&[f64]]) -> Vec<ComparedValue<'a>> {
        let both = published.values.iter().zip(levels);
        both.map(|(value, levels)| ComparedValue {
            published,
            value,
            ours: (!levels.is_empty()).then(|| Ours { x: [9.0; 2], levels: levels.to_vec() }),
            standing: Standing::NotKnown,
        })
        .collect()
    }

    #[test]
    fn at_another_scale_only_what_carries_over_is_compared() {
        let values = [("a", [10.0, 95.0], 2.0), ("a", [199.0; 2], 1.0), ("a", [150.0; 2], 5e-7)];
        let judged = |carries: &[Carry], at_scale| {
            let published = table(carries, &values);
            let ours = Ours { x: [9.0; 2], levels: vec![2.0, 2.01, 1.99, f64::NAN] };
            published.values.iter().map(|value| standing(&published, value, &ours, at_scale)).collect::<Vec<_>>()
        };
        use Standing::{Agrees, Differs, NotComparable, OrderOnly};
        assert_eq!(judged(&[Carry::Order], true), [Agrees, Differs, OrderOnly]);
        assert_eq!(judged(&[], false)[..2], [NotComparable; 2]);
        assert_eq!(judged(&[Carry::Order], false), [OrderOnly; 3]);
        assert_eq!(judged(&[Carry::Plateau, Carry::Ratio], false)[..2], [Agrees, NotComparable]);
    }

    #[test]
    fn orders_are_of_values_at_one_place_that_differ_clearly() {
        let at = [199.0; 2];
        let published =
            table(&[Carry::Order], &[("c", at, 3.0), ("a", at, 1.0), ("b", at, 1.05), ("a", [150.0; 2], 9.0)]);
        let (low, middle, high) = ([1.0, 2.0, 3.0], [1.1, 2.1, 3.2], [2.0, 3.3, 4.1]);
        let rows = beside(&published, &[&high, &low, &middle, &low]);
        let found = relations(&published, &rows);
        // a and b are too close to be ordered. c is above b, which is the next lower value.
        let names: Vec<_> = found.iter().map(|relation| relation.values.map(|value| value.curve.as_str())).collect();
        assert_eq!(names, [["b", "c"]]);
        assert_eq!(found[0].standing, Standing::Agrees);
        let of = |levels: &[&[f64]]| relations(&published, &beside(&published, levels))[0].standing;
        assert_eq!(of(&[&low, &low, &high, &low]), Standing::Differs);
        assert_eq!(of(&[&high[..1], &low, &middle[..1], &low]), Standing::NotKnown);
        // If a curve has no counterpart, the next one takes its place.
        let rows = beside(&published, &[&high, &low, &[], &low]);
        assert_eq!(relations(&published, &rows)[0].values.map(|value| value.curve.as_str()), ["a", "c"]);
        assert!(relations(&published, &beside(&published, &[&[], &[], &[], &[]])).is_empty());
        // A run that diverged is left out of both curves.
        assert_eq!(of(&[&[2.0, f64::NAN, 4.1], &low, &middle, &low]), Standing::NotKnown);
    }
}
