//! Where a stage that is run again gives the same bytes, and what is the same result where it does not.

use super::Work;

/// The determinism contract of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// The same bytes on every machine: data, initial weights, drawings.
    Everywhere,
    /// The same bytes on machines of one class; elsewhere the numbers agree within [`tolerance`].
    MachineClass,
}

impl Contract {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "the same bytes everywhere",
            Self::MachineClass => "the same bytes within a class of machines",
        }
    }
}

/// How far a recorded number may be off when another class of machines computes it again from the same inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// In the number's unit.
    pub absolute: f64,
    /// As a share of the larger of the two.
    pub relative: f64,
}

impl Tolerance {
    /// Whether two numbers agree; NaN agrees with NaN.
    pub fn holds(self, a: f64, b: f64) -> bool {
        let near = (a - b).abs() <= self.absolute + self.relative * a.abs().max(b.abs());
        a == b || (a.is_nan() && b.is_nan()) || (a.is_finite() && b.is_finite() && near)
    }
}

impl Work {
    /// Where the same key gives the same bytes.
    pub fn contract(&self) -> Contract {
        if self.needs_torch() { Contract::MachineClass } else { Contract::Everywhere }
    }
}

/// The tolerance of a column of a recorded table. One segment amplifies differences in the last bits only so far: the
/// values are a few times what one segment of the `smoke` figures showed between instruction sets
/// (docs/performance.md). Errors are in percent of images, and move in steps of one image.
pub fn tolerance(column: &str) -> Tolerance {
    let (absolute, relative) = match column {
        // What is counted or set, not computed.
        "epoch" | "lr" | "draws" | "iterations" | "image" | "label" => (0.0, 0.0),
        "norm" => (0.0, 0.01),
        name if name.ends_with("error") => (3.0, 0.2),
        name if name.contains("cos") => (0.1, 0.2),
        _ => (1e-3, 0.2),
    };
    Tolerance { absolute, relative }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_within_their_tolerance_and_not_beyond() {
        let error = tolerance("test_error");
        assert!(error.holds(20.0, 22.9) && !error.holds(20.0, 30.0));
        assert!(tolerance("epoch").holds(3.0, 3.0) && !tolerance("epoch").holds(3.0, 3.1));
        assert!(tolerance("norm").holds(f64::NAN, f64::NAN) && !tolerance("norm").holds(f64::NAN, 1.0));
        assert!(
            tolerance("trace").holds(f64::INFINITY, f64::INFINITY) && !tolerance("trace").holds(1.0, f64::INFINITY)
        );
    }
}
