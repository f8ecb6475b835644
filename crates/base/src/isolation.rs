//! How strictly a program of the user's was isolated from the rest of the machine.

use std::fmt;

use serde::Deserialize;

/// A level of isolation, from the weakest to the strictest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// None: the program could read everything that its user can read.
    #[default]
    None,
    /// Landlock: the program could not open undeclared files.
    Landlock,
    /// Namespaces: undeclared files did not exist for the program.
    Namespaces,
}

impl Isolation {
    /// All levels, from the weakest to the strictest.
    pub const ALL: [Self; 3] = [Self::None, Self::Landlock, Self::Namespaces];

    /// Returns its name in records and settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Landlock => "landlock",
            Self::Namespaces => "namespaces",
        }
    }

    /// Finds a level by its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// Returns the words with which a record's description of the machine begins.
    pub fn words(self) -> String {
        format!("sandbox {self}")
    }

    /// Returns the level that a record's description of the machine begins with. A record without one promises nothing.
    pub fn recorded(machine: &str) -> Self {
        let level = machine.strip_prefix("sandbox ").and_then(|rest| rest.split(',').next());
        level.and_then(Self::named).unwrap_or(Self::None)
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_read_from_what_a_record_says() {
        for level in Isolation::ALL {
            assert_eq!(Isolation::recorded(&format!("{}, /usr/bin/sh (1234)", level.words())), level);
            assert_eq!(Isolation::named(level.name()), Some(level));
        }
        for nothing in ["", "sandbox", "sandbox strict, x", "x sandbox namespaces", "namespaces"] {
            assert_eq!(Isolation::recorded(nothing), Isolation::None, "{nothing}");
        }
        assert!(Isolation::Namespaces > Isolation::Landlock && Isolation::Landlock > Isolation::None);
    }
}
