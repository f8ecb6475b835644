//! Places of values on an axis.

use super::{FigureError, style};
use base::work::{Axis, Scale as Kind};

/// An axis with its limits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    pub kind: Kind,
    /// Smallest and largest value from which the limits were computed.
    pub values: (f64, f64),
    /// The limits, transformed.
    pub low: f64,
    pub high: f64,
    /// Place of the row (or column) of 0 on a logarithmic axis of a heat map.
    pub zero: Option<Zero>,
}

/// A separate row for 0, below a break of a logarithmic axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Zero {
    /// The upper end of the row, transformed. The lower end of the row is the lower end of the axis.
    top: f64,
    /// The start of the logarithmic part of the axis, transformed.
    floor: f64,
}

/// Checks whether a value has a place on an axis of a kind.
pub(super) fn stands(kind: Kind, value: f64) -> bool {
    transform(kind, value).is_some()
}

/// Transforms a value to a uniform scale: on a log axis to its logarithm, on a linear axis to half of the value, so that no
/// difference of two values overflows. Returns `None` if the value has no place.
fn transform(kind: Kind, value: f64) -> Option<f64> {
    match kind {
        Kind::Linear => value.is_finite().then_some(value / 2.0),
        Kind::Log => (value.is_normal() && value > 0.0).then(|| base::rng::ln(value)),
    }
}

impl Scale {
    /// Returns the axis with its given limits, or with limits that contain all values that have a place on it.
    ///
    /// # Errors
    /// If the given limits are not an interval, or are too close to distinguish two ticks between them.
    pub fn of(
        axis: &Axis,
        name: &'static str,
        panel: &str,
        values: impl Iterator<Item = f64>,
    ) -> Result<Self, FigureError> {
        let kind = axis.scale;
        let Some([low, high]) = axis.range else {
            return Ok(Self::fitted(
                kind,
                values,
                if name == "x" { style::AXIS_PADDING.0 } else { style::AXIS_PADDING.1 },
            ));
        };
        match (transform(kind, low), transform(kind, high)) {
            (Some(from), Some(to)) if from < to && !too_close(kind, from, to) => {
                Ok(Self { kind, values: (low, high), low: from, high: to, zero: None })
            }
            _ => Err(FigureError::Range { panel: panel.to_owned(), axis: name, low, high }),
        }
    }

    fn fitted(kind: Kind, values: impl Iterator<Item = f64>, padding: f64) -> Self {
        let placed = values.filter(|&value| transform(kind, value).is_some());
        let (least, most) = placed.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let empty = if kind == Kind::Log { (1.0, 10.0) } else { (0.0, 1.0) };
        let values = if least <= most { (least, most) } else { empty };
        let place = |value| transform(kind, value).unwrap_or(0.0);
        let (low, high) = (place(values.0), place(values.1));
        let around = match kind {
            _ if !too_close(kind, low, high) => padding * (high - low),
            Kind::Log => std::f64::consts::LN_2,
            Kind::Linear if low.abs().max(high.abs()) > TINY => 0.1 * low.abs().max(high.abs()),
            Kind::Linear => 0.5,
        };
        Self { kind, values, low: low - around, high: high + around, zero: None }
    }

    /// Returns the position of a value as a fraction of the axis. Values outside the axis have a position too. Returns `None` if
    /// the axis has no position for the value.
    pub fn place(&self, value: f64) -> Option<f64> {
        let at = match self.zero {
            Some(zero) if value == 0.0 => Some((self.low + zero.top) / 2.0),
            Some(zero) => transform(self.kind, value).filter(|at| *at >= zero.floor),
            None => transform(self.kind, value),
        };
        // Places far outside are cut off anyway, and large coordinates cause problems in renderers.
        at.map(|at| self.share(at).clamp(-10.0, 11.0))
    }

    fn share(&self, at: f64) -> f64 {
        (at - self.low) / (self.high - self.low)
    }

    /// Returns the value at a place; NaN in the row of 0 and the break above it.
    pub fn value(&self, place: f64) -> f64 {
        let at = self.low + place * (self.high - self.low);
        match self.kind {
            _ if self.zero.is_some_and(|zero| at < zero.floor) => f64::NAN,
            Kind::Linear => 2.0 * at,
            Kind::Log => libm::exp(at),
        }
    }

    /// Returns the axis with limits half a cell outside the first and the last value, for cells around the values.
    pub fn around_cells(self, values: impl Iterator<Item = f64>) -> Self {
        let mut at: Vec<f64> = values.filter_map(|value| transform(self.kind, value)).collect();
        at.sort_by(f64::total_cmp);
        at.dedup_by(|a, b| *a - *b <= 1e-9 * b.abs());
        let [first, .., last] = at[..] else { return self };
        Self { low: first - (at[1] - first) / 2.0, high: last + (last - at[at.len() - 2]) / 2.0, ..self }
    }

