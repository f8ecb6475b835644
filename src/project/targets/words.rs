//! The words that a user can type about pipelines, for the shell's completion and for help. Pipelines with mistakes have fewer.

use std::collections::BTreeSet;

use super::folder::Folder;
use crate::spec::Pipeline;

impl Folder {
    /// Returns every target that has a name of its own: figures, panels, and stages with all their instances.
    pub fn targets(&self) -> BTreeSet<String> {
        let drawn = self.0.iter().flat_map(|file| file.contents.drawn.keys().cloned());
        let stage = |name: &str, stage: &String| format!("{name}/{stage}");
        let stages =
            self.0.iter().flat_map(|file| file.contents.stages.iter().map(move |name| stage(&file.name, name)));
        drawn.chain(stages).chain(["all".to_owned()]).collect()
    }

    /// Returns the profiles of all pipelines.
    pub fn profiles(&self) -> BTreeSet<String> {
        let of = |text: &str| Pipeline::profiles("", text).unwrap_or_default();
        let texts = self.0.iter().filter_map(|file| file.text().ok());
        texts.flat_map(of).map(|(name, _)| name).collect()
    }

    /// Returns what `--set` can change in a profile: settings, and parameters of stages.
    pub fn settings(&self, profile: &str) -> BTreeSet<String> {
        let read = |text: &str| Pipeline::read("", "", text, profile, &[]).ok();
        let texts = self.0.iter().filter_map(|file| file.text().ok());
        texts.filter_map(read).flat_map(|pipeline| pipeline.paths()).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn words_of_the_paper_s_pipelines_are_found() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        let folder = Folder::read(&folder).map_err(|failure| failure.message).unwrap();
        let has = |words: BTreeSet<String>, wanted: &[&str]| {
            wanted.iter().for_each(|word| assert!(words.contains(*word), "{word} in {words:?}"));
        };
        has(folder.targets(), &["all", "fig3", "fig3c", "fig3/trunk", "momentum-a"]);
        has(folder.profiles(), &["smoke", "quick", "paper", "cifar"]);
        has(folder.settings("smoke"), &["lr", "seed", "trunk.wd", "valley.steps", "policy"]);
        assert!(folder.settings("nowhere").is_empty());
    }

    #[test]
    fn pipelines_with_mistakes_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("good.toml"), "[profile.a]\n[settings]\nx = 1\n[stage.s]\nn = 2\n").unwrap();
        std::fs::write(folder.path().join("bad.toml"), "[profile.b\n").unwrap();
        let folder = Folder::read(folder.path()).map_err(|failure| failure.message).unwrap();
        let list = |words: BTreeSet<String>| words.into_iter().collect::<Vec<_>>();
        assert_eq!(list(folder.targets()), ["all", "good/s"]);
        assert_eq!(list(folder.profiles()), ["a"]);
        assert_eq!(list(folder.settings("a")), ["figure.font_size", "figure.width", "policy", "s.n", "x"]);
    }
}
