//! Synthetic closures, whose keys and outputs follow from the settings of their stages.

mod runs;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::bisect::bisect;
use super::*;
use base::closure::Closure;
use base::digest::ObjectDigest;
use base::record::{KeyParts, Provenance, Record};
use base::table::{Column, Values};
use base::value::{Map, Value};

/// A stage: its name, kind and parameters; its inputs (role, stage and output); its outputs, if their bytes matter.
#[derive(Debug, Clone, Default)]
struct Stage {
    name: String,
    kind: &'static str,
    parameters: Map,
    inputs: Vec<(String, usize, &'static str)>,
    outputs: Vec<(&'static str, Vec<u8>)>,
    tensors: Vec<(String, ObjectDigest)>,
    /// Changes the outputs without changing the key.
    chance: u8,
}

/// Builds a closure. Stages without given outputs get `weights` and `metrics` derived from the key.
fn closure(stages: &[Stage]) -> Closure {
    let mut members: Vec<Member> = Vec::new();
    for stage in stages {
        let input = |(role, place, output): &(String, usize, &str)| {
            (role.clone(), members[*place].record.output(output).unwrap().object)
        };
        let inputs = stage.inputs.iter().map(input).collect();
        let parts = KeyParts {
            kind: stage.kind.into(),
            version: 1,
            parameters: stage.parameters.clone(),
            inputs,
            policy: Map::new(),
        };
        let key = parts.key();
        let made = |name: &'static str| (name, format!("{name} of {key} {}", stage.chance).into_bytes());
        let outputs =
            if stage.outputs.is_empty() { ["weights", "metrics"].map(made).into() } else { stage.outputs.clone() };
        let output = |(name, bytes): (&str, Vec<u8>)| Output {
            name: name.into(),
            object: ObjectDigest::of(&bytes),
            bytes: bytes.len() as u64,
            inline: Some(bytes),
        };
        let outputs = outputs.into_iter().map(output).collect();
        let provenance = Provenance { machine: format!("machine {}", stage.chance), ..Provenance::default() };
        let record = Record { parts, outputs, tensors: stage.tensors.clone(), provenance };
        members.push(Member { name: stage.name.clone(), key, digest: record.to_bytes().unwrap().0, record });
    }
    Closure { members }
}

fn compare(a: &[Stage], b: &[Stage]) -> Difference {
    diff(&closure(a), &closure(b), &|_, _| None)
}

fn float(name: &str, value: f64) -> (String, Value) {
    (name.to_owned(), Value::Float(value))
}

fn read(role: &str, stage: usize) -> (String, usize, &'static str) {
    (role.to_owned(), stage, "weights")
}

/// Makes a figure with one initial network per seed. Each learning rate has a trunk in segments, each with a probe, and a decay.
fn figure(lrs: &[f64], seeds: u32, segments: u32) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut add = |name: String, kind, parameters: Map, inputs| {
        stages.push(Stage { name, kind, parameters, inputs, ..Stage::default() });
        stages.len() - 1
    };
    let mut drawn = Vec::new();
    for seed in 0..seeds {
        let init = add(format!("f/init[seed={seed}]"), "init", [float("seed", seed.into())].into(), vec![]);
        for &lr in lrs {
            let mut last = init;
            for segment in 1..=segments {
                let name = format!("f/trunk[lr={lr},seed={seed}]@{segment}");
                let parameters =
                    [float("lr", lr), float("seed", seed.into()), float("first_epoch", segment.into())].into();
                last = add(name, "train", parameters, vec![read("weights", last)]);
                let name = format!("f/probe[lr={lr},seed={seed}]@{segment}");
                drawn.push(add(name, "probe", [float("after", segment.into())].into(), vec![read("weights", last)]));
            }
            let parameters = [float("lr", lr), float("factor", 0.1)].into();
            add(format!("f/decay[lr={lr},seed={seed}]@99"), "train", parameters, vec![read("weights", last)]);
        }
    }
    let inputs = drawn.iter().map(|&place| (format!("table {place}"), place, "metrics")).collect();
    add("f".to_owned(), "figure", Map::new(), inputs);
    stages
}

#[test]
fn one_changed_learning_rate_is_one_cause() {
    let difference = compare(&figure(&[0.1, 0.15, 0.2], 2, 4), &figure(&[0.1, 0.25, 0.2], 2, 4));
    let families = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let cause =
        Cause { change: "lr: 0.15 → 0.25".into(), families: families(&["trunk", "decay"]), stages: 10, moved: 10 };
    assert_eq!(difference.causes, [cause]);
    assert_eq!(difference.only, [vec![], vec![]]);
    assert!(difference.nondeterminism.is_empty() && !difference.is_none());
    let moved: Vec<_> = difference.moved.iter().map(|m| (m.family.as_str(), m.themselves, m.followed)).collect();
    assert_eq!(moved, [("trunk", 8, 0), ("probe", 0, 8), ("decay", 2, 0), ("f", 0, 1)]);
    assert_eq!((difference.same, difference.early_cutoff, difference.gaps), (2 * (1 + 2 * 9), 0, [0, 0]));

    let stages = figure(&[0.1], 1, 2);
    let same = compare(&stages, &stages);
    assert!(same.is_none() && same.causes.is_empty() && same.moved.is_empty());
    assert_eq!(same.same, stages.len());
}

#[test]
fn a_whole_sweep_that_changed_is_paired_in_its_order() {
    let difference = compare(&figure(&[0.1, 0.15], 3, 2), &figure(&[0.2, 0.3, 0.4], 3, 2));
    let causes: Vec<_> = difference.causes.iter().map(|cause| (cause.change.as_str(), cause.stages)).collect();
    assert_eq!(causes, [("lr: 0.1 → 0.2", 9), ("lr: 0.15 → 0.3", 9)]);
    assert_eq!(difference.only[0], []);
    let only: Vec<_> = difference.only[1].iter().map(|only| (only.family.as_str(), only.stages)).collect();
    assert_eq!(only, [("trunk", 6), ("probe", 6), ("decay", 3)]);
}

#[test]
fn segments_are_paired_by_their_epochs_when_a_run_is_cut_otherwise() {
    let coarse = |stages: Vec<Stage>| -> Vec<Stage> {
        // Without the second segment and its probe.
        let gone = |name: &str| name.ends_with("@2") || name == "f";
        let kept: Vec<usize> = (0..stages.len()).filter(|&place| !gone(&stages[place].name)).collect();
        let mut stages = stages;
        for place in &kept {
            for input in &mut stages[*place].inputs {
                let source = stages_before(&kept, input.1);
                input.1 = source;
            }
        }
        kept.iter().map(|&place| stages[place].clone()).collect()
    };
    fn stages_before(kept: &[usize], place: usize) -> usize {
        kept.partition_point(|&other| other <= place).saturating_sub(1)
    }
    let (a, mut b) = (figure(&[0.1], 1, 4), coarse(figure(&[0.25], 1, 4)));
    b.push(Stage { name: "f".into(), kind: "figure", ..Stage::default() });
    let pairs = pair::pair(&closure(&a), &closure(&b));
    for (i, j) in pairs.both {
        assert_eq!(a[i].name.replace("0.1", "0.25"), b[j].name);
    }
    assert_eq!(pairs.only[0].len(), 2, "trunk and probe at 2");
    assert!(pairs.only[1].is_empty());
}

#[test]
fn other_bytes_under_one_key_are_named_and_equal_bytes_end_it() {
    let a = figure(&[0.1], 1, 3);
    let mut b = a.clone();
    let forged = b.iter().position(|stage| stage.name.ends_with("trunk[lr=0.1,seed=0]@2")).unwrap();
    b[forged].chance = 1;
    let difference = compare(&a, &b);
    let [unequal] = &difference.nondeterminism[..] else { panic!("{:?}", difference.nondeterminism) };
    assert_eq!(unequal.stage, [a[forged].name.clone(), a[forged].name.clone()]);
    assert_eq!(
        (&unequal.outputs[..], &unequal.machine[1]),
        (&["weights".to_owned(), "metrics".into()][..], &"machine 1".into())
    );
    assert!(difference.causes.is_empty());
    assert_eq!((difference.same, difference.moved.iter().map(|moved| moved.followed).sum::<usize>()), (3, 5));

    let mut b = a.clone();
    b[forged].parameters.extend([float("unused", 1.0)]);
    let outputs = &closure(&a).members[forged].record.outputs;
    let kept = |name: &'static str| {
        let output = outputs.iter().find(|output| output.name == name).unwrap();
        (name, output.inline.clone().unwrap())
    };
    b[forged].outputs = vec![kept("weights"), kept("metrics")];
    let difference = compare(&a, &b);
    assert_eq!((difference.early_cutoff, difference.same), (1, a.len() - 1));
    assert_eq!((difference.causes[0].change.as_str(), difference.causes[0].moved), ("unused: 1 is new", 0));
}

