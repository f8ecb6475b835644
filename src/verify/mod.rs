//! Checks whether a committed figure is the result of the recorded computation. Each level checks more than the one
//! before it, and states what it proves and what it leaves open.

mod agree;
mod attestations;
mod beside;
mod evidence;
mod files;
mod numbers;
mod objects;
mod rebuild;
mod render;
mod signatures;
mod statistics;

pub use agree::{Agreement, agreement};
pub use attestations::audits;
pub use beside::Beside;
pub use evidence::Evidence;
pub use files::{drawings, files, recorded};
pub use objects::objects;
pub use rebuild::{Pick, Rebuilt, pick, rebuild, rebuilt};
pub use render::render;
pub use signatures::signatures;
pub use statistics::statistics;

/// A level of verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The files against the lock.
    Files,
    /// The records beside the lock.
    Records,
    /// The signatures of the records.
    Signatures,
    /// The pipeline against the lock.
    Pipeline,
    /// The objects in the store.
    Objects,
    /// The drawing, from the recorded numbers.
    Render,
    /// Stages that are recomputed.
    Rebuild,
    /// Results of another machine, compared as samples.
    Statistics,
    /// Segments that were recomputed earlier.
    Audits,
}

impl Level {
    /// Returns its name, one word.
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

    /// Returns what the level proves if it holds, and what it leaves open.
    pub fn meaning(self) -> [&'static str; 2] {
        match self {
            Self::Files => [
                "the committed files match the lock byte for byte and carry its key and root",
                "that the lock is right: anyone who can commit can write another one",
            ],
            Self::Records => [
                "the figure's records form one chain from data to drawing; their keys are the hashes of their \
                 settings and inputs, and their outputs match the lock",
                "that the recorded computations really took place",
            ],
            Self::Signatures => [
                "the holders of these keys vouch for exactly these records",
                "whether the holders are credible: trust.toml lists the keys that the project trusts",
            ],
            Self::Pipeline => [
                "the current pipeline expands to exactly the stages in the lock",
                "that the outputs of these stages are right",
            ],
            Self::Objects => [
                "every object of the figure's closure is in this store and hashes to its name",
                "that computing the objects returns these bytes",
            ],
            Self::Render => [
                "aggregating and drawing again from the recorded tables reproduces the committed files byte for byte",
                "that training and evaluation produced these tables",
            ],
            Self::Rebuild => [
                "the selected stages, recomputed here from their recorded inputs, return the recorded outputs: bit \
                 by bit on a machine of the same class, elsewhere within the tolerance of each number",
                "the stages that were not selected",
            ],
            Self::Statistics => [
                "the figure computed here and the committed one agree as samples: the means of no point differ \
                 significantly, at 1 % for all points together",
                "differences too small to detect with this number of runs",
            ],
            Self::Audits => [
                "the holders of these keys recomputed these segments of training with the same result",
                "the other segments",
            ],
        }
    }
}

/// The verdict of a check; the largest of several verdicts counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// Everything is as expected.
    Holds,
    /// A required file, record or object is missing.
    Missing,
    /// Something differs from what is expected.
    Differs,
}

impl Verdict {
    /// Returns the word shown for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Holds => "ok",
            Self::Missing => "missing",
            Self::Differs => "DIFFERS",
        }
    }
}

/// The result of checking a figure at one level.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The level.
    pub level: Level,
    /// The verdict.
    pub verdict: Verdict,
    /// A summary in one line.
    pub summary: String,
    /// Problems and notes, one line each.
    pub findings: Vec<String>,
    /// What readers must know even if the check holds.
    pub caveat: Option<String>,
}

impl Check {
    /// Creates a check that holds.
    pub fn done(level: Level, summary: impl Into<String>) -> Self {
        Self::new(level).summed_up(summary)
    }

    /// Creates a check that ended at once with a verdict.
    pub fn failed(level: Level, verdict: Verdict, what: &str) -> Self {
        Self { level, verdict, summary: what.to_owned(), findings: Vec::new(), caveat: None }
    }

    /// Creates a check without findings.
    fn new(level: Level) -> Self {
        Self { level, verdict: Verdict::Holds, summary: String::new(), findings: Vec::new(), caveat: None }
    }

    /// Adds a problem.
    pub fn found(&mut self, verdict: Verdict, what: impl Into<String>) {
        self.verdict = self.verdict.max(verdict);
        self.findings.push(what.into());
    }

    /// Sets the summary.
    fn summed_up(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }
}
