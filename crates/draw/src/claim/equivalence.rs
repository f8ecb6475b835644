//! Equivalence: does our number agree with the published one?
//!
//! Finding no difference says little: fewer and more scattered runs find less. So *agrees* has to be shown (Schuirmann 1987,
//! two one-sided tests at 5 %): the 90 % interval of the difference, which includes both standard errors, is within the
//! tolerance. *Differs* is shown by an interval that is outside the tolerance. Everything else is *not known*.

use super::looks::FEWEST;
use base::stats::{ROUNDING, Sample, TTest, one_sample, paired, welch, welch_of};

/// Probability that an interval leaves out on each side.
const TAIL: f64 = 0.05;

/// Result of comparing recorded numbers with published ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Shown to be within the tolerance, or in the published order.
    Agrees,
    /// Shown to be outside the tolerance, or in the opposite order.
    Differs,
    /// Neither agreement nor a difference is shown.
    NotKnown,
    /// Our runs have another scale than the published runs, and there is no reason to expect the same value.
    NotComparable,
    /// Our number is not computed yet.
    NotMade,
    /// Our figure has no such curve, or no such place.
    NoCounterpart,
    /// Only the order among other values is compared, not the value itself.
    OrderOnly,
}

impl Standing {
    /// Returns the result in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Agrees => "agrees",
            Self::Differs => "differs",
            Self::NotKnown => "not known",
            Self::NotComparable => "not comparable",
            Self::NotMade => "not made",
            Self::NoCounterpart => "no counterpart",
            Self::OrderOnly => "order only",
        }
    }

    /// Returns what the result means, for readers who do not know the word.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Agrees => "shown to be within the tolerance, or in the published order",
            Self::Differs => "shown to be outside the tolerance, or in the opposite order",
            Self::NotKnown => "the runs show neither agreement nor a difference",
            Self::NotComparable => {
                "these runs have another scale than the published ones, and nothing says that the value carries over"
            }
            Self::NotMade => "our number is not computed yet",
            Self::NoCounterpart => "our figure has no such curve, or no such place",
            Self::OrderOnly => "the order of the curves is compared, not the value itself",
        }
    }
}

/// A published mean.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    /// The mean over runs.
    pub mean: f64,
    /// The sample standard deviation, if it was published.
    pub std: Option<f64>,
    /// The number of runs.
    pub runs: usize,
}

impl Mean {
    /// Returns the standard error. If no spread was published, assumes that the runs have the same spread as ours.
    fn error(self, ours: f64) -> f64 {
        self.std.unwrap_or(ours) / (self.runs as f64).sqrt()
    }
}

/// Checks whether our level is the published one, up to a tolerance.
pub fn level(ours: &[f64], published: Mean, tolerance: f64) -> Standing {
    let sample = Sample::of(ours);
    let size = sample.mean.abs().max(published.mean.abs());
    let test = match published.std {
        Some(std) => welch_of(sample, Sample { mean: published.mean, std, n: published.runs }, size),
        None => one_sample(ours).map(|test| TTest {
            difference: test.difference - published.mean,
            stderr: test.stderr.hypot(published.error(sample.std)),
            dof: test.dof,
        }),
    };
    within(test.filter(|_| ours.len() >= FEWEST), tolerance)
}

/// Checks whether the ratio of two of our levels, run by run, is the published one, up to a factor.
pub fn ratio(ours: [&[f64]; 2], published: [Mean; 2], factor: f64) -> Standing {
    let logs = |values: &[f64]| values.iter().map(|value| libm::log(*value)).collect::<Vec<f64>>();
    let (a, b) = (logs(ours[0]), logs(ours[1]));
    let test = difference(&a, &b).map(|test| {
        let expected = libm::log(published[0].mean / published[1].mean);
        let own = [&a, &b].map(|logs| Sample::of(logs).std);
        // The spread of a logarithm is the relative spread.
        let error = |at: usize| {
            let relative = published[at].std.map(|std| std / published[at].mean.abs());
            Mean { std: relative, ..published[at] }.error(own[at])
        };
        let stderr = test.stderr.hypot(error(0).hypot(error(1)));
        TTest { difference: test.difference - expected, stderr, dof: test.dof }
    });
    within(test, libm::log(factor))
}

/// Checks whether the first of two of our levels is below the second, as published.
pub fn below(ours: [&[f64]; 2]) -> Standing {
    match difference(ours[0], ours[1]) {
        Some(test) if test.p_below(0.0) <= TAIL => Standing::Agrees,
        Some(test) if test.p_above(0.0) <= TAIL => Standing::Differs,
        _ => Standing::NotKnown,
    }
}

