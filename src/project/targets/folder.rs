//! The folder of pipelines: finds the pipelines in it, and which of them contain a target.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::graph::Pattern;
use crate::project::Failure;
use crate::spec::{Contents, Need};

/// A pipeline file.
pub struct File {
    /// Its name without `.toml`.
    pub name: String,
    /// Its path, for messages.
    pub path: String,
    /// Text of the file, or why it cannot be read. The error is reported only when the file is needed.
    text: Result<String, String>,
    /// Names in the file; empty if the file is not TOML, which is reported only when the file is needed.
    pub contents: Contents,
}

impl File {
    /// Returns the text of the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn text(&self) -> Result<&str, Failure> {
        self.text.as_deref().map_err(|why| Failure::usage(why, ""))
    }
}

/// The pipelines of a folder, sorted by their names.
pub struct Folder(pub Vec<File>);

/// The needed parts of each pipeline, by its place in the folder. An empty list means the whole pipeline.
pub type WantedFiles = BTreeMap<usize, Vec<Need>>;

impl Folder {
    /// Reads all pipelines of a folder.
    ///
    /// # Errors
    /// If there is no pipeline.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        if path.is_file() {
            return Err(no_folder(path));
        }
        let names = files::list(path).map_err(|error| Failure::usage(error.to_string(), ""))?;
        let names: Vec<&str> =
            names.iter().filter(|name| is_pipeline(name)).filter_map(|name| name.strip_suffix(".toml")).collect();
        if names.is_empty() {
            let message = format!("there is no pipeline (*.toml) in the folder {}", path.display());
            return Err(Failure::usage(
                message,
                "run wdpipe in the project's folder or a subfolder, or give --pipelines DIR",
            ));
        }
        let file = |name: &str| {
            let path = path.join(format!("{name}.toml"));
            let text = files::read_text(&path, 1 << 20).map_err(|error| error.to_string());
            let path = path.display().to_string();
            let contents = text.as_ref().ok().and_then(|text| Contents::of(name, &path, text).ok());
            File { name: name.to_owned(), path, text, contents: contents.unwrap_or_default() }
        };
        Ok(Self(names.into_iter().map(file).collect()))
    }

    /// Finds the pipelines that contain a target, and the parts that the target needs. For an unknown target, returns every
    /// pipeline whole, so that messages can list all mistakes and all names.
    ///
    /// # Errors
    /// If two pipelines draw the target.
    pub fn wanted(&self, target: &str) -> Result<WantedFiles, Failure> {
        let pattern = Pattern::of(target);
        let stage = Need::Stage(pattern.family.to_owned());
        let whole = |place: usize| WantedFiles::from([(place, Vec::new())]);
        if let Some(pipeline) = pattern.pipeline {
            let place = self.0.iter().position(|file| file.name == pipeline);
            return Ok(match place {
                Some(place) if self.0[place].contents.stages.contains(pattern.family) => [(place, vec![stage])].into(),
                Some(place) => whole(place),
                None => self.everything(),
            });
        }
        let drawn = self.drawn(target)?;
        if !drawn.is_empty() {
            return Ok(drawn);
        }
        let has_stage = |(_, file): &(usize, &File)| file.contents.stages.contains(pattern.family);
        let with_stage: WantedFiles =
            self.0.iter().enumerate().filter(has_stage).map(|(place, _)| (place, vec![stage.clone()])).collect();
        Ok(match self.0.iter().position(|file| file.name == target) {
            _ if !with_stage.is_empty() => with_stage,
            Some(place) => whole(place),
            None => self.everything(),
        })
    }

    /// Returns every pipeline whole.
    pub fn everything(&self) -> WantedFiles {
        (0..self.0.len()).map(|place| (place, Vec::new())).collect()
    }

    /// Finds the figure or panel with the name `target`, or all panels of a figure whose panels are in several pipelines, such
    /// as fig6a and fig6b for fig6.
    fn drawn(&self, target: &str) -> Result<WantedFiles, Failure> {
        let names: BTreeSet<&String> = self.0.iter().flat_map(|file| file.contents.drawn.keys()).collect();
        let is_part = |name: &&&String| {
            let rest = name.strip_prefix(target).unwrap_or_default();
            rest.len() == 1 && rest.bytes().all(|letter| letter.is_ascii_lowercase()) && self.is_whole(name)
        };
        let own: Vec<&String> = match names.iter().find(|name| name.as_str() == target) {
            Some(name) => vec![name],
            None => names.iter().filter(is_part).copied().collect(),
        };
        self.clashes(|name| own.contains(&name))?;
        let mut wanted = WantedFiles::new();
        for (place, file) in self.0.iter().enumerate() {
            let needs: Vec<Need> = own.iter().filter_map(|name| file.contents.drawn.get(*name)).cloned().collect();
            if !needs.is_empty() {
                wanted.insert(place, needs);
            }
        }
        Ok(wanted)
    }

    fn is_whole(&self, name: &str) -> bool {
        self.0.iter().any(|file| matches!(file.contents.drawn.get(name), Some(Need::Figure(_))))
    }

    /// Finds the first of some names that a pipeline draws, and returns it with that pipeline's path.
    pub fn owner_of_any<'a>(&self, mut names: impl Iterator<Item = &'a String>) -> Option<(String, String)> {
        names.find_map(|name| {
            let owner = self.0.iter().find(|file| file.contents.drawn.contains_key(name))?;
            Some((name.clone(), owner.path.clone()))
        })
    }

    /// Checks that no two pipelines draw a figure or panel with the same name, since the files of one would replace those of
    /// the other.
    ///
    /// # Errors
    /// If there are such names; the message lists all of them.
    pub fn clashes(&self, concerns: impl Fn(&String) -> bool) -> Result<(), Failure> {
        let mut owners: BTreeMap<&String, Vec<&File>> = BTreeMap::new();
        for file in &self.0 {
            file.contents
                .drawn
                .keys()
                .filter(|name| concerns(name))
                .for_each(|name| owners.entry(name).or_default().push(file));
        }
        let mut lines: BTreeMap<Vec<&str>, Vec<String>> = BTreeMap::new();
        for (name, files) in owners.into_iter().filter(|(_, files)| files.len() > 1) {
            // A clash of figures includes their panels.
            let is_panel = files.iter().all(|file| matches!(file.contents.drawn.get(name), Some(Need::Panel(..))));
            if !is_panel || lines.is_empty() {
                lines
                    .entry(files.iter().map(|file| file.path.as_str()).collect())
                    .or_default()
                    .push(format!("`{name}`"));
            }
        }
        if lines.is_empty() {
            return Ok(());
        }
        let line = |(files, names): (Vec<&str>, Vec<String>)| {
            let are = if names.len() > 1 { "are drawn" } else { "is drawn" };
            format!("{} {are} by {}", names.join(", "), files.join(" and by "))
        };
        let message = lines.into_iter().map(line).collect::<Vec<_>>().join("\n");
        let hint = "a name belongs to one pipeline: rename the figure (figure = \"…\" in its panels), or remove a file";
        Err(Failure::usage(message, hint))
    }
}

