//! `wdpipe new`: writes a pipeline to start from, or a project with the paper's pipelines.

use std::path::{Path, PathBuf};

use clap::Args;

use super::ui::Ui;
use crate::project::{ExitCode, Failure, Folder, Project, quoted};
use crate::spec::{Contents, Need, RESERVED, did_you_mean, renamed, with_figures_renamed};

/// Text of the pipeline, in which NAME stands for the pipeline's name.
const TEXT: &str = include_str!("new.toml");

/// The files of a new project: the paper's pipelines, and what git and editors must know about a project.
const PROJECT: [(&str, &str); 14] = [
    ("pipelines/fig1.toml", include_str!("../../pipelines/fig1.toml")),
    ("pipelines/fig2.toml", include_str!("../../pipelines/fig2.toml")),
    ("pipelines/fig3.toml", include_str!("../../pipelines/fig3.toml")),
    ("pipelines/fig4.toml", include_str!("../../pipelines/fig4.toml")),
    ("pipelines/grid.toml", include_str!("../../pipelines/grid.toml")),
    ("pipelines/momentum.toml", include_str!("../../pipelines/momentum.toml")),
    ("pipelines/prop3.toml", include_str!("../../pipelines/prop3.toml")),
    (".gitignore", "/cache/\n# Variants: figures made with other settings than their pipelines say.\n/reports/*/*@*\n"),
    (".gitattributes", "# Figures are hashed byte for byte: git must not convert line ends.\nreports/** -text\n"),
    (".taplo.toml", include_str!("../../.taplo.toml")),
    ("schemas/cluster.json", include_str!("../../schemas/cluster.json")),
    ("schemas/pipeline.json", include_str!("../../schemas/pipeline.json")),
    ("schemas/remotes.json", include_str!("../../schemas/remotes.json")),
    ("schemas/trust.json", include_str!("../../schemas/trust.json")),
];

/// Write a pipeline to start from, or a new project.
///
/// The file is pipelines/NAME.toml: a commented example or, with --from, a copy. A copy has the stages of the original,
/// so nothing is computed again, and its figures have new names. A new project has the pipelines of the paper.
#[derive(Debug, Args)]
pub struct NewCommand {
    /// Name of the figure: lower-case letters, digits, - and _.
    #[arg(value_name = "NAME", required_unless_present = "project")]
    name: Option<String>,
    /// Copy the pipeline of FIGURE, instead of the commented one.
    #[arg(long, value_name = "FIGURE", requires = "name")]
    from: Option<String>,
    /// Make a new project in the folder DIR, with the pipelines of the paper.
    #[arg(long, value_name = "DIR")]
    project: Option<PathBuf>,
}

fn storage(error: files::FsError) -> Failure {
    Failure::new(ExitCode::Storage, error.to_string(), "")
}

impl NewCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the name is invalid, a file exists already, or it cannot be written.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let pipelines = match &self.project {
            Some(folder) => {
                new_project(folder)?;
                let shown = folder.display();
                ui.say(&format!("wrote a project with the pipelines of the paper to {shown}; to make a figure, run"));
                ui.command(&format!("cd {} && wdpipe make fig3", quoted(&shown.to_string())));
                folder.join("pipelines")
            }
            None => project.pipelines.clone(),
        };
        self.name.as_ref().map_or(Ok(()), |name| new_pipeline(name, self.from.as_deref(), &pipelines, ui))
    }
}

/// Writes a project. Nothing is written if one of its files exists.
fn new_project(folder: &Path) -> Result<(), Failure> {
    for (name, _) in PROJECT {
        let path = folder.join(name);
        if files::identity(&path).map_err(storage)?.is_some() {
            let message = format!("{} already exists", path.display());
            return Err(Failure::usage(message, "choose a new folder"));
        }
    }
    for (name, text) in PROJECT {
        let path = folder.join(name);
        files::create_folder(path.parent().unwrap_or(folder)).map_err(storage)?;
        files::replace(&path, text.as_bytes()).map_err(storage)?;
    }
    Ok(())
}

/// The text of a new pipeline.
struct Text {
    text: String,
    /// The name of the figure to make.
    figure: String,
}

impl Text {
    /// Returns the commented pipeline.
    fn commented(name: &str) -> Self {
        Self { text: TEXT.replace("NAME", name), figure: name.to_owned() }
    }

