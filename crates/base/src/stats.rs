//! Means, spreads and Student's t, which are used to test claims about replicas.
//!
//! The tail of the t distribution is computed here: recorded results must be the same to the bit on every platform,
//! so that only exactly rounded operations and the crate `libm` may be used.

use std::f64::consts::{PI, SQRT_2};

/// A spread below this share of the values is only rounding.
pub const ROUNDING: f64 = 1e-12;

/// Beyond these degrees of freedom the normal distribution replaces Student's: for |t| up to 10 the tail's relative
/// error is below t⁴/(4ν), 2.5 · 10⁻⁶.
const NORMAL_FROM: f64 = 1e9;

/// Returns the arithmetic mean; NaN for no values.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        // Returned explicitly, since the sign of a computed NaN differs between processors.
        return f64::NAN;
    }
    let count = values.len() as f64;
    let sum: f64 = values.iter().fold(0.0, |sum, value| sum + value);
    if sum.is_finite() { sum / count } else { values.iter().fold(0.0, |sum, value| sum + value / count) }
}

/// Returns the sample standard deviation (n − 1), scaled so that no square overflows; NaN for less than two values.
pub fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return f64::NAN;
    }
    let mean = mean(values);
    if mean.is_nan() {
        return f64::NAN;
    }
    let largest = values.iter().map(|value| (value - mean).abs()).fold(0.0, f64::max);
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    let squares = values.iter().map(|value| (value - mean) / largest).fold(0.0, |sum, d| sum + d * d);
    largest * (squares / (values.len() - 1) as f64).sqrt()
}

/// Returns the standard error of the mean, [`deviation`]/√n; NaN for less than two values.
pub fn standard_error(values: &[f64]) -> f64 {
    deviation(values) / (values.len() as f64).sqrt()
}

/// Returns P(T > t) for Student's t with `dof` > 0 degrees of freedom. `dof` need not be an integer. Other values give NaN.
/// Computed as the incomplete beta function I_x(ν/2, ½)/2 with x = ν/(ν + t²) (NIST DLMF, 8.17; Abramowitz and
/// Stegun, 26.7.1), to a relative error of about 10⁻¹², and 10⁻¹⁵ ν beyond a thousand degrees, where 1 − x is
/// rounded.
pub fn t_tail(t: f64, dof: f64) -> f64 {
    if t.is_nan() || dof.is_nan() || dof <= 0.0 {
        return f64::NAN;
    }
    if t < 0.0 {
        return 1.0 - t_tail(-t, dof);
    }
    if dof > NORMAL_FROM {
        return libm::erfc(t / SQRT_2) / 2.0;
    }
    // t = √ν · s; both x = 1/(1 + s²) and 1 − x are computed without a difference.
    let square = t / dof.sqrt() * (t / dof.sqrt());
    let (x, rest) = (1.0 / (1.0 + square), if square.is_finite() { square / (1.0 + square) } else { 1.0 });
    let a = dof / 2.0;
    // x^a (1 − x)^½ / B(a, ½), with B(a, ½) = √π Γ(a)/Γ(a + ½).
    let log = if square.is_finite() { libm::log1p(square) } else { 2.0 * (libm::log(t) - libm::log(dof) / 2.0) };
    let front = libm::exp(-a * log) * rest.sqrt() * gamma_ratio(a) / PI.sqrt();
    if x < (a + 1.0) / (a + 2.5) {
        0.5 * front / a * beta_fraction(a, 0.5, x)
    } else {
        0.5 - front * beta_fraction(0.5, a, rest)
    }
}

/// Returns the t with P(|T| ≤ t) = 95 % for `dof` > 0 degrees of freedom: see [`t_quantile`].
pub fn t_quantile_95(dof: f64) -> f64 {
    t_quantile(0.025, dof)
}

/// Returns the t ≥ 0 with P(T > t) = `tail` for `dof` > 0 degrees of freedom and 0 < `tail` ≤ ½. Other values give NaN. The
/// result is infinite if t overflows (as for 2.5 % below 0.01 degrees). Computed by bisection, to the last bits that the tail
/// resolves.
pub fn t_quantile(tail: f64, dof: f64) -> f64 {
    if dof.is_nan() || dof <= 0.0 || !(tail > 0.0 && tail <= 0.5) {
        return f64::NAN;
    }
    let (mut low, mut high) = (0.0, 2.0);
    while t_tail(high, dof) > tail {
        (low, high) = (high, high * 2.0);
    }
    if high.is_infinite() {
        return high;
    }
    // One bisection step per bit is enough.
    for _ in 0..64 {
        let middle = low + (high - low) / 2.0;
        *(if t_tail(middle, dof) > tail { &mut low } else { &mut high }) = middle;
    }
    low + (high - low) / 2.0
}

