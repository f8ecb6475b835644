use super::compare::short;
use super::decide::holm;
use super::looks::Runs;
use super::*;
use base::rng::Stream;

const ALL: Window = [0.0, 1.0];
const NAN: f64 = f64::NAN;

/// Returns a curve of constant replicas at x = 0, …, 9.
fn flat(label: &str, levels: &[f64]) -> Series {
    of(label, levels, |level, _| level)
}

fn of(label: &str, levels: &[f64], y: impl Fn(f64, f64) -> f64) -> Series {
    let points = |level: &f64| (0..10).map(f64::from).map(|x| (x, y(*level, x))).collect();
    Series { label: label.into(), replicas: levels.iter().map(points).collect() }
}

/// Returns a curve with the given values at the given x.
fn at(label: &str, x: &[f64], replicas: &[&[f64]]) -> Series {
    let points = |y: &&[f64]| x.iter().copied().zip(y.iter().copied()).collect();
    Series { label: label.into(), replicas: replicas.iter().map(points).collect() }
}

fn run(statement: Statement, sets: &[Vec<Series>]) -> (Verdict, Vec<String>) {
    let outcome = judge(&statement, sets, ALL).unwrap();
    (outcome.verdict, outcome.statistics)
}

fn error(statement: Statement, sets: &[Vec<Series>], window: Window) -> String {
    judge(&statement, sets, window).unwrap_err().to_string()
}

const BELOW: Statement = Statement::Below { log: false };

#[test]
fn below_is_judged_in_pairs() {
    let (low, high) = (flat("LR 0.1", &[2.5, 2.9, 2.2]), flat("LR 0.1", &[39.1, 37.0, 41.2]));
    // scipy 1.17.1: ttest_rel(…, alternative="less").pvalue = 0.000746615; the first look can spend half of 5 %.
    let (verdict, lines) = run(BELOW, &[vec![low.clone()], vec![high.clone()]]);
    assert_eq!(verdict, Verdict::Reproduced);
    assert_eq!(
        lines,
        [
            "LR 0.1: 2.533 ± 0.3512 below 39.1 ± 2.1 (n = 3 pairs, p = 0.001493)",
            "one-sided p, corrected for look 1 (planned were 3 runs) and for the only claim of the figure"
        ]
    );
    let (verdict, lines) = run(BELOW, &[vec![high.clone()], vec![low.clone()]]);
    assert_eq!(verdict, Verdict::NotReproduced);
    assert_eq!(lines[0], "LR 0.1: 39.1 ± 2.1 above 2.533 ± 0.3512 (n = 3 pairs, p = 0.001493)");
    let near = flat("other", &[2.4, 3.1, 2.3]);
    let (verdict, lines) = run(BELOW, &[vec![low.clone()], vec![near.clone()]]);
    assert_eq!(verdict, Verdict::Undecided);
    assert!(lines[0].starts_with("LR 0.1: 2.533 ± 0.3512 not shown to be below other: 2.6 ± "), "{lines:?}");
    // Both comparisons have to be shown, and neither test becomes stricter.
    let (verdict, lines) = run(BELOW, &[vec![low.clone(), low.clone()], vec![high, near]]);
    assert_eq!(verdict, Verdict::Undecided);
    assert!(lines[0].ends_with("p = 0.001493)"), "{lines:?}");
}

#[test]
fn curves_with_unequally_many_runs_are_judged_by_welch() {
    let (low, high) = (flat("a", &[2.5, 2.9, 2.2]), flat("b", &[39.1, 37.0, 41.2, 40.0, NAN]));
    let (verdict, lines) = run(BELOW, &[vec![low], vec![high]]);
    assert_eq!(verdict, Verdict::Reproduced);
    assert!(lines[0].contains("(n = 3 and 4, 1 of 8 diverged, p = "), "{lines:?}");
}

