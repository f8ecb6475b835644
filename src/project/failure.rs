//! What can go wrong, as a person meets it: a message, a hint, and how the program ends.

use super::{OTHER_IMPORT, quoted};
use crate::engine::EngineError;
use crate::reports::ReportError;
use crate::spec::Diagnostic;
use base::work::Source;
use files::FsError;
use store::StoreError;
use store::remote::{ListError, RemoteError};
use store::sign::{KeyringError, TrustError};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// All is well.
    Success = 0,
    /// A stage or a check failed, or what was compared differs.
    Failed = 1,
    /// The command line, a pipeline or a `--set` is wrong.
    Usage = 2,
    /// Something is missing: a data set, libtorch, a device.
    Missing = 3,
    /// A folder cannot be read or written, or is damaged.
    Storage = 4,
    /// Interrupted by the user.
    Interrupted = 130,
}

/// What went wrong and what to do about it.
#[derive(Debug)]
pub struct Failure {
    /// What and where; empty if the answer has said it.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
    /// How the program ends.
    pub code: ExitCode,
}

impl Failure {
    /// Makes a failure with a hint.
    pub fn new(code: ExitCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code }
    }

    /// Makes the failure of a comparison whose sides differ; the answer has said how.
    pub fn differ() -> Self {
        Self::new(ExitCode::Failed, "", "")
    }

    /// Makes the failure for a mistake on the command line or in a pipeline.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, message, hint)
    }
}

impl From<Vec<Diagnostic>> for Failure {
    fn from(diagnostics: Vec<Diagnostic>) -> Self {
        let lines: Vec<_> = diagnostics.iter().map(Diagnostic::with_snippet).collect();
        Self::usage(lines.join("\n"), "")
    }
}

impl From<FsError> for Failure {
    fn from(error: FsError) -> Self {
        let hint = if error.is_disk_full() { "make room, or name a place on another disk" } else { "" };
        Self::new(ExitCode::Storage, error.to_string(), hint)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = if error.is_disk_full() {
            "nothing is lost: make room (`wdpipe cache gc`, or with --keep-bytes SIZE if that is not enough), then run it \
             again"
        } else if error.is_read_only() {
            "name a folder that you may write with --cache DIR; `wdpipe doctor` says why this one is none"
        } else if let StoreError::NoStore(_) = error {
            "name the folder of the store with --cache DIR; `wdpipe make all` makes a new one"
        } else if let StoreError::NotAFolder(_) = error {
            "name a folder with --cache DIR; `wdpipe cache import FILE` takes in what `wdpipe cache export` wrote"
        } else {
            ""
        };
        Self::new(ExitCode::Storage, error.to_string(), hint)
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::NotImported(source) => not_imported(message, source),
            EngineError::NoWeights(name) => Self::new(
                ExitCode::Missing,
                message,
                format!("`wdpipe import FILE --name {}` brings them", quoted(&name)),
            ),
            EngineError::NotMade(stage) => {
                Self::new(ExitCode::Missing, message, format!("`wdpipe make {}` makes it", quoted(&stage)))
            }
            EngineError::Unsigned(_) => {
                let hint = "import it again with your key (`wdpipe data import PATH` or `wdpipe import FILE`), or check where \
                            it came from and sign it with `wdpipe keys sign TARGET` (--all if somebody else imported it)";
                Self::new(ExitCode::Missing, message, hint)
            }
            EngineError::Interrupted => {
                Self::new(ExitCode::Interrupted, message, "finished stages are kept: run it again to go on")
            }
            EngineError::Stage { source, .. } if source.is_missing() => {
                Self::new(ExitCode::Missing, message, "`wdpipe doctor` tells what is there and what is not")
            }
            EngineError::Stage { source, .. } if source.is_storage() => Self::new(ExitCode::Storage, message, ""),
            EngineError::Stage { .. } => Self::new(ExitCode::Failed, message, "finished stages are kept"),
            EngineError::Threads(_) => {
                Self::new(ExitCode::Missing, message, "end other programs, or raise the limit that `ulimit -u` shows")
            }
            EngineError::Panicked { .. } => {
                Self::new(ExitCode::Failed, message, "finished stages are kept; please report this")
            }
            EngineError::NoOutput { .. } | EngineError::Parameters(..) | EngineError::Policy(_) => {
                Self::new(ExitCode::Failed, message, "")
            }
        }
    }
}

impl From<TrustError> for Failure {
    fn from(error: TrustError) -> Self {
        let code = if let TrustError::Fs(_) = error { ExitCode::Storage } else { ExitCode::Usage };
        Self::new(code, error.to_string(), "")
    }
}

impl From<KeyringError> for Failure {
    fn from(error: KeyringError) -> Self {
        let (code, hint) = match error {
            KeyringError::Fs(_) => (ExitCode::Storage, ""),
            KeyringError::NotAKey(_) => (ExitCode::Storage, "move the file away"),
            KeyringError::Missing { .. } => (ExitCode::Missing, "`wdpipe keys list` shows those that there are"),
            KeyringError::Exists { .. } => (ExitCode::Usage, ""),
            KeyringError::Random(_) => (ExitCode::Failed, ""),
        };
        Self::new(code, error.to_string(), hint)
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        let hint = match &error {
            ListError::Unknown { name, .. } => format!("for a folder say ./{name}"),
            _ => String::new(),
        };
        let code = if let ListError::Fs(_) = error { ExitCode::Storage } else { ExitCode::Usage };
        Self::new(code, error.to_string(), hint)
    }
}

impl From<RemoteError> for Failure {
    fn from(error: RemoteError) -> Self {
        let message = error.to_string();
        match error {
            RemoteError::Store(error) => error.into(),
            RemoteError::Missing { .. } => {
                Self::new(ExitCode::Missing, message, "`wdpipe push all` from a cache that has it sends it again")
            }
            RemoteError::Unreachable { .. } => {
                Self::new(ExitCode::Missing, message, "what has arrived is kept: run it again to go on")
            }
            RemoteError::Refused { .. } => {
                Self::new(ExitCode::Missing, message, "`wdpipe remote test NAME` tells what it can do")
            }
            RemoteError::ReadOnly(_) => Self::new(ExitCode::Usage, message, "name another one"),
            RemoteError::NoStore { .. } => Self::new(ExitCode::Missing, message, ""),
            RemoteError::Wrong { .. } => {
                let hint = "it is damaged there or on the way, and nothing of it was used; `wdpipe push all --check` from a \
                            cache that has it sends it again";
                Self::new(ExitCode::Storage, message, hint)
            }
            RemoteError::NotAdmitted { .. } => Self::new(ExitCode::Failed, message, ""),
            RemoteError::OtherImport { .. } => Self::new(ExitCode::Failed, message, OTHER_IMPORT),
            RemoteError::Interrupted => {
                Self::new(ExitCode::Interrupted, message, "what has arrived is kept: run it again to go on")
            }
        }
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        let hint = match &error {
            ReportError::Fs(_) => "say --reports DIR if the figures lie elsewhere",
            ReportError::Lock { .. } => "restore the committed file, or write it anew with `wdpipe lock FIGURE`",
            ReportError::Attestation { .. } => "restore the committed file; an attestation cannot be mended",
        };
        Self::new(ExitCode::Storage, error.to_string(), hint)
    }
}

fn not_imported(message: String, source: Source) -> Failure {
    let name = source.name();
    Failure::new(
        ExitCode::Missing,
        message,
        format!("`wdpipe data fetch {name}` downloads it, `wdpipe data import PATH` takes a copy that you have"),
    )
}
