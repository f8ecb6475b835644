//! Numbers on the command line, refused in the program's own words.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Reads whole numbers of a range; an end that no number is beyond is not mentioned.
pub fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync
where
    T: FromStr + PartialOrd + Display + Clone + Send + Sync + 'static,
{
    move |text| {
        let number = text.trim().parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| match range.end().to_string().len() {
            // The largest values of the types that are used.
            10.. => format!("a whole number of at least {} is needed", range.start()),
            _ => format!("a whole number from {} to {} is needed", range.start(), range.end()),
        })
    }
}

/// Reads the number of stages that run at a time.
///
/// # Errors
/// If it is none.
pub fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.trim().parse().ok();
    number.ok_or_else(|| "a whole number of at least 1 is needed; without --jobs every core is used".to_owned())
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
}
