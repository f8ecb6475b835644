//! `wdpipe diff`: compares the settings of two figures, and their results.

use clap::Args;

use super::format::{columns, count, percent, plain, short};
use super::operands::OperandArgs;
use super::ui::Ui;
use crate::differ::{Cause, CurveChange, Difference, FigureChange, LoneFamily, Moved, Side, Unequal, diff};
use crate::project::{Extent, Failure, Loaded, Project};

/// Number of lines of each kind shown by default; -v prints all.
const LINES: usize = 8;

/// Number of names shown in a line.
const NAMES: usize = 4;

/// Compare two figures: which settings differ, which results moved.
///
/// Also prints by how much results moved, and which stayed the same. Nothing is computed. The exit code is 0 if both
/// are the same, and 1 if they differ.
#[derive(Debug, Args)]
pub struct DiffCommand {
    #[command(flatten)]
    operands: OperandArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl DiffCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a side cannot be loaded. If the sides differ, the error has no message.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let [a, b] = self.operands.load(project, Extent::Whole)?;
        let side = |side| if side == Side::A { &a } else { &b };
        let difference = diff(&a.closure, &b.closure, &|at, output| side(at).bytes(&output.object));
        if self.json {
            ui.json(&difference);
        } else {
            let most = if ui.verbose { usize::MAX } else { LINES };
            lines(&difference, [&a, &b], most).iter().for_each(|line| ui.answer(&plain(line)));
        }
        if difference.is_none() { Ok(()) } else { Err(Failure::differ()) }
    }
}

/// Returns the lines that describe a difference, at most `most` of each kind.
fn lines(difference: &Difference, sides: [&Loaded; 2], most: usize) -> Vec<String> {
    let Difference { roots, same, early_cutoff, causes, nondeterminism, moved, figures, only, gaps } = difference;
    if difference.is_none() {
        return vec![format!("the same: {} with the same outputs, root {}", count(*same, "stage"), roots[0].short())];
    }
    let mut lines: Vec<String> =
        ["A", "B"].iter().zip(sides).map(|(name, side)| format!("{name}  {}", side.title)).collect();
    let mut section = |title: &str, rows: Vec<Vec<String>>| {
        if rows.is_empty() {
            return;
        }
        let more = rows.len().saturating_sub(most);
        lines.push(title.to_owned());
        lines.extend(columns(&rows[..rows.len() - more]).iter().map(|line| format!("  {line}")));
        if more > 0 {
            lines.push(format!("  and {more} more (-v shows them)"));
        }
    };
    let cause = |cause: &Cause| {
        let still = match cause.stages - cause.moved {
            0 => String::new(),
            still => format!(", {still} with the same outputs"),
        };
        vec![cause.families.join(", "), format!("{}{still}", count(cause.stages, "stage")), cause.change.clone()]
    };
    section("set differently", causes.iter().map(cause).collect());
    section(
        "different outputs under one key: another machine, or a run that does not repeat",
        nondeterminism.iter().flat_map(unequal).collect(),
    );
    section("outputs that moved", moved.iter().map(moved_row).collect());
    let curves = figures.iter().flat_map(|figure| figure.moved.iter().map(|curve| curve_row(figure, curve)));
    section("curves that moved most", curves.collect());
    section("the same", unmoved(*same, *early_cutoff, figures));
    for (name, only, figure) in [("A", &only[0], 0), ("B", &only[1], 1)] {
        let stages = |only: &LoneFamily| vec![only.family.clone(), count(only.stages, "stage"), only.first.clone()];
        let curves = figures.iter().filter(|change| !change.only[figure].is_empty());
        let curves = curves.map(|change| {
            let names = &change.only[figure];
            let more = if names.len() > NAMES { ", …" } else { "" };
            let names = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join("; ");
            vec![change.figure.clone(), count(change.only[figure].len(), "curve"), names + more]
        });
        section(&format!("only in {name}"), only.iter().map(stages).chain(curves).collect());
    }
    let unread = figures.iter().filter(|figure| !figure.compared);
    lines.extend(
        unread.map(|figure| format!("the numbers of {} are missing: its curves were not compared", figure.figure)),
    );
    for (name, gaps) in ["A", "B"].iter().zip(gaps).filter(|(_, gaps)| **gaps > 0) {
        lines.push(format!("{name} is incomplete: {} come from no stage in it", count(*gaps, "input")));
    }
    lines
}

fn unequal(found: &Unequal) -> Vec<Vec<String>> {
    let made = |side: usize| format!("{} on {} ({})", found.who[side], found.device[side], found.machine[side]);
    let row = |name: &str, what: String, by: String| vec![name.to_owned(), what, by];
    vec![
        row(&found.stage[0], found.outputs.join(", "), format!("A: {}", made(0))),
        row("", String::new(), format!("B: {}", made(1))),
    ]
}

fn moved_row(moved: &Moved) -> Vec<String> {
    let stages = moved.themselves + moved.followed;
    // A change of a standard error is less informative than a change of its quantity.
    let columns = moved.columns.iter().filter(|column| !column.column.ends_with("stderr"));
    let most = columns.max_by(|a, b| a.relative.change.total_cmp(&b.relative.change));
    let worst = most.map_or_else(String::new, |column| {
        let most = &column.relative;
        let [a, b] = most.values.map(short);
        let share = if most.change.is_finite() { format!(" ({})", percent(most.change)) } else { String::new() };
        format!("most {} {a} → {b}{share} at {} of {}", column.column, most.row, most.stage)
    });
    vec![moved.family.clone(), count(stages, "stage"), worst]
}

fn curve_row(figure: &FigureChange, curve: &CurveChange) -> Vec<String> {
    if curve.values.iter().all(|value| value.is_nan()) {
        // The two curves have no place in common: there is nothing to subtract.
        let [a, b] = curve.points_only;
        return vec![
            figure.figure.clone(),
            curve.curve.clone(),
            format!("{a} points at different places than the {b} in B"),
        ];
    }
    let [a, b] = curve.values.map(short);
    let y = curve.y.map(|y| format!(", y = {}", short(y))).unwrap_or_default();
    let deviations = curve.deviations.map(|deviations| format!("{} deviations", short(deviations))).unwrap_or_default();
    let share = if curve.relative.is_finite() { percent(curve.relative) } else { String::new() };
    vec![
        figure.figure.clone(),
        curve.curve.clone(),
        format!("{a} → {b}"),
        share,
        deviations,
        format!("at x = {}{y}", short(curve.x)),
    ]
}

fn unmoved(same: usize, early_cutoff: usize, figures: &[FigureChange]) -> Vec<Vec<String>> {
    let curves: usize = figures.iter().map(|figure| figure.same.len()).sum();
    let all = [
        (same, format!("{} with the same key and outputs", count(same, "stage"))),
        (early_cutoff, format!("{} with another key and the same outputs", count(early_cutoff, "stage"))),
        (curves, format!("{} to the last bit", count(curves, "curve"))),
    ];
    all.into_iter().filter(|(number, _)| *number > 0).map(|(_, text)| vec![text]).collect()
}