#[test]
fn tables_and_curves_are_looked_into() {
    let metrics = |error: f64| Table::of_rows(["epoch", "error"], &[[0.0, 50.0], [1.0, error]]).to_bytes().unwrap();
    let numbers = |mean: f64| {
        let float = |name: &str, value| Column { name: name.into(), values: Values::Float(vec![value]) };
        let text = |name: &str| Column { name: name.into(), values: Values::Text(vec![name.into()]) };
        let columns =
            [("x", 1.0), ("mean", mean), ("std", 0.5), ("low", 0.0), ("high", 0.0), ("n", 3.0), ("diverged", 0.0)];
        let columns = columns.map(|(name, value)| float(name, value));
        let columns = [vec![text("panel"), text("curve"), float("dashed", 0.0)], columns.into()].concat();
        Table::new(columns).unwrap().to_bytes().unwrap()
    };
    let stages = |lr: f64, error: f64| {
        let run = Stage {
            name: "f/run@1".into(),
            kind: "train",
            parameters: [float("lr", lr)].into(),
            outputs: vec![("weights", vec![error as u8]), ("metrics", metrics(error))],
            ..Stage::default()
        };
        let figure = Stage {
            name: "f".into(),
            kind: "figure",
            inputs: vec![("t".into(), 0, "metrics")],
            outputs: vec![("numbers", numbers(error))],
            ..Stage::default()
        };
        vec![run, figure]
    };
    let difference = compare(&stages(0.1, 20.0), &stages(0.2, 30.0));
    let [column] = &difference.moved[0].columns[..] else { panic!("{:?}", difference.moved) };
    assert_eq!(
        (column.column.as_str(), column.absolute.change, column.relative.row.as_str()),
        ("error", 10.0, "epoch 1")
    );
    let [figure] = &difference.figures[..] else { panic!("{:?}", difference.figures) };
    assert_eq!((figure.moved[0].values, figure.moved[0].deviations), ([20.0, 30.0], Some(20.0)));
    let json = serde_json::to_value(&difference).unwrap();
    assert_eq!(json["causes"][0]["change"], "lr: 0.1 → 0.2");
}

