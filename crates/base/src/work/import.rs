//! Data sets and weights that a user imports into the store instead of computing them.

use std::collections::BTreeMap;
use std::fmt;

use super::dataset::Source;
use crate::record::KeyParts;
use crate::value::{Map, Value};

/// A data set or weights that a user imported into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import<'a> {
    /// A data set, with the outputs `train` and `test`.
    Data(Source),
    /// Weights under a name that the user chose, with the output `weights`.
    Weights(&'a str),
}

impl Import<'_> {
    /// Returns the names of the outputs in the import's record. A stage that uses the import reads them under the same names.
    pub fn outputs(self) -> &'static [&'static str] {
        match self {
            Self::Data(_) => &["train", "test"],
            Self::Weights(_) => &["weights"],
        }
    }

    /// Returns the parts of the key under which the import is recorded (see [`crate::record::is_import`]).
    pub fn parts(self) -> KeyParts {
        let (kind, version, name, value) = match self {
            // Version 1 kept the order of the files, so it mattered which copy the images came from.
            Self::Data(source) => ("import", 2, "source", source.name()),
            Self::Weights(name) => ("import_weights", 1, "name", name),
        };
        KeyParts {
            kind: kind.to_owned(),
            version,
            parameters: [(name.to_owned(), Value::Text(value.to_owned()))].into(),
            inputs: BTreeMap::new(),
            policy: Map::new(),
        }
    }
}

impl fmt::Display for Import<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(source) => write!(f, "import {}", source.name()),
            Self::Weights(name) => write!(f, "import weights/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_import_is_recorded_as_one() {
        for import in [Import::Data(Source::Cifar10), Import::Weights("exported")] {
            assert!(import.parts().is_import(), "{import}");
        }
    }
}
