//! Simulation of the rules: how often an interval covers the mean, how often noise is called a finding, and how large a
//! difference must be to be found. Every stream of random numbers is fixed, so the results are fixed too.

use super::looks::{self, FEWEST, Runs};
use super::precision::Known;
use super::{Series, Statement, Verdict, decide, weigh};
use base::rng::Stream;
use base::stats::Sample;

/// The distribution from which the runs of a simulation are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Population {
    /// Normal, with standard deviation 1.
    Normal,
    /// Exponential, with standard deviation 1: skewness 2.
    Skewed,
    /// Normal, but one run in ten ends ten standard deviations higher, as a run that collapses to chance.
    Collapsing,
}

impl Population {
    /// All populations, with their names.
    pub const ALL: [(&str, Self); 3] = [
        ("normal", Self::Normal),
        ("skewed (exponential)", Self::Skewed),
        ("one run in ten collapses", Self::Collapsing),
    ];

    fn draw(self, stream: &mut Stream) -> f64 {
        match self {
            Self::Normal => stream.normal(),
            Self::Skewed => -libm::log(1.0 - stream.uniform()),
            Self::Collapsing => (if stream.uniform() < 0.1 { 10.0 } else { 0.0 }) + stream.normal(),
        }
    }

    fn mean(self) -> f64 {
        match self {
            Self::Normal => 0.0,
            Self::Skewed | Self::Collapsing => 1.0,
        }
    }
}

/// How often the interval covers the mean when seeds are added until it is narrow, and the average number of seeds needed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Covered {
    /// Share of cases in which the interval covers the mean.
    pub share: f64,
    /// Mean number of seeds at the end.
    pub seeds: f64,
}

/// Adds seeds as `make --until-width` does, until the interval is at most `width` wide, or more than 500 seeds are drawn.
pub fn coverage(population: Population, width: f64, cases: u32) -> Covered {
    let (mut covered, mut seeds) = (0_u32, 0_usize);
    for case in 0..cases {
        let mut stream = Stream::new(0, "coverage", &[u64::from(case)]);
        let mut runs: Vec<f64> = (0..FEWEST).map(|_| population.draw(&mut stream)).collect();
        loop {
            let Sample { mean, std, n } = Sample::of(&runs);
            let known = Known { mean, std, runs: n };
            let now = known.width(n).unwrap_or(f64::INFINITY);
            if now <= width || n > 500 {
                covered += u32::from((mean - population.mean()).abs() <= now / 2.0);
                seeds += n;
                break;
            }
            let wanted = looks::at_step(known.next(n, width));
            runs.resize_with(wanted, || population.draw(&mut stream));
        }
    }
    Covered { share: f64::from(covered) / f64::from(cases), seeds: seeds as f64 / f64::from(cases) }
}

/// Returns the verdict on "the first curve is below the second", given the runs of each.
fn verdict(first: &[f64], second: &[f64], claims: usize, planned: usize) -> Verdict {
    let runs = Runs { planned, now: first.len() };
    let series = |label: &str, levels: &[f64]| {
        vec![Series { label: label.to_owned(), replicas: levels.iter().map(|level| vec![(0.0, *level)]).collect() }]
    };
    let sets = [series("a", first), series("b", second)];
    let Ok(weighed) = weigh(&Statement::Below { log: false }, &sets, [0.0, 1.0], runs) else {
        return Verdict::Undecided;
    };
    let others = (1..claims).map(|_| super::Weighed::without(String::new(), runs));
    decide(&std::iter::once(weighed).chain(others).collect::<Vec<_>>())[0].verdict
}

/// Returns how often a false claim is called reproduced in at least one look, when seeds are added one by one from three to
/// ten and the claim is judged after each.
pub fn false_findings(population: Population, cases: u32) -> f64 {
    let found = (0..cases).filter(|case| {
        let mut stream = Stream::new(0, "false findings", &[u64::from(*case)]);
        let pairs: Vec<(f64, f64)> =
            (0..10).map(|_| (population.draw(&mut stream), population.draw(&mut stream))).collect();
        let (first, second): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
        (FEWEST..=10).any(|n| verdict(&first[..n], &second[..n], 1, FEWEST) == Verdict::Reproduced)
    });
    found.count() as f64 / f64::from(cases)
}

/// Returns how often a difference, in standard deviations of a run, is found with the given number of planned runs, by a claim
/// that is corrected for `claims` claims in its figure, none of which has a smaller p.
pub fn power(difference: f64, runs: usize, claims: usize, cases: u32) -> f64 {
    let found = (0..cases).filter(|case| {
        let mut stream = Stream::new(0, "power", &[u64::from(*case)]);
        let first: Vec<f64> = (0..runs).map(|_| stream.normal()).collect();
        let second: Vec<f64> = (0..runs).map(|_| difference + stream.normal()).collect();
        verdict(&first, &second, claims, runs) == Verdict::Reproduced
    });
    found.count() as f64 / f64::from(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns three standard errors of a share near 5 %, estimated from `cases` cases.
    fn slack(cases: u32) -> f64 {
        3.0 * (0.05 * 0.95 / f64::from(cases)).sqrt()
    }

    #[test]
    fn intervals_of_normal_runs_cover_the_mean() {
        for width in [4.0, 2.0] {
            let covered = coverage(Population::Normal, width, 1000);
            assert!(covered.share >= 0.95 - slack(1000), "{width}: {covered:?}");
        }
        // Narrower intervals need more seeds, and the result is the same each time.
        let [wide, narrow] = [4.0, 2.0].map(|width| coverage(Population::Normal, width, 200));
        assert!(narrow.seeds > 2.0 * wide.seeds, "{wide:?} {narrow:?}");
        assert_eq!(wide, coverage(Population::Normal, 4.0, 200));
    }

    #[test]
    fn where_coverage_fails_is_known() {
        // docs/numerics.md has the numbers; this checks that they are not worse.
        for (population, least) in [(Population::Skewed, 0.88), (Population::Collapsing, 0.78)] {
            let covered = coverage(population, 2.0, 1000);
            assert!((least..0.95).contains(&covered.share), "{population:?}: {covered:?}");
        }
    }

    #[test]
    fn added_seeds_make_no_findings_of_noise() {
        for (name, population) in Population::ALL {
            let found = false_findings(population, 1000);
            assert!(found <= 0.05 + slack(1000), "{name}: {found}");
        }
    }

    #[test]
    fn power_grows_with_the_difference_and_the_runs_and_falls_with_the_claims() {
        let power = |difference, runs, claims| power(difference, runs, claims, 400);
        assert!(power(0.0, 3, 1) <= 0.05 && power(8.0, 5, 1) > 0.99);
        assert!(power(2.0, 3, 1) < power(4.0, 3, 1) && power(2.0, 3, 1) < power(2.0, 5, 1));
        assert!(power(4.0, 3, 6) < power(4.0, 3, 1));
    }
}
