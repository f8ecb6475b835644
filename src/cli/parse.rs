//! Parsers of numbers, widths and times on the command line, with the program's own error messages.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Returns a parser of whole numbers in a range. Its error does not mention an end that is the type's largest number.
pub fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| match range.end().to_string().len() {
            // The largest numbers of the types in use have at least 10 digits.
            10.. => format!("a whole number of at least {} is needed", range.start()),
            _ => format!("a whole number from {} to {} is needed", range.start(), range.end()),
        })
    }
}

/// Reads the number of stages that run at a time.
///
/// # Errors
/// If the text is not a whole number of at least 1.
pub fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.trim().parse().ok();
    number.ok_or_else(|| "a whole number of at least 1 is needed; without --jobs every core is used".to_owned())
}

/// Reads a width.
///
/// # Errors
/// If the text is not a number above 0.
pub fn width(text: &str) -> Result<f64, String> {
    let width = text.parse::<f64>().ok().filter(|width| *width > 0.0 && width.is_finite());
    width.ok_or_else(|| "a number above 0 is needed, such as 0.2".to_owned())
}

/// Reads a time in seconds: `90s`, `20min`, `2h`, or a bare number of seconds.
///
/// # Errors
/// If the text is not a time.
pub fn time(text: &str) -> Result<f64, String> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "s" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => f64::NAN,
    };
    let seconds = number.trim().parse::<f64>().unwrap_or(f64::NAN) * factor;
    if seconds >= 0.0 && seconds.is_finite() {
        Ok(seconds)
    } else {
        Err("a time is needed, such as 90s, 20min or 2h".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_refused_in_plain_words() {
        assert_eq!(whole(0..=u64::MAX)("20"), Ok(20));
        assert_eq!(whole(1..=64_u32)(" 64"), Ok(64));
        for text in ["", "x", "-1", "1.5", "99999999999999999999", "0"] {
            assert_eq!(whole(1..=u64::MAX)(text), Err("a whole number of at least 1 is needed".to_owned()));
            assert_eq!(whole(1..=64_u32)(text), Err("a whole number from 1 to 64 is needed".to_owned()));
        }
        assert_eq!(jobs("2").map(NonZeroUsize::get), Ok(2));
        for text in ["0", "all", "-1", ""] {
            assert!(jobs(text).unwrap_err().contains("without --jobs every core is used"));
        }
    }

    #[test]
    fn times_and_widths_are_parsed() {
        assert_eq!((time("90s"), time("20min"), time("2h"), time("5")), (Ok(90.0), Ok(1200.0), Ok(7200.0), Ok(5.0)));
        for text in ["", "h", "2 weeks", "-1s", "nan", "infh"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert_eq!(width("0.2"), Ok(0.2));
        for text in ["0", "-1", "x", "inf"] {
            assert!(width(text).is_err(), "{text}");
        }
    }
}