#[test]
fn diverged_and_single_runs_decide_nothing() {
    let low = flat("a", &[2.5, 2.9, 2.2]);
    let against = |levels: &[f64]| {
        let (verdict, lines) = run(BELOW, &[vec![low.clone()], vec![flat("a", levels)]]);
        (verdict, lines[0].clone())
    };
    let (verdict, line) = against(&[39.1, NAN, 41.2]);
    assert_eq!(verdict, Verdict::Undecided);
    assert!(line.ends_with("n = 2 pairs, 1 of 3 diverged; two runs: at least three are needed)"), "{line}");
    assert!(line.starts_with("a: 2.35 ± "), "of the pairs alone: {line}");
    let (verdict, line) = against(&[39.1, f64::INFINITY, NAN]);
    assert_eq!(verdict, Verdict::Undecided);
    assert_eq!(line, "a: 2.5 not shown to be below 39.1 (n = 1 pair, 2 of 3 diverged; one run: no spread known)");
    let (verdict, line) = against(&[NAN; 3]);
    assert_eq!(verdict, Verdict::Undecided);
    assert!(line.ends_with("below no value (n = 0 pairs, 3 of 3 diverged; no run: nothing known)"), "{line}");
    let (verdict, line) = against(&[39.1]);
    assert_eq!(verdict, Verdict::Undecided);
    assert!(line.ends_with("(n = 3 and 1; one run: no spread known)"), "{line}");
    // Equal differences, up to rounding: no p of 0.
    let (verdict, line) = against(&[3.5, 3.9, 3.2]);
    assert_eq!(verdict, Verdict::Undecided);
    assert!(line.ends_with("(n = 3 pairs; the runs do not differ: no spread known)"), "{line}");
    // A divergence outside the window does not count. A divergence inside the window counts, wherever it is.
    let late = of("a", &[39.1, 37.0, 41.2], |level, x| if x > 8.0 { NAN } else { level });
    let sets = [vec![low.clone()], vec![late]];
    assert_eq!(judge(&BELOW, &sets, [0.0, 0.5]).unwrap().verdict, Verdict::Reproduced);
    assert_eq!(judge(&BELOW, &sets, [0.5, 1.0]).unwrap().verdict, Verdict::Undecided);
    // An x that is not finite counts as divergence too.
    let mut lost = flat("a", &[39.1, 37.0, 41.2]);
    lost.replicas[0][3].0 = NAN;
    assert!(run(BELOW, &[vec![low], vec![lost]]).1[0].contains("1 of 3 diverged"));
}

#[test]
fn one_side_against_the_claim_is_enough() {
    let (low, high) = (flat("a", &[1.0, 1.1, 1.3]), flat("b", &[5.0, 5.3, 5.1]));
    let sets = [vec![low.clone(), high.clone()], vec![high, low]];
    assert_eq!(run(BELOW, &sets).0, Verdict::NotReproduced);
}

#[test]
fn order_is_judged_between_neighbours() {
    let curves = [flat("a", &[1.0, 1.2, 0.9]), flat("b", &[2.1, 2.0, 1.8]), flat("c", &[4.0, 4.1, 4.4])];
    let (up, down) = (Statement::Ascending { log: true }, Statement::Descending { log: true });
    let (verdict, lines) = run(up, &[curves.to_vec()]);
    assert_eq!((verdict, lines.len()), (Verdict::Reproduced, 3));
    assert!(
        lines[1].starts_with("b: 1.967 ± 0.1528 below c: 4.167 ± 0.2082 (n = 3 pairs, by logarithms, p ="),
        "{lines:?}"
    );
    assert_eq!(run(down, &[curves.to_vec()]).0, Verdict::NotReproduced);
    let reversed: Vec<Series> = curves.iter().rev().cloned().collect();
    assert_eq!(run(down, std::slice::from_ref(&reversed)).0, Verdict::Reproduced);
    assert_eq!(run(up, &[reversed]).0, Verdict::NotReproduced);
    let close = [flat("a", &[1.0, 1.2, 0.9]), flat("b", &[1.1, 1.0, 1.2])];
    assert_eq!(run(up, &[close.to_vec()]).0, Verdict::Undecided);
    // Each set is judged separately: nothing is claimed between the end of one and the start of the next.
    let (verdict, lines) = run(up, &[curves.to_vec(), curves.to_vec()]);
    assert_eq!((verdict, lines.len()), (Verdict::Reproduced, 5));
}

