//! Imports: data sets and weights that a user adds to the store instead of computing them.

use std::collections::BTreeMap;
use std::fmt;

use super::EngineError;
use base::record::KeyParts;
use base::value::{Map, Value};
use base::work::{Source, Work};

/// An import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import<'a> {
    /// A data set: outputs `train` and `test`.
    Data(Source),
    /// Weights under a name that the user chose: output `weights`.
    Weights(&'a str),
}

impl<'a> Import<'a> {
    /// Returns the import that a stage reads, if any.
    pub fn of(work: &'a Work) -> Option<Self> {
        match work {
            Work::Dataset(data) if data.source != Source::Shapes10 => Some(Self::Data(data.source)),
            Work::Imported(weights) => Some(Self::Weights(&weights.name)),
            _ => None,
        }
    }

    /// Returns the names of the outputs of its record.
    pub fn outputs(self) -> &'static [&'static str] {
        match self {
            Self::Data(_) => &["train", "test"],
            Self::Weights(_) => &["weights"],
        }
    }

    /// Returns the error that it was not imported.
    pub fn is_missing(self) -> EngineError {
        match self {
            Self::Data(source) => EngineError::NotImported(source),
            Self::Weights(name) => EngineError::NoWeights(name.to_owned()),
        }
    }

    /// Returns the error that it has no trusted signature.
    pub(super) fn is_unsigned(self) -> EngineError {
        EngineError::Unsigned(match self {
            Self::Data(source) => format!("the data set {}", source.name()),
            Self::Weights(name) => format!("the import `{name}`"),
        })
    }

    /// Returns the parts of the key under which it is recorded.
    pub fn parts(self) -> KeyParts {
        let (kind, version, name, value) = match self {
            // Version 1 kept the order of the files, so that the key depended on which copy the images came from.
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
