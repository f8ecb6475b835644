//! Errors of missing and unsigned imports.

use super::EngineError;
use base::work::Import;

impl EngineError {
    /// The user has to bring the import into the store.
    pub fn not_imported(import: Import<'_>) -> Self {
        match import {
            Import::Data(source) => Self::NotImported(source),
            Import::Weights(name) => Self::NoWeights(name.to_owned()),
        }
    }

    /// No trusted key signed the import.
    pub(super) fn unsigned(import: Import<'_>) -> Self {
        Self::Unsigned(match import {
            Import::Data(source) => format!("the data set {}", source.name()),
            Import::Weights(name) => format!("the import `{name}`"),
        })
    }
}
