//! The settings of a variant of a figure, in a small file beside its other files.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Place, is_variant};
use base::digest::StageKey;
use files::FsError;

/// Maximum size in bytes of such a file.
const LIMIT: u64 = 1 << 20;

/// The settings with which a variant was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VariantSettings {
    /// The figure that it is a variant of.
    pub figure: String,
    /// The profile.
    pub profile: String,
    /// The `--set` options.
    pub set: Vec<String>,
    /// The key of the stage that draws the variant.
    pub key: StageKey,
}

impl VariantSettings {
    /// Reads the settings of all variants in a folder, sorted by name. Other files are skipped.
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

    /// Reads the settings of one variant; returns `None` if there is no valid file.
    pub fn read(place: &Place) -> Option<Self> {
        toml::from_str(&files::read_text(&place.path("toml"), LIMIT).ok()?).ok()
    }

    /// Returns the words of the command that makes this figure again with files of this name, without profile and settings.
    pub fn command<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        let own = name == self.figure || is_variant(name);
        let named: &[&str] = if own { &[] } else { &["--name", name] };
        [&["make", self.figure.as_str()], named].concat()
    }

    /// Writes the settings beside the variant.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, place: &Place) -> Result<(), FsError> {
        // Strings and a list of strings can always be written as TOML.
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
        assert_eq!(made.command(&place.name), ["make", "fig3"]);
        assert_eq!(made.command("mine"), ["make", "fig3", "--name", "mine"]);
        std::fs::write(folder.path().join("other.toml"), "x = 1").unwrap();
        assert_eq!(VariantSettings::all(folder.path()).unwrap(), [(place, made)]);
    }
}
