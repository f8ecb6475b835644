//! Ticks of an axis, and how their labels are written.

use super::scale::{Scale, power_of_ten};
use super::style;
use base::work::{Axis, Scale as Kind};

/// A tick with its place as a fraction of the axis. It has no label if that would touch another label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub place: f64,
    pub label: String,
}

/// Returns the ticks of an axis, ascending. Ticks without a label are the minor ones.
///
/// `apart(a, b)` tells whether the labels of two ticks, a before b, do not touch. Requested ticks that leave much of an axis
/// without a label are replaced, unless `hold` is set or the axis's limits are fixed too.
pub(super) fn ticks(axis: &Axis, scale: &Scale, hold: bool, apart: impl Fn(&Tick, &Tick) -> bool) -> Vec<Tick> {
    let mut ticks = match axis.ticks.as_ref().map(|values| (values.len(), named(values, scale))) {
        Some((0, none)) => none,
        Some((_, ticks))
            if (hold && !ticks.is_empty()) || (ticks.len() >= 2 && (axis.range.is_some() || cover(&ticks))) =>
        {
            ticks
        }
        _ => chosen(scale, &apart),
    };
    let mut last: Option<usize> = None;
    for i in 0..ticks.len() {
        if last.is_none_or(|last| apart(&ticks[last], &ticks[i])) {
            last = Some(i);
        } else {
            ticks[i].label.clear();
        }
    }
    if scale.kind == Kind::Log {
        let minor = minor(scale).into_iter().filter_map(|value| scale.inside(value));
        let minor: Vec<f64> = minor.filter(|at| ticks.iter().all(|tick| (tick.place - at).abs() > 1e-9)).collect();
        ticks.extend(minor.into_iter().map(|place| Tick { place, label: String::new() }));
        ticks.sort_by(|a, b| a.place.total_cmp(&b.place));
    }
    ticks
}

/// Checks whether ticks that were chosen for other data also fit these: no long stretch of the axis is without a tick.
fn cover(ticks: &[Tick]) -> bool {
    let (first, last) = (ticks.first().map_or(1.0, |tick| tick.place), ticks.last().map_or(0.0, |tick| tick.place));
    let gaps = ticks.windows(2).all(|pair| pair[1].place - pair[0].place <= style::MOST_APART);
    gaps && first <= style::MOST_BARE && 1.0 - last <= style::MOST_BARE
}

/// Returns the densest set of at least two round values that leaves room for its labels.
pub(super) fn chosen(scale: &Scale, apart: impl Fn(&Tick, &Tick) -> bool) -> Vec<Tick> {
    let mut best: Vec<Tick> = Vec::new();
    for values in candidates(scale) {
        let ticks = named(&values, scale);
        let fits = ticks.len() <= style::MOST_TICKS && ticks.windows(2).all(|pair| apart(&pair[0], &pair[1]));
        if fits && ticks.len() >= 2 {
            return ticks;
        }
        // If no set fits, two or more labels that touch are better than none, and the sparsest set is best.
        if ticks.len() >= 2 || best.is_empty() {
            best = ticks;
        }
    }
    best
}

/// Returns sets of round values, dense ones first.
fn candidates(scale: &Scale) -> Vec<Vec<f64>> {
    let even = even(scale);
    if scale.kind == Kind::Linear {
        return even;
    }
    let mantissas: [&[f64]; 4] = [&[1.0, 2.0, 3.0, 4.0, 6.0, 8.0], &[1.0, 2.0, 5.0], &[1.0, 3.0], &[1.0]];
    let by_factors = mantissas.iter().map(|mantissas| in_decades(scale, mantissas, 1));
    let by_decades = [2, 3, 5, 10, 20, 50, 100].into_iter().map(|every| in_decades(scale, &[1.0], every));
    let by_factors: Vec<Vec<f64>> = by_factors.chain(by_decades).collect();
    // Within a factor of 5, round steps work better than round factors.
    if scale.high - scale.low < 1.6 { [even, by_factors].concat() } else { [by_factors, even].concat() }
}