/// Tests the difference. Pairs the runs if both sides have the same number of runs, as claims do.
fn difference(a: &[f64], b: &[f64]) -> Option<TTest> {
    let test = if a.len() == b.len() { paired(a, b) } else { welch(a, b) };
    test.filter(|_| a.len().min(b.len()) >= FEWEST)
}

fn within(test: Option<TTest>, tolerance: f64) -> Standing {
    let Some(test) = test.filter(|test| test.stderr > ROUNDING * test.difference.abs()) else {
        return Standing::NotKnown;
    };
    let [low, high] = test.interval(TAIL);
    if -tolerance <= low && high <= tolerance {
        Standing::Agrees
    } else if low > tolerance || high < -tolerance {
        Standing::Differs
    } else {
        Standing::NotKnown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::rng::Stream;

    fn published(mean: f64, std: Option<f64>) -> Mean {
        Mean { mean, std, runs: 5 }
    }

    #[test]
    fn agreement_is_shown_not_assumed() {
        let tight = [10.2, 10.3, 10.25, 10.28, 10.22];
        let theirs = published(10.25, Some(0.25));
        assert_eq!(level(&tight, theirs, 0.8), Standing::Agrees);
        assert_eq!(level(&tight, theirs, 0.1), Standing::NotKnown);
        assert_eq!(level(&tight, published(14.7, Some(0.4)), 0.8), Standing::Differs);
        assert_eq!(level(&tight, published(14.7, None), 0.8), Standing::Differs);
        assert_eq!(level(&tight, published(10.25, None), 0.8), Standing::Agrees);
        // The same mean with a larger spread does not agree.
        assert_eq!(level(&[8.0, 10.3, 12.4, 9.0, 11.5], theirs, 0.8), Standing::NotKnown);
        assert_eq!(level(&[10.25], theirs, 0.8), Standing::NotKnown);
        assert_eq!(level(&[10.2, 10.3], theirs, 0.8), Standing::NotKnown);
        // Runs that agree to the last digit have no spread.
        assert_eq!(level(&[10.0; 5], published(10.0, None), 0.8), Standing::NotKnown);
        assert_eq!(level(&[90.0; 5], theirs, 0.8), Standing::Differs);
        assert_eq!(level(&[], theirs, 0.8), Standing::NotKnown);
    }

    #[test]
    fn a_wrong_value_agrees_in_one_case_of_twenty() {
        // The true value is on the edge of the tolerance.
        for (runs, std) in [(3, 0.3), (5, 0.3), (5, 2.0)] {
            let cases = 4000;
            let mut agreed = 0;
            for case in 0..cases {
                let mut stream = Stream::new(1, "edge", &[case]);
                let theirs: Vec<f64> = (0..5).map(|_| 10.0 + std * stream.normal()).collect();
                let ours: Vec<f64> = (0..runs).map(|_| 11.0 + std * stream.normal()).collect();
                let sample = Sample::of(&theirs);
                let theirs = Mean { mean: sample.mean, std: Some(sample.std), runs: 5 };
                agreed += usize::from(level(&ours, theirs, 1.0) == Standing::Agrees);
            }
            let share = agreed as f64 / cases as f64;
            assert!(share < 0.05 + 3.0 * 0.0035, "{runs} runs, {std}: {share}");
        }
    }

    #[test]
    fn orders_and_ratios_are_tested_run_by_run() {
        let (a, b) = ([10.0, 20.0, 30.0], [11.0, 22.2, 32.9]);
        assert_eq!((below([&a, &b]), below([&b, &a])), (Standing::Agrees, Standing::Differs));
        assert_eq!((below([&a[..2], &b[..2]]), below([&a, &a])), (Standing::NotKnown, Standing::NotKnown));
        let theirs = [published(1.0, Some(0.01)), published(1.1, Some(0.01))];
        assert_eq!(ratio([&a, &b], theirs, 1.05), Standing::Agrees);
        assert_eq!(ratio([&a, &b], theirs, 1.001), Standing::NotKnown);
        assert_eq!(ratio([&b, &a], theirs, 1.05), Standing::Differs);
        let scattered = [published(1.0, None), published(1.1, None)];
        assert_eq!(ratio([&a, &b], scattered, 1.05), Standing::NotKnown, "their runs may scatter like ours");
        assert_eq!(ratio([&[-1.0, 1.0, 2.0], &b], theirs, 1.05), Standing::NotKnown);
    }
}
