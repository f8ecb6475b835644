//! Where a stage gives the same bytes when it runs again, and which numbers count as the same result if the bytes differ.

use serde::{Deserialize, Serialize};

use super::{KindName, Work};

/// The determinism contract of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contract {
    /// The same bytes on every machine: data, initial weights, drawings.
    Everywhere,
    /// The same bytes on machines of one class. Elsewhere the numbers agree within their [`Tolerance`].
    MachineClass,
}

impl Contract {
    /// Returns the contract in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Everywhere => "the same bytes everywhere",
            Self::MachineClass => "the same bytes within a class of machines",
        }
    }
}

/// Allowed difference of a recorded number when another class of machines computes it again from the same inputs.
///
/// Training with a large learning rate is chaotic: classes of machines differ in the last bits, and one epoch can turn
/// that into any difference (measured: docs/performance.md). So a segment of training is judged by the norm of its
/// weights alone, and its losses and errors only as samples (`wdpipe::verify::statistics`). Fine-tuning with a small
/// rate and measurements on given weights are not chaotic. The tolerances are several times the differences that were
/// seen between AVX2 and AVX-512. Errors are in percent of images, and move in steps of one image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerance {
    /// Absolute tolerance, in the number's unit.
    pub absolute: f64,
    /// Relative tolerance, as a share of the larger of the two numbers.
    pub relative: f64,
}

impl Tolerance {
    /// The tolerance that allows no difference.
    pub const NONE: Self = Self::of(0.0, 0.0);

    /// The tolerance of measurements on given weights.
    pub(super) const MEASURED: Self = Self::of(1e-6, 0.01);

    pub(super) const fn of(absolute: f64, relative: f64) -> Self {
        Self { absolute, relative }
    }

    /// Checks whether two numbers agree; NaN agrees with NaN.
    pub fn holds(self, a: f64, b: f64) -> bool {
        let near = (a - b).abs() <= self.absolute + self.relative * a.abs().max(b.abs());
        a == b || (a.is_nan() && b.is_nan()) || (a.is_finite() && b.is_finite() && near)
    }
}

/// Columns whose numbers are counts or parameters, and not computed.
const COUNTED: [&str; 6] = ["epoch", "lr", "draws", "iterations", "image", "label"];

impl KindName {
    /// Returns the tolerance of a column of the tables that the kind records; `None` if the column is not judged.
    pub fn tolerance(self, column: &str) -> Option<Tolerance> {
        if COUNTED.contains(&column) { Some(Tolerance::NONE) } else { self.computed(column) }
    }
}

impl Work {
    /// Returns the machines on which the same key gives the same bytes.
    pub fn contract(&self) -> Contract {
        // A command runs with the programs of its machine.
        let is_command = matches!(self, Self::Command(_));
        if self.needs_torch() || is_command { Contract::MachineClass } else { Contract::Everywhere }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_agree_within_their_tolerance_and_not_beyond() {
        let of = |kind: KindName, column: &str| kind.tolerance(column).unwrap();
        let error = of(KindName::Probe, "test_error");
        assert!(error.holds(20.0, 22.9) && !error.holds(20.0, 30.0));
        assert!(of(KindName::Train, "epoch").holds(3.0, 3.0) && !of(KindName::Train, "epoch").holds(3.0, 3.1));
        let norm = of(KindName::Train, "norm");
        assert!(norm.holds(f64::NAN, f64::NAN) && !norm.holds(f64::NAN, 1.0) && norm.holds(1.0, 1.04));
        let trace = of(KindName::HessianTrace, "trace");
        assert!(trace.holds(f64::INFINITY, f64::INFINITY) && !trace.holds(1.0, f64::INFINITY));
        assert_eq!(KindName::Train.tolerance("test_loss"), None);
    }

    #[test]
    fn every_column_has_its_tolerance() {
        let of = |kind: KindName, column: &str| kind.tolerance(column).map(|t| (t.absolute, t.relative));
        for (kind, column, wanted) in [
            (KindName::Train, "lr", Some((0.0, 0.0))),
            (KindName::Train, "norm", Some((0.0, 0.05))),
            (KindName::Train, "train_error", None),
            (KindName::Probe, "train_error", Some((3.0, 0.0))),
            (KindName::Probe, "train_loss", Some((1e-3, 0.05))),
            (KindName::EmaEval, "test_error", Some((1.0, 0.0))),
            (KindName::EmaEval, "test_loss", Some((1e-6, 0.01))),
            (KindName::Predictions, "label", Some((0.0, 0.0))),
            (KindName::Predictions, "loss", Some((1e-6, 0.01))),
            (KindName::HessianTrace, "trace", Some((1e-6, 0.01))),
            (KindName::TopEigenvalue, "largest", Some((1e-6, 0.01))),
            (KindName::TopEigenvalue, "iterations", Some((0.0, 0.0))),
            (KindName::NoiseCovariance, "matrix_cos_h", Some((0.02, 0.0))),
            (KindName::NoiseCovariance, "trace_h", Some((1e-6, 0.01))),
            (KindName::NoiseScale, "ratio", Some((1e-6, 0.01))),
            (KindName::NoiseScale, "draws", Some((0.0, 0.0))),
        ] {
            assert_eq!(of(kind, column), wanted, "{kind:?} {column}");
        }
    }
}