#[test]
fn changes_are_judged_within_runs() {
    // The replicas are far apart, and each falls from 10 times its level.
    let falling =
        of("a", &[1.0, 20.0, 300.0], |level, x| if x < 5.0 { level * (10.0 + level / 1000.0) } else { level });
    let judged = |statement| judge(&statement, &[vec![falling.clone()]], [0.5, 1.0]).unwrap();
    let before = [0.0, 0.5];
    let outcome = judged(Statement::Drops { before, log: true });
    assert_eq!(outcome.verdict, Verdict::Reproduced);
    assert!(outcome.statistics[0].starts_with("a: 107 ± 167.4 below 1100 ± "), "{:?}", outcome.statistics);
    assert!(outcome.statistics[0].contains(" before (n = 3 pairs, by logarithms, p = "), "{:?}", outcome.statistics);
    assert_eq!(judged(Statement::Grows { before, log: true }).verdict, Verdict::NotReproduced);
    // The differences themselves are too scattered.
    assert_eq!(judged(Statement::Drops { before, log: false }).verdict, Verdict::Undecided);
    let rising = of("a", &[1.0, 1.1, 0.9], |level, x| level * (1.0 + x * level));
    let outcome = judge(&Statement::Grows { before, log: false }, &[vec![rising]], [0.5, 1.0]).unwrap();
    assert_eq!(outcome.verdict, Verdict::Reproduced);
}

#[test]
fn a_u_has_its_minimum_inside() {
    let rates = [0.001, 0.01, 0.1, 1.0];
    let judged =
        |replicas: &[&[f64]]| run(Statement::UShape { log: false }, &[vec![at("test error", &rates, replicas)]]);
    let (verdict, lines) = judged(&[&[9.0, 5.0, 4.0, 8.0], &[9.3, 5.1, 4.2, 8.1], &[8.9, 5.3, 4.1, 8.2]]);
    assert_eq!(verdict, Verdict::Reproduced);
    assert!(
        lines[0].starts_with(
            "test error: 4.1 ± 0.1 at x = 0.1 below 9.067 ± 0.2082 at x = 0.001 (lowest of 2 inner points, n = 3 pairs, p ="
        ),
        "{lines:?}"
    );
    // Monotone: the last point is below every inner one.
    let falling = [&[9.0, 5.0, 4.0, 1.0][..], &[9.3, 5.1, 4.2, 1.3], &[8.9, 5.3, 4.1, 1.1]];
    assert_eq!(judged(&falling).0, Verdict::NotReproduced);
    let rising: Vec<Vec<f64>> = falling.iter().map(|y| y.iter().rev().copied().collect()).collect();
    assert_eq!(judged(&rising.iter().map(Vec::as_slice).collect::<Vec<_>>()).0, Verdict::NotReproduced);
    // An inverted U: both ends are below.
    assert_eq!(
        judged(&[&[1.0, 5.0, 4.0, 1.1], &[1.2, 5.2, 4.0, 1.0], &[1.1, 5.0, 4.3, 1.3]]).0,
        Verdict::NotReproduced
    );
    let (verdict, lines) = judged(&[&[9.0, 5.0, 4.0, NAN], &[9.3, 5.1, 4.2, NAN], &[8.9, 5.3, 4.1, NAN]]);
    assert_eq!(verdict, Verdict::Undecided);
    assert!(lines[1].contains("3 of 3 diverged; no run: nothing known"), "{lines:?}");
    // The minimum is taken over the points with runs that did not diverge.
    let (verdict, lines) = judged(&[&[9.0, NAN, 4.0, 8.0], &[9.3, NAN, 4.2, 8.1], &[8.9, NAN, 4.1, 8.2]]);
    assert_eq!(verdict, Verdict::Reproduced, "{lines:?}");
    assert_eq!(judged(&[&[9.0, 5.0, 4.0, 8.0]]).0, Verdict::Undecided);
    assert_eq!(judged(&[&[NAN; 4], &[NAN; 4]]).0, Verdict::Undecided);
    // 8 and 8.2 at the end, 7.9 and 8.3 at the minimum: too close for the right end.
    assert_eq!(judged(&[&[9.0, 9.5, 7.9, 8.0], &[9.3, 9.9, 8.3, 8.2]]).0, Verdict::Undecided);
}

