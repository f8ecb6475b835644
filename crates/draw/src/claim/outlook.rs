//! What would decide an undecided claim: the number of seeds of a new run, if the observed means and spreads are the true ones.
//!
//! The spread of a few runs is itself an estimate, so the number is a guide for planning and no result. The power of a t
//! test is approximated: n runs show an effect of d standard deviations with the given probability if d·√n is at least the
//! sum of the two quantiles of Student's t with n − 1 degrees of freedom. For one test at 5 % and 80 %, this gives 27 runs for
//! d = 0.5 and 8 for d = 1, as the noncentral t distribution does. If a claim needs several tests, they share the 20 % of
//! failures (Bonferroni), so that the claim is shown with at least that probability.

use super::compare::Support;
use super::looks::{ALPHA, FEWEST, factor};
use base::stats::t_quantile;

/// The probability with which the claim should be shown.
const POWER: f64 = 0.8;

/// More runs than this are not counted.
const MOST: usize = 200;

/// Says what would decide a claim, from the support for those comparisons that are not shown yet, in a figure with this many
/// claims. Returns `None` if nothing is missing.
pub(super) fn outlook(missing: &[Support], claims: usize) -> Option<String> {
    let against = missing.iter().filter(|support| support.effect <= 0.0).count();
    if against > 0 {
        let of = match (against, missing.len()) {
            (1, 1) => "the mean points the other way".to_owned(),
            (_, all) => format!("{against} of {all} means point the other way"),
        };
        return Some(format!("{of}: more seeds with such means would not reproduce it"));
    }
    let parts: f64 = missing.iter().map(|support| support.parts).sum();
    let missed = (1.0 - POWER) / parts;
    let seeds = missing.iter().map(|support| seeds(*support, claims, missed)).reduce(|a, b| Some(a?.max(b?)))?;
    let seeds = seeds.map_or_else(|| format!("more than {MOST}"), |seeds| format!("about {seeds}"));
    Some(format!(
        "{seeds} planned seeds would show it with a probability of at least 80 %, if means and spreads stay as they are"
    ))
}

/// Returns the smallest number of planned runs with which one comparison is missed with at most this probability; `None` if
/// that is more than [`MOST`].
fn seeds(support: Support, claims: usize, missed: f64) -> Option<usize> {
    // The strictest case of Holm's correction, at the first look.
    let tail = ALPHA / (factor(1) * claims as f64 * support.tests);
    (FEWEST..=MOST).find(|n| {
        let dof = (n - 1) as f64;
        support.effect * (*n as f64).sqrt() >= t_quantile(tail, dof) + t_quantile(missed, dof)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::looks::Runs;
    use crate::claim::{Series, Statement, Verdict, decide, weigh};

    fn support(effect: f64) -> Support {
        Support { p: 0.2, effect, tests: 1.0, parts: 1.0 }
    }

    #[test]
    fn seeds_agree_with_the_noncentral_distribution() {
        // The smallest n with `nct.sf(t.isf(alpha, n - 1), n - 1, effect * sqrt(n)) >= 0.8`, by scipy.stats, where alpha is
        // 0.05 / 2 / claims.
        let exact = [
            (0.5, 1, 34),
            (1.0, 1, 10),
            (2.0 / 3.0_f64.sqrt(), 1, 9),
            (1.0, 9, 17),
            (2.0, 9, 8),
            (3.0, 5, 5),
            (5.0, 9, 4),
        ];
        for (effect, claims, exact) in exact {
            let ours = seeds(support(effect), claims, 0.2).unwrap();
            assert!(ours.abs_diff(exact) <= 1, "{effect}, {claims} claims: {ours} for {exact}");
        }
        assert_eq!(seeds(support(0.01), 1, 0.2), None);
    }

    #[test]
    fn an_undecided_claim_says_what_would_decide_it() {
        let curve = |label: &str, levels: &[f64]| Series {
            label: label.to_owned(),
            replicas: levels.iter().map(|y| vec![(0.0, *y)]).collect(),
        };
        let of = |b: &[f64]| {
            let sets = [vec![curve("a", &[1.0, 2.0, 3.0])], vec![curve("b", b)]];
            let weighed = weigh(&Statement::Below { log: false }, &sets, [0.0, 1.0], Runs::as_planned(3)).unwrap();
            decide(&[weighed]).remove(0)
        };
        // The differences are 1, 1 and 4: mean 2, standard deviation √3.
        let undecided = of(&[2.0, 3.0, 7.0]);
        assert_eq!(undecided.verdict, Verdict::Undecided);
        let last = undecided.statistics.last().unwrap();
        assert!(last.starts_with("about 8 planned seeds would show it"), "{last}");
        let other_way = of(&[0.9, 2.2, 2.0]);
        assert!(other_way.statistics.last().unwrap().starts_with("the mean points the other way"), "{other_way:?}");
        let shown = of(&[11.0, 12.1, 13.2]);
        assert_eq!(shown.verdict, Verdict::Reproduced);
        assert!(shown.statistics.last().unwrap().starts_with("one-sided p"), "{shown:?}");
    }
}