/// Returns Γ(a + ½)/Γ(a): by Γ(z + 1) = z Γ(z) from its asymptotic series, √a (1 − 1/(8a) + 1/(128a²) + …), so that
/// no two large logarithms are subtracted (Tricomi and Erdélyi 1951; Graham, Knuth, Patashnik, exercise 9.60).
fn gamma_ratio(a: f64) -> f64 {
    let (mut a, mut factor) = (a, 1.0);
    // At 30 the first omitted term is below 10⁻¹⁵.
    while a < 30.0 {
        factor *= a / (a + 0.5);
        a += 1.0;
    }
    let terms = [
        -1.0 / 8.0,
        1.0 / 128.0,
        5.0 / 1024.0,
        -21.0 / 32768.0,
        -399.0 / 262144.0,
        869.0 / 4194304.0,
        39325.0 / 33554432.0,
    ];
    let series = terms.iter().rev().fold(0.0, |sum, term| (sum + term) / a);
    factor * a.sqrt() * (1.0 + series)
}

/// Returns the continued fraction of I_x(a, b) without the factor in front (NIST DLMF, 8.17.22), by the modified
/// method of Lentz (Thompson and Barnett 1986). It converges fast for x < (a + 1)/(a + b + 2), in about √max(a, b)
/// terms.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let safe = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let (mut value, mut c, mut d) = (1.0, 1.0, 0.0);
    for k in 1..1_000_000_u32 {
        let m = f64::from(k / 2);
        let term = if k % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 / safe(1.0 + term * d);
        c = safe(1.0 + term / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-15 {
            break;
        }
    }
    1.0 / value
}

/// Result of a t test: a difference of means (or a mean) and its uncertainty.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TTest {
    /// The estimate.
    pub difference: f64,
    /// Standard error of the estimate, above 0.
    pub stderr: f64,
    /// Degrees of freedom, not necessarily an integer.
    pub dof: f64,
}

impl TTest {
    /// Returns the one-sided p-value against "the true difference is `bound` or more": small if it is below.
    pub fn p_below(&self, bound: f64) -> f64 {
        t_tail((bound - self.difference) / self.stderr, self.dof)
    }

    /// Returns the one-sided p-value against "the true difference is `bound` or less": small if it is above.
    pub fn p_above(&self, bound: f64) -> f64 {
        t_tail((self.difference - bound) / self.stderr, self.dof)
    }

    /// Returns the 95 % confidence interval of the difference.
    pub fn interval_95(&self) -> [f64; 2] {
        self.interval(0.025)
    }

    /// Returns the confidence interval of the difference that omits `tail` on either side.
    pub fn interval(&self, tail: f64) -> [f64; 2] {
        let half = t_quantile(tail, self.dof) * self.stderr;
        [self.difference - half, self.difference + half]
    }

    /// Returns `None` if a number is not finite or the spread is negligible relative to the size of the values: see
    /// [`one_sample`].
    fn new(difference: f64, stderr: f64, dof: f64, size: f64) -> Option<Self> {
        let known = difference.is_finite() && stderr.is_finite() && stderr > ROUNDING * size;
        known.then_some(Self { difference, stderr, dof })
    }
}

/// Returns the largest absolute value.
fn size(values: &[f64]) -> f64 {
    values.iter().map(|value| value.abs()).fold(0.0, f64::max)
}

/// Student's test of the mean of one sample: t = mean/stderr with n − 1 degrees of freedom.
///
/// Returns `None` if no test is possible: less than two values, one that is not finite, or a spread that is only
/// rounding. Equal numbers do not mean that the mean is known exactly: more likely they are rounded, saturated (a
/// training error of 0) or one run counted twice. So the result is never p = 0 for lack of spread.
pub fn one_sample(values: &[f64]) -> Option<TTest> {
    let dof = values.len().checked_sub(1).filter(|&dof| dof > 0)?;
    TTest::new(mean(values), standard_error(values), dof as f64, size(values))
}

/// Student's test of the mean of `a[i] − b[i]`. Returns `None` as [`one_sample`], and for samples of unequal length.
pub fn paired(a: &[f64], b: &[f64]) -> Option<TTest> {
    let dof = a.len().checked_sub(1).filter(|&dof| dof > 0 && a.len() == b.len())?;
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    TTest::new(mean(&differences), standard_error(&differences), dof as f64, size(a).max(size(b)))
}

