//! `wdpipe cite`: prints what leads from a figure in a paper to its root.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::arguments::plain;
use super::ui::Ui;
use crate::project::{Failure, Markup, Project, repository};
use base::digest::{ClosureRoot, StageKey};

/// Print a caption, and write a badge, that name a figure's root.
///
/// The caption is a sentence. It names the first digits of the root, which `whois` finds again, and says whether the figure is locked. LaTeX has
/// two lines: put the first after \includegraphics, and the second into the caption.
#[derive(Debug, Args)]
pub struct CiteCommand {
    /// A figure or variant in the reports folder.
    #[arg(value_name = "FIGURE")]
    figure: String,
    /// Profile of the figure.
    #[arg(long, default_value = "smoke", value_name = "NAME", value_parser = plain)]
    profile: String,
    /// Address of the repository that holds the lock [default: that of CITATION.cff, if any].
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print only this form of the sentence.
    #[arg(long, value_name = "FORM", conflicts_with = "json")]
    format: Option<Form>,
    /// Also write a badge, an SVG, to FILE; a badge that is there is replaced.
    #[arg(long, value_name = "FILE")]
    badge: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Form of the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Latex,
    Markdown,
}

impl From<Form> for Markup {
    fn from(form: Form) -> Self {
        match form {
            Form::Text => Self::Text,
            Form::Latex => Self::Latex,
            Form::Markdown => Self::Markdown,
        }
    }
}

/// Output of `cite --json`.
#[derive(Serialize)]
struct CiteAnswer<'a> {
    figure: &'a str,
    profile: &'a str,
    key: &'a StageKey,
    root: &'a ClosureRoot,
    locked: bool,
    text: String,
    latex: String,
    markdown: String,
}

impl CiteCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the figure is not in the reports folder or differs from its lock, or the badge cannot be written.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let figure = project.cited(&self.figure, &self.profile)?;
        let url = match &self.url {
            Some(url) => Some(url.clone()),
            None => repository(project)?,
        };
        let caption = |markup| figure.caption(markup, url.as_deref());
        if let Some(file) = &self.badge {
            files::write_named(file, figure.badge().as_bytes())?;
            ui.say(&format!("wrote {}", file.display()));
        }
        if self.json {
            ui.json(&CiteAnswer {
                figure: &self.figure,
                profile: &self.profile,
                key: &figure.stamp.key,
                root: &figure.stamp.root,
                locked: figure.lock.is_some(),
                text: caption(Markup::Text),
                latex: caption(Markup::Latex),
                markdown: caption(Markup::Markdown),
            });
        } else if let Some(form) = self.format {
            ui.answer(&caption(form.into()));
        } else {
            for (heading, markup) in
                [("Text:", Markup::Text), ("LaTeX:", Markup::Latex), ("Markdown:", Markup::Markdown)]
            {
                ui.answer(heading);
                caption(markup).lines().for_each(|line| ui.answer(&format!("  {line}")));
            }
        }
        Ok(())
    }
}
