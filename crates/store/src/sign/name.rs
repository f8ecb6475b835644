//! Names of keys.

use std::fmt;
use std::str::FromStr;

/// The name of a key, chosen by its owner or the project: 1 to 64 of the characters `A`–`Z`, `a`–`z`, `0`–`9`, `.`,
/// `_`, `@` and `-`. So it is safe in a file name, in TOML and on a terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// The text is not a valid key name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a valid key name: use 1 to 64 letters, digits and . _ @ -")]
pub struct NotAName(String);

impl KeyName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._@-".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAName(text.chars().take(80).flat_map(char::escape_debug).collect()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_names_are_names() {
        for name in ["a", "default", "ann@lab.org", "Ann_2-x", "..", &"n".repeat(64)] {
            assert_eq!(name.parse::<KeyName>().unwrap().as_str(), name);
        }
        for name in ["", "a/b", "a b", "é", "a\n", "\u{1b}[1m", "a\"", &"n".repeat(65)] {
            assert!(name.parse::<KeyName>().is_err(), "{name:?}");
        }
        assert!(!"\u{1b}".parse::<KeyName>().unwrap_err().to_string().contains('\u{1b}'));
    }
}
