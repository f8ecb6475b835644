//! One table over all instances of a stage.

use std::collections::BTreeSet;

use super::sheet::{Sheet, TableFormat, distinct, setting};
use crate::graph::{Pattern, StageId};
use crate::project::known::resolved::Resolved;
use crate::project::{ExitCode, Failure};
use base::record::Output;
use base::table::{Cell, Table};
use store::Store;

/// Column with the stage's name, if the table is about several.
const STAGE: &str = "stage";
/// Column with the number of epochs after which a checkpoint was taken.
const CHECKPOINT: &str = "checkpoint";

/// The table of some stages: one row for every recorded row.
pub struct StageTable<'a> {
    /// Name of the output that holds it.
    pub output: &'a str,
    /// Names of the other tables of these stages.
    pub others: BTreeSet<&'a str>,
    /// Names of the stages that have no record of this table.
    pub missing: Vec<&'a str>,
    found: Vec<(Pattern<'a>, Output)>,
    /// Whether the rows show which stage they are from.
    labelled: bool,
}

impl Resolved<'_> {
    /// Finds the table of the targets: the output of a name, or each stage's usual table. A target that is the whole name of a
    /// stage has the recorded columns only; otherwise others say which stage a row is from.
    ///
    /// # Errors
    /// If the targets have no such table.
    pub fn table<'s>(&'s self, target: &str, wanted: Option<&'s str>) -> Result<StageTable<'s>, Failure> {
        let stages = &self.selection.graph.stages;
        let tables = |id: StageId| -> Vec<&'s str> {
            let work = &stages[id].work;
            match work.figure() {
                Some(figure) => Vec::from_iter((!figure.is_of_command()).then_some("numbers")),
                None => work.tables().map(|(name, _)| name).collect(),
            }
        };
        let first = self.targets.iter().find_map(|&id| tables(id).first().copied());
        let Some(output) = wanted.or(first) else {
            return Err(Failure::usage(format!("`{target}` has no table"), "leave out --csv and --json"));
        };
        let mut others: BTreeSet<&str> = self.targets.iter().flat_map(|&id| tables(id)).collect();
        if !others.remove(output) {
            let names: Vec<_> = others.into_iter().collect();
            let hint = match names.is_empty() {
                true => "leave out --csv and --json".to_owned(),
                false => format!("its tables are {}", names.join(", ")),
            };
            return Err(Failure::usage(format!("`{target}` has no table `{output}`"), hint));
        }
        let (mut found, mut missing) = (Vec::new(), Vec::new());
        for &id in self.targets.iter().filter(|&&id| tables(id).contains(&output)) {
            let name = stages[id].name.as_str();
            match self.known(id).and_then(|(_, outline)| outline.output(output)) {
                Some(output) => found.push((Pattern::of(name), output.clone())),
                None => missing.push(name),
            }
        }
        let labelled = !matches!(self.targets[..], [only] if stages[only].name == target);
        Ok(StageTable { output, others, missing, found, labelled })
    }
}

impl StageTable<'_> {
    /// Returns whether no stage has a record of this table.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Writes the table, stage by stage: `write` gets lines without the end of the last one.
    ///
    /// # Errors
    /// If the store cannot be read, an output is no table, or `write` fails.
    pub fn write(
        &self,
        format: TableFormat,
        store: &Store,
        mut write: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let families: BTreeSet<_> = self.found.iter().map(|(name, _)| (name.pipeline, name.family)).collect();
        let mut fixed = Vec::new();
        let mut settings: Vec<&str> = Vec::new();
        if self.labelled {
            fixed.extend((families.len() > 1).then_some(STAGE));
            fixed.extend(self.found.iter().any(|(name, _)| name.checkpoint.is_some()).then_some(CHECKPOINT));
            settings = union(self.found.iter().flat_map(|(name, _)| name.axes.iter().map(|(setting, _)| *setting)));
        }
        // Tables are read twice, so that only one of them is in memory at a time.
        let mut recorded: Vec<String> = Vec::new();
        for (_, output) in &self.found {
            for column in table(output, store)?.columns() {
                if !recorded.contains(&column.name) {
                    recorded.push(column.name.clone());
                }
            }
        }
        let recorded: Vec<&str> = recorded.iter().map(String::as_str).collect();
        let names = distinct(&[("", &fixed), ("setting_", &settings), ("recorded_", &recorded)]);
        let mut sheet = Sheet::new(format, names);
        write(&sheet.start())?;
        for (name, output) in &self.found {
            let label = format!("{}{}", name.pipeline.map_or(String::new(), |own| format!("{own}/")), name.family);
            let of_stage = |fixed: &&str| match *fixed {
                STAGE => Some(Cell::Text(&label)),
                _ => name.checkpoint.map(setting),
            };
            let own =
                |wanted: &&str| name.axes.iter().find(|(name, _)| name == wanted).map(|(_, value)| setting(value));
            let start: Vec<_> = fixed.iter().map(of_stage).chain(settings.iter().map(own)).collect();
            let table = table(output, store)?;
            let lines: Vec<String> = (0..table.rows())
                .map(|at| {
                    let row: Vec<(&str, Cell<'_>)> = table.row(at).collect();
                    let cell = |wanted: &&str| row.iter().find(|(name, _)| name == wanted).map(|(_, cell)| *cell);
                    sheet.row(&start.iter().copied().chain(recorded.iter().map(cell)).collect::<Vec<_>>())
                })
                .collect();
            if !lines.is_empty() {
                write(&lines.join("\n"))?;
            }
        }
        sheet.end().map_or(Ok(()), write)
    }
}

/// Lists different names in the order in which they first occur.
fn union<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| seen.insert(*name)).collect()
}

fn table(output: &Output, store: &Store) -> Result<Table, Failure> {
    Table::from_bytes(&store.output(output)?).map_err(|error| Failure::new(ExitCode::Storage, error.to_string(), ""))
}
