//! The numbers of a figure, run by run, with the settings of every run.

use std::collections::{BTreeMap, BTreeSet};

use super::sheet::{Sheet, TableFormat, distinct, setting};
use crate::graph::{Pattern, StageId};
use crate::project::figures::judged::{tables, unfit};
use crate::project::known::resolved::Resolved;
use crate::project::text::count;
use crate::project::{ExitCode, Failure};
use base::table::Cell;
use base::work::{Figure, Mark};
use draw::figure::{ReplicaValue, SETTING, replica_values};
use store::Store;

/// The columns before the settings; `y` is there only in figures with heat maps.
const PLACE: [&str; 5] = ["panel", "curve", "dashed", "x", "y"];
/// The columns after the settings.
const NUMBERS: [&str; 7] = ["value", "mean", "std", "low", "high", "n", "diverged"];

impl Resolved<'_> {
    /// Returns the only figure or panel among the targets.
    ///
    /// # Errors
    /// If there is none or several, or a command draws it.
    pub fn one_figure(&self) -> Result<(StageId, &Figure), Failure> {
        let stages = &self.selection.graph.stages;
        let figures: Vec<_> = self.targets.iter().filter_map(|&id| Some((id, stages[id].work.figure()?))).collect();
        let elsewhere = "`wdpipe show STAGE --csv` prints the tables of a stage";
        match figures[..] {
            [(_, figure)] if figure.is_of_command() => {
                let message = format!("a command draws `{}`, so it has no curves", figure.name);
                Err(Failure::usage(message, elsewhere))
            }
            [(id, figure)] => Ok((id, figure)),
            [] => Err(Failure::usage("the target is not a figure or a panel", elsewhere)),
            [..] => {
                let names: Vec<_> = figures.iter().map(|(_, figure)| figure.name.as_str()).collect();
                let message = format!("the target names {}: {}", count(names.len(), "figure"), names.join(", "));
                Err(Failure::usage(message, "name one of them"))
            }
        }
    }

    /// Returns the numbers of a figure, with one row for each panel, curve, x and run.
    ///
    /// # Errors
    /// If a table is not recorded yet, or the store cannot be read.
    pub fn replicas(
        &self,
        id: StageId,
        figure: &Figure,
        format: TableFormat,
        store: &Store,
    ) -> Result<String, Failure> {
        let inputs = &self.selection.graph.stages[id].inputs;
        let tables = tables(inputs, &self.knowledge, store)?.map_err(|missing| {
            let message = format!("{missing} of {} tables of `{}` are not recorded yet", inputs.len(), figure.name);
            Failure::new(ExitCode::Missing, message, self.selection.ways_to_numbers(&figure.name))
        })?;
        let values = replica_values(figure, &tables).map_err(unfit)?;
        let runs: BTreeMap<&str, Pattern<'_>> = tables.keys().map(|name| (name.as_str(), Pattern::of(name))).collect();
        let settings: BTreeSet<&str> =
            runs.values().flat_map(|run| run.axes.iter().map(|(setting, _)| *setting)).collect();
        let settings: Vec<&str> = settings.into_iter().collect();
        let is_map = figure.panels.iter().flat_map(|panel| &panel.curves).any(|curve| curve.mark == Mark::Heat);
        let place = &PLACE[..PLACE.len() - usize::from(!is_map)];
        let mut names = distinct(&[("", &[place, &NUMBERS].concat()), (SETTING, &settings)]);
        names[place.len()..].rotate_left(NUMBERS.len());
        let mut sheet = Sheet::new(format, names);
        let mut lines = vec![sheet.start()];
        for value in &values {
            let run = &runs[value.table.as_str()];
            let own = |wanted: &&str| run.axes.iter().find(|(name, _)| name == wanted).map(|(_, value)| setting(value));
            let cells = place_of(value).into_iter().take(place.len()).map(Some);
            let cells = cells.chain(settings.iter().map(own)).chain(numbers_of(value).map(Some));
            lines.push(sheet.row(&cells.collect::<Vec<_>>()));
        }
        lines.extend(sheet.end().map(str::to_owned));
        Ok(lines.join("\n") + "\n")
    }
}

fn place_of<'a>(value: &'a ReplicaValue<'_>) -> [Cell<'a>; PLACE.len()] {
    let (panel, curve) = (Cell::Text(&value.panel.id), Cell::Text(&value.curve.label));
    [panel, curve, Cell::Int(value.curve.dashed.into()), Cell::Float(value.x), Cell::Float(value.y)]
}

fn numbers_of(ReplicaValue { value, point, .. }: &ReplicaValue<'_>) -> [Cell<'static>; NUMBERS.len()] {
    let [value, mean, std, low, high] = [*value, point.mean, point.std, point.low, point.high].map(Cell::Float);
    [value, mean, std, low, high, Cell::Int(point.n), Cell::Int(point.diverged)]
}
