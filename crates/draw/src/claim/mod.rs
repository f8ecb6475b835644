//! Claims of the paper as statements over recorded curves, tested and judged. Pure, and the same on every platform.
//!
//! # Rules
//!
//! **Levels.** The level of a replica (a run with its own seed) is the mean of its y in the window, every point with the
//! same weight. A replica has *diverged* if it has a value in the window that is not finite, has no point in the window, or
//! has a point at an x that is not finite. It is left out and counted, and the line states how many diverged. With `log`
//! the logarithms of the levels are compared; the lines show the levels themselves.
//!
//! **Tests.** A statement is one or more comparisons of means over replicas, each tested one-sided with Student's t, and
//! only if at least three replicas are left. Curves with the same number of replicas are compared by paired differences,
//! replica by replica, without the pairs in which one diverged: the caller lists the seeds in the same order. (Pairing runs
//! that have nothing in common is valid too; it costs power.) Curves with different numbers are compared by Welch's test.
//!
//! **Verdicts.** *Reproduced*: every comparison is significant in the claimed direction, so the claim's p is the largest p
//! of its comparisons. *Not reproduced*: at least one comparison is significant in the opposite direction; the claim's p is
//! the smallest p times the number of comparisons (Bonferroni). Otherwise *undecided*: too few or too scattered runs. A
//! comparison without a test (of two runs, or of runs that agree to the last digit) is significant in neither direction;
//! see [`base::stats::one_sample`].
//!
//! **Corrections.** 5 % is spent once, on all looks and all claims of a figure ([`looks`], [`decide`]). The first look is at
//! the number of runs that the profile plans; the k-th look, k − 1 runs later, multiplies p by k(k + 1). At the plan that is
//! the usual two-sided test. Holm's correction (1979) is applied over the claims of a figure, separately for each direction.
//! There is no correction across figures.
//!
//! **Outlook.** An undecided claim says how many seeds would probably decide it ([`outlook`]), if the observed means and
//! spreads are the true ones.
//!
//! Normality of the levels over replicas is not tested: three runs cannot show it. Student's t is exact for normal levels
//! and nearly exact for other levels that are not skewed; a spread over orders of magnitude calls for `log`. The verdicts
//! hold for runs that do not diverge, and for other seeds (of the initial weights and the order of the data) with the same
//! training and test images.

mod compare;
mod decide;
pub mod equivalence;
mod level;
pub mod looks;
mod outlook;
pub mod phase;
pub mod precision;
pub mod simulate;
mod statements;

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::decide::{Weighed, decide};
use self::looks::Runs;

/// One curve over replicas: the points (x, y) of each, x ascending. A y that is not finite means that the run diverged.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name of the curve in the lines.
    pub label: String,
    /// The replicas (seeds), in the same order in all curves of a claim.
    pub replicas: Vec<Vec<(f64, f64)>>,
}

/// Part of the horizontal range: shares of it from 0 to 1, such as `[0.5, 1.0]` for the second half, ends included. The
/// range is that of all finite x of all curves of the claim, and is divided linearly, also for a logarithmic axis.
pub type Window = [f64; 2];

/// The statement of a claim. Unless stated otherwise, each of several sets is judged separately, as a part of one claim.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Statement {
    /// Every curve of the first of two sets is below the curve with the same index in the second.
    Below {
        /// Whether logarithms of levels are compared.
        #[serde(default)]
        log: bool,
    },
    /// The levels of a set's curves rise in the order in which they are listed: each is below the next.
    Ascending {
        /// Whether logarithms of levels are compared.
        #[serde(default)]
        log: bool,
    },
    /// The levels of a set's curves fall in the order in which they are listed.
    Descending {
        /// Whether logarithms of levels are compared.
        #[serde(default)]
        log: bool,
    },
    /// Each curve's level in the window is lower than in another.
    Drops {
        /// The other window.
        before: Window,
        /// Whether logarithms of levels are compared.
        #[serde(default)]
        log: bool,
    },
    /// Each curve's level in the window is higher than in another.
    Grows {
        /// The other window.
        before: Window,
        /// Whether logarithms of levels are compared.
        #[serde(default)]
        log: bool,
    },
    /// Over x, such as the learning rate, each curve is lower at some inner point of the window than at its first and
    /// its last point. The inner point is the one with the lowest mean. It is chosen from the same data, so its
    /// p-values are multiplied by the number of inner points (Bonferroni). An end that is lower than every inner point
    /// contradicts the claim.
    UShape {
        /// Whether logarithms of levels are compared.
        #[serde(default)]
        log: bool,
    },
    /// Each curve stays level: the ratio of its level in the last half of the window to that in the first half is between
    /// 1/factor and factor. Two one-sided tests on the mean logarithm of the ratio (Schuirmann 1987).
    Steady {
        /// The largest ratio that still counts as the same, above 1.
        factor: f64,
    },
    /// The curves of a set have the same level: the ratio of any two is between 1/factor and factor. Every pair is tested
    /// as for [`Statement::Steady`].
    Alike {
        /// The largest ratio that still counts as the same, above 1.
        factor: f64,
    },
    /// The curves of a set have different levels, in any order: the ratio of any two is above factor or below 1/factor.
    /// This is the opposite of [`Statement::Alike`], tested both ways: two curves that are alike contradict the claim.
    Apart {
        /// The largest ratio that still counts as the same, above 1.
        factor: f64,
    },
    /// Each curve is a power law whose exponent is between two bounds. For each replica, the exponent is the least-squares
    /// slope of log y against log x over its points in the window; two one-sided tests check the mean slope over replicas.
    /// Here x can be a recorded number, such as the loss. Whether the points are on a straight line is not tested.
    Slope {
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
    },
}