#[test]
fn steadiness_is_shown_not_assumed() {
    let steady = Statement::Steady { factor: 1.1 };
    let late = |shares: [f64; 3]| {
        let y = |share: f64, x: f64| if x < 4.5 { 7.0 } else { 7.0 * share };
        run(steady, &[vec![of("norm", &shares, y)]])
    };
    let (verdict, lines) = late([1.0, 1.01, 0.99]);
    assert_eq!(verdict, Verdict::Reproduced);
    assert!(lines[0].starts_with("norm: last half over first, 1 (0.9"), "{lines:?}");
    assert!(lines[0].contains("), within a factor 1.1 (n = 3 pairs, by logarithms, p = "), "{lines:?}");
    assert_eq!(late([2.0, 2.1, 2.2]).0, Verdict::NotReproduced);
    assert_eq!(late([0.4, 0.5, 0.45]).0, Verdict::NotReproduced);
    // Scattered widely around 1: a difference is neither found nor excluded.
    let (verdict, lines) = late([0.5, 1.0, 2.0]);
    assert_eq!(verdict, Verdict::Undecided);
    assert!(lines[0].contains("not shown to be within a factor 1.1"), "{lines:?}");
    // Near the limit, neither agreement nor a difference is shown.
    assert_eq!(late([1.08, 1.1, 1.12]).0, Verdict::Undecided);
    let (verdict, lines) = run(steady, &[vec![of("norm", &[1.0], |_, _| 3.0)]]);
    assert_eq!(verdict, Verdict::Undecided);
    assert!(lines[0].starts_with("norm: last half over first, 1, not shown"), "{lines:?}");
}

#[test]
fn alike_compares_every_pair() {
    let alike = |curves: Vec<Series>| run(Statement::Alike { factor: 1.2 }, &[curves]);
    let (a, b) = (flat("a", &[1.0, 1.01, 0.99]), flat("b", &[1.02, 1.0, 1.01]));
    let (verdict, lines) = alike(vec![a.clone(), b.clone(), flat("c", &[0.98, 0.99, 1.0])]);
    assert_eq!((verdict, lines.len()), (Verdict::Reproduced, 4));
    assert!(lines[0].starts_with("a over b: 0.99"), "{lines:?}");
    assert_eq!(alike(vec![a.clone(), b.clone(), flat("c", &[2.0, 2.1, 2.2])]).0, Verdict::NotReproduced);
    assert_eq!(alike(vec![a, b, flat("c", &[0.5, 1.0, 2.0])]).0, Verdict::Undecided);
}

#[test]
fn apart_is_the_opposite_of_alike() {
    let apart = |curves: Vec<Series>| run(Statement::Apart { factor: 1.05 }, &[curves]);
    let (a, b, c) = (flat("a", &[10.2, 10.3, 10.25]), flat("b", &[11.2, 11.3, 11.1]), flat("c", &[14.7, 14.5, 14.8]));
    let (verdict, lines) = apart(vec![a.clone(), b.clone(), c.clone()]);
    assert_eq!((verdict, lines.len()), (Verdict::Reproduced, 4));
    assert!(lines[0].starts_with("a over b: 0.915"), "{lines:?}");
    assert!(lines[0].contains(", outside a factor 1.05 (n = 3 pairs, by logarithms, p = "), "{lines:?}");
    // No order is claimed.
    assert_eq!(apart(vec![c.clone(), a.clone(), b.clone()]).0, Verdict::Reproduced);
    // Two curves that are shown to agree refute the claim, however far the third is.
    let (verdict, lines) = apart(vec![a.clone(), flat("d", &[10.22, 10.31, 10.24]), c.clone()]);
    assert_eq!(verdict, Verdict::NotReproduced);
    assert!(lines[0].contains(", within a factor 1.05 ("), "{lines:?}");
    // A certain difference that is smaller than the factor does not count.
    let near = flat("near", &[10.3, 10.4, 10.35]);
    assert_eq!(apart(vec![a.clone(), near]).0, Verdict::NotReproduced);
    // Noise, a single run, diverged runs and runs that repeat one number decide neither way.
    assert_eq!(apart(vec![a.clone(), flat("e", &[9.0, 11.5, 13.0])]).0, Verdict::Undecided);
    for levels in [&[14.7][..], &[NAN; 3], &[NAN, NAN, 14.7]] {
        let (verdict, lines) = apart(vec![a.clone(), flat("c", levels)]);
        assert_eq!(verdict, Verdict::Undecided, "{lines:?}");
        assert!(lines[0].contains("not shown to be outside a factor 1.05"), "{lines:?}");
    }
    assert_eq!(apart(vec![flat("a", &[1.0; 3]), flat("b", &[2.0; 3])]).0, Verdict::Undecided);
    assert_eq!(
        error(Statement::Apart { factor: 1.05 }, &[vec![a]], ALL),
        "the statement needs two or more curves in every set"
    );
}

