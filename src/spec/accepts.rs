//! The values that a field of a pipeline accepts.

use std::fmt;
use std::ops::RangeInclusive;

/// The values that a field accepts. Its text completes "must be".
#[derive(Debug, Clone, PartialEq)]
pub enum Accepts {
    /// An integer in a range.
    Integer(RangeInclusive<u32>),
    /// An integer from 0.
    Seed,
    /// A number in a range.
    Number(RangeInclusive<f64>),
    /// A number above 0, and the largest one.
    Positive(f64),
    /// A Boolean.
    Truth,
    /// Text.
    Text,
    /// An expression of columns.
    Expression,
    /// One of several words.
    Words(Vec<String>),
    /// An integer or a list of integers.
    Integers,
    /// A text or a list of texts.
    Texts,
    /// A list of numbers.
    Numbers,
    /// A list of tables.
    Tables,
}

impl Accepts {
    /// Lists the words of a choice.
    pub fn words<T>(words: &[(&str, T)]) -> Self {
        Self::Words(words.iter().map(|(word, _)| (*word).to_owned()).collect())
    }

    /// Returns whether all accepted values are integers.
    pub fn is_integer(&self) -> bool {
        matches!(self, Self::Integer(_) | Self::Seed)
    }
}

impl fmt::Display for Accepts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(range) => write!(f, "an integer from {} to {}", range.start(), range.end()),
            Self::Seed => f.write_str("an integer from 0"),
            Self::Number(range) => write!(f, "a number from {} to {}", range.start(), range.end()),
            Self::Positive(most) => write!(f, "a number above 0, at most {most}"),
            Self::Truth => f.write_str("true or false"),
            Self::Text => f.write_str("text"),
            Self::Expression => f.write_str("an expression in quotes"),
            Self::Words(words) if words.len() == 1 => f.write_str(&words[0]),
            Self::Words(words) => write!(f, "one of {}", words.join(", ")),
            Self::Integers => f.write_str("a list of integers from 0"),
            Self::Texts => f.write_str("text or a list of texts"),
            Self::Numbers => f.write_str("a list of numbers"),
            Self::Tables => f.write_str("a list of tables"),
        }
    }
}
