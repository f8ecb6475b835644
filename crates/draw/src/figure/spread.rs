//! Extent of a band or an error bar: over runs, or of one estimate.
//!
//! On a linear axis, a band is mean ± 1 sample standard deviation. On a logarithmic axis, both are computed from the
//! logarithms, so that the width of a band shows the spread of the runs in factors: the band does not reach 0, nor, where one
//! run is far above the others, values that no run comes near. The curve itself is the arithmetic mean on either axis, which
//! papers show and which is compared with them.

use base::stats;
use base::work::Scale;

/// Returns the lower and upper end of the band around values of two or more runs. On a logarithmic axis, a value of 0 or less
/// has no logarithm, so there is no band: both ends are the mean.
pub(super) fn of_runs(values: &[f64], scale: Scale) -> (f64, f64) {
    let mean = stats::mean(values);
    let (middle, std, back): (f64, f64, fn(f64) -> f64) = match scale {
        Scale::Linear => (mean, stats::deviation(values), |value| value),
        Scale::Log if values.iter().all(|value| *value > 0.0) => {
            let logs: Vec<f64> = values.iter().map(|value| libm::log(*value)).collect();
            (stats::mean(&logs), stats::deviation(&logs), libm::exp)
        }
        Scale::Log => return (mean, mean),
    };
    // The ends of equal values are exactly their mean, without rounding errors of a logarithm and its inverse.
    if std == 0.0 { (mean, mean) } else { (back(middle - std), back(middle + std)) }
}

/// Returns the ends of the bar of one value with a standard error. On a logarithmic axis, the error is that of the logarithm
/// of a log-normal value, √ln(1 + (error/value)²), which is about error/value if that is small.
pub(super) fn of_estimate(value: f64, error: f64, scale: Scale) -> (f64, f64) {
    if !error.is_finite() || error <= 0.0 {
        return (value, value);
    }
    match scale {
        Scale::Linear => (value - error, value + error),
        Scale::Log if value > 0.0 => {
            let share = error / value;
            let factor = libm::exp(libm::log1p(share * share).sqrt());
            (value / factor, value * factor)
        }
        Scale::Log => (value, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close((low, high): (f64, f64), want: (f64, f64)) {
        let near = |a: f64, b: f64| (a - b).abs() <= 1e-12 * b.abs();
        assert!(near(low, want.0) && near(high, want.1), "{low} {high} instead of {want:?}");
    }

    #[test]
    fn on_a_log_axis_the_spread_is_in_factors() {
        // 0, 2 and 4 decades: mean 2, deviation 2.
        close(of_runs(&[1.0, 100.0, 1e4], Scale::Log), (1.0, 1e4));
        close(of_runs(&[2.0, 8.0], Scale::Log), (4.0 / 2_f64.powf(2_f64.sqrt()), 4.0 * 2_f64.powf(2_f64.sqrt())));
        close(of_runs(&[1.0, 2.0, 6.0], Scale::Linear), (3.0 - 7_f64.sqrt(), 3.0 + 7_f64.sqrt()));
        // Two runs learn and one does not: ± 1 deviation of the errors themselves would begin below 0.
        let (low, high) = of_runs(&[2.0, 2.0, 90.0], Scale::Log);
        assert!(low > 0.7 && high < 90.0, "{low} {high}");
        assert!(of_runs(&[2.0, 2.0, 90.0], Scale::Linear).0 < 0.0);
        // With little spread, both are the same.
        let (log, linear) = (of_runs(&[100.0, 101.0, 99.0], Scale::Log), of_runs(&[100.0, 101.0, 99.0], Scale::Linear));
        assert!((log.0 - linear.0).abs() < 0.02 && (log.1 - linear.1).abs() < 0.02, "{log:?} {linear:?}");
    }

    #[test]
    fn what_has_no_spread_has_no_band() {
        for scale in [Scale::Linear, Scale::Log] {
            assert_eq!(of_runs(&[0.3, 0.3, 0.3], scale), (stats::mean(&[0.3; 3]), stats::mean(&[0.3; 3])));
            assert_eq!(of_estimate(5.0, 0.0, scale), (5.0, 5.0));
            assert_eq!(of_estimate(5.0, f64::NAN, scale), (5.0, 5.0));
            assert_eq!(of_estimate(5.0, -1.0, scale), (5.0, 5.0));
        }
        assert_eq!(of_runs(&[0.0, 2.0, 4.0], Scale::Log), (2.0, 2.0));
        assert_eq!(of_runs(&[-1.0, 4.0], Scale::Log), (1.5, 1.5));
        assert_eq!(of_estimate(0.0, 1.0, Scale::Log), (0.0, 0.0));
    }

    #[test]
    fn an_estimates_error_stays_above_0_on_a_log_axis() {
        assert_eq!(of_estimate(10.0, 2.0, Scale::Linear), (8.0, 12.0));
        close(of_estimate(10.0, 1e-6, Scale::Log), (10.0 - 1e-6, 10.0 + 1e-6));
        // √(e − 1) times the value is a deviation of 1 in logarithms.
        let e = std::f64::consts::E;
        close(of_estimate(10.0, 10.0 * (e - 1.0).sqrt(), Scale::Log), (10.0 / e, 10.0 * e));
        let (low, high) = of_estimate(1.0, 50.0, Scale::Log);
        assert!(low > 0.05 && high < 20.0, "{low} {high}");
    }
}