/// Summary of a sample: mean, sample standard deviation and number of values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// See [`mean`].
    pub mean: f64,
    /// See [`deviation`].
    pub std: f64,
    /// Number of values.
    pub n: usize,
}

impl Sample {
    /// Returns the summary of values.
    pub fn of(values: &[f64]) -> Self {
        Self { mean: mean(values), std: deviation(values), n: values.len() }
    }
}

/// Welch's test of mean(a) − mean(b), whose variances can differ, with the degrees of freedom of Welch and
/// Satterthwaite (Welch 1947). Returns `None` if a sample has less than two values, or one that is not finite, or if
/// neither sample has spread. One sample with spread is enough.
pub fn welch(a: &[f64], b: &[f64]) -> Option<TTest> {
    welch_of(Sample::of(a), Sample::of(b), size(a).max(size(b)))
}

/// Welch's test of samples of which only a summary is known; `size` is the size of the values, relative to which a
/// spread counts as rounding.
pub fn welch_of(a: Sample, b: Sample, size: f64) -> Option<TTest> {
    if a.n < 2 || b.n < 2 {
        return None;
    }
    let error = |sample: Sample| sample.std / (sample.n as f64).sqrt();
    let (of_a, of_b) = (error(a), error(b));
    let larger = of_a.max(of_b);
    let (squared_a, squared_b) = (of_a / larger * (of_a / larger), of_b / larger * (of_b / larger));
    let stderr = larger * (squared_a + squared_b).sqrt();
    let (share_a, share_b) = (squared_a / (squared_a + squared_b), squared_b / (squared_a + squared_b));
    let dof = 1.0 / (share_a * share_a / (a.n - 1) as f64 + share_b * share_b / (b.n - 1) as f64);
    TTest::new(a.mean - b.mean, stderr, dof, size)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(have: f64, want: f64, tolerance: f64) {
        assert!((have / want - 1.0).abs() < tolerance, "{have} instead of {want}");
    }

    #[test]
    fn tails_are_those_of_scipy() {
        // scipy 1.17.1: scipy.stats.t.sf(t, dof).
        let known = [
            (0.1, 2.5, 0.4639032720312449),
            (1.0, 1.0, 0.25),
            (2.92, 2.0, 0.0499995777813536),
            (2.5, 0.5, 0.2004852645266466),
            (6.5, 4.7, 0.0008107988518560621),
            (-1.3, 3.2, 0.8603409541528723),
            (12.0, 30.0, 2.7900927075996303e-13),
            (1e-4, 7.0, 0.49996150085499014),
            (40.0, 2.0, 0.0003122073360923703),
            (1.7, 100.3, 0.046115017070926675),
            (1.96, 1e6, 0.024998033792634926),
            (5.0, 1e4, 2.9151633068313295e-07),
            (1e5, 3.0, 1.1026577904466273e-15),
            (3.0, 250.0, 0.0014863310455888272),
        ];
        for (t, dof, tail) in known {
            close(t_tail(t, dof), tail, 1e-12_f64.max(1e-15 * dof));
        }
        assert_eq!((t_tail(0.0, 3.0), t_tail(f64::INFINITY, 3.0), t_tail(f64::NEG_INFINITY, 3.0)), (0.5, 0.0, 1.0));
        // Limit for many degrees of freedom: scipy.stats.norm.sf(1.96).
        close(t_tail(1.96, 1e12), 0.024997895148220435, 1e-12);
        close(t_tail(1.96, NORMAL_FROM), t_tail(1.96, 2.0 * NORMAL_FROM), 1e-7);
        for (t, dof) in [(1.0, 0.0), (1.0, -1.0), (f64::NAN, 1.0), (1.0, f64::NAN)] {
            assert!(t_tail(t, dof).is_nan());
        }
    }

    #[test]
    fn quantiles_are_those_of_scipy() {
        // scipy 1.17.1: scipy.stats.t.ppf(0.975, dof).
        let known = [
            (0.5, 164.55767348048818),
            (1.0, 12.706204736174694),
            (1.5, 6.016663104427929),
            (2.0, 4.302652729749462),
            (3.0, 3.1824463052837078),
            (7.3, 2.345066736547703),
            (30.0, 2.0422724563012378),
            (1000.5, 1.962337892459348),
            (1e6, 1.959966356814107),
        ];
        for (dof, quantile) in known {
            close(t_quantile_95(dof), quantile, 1e-11);
        }
        assert!(t_quantile_95(0.0).is_nan() && t_quantile_95(1e-4).is_infinite());
        // scipy.stats.t.isf(tail, dof); in closed form for two degrees.
        for (tail, dof) in [(0.05, 2.0), (0.0125, 2.0), (0.2, 2.0), (1e-6, 2.0)] {
            close(t_quantile(tail, dof), (1.0 - 2.0 * tail) / (2.0 * tail * (1.0 - tail)).sqrt(), 1e-9);
        }
        assert!(t_quantile(0.5, 3.0) < 1e-15);
        assert!([0.0, -0.1, 0.6, f64::NAN].iter().all(|tail| t_quantile(*tail, 3.0).is_nan()));
    }

    #[test]
    fn tests_are_those_of_scipy() {
        let (a, b, c) = ([2.5, 2.9, 2.2], [39.1, 37.0, 41.2], [2.4, 3.1, 2.8, 2.6, 3.3]);
        let check = |test: Option<TTest>, want: [f64; 4]| {
            let test = test.unwrap();
            for (have, want) in [test.difference, test.stderr, test.dof, test.p_below(0.0)].into_iter().zip(want) {
                close(have, want, 1e-11);
            }
            close(test.p_above(0.0), 1.0 - want[3], 1e-11);
        };
        // scipy 1.17.1: ttest_ind(a, b, equal_var=False, alternative="less"): means, √(s²/n + s²/n), df, pvalue.
        check(welch(&a, &b), [-36.56666666666667, 1.2292725943057192, 2.1117795419073375, 0.0004160507808984145]);
        check(welch(&a, &c), [-0.3066666666666662, 0.2602135874836498, 4.486312259681277, 0.14864693199185164]);
        // ttest_rel(…, alternative="less"); sem of the differences.
        check(paired(&a, &b), [-36.56666666666667, 1.4146063449281958, 2.0, 0.0007466152581746731]);
        check(
            paired(&c, &[2.5, 3.0, 3.0, 2.7, 3.5]),
            [-0.10000000000000009, 0.054772255750516655, 4.0, 0.07096372388702775],
        );
        // ttest_1samp(c, 2.5, alternative="greater"); its two-sided confidence_interval().
        let test = one_sample(&c).unwrap();
        close(test.stderr, 0.1630950643030009, 1e-14);
        close(test.p_above(2.5), 0.05273193636911787, 1e-12);
        let [low, high] = test.interval_95();
        close(low, 2.3871755070340135, 1e-12);
        close(high, 3.2928244929659862, 1e-12);
        close(deviation(&c), 0.36469165057620934, 1e-14);
    }

    #[test]
    fn without_spread_there_is_no_test() {
        assert!(mean(&[]).is_nan() && deviation(&[1.0]).is_nan() && standard_error(&[1.0]).is_nan());
        assert_eq!((one_sample(&[]), one_sample(&[1.0]), one_sample(&[1.0, 1.0])), (None, None, None));
        assert_eq!((welch(&[1.0], &[2.0, 3.0]), welch(&[1.0, 1.0], &[2.0, 2.0])), (None, None));
        assert_eq!((paired(&[1.0], &[2.0]), paired(&[1.0, 2.0], &[1.0, 2.0, 3.0])), (None, None));
        assert_eq!((one_sample(&[1.0, f64::NAN]), welch(&[1.0, 2.0], &[1.0, f64::INFINITY])), (None, None));
        // Differences of 0.1 up to rounding.
        assert_eq!(paired(&[0.3, 0.4, 0.7], &[0.2, 0.3, 0.6]), None);
        // One of the samples can be constant. The spread then comes from the other sample only.
        let test = welch(&[0.0, 0.0, 0.0], &[1.0, 2.0]).unwrap();
        assert_eq!((test.difference, test.stderr, test.dof), (-1.5, 0.5, 1.0));
        let large = welch(&[1e300, 2e300], &[4e300, 6e300]).unwrap();
        assert!(large.stderr.is_finite() && large.p_below(0.0) < 0.2);
    }

    proptest! {
        #[test]
        fn tails_fall_and_mirror(t in -50.0..50.0_f64, step in 0.001..5.0_f64, dof in 0.1..300.0_f64) {
            let (here, further) = (t_tail(t, dof), t_tail(t + step, dof));
            prop_assert!(further <= here && (0.0..=1.0).contains(&here), "{here} {further}");
            prop_assert!((here + t_tail(-t, dof) - 1.0).abs() < 1e-15);
            // Two degrees have a closed form.
            prop_assert!((t_tail(t, 2.0) - 0.5 * (1.0 - t / (2.0 + t * t).sqrt())).abs() < 1e-14);
        }
    }
}
