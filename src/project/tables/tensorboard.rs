//! Writes recorded tables as runs of TensorBoard.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::events::{Scalars, file, more};
use crate::graph::{Pattern, StageId};
use crate::project::known::resolved::Resolved;
use crate::project::targets::select::Selection;
use crate::project::{ExitCode, Failure};
use crate::stages::MetricsRow;
use base::record::Record;
use base::table::{Cell, Table};
use base::work::METRICS;
use files::{FsError, Named};
use store::Store;

/// The columns that count the steps; a table without them counts its rows.
const STEPS: [&str; 2] = ["epoch", "step"];

/// A folder with a run for every instance of a stage, filled while stages are computed.
pub struct EventFolder {
    folder: PathBuf,
    /// The stages that are there already.
    written: BTreeSet<StageId>,
    /// The stages that were begun while they ran, with the last epoch that was written.
    begun: BTreeMap<StageId, f64>,
}

impl EventFolder {
    /// Names a folder, which is created when there is something to write.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), written: BTreeSet::new(), begun: BTreeMap::new() }
    }

    /// Looks up the targets in a store, and writes the stages that were not written yet; see [`Resolved::events`].
    ///
    /// # Errors
    /// If the store cannot be read, or a file cannot be written.
    pub fn fill(&mut self, selection: &Selection, store: &Store) -> Result<usize, Failure> {
        selection.resolve(store)?.events(self, store)
    }

    /// Writes rows of `metrics` of a stage that is running. The last row's time is now. TensorBoard keeps a file open while it
    /// grows, so the rest is appended when the stage is recorded.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn grow(&mut self, (id, name): (StageId, &str), rows: &[MetricsRow]) -> Result<(), Failure> {
        // Rows of a stage can arrive after its record, which has all of them.
        if self.written.contains(&id) {
            return Ok(());
        }
        let (Some([first, ..]), Some([last, ..])) = (rows.first(), rows.last()) else { return Ok(()) };
        let wall_time = files::now() as f64 / 1e9;
        let scalars = |row: &MetricsRow| Scalars {
            wall_time,
            step: row[0] as i64,
            values: METRICS
                .iter()
                .zip(row)
                .skip(1)
                .map(|(column, value)| (format!("metrics/{column}"), *value))
                .collect(),
        };
        let events: Vec<Scalars> = rows.iter().map(scalars).collect();
        // A stage that starts again gets a new file.
        let goes_on = self.begun.insert(id, *last).is_some_and(|before| before < *first);
        self.write(name, &events, goes_on)
    }

    /// Writes the file of a stage, or the end of one that exists.
    fn write(&self, stage: &str, events: &[Scalars], goes_on: bool) -> Result<(), Failure> {
        let checkpoint = Pattern::of(stage).checkpoint.unwrap_or("0");
        let run = stage.strip_suffix(&format!("@{checkpoint}")).unwrap_or(stage);
        // The value of a setting can be a path.
        let (name, settings) = run.split_at(run.find('[').unwrap_or(run.len()));
        let folder = self.folder.join(format!("{name}{}", settings.replace('/', "_")));
        // TensorBoard reads the files of a run in the order of their names.
        files::create_folder(&folder)?;
        let path = folder.join(format!("events.out.tfevents.{checkpoint:0>10}.wdpipe"));
        // An event file can be written again at any time, so it need not be durable.
        if goes_on {
            let failed = |source| FsError { operation: "write", path: path.clone(), source };
            files::append(&path)?.write_all(&more(events)).map_err(failed)?;
        } else {
            let mut named = Named::create(&path)?;
            named.append(&file(events))?;
            named.put_unsynced()?;
        }
        Ok(())
    }
}

impl Resolved<'_> {
    /// Writes the numbers of the targets, and returns the number of stages written. Of a figure, these are the numbers of all
    /// stages that it needs. A run is a folder for each instance of a stage, whose segments have a file each. A scalar is named
    /// `TABLE/COLUMN`, its step is the epoch, and its time is interpolated between start and end of the stage.
    ///
    /// # Errors
    /// If the store cannot be read, or a file cannot be written.
    pub fn events(&self, into: &mut EventFolder, store: &Store) -> Result<usize, Failure> {
        let graph = &self.selection.graph;
        let draws = |&id: &StageId| graph.stages[id].work.figure().is_some();
        let all = self.targets.iter().any(draws);
        let before = into.written.len();
        let needed = || (0..graph.stages.len()).filter(|id| self.needed[*id]).collect();
        let chosen: Vec<StageId> = if all { needed() } else { self.targets.clone() };
        for id in chosen {
            let stage = &graph.stages[id];
            if stage.work.tables().next().is_none() || into.written.contains(&id) {
                continue;
            }
            let Some(record) = self.record(id, store)? else { continue };
            let begun = into.begun.remove(&id);
            let mut events = Vec::new();
            for (name, _) in stage.work.tables() {
                let Some(output) = record.output(name) else { continue };
                let table = Table::from_bytes(&store.output(output)?)
                    .map_err(|error| Failure::new(ExitCode::Storage, error.to_string(), ""))?;
                let is_new = |event: &Scalars| name != "metrics" || begun.is_none_or(|last| event.step > last as i64);
                events.extend(scalars(name, &table, &record).into_iter().filter(is_new));
            }
            into.write(&stage.name, &events, begun.is_some())?;
            into.written.insert(id);
        }
        Ok(into.written.len() - before)
    }
}

/// Returns the rows of a table as scalars.
fn scalars(name: &str, table: &Table, record: &Record) -> Vec<Scalars> {
    let (end, seconds) = (record.provenance.finished as f64, record.provenance.seconds);
    let counter = STEPS.iter().find(|name| table.numbers(name).is_some());
    let steps = counter.and_then(|name| table.numbers(name));
    let event = |row: usize| {
        let number = |(column, cell): (&str, Cell<'_>)| match cell {
            Cell::Int(value) => Some((column.to_owned(), value as f64)),
            Cell::Float(value) => Some((column.to_owned(), value)),
            Cell::Text(_) => None,
        };
        let values = table.row(row).filter(|(column, _)| Some(column) != counter).filter_map(number);
        let step = steps.as_ref().map_or(row as i64, |steps| steps[row] as i64);
        let left = (table.rows() - 1 - row) as f64 / table.rows() as f64;
        Scalars {
            wall_time: end - seconds * left,
            step,
            values: values.map(|(column, value)| (format!("{name}/{column}"), value)).collect(),
        }
    };
    (0..table.rows()).map(event).collect()
}