/// The judgement of the recorded numbers on a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every comparison is significant in the claimed direction.
    Reproduced,
    /// At least one comparison is significant in the opposite direction.
    NotReproduced,
    /// Neither of these conditions holds.
    Undecided,
}

impl Verdict {
    /// Returns the verdict in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::NotReproduced => "not reproduced",
            Self::Undecided => "undecided",
        }
    }
}

/// A verdict and its statistics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// The claim's corrected p in the direction of the verdict, or in the claimed direction if it is undecided. `None` if there
    /// is no test.
    pub p: Option<f64>,
    /// One line per comparison: `LR 0.1: 2.5 ± 0.3 below 39.1 ± 2 (n = 3 pairs, p = 0.0004)`. The number after ± is the sample
    /// standard deviation over the replicas that were compared; for ratios and slopes the 95 % interval is given. A line
    /// after them states the corrections of the p-values, and the last line of an undecided claim says what would decide it.
    pub statistics: Vec<String>,
}

/// The reason why a claim cannot be judged: the claim or its curves are not well formed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClaimError {
    /// Too few or too many sets, or curves in a set.
    #[error("the statement needs {0}")]
    Sets(&'static str),
    /// A curve without replicas.
    #[error("curve `{0}` has no replicas")]
    Empty(String),
    /// A curve of which no replica has a point in a window. (A replica that diverged has points, with NaN.)
    #[error("curve `{label}` has no points in the window from {} to {}", .window[0], .window[1])]
    NoPoints {
        /// The curve.
        label: String,
        /// The window.
        window: Window,
    },
    /// Points that are not in order.
    #[error("curve `{label}`, replica {replica}: x = {x} comes after a larger x")]
    Order {
        /// The curve.
        label: String,
        /// Index of the replica.
        replica: usize,
        /// The smaller x.
        x: f64,
    },
    /// A window that is not a part of the range.
    #[error("the window from {} to {} is not a part of the range: shares from 0 to 1 are expected", .0[0], .0[1])]
    Window(Window),
    /// A logarithm that does not exist.
    #[error("curve `{label}`: {value} has no logarithm: only numbers above 0 have one")]
    NotPositive {
        /// The curve.
        label: String,
        /// The number.
        value: f64,
    },
    /// Bounds with nothing between them.
    #[error("{0}")]
    Bounds(String),
}

/// Compares a statement with the recorded numbers: sets of curves (two for [`Statement::Below`], one or more for the
/// others) in a window. [`decide`] turns the result into verdicts.
///
/// # Errors
/// See [`ClaimError`]. Curves that diverged and single runs are not an error: the verdict is *undecided*.
pub fn weigh(statement: &Statement, sets: &[Vec<Series>], window: Window, runs: Runs) -> Result<Weighed, ClaimError> {
    Ok(Weighed::new(statements::comparisons(statement, sets, window)?, runs))
}

/// Judges one statement alone, as if the existing runs were the planned ones.
///
/// # Errors
/// See [`weigh`].
pub fn judge(statement: &Statement, sets: &[Vec<Series>], window: Window) -> Result<Outcome, ClaimError> {
    let runs = sets.iter().flatten().map(|series| series.replicas.len()).max().unwrap_or_default();
    let weighed = weigh(statement, sets, window, Runs::as_planned(runs))?;
    Ok(decide(&[weighed]).remove(0))
}