#[test]
fn noise_is_seldom_called_a_difference() {
    // The true ratio equals the factor, which is the least favourable case. The bound is 5 % plus three standard errors of a
    // proportion estimated from 1,000 trials.
    let mut found = 0;
    for case in 0..1000 {
        let mut stream = Stream::new(1, "apart", &[case]);
        let mut curve = |centre: f64| {
            let levels: Vec<f64> = (0..4).map(|_| libm::exp(centre + 0.1 * stream.normal())).collect();
            at("a", &[1.0], &levels.iter().map(std::slice::from_ref).collect::<Vec<_>>())
        };
        let sets = [vec![curve(0.0), curve(libm::log(1.1))]];
        found += usize::from(run(Statement::Apart { factor: 1.1 }, &sets).0 == Verdict::Reproduced);
    }
    assert!(found as f64 <= 50.0 + 3.0 * 6.9, "{found}");
}

#[test]
fn slopes_are_exponents() {
    let slope = Statement::Slope { low: 0.8, high: 1.2 };
    let powers = |exponents: [f64; 3]| {
        let of_run = |e: &f64| (1..20).map(|i| 0.1 * f64::from(i)).map(|x| (x, 5.0 * x.powf(*e))).collect();
        vec![Series { label: "Tr Σ".into(), replicas: exponents.iter().map(of_run).collect() }]
    };
    let (verdict, lines) = run(slope, &[powers([1.0, 1.02, 0.98])]);
    assert_eq!(verdict, Verdict::Reproduced);
    assert!(lines[0].starts_with("Tr Σ: slope 1 (0.9503 to 1.05), within 0.8 to 1.2 (n = 3, p = "), "{lines:?}");
    assert_eq!(run(slope, &[powers([2.0, 2.1, 1.9])]).0, Verdict::NotReproduced);
    assert_eq!(run(slope, &[powers([0.5, 1.0, 1.5])]).0, Verdict::Undecided);
    // A replica with one x has no slope and counts as diverged.
    let mut short = powers([1.0, 1.02, 0.98]);
    short[0].replicas[1].truncate(1);
    assert!(run(slope, &[short]).1[0].contains("n = 2, 1 of 3 diverged"));
    let zero = vec![at("Tr Σ", &[0.0, 1.0], &[&[1.0, 2.0]])];
    assert_eq!(error(slope, &[zero], ALL), "curve `Tr Σ`: 0 has no logarithm: only numbers above 0 have one");
}

#[test]
fn windows_are_shares_of_the_range_of_all_curves() {
    // At x ≤ 4.5 of 0 … 9 the curves are apart, beyond it they are not.
    let (low, high) =
        (flat("a", &[1.0, 1.1, 1.2]), of("b", &[0.9, 1.05, 1.3], |y, x| if x < 4.5 { 9.0 + y } else { y }));
    let verdict = |window| judge(&BELOW, &[vec![low.clone()], vec![high.clone()]], window).unwrap().verdict;
    assert_eq!((verdict([0.0, 0.49]), verdict([0.5, 1.0])), (Verdict::Reproduced, Verdict::Undecided));
    // The ends belong to the window.
    assert_eq!((verdict([0.0, 0.0]), verdict([1.0, 1.0])), (Verdict::Reproduced, Verdict::Undecided));
    // A curve that ends early has no points late.
    let early = at("early", &[0.0, 1.0], &[&[1.0, 1.0], &[1.1, 1.2]]);
    let sets = [vec![early], vec![high.clone()]];
    assert_eq!(error(BELOW, &sets, [0.5, 1.0]), "curve `early` has no points in the window from 0.5 to 1");
}

