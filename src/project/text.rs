//! Formats counts, numbers, and recommended commands for messages.

use std::borrow::Cow;

/// Formats a count and a noun: `1 stage`, `2 stages`.
pub fn count(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Formats a number with four significant digits.
pub fn short(value: f64) -> String {
    let rounded: f64 = format!("{value:.3e}").parse().unwrap_or(value);
    if rounded == 0.0 || (1e-3..1e6).contains(&rounded.abs()) { format!("{rounded}") } else { format!("{rounded:e}") }
}

/// Formats a command of this program so that the user can copy it: words, the profile and its `--set`s.
pub fn command(words: &[&str], profile: &str, set: &[String]) -> String {
    let sets = set.iter().flat_map(|set| ["--set", set]);
    let words = ["wdpipe"].into_iter().chain(words.iter().copied()).chain(["--profile", profile]).chain(sets);
    words.map(quoted).collect::<Vec<_>>().join(" ")
}

/// Quotes a word for a shell.
pub fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+,=".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.into(),
        false => format!("'{}'", word.replace('\'', r"'\''")).into(),
    }
}

/// Quotes words for a shell.
pub fn all_quoted(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}
