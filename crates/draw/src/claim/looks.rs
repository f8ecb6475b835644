//! Looks: how often numbers were tested while runs were added, and the share of α that each test can therefore spend.
//!
//! Adding runs until a test gives the desired result produces false findings too often: with 5 % per look and looks at three
//! to ten runs, noise is called a finding in 12 to 22 % of all cases. So the looks share the 5 %: look k can spend
//! α/(k(k + 1)), which sums to α over all k. This holds for any number of looks and any dependence between them (Bonferroni).

/// The level of significance of all looks together.
pub const ALPHA: f64 = 0.05;

/// Smallest number of runs that is tested: two runs show no reliable spread.
pub const FEWEST: usize = 3;

/// Numbers of planned and of existing runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Runs {
    /// The number in the profile. It is written down before the runs, so their results cannot influence it.
    pub planned: usize,
    /// The current number, including runs added by `--set`.
    pub now: usize,
}

impl Runs {
    /// Returns the numbers for a figure that has exactly its planned runs.
    pub fn as_planned(runs: usize) -> Self {
        Self { planned: runs, now: runs }
    }

    /// Returns the number of the look. The first look is at the planned number of runs, or at [`FEWEST`] if fewer are planned;
    /// every further run counts as one more look, whether or not anyone looked. Returns `None` before the first look.
    pub fn look(self) -> Option<u32> {
        let first = self.planned.max(FEWEST);
        let more = self.now.checked_sub(first)?;
        Some(u32::try_from(more).unwrap_or(u32::MAX - 1) + 1)
    }
}

/// Returns the factor by which the p-values of a look are multiplied: α divided by the share that the look can spend.
pub fn factor(look: u32) -> f64 {
    let k = f64::from(look);
    k * (k + 1.0)
}

/// Returns the numbers of runs at which a mean is looked at while runs are added until its interval is narrow: 3, 5, 8, 12,
/// 18, …, each larger than the one before by half. Few looks cost little.
fn schedule() -> impl Iterator<Item = usize> {
    std::iter::successors(Some(FEWEST), |runs| Some(runs + runs.div_ceil(2)))
}

/// Returns the look at a number of runs in that schedule. A number between two steps counts as the later one. Returns `None`
/// for fewer than [`FEWEST`] runs.
pub fn step(runs: usize) -> Option<u32> {
    (runs >= FEWEST).then(|| schedule().take_while(|step| *step < runs).count() as u32 + 1)
}

/// Returns the number of runs at a look of the schedule.
pub fn at_step(look: u32) -> usize {
    schedule().nth(look.saturating_sub(1) as usize).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_begin_at_the_plan_and_never_before_three_runs() {
        let look = |planned, now| Runs { planned, now }.look();
        assert_eq!([look(1, 1), look(1, 2), look(1, 3), look(1, 5)], [None, None, Some(1), Some(3)]);
        assert_eq!([look(5, 3), look(5, 5), look(5, 6), look(5, 10)], [None, Some(1), Some(2), Some(6)]);
        assert_eq!(look(3, usize::MAX), Some(u32::MAX));
        assert_eq!((Runs::as_planned(4).look(), Runs::as_planned(2).look()), (Some(1), None));
    }

    #[test]
    fn what_all_looks_spend_is_alpha() {
        let spent: f64 = (1..=100_000).map(|look| ALPHA / factor(look)).sum();
        assert!(spent < ALPHA && spent > 0.9999 * ALPHA, "{spent}");
        assert!(factor(u32::MAX).is_finite());
    }

    #[test]
    fn the_schedule_is_the_same_whoever_asks() {
        let steps: Vec<usize> = (1..=8).map(at_step).collect();
        assert_eq!(steps, [3, 5, 8, 12, 18, 27, 41, 62]);
        assert_eq!(
            [step(2), step(3), step(4), step(5), step(6), step(62)],
            [None, Some(1), Some(2), Some(2), Some(3), Some(8)]
        );
    }
}