/// Returns sets of multiples of 1, 2 and 5 times powers of ten.
fn even(scale: &Scale) -> Vec<Vec<f64>> {
    let (least, most) = scale.values;
    let around = 0.25 * most / 2.0 - 0.25 * least / 2.0;
    let (low, high) = match scale.kind {
        Kind::Linear => ((2.0 * scale.low).max(f64::MIN), (2.0 * scale.high).min(f64::MAX)),
        // A log axis is a little longer than its values, and much longer than a single value; ticks outside the axis are
        // removed later.
        Kind::Log if scale.high - scale.low > 1.3 => ((least - around).min(least / 2.0), (2.0 * most).min(f64::MAX)),
        Kind::Log => (least - around, most + around),
    };
    let exponent = exponent(high / 2.0 - low / 2.0);
    let steps = (exponent - 1..=exponent + 1).flat_map(|k| [1, 2, 5].map(|m| (m, k)));
    let multiples = |(m, k): (i64, i32)| {
        let value = |i: i64| {
            let times = (i * m) as f64;
            // Dividing by a power of ten rounds once, so that 3 tenths are 0.3.
            if k >= 0 { times * power_of_ten(k) } else { times / power_of_ten(-k) }
        };
        let step = value(1);
        let (first, last) = ((low / step).ceil(), (high / step).floor());
        let countable = first.abs() < 1e15 && last.abs() < 1e15 && last - first < 1000.0;
        let range = if countable { first as i64..last as i64 + 1 } else { 0..0 };
        range.map(value).filter(|value| value.is_finite()).collect()
    };
    steps.map(multiples).collect()
}

/// Returns multiples of every `every`th power of ten.
fn in_decades(scale: &Scale, mantissas: &[f64], every: i32) -> Vec<f64> {
    let (first, last) = (exponent(scale.values.0) - 1, exponent(scale.values.1) + 1);
    let decades = (first..=last).filter(|k| k.rem_euclid(every) == 0);
    // Parsed as text, so that 3e-5 is the nearest number and not a rounded product.
    decades.flat_map(|k| mantissas.iter().filter_map(move |m| format!("{m}e{k}").parse().ok())).collect()
}

fn minor(scale: &Scale) -> Vec<f64> {
    let decades = exponent(scale.values.1) - exponent(scale.values.0);
    let all = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];
    in_decades(scale, if decades <= 8 { &all } else { &all[..1] }, if decades <= 60 { 1 } else { 10 })
}

/// Returns the ticks at the values that are on the axis.
fn named(values: &[f64], scale: &Scale) -> Vec<Tick> {
    let mut placed: Vec<(f64, f64)> = values.iter().filter_map(|&v| Some((scale.inside(v)?, v))).collect();
    placed.sort_by(|a, b| a.0.total_cmp(&b.0));
    placed.dedup_by(|a, b| a.0 == b.0);
    let plain = |value: f64| value == 0.0 || (1e-3..1e4).contains(&value.abs());
    let all_plain = placed.iter().all(|&(_, value)| plain(value));
    let decimals = placed.iter().map(|&(_, value)| decimals(value)).max().unwrap_or(0);
    let label = |value: f64| match scale.kind {
        Kind::Linear if all_plain => minus(&format!("{:.decimals$}", value + 0.0)),
        // All labels except 0 have the same form.
        Kind::Linear if value != 0.0 => powers(value),
        _ if plain(value) => minus(&format!("{}", value + 0.0)),
        _ => powers(value),
    };
    placed.iter().map(|&(place, value)| Tick { place, label: label(value) }).collect()
}

/// Formats a value with three significant digits, without trailing zeros.
pub(super) fn short(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    if rounded == 0.0 || (1e-3..1e5).contains(&rounded.abs()) { minus(&format!("{rounded}")) } else { powers(rounded) }
}

/// Returns the decimal exponent of the first digit.
fn exponent(value: f64) -> i32 {
    format!("{value:e}").split_once('e').and_then(|(_, exponent)| exponent.parse().ok()).unwrap_or(0)
}

