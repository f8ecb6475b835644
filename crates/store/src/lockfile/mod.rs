//! A lock: what a committed figure was computed from, as a small text that can be reviewed and checked.
//!
//! `reports/<profile>/<figure>.lock` lists the files of the figure, the hashes of its numbers, drawing and pixels,
//! and all stages that the figure depends on, each with its key, its outputs and the class of machines that computed
//! it. If there are many stages, they are stored, compressed, in a file next to it. [`text`] describes the format.

#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

pub use text::{LIST_LIMIT, TEXT_LIMIT, Text};

use base::closure::{self, Closure};
use base::digest::{ClosureRoot, ObjectDigest, StageKey};

/// Extensions of a figure's files in the reports folder, in this order. Figures drawn by a command can have fewer files.
pub const FILES: [&str; 4] = ["csv", "pdf", "png", "svg"];

/// Returns the extension of the file that holds an output of a figure.
pub fn extension(output: &str) -> &str {
    if output == "numbers" { "csv" } else { output }
}

/// What a figure was computed from.
#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    /// Name of its files: that of the figure, or of a variant of it.
    pub name: String,
    /// The figure's name.
    pub figure: String,
    /// Name of the pipeline that produces it.
    pub pipeline: String,
    /// Profile of that pipeline.
    pub profile: String,
    /// The `--set` arguments that it was produced with.
    pub set: Vec<String>,
    /// Hashes of its files, by extension; the extensions are some of [`FILES`].
    pub files: BTreeMap<String, ObjectDigest>,
    /// The stages that it depends on, in dependency order, the figure last.
    pub stages: Vec<Locked>,
}

/// A stage of a lock.
#[derive(Debug, Clone, PartialEq)]
pub struct Locked {
    /// Name of the stage.
    pub name: String,
    /// Kind of the stage.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// Key of the stage.
    pub key: StageKey,
    /// Class of the machines that computed it; empty where it makes no difference.
    pub machine: String,
    /// Objects of its outputs, by name.
    pub outputs: BTreeMap<String, ObjectDigest>,
}

/// Says that git converted the line ends of a file, and how to undo it.
pub const LINE_ENDS: &str = "only its line ends differ: they are CRLF, as git writes them with core.autocrlf. Put the line \
                             `reports/** -text` into .gitattributes, delete the converted files and run \
                             `git checkout -- reports`";

/// Why a text cannot be read as a lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// Git LFS has not downloaded the file.
    #[error("it {}", files::IS_POINTER)]
    Pointer,
    /// The text has invalid syntax.
    #[error("it is not a lock: {0}")]
    Syntax(String),
    /// A newer program wrote it.
    #[error("it has format version {0}, but this wdpipe reads version 1: use a newer wdpipe")]
    Version(u32),
    /// Only the line ends were changed.
    #[error("{LINE_ENDS}")]
    LineEnds,
    /// The text was edited by hand or damaged.
    #[error("it is damaged or was edited: {0}")]
    Altered(String),
}

impl Locked {
    /// Returns the stage's key and outputs.
    pub fn outcome(&self) -> closure::Outcome<'_> {
        (self.key, self.outputs.iter().map(|(name, object)| (name.as_str(), *object)).collect())
    }
}

impl Lock {
    /// Returns the lock of a closure: the name of the files, the figure, its pipeline and profile; `files` are the
    /// hashes of the figure's files by extension.
    pub fn of(
        [name, figure, pipeline, profile]: [&str; 4],
        set: &[String],
        closure: &Closure,
        files: BTreeMap<String, ObjectDigest>,
    ) -> Self {
        let stage = |member: &closure::Member| Locked {
            name: member.name.clone(),
            kind: member.record.parts.kind.clone(),
            version: member.record.parts.version,
            key: member.key,
            machine: member.record.provenance.machine.clone(),
            outputs: member.record.outputs.iter().map(|output| (output.name.clone(), output.object)).collect(),
        };
        Self {
            name: name.to_owned(),
            figure: figure.to_owned(),
            pipeline: pipeline.to_owned(),
            profile: profile.to_owned(),
            set: set.to_vec(),
            files,
            stages: closure.members.iter().map(stage).collect(),
        }
    }

    /// Returns the hash of all stages and their outputs, see [`closure::root`].
    pub fn root(&self) -> ClosureRoot {
        closure::root(self.stages.iter().map(Locked::outcome))
    }

    /// Returns the stage that draws the figure. A lock that was read always has one.
    pub fn drawing(&self) -> Option<&Locked> {
        self.stages.last()
    }

    /// Returns the hash of an output of the figure: `numbers`, `svg`, `png` or `pdf`.
    pub fn output(&self, name: &str) -> Option<ObjectDigest> {
        self.drawing()?.outputs.get(name).copied()
    }
}