/// A graph of stages of three kinds that read earlier stages.
fn graph() -> impl Strategy<Value = Vec<Stage>> {
    prop::collection::vec((0_usize..3, prop::collection::vec(0_usize..30, 0..3)), 1..30).prop_map(|nodes| {
        let stage = |(place, (kind, inputs)): (usize, &(usize, Vec<usize>))| Stage {
            name: format!("p/s{place}[x=0]"),
            kind: ["train", "probe", "init"][*kind],
            parameters: [float("x", 0.0), float("place", place as f64)].into(),
            inputs: inputs.iter().filter(|&&i| i < place).map(|&i| read(&format!("r{i}"), i)).collect(),
            ..Stage::default()
        };
        nodes.iter().enumerate().map(stage).collect()
    })
}

fn behind(stages: &[Stage], first: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::from([first]);
    for (place, stage) in stages.iter().enumerate() {
        if stage.inputs.iter().any(|(_, source, _)| found.contains(source)) {
            found.insert(place);
        }
    }
    found
}

proptest! {
    /// One parameter of one stage differs; in a sweep, the names of all its dependents contain it.
    #[test]
    fn one_changed_parameter_is_the_only_cause(a in graph(), at in 0_usize..30, named: bool) {
        let at = at % a.len();
        let mut b = a.clone();
        b[at].parameters.extend([float("x", 1.0)]);
        let moved = behind(&a, at);
        if named {
            moved.iter().for_each(|&place| b[place].name = b[place].name.replace("x=0", "x=1"));
        }
        let difference = compare(&a, &b);
        let cause = Cause { change: "x: 0 → 1".into(), families: vec![format!("s{at}")], stages: 1, moved: 1 };
        prop_assert_eq!(difference.causes, [cause]);
        prop_assert_eq!(difference.only, [vec![], vec![]]);
        prop_assert_eq!(difference.same, a.len() - moved.len());
        let counts = difference.moved.iter().fold((0, 0), |sum, m| (sum.0 + m.themselves, sum.1 + m.followed));
        prop_assert_eq!(counts, (1, moved.len() - 1));
    }

    /// For all closures, every stage is in at most one pair and none is lost.
    #[test]
    fn pairs_are_a_matching(a in graph(), b in graph()) {
        let (a, b) = (closure(&a), closure(&b));
        let pairs = pair::pair(&a, &b);
        let (i, j): (Vec<usize>, Vec<usize>) = pairs.both.iter().copied().unzip();
        for (closure, paired, only) in [(&a, i, &pairs.only[0]), (&b, j, &pairs.only[1])] {
            let mut all = [&paired[..], &only[..]].concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..closure.members.len()).collect::<Vec<_>>());
        }
        prop_assert!(pairs.both.iter().all(|&(i, j)| a.members[i].record.parts.kind == b.members[j].record.parts.kind));
    }
}

