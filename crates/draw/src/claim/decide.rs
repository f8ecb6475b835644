//! Verdicts on all claims of a figure from their comparisons: corrections, lines, decisions.

use super::compare::{Comparison, Doubt, Support, short};
use super::looks::{ALPHA, Runs, factor};
use super::outlook::outlook;
use super::{Outcome, Verdict};

/// The p-values of a comparison, or the reason why there are none or they are not used yet.
type Asked = Result<Doubt, String>;

/// A claim with its comparisons, before it is decided together with the other claims of its figure.
pub struct Weighed {
    /// The comparisons of the claim. The list is empty if the claim cannot be judged yet.
    comparisons: Vec<Comparison>,
    /// The reason why there are no comparisons.
    why: String,
    runs: Runs,
}

impl Weighed {
    pub(super) fn new(comparisons: Vec<Comparison>, runs: Runs) -> Self {
        Self { comparisons, why: String::new(), runs }
    }

    /// Creates a claim that cannot be judged, with the reason. It still counts among the claims of its figure: the strictness
    /// of a test must not depend on which runs exist.
    pub fn without(why: String, runs: Runs) -> Self {
        Self { comparisons: Vec::new(), why, runs }
    }

    /// Returns the p-values of every comparison.
    fn doubts(&self) -> Vec<Asked> {
        let planned = self.runs.planned;
        let early =
            self.runs.look().is_none().then(|| format!("no verdict before the {planned} planned runs are made"));
        let doubt = |comparison: &Comparison| match (&comparison.doubt, &early) {
            (Ok(_), Some(early)) => Err(early.clone()),
            (Ok(doubt), None) => Ok(*doubt),
            (Err(want), _) => Err((*want).to_owned()),
        };
        self.comparisons.iter().map(doubt).collect()
    }
}

/// One direction of a claim: the p of every comparison, corrected for the looks and within the claim.
struct Direction(Vec<f64>);

impl Direction {
    /// Returns the claimed direction. All comparisons have to go as claimed, so the claim's p is the largest, and no correction
    /// is necessary.
    fn claimed(doubts: &[Asked], looks: f64) -> Self {
        Self(doubts.iter().map(|doubt| doubt.as_ref().map_or(1.0, |doubt| looks * doubt.claimed.p).min(1.0)).collect())
    }

    /// Returns the opposite direction. One comparison in it is enough, so the claim's p is the smallest, times their number
    /// (Bonferroni).
    fn opposite(doubts: &[Asked], looks: f64) -> Self {
        let many = looks * doubts.len() as f64;
        Self(doubts.iter().map(|doubt| doubt.as_ref().map_or(1.0, |doubt| many * doubt.opposite.p).min(1.0)).collect())
    }
}

/// Decides the claims of one figure together: Holm's correction (1979) over the claims, separately for each direction.
pub fn decide(claims: &[Weighed]) -> Vec<Outcome> {
    let doubts: Vec<_> = claims.iter().map(Weighed::doubts).collect();
    let directions = |of: fn(&[Asked], f64) -> Direction| -> Vec<Direction> {
        let looks = claims.iter().map(|claim| claim.runs.look().map_or(1.0, factor));
        doubts.iter().zip(looks).map(|(doubts, looks)| of(doubts, looks)).collect()
    };
    let (claimed, opposite) = (directions(Direction::claimed), directions(Direction::opposite));
    let largest = |direction: &Direction| direction.0.iter().copied().fold(0.0, f64::max);
    let least = |direction: &Direction| direction.0.iter().copied().fold(1.0, f64::min);
    // A claim without comparisons has p = 1.
    let whole = |d: &Direction| if d.0.is_empty() { 1.0 } else { largest(d) };
    let for_it = holm(&claimed.iter().map(whole).collect::<Vec<_>>());
    let against = holm(&opposite.iter().map(least).collect::<Vec<_>>());
    let one = |at: usize| {
        let corrected = [for_it[at].of(&claimed[at].0), against[at].of(&opposite[at].0)];
        outcome(&claims[at], &doubts[at], &corrected, claims.len())
    };
    (0..claims.len()).map(one).collect()
}

