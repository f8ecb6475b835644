//! How well a mean over runs is known, and how many runs make its interval as narrow as requested.
//!
//! Runs are added until the interval is narrow. This rule stops too early where the spread happens to be underestimated: with
//! the plain 95 % interval after every run, the mean is covered in only 79 to 94 % of all cases. So there are few looks, at
//! fixed numbers of runs ([`looks::at_step`]), and they share the 5 % ([`looks::factor`]).

use super::looks::{self, ALPHA, FEWEST};
use base::stats::{ROUNDING, t_quantile};

/// Number of runs that have to agree to the last digit before they count as runs that always agree. With fewer, one run in
/// three could still differ.
const AGREE: usize = 8;

/// Estimate of a mean over runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Known {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation.
    pub std: f64,
    /// Number of runs that did not diverge.
    pub runs: usize,
}

impl Known {
    /// Returns the width of the mean's 95 % interval when it is looked at with `seeds` runs, including those that diverged. The
    /// width is infinite if it is unknown: for fewer than three runs, and for runs that agree to the last digit, whose true
    /// spread can still be above 0. Returns `None` for eight or more such runs: this place has no interval, and more runs do
    /// not change that.
    pub fn width(&self, seeds: usize) -> Option<f64> {
        let spread = self.std > ROUNDING * self.mean.abs();
        match looks::step(seeds) {
            Some(look) if self.runs >= FEWEST && spread => Some(self.at(look, self.runs)),
            _ if self.runs >= AGREE && !spread => None,
            _ => Some(f64::INFINITY),
        }
    }

    /// Returns the width at a look, with the current estimate of the spread.
    fn at(&self, look: u32, runs: usize) -> f64 {
        let tail = ALPHA / looks::factor(look) / 2.0;
        2.0 * t_quantile(tail, (runs - 1) as f64) * self.std / (runs as f64).sqrt()
    }

    /// Returns the look, after that with `seeds` runs, at which the interval should be as narrow as `width`. It is at most two
    /// looks ahead, since the spread itself is an estimate.
    pub fn next(&self, seeds: usize, width: f64) -> u32 {
        let now = looks::step(seeds).unwrap_or(0);
        let lost = seeds.saturating_sub(self.runs);
        let narrow = |look: &u32| {
            let runs = looks::at_step(*look).saturating_sub(lost);
            runs >= FEWEST && self.std.is_finite() && self.at(*look, runs) <= width
        };
        // If the spread is unknown, go to the next look only.
        let far = if self.width(seeds).is_some_and(f64::is_finite) { now + 2 } else { now + 1 };
        (now + 1..far).find(narrow).unwrap_or(far)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_width_needs_three_runs_that_differ() {
        let known = |runs| Known { mean: 10.0, std: 1.0, runs };
        for (runs, seeds) in [(0, 0), (1, 1), (2, 2), (2, 5)] {
            assert_eq!(known(runs).width(seeds), Some(f64::INFINITY), "{runs} of {seeds}");
        }
        // Computed by hand: the first look has 97.5 %, and 1.25 % of t with two degrees of freedom lie beyond 6.2053.
        let width = known(3).width(3).unwrap();
        assert!((width - 2.0 * 6.205_346_8 / 3.0_f64.sqrt()).abs() < 1e-6, "{width}");
        // At a later look, the mean of the same runs is known less well.
        assert!(known(3).width(5).unwrap() > 1.5 * width);
        let same = |runs| Known { mean: 90.0, std: 1e-14, runs };
        assert_eq!(
            (same(3).width(3), same(7).width(7), same(8).width(8)),
            (Some(f64::INFINITY), Some(f64::INFINITY), None)
        );
        assert_eq!(Known { mean: 0.0, std: 0.0, runs: 3 }.width(3), Some(f64::INFINITY));
    }

    #[test]
    fn runs_are_added_from_look_to_look() {
        let known = |runs| Known { mean: 10.0, std: 1.0, runs };
        let next = |runs, width| looks::at_step(known(runs).next(runs, width));
        assert_eq!([next(1, 1.0), next(2, 1.0)], [3, 3]);
        // At most two looks ahead, and at least one.
        assert_eq!([next(3, 1e-6), next(3, 1e6), next(4, 1e-6), next(8, 2.0)], [8, 5, 12, 18]);
    }
}
