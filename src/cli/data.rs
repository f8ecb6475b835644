//! `wdpipe data`: imports data sets into the store.

mod advice;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::environment::{brought, sign_import};
use super::explain::computed;
use super::format::{bytes, columns, date};
use super::share::store_or_none;
use super::signals::cancel_on_interrupt;
use super::ui::Ui;
use crate::project::{Before, ExitCode, Failure, ImportedData, Project, imported_data, record_data};
use base::digest::ObjectDigest;
use base::work::Source;
use learn::data::{BASE_URL, FetchError, ImportedImages, Options, archive, fetch, import, known_content};
use store::Store;

/// Import data sets into the cache.
#[derive(Debug, Subcommand)]
pub enum DataCommand {
    Import(ImportDataCommand),
    Fetch(FetchDataCommand),
    List(ListDataCommand),
}

/// Import CIFAR-10 or CIFAR-100 from a folder or archive.
///
/// The binary version, the Python version and an .npz can be read.
#[derive(Debug, Args)]
pub struct ImportDataCommand {
    /// A folder, .tar, .tar.gz, .zip or .npz.
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

/// Download CIFAR-10 or CIFAR-100 from its authors, and import it.
///
/// The archive is checked against its published checksum. An interrupted download continues where it stopped.
#[derive(Debug, Args)]
pub struct FetchDataCommand {
    /// Name of the data set.
    #[arg(value_enum, value_name = "NAME")]
    name: Downloadable,
    /// Folder of the archive: the authors' site, or a mirror.
    #[arg(long, value_name = "URL", default_value = BASE_URL)]
    from: String,
    /// Folder to download the archive to [default: the folder `downloads` in the cache].
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// List the data sets, and whether each is here.
#[derive(Debug, Args)]
pub struct ListDataCommand {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
}

/// Data sets that can be downloaded.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Downloadable {
    Cifar10,
    Cifar100,
}

/// A data set in the output of `data list --json`.
#[derive(Serialize)]
struct DataAnswer {
    name: &'static str,
    here: bool,
    /// `None` for a built-in data set.
    #[serde(flatten)]
    import: Option<ImportedAnswer>,
}

#[derive(Serialize)]
struct ImportedAnswer {
    bytes: Option<u64>,
    known: Option<bool>,
    outputs: Option<BTreeMap<String, ObjectDigest>>,
}

impl DataCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the data is wrong, or cannot be read, downloaded or stored.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        match self {
            Self::Import(command) => take(project, &command.path, ui),
            Self::Fetch(command) => command.run(project, ui),
            Self::List(command) => command.run(&store_or_none(project, ui)?, ui),
        }
    }
}

impl FetchDataCommand {
    fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let source = match self.name {
            Downloadable::Cifar10 => Source::Cifar10,
            Downloadable::Cifar100 => Source::Cifar100,
        };
        let Some(archive) = archive(source) else { return Ok(()) };
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => project.store_to_fill()?.root().join("downloads"),
        };
        let proxy = ureq::Proxy::try_from_env();
        let options = Options { base_url: self.from.clone(), proxy, ..Options::default() };
        let cancel = cancel_on_interrupt();
        let bar = if ui.terminal && !ui.quiet() { ProgressBar::new(archive.bytes) } else { ProgressBar::hidden() };
        let template = "{bar:30.cyan/blue} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
        ui.say(&format!("fetching {} from {}", archive.file, self.from));
        let fetched = fetch(&archive, &folder, &options, &cancel, &mut |done, total| {
            bar.set_length(total);
            bar.set_position(done);
        });
        bar.finish_and_clear();
        let path = fetched.map_err(|error| {
            let code = match &error {
                FetchError::Cancelled => ExitCode::Interrupted,
                FetchError::File(_) => ExitCode::Storage,
                FetchError::Address { .. } => ExitCode::Usage,
                _ => ExitCode::Missing,
            };
            Failure::new(code, error.to_string(), "run the command again to continue, or name a mirror with --from URL")
        })?;
        if cancel.load(Ordering::Relaxed) {
            return Err(crate::engine::EngineError::Interrupted.into());
        }
        take(project, &path, ui)
    }
}

/// Imports a folder or archive and records it.
fn take(project: &Project, path: &std::path::Path, ui: &Ui) -> Result<(), Failure> {
    let started = std::time::Instant::now();
    let imported = import(path).map_err(|error| {
        advice::converter(&error).into_iter().for_each(|program| ui.answer(&program));
        advice::refused(&error)
    })?;
    let (warns, worth) = advice::worth(&imported);
    let ImportedImages { source, train, test, .. } = imported;
    let store = project.store_to_fill()?;
    let bytes = |images: &learn::data::Images| {
        images.to_bytes().map_err(|error| Failure::new(ExitCode::Failed, error.to_string(), ""))
    };
    let provenance = brought(format!("data/{}", source.name()), started);
    let ImportedData { digest, before } = record_data(&store, source, [&bytes(&train)?, &bytes(&test)?], provenance)?;
    match before {
        Before::Nothing => {}
        Before::Same(when) => ui.say(&format!("{} was imported already, on {}", source.name(), date(when))),
        Before::Other => ui.warn(&format!(
            "{} was imported before with different bytes; from now on this import is used, and results from the \
             other one stay cached",
            source.name()
        )),
    }
    sign_import(&store, digest, ui)?;
    let (train, test) = (train.len(), test.len());
    ui.say(&format!("imported {}: {train} training and {test} test images", source.name()));
    if warns {
        ui.warn(&worth)
    } else {
        ui.say(&worth)
    }
    Ok(())
}

impl ListDataCommand {
    fn run(&self, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let mut rows = Vec::new();
        let mut answers = Vec::new();
        for source in [Source::Cifar10, Source::Cifar100] {
            let record = imported_data(store, source)?;
            let size = record.as_ref().map(|record| record.outputs.iter().map(|output| output.bytes).sum::<u64>());
            let known = record.as_ref().and_then(|record| {
                let objects = record.outputs.iter().map(|output| output.object.to_string());
                known_content(source).map(|known| objects.eq(known))
            });
            let text = match &record {
                Some(record) => {
                    let content = if known == Some(true) {
                        "the known content"
                    } else {
                        "content that differs from the known one"
                    };
                    format!("{}, {content}, imported {}", bytes(size.unwrap_or_default()), computed(record))
                }
                None => format!("not here; `wdpipe data fetch {}` downloads it", source.name()),
            };
            rows.push(vec![source.name().to_owned(), text]);
            let outputs = record
                .as_ref()
                .map(|record| record.outputs.iter().map(|output| (output.name.clone(), output.object)).collect());
            let import = ImportedAnswer { bytes: size, known, outputs };
            answers.push(DataAnswer { name: source.name(), here: record.is_some(), import: Some(import) });
        }
        rows.push(vec![Source::Shapes10.name().to_owned(), "built in, any size".to_owned()]);
        answers.push(DataAnswer { name: Source::Shapes10.name(), here: true, import: None });
        if self.json {
            ui.json(&answers);
        } else {
            columns(&rows).iter().for_each(|line| ui.answer(line));
        }
        Ok(())
    }
}
