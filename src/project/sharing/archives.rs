//! Writes archives: a figure and everything that it was made from, in one file.

use std::collections::BTreeSet;
use std::path::Path;

use crate::project::{ExitCode, Failure, OTHER_IMPORT, quoted};
use base::closure::Closure;
use files::{FsError, Named};
use store::Store;
use store::archive::{self, ArchiveError, Exported, Scope};

/// Writes an archive to a file that the user named, with the signatures of its records that are in the store and with further
/// signatures.
///
/// # Errors
/// If a table is not in the store, or the file cannot be written.
pub fn write_archive(
    mut file: Named,
    closure: &Closure,
    signatures: &[Vec<u8>],
    scope: Scope,
    store: &Store,
) -> Result<Exported, Failure> {
    let place = file.path().to_owned();
    let written = || {
        let records: BTreeSet<_> = closure.members.iter().map(|member| member.digest).collect();
        let mut batches = signatures.to_vec();
        for (_, batch) in store.batches()? {
            if batch.records().iter().any(|record| records.contains(record)) {
                batches.push(batch.to_bytes().map_err(|error| ArchiveError::Refused(error.to_string()))?.1);
            }
        }
        let exported = archive::export(store, closure, &batches, scope, &mut file)?;
        file.put()?;
        Ok(exported)
    };
    written().map_err(|error: ArchiveError| match error {
        ArchiveError::Missing { .. } => {
            let figure = closure.figure().map(|figure| figure.name.as_str()).unwrap_or_default();
            Failure::new(
                ExitCode::Missing,
                error.to_string(),
                format!("run `wdpipe make {}` to compute it again", quoted(figure)),
            )
        }
        ArchiveError::Io(source) => FsError { operation: "write", path: place, source }.into(),
        error => archive_failure(error, &place),
    })
}

/// Makes the failure for an error of an archive.
pub fn archive_failure(error: ArchiveError, file: &Path) -> Failure {
    let message = format!("{}: {error}", file.display());
    match error {
        ArchiveError::Store(error) => error.into(),
        ArchiveError::Fs(error) if file.is_dir() => {
            let hint = format!(
                "an archive is a .wdpipe file; to use a folder as the cache, give --cache {0}, and to copy from another \
                 cache, run `wdpipe pull FIGURE --from {1}`",
                file.display(),
                Path::new(".").join(file).display()
            );
            Failure::new(ExitCode::Missing, error.to_string(), hint)
        }
        ArchiveError::Fs(FsError { operation: "read", .. }) => Failure::new(ExitCode::Missing, error.to_string(), ""),
        ArchiveError::Fs(_) => Failure::new(ExitCode::Storage, error.to_string(), ""),
        ArchiveError::Io(_) | ArchiveError::Checksum => Failure::new(ExitCode::Storage, message, ""),
        ArchiveError::OtherImport(_) => Failure::new(ExitCode::Failed, message, OTHER_IMPORT),
        ArchiveError::Missing { .. } => Failure::new(ExitCode::Missing, message, ""),
        ArchiveError::NotAdmitted { refusal, .. } => Failure::new(ExitCode::Failed, message, refusal.hint),
        ArchiveError::Reference { .. } => {
            let hint = "take both files from the same commit or download; or lock the figure again, for which its \
                        results must be in the cache";
            Failure::new(ExitCode::Missing, message, hint)
        }
        ArchiveError::Pointer => Failure::new(ExitCode::Missing, message, ""),
        ArchiveError::NotThis => {
            let hint = format!(
                "an archive is a .wdpipe file, as beside a lock; `wdpipe whois {}` finds the origin of a picture",
                quoted(&file.display().to_string())
            );
            Failure::new(ExitCode::Failed, message, hint)
        }
        ArchiveError::Version { .. } | ArchiveError::Refused(_) => Failure::new(ExitCode::Failed, message, ""),
    }
}
