//! A lock: what a committed figure was made from, as a small text to be reviewed and checked.
//!
//! `reports/<profile>/<figure>.lock` says which files belong to the figure, the hashes of its numbers, drawing and
//! pixels, and every stage behind it with its key, outputs and the class of machines that computed it. Where the
//! stages are many they stand, compressed, in a file beside it. [`text`] is the format.

#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

pub use text::{LIST_LIMIT, TEXT_LIMIT, Text};

use base::closure::{self, Closure};
use base::digest::{ClosureRoot, ObjectDigest, StageKey};

/// The files of a figure in the reports folder, by extension, in this order.
pub const FILES: [&str; 4] = ["csv", "pdf", "png", "svg"];

/// What a figure was made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Lock {
    /// What its files are called: as the figure, or as a variant of it.
    pub name: String,
    /// The figure's name.
    pub figure: String,
    /// The pipeline that says how it is made.
    pub pipeline: String,
    /// The profile of that pipeline.
    pub profile: String,
    /// The `--set`s that it was made with.
    pub set: Vec<String>,
    /// The hashes of its files, by extension: those of [`FILES`].
    pub files: BTreeMap<String, ObjectDigest>,
    /// The stages behind it in dependency order, the figure last.
    pub stages: Vec<Locked>,
}

/// A stage of a lock.
#[derive(Debug, Clone, PartialEq)]
pub struct Locked {
    /// What it is called.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// The kind's version.
    pub version: u32,
    /// Its key.
    pub key: StageKey,
    /// The class of machines that computed it; empty where it makes no difference.
    pub machine: String,
    /// Its outputs by name.
    pub outputs: BTreeMap<String, ObjectDigest>,
}

/// Why a text is no lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LockError {
    /// It does not read as one.
    #[error("it is not a lock: {0}")]
    Syntax(String),
    /// A newer program wrote it.
    #[error("it has format version {0}, but this wdpipe reads version 1: use a newer wdpipe")]
    Version(u32),
    /// Nothing but the line ends was changed.
    #[error(
        "only its line ends differ: they are CRLF, as git writes them with core.autocrlf. Put the line `reports/** -text` \
         into .gitattributes, delete the converted files and run `git checkout -- reports`"
    )]
    LineEnds,
    /// Something was changed by hand, or on the way.
    #[error("it is damaged or was edited: {0}")]
    Altered(String),
}

impl Locked {
    /// Key and outputs.
    pub fn outcome(&self) -> closure::Outcome<'_> {
        (self.key, self.outputs.iter().map(|(name, object)| (name.as_str(), *object)).collect())
    }
}

impl Lock {
    /// The lock of a closure: the name of the files, the figure, its pipeline and profile; `files` are the hashes of the
    /// figure's files by extension.
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

    /// The hash of all stages and their outputs, see [`closure::root`].
    pub fn root(&self) -> ClosureRoot {
        closure::root(self.stages.iter().map(Locked::outcome))
    }

    /// The stage that draws the figure. A lock that was read has one.
    pub fn drawing(&self) -> Option<&Locked> {
        self.stages.last()
    }

    /// The figure's hash of an output: `numbers`, `svg`, `png` or `pdf`.
    pub fn output(&self, name: &str) -> Option<ObjectDigest> {
        self.drawing()?.outputs.get(name).copied()
    }
}
