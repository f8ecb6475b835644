//! Failures as users see them: a message, a hint, and an exit code.

use super::{OTHER_IMPORT, quoted};
use crate::engine::EngineError;
use crate::reports::ReportError;
use crate::spec::Diagnostic;
use crate::stages::StageError;
use base::work::Source;
use files::FsError;
use store::StoreError;
use store::lockfile::LockError;
use store::remote::{ListError, RemoteError};
use store::sign::{KeyringError, TrustError};

/// Exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Everything succeeded.
    Success = 0,
    /// A stage or a check failed, or a comparison found differences.
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

/// An error, and advice on what to do about it.
#[derive(Debug)]
pub struct Failure {
    /// What happened, and where; empty if the command's output already says it.
    pub message: String,
    /// What to do; can be empty.
    pub hint: String,
    /// Exit code.
    pub code: ExitCode,
}

impl Failure {
    /// Makes a failure with a hint.
    pub fn new(code: ExitCode, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into(), code }
    }

    /// Makes the failure of a comparison that found differences. The command's output has already described them.
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
        let hint = if error.is_disk_full() { "free some space, or choose a folder on another disk" } else { "" };
        Self::new(ExitCode::Storage, error.to_string(), hint)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let hint = if error.is_disk_full() {
            "nothing is lost: free space with `wdpipe cache gc` (with --keep-bytes SIZE if that is not enough), then run the \
             command again"
        } else if error.is_read_only() {
            "choose a writable folder with --cache DIR; run `wdpipe doctor` to see why this one is not writable"
        } else if let StoreError::NoStore(_) = error {
            "give the folder of the store with --cache DIR, or run `wdpipe make all` to create a store"
        } else if let StoreError::NotAFolder(_) = error {
            "give a folder with --cache DIR; `wdpipe cache import FILE --cache DIR` reads an archive into it"
        } else {
            ""
        };
        // Without a store, nothing was made yet.
        let code = if let StoreError::NoStore(_) = error { ExitCode::Missing } else { ExitCode::Storage };
        Self::new(code, error.to_string(), hint)
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
                format!("run `wdpipe import FILE --name {}` to import them", quoted(&name)),
            ),
            EngineError::NotMade(stage) => {
                Self::new(ExitCode::Missing, message, format!("run `wdpipe make {}`", quoted(&stage)))
            }
            EngineError::Unsigned(_) => {
                let hint = "import it again with your key (`wdpipe data import PATH` or `wdpipe import FILE`), or check where \
                            it came from and sign it with `wdpipe keys sign TARGET` (with --all if another user imported it)";
                Self::new(ExitCode::Missing, message, hint)
            }
            EngineError::Interrupted => {
                Self::new(ExitCode::Interrupted, message, "finished stages are kept; run the command again to continue")
            }
            EngineError::Stage { source, .. } if source.is_missing() => {
                Self::new(ExitCode::Missing, message, "run `wdpipe doctor` to see what is missing")
            }
            EngineError::Stage { source, .. } if source.is_storage() => Self::new(ExitCode::Storage, message, ""),
            EngineError::Stage { stage, source } if matches!(*source, StageError::Command(_)) => {
                let hint = format!("finished stages are kept; to try it by hand: `wdpipe shell {}`", quoted(&stage));
                Self::new(ExitCode::Failed, message, hint)
            }
            EngineError::Stage { .. } => Self::new(ExitCode::Failed, message, "finished stages are kept"),
            EngineError::GivenUp { .. } => Self::new(
                ExitCode::Failed,
                message,
                "finished stages are kept; run the command again to try it once more",
            ),
            EngineError::Threads(_) => {
                Self::new(ExitCode::Missing, message, "close other programs, or raise the limit that `ulimit -u` shows")
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
            KeyringError::Missing { .. } => (ExitCode::Missing, "run `wdpipe keys list` to see the existing keys"),
            KeyringError::Exists { .. } => (ExitCode::Usage, ""),
            KeyringError::Random(_) => (ExitCode::Failed, ""),
        };
        Self::new(code, error.to_string(), hint)
    }
}

impl From<ListError> for Failure {
    fn from(error: ListError) -> Self {
        let hint = match &error {
            ListError::Unknown { name, .. } => {
                format!("run `wdpipe remote add {name} URL` to add it; if you mean a folder, write ./{name}")
            }
            ListError::Exists(name) => format!("run `wdpipe remote remove {name}` first to replace it"),
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
                Self::new(ExitCode::Missing, message, "run `wdpipe push all` from a cache that has it to send it again")
            }
            RemoteError::Unreachable { .. } => {
                Self::new(ExitCode::Missing, message, "received files are kept; run the command again to continue")
            }
            RemoteError::Refused { .. } => {
                Self::new(ExitCode::Missing, message, "run `wdpipe remote test NAME` to see what the remote can do")
            }
            RemoteError::ReadOnly(_) => Self::new(ExitCode::Usage, message, "choose another remote"),
            RemoteError::NoStore { .. } => Self::new(ExitCode::Missing, message, ""),
            RemoteError::Wrong { .. } => {
                let hint = "the file is damaged on the remote or was damaged on the way, and nothing of it was used; run \
                            `wdpipe push all --check` from a cache that has it to send it again";
                Self::new(ExitCode::Storage, message, hint)
            }
            RemoteError::NotAdmitted { refusal, .. } => Self::new(ExitCode::Failed, message, refusal.hint),
            RemoteError::OtherImport { .. } => Self::new(ExitCode::Failed, message, OTHER_IMPORT),
            RemoteError::Interrupted => {
                Self::new(ExitCode::Interrupted, message, "received files are kept; run the command again to continue")
            }
        }
    }
}

impl From<ReportError> for Failure {
    fn from(error: ReportError) -> Self {
        let hint = match &error {
            ReportError::Fs(_) => "give --reports DIR if the figures are in another folder",
            ReportError::Lock { source: LockError::Pointer, .. } => "",
            ReportError::Lock { .. } => "restore the committed file, or write a new one with `wdpipe lock FIGURE`",
            ReportError::Attestation { .. } => "restore the committed file; an attestation cannot be repaired",
        };
        Self::new(ExitCode::Storage, error.to_string(), hint)
    }
}

fn not_imported(message: String, source: Source) -> Failure {
    let name = source.name();
    Failure::new(
        ExitCode::Missing,
        message,
        format!("run `wdpipe data fetch {name}` to download it, or `wdpipe data import PATH` to import your own copy"),
    )
}