fn shown(p: f64) -> bool {
    p <= ALPHA
}

fn outcome(claim: &Weighed, doubts: &[Asked], [claimed, opposite]: &[Vec<f64>; 2], of: usize) -> Outcome {
    let verdict = if !claimed.is_empty() && claimed.iter().all(|p| shown(*p)) {
        Verdict::Reproduced
    } else if opposite.iter().any(|p| shown(*p)) {
        Verdict::NotReproduced
    } else {
        Verdict::Undecided
    };
    let line = |(at, comparison): (usize, &Comparison)| {
        let Comparison { subject, words: [word, contrary], object, counts, .. } = comparison;
        match &doubts[at] {
            Err(want) => format!("{subject} not shown to be {word} {object} ({counts}; {want})"),
            Ok(_) if shown(claimed[at]) => format!("{subject} {word} {object} ({counts}, p = {})", short(claimed[at])),
            Ok(_) if shown(opposite[at]) => {
                format!("{subject} {contrary} {object} ({counts}, p = {})", short(opposite[at]))
            }
            Ok(_) => format!("{subject} not shown to be {word} {object} ({counts}, p = {})", short(claimed[at])),
        }
    };
    let mut statistics: Vec<String> = claim.comparisons.iter().enumerate().map(line).collect();
    if claim.comparisons.is_empty() {
        statistics.push(claim.why.clone());
    } else if doubts.iter().any(Result::is_ok) {
        statistics.push(corrections(claim.runs, of));
    }
    let known: Result<Vec<Doubt>, _> = doubts.iter().cloned().collect();
    if let (Verdict::Undecided, Ok(known)) = (verdict, known) {
        let missing: Vec<Support> =
            known.iter().zip(claimed).filter(|(_, p)| !shown(**p)).map(|(doubt, _)| doubt.claimed).collect();
        statistics.extend(outlook(&missing, of));
    }
    let p = match verdict {
        Verdict::NotReproduced => opposite.iter().copied().fold(1.0, f64::min),
        Verdict::Reproduced | Verdict::Undecided => claimed.iter().copied().fold(0.0, f64::max),
    };
    Outcome { verdict, p: doubts.iter().any(Result::is_ok).then_some(p), statistics }
}

/// Describes the corrections of the p in the lines.
fn corrections(runs: Runs, claims: usize) -> String {
    let look = runs.look().unwrap_or(1);
    let family =
        if claims == 1 { "the only claim of the figure".to_owned() } else { format!("{claims} claims of the figure") };
    format!("one-sided p, corrected for look {look} (planned were {} runs) and for {family}", runs.planned)
}

/// The correction of the p-values of one claim among several.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Correction {
    factor: f64,
    /// The corrected p of the previous claim in the order: the p of later claims are not smaller.
    least: f64,
}

impl Correction {
    fn of(self, p: &[f64]) -> Vec<f64> {
        p.iter().map(|p| self.p(*p)).collect()
    }

    pub(super) fn p(self, p: f64) -> f64 {
        (self.factor * p).max(self.least).min(1.0)
    }
}

/// Applies Holm's step-down method: the smallest p is multiplied by the number of claims, the next by one less, and so on. No
/// corrected p is below an earlier one or above 1.
pub(super) fn holm(p: &[f64]) -> Vec<Correction> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let (mut corrections, mut least) = (vec![Correction { factor: 1.0, least: 1.0 }; p.len()], 0.0_f64);
    for (rank, index) in order.into_iter().enumerate() {
        corrections[index] = Correction { factor: (p.len() - rank) as f64, least };
        least = corrections[index].p(p[index]);
    }
    corrections
}