    /// Returns a logarithmic axis with a row for 0 below its `rows` other rows. Without other rows, the row of 0 fills the axis.
    pub fn with_zero(self, rows: usize) -> Self {
        if rows == 0 {
            return Self { low: 0.0, high: 1.0, zero: Some(Zero { top: 1.0, floor: f64::INFINITY }), ..self };
        }
        let row = (self.high - self.low) / rows as f64;
        let top = self.low - style::BREAK * row;
        Self { low: top - row, zero: Some(Zero { top, floor: self.low }), ..self }
    }

    /// Returns the ends of the row of 0, and the lower end of the axis above it, as fractions of the axis.
    pub fn zero_row(&self) -> Option<(f64, f64, f64)> {
        self.zero.map(|zero| (0.0, self.share(zero.top), self.share(zero.floor)))
    }

    /// Returns the place of a value if it is on the axis, including the limits.
    pub fn inside(&self, value: f64) -> Option<f64> {
        let rounding = 1e-9;
        self.place(value).filter(|at| (-rounding..=1.0 + rounding).contains(at)).map(|at| at.clamp(0.0, 1.0))
    }
}

/// Values of a linear axis below this count as 0.
const TINY: f64 = 1e-290;

fn too_close(kind: Kind, low: f64, high: f64) -> bool {
    match kind {
        Kind::Linear => high - low <= (1e-9 * low.abs().max(high.abs())).max(TINY),
        Kind::Log => high - low <= 1e-9,
    }
}

/// Returns 10^k, correctly rounded; 0 or infinite outside the range of numbers.
pub(super) fn power_of_ten(k: i32) -> f64 {
    format!("1e{k}").parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(kind: Kind, range: Option<[f64; 2]>) -> Axis {
        Axis { label: String::new(), scale: kind, range, ticks: None }
    }

    fn fitted(kind: Kind, values: &[f64]) -> Scale {
        Scale::of(&axis(kind, None), "y", "a", values.iter().copied()).unwrap()
    }

    #[test]
    fn all_values_are_inside_whatever_they_are() {
        let nasty = [&[0.0, 1e308, -1e308][..], &[5.0], &[0.0, 0.0], &[1e7, 1e7 + 1e-7], &[5e-324, 1e-320], &[]];
        for values in nasty {
            let scale = fitted(Kind::Linear, values);
            assert!(scale.low < scale.high && (scale.high - scale.low).is_finite(), "{values:?}: {scale:?}");
            assert!(values.iter().all(|&v| scale.place(v).is_some_and(|at| at > 0.0 && at < 1.0)), "{values:?}");
        }
        for values in [&[1e-7, 1e7][..], &[3.0], &[1e-300, 1e308], &[-1.0, 0.0, 2.0], &[-1.0], &[]] {
            let scale = fitted(Kind::Log, values);
            assert!(scale.low < scale.high, "{values:?}: {scale:?}");
            for &value in values {
                assert_eq!(scale.inside(value).is_some(), value > 0.0, "{values:?}");
            }
        }
        assert!(fitted(Kind::Linear, &[f64::NAN, f64::INFINITY]).place(f64::NAN).is_none());
    }

    #[test]
    fn places_are_even_on_their_scale() {
        let scale = Scale::of(&axis(Kind::Log, Some([10.0, 1000.0])), "x", "a", std::iter::empty()).unwrap();
        assert!((scale.place(100.0).unwrap() - 0.5).abs() < 1e-15);
        assert_eq!((scale.inside(10.0), scale.inside(1000.0), scale.inside(1001.0)), (Some(0.0), Some(1.0), None));
        let scale = Scale::of(&axis(Kind::Linear, Some([-1.0, 3.0])), "x", "a", std::iter::empty()).unwrap();
        assert_eq!(scale.place(0.0), Some(0.25));
    }

    #[test]
    fn limits_that_are_none_are_refused() {
        let bad = [[1.0, 1.0], [2.0, 1.0], [f64::NAN, 1.0], [0.0, f64::INFINITY], [1e15, 1e15 + 1.0]];
        for range in bad {
            let made = Scale::of(&axis(Kind::Linear, Some(range)), "x", "a", std::iter::empty());
            assert!(matches!(made, Err(FigureError::Range { .. })), "{range:?}");
        }
        let made = Scale::of(&axis(Kind::Log, Some([0.0, 1.0])), "y", "a", std::iter::empty()).unwrap_err();
        assert_eq!(made.to_string(), "panel `a`: the y axis cannot go from 0 to 1");
    }
}
