//! Is a committed figure what was computed? Each level checks more than the one before, and says what it shows and what
//! it leaves open.

mod agree;
mod attestations;
mod beside;
mod evidence;
mod files;
mod objects;
mod rebuild;
mod render;
mod signatures;
mod statistics;

pub use agree::{Agreement, agreement};
pub use attestations::audits;
pub use beside::Beside;
pub use evidence::Evidence;
pub use files::{files, recorded};
pub use objects::objects;
pub use rebuild::{Pick, Rebuilt, pick, rebuild, rebuilt};
pub use render::render;
pub use signatures::signatures;
pub use statistics::statistics;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The files against the lock.
    Files,
    /// The records beside the lock.
    Records,
    /// Who signed them.
    Signatures,
    /// The pipeline against the lock.
    Pipeline,
    /// The objects in the store.
    Objects,
    /// The drawing, from the recorded numbers.
    Render,
    /// Stages, computed again.
    Rebuild,
    /// Another machine's results, as samples.
    Statistics,
    /// Segments that were computed again earlier.
    Audits,
}

impl Level {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Records => "records",
            Self::Signatures => "signatures",
            Self::Pipeline => "pipeline",
            Self::Objects => "objects",
            Self::Render => "render",
            Self::Rebuild => "rebuild",
            Self::Statistics => "statistics",
            Self::Audits => "audits",
        }
    }

    /// What it shows if it holds, and what it leaves open.
    pub fn meaning(self) -> [&'static str; 2] {
        match self {
            Self::Files => [
                "the committed files are, to the byte, those that the lock names, and carry its key and root",
                "that the lock is right: whoever can commit can write another one",
            ],
            Self::Records => [
                "the records behind the figure form one chain from data to drawing, whose keys are the hashes of \
                 their settings and inputs, and yield what the lock says",
                "that what a record says was really computed",
            ],
            Self::Signatures => [
                "the holders of these keys vouch for these records, as they are to the byte",
                "whether they are to be believed: trust.toml says whom the project trusts",
            ],
            Self::Pipeline => [
                "the pipeline as it stands, expanded now, asks for just the stages that the lock holds",
                "that those stages' outputs are right",
            ],
            Self::Objects => [
                "every object behind the figure is in this store, and hashes to its name",
                "that computing it gives these bytes",
            ],
            Self::Render => [
                "the numbers aggregated and the figure drawn anew from the recorded tables are, to the byte, the \
                 committed files",
                "that training and evaluation gave these tables",
            ],
            Self::Rebuild => [
                "the stages that were picked, computed again here from their recorded inputs, give what is recorded: \
                 bit by bit on a machine of the same class, elsewhere within the tolerance of each number",
                "the stages that were not picked",
            ],
            Self::Statistics => [
                "the figure computed here and the committed one agree as samples: no point's means differ \
                 significantly, at 1 % for all points together",
                "differences smaller than so few runs can show",
            ],
            Self::Audits => [
                "these segments of training were computed again, by the holders of these keys, with the same result",
                "the other segments",
            ],
        }
    }
}

/// How a check ended; of several the largest counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All is as it should be.
    Holds,
    /// Something that is needed is not there.
    Missing,
    /// Something is not what it should be.
    Differs,
}

impl Verdict {
    /// One word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Holds => "ok",
            Self::Missing => "missing",
            Self::Differs => "DIFFERS",
        }
    }
}

/// What a level found out about a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The level.
    pub level: Level,
    /// How it ended.
    pub verdict: Verdict,
    /// In a line.
    pub summary: String,
    /// What is wrong, or worth knowing, a line each.
    pub findings: Vec<String>,
}

impl Check {
    /// A check in which all is well.
    pub fn done(level: Level, summary: impl Into<String>) -> Self {
        Self::new(level).summed_up(summary)
    }

    /// A check that came to an end at once.
    pub fn failed(level: Level, verdict: Verdict, what: &str) -> Self {
        Self { level, verdict, summary: what.to_owned(), findings: Vec::new() }
    }

    /// A check in which nothing was found yet.
    fn new(level: Level) -> Self {
        Self { level, verdict: Verdict::Holds, summary: String::new(), findings: Vec::new() }
    }

    /// Adds something that is wrong.
    pub fn found(&mut self, verdict: Verdict, what: impl Into<String>) {
        self.verdict = self.verdict.max(verdict);
        self.findings.push(what.into());
    }

    /// With a summary.
    fn summed_up(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }
}
