//! Comparisons: the difference between curves over their replicas, its test, and its text.

use super::ClaimError;
use super::level::{Levels, logarithm};
use super::looks::FEWEST;
use base::stats::{TTest, deviation, mean, one_sample, paired, welch};

/// The evidence of the replicas on the difference of two curves, or on one number of a curve.
pub(super) struct Evidence {
    /// The levels that were used, of the first and the second curve (empty if there is only one curve).
    pub used: [Vec<f64>; 2],
    /// The difference of their means (or of the means of their logarithms), or the mean of the only curve. NaN if unknown.
    pub estimate: f64,
    /// The test of the estimate, or the reason why there is none.
    pub test: Result<TTest, &'static str>,
    /// The number of runs and of diverged runs, as text.
    pub counts: String,
}

impl Evidence {
    /// Returns the evidence on `a` minus `b`, or log a minus log b.
    pub fn difference(a: &Levels, b: &Levels, log: bool) -> Result<Self, ClaimError> {
        let in_pairs = a.values.len() == b.values.len();
        let pairs = a.values.iter().zip(&b.values).filter(|(a, b)| a.is_finite() && b.is_finite());
        let finite = |levels: &Levels| levels.values.iter().copied().filter(|value| value.is_finite()).collect();
        let used: [Vec<f64>; 2] = if in_pairs {
            let (a, b) = pairs.unzip();
            [a, b]
        } else {
            [finite(a), finite(b)]
        };
        let scaled = |label: &str, values: &[f64]| -> Result<Vec<f64>, ClaimError> {
            values.iter().map(|value| if log { logarithm(label, *value) } else { Ok(*value) }).collect()
        };
        let (left, right) = (scaled(&a.label, &used[0])?, scaled(&b.label, &used[1])?);
        let test = if in_pairs { paired(&left, &right) } else { welch(&left, &right) };
        let (n, m) = (left.len(), right.len());
        let test = test.filter(|_| n.min(m) >= FEWEST);
        let (runs, lost) = if in_pairs {
            (format!("n = {n} pair{}", if n == 1 { "" } else { "s" }), (a.values.len() - n, a.values.len()))
        } else {
            (format!("n = {n} and {m}"), (a.values.len() + b.values.len() - n - m, a.values.len() + b.values.len()))
        };
        let counts = counts(runs, lost, log);
        Ok(Self { used, estimate: mean(&left) - mean(&right), test: test.ok_or(want(n.min(m))), counts })
    }

    /// Returns the evidence on the mean of one number per replica.
    pub fn mean(of: &Levels) -> Self {
        let finite: Vec<f64> = of.values.iter().copied().filter(|value| value.is_finite()).collect();
        let (n, all) = (finite.len(), of.values.len());
        let test = one_sample(&finite).filter(|_| n >= FEWEST).ok_or(want(n));
        let counts = counts(format!("n = {n}"), (all - n, all), false);
        Self { estimate: mean(&finite), used: [finite, Vec::new()], test, counts }
    }

    /// Formats the estimate and its 95 % interval.
    pub fn show(&self, scale: fn(f64) -> f64) -> String {
        match &self.test {
            Ok(test) => {
                let [low, high] = test.interval_95().map(scale);
                format!("{} ({} to {})", short(scale(test.difference)), short(low), short(high))
            }
            Err(_) if self.estimate.is_nan() => "no value".to_owned(),
            Err(_) => short(scale(self.estimate)),
        }
    }
}

fn counts(runs: String, (lost, all): (usize, usize), log: bool) -> String {
    let lost = if lost > 0 { format!(", {lost} of {all} diverged") } else { String::new() };
    format!("{runs}{lost}{}", if log { ", by logarithms" } else { "" })
}

/// Returns the reason why there is no test.
fn want(runs: usize) -> &'static str {
    match runs {
        0 => "no run: nothing known",
        1 => "one run: no spread known",
        2 => "two runs: at least three are needed",
        _ => "the runs do not differ: no spread known",
    }
}

/// What a test says about a statement, before correction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Support {
    /// The p of the statement: small if the numbers support it.
    pub p: f64,
    /// The distance of the estimate from the bound that has to be rejected, in sample standard deviations of one run.
    /// Below 0 if the estimate is on the other side of the bound.
    pub effect: f64,
    /// The factor that is contained in `p` because the best of several tests is used.
    pub tests: f64,
    /// The number of tests that have to reject together.
    pub parts: f64,
}

