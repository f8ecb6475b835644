//! Summary of a curve: one number per replica.

use super::{ClaimError, Series, Window};
use base::stats::mean;

/// A window in the units of x, ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Span {
    pub low: f64,
    pub high: f64,
    /// Whether `high` belongs to the window.
    closed: bool,
    /// The window as shares of the range, for messages.
    window: Window,
}

impl Span {
    pub fn has(&self, x: f64) -> bool {
        self.low <= x && (x < self.high || self.closed && x == self.high)
    }

    /// Returns the window that contains only one x.
    pub fn at(&self, x: f64) -> Self {
        Self { low: x, high: x, closed: true, ..*self }
    }

    /// Returns the first and the last half. The middle belongs to the last half.
    pub fn halves(&self) -> [Self; 2] {
        let middle = self.low + (self.high - self.low) / 2.0;
        [Self { high: middle, closed: false, ..*self }, Self { low: middle, ..*self }]
    }
}

/// The range of x of all curves, from which windows are cut.
pub(super) struct Range {
    low: f64,
    high: f64,
}

impl Range {
    /// Determines the range, and checks the curves.
    pub fn of(sets: &[Vec<Series>]) -> Result<Self, ClaimError> {
        let mut range = Self { low: f64::INFINITY, high: f64::NEG_INFINITY };
        for series in sets.iter().flatten() {
            if series.replicas.is_empty() {
                return Err(ClaimError::Empty(series.label.clone()));
            }
            for (replica, points) in series.replicas.iter().enumerate() {
                if let Some(pair) = points.windows(2).find(|pair| pair[0].0 > pair[1].0) {
                    return Err(ClaimError::Order { label: series.label.clone(), replica, x: pair[1].0 });
                }
                for (x, _) in points.iter().filter(|(x, _)| x.is_finite()) {
                    range = Self { low: range.low.min(*x), high: range.high.max(*x) };
                }
            }
        }
        Ok(range)
    }

    pub fn span(&self, window: Window) -> Result<Span, ClaimError> {
        let [from, to] = window;
        if !(0.0 <= from && from <= to && to <= 1.0) {
            return Err(ClaimError::Window(window));
        }
        // Returns the end exactly, since rounding could leave out the last point.
        let place = |share: f64| if share == 1.0 { self.high } else { self.low + share * (self.high - self.low) };
        Ok(Span { low: place(from), high: place(to), closed: true, window })
    }
}

/// A number for every replica of a curve, NaN where it diverged.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Levels {
    pub label: String,
    pub values: Vec<f64>,
}

impl Levels {
    /// Returns the mean of y in a span.
    pub fn of(series: &Series, span: Span) -> Result<Self, ClaimError> {
        Self::by(series, span, |points| {
            let heights: Vec<f64> = points.iter().map(|(_, y)| *y).collect();
            Ok(mean(&heights))
        })
    }

    /// Returns the least-squares slope of log y against log x in a span; NaN if there are fewer than two x.
    pub fn slopes(series: &Series, span: Span) -> Result<Self, ClaimError> {
        Self::by(series, span, |points| {
            let logs = |of: fn(&(f64, f64)) -> f64| -> Result<Vec<f64>, ClaimError> {
                points.iter().map(|point| logarithm(&series.label, of(point))).collect()
            };
            let (x, y) = (logs(|point| point.0)?, logs(|point| point.1)?);
            let (middle, height) = (mean(&x), mean(&y));
            let sum = |of: &[f64], at: f64| x.iter().zip(of).fold(0.0, |sum, (x, v)| sum + (x - middle) * (v - at));
            let spread = sum(&x, middle);
            Ok(if spread > 0.0 { sum(&y, height) / spread } else { f64::NAN })
        })
    }

    /// Computes `number` from the points of each replica in a span. A replica with an infinite number counts as diverged too.
    fn by(
        series: &Series,
        span: Span,
        number: impl Fn(&[(f64, f64)]) -> Result<f64, ClaimError>,
    ) -> Result<Self, ClaimError> {
        let label = series.label.clone();
        let mut values = Vec::with_capacity(series.replicas.len());
        let mut any = false;
        for points in &series.replicas {
            let lost = points.iter().any(|(x, _)| !x.is_finite());
            let inside: Vec<_> = points.iter().copied().filter(|(x, _)| span.has(*x)).collect();
            any |= lost || !inside.is_empty();
            let diverged = lost || inside.is_empty() || inside.iter().any(|(_, y)| !y.is_finite());
            let value = if diverged { f64::NAN } else { number(&inside)? };
            values.push(if value.is_finite() { value } else { f64::NAN });
        }
        if any { Ok(Self { label, values }) } else { Err(ClaimError::NoPoints { label, window: span.window }) }
    }

    /// Returns the mean over replicas that did not diverge; NaN if all did.
    pub fn mean(&self) -> f64 {
        mean(&self.values.iter().copied().filter(|value| value.is_finite()).collect::<Vec<_>>())
    }
}

/// Returns the natural logarithm, the same on every platform; NaN for NaN.
pub(super) fn logarithm(label: &str, value: f64) -> Result<f64, ClaimError> {
    if value <= 0.0 {
        return Err(ClaimError::NotPositive { label: label.to_owned(), value });
    }
    Ok(libm::log(value))
}
