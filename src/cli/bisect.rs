//! `wdpipe bisect`: finds the first segment, tensor and number in which two training runs differ.

use clap::Args;

use super::format::{columns, count, plain, short};
use super::operands::OperandArgs;
use super::ui::Ui;
use crate::differ::Side;
use crate::differ::bisect::{Bisection, FirstTensor, InputChange, Parting, bisect};
use crate::differ::distance::Distance;
use crate::differ::tensor::tensor_of;
use crate::project::{Extent, Failure, Loaded, Project};
use base::digest::ObjectDigest;

/// Number of divergences shown by default; -v prints all.
const PARTINGS: usize = 4;

/// Find where two training runs first differ, and by how much.
///
/// Prints the first segment, the first tensor and the first number that differ. Nothing is computed: the records hold a
/// hash of every tensor after every segment, and only the bytes of two tensors are read. Incomplete runs are compared
/// as far as they go. The exit code is 0 if all runs are the same, and 1 if any differ.
#[derive(Debug, Args)]
pub struct BisectCommand {
    #[command(flatten)]
    operands: OperandArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl BisectCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a side cannot be loaded or has no training. If runs differ, the error has no message.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let sides = self.operands.load(project, Extent::Known)?;
        for side in &sides {
            if !side.closure.members.iter().any(|member| member.record.parts.kind == "train") {
                let message = format!("`{}` has no recorded training", side.title);
                return Err(Failure::usage(message, "name a figure or a stage of kind `train`, such as 'fig3/trunk'"));
            }
        }
        let mut checkpoints = [None, None];
        let found = bisect(&sides[0].closure, &sides[1].closure, &mut |side, object, name| {
            let place = usize::from(side == Side::B);
            tensor_of(checkpoint(&sides[place], object, &mut checkpoints[place])?, name).ok()
        });
        if self.json {
            ui.json(&found);
        } else {
            let most = if ui.verbose { usize::MAX } else { PARTINGS };
            lines(&found, &sides, most).iter().for_each(|line| ui.answer(&plain(line)));
        }
        if found.partings.is_empty() { Ok(()) } else { Err(Failure::differ()) }
    }
}

/// Returns the bytes of a checkpoint. The last checkpoint is kept, since several of its tensors can be requested.
fn checkpoint<'a>(
    side: &Loaded,
    object: &ObjectDigest,
    last: &'a mut Option<(ObjectDigest, Vec<u8>)>,
) -> Option<&'a [u8]> {
    if last.as_ref().is_none_or(|(known, _)| known != object) {
        *last = Some((*object, side.bytes(object)?));
    }
    last.as_ref().map(|(_, bytes)| bytes.as_slice())
}

fn lines(found: &Bisection, sides: &[Loaded; 2], most: usize) -> Vec<String> {
    let parted: usize = found.partings.iter().map(|parting| parting.runs.len()).sum();
    let mut lines: Vec<String> =
        ["A", "B"].iter().zip(sides).map(|(name, side)| format!("{name}  {}", side.title)).collect();
    lines.push(match parted {
        0 => format!("{}: the same to the end", count(found.equal, "run")),
        _ => format!("{}: {} the same to the end, {parted} differ", count(found.equal + parted, "run"), found.equal),
    });
    for parting in found.partings.iter().take(most) {
        lines.extend(parting_lines(parting));
    }
    if found.partings.len() > most {
        lines.push(format!("and {} more (-v shows them)", found.partings.len() - most));
    }
    for ((name, only), gaps) in ["A", "B"].iter().zip(&found.only).zip(found.gaps) {
        if let [first, ..] = &only[..] {
            lines.push(format!("only in {name}: {}, such as {first}", count(only.len(), "run")));
        }
        if gaps > 0 {
            lines.push(format!("{name} is incomplete: {} come from no stage in it", count(gaps, "input")));
        }
    }
    lines
}

fn parting_lines(parting: &Parting) -> Vec<String> {
    let segment = &parting.segment;
    let [a, b] = &segment.stage;
    let other = if a == b { String::new() } else { format!(", in B {b}") };
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut row = |name: &str, text: String| rows.push(vec![name.to_owned(), text]);
    match (parting.same_key, &parting.changes[..], &parting.inputs[..]) {
        (true, ..) => {
            row("why", "same key, different outputs: a run that does not repeat, or a wrong record".to_owned())
        }
        (false, [], []) => row("why", "different inputs".to_owned()),
        (false, changes, inputs) => {
            changes.iter().for_each(|change| row("set differently", change.clone()));
            inputs.iter().for_each(|input| row("different input", input_text(input)));
        }
    }
    if parting.same_key {
        for (side, name) in ["A", "B"].iter().enumerate() {
            row(name, format!("{} on {} ({})", segment.who[side], segment.device[side], segment.machine[side]));
        }
    }
    row("outputs", segment.outputs.join(", "));
    if let Some(first) = &parting.tensors.first {
        let whole = match parting.tensors.differing {
            Some(differing) => format!("{differing} of {} differ, first ", parting.tensors.of),
            None => "first ".to_owned(),
        };
        let begun = parting.inputs.iter().any(|input| input.role == "weights");
        let when = if begun { "at the start, " } else { "" };
        row("tensors", format!("{when}{whole}{} of {}", first.name, first.output));
        first_rows(first).into_iter().for_each(|[name, text]| row(&name, text));
    }
    if let [_, _, ..] = &parting.runs[..] {
        row("runs", format!("{}, such as {}", parting.runs.len(), parting.runs[0]));
    }
    let mut lines = vec![format!("{a} (segment {} of {}){other}", parting.number, parting.of)];
    lines.extend(columns(&rows).iter().map(|line| format!("  {line}")));
    lines
}

fn input_text(input: &InputChange) -> String {
    let from = |side: usize| input.stages[side].clone().unwrap_or_else(|| "a stage that is not here".to_owned());
    let (a, b) = (from(0), from(1));
    let from = if a == b { a } else { format!("{a} and {b}") };
    let changes = if input.changes.is_empty() { String::new() } else { format!(": {}", input.changes.join("; ")) };
    format!("{} from {from}{changes}", input.role)
}

fn first_rows(first: &FirstTensor) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    for side in &first.misstated {
        rows.push(["but".to_owned(), format!("the record of {side:?} lists a different hash for this tensor")]);
    }
    match &first.distance {
        Some(distance) => rows.extend(distance_rows(distance)),
        None => rows.push(["values".to_owned(), first.reason.clone()]),
    }
    rows
}

fn distance_rows(distance: &Distance) -> Vec<[String; 2]> {
    let Distance { dtype, shape, differing, first, values, max_ulps, median_ulps, nan, max_absolute, .. } = distance;
    let all: usize = shape.iter().product();
    let [a, b] = values;
    let values = format!("{differing} of {all} differ ({dtype:?} {shape:?}), first at {first:?}: {a} → {b}");
    let mut far = match (max_ulps, median_ulps) {
        (Some(max), Some(median)) => {
            vec![format!("{max} ULP at most, {median} in the median, |a − b| at most {}", short(*max_absolute))]
        }
        _ => Vec::new(),
    };
    if *nan > 0 {
        far.push(format!("{nan} NaN on one side only"));
    }
    vec![["values".to_owned(), values], ["distance".to_owned(), far.join("; ")]]
}
