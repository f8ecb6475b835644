//! How a variant of a figure was made, as a small text beside its files.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Place;
use base::digest::StageKey;
use files::FsError;

/// No such text has more bytes.
const LIMIT: u64 = 1 << 20;

/// With which settings a variant was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantSettings {
    /// The figure that it is a variant of.
    pub figure: String,
    /// The profile.
    pub profile: String,
    /// The `--set`s.
    pub set: Vec<String>,
    /// The key of the stage that draws it.
    pub key: StageKey,
}

impl VariantSettings {
    /// Those of the variants in a folder, in the order of their names. What is no such text is passed over.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn all(folder: &Path) -> Result<Vec<(Place, Self)>, FsError> {
        let mut found = Vec::new();
        for name in files::list(folder)?.iter().filter_map(|file| file.strip_suffix(".toml")) {
            let place = Place { folder: folder.to_owned(), name: name.to_owned() };
            found.extend(Self::read(&place).map(|settings| (place, settings)));
        }
        Ok(found)
    }

    /// Those of one variant; nothing if there is no such text.
    pub fn read(place: &Place) -> Option<Self> {
        toml::from_str(&files::read_text(&place.path("toml"), LIMIT).ok()?).ok()
    }

    /// Writes them beside the variant.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, place: &Place) -> Result<(), FsError> {
        // Texts and a list of texts are always TOML.
        let text = toml::to_string(self).unwrap_or_default();
        let heading = format!("# How {}.svg and the files beside it were made.\n", place.name);
        files::replace(&place.path("toml"), format!("{heading}{text}").as_bytes())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_lie_beside_their_variant_and_other_texts_are_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { folder: folder.path().to_owned(), name: "fig3@0123abcd".to_owned() };
        let set = vec!["variant=\"official-code\"".to_owned(), "title='a\nb'".to_owned()];
        let key = StageKey::from_bytes([7; 32]);
        let made = VariantSettings { figure: "fig3".to_owned(), profile: "smoke".to_owned(), set, key };
        made.write(&place).unwrap();
        std::fs::write(folder.path().join("other.toml"), "x = 1").unwrap();
        assert_eq!(VariantSettings::all(folder.path()).unwrap(), [(place, made)]);
    }
}
