//! `wdpipe cache export` and `import`: a figure with all that is behind it, in one file.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::admit::{Accepting, OTHER_IMPORT};
use super::advice::quoted;
use super::format::{bytes, count};
use super::select::{Variant, select};
use super::ui::{Ui, not_for_eyes};
use super::{ExitCode, Failure, Global};
use crate::engine::{EngineError, Resolver, closure};
use base::closure::Closure;
use base::record::Record;
use base::work::Work;
use files::{FsError, Named};
use store::Store;
use store::archive::{self, Admission, ArchiveError, Exported, Imported, Scope};
use store::sign::Batch;

/// Writes a figure with all that is behind it to one file.
///
/// The same results give the same file, byte for byte. Bulk data (weights, images) that was dropped is left out.
#[derive(Debug, Args)]
pub struct Export {
    /// A figure or panel, such as fig3 or fig3c.
    #[arg(value_name = "FIGURE")]
    target: String,
    /// The file; - is standard output.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only records, tables and signatures: small enough to be committed, and all that is needed to check the figure and
    /// draw it again.
    #[arg(long)]
    numbers: bool,
    #[command(flatten)]
    variant: Variant,
}

/// Takes a figure with all that is behind it from a file that `cache export` wrote.
///
/// First the whole file is checked; what is in the store already is not written again.
#[derive(Debug, Args)]
pub struct Import {
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    accepting: Accepting,
    /// Only check the file, and say what would come in.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Export {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such figure, a stage or table of it is not there, or the file cannot be written.
    pub fn run(&self, global: &Global, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let Self { target, file, .. } = self;
        let selection = select(global, &self.variant, std::slice::from_ref(target))?;
        let graph = &selection.graph;
        let [id] = selection.targets[..] else {
            let found = count(selection.targets.len(), "stage");
            return Err(Failure::usage(format!("`{target}` names {found}"), "an archive is of one figure or panel"));
        };
        if !matches!(graph.stages[id].work, Work::Figure(_)) {
            let hint = "an archive is of a figure or panel, such as fig3 or fig3c";
            return Err(Failure::usage(format!("`{target}` is no figure"), hint));
        }
        let make = || format!("`wdpipe make {}` makes it", quoted(target));
        let knowledge = Resolver::new(store, graph, &selection.preference).outlook(&graph.closure(&[id]))?;
        let closure = closure(graph, &knowledge, id, store).map_err(|error| match error {
            EngineError::NotMade(_) => Failure::new(ExitCode::Missing, error.to_string(), make()),
            error => error.into(),
        })?;
        let scope = if self.numbers { Scope::Numbers } else { Scope::All };
        let named = not_for_eyes(Named::create(file)?)?;
        let place = named.path().display().to_string();
        let exported = write(named, &closure, &[], scope, store)?;
        let header = exported.header;
        ui.say(&format!(
            "wrote {place}: {} and {}, {}",
            count(header.records as usize, "record"),
            count((header.objects + header.bulk) as usize, "object"),
            bytes(exported.bytes)
        ));
        if exported.dropped > 0 {
            let objects = count(exported.dropped, "bulk object");
            ui.say(&format!("{objects} of it are not here (dropped to save space) and not in the archive"));
        }
        Ok(())
    }
}

/// Writes an archive, with the signatures of its records that the store has and further ones, to a file that the user named,
/// and puts it in its place.
///
/// # Errors
/// If a table is not in the store, or the file cannot be written.
pub fn write(
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
                format!("`wdpipe make {}` computes it again", quoted(figure)),
            )
        }
        ArchiveError::Io(source) => FsError { operation: "write", path: place, source }.into(),
        error => failure(error, &place),
    })
}

impl Import {
    /// Runs the command.
    ///
    /// # Errors
    /// If the file is not what it must be, or the store cannot be written.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let gate = self.accepting.gate(global)?;
        // First, so that a slip in its name leaves no store behind.
        files::open(&self.file).map_err(|error| failure(error.into(), &self.file))?;
        let store = &if self.dry_run { global.store_or_none(ui)? } else { global.store_to_fill()? };
        let keep = |batch: &[u8]| match Batch::from_bytes(batch) {
            Ok(batch) => store.publish_signatures(&batch).map(|_| true),
            // One that is none says nothing.
            Err(_) => Ok(false),
        };
        let valid = OnceCell::new();
        let admitted = |_: &Record, digest, batches: &[Vec<u8>]| {
            let batches: &Vec<Batch> =
                valid.get_or_init(|| batches.iter().filter_map(|batch| Batch::from_bytes(batch).ok()).collect());
            gate.admits(digest, batches)
        };
        let admission = Admission { admitted: &admitted, keep: &keep };
        let Imported { header, new_objects, new_bytes, new_records, new_batches, differing } =
            archive::import(&self.file, store, &admission, self.dry_run).map_err(|error| failure(error, &self.file))?;
        for stage in &differing {
            ui.warn(&format!("{stage:?} yielded something else here; both records are kept"));
        }
        if self.json {
            let object = serde_json::json!({
                "figure": header.figure, "key": header.key, "root": header.root, "record": header.record,
                "records": header.records, "batches": header.batches, "objects": header.objects, "bulk": header.bulk,
                "new_records": new_records, "new_objects": new_objects, "new_bytes": new_bytes,
                "new_batches": new_batches, "differing": differing, "dry_run": self.dry_run,
            });
            ui.answer(&object.to_string());
            return Ok(());
        }
        let verb = if self.dry_run { "would bring" } else { "brought" };
        ui.say(&format!(
            "{} with {} and {} {verb} {} and {} ({}) that were not here",
            header.figure,
            count(header.records as usize, "record"),
            count((header.objects + header.bulk) as usize, "object"),
            count(new_records, "record"),
            count(new_objects, "object"),
            bytes(new_bytes)
        ));
        Ok(())
    }
}

/// What went wrong with an archive, as a person meets it.
pub fn failure(error: ArchiveError, file: &std::path::Path) -> Failure {
    let message = format!("{}: {error}", file.display());
    match error {
        ArchiveError::Store(error) => error.into(),
        ArchiveError::Fs(FsError { operation: "read", .. }) => Failure::new(ExitCode::Missing, error.to_string(), ""),
        ArchiveError::Fs(_) => Failure::new(ExitCode::Storage, error.to_string(), ""),
        ArchiveError::Io(_) | ArchiveError::Checksum => Failure::new(ExitCode::Storage, message, ""),
        ArchiveError::OtherImport(_) => Failure::new(ExitCode::Failed, message, OTHER_IMPORT),
        ArchiveError::Missing { .. } => Failure::new(ExitCode::Missing, message, ""),
        ArchiveError::NotThis
        | ArchiveError::Version { .. }
        | ArchiveError::Refused(_)
        | ArchiveError::NotAdmitted { .. } => Failure::new(ExitCode::Failed, message, ""),
    }
}
