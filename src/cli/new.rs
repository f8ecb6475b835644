//! `wdpipe new`: writes a pipeline to start from.

use clap::Args;

use super::ui::Ui;
use crate::project::{ExitCode, Failure, Folder, Project};
use crate::spec::{Contents, RESERVED};

/// Text of the pipeline, in which NAME stands for the pipeline's name.
const TEXT: &str = include_str!("new.toml");

/// Write a commented pipeline to start from.
///
/// Its file is pipelines/NAME.toml.
#[derive(Debug, Args)]
pub struct NewCommand {
    /// Name of the figure: lower-case letters, digits, - and _.
    #[arg(value_name = "NAME")]
    name: String,
}

impl NewCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the name is invalid, the pipeline exists already, or it cannot be written.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let name = &self.name;
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_lowercase())
            || !name.chars().all(plain)
            || RESERVED.contains(&name.as_str())
        {
            let message = format!("`{name}` is not a valid name for a figure");
            return Err(Failure::usage(message, "begin with a lower-case letter, then use those, digits, - and _"));
        }
        let path = project.pipelines.join(format!("{name}.toml"));
        let storage = |error: files::FsError| Failure::new(ExitCode::Storage, error.to_string(), "");
        if files::identity(&path).map_err(storage)?.is_some() {
            let message = format!("{} already exists", path.display());
            return Err(Failure::usage(message, "choose another name, or edit that file"));
        }
        let text = TEXT.replace("NAME", name);
        let drawn = Contents::of(name, "", &text).map_err(|complaint| vec![complaint])?.drawn;
        // In a folder without pipelines no name is taken.
        let taken = Folder::read(&project.pipelines).ok().and_then(|folder| folder.owner_of_any(drawn.keys()));
        if let Some((taken, path)) = taken {
            return Err(Failure::usage(format!("`{taken}` is drawn by {path}"), "choose another name"));
        }
        files::create_folder(&project.pipelines).map_err(storage)?;
        files::replace(&path, text.as_bytes()).map_err(storage)?;
        ui.say(&format!("wrote {}; to make it, run", path.display()));
        ui.command(&format!("wdpipe make {name}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
}
