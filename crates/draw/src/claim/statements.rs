//! Translation of a statement into its comparisons.

use super::compare::{Comparison, Doubt, Evidence, Support, short, spread};
use super::level::{Levels, Range, Span, logarithm};
use super::{ClaimError, Series, Statement, Window};

/// Returns the comparisons of a statement. There is at least one.
pub(super) fn comparisons(
    statement: &Statement,
    sets: &[Vec<Series>],
    window: Window,
) -> Result<Vec<Comparison>, ClaimError> {
    let least = if matches!(statement, Statement::Below { .. }) { 2 } else { 1 };
    if sets.len() < least {
        return Err(ClaimError::Sets(if least == 2 { "two sets of curves" } else { "a set of curves" }));
    }
    if sets.iter().any(Vec::is_empty) {
        return Err(ClaimError::Sets("a curve in every set"));
    }
    let range = Range::of(sets)?;
    let span = range.span(window)?;
    match *statement {
        Statement::Below { log } => below(sets, span, log),
        Statement::Ascending { log } => neighbours(sets, span, Towards::Higher, log),
        Statement::Descending { log } => neighbours(sets, span, Towards::Lower, log),
        Statement::Drops { before, log } => changes(sets, span, range.span(before)?, Towards::Lower, log),
        Statement::Grows { before, log } => changes(sets, span, range.span(before)?, Towards::Higher, log),
        Statement::UShape { log } => {
            let of_curves = sets.iter().flatten().map(|series| u_shape(series, span, log));
            Ok(of_curves.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
        }
        Statement::Steady { factor } => steady(sets, span, factor),
        Statement::Alike { factor } => alike(sets, span, factor),
        Statement::Apart { factor } => Ok(alike(sets, span, factor)?.into_iter().map(Comparison::reversed).collect()),
        Statement::Slope { low, high } => slope(sets, span, low, high),
    }
}

/// The claimed direction of the numbers.
#[derive(Clone, Copy, PartialEq)]
enum Towards {
    Lower,
    Higher,
}

fn below(sets: &[Vec<Series>], span: Span, log: bool) -> Result<Vec<Comparison>, ClaimError> {
    let [first, second] = sets else {
        return Err(ClaimError::Sets("two sets of curves"));
    };
    if first.len() != second.len() {
        return Err(ClaimError::Sets("two sets with equally many curves"));
    }
    first.iter().zip(second).map(|(a, b)| between(a, b, span, Towards::Lower, log)).collect()
}

/// Compares each curve of a set with the next.
fn neighbours(sets: &[Vec<Series>], span: Span, way: Towards, log: bool) -> Result<Vec<Comparison>, ClaimError> {
    several(sets)?;
    // The first of a rising pair is the lower one.
    let first = if way == Towards::Higher { Towards::Lower } else { Towards::Higher };
    sets.iter().flat_map(|set| set.windows(2)).map(|pair| between(&pair[0], &pair[1], span, first, log)).collect()
}

fn several(sets: &[Vec<Series>]) -> Result<(), ClaimError> {
    if sets.iter().any(|set| set.len() < 2) { Err(ClaimError::Sets("two or more curves in every set")) } else { Ok(()) }
}

/// Returns the comparison that claims that `a` is on one side of `b`.
fn between(a: &Series, b: &Series, span: Span, way: Towards, log: bool) -> Result<Comparison, ClaimError> {
    let evidence = Evidence::difference(&Levels::of(a, span)?, &Levels::of(b, span)?, log)?;
    let label = if a.label == b.label { String::new() } else { format!("{}: ", b.label) };
    let subject = format!("{}: {}", a.label, spread(&evidence.used[0]));
    let object = format!("{label}{}", spread(&evidence.used[1]));
    Ok(sided(subject, object, evidence, way))
}

/// Returns the comparison that claims that a difference is on one side of 0.
fn sided(subject: String, object: String, evidence: Evidence, way: Towards) -> Comparison {
    let (words, doubt): (_, fn(&_) -> _) = match way {
        Towards::Lower => (["below", "above"], Doubt::below),
        Towards::Higher => (["above", "below"], Doubt::above),
    };
    Comparison {
        subject,
        words,
        object,
        counts: evidence.counts,
        doubt: evidence.test.as_ref().map(doubt).map_err(|e| *e),
    }
}

/// Compares each curve in one window with itself in another.
fn changes(
    sets: &[Vec<Series>],
    span: Span,
    before: Span,
    way: Towards,
    log: bool,
) -> Result<Vec<Comparison>, ClaimError> {
    let change = |series: &Series| {
        let evidence = Evidence::difference(&Levels::of(series, span)?, &Levels::of(series, before)?, log)?;
        let subject = format!("{}: {}", series.label, spread(&evidence.used[0]));
        let object = format!("{} before", spread(&evidence.used[1]));
        Ok(sided(subject, object, evidence, way))
    };
    sets.iter().flatten().map(change).collect()
}

/// Compares the lowest inner point with the first and the last.
fn u_shape(series: &Series, span: Span, log: bool) -> Result<[Comparison; 2], ClaimError> {
    // This also returns an error if the curve has no points in the window.
    Levels::of(series, span)?;
    let mut places: Vec<f64> = series.replicas.iter().flatten().map(|(x, _)| *x).filter(|x| span.has(*x)).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let levels = places.iter().map(|x| Levels::of(series, span.at(*x))).collect::<Result<Vec<_>, _>>()?;
    let [first, _, .., last] = &levels[..] else {
        return Err(ClaimError::Sets("three or more x for a minimum between two ends"));
    };
    let inner = &levels[1..levels.len() - 1];
    // A point at which all runs diverged cannot be the minimum, unless there is no other.
    let lower = |best: usize, i: usize| if inner[best].mean() <= inner[i].mean() { best } else { i };
    let finite = (0..inner.len()).filter(|i| !inner[*i].mean().is_nan());
    let lowest = finite.reduce(lower).unwrap_or(0);
    let against = |end: &Levels, x: f64| {
        let evidence = Evidence::difference(&inner[lowest], end, log)?;
        // The opposite: the end is below every inner point. Its p is that of the inner point with the weakest evidence.
        let mut weakest: Option<Support> = None;
        for point in inner {
            let none = Support { p: 1.0, effect: f64::NEG_INFINITY, tests: 1.0, parts: 1.0 };
            let support = Evidence::difference(point, end, log)?.test.map_or(none, |test| Support::above(&test, 0.0));
            weakest = weakest.filter(|weakest| weakest.p >= support.p).or(Some(support));
        }
        let doubt = evidence.test.map(|test| {
            let claimed = Support::below(&test, 0.0).best_of(inner.len());
            Doubt { claimed, opposite: weakest.unwrap_or(claimed) }
        });
        let subject = format!("{}: {} at x = {}", series.label, spread(&evidence.used[0]), short(places[lowest + 1]));
        let object = format!("{} at x = {}", spread(&evidence.used[1]), short(x));
        let counts = format!("lowest of {} inner points, {}", inner.len(), evidence.counts);
        Ok(Comparison { subject, words: ["below", "above"], object, counts, doubt })
    };
    Ok([against(first, places[0])?, against(last, places[places.len() - 1])?])
}

/// Compares the last half of the window with the first.
fn steady(sets: &[Vec<Series>], span: Span, factor: f64) -> Result<Vec<Comparison>, ClaimError> {
    let bound = log_factor(factor)?;
    let [early, late] = span.halves();
    let of_curve = |series: &Series| {
        let evidence = Evidence::difference(&Levels::of(series, late)?, &Levels::of(series, early)?, true)?;
        let subject = format!("{}: last half over first, {},", series.label, evidence.show(libm::exp));
        Ok(within(subject, format!("a factor {}", short(factor)), evidence, [-bound, bound]))
    };
    sets.iter().flatten().map(of_curve).collect()
}

/// Compares every pair of curves of a set.
fn alike(sets: &[Vec<Series>], span: Span, factor: f64) -> Result<Vec<Comparison>, ClaimError> {
    several(sets)?;
    let bound = log_factor(factor)?;
    let mut comparisons = Vec::new();
    for set in sets {
        let levels = set.iter().map(|series| Levels::of(series, span)).collect::<Result<Vec<_>, _>>()?;
        for (i, a) in levels.iter().enumerate() {
            for b in &levels[i + 1..] {
                let evidence = Evidence::difference(a, b, true)?;
                let subject = format!("{} over {}: {},", a.label, b.label, evidence.show(libm::exp));
                comparisons.push(within(subject, format!("a factor {}", short(factor)), evidence, [-bound, bound]));
            }
        }
    }
    Ok(comparisons)
}

fn slope(sets: &[Vec<Series>], span: Span, low: f64, high: f64) -> Result<Vec<Comparison>, ClaimError> {
    if !(low.is_finite() && high.is_finite() && low < high) {
        return Err(ClaimError::Bounds(format!("a slope cannot be between {low} and {high}")));
    }
    let of_curve = |series: &Series| {
        let evidence = Evidence::mean(&Levels::slopes(series, span)?);
        let subject = format!("{}: slope {},", series.label, evidence.show(|slope| slope));
        Ok(within(subject, format!("{} to {}", short(low), short(high)), evidence, [low, high]))
    };
    sets.iter().flatten().map(of_curve).collect()
}

/// Returns the comparison that claims that a number is between two bounds.
fn within(subject: String, object: String, evidence: Evidence, [low, high]: [f64; 2]) -> Comparison {
    let doubt = evidence.test.map(|test| Doubt::within(&test, low, high));
    Comparison { subject, words: ["within", "outside"], object, counts: evidence.counts, doubt }
}

fn log_factor(factor: f64) -> Result<f64, ClaimError> {
    if factor.is_finite() && factor > 1.0 {
        return logarithm("factor", factor);
    }
    Err(ClaimError::Bounds(format!("a factor of {factor} leaves no room: it must be above 1")))
}