#[test]
fn ill_formed_claims_are_errors() {
    let curve = || flat("a", &[1.0, 2.0]);
    let up = Statement::Ascending { log: false };
    assert_eq!(error(up, &[], ALL), "the statement needs a set of curves");
    assert_eq!(error(up, &[vec![]], ALL), "the statement needs a curve in every set");
    assert_eq!(error(up, &[vec![curve()]], ALL), "the statement needs two or more curves in every set");
    assert_eq!(error(BELOW, &[vec![curve()]], ALL), "the statement needs two sets of curves");
    assert_eq!(
        error(BELOW, &[vec![curve()], vec![curve()], vec![curve()]], ALL),
        "the statement needs two sets of curves"
    );
    let uneven = [vec![curve()], vec![curve(), curve()]];
    assert_eq!(error(BELOW, &uneven, ALL), "the statement needs two sets with equally many curves");
    let empty = |replicas: Vec<Vec<(f64, f64)>>| vec![curve(), Series { label: "b".into(), replicas }];
    assert_eq!(error(up, &[empty(vec![])], ALL), "curve `b` has no replicas");
    assert_eq!(error(up, &[empty(vec![vec![]])], ALL), "curve `b` has no points in the window from 0 to 1");
    let turned = empty(vec![vec![(1.0, 1.0), (0.5, 1.0)]]);
    assert_eq!(error(up, &[turned], ALL), "curve `b`, replica 0: x = 0.5 comes after a larger x");
    let message = "is not a part of the range: shares from 0 to 1 are expected";
    for [from, to] in [[0.5, 0.4], [-0.1, 1.0], [0.0, 1.5], [NAN, 1.0]] {
        let window = error(BELOW, &[vec![curve()], vec![curve()]], [from, to]);
        assert_eq!(window, format!("the window from {from} to {to} {message}"));
    }
    let before = error(Statement::Drops { before: [0.0, 2.0], log: false }, &[vec![curve()]], ALL);
    assert!(before.ends_with(message), "{before}");
    let two = at("b", &[1.0, 2.0], &[&[1.0, 2.0]]);
    let u = error(Statement::UShape { log: false }, &[vec![two]], ALL);
    assert_eq!(u, "the statement needs three or more x for a minimum between two ends");
    for factor in [1.0, 0.5, NAN, f64::INFINITY] {
        assert!(error(Statement::Steady { factor }, &[vec![curve()]], ALL).contains("it must be above 1"));
        let apart = Statement::Apart { factor };
        assert!(error(apart, &[vec![curve(), curve()]], ALL).contains("it must be above 1"));
    }
    let slope = error(Statement::Slope { low: 1.0, high: 1.0 }, &[vec![curve()]], ALL);
    assert_eq!(slope, "a slope cannot be between 1 and 1");
    let negative = [vec![flat("a", &[-1.0, -2.0]), curve()]];
    assert!(error(Statement::Ascending { log: true }, &negative, ALL).contains("-1 has no logarithm"));
}

/// Returns the shares of reproduced and not reproduced among 1,000 claims over curves of normal noise.
fn shares(statement: Statement, purpose: &str, runs: &[usize], curves: usize) -> [f64; 2] {
    let mut count = [0.0; 2];
    for case in 0..1000 {
        let mut stream = Stream::new(1, purpose, &[case]);
        let mut curve = |runs: &usize| {
            let levels: Vec<f64> = (0..*runs).map(|_| 10.0 + stream.normal()).collect();
            at("a", &[1.0], &levels.iter().map(std::slice::from_ref).collect::<Vec<_>>())
        };
        let sets: Vec<Vec<Series>> = runs.iter().map(|runs| (0..curves).map(|_| curve(runs)).collect()).collect();
        match judge(&statement, &sets, ALL).unwrap().verdict {
            Verdict::Reproduced => count[0] += 0.001,
            Verdict::NotReproduced => count[1] += 0.001,
            Verdict::Undecided => (),
        }
    }
    count
}