/// Checks whether a file with this name is a pipeline, and not a file that editors and systems leave in folders, such as
/// `.#fig3.toml`, `._fig3.toml`, `~$fig3.toml` or `#fig3.toml`.
pub fn is_pipeline(name: &str) -> bool {
    name.ends_with(".toml") && !name.starts_with(['.', '~', '#'])
}

/// Makes the failure for `--pipelines FILE`.
fn no_folder(path: &Path) -> Failure {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let message = format!("--pipelines {} is a file, not the folder of the pipelines", path.display());
    Failure::usage(message, format!("give --pipelines {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a folder whose files have the given panels: pairs of a figure and the ids of its panels.
    fn folder(files: &[(&str, &[(&str, &str)])]) -> Folder {
        let file = |(name, figures): &(&str, &[(&str, &str)])| {
            let panel = |(figure, ids): &(&str, &str)| {
                let one = |id: char| format!("[[panel]]\nfigure = \"{figure}\"\nid = \"{id}\"\n");
                ids.chars().map(one).collect::<String>()
            };
            let text = format!("[stage.{name}_run]\n{}", figures.iter().map(panel).collect::<String>());
            let path = format!("p/{name}.toml");
            let contents = Contents::of(name, &path, &text).unwrap();
            File { name: (*name).to_owned(), path, text: Ok(text), contents }
        };
        Folder(files.iter().map(file).collect())
    }

    #[test]
    fn a_name_that_two_pipelines_draw_is_refused() {
        let message = |files: &[(&str, &[(&str, &str)])], target: &str| {
            let folder = folder(files);
            let found = if target == "all" { folder.clashes(|_| true) } else { folder.wanted(target).map(drop) };
            found.map_err(|failure| failure.message).err().unwrap_or_default()
        };
        let copied: &[(&str, &[(&str, &str)])] = &[
            ("fig3", &[("fig3", "ab"), ("fig6a", "a"), ("lr", "ab")]),
            ("my3", &[("my3", "ab"), ("fig6a", "a"), ("lr", "ab")]),
        ];
        assert_eq!(message(copied, "all"), "`fig6a`, `lr` are drawn by p/fig3.toml and by p/my3.toml");
        assert_eq!(message(copied, "fig6a"), "`fig6a` is drawn by p/fig3.toml and by p/my3.toml");
        assert_eq!(message(copied, "lr-b"), "`lr-b` is drawn by p/fig3.toml and by p/my3.toml");
        // A clash of a part of fig6 counts for fig6 too. Figures that only one pipeline draws do not clash.
        assert_eq!(message(copied, "fig6"), "`fig6a` is drawn by p/fig3.toml and by p/my3.toml");
        assert_eq!((message(copied, "fig3"), message(copied, "my3b")), (String::new(), String::new()));
        // A figure that has the name of another's panel.
        let panel: &[(&str, &[(&str, &str)])] = &[("fig4", &[("fig4", "ab")]), ("fig4b", &[("fig4b", "a")])];
        for target in ["all", "fig4b"] {
            assert_eq!(message(panel, target), "`fig4b` is drawn by p/fig4.toml and by p/fig4b.toml");
        }
        assert_eq!(message(panel, "fig4a"), "");
    }

    #[test]
    fn targets_are_found_where_they_are_drawn() {
        let folder = folder(&[
            ("fig1", &[("fig1", "ab"), ("fig5", "a")]),
            ("fig2", &[("fig6b", "b")]),
            ("mine", &[("fig6a", "a"), ("fig10", "ab")]),
        ]);
        let wanted = |target: &str| folder.wanted(target).map_err(|failure| failure.message).unwrap();
        let figure = |name: &str| Need::Figure(name.to_owned());
        let panel = |figure: &str, id: &str| Need::Panel(figure.to_owned(), id.to_owned());
        let stage = |name: &str| Need::Stage(name.to_owned());
        assert_eq!(wanted("fig1b"), [(0, vec![panel("fig1", "b")])].into());
        assert_eq!(wanted("fig5"), [(0, vec![figure("fig5")])].into());
        // This is not a part of fig1.
        assert_eq!(wanted("fig10"), [(2, vec![figure("fig10")])].into());
        assert_eq!(wanted("fig10b"), [(2, vec![panel("fig10", "b")])].into());
        assert_eq!(wanted("fig6"), [(1, vec![figure("fig6b")]), (2, vec![figure("fig6a")])].into());
        assert_eq!(wanted("mine/mine_run[lr=1]@3"), [(2, vec![stage("mine_run")])].into());
        assert_eq!(wanted("fig2_run"), [(1, vec![stage("fig2_run")])].into());
        // A missing target is searched for where it should be, or everywhere.
        assert_eq!(wanted("mine/rnu"), [(2, vec![])].into());
        assert_eq!(wanted("mine"), [(2, vec![])].into());
        assert_eq!(wanted("fig7"), folder.everything());
    }

    #[test]
    fn what_editors_and_systems_leave_is_no_pipeline() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(folder.path().join(name), "[stage.a]\n").unwrap();
        for name in
            ["a.toml", "._a.toml", ".a.toml", "~$a.toml", "#a.toml#", "#a.toml", "a.toml~", "a.toml.swp", ".DS_Store"]
        {
            write(name);
        }
        std::os::unix::fs::symlink("me@host.1:2", folder.path().join(".#a.toml")).unwrap();
        let names = |folder: &Folder| folder.0.iter().map(|file| file.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&Folder::read(folder.path()).map_err(|failure| failure.message).unwrap()), ["a"]);
        let why =
            |path: &Path| Folder::read(path).map(drop).map_err(|failure| (failure.message, failure.hint)).unwrap_err();
        let (message, hint) = why(&folder.path().join("a.toml"));
        assert!(message.ends_with("a.toml is a file, not the folder of the pipelines"), "{message}");
        assert_eq!(hint, format!("give --pipelines {}", folder.path().display()));
        assert!(why(&folder.path().join("b")).0.starts_with("there is no pipeline"));
    }
}