    /// Copies the pipeline that draws a figure, and renames its figures.
    fn copied(name: &str, from: &str, pipelines: &Path) -> Result<Self, Failure> {
        let folder = Folder::read(pipelines)?;
        let found = folder.0.iter().find(|file| file.name == from || file.contents.drawn.contains_key(from));
        let Some(file) = found else {
            let names = folder.0.iter().flat_map(|file| file.contents.drawn.keys()).map(String::as_str);
            let message = format!("no pipeline draws `{from}`{}", did_you_mean(from, names));
            return Err(Failure::usage(message, "`wdpipe status` lists the figures"));
        };
        let renaming = with_figures_renamed(&file.path, file.text()?, &file.name, name);
        let copy = renaming.map_err(|complaint| vec![complaint])?;
        let named = |(figure, need): (&String, &Need)| {
            let new = renamed(figure, &file.name, name);
            (matches!(need, Need::Figure(_)) && new != *figure).then(|| format!("{figure} is {new}"))
        };
        let names: Vec<String> = file.contents.drawn.iter().filter_map(named).collect();
        let text = format!("# A copy of {}.toml, in which {}.\n\n{copy}", file.name, names.join(", "));
        let figure = match file.contents.drawn.get(from) {
            Some(Need::Figure(figure) | Need::Panel(figure, _)) => renamed(figure, &file.name, name),
            _ => name.to_owned(),
        };
        Ok(Self { text, figure })
    }
}

fn new_pipeline(name: &str, from: Option<&str>, pipelines: &Path, ui: &Ui) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) || RESERVED.contains(&name) {
        let message = format!("`{name}` is not a valid name for a figure");
        let hint = if RESERVED.contains(&name) {
            "this word has another meaning on the command line, as `all` means every figure: choose another name"
        } else if name.ends_with(".toml") {
            "leave out .toml: the program adds it"
        } else {
            "begin with a lower-case letter, then use those, digits, - and _"
        };
        return Err(Failure::usage(message, hint));
    }
    let path = pipelines.join(format!("{name}.toml"));
    if files::identity(&path).map_err(storage)?.is_some() {
        let message = format!("{} already exists", path.display());
        return Err(Failure::usage(message, "choose another name, or edit that file"));
    }
    let Text { text, figure } = match from {
        Some(from) => Text::copied(name, from, pipelines)?,
        None => Text::commented(name),
    };
    let drawn = Contents::of(name, "", &text).map_err(|complaint| vec![complaint])?.drawn;
    // In a folder without pipelines no name is taken.
    let taken = Folder::read(pipelines).ok().and_then(|folder| folder.owner_of_any(drawn.keys()));
    if let Some((taken, path)) = taken {
        return Err(Failure::usage(format!("`{taken}` is drawn by {path}"), "choose another name"));
    }
    files::create_folder(pipelines).map_err(storage)?;
    files::replace(&path, text.as_bytes()).map_err(storage)?;
    ui.say(&format!("wrote {}; to make it, run", path.display()));
    ui.command(&format!("wdpipe make {figure}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::spec::{Pipeline, expand};

    #[test]
    fn the_text_is_a_pipeline_in_every_profile() {
        for profile in ["smoke", "quick", "paper"] {
            let pipeline = Pipeline::read("mine", "mine.toml", &TEXT.replace("NAME", "mine"), profile, &[]).unwrap();
            let graph = expand(&pipeline).unwrap();
            assert_eq!(graph.figures.keys().collect::<Vec<_>>(), ["mine", "mine-a", "mine-b"]);
            assert_eq!(graph.claims.len(), 1);
        }
    }

    #[test]
    fn a_new_project_has_all_pipelines_of_the_paper() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        let here: BTreeSet<String> = files::list(&folder).unwrap().into_iter().collect();
        let in_project = PROJECT.iter().filter_map(|(name, _)| name.strip_prefix("pipelines/")).map(str::to_owned);
        assert_eq!(in_project.collect::<BTreeSet<_>>(), here);
        let new = tempfile::tempdir().unwrap();
        new_project(&new.path().join("a/b")).unwrap();
        assert!(new_project(&new.path().join("a/b")).unwrap_err().message.contains("already exists"));
    }
}