#[test]
fn noise_is_seldom_called_a_finding() {
    // The first look can spend half of 5 % in each direction. The bound is this share plus three standard errors of a
    // proportion estimated from 1,000 trials.
    let most = 0.025 + 3.0 * 0.005;
    let up = Statement::Ascending { log: false };
    for (statement, purpose, runs, curves) in [
        (BELOW, "one comparison", &[3, 3][..], 1),
        (BELOW, "one comparison", &[5, 5], 1),
        (BELOW, "welch", &[3, 5], 1),
        (BELOW, "four comparisons", &[3, 3], 4),
        (up, "two curves", &[3], 2),
        (up, "two curves", &[5], 2),
        (up, "three curves", &[3], 3),
        (up, "three curves", &[5], 3),
    ] {
        let [found, refuted] = shares(statement, purpose, runs, curves);
        assert!(found <= most && refuted <= most, "{purpose}, {runs:?}: {found} {refuted}");
        // For a single paired comparison, the rate is 2.5 %, not only below it.
        assert!(curves > 1 || runs[0] != runs[1] || found > 0.025 - 3.0 * 0.005, "{purpose}, {runs:?}: {found}");
    }
}

#[test]
fn a_chosen_minimum_is_seldom_called_a_u() {
    let mut found = 0;
    for case in 0..1000 {
        let mut stream = Stream::new(1, "u", &[case]);
        let replicas: Vec<[f64; 6]> = (0..5).map(|_| std::array::from_fn(|_| 10.0 + stream.normal())).collect();
        let slices: Vec<&[f64]> = replicas.iter().map(|y| &y[..]).collect();
        let curve = at("a", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &slices);
        found += usize::from(run(Statement::UShape { log: false }, &[vec![curve]]).0 == Verdict::Reproduced);
    }
    assert!(found <= 50, "{found}");
}

#[test]
fn holm_is_that_of_r() {
    // R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm"), by hand: 0.005·4, 0.01·3, 0.03·2, 0.04 raised to 0.06.
    let p = [0.01, 0.04, 0.03, 0.005];
    let adjusted: Vec<f64> = holm(&p).iter().zip(p).map(|(correction, p)| correction.p(p)).collect();
    for (have, want) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        assert!((have - want).abs() < 1e-15, "{adjusted:?}");
    }
    assert_eq!([0, 1].map(|at| holm(&[0.9, 0.8])[at].p(0.9)), [1.0, 1.0]);
    assert_eq!(holm(&[]).len(), 0);
}

/// Decides claims together, as the claims of one figure.
fn together(claims: &[(&[f64], &[f64])], runs: Runs) -> Vec<Outcome> {
    let weighed =
        claims.iter().map(|(a, b)| weigh(&BELOW, &[vec![flat("a", a)], vec![flat("b", b)]], ALL, runs).unwrap());
    decide(&weighed.collect::<Vec<_>>())
}

