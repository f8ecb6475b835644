//! What is known from a command line that cannot be parsed: it is still being typed, or asks for help.

use std::collections::BTreeSet;
use std::ffi::OsString;

use super::environment::folder;
use crate::project::{Folder, NamedPlaces, Project};
use store::Options;
use store::remote::Remotes;

/// The words of a command line.
#[derive(Clone)]
pub struct Typed(Vec<String>);

impl Typed {
    /// Takes the words.
    pub fn of<'a>(words: impl IntoIterator<Item = &'a OsString>) -> Self {
        Self(words.into_iter().map(|word| word.to_string_lossy().into_owned()).collect())
    }

    /// Returns all targets with a name of their own.
    pub fn targets(&self) -> BTreeSet<String> {
        self.pipelines().map(|folder| folder.targets()).unwrap_or_default()
    }

    /// Returns the profiles of all pipelines.
    pub fn profiles(&self) -> BTreeSet<String> {
        self.pipelines().map(|folder| folder.profiles()).unwrap_or_default()
    }

    /// Returns what `--set` can change, with the `=` that comes before the value.
    pub fn settings(&self) -> BTreeSet<String> {
        let profile = self.value("profile").unwrap_or("smoke");
        let paths = self.pipelines().map(|folder| folder.settings(profile)).unwrap_or_default();
        paths.into_iter().map(|path| path + "=").collect()
    }

    /// Returns the names of the project's remotes.
    pub fn remotes(&self) -> BTreeSet<String> {
        let remotes = Remotes::load(&self.project().remotes);
        remotes.map(|remotes| remotes.all().keys().cloned().collect()).unwrap_or_default()
    }

    fn pipelines(&self) -> Option<Folder> {
        Folder::read(&self.project().pipelines).ok()
    }

    fn project(&self) -> Project {
        let place = |option: &str, variable: &str| self.value(option).map(Into::into).or_else(|| folder(variable));
        let named = NamedPlaces {
            pipelines: place("pipelines", "WDPIPE_PIPELINES"),
            remotes: place("remotes", "WDPIPE_REMOTES"),
            ..NamedPlaces::default()
        };
        let (here, home) = (std::env::current_dir().ok(), folder("HOME"));
        Project::find(named, here.as_deref(), home.as_deref(), Options::default())
    }

    /// Returns the word before a word.
    pub fn before(&self, word: &str) -> Option<&str> {
        let mut pairs = self.0.windows(2);
        pairs.find_map(|pair| if pair[1] == word { Some(pair[0].as_str()) } else { None })
    }

    /// Returns the value of an option: `--option VALUE` or `--option=VALUE`.
    pub fn value(&self, option: &str) -> Option<&str> {
        let mut words = self.0.iter();
        words.find_map(|word| word.strip_prefix("--")?.strip_prefix(option)).and_then(|rest| match rest {
            "" => words.next().map(String::as_str),
            rest => rest.strip_prefix('='),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_options_are_found_in_both_forms() {
        let value = |line: &str, option: &str| {
            let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
            Typed::of(&words).value(option).map(str::to_owned)
        };
        assert_eq!(value("make x --profile quick --set", "profile").as_deref(), Some("quick"));
        assert_eq!(value("make x --profile=quick", "profile").as_deref(), Some("quick"));
        assert_eq!(value("make x --profile", "profile"), None);
        assert_eq!(value("diff x --pipelines-b y", "pipelines"), None);
    }
}
