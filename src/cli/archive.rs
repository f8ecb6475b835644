//! `wdpipe cache export` and `import`: a figure with everything it was made from, in one file.

use std::cell::OnceCell;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::arguments::{AcceptArgs, VariantArgs};
use super::format::{bytes, count};
use super::share::store_or_none;
use super::ui::{Ui, not_for_eyes};
use crate::engine::EngineError;
use crate::project::{ExitCode, Failure, Project, archive_failure, quoted, write_archive};
use base::digest::{ClosureRoot, RecordDigest, StageKey};
use base::record::Record;
use base::work::Work;
use files::Named;
use store::Store;
use store::archive::{self, Admission, Header, Imported, Scope};
use store::sign::Batch;

/// Write a figure and everything it was made from to one file.
///
/// The same results give the same file, byte for byte. Bulk data (weights, images) that is not in the cache is left out.
#[derive(Debug, Args)]
pub struct ExportArchiveCommand {
    /// A figure or panel, such as fig3 or fig3c.
    #[arg(value_name = "FIGURE")]
    target: String,
    /// File to write; - means standard output.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Write only records, tables and signatures: small enough to commit, and sufficient to check the figure and draw it
    /// again.
    #[arg(long)]
    numbers: bool,
    #[command(flatten)]
    variant: VariantArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `cache export --json`.
#[derive(Serialize)]
struct ExportAnswer<'a> {
    figure: &'a str,
    path: &'a str,
    root: &'a ClosureRoot,
    records: u32,
    batches: u32,
    objects: u32,
    bulk: u32,
    dropped: usize,
    bytes: u64,
}

/// Import a figure from a file that `cache export` wrote.
///
/// The file contains everything that the figure was made from.
/// The whole file is checked first. Records and objects that the cache already has are not written again.
#[derive(Debug, Args)]
pub struct ImportArchiveCommand {
    /// File to import.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    accepting: AcceptArgs,
    /// Only check the file, and print what would be imported.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `cache import --json`.
#[derive(Serialize)]
struct ImportAnswer<'a> {
    figure: &'a str,
    key: &'a StageKey,
    root: &'a ClosureRoot,
    record: &'a RecordDigest,
    records: u32,
    batches: u32,
    objects: u32,
    bulk: u32,
    new_records: usize,
    new_objects: usize,
    new_bytes: u64,
    new_batches: usize,
    differing: &'a [String],
    dry_run: bool,
}

impl ExportArchiveCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such figure, a stage or table of it is missing, or the file cannot be written.
    pub fn run(&self, project: &Project, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let Self { target, file, .. } = self;
        let selection = project.select(&self.variant.to_variant(), std::slice::from_ref(target))?;
        let graph = &selection.graph;
        let [id] = selection.targets[..] else {
            let found = count(selection.targets.len(), "stage");
            return Err(Failure::usage(format!("`{target}` names {found}"), "name one figure or panel"));
        };
        if !matches!(graph.stages[id].work, Work::Figure(_)) {
            let hint = "name a figure or panel, such as fig3 or fig3c";
            return Err(Failure::usage(format!("`{target}` is not a figure"), hint));
        }
        if self.json && file.as_os_str() == "-" {
            return Err(Failure::usage("--json needs standard output, which gets the archive", "name a file"));
        }
        let make = || format!("`wdpipe make {}` makes it", quoted(target));
        let closure = selection.resolve(store)?.closure(id, store).map_err(|error| match error {
            EngineError::NotMade(_) => Failure::new(ExitCode::Missing, error.to_string(), make()),
            error => error.into(),
        })?;
        let scope = if self.numbers { Scope::Numbers } else { Scope::All };
        let named = not_for_eyes(Named::create(file)?)?;
        let place = named.path().display().to_string();
        let exported = write_archive(named, &closure, &[], scope, store)?;
        let header = exported.header;
        if self.json {
            let Header { figure, root, records, batches, objects, bulk, .. } = &header;
            let (records, batches, objects, bulk) = (*records, *batches, *objects, *bulk);
            let (dropped, bytes) = (exported.dropped, exported.bytes);
            ui.json(&ExportAnswer { figure, path: &place, root, records, batches, objects, bulk, dropped, bytes });
        }
        ui.say(&format!(
            "wrote {place}: {} and {}, {}",
            count(header.records as usize, "record"),
            count((header.objects + header.bulk) as usize, "object"),
            bytes(exported.bytes)
        ));
        if exported.dropped > 0 {
            let objects = count(exported.dropped, "bulk object");
            ui.say(&format!("the archive lacks {objects} that this cache does not have"));
        }
        Ok(())
    }
}

impl ImportArchiveCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the file is not a valid archive, or the store cannot be written.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let gate = project.gate(&self.accepting.accept)?;
        // The file is opened first, so that a misspelled name does not create a store.
        files::open(&self.file).map_err(|error| archive_failure(error.into(), &self.file))?;
        let store = &if self.dry_run { store_or_none(project, ui)? } else { project.store_to_fill()? };
        let keep = |batch: &[u8]| match Batch::from_bytes(batch) {
            Ok(batch) => store.publish_signatures(&batch).map(|_| true),
            // An invalid batch proves nothing and is left out.
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
            archive::import(&self.file, store, &admission, self.dry_run)
                .map_err(|error| archive_failure(error, &self.file))?;
        for stage in &differing {
            ui.warn(&format!("{stage:?} has different outputs in this cache; both records are kept"));
        }
        if self.json {
            let Header { figure, key, root, record, records, batches, objects, bulk, .. } = &header;
            ui.json(&ImportAnswer {
                figure,
                key,
                root,
                record,
                records: *records,
                batches: *batches,
                objects: *objects,
                bulk: *bulk,
                new_records,
                new_objects,
                new_bytes,
                new_batches,
                differing: &differing,
                dry_run: self.dry_run,
            });
            return Ok(());
        }
        let verb = if self.dry_run { "would import" } else { "imported" };
        ui.say(&format!(
            "{} with {} and {}: {verb} {} and {} ({}) that were not here",
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