/// Returns the number of digits after the point in the shortest form.
fn decimals(value: f64) -> usize {
    format!("{value}").split_once('.').map_or(0, |(_, digits)| digits.len())
}

/// Formats a value as `2·10⁴`, or `10⁴`.
fn powers(value: f64) -> String {
    let text = format!("{value:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: String = exponent.chars().map(superscript).collect();
    match mantissa {
        "1" => format!("10{exponent}"),
        "-1" => format!("−10{exponent}"),
        _ => format!("{}·10{exponent}", minus(mantissa)),
    }
}

fn superscript(character: char) -> char {
    match character {
        '-' => '⁻',
        digit => "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().nth(digit.to_digit(10).unwrap_or(0) as usize).unwrap_or(digit),
    }
}

fn minus(text: &str) -> String {
    text.replace('-', "−")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(kind: Kind, range: Option<[f64; 2]>, wanted: Option<&[f64]>, values: [f64; 2]) -> String {
        let axis = Axis { label: String::new(), scale: kind, range, ticks: wanted.map(<[f64]>::to_vec) };
        let scale = Scale::of(&axis, "y", "a", values.into_iter()).unwrap();
        let ticks = ticks(&axis, &scale, false, |a, b| b.place - a.place > 0.07);
        assert!(ticks.is_sorted_by(|a, b| a.place < b.place));
        ticks.into_iter().map(|tick| tick.label).filter(|label| !label.is_empty()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn ticks_are_round_and_never_less_than_two() {
        let linear = |low, high| labels(Kind::Linear, None, None, [low, high]);
        assert_eq!(linear(0.0, 200.0), "0 50 100 150 200");
        assert_eq!(linear(0.0, 0.7), "0.0 0.2 0.4 0.6");
        assert_eq!(linear(-1.0, 1.0), "−1.0 −0.5 0.0 0.5 1.0");
        assert_eq!(linear(10.0, 16.0), "10 11 12 13 14 15 16");
        assert_eq!(linear(0.0, 60000.0), "0 10⁴ 2·10⁴ 3·10⁴ 4·10⁴ 5·10⁴ 6·10⁴");
        assert_eq!(linear(0.0, 3e-5), "0 5·10⁻⁶ 10⁻⁵ 1.5·10⁻⁵ 2·10⁻⁵ 2.5·10⁻⁵ 3·10⁻⁵");
        assert_eq!(linear(5.0, 5.0), "4.6 4.8 5.0 5.2 5.4");
        assert_eq!(linear(0.0, 0.0), "−1.0 −0.5 0.0 0.5 1.0");
        let log = |low, high| labels(Kind::Log, None, None, [low, high]);
        assert_eq!(log(9.8, 90.0), "10 20 30 40 60 80 100");
        assert_eq!(log(100.0, 6300.0), "100 200 500 1000 2000 5000");
        assert_eq!(log(1e-7, 1e7), "10⁻⁶ 10⁻⁴ 0.01 1 100 10⁴ 10⁶");
        assert_eq!(log(10.0, 16.0), "10 11 12 13 14 15 16");
        assert_eq!(log(7.0, 7.0), "4 6 8 10 12 14");
        assert_eq!(log(5e4, 4e5), "6·10⁴ 8·10⁴ 10⁵ 2·10⁵ 3·10⁵ 4·10⁵");
    }

    #[test]
    fn given_limits_and_ticks_hold() {
        let (range, wanted) = (Some([6.0, 40.0]), [80.0, 10.0, 6.0, 20.0, 40.0, 0.0, f64::NAN]);
        assert_eq!(labels(Kind::Log, range, Some(&wanted), [1.0, 2.0]), "6 10 20 40");
        assert_eq!(labels(Kind::Linear, Some([0.0, 1.0]), Some(&[0.0, 0.01, 0.5]), [1.0, 2.0]), "0.00 0.50");
        assert_eq!(labels(Kind::Linear, Some([0.0, 1.0]), Some(&[]), [1.0, 2.0]), "");
        assert_eq!(labels(Kind::Linear, None, Some(&[50.0, 60.0, 90.0]), [10.0, 51.0]), "10 20 30 40 50");
    }

    #[test]
    fn wanted_ticks_serve_the_data_that_they_were_chosen_for() {
        let log = |low: f64, high: f64, wanted: &[f64]| labels(Kind::Log, None, Some(wanted), [low, high]);
        // The ticks of the paper's axes are kept for the paper's numbers.
        let of_traces = [3e4, 5e4, 1e5, 2e5, 4e5];
        assert_eq!(log(48_000.0, 313_000.0, &of_traces), "5·10⁴ 10⁵ 2·10⁵");
        let (of_errors, of_tuned) = ([10.0, 20.0, 40.0, 60.0, 90.0], [5.0, 8.0, 10.0, 12.0, 14.0, 16.0, 18.0, 20.0]);
        assert_eq!(log(10.4, 90.0, &of_errors), "10 20 40 60 90");
        assert_eq!(log(135.0, 6300.0, &[100.0, 300.0, 1000.0, 5000.0]), "300 1000 5000");
        assert_eq!(log(9.8, 16.5, &of_tuned), "10 12 14 16");
        // If the data are elsewhere, other ticks are chosen.
        assert_eq!(log(6_000.0, 120_000.0, &of_traces), "10⁴ 2·10⁴ 5·10⁴ 10⁵");
        assert_eq!(log(1.4, 95.0, &[20.0, 30.0, 40.0, 60.0, 100.0]), "2 5 10 20 50 100");
        let linear = |high, wanted: &[f64]| labels(Kind::Linear, None, Some(wanted), [0.0, high]);
        assert_eq!(linear(20.0, &[0.0, 5.0, 10.0]), "0 5 10 15 20");
        assert_eq!(linear(20.0, &[0.0, 8.0, 16.0]), "0 8 16");
        // Ticks at both ends, but none where the curves are.
        assert_eq!(log(110.0, 5200.0, &[120.0, 5000.0]), "100 200 500 1000 2000 5000");
        assert_eq!(linear(20.0, &[0.0, 2.0, 20.0]), "0 5 10 15 20");
    }

    #[test]
    fn labels_reach_both_ends_whatever_ticks_are_wanted() {
        let mut stream = base::rng::Stream::new(0, "wanted ticks", &[]);
        for _ in 0..2000 {
            let kind = if stream.below(2) == 0 { Kind::Linear } else { Kind::Log };
            let low = 0.01 + stream.uniform();
            let high = low * (1.1 + 200.0 * stream.uniform() * stream.uniform());
            let wanted: Vec<f64> = (0..5).map(|_| 100.0 * stream.uniform() * stream.uniform()).collect();
            let axis = Axis { label: String::new(), scale: kind, range: None, ticks: Some(wanted) };
            let scale = Scale::of(&axis, "y", "a", [low, high].into_iter()).unwrap();
            let mut ticks = ticks(&axis, &scale, false, |a, b| b.place - a.place > 0.07);
            ticks.retain(|tick| !tick.label.is_empty());
            let (first, last) = (ticks[0].place, ticks[ticks.len() - 1].place);
            assert!(first < 0.4 && last > 0.6, "{kind:?} {low} to {high}: {ticks:?}");
        }
    }

    #[test]
    fn any_limits_have_at_least_two_labels() {
        let mut stream = base::rng::Stream::new(0, "ticks", &[]);
        for _ in 0..300 {
            let size = power_of_ten(stream.below(560) as i32 - 280);
            let low = stream.uniform() * size;
            for high in [low, low * (1.0 + 1e-6), low * 1.3, low * 3.0, low * 40.0, low * 1e9] {
                for kind in [Kind::Linear, Kind::Log] {
                    let text = labels(kind, None, None, [low, high]);
                    assert!(text.contains(' '), "{kind:?} {low} {high}: {text}");
                }
            }
        }
    }
}