impl Support {
    /// Returns the support for a difference below a bound.
    pub fn below(test: &TTest, bound: f64) -> Self {
        Self { p: test.p_below(bound), effect: (bound - test.difference) / per_run(test), tests: 1.0, parts: 1.0 }
    }

    /// Returns the support for a difference above a bound.
    pub fn above(test: &TTest, bound: f64) -> Self {
        Self { p: test.p_above(bound), effect: (test.difference - bound) / per_run(test), tests: 1.0, parts: 1.0 }
    }

    /// Returns the support for two statements together, both of which have to be shown.
    fn and(self, other: Self) -> Self {
        Self {
            p: self.p.max(other.p),
            effect: self.effect.min(other.effect),
            tests: self.tests.max(other.tests),
            parts: self.parts + other.parts,
        }
    }

    /// Returns the support for the better of two statements that exclude each other.
    fn or(self, other: Self) -> Self {
        let better = Self { effect: self.effect.max(other.effect), p: self.p.min(other.p), ..self };
        better.best_of(2)
    }

    /// Returns the support for a statement that was chosen as the best of several (Bonferroni).
    pub fn best_of(self, tests: usize) -> Self {
        let tests = tests as f64;
        Self { p: (tests * self.p).min(1.0), tests: tests * self.tests, ..self }
    }
}

/// Returns the sample standard deviation of one run, or of the difference of a pair of runs. For curves with different
/// numbers of runs it is too large by up to 1.4 times, so that more seeds are asked for than necessary.
fn per_run(test: &TTest) -> f64 {
    test.stderr * (test.dof + 1.0).sqrt()
}

/// The support for a comparison and for its opposite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Doubt {
    /// The support for the claim.
    pub claimed: Support,
    /// The support for its opposite.
    pub opposite: Support,
}

impl Doubt {
    /// Weighs the claim that the difference is below 0.
    pub fn below(test: &TTest) -> Self {
        Self { claimed: Support::below(test, 0.0), opposite: Support::above(test, 0.0) }
    }

    /// Weighs the claim that the difference is above 0.
    pub fn above(test: &TTest) -> Self {
        Self::below(test).reversed()
    }

    /// Weighs the claim that the difference is between two bounds. Both tests have to reject. For the opposite, one
    /// rejection is enough, so its p is doubled.
    pub fn within(test: &TTest, low: f64, high: f64) -> Self {
        Self {
            claimed: Support::above(test, low).and(Support::below(test, high)),
            opposite: Support::below(test, low).or(Support::above(test, high)),
        }
    }

    /// Returns the opposite claim.
    pub fn reversed(self) -> Self {
        Self { claimed: self.opposite, opposite: self.claimed }
    }
}

/// One comparison of a claim, as the parts of its line.
pub(super) struct Comparison {
    /// The curve or number that is compared.
    pub subject: String,
    /// The words to use if the claim is shown, and if the opposite is.
    pub words: [&'static str; 2],
    /// The curve or number that it is compared with.
    pub object: String,
    /// See [`Evidence::counts`].
    pub counts: String,
    /// The support for the claim and its opposite, or the reason why there is no test.
    pub doubt: Result<Doubt, &'static str>,
}

impl Comparison {
    /// Returns the comparison of the opposite claim.
    pub fn reversed(self) -> Self {
        let [word, contrary] = self.words;
        Self { words: [contrary, word], doubt: self.doubt.map(Doubt::reversed), ..self }
    }
}

/// Formats the mean ± sample standard deviation.
pub(super) fn spread(values: &[f64]) -> String {
    match values {
        [] => "no value".to_owned(),
        [only] => short(*only),
        _ => format!("{} ± {}", short(mean(values)), short(deviation(values))),
    }
}

/// Formats a number with four significant digits, without trailing zeros.
pub(super) fn short(value: f64) -> String {
    let scientific = format!("{value:.3e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let trim = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match exponent.parse::<i32>() {
        Ok(exponent @ -4..=3) => trim(&format!("{value:.*}", (3 - exponent) as usize)),
        _ => format!("{}e{exponent}", trim(digits)),
    }
}
