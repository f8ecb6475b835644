//! Edits a TOML file that belongs to the user: comments, spaces, order and line ends stay as they are.

use std::ops::{Deref, DerefMut};

use toml_edit::{DocumentMut, TomlError};

/// The parsed text of a file.
pub(crate) struct Document {
    toml: DocumentMut,
    /// Whether lines end as on Windows, with a carriage return. `toml_edit` writes only line feeds.
    has_returns: bool,
}

impl Document {
    /// Parses a text.
    ///
    /// # Errors
    /// If the text is not TOML.
    pub(crate) fn parse(text: &str) -> Result<Self, TomlError> {
        Ok(Self { toml: text.parse()?, has_returns: text.contains("\r\n") })
    }

    /// Returns the edited text.
    pub(crate) fn text(&self) -> String {
        let text = self.toml.to_string();
        if self.has_returns { text.replace("\r\n", "\n").replace('\n', "\r\n") } else { text }
    }
}

impl Deref for Document {
    type Target = DocumentMut;

    fn deref(&self) -> &DocumentMut {
        &self.toml
    }
}

impl DerefMut for Document {
    fn deref_mut(&mut self) -> &mut DocumentMut {
        &mut self.toml
    }
}