#[test]
fn claims_of_a_figure_are_corrected_for_each_other() {
    let runs = Runs::as_planned(3);
    // One-sided p: 0.0036 alone, so 0.0072 at the first look.
    let clear: (&[f64], &[f64]) = (&[1.0, 1.0, 1.0], &[2.0, 2.2, 1.9]);
    let noise: (&[f64], &[f64]) = (&[1.0, 1.2, 1.1], &[1.1, 1.0, 1.2]);
    let verdicts = |claims: &[(&[f64], &[f64])]| together(claims, runs).iter().map(|o| o.verdict).collect::<Vec<_>>();
    assert_eq!(verdicts(&[clear]), [Verdict::Reproduced]);
    assert_eq!(verdicts(&[&[clear][..], &[noise; 8]].concat())[0], Verdict::Undecided);
    // Holm goes step by step: after a claim is shown, the next is corrected for one claim less.
    assert_eq!(verdicts(&[clear, noise])[0], Verdict::Reproduced);
    assert_eq!(verdicts(&[clear; 3]), [Verdict::Reproduced; 3]);
    assert_eq!(verdicts(&[clear; 9]), [Verdict::Undecided; 9]);
    // The same holds in the opposite direction.
    assert_eq!(verdicts(&[(clear.1, clear.0)]), [Verdict::NotReproduced]);
    assert_eq!(verdicts(&[&[(clear.1, clear.0)][..], &[noise; 8]].concat())[0], Verdict::Undecided);
    // A claim that cannot be judged yet counts too.
    let unmade = || Weighed::without("2 of 9 tables are not recorded yet".into(), runs);
    let first = |others| {
        let sets = [vec![flat("a", clear.0)], vec![flat("b", clear.1)]];
        let mut claims = vec![weigh(&BELOW, &sets, ALL, runs).unwrap()];
        claims.extend((0..others).map(|_| unmade()));
        decide(&claims)
    };
    assert_eq!((first(1)[0].verdict, first(8)[0].verdict), (Verdict::Reproduced, Verdict::Undecided));
    assert_eq!(first(1)[1].statistics, ["2 of 9 tables are not recorded yet"]);
    assert!(first(8)[0].statistics[1].ends_with("and for 9 claims of the figure"), "{:?}", first(8)[0].statistics);
}

#[test]
fn every_look_costs_and_none_comes_before_the_plan() {
    let clear: (&[f64], &[f64]) = (&[1.0, 1.0, 1.0, 1.0], &[2.0, 2.3, 1.8, 1.9]);
    let judged = |planned, now| together(&[clear], Runs { planned, now }).remove(0);
    assert_eq!(judged(4, 4).verdict, Verdict::Reproduced);
    let p = |outcome: &Outcome| -> f64 {
        outcome.statistics[0].rsplit_once("p = ").unwrap().1.trim_end_matches(')').parse().unwrap()
    };
    let (first, second, third) = (p(&judged(4, 4)), p(&judged(3, 4)), p(&judged(3, 5)));
    assert!((second / first - 3.0).abs() < 0.01 && (third / first - 6.0).abs() < 0.01, "{first} {second} {third}");
    assert!((judged(4, 4).p.unwrap() / first - 1.0).abs() < 1e-3, "the line states the claim's p");
    let early = judged(5, 4);
    assert_eq!((early.verdict, early.p), (Verdict::Undecided, None));
    let wanted =
        "a: 1 ± 0 not shown to be below b: 2 ± 0.216 (n = 4 pairs; no verdict before the 5 planned runs are made)";
    assert_eq!(early.statistics, [wanted]);
}

#[test]
fn numbers_are_short() {
    let shown = [
        (39.1, "39.1"),
        (1234.6, "1235"),
        (12345.0, "1.234e4"),
        (9999.6, "1e4"),
        (0.00041605, "0.0004161"),
        (0.000041, "4.1e-5"),
        (-2.0, "-2"),
        (100.0, "100"),
        (0.0, "0"),
        (NAN, "NaN"),
    ];
    for (value, text) in shown {
        assert_eq!(short(value), text);
    }
}

#[test]
fn statements_are_written_in_snake_case() {
    let statements: Vec<Statement> =
        vec![BELOW, Statement::UShape { log: true }, Statement::Drops { before: [0.0, 0.5], log: true }];
    let text = r#"[{"below":{"log":false}},{"u_shape":{"log":true}},{"drops":{"before":[0.0,0.5],"log":true}}]"#;
    assert_eq!(serde_json::to_string(&statements).unwrap(), text);
    assert_eq!(serde_json::from_str::<Vec<Statement>>(text).unwrap(), statements);
    assert_eq!(serde_json::from_str::<Statement>(r#"{"below":{}}"#).unwrap(), BELOW);
    for wrong in [r#"{"below":{"logs":true}}"#, r#"{"steady":{}}"#, r#"{"u-shape":{}}"#] {
        assert!(serde_json::from_str::<Statement>(wrong).is_err(), "{wrong}");
    }
    assert_eq!(serde_json::to_string(&Verdict::NotReproduced).unwrap(), r#""not_reproduced""#);
}