/// `cargo test --release --no-default-features --lib -- --ignored --nocapture large_closures`.
#[test]
#[ignore = "measures"]
fn large_closures_are_compared_in_a_second() {
    let lrs = |from: f64| (0..10).map(|i| from + f64::from(i)).collect::<Vec<_>>();
    let table = |stage: &mut Stage, salt: f64| {
        let rows = [[0.0, salt, 1.0, 2.0, 3.0, 4.0, 5.0], [1.0, salt + 1.0, 1.0, 2.0, 3.0, 4.0, 5.0]];
        let table = Table::of_rows(["epoch", "lr", "a", "b", "c", "d", "e"], &rows).to_bytes().unwrap();
        let weights = format!("{salt} {}", stage.name).into_bytes();
        stage.outputs = vec![("weights", weights), ("metrics", table)];
    };
    let (mut a, mut b) = (figure(&lrs(0.0), 5, 100), figure(&lrs(20.0), 5, 100));
    a.iter_mut().for_each(|stage| table(stage, 0.0));
    b.iter_mut().for_each(|stage| table(stage, 7.0));
    // All stages have the same position and no two have the same name.
    let many = |offset: usize| {
        (0..10_000).map(move |i| Stage {
            name: format!("f/init[seed={}]", i + offset),
            kind: "init",
            parameters: [float("seed", (i + offset) as f64)].into(),
            ..Stage::default()
        })
    };
    let (c, d): (Vec<_>, Vec<_>) = (many(0).collect(), many(10_000).collect());
    for (name, a, b) in [("every key other", &a, &b), ("nothing other", &a, &a), ("one place", &c, &d)] {
        let (a, b) = (closure(a), closure(b));
        let start = std::time::Instant::now();
        let difference = diff(&a, &b, &|_, _| None);
        let diffed = start.elapsed();
        let start = std::time::Instant::now();
        let runs = bisect(&a, &b, &mut |_, _, _| None);
        let (members, bisected) = (a.members.len(), start.elapsed());
        println!(
            "{name}: {members} stages; diff {diffed:?}, {} same, {} causes; bisect {bisected:?}, {} part",
            difference.same,
            difference.causes.len(),
            runs.partings.len()
        );
        assert!(diffed.as_secs_f64() < 1.0 && bisected.as_secs_f64() < 1.0);
    }
}
