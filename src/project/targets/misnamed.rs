//! Advice for words that are no targets, but name something else: a file, a variant, a profile or a remote.

use std::path::Path;

use super::folder::Folder;
use super::select::Selection;
use crate::project::{Failure, Project, command, quoted};
use crate::reports::{Place, VariantSettings};
use store::remote::Remotes;

impl Project {
    /// Replaces the hint of the failure for an unknown target if the word names something else.
    pub(super) fn misnamed(&self, target: &str, selection: &Selection, failure: Failure) -> Failure {
        let advice =
            self.as_remote(target).or_else(|| as_variant(target, selection)).or_else(|| as_file(target, selection));
        match advice.or_else(|| self.as_profile(target)) {
            Some(hint) => Failure { hint, ..failure },
            None => failure,
        }
    }

    fn as_profile(&self, target: &str) -> Option<String> {
        let is_profile = Folder::read(&self.pipelines).ok()?.profiles().contains(target);
        is_profile.then(|| format!("`{target}` is a profile: name a figure, and add --profile {target}"))
    }

    fn as_remote(&self, target: &str) -> Option<String> {
        Remotes::load(&self.remotes).ok()?.get(target).ok()?;
        Some(format!("`{target}` is a remote: name it with --remote={target}, --to {target} or --from {target}"))
    }
}

/// Explains the name of the files of a variant, or a name that the user gave a figure with `--name`.
fn as_variant(target: &str, selection: &Selection) -> Option<String> {
    let place = Place { folder: selection.folder.clone(), name: target.to_owned() };
    let settings = VariantSettings::read(&place)?;
    let words = command(&settings.command(target), &settings.profile, &settings.set);
    Some(format!(
        "these are the files of a variant of {}: name the figure with its settings, as in `{words}`",
        settings.figure
    ))
}

/// Finds the figure whose pipeline or picture a file is.
fn as_file(target: &str, selection: &Selection) -> Option<String> {
    let path = Path::new(target);
    let stem = path.file_stem()?.to_str()?;
    path.extension()?;
    let figure = stem.split('@').next().unwrap_or(stem);
    selection
        .graph
        .figures
        .contains_key(figure)
        .then(|| format!("a target is a figure, not its file: write {}", quoted(figure)))
}
