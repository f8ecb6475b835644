//! Which stages give the same bytes when they run again, and which differences are tolerated otherwise.

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
    /// Returns the description of the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "the same bytes everywhere",
            Self::MachineClass => "the same bytes within a class of machines",
        }
    }
}

/// How much a recorded number may differ when another class of machines recomputes it from the same inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Absolute tolerance, in the number's unit.
    pub absolute: f64,
    /// Relative tolerance, as a share of the larger number.
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
    /// Returns on which machines the same key gives the same bytes.
    pub fn contract(&self) -> Contract {
        if self.needs_torch() { Contract::MachineClass } else { Contract::Everywhere }
    }
}

/// Returns the tolerance of a column of a table recorded by a kind of stage; `None` if it is not compared.
///
/// Training with a large learning rate is chaotic: differences in the last bits, as between classes of machines, can
/// grow arbitrarily within one epoch (measured: docs/performance.md). So only the norm of a segment's weights is
/// compared, and its losses and errors only as samples ([`wdpipe::verify::statistics`]). Fine-tuning with a small
/// rate, and all measurements on given weights, are not chaotic. The tolerances are several times the differences
/// seen between AVX2 and AVX-512. Errors are in percent of images, and change in steps of one image.
pub fn tolerance(kind: &str, column: &str) -> Option<Tolerance> {
    let (absolute, relative) = match (kind, column) {
        // Columns that are counted or set, not computed.
        (_, "epoch" | "lr" | "draws" | "iterations" | "image" | "label") => (0.0, 0.0),
        ("train", "norm") => (0.0, 0.05),
        ("train", _) => return None,
        ("probe", name) if name.ends_with("error") => (3.0, 0.0),
        ("probe", _) => (1e-3, 0.05),
        (_, "train_error" | "test_error") => (1.0, 0.0),
        (_, name) if name.contains("cos") => (0.02, 0.0),
        _ => (1e-6, 0.01),
    };
    Some(Tolerance { absolute, relative })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_within_their_tolerance_and_not_beyond() {
        let of = |kind: &str, column: &str| tolerance(kind, column).unwrap();
        let error = of("probe", "test_error");
        assert!(error.holds(20.0, 22.9) && !error.holds(20.0, 30.0));
        assert!(of("train", "epoch").holds(3.0, 3.0) && !of("train", "epoch").holds(3.0, 3.1));
        let norm = of("train", "norm");
        assert!(norm.holds(f64::NAN, f64::NAN) && !norm.holds(f64::NAN, 1.0) && norm.holds(1.0, 1.04));
        let trace = of("hessian_trace", "trace");
        assert!(trace.holds(f64::INFINITY, f64::INFINITY) && !trace.holds(1.0, f64::INFINITY));
        assert_eq!(tolerance("train", "test_loss"), None);
    }
}
