//! Compares published values with ours, which are computed from the recorded numbers.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use super::judged::{tables, unfit};
use crate::graph::{Carry, Graph, Published, PublishedValue, Stage, StageId, Tolerance};
use crate::plan::Knowledge;
use crate::project::Failure;
use crate::project::targets::select::Selection;
use base::stats;
use base::work::{Curve, Panel, Work};
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

/// Finds the curve to which published values with a curve name belong.
fn curve<'a>(panel: &'a Panel, name: &str) -> Option<&'a Curve> {
    let named = |curve: &&Curve| curve.label == name;
    // A curve without a name matches if it is the only one in its panel. A curve with another name does not match.
    let alone = |curve: &&Curve| panel.curves.len() == 1 && curve.label.is_empty();
    panel.curves.iter().find(named).or_else(|| panel.curves.iter().find(alone))
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

/// Finds the phases of the training that a curve shows. A phase is a range of epochs at one learning rate.
fn run(graph: &Graph, figure: &Stage, curve: &Curve) -> Vec<Phase> {
    let tables = curve.replicas.first().into_iter().flatten();
    let behind = tables.filter_map(|rows| figure.inputs.iter().find(|input| input.role == rows.table));
    let mut segments: BTreeSet<StageId> = BTreeSet::new();
    for input in behind {
        let mut at = Some(input.stage);
        while let Some(stage) = at {
            let trains = matches!(graph.stages[stage].work, Work::Train(_));
            if trains && !segments.insert(stage) {
                break;
            }
            at = before(graph, stage);
        }
    }
    let train = |stage: &StageId| if let Work::Train(train) = &graph.stages[*stage].work { Some(train) } else { None };
    // The last probe can start before its phase ends.
    if let Some(last) = segments.iter().max_by_key(|stage| train(stage).map(|train| train.first_epoch)).copied() {
        segments.extend(later(graph, last));
    }
    let mut trained: Vec<_> = segments.iter().filter_map(train).collect();
    trained.sort_by_key(|train| train.first_epoch);
    let mut phases: Vec<(Phase, f64)> = Vec::new();
    for train in trained {
        let from = f64::from(train.first_epoch);
        let to = from + f64::from(train.epochs);
        match phases.last_mut() {
            Some((phase, same)) if *same == train.lr => phase.to = phase.to.max(to),
            _ => phases.push((Phase { from, to }, train.lr)),
        }
    }
    phases.into_iter().map(|(phase, _)| phase).collect()
}

/// Finds the stage whose weights a stage starts from or evaluates.
fn before(graph: &Graph, stage: StageId) -> Option<StageId> {
    let inputs = &graph.stages[stage].inputs;
    inputs.iter().find(|input| input.role == "weights" || input.role == "ema").map(|input| input.stage)
}

/// Finds the segments of training that continue a segment at the same learning rate.
fn later(graph: &Graph, stage: StageId) -> Vec<StageId> {
    let mut found = vec![stage];
    // Stages come after their inputs in the graph.
    for (id, next) in graph.stages.iter().enumerate().skip(stage + 1) {
        let at = found[found.len() - 1];
        if let (Work::Train(now), Work::Train(then)) = (&graph.stages[at].work, &next.work)
            && now.lr == then.lr
            && before(graph, id) == Some(at)
        {
            found.push(id);
        }
    }
    found
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
    use crate::spec::{Pipeline, expand};

    fn graph(profile: &str, sets: &[&str]) -> Graph {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let text = include_str!("../../../pipelines/fig3.toml");
        let pipeline = Pipeline::read("fig3", "fig3.toml", text, profile, &sets).unwrap();
        expand(&pipeline).unwrap()
    }

    #[test]
    fn phases_are_those_of_the_training_behind_a_curve() {
        let run = |graph: &Graph, panel: &str, name: &str| {
            let stage = &graph.stages[graph.figures["fig3"].stage];
            let Work::Figure(figure) = &stage.work else { panic!() };
            let panel = figure.panels.iter().find(|other| other.id == panel).unwrap();
            run(graph, stage, curve(panel, name).unwrap())
        };
        let small =
            ["trunk.epochs=30", "decay.epochs=15", "after=[1,5,13,29]", "trunk.checkpoint_every=4", "seed=[0,1]"];
        let small = graph("paper", &small);
        let (large, end) = (Phase { from: 0.0, to: 30.0 }, Phase { from: 30.0, to: 45.0 });
        assert_eq!(run(&small, "a", "LR 0.1"), [large, end]);
        assert_eq!(run(&small, "a", "LR 0.1 (EMA)"), [large, end]);
        // The last probe starts after 29 epochs of a phase of 30; its own epochs do not count.
        assert_eq!(run(&small, "c", "LR 0.1"), [large]);
        assert_eq!(run(&small, "d", "LR 0.2"), [large]);
        let paper = graph("paper", &["seed=0"]);
        assert_eq!(run(&paper, "b", "LR 0.2"), phases(200.0, Some(100.0)));
        assert_eq!(run(&paper, "c", "LR 0.2"), phases(100.0, None));
        // A rate that is not lowered is one phase.
        let whole = graph("paper", &["decay.lr=0.1", "lr=[0.1,0.15,0.2]", "seed=0"]);
        assert_eq!(run(&whole, "a", "LR 0.1"), phases(200.0, None));
    }

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
        // a and b are too close to be ordered; c lies above b, the next lower one.
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
