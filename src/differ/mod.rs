//! Two closures side by side: what was set differently, what moved with it, and what stayed.
//!
//! Pure: records in, a description out; the few bytes that are looked into (tables) come from a function. [`mod@bisect`]
//! goes down to the first number in which two runs of training part.

pub mod bisect;
mod causes;
mod curves;
pub mod distance;
mod name;
mod pair;
mod tables;
pub mod tensor;
#[cfg(test)]
mod tests;

use serde::Serialize;

use base::changes;
use base::closure::{Closure, Member};
use base::digest::{ClosureRoot, StageKey};
use base::record::Output;
use base::table::Table;
pub use causes::Cause;
use causes::Causes;
pub use curves::{CurveChange, FigureChange};
use name::Name;
pub use tables::{ColumnChange, Largest};

/// One of two closures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// The bytes of an output of a side, if they are at hand.
pub type ReadOutput<'a> = dyn Fn(Side, &Output) -> Option<Vec<u8>> + 'a;

/// No table that is compared has more bytes.
const TABLE_LIMIT: u64 = 64 << 20;

/// Outputs that are no tables.
const NO_TABLES: [&str; 9] = ["weights", "ema", "momentum", "scaler", "train", "test", "svg", "png", "pdf"];

/// In what two closures differ. What is listed stands in the order of dependency: causes before what follows from them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The hashes of all stages and outputs; the same if nothing differs.
    pub roots: [ClosureRoot; 2],
    /// Stages with the same key and the same outputs.
    pub same: usize,
    /// Stages with another key and the same outputs: nothing moved with them.
    pub early_cutoff: usize,
    /// What was set differently.
    pub causes: Vec<Cause>,
    /// Stages of one key that yielded something else: machines or runs that differ.
    pub nondeterminism: Vec<Unequal>,
    /// The stages whose outputs differ, by family.
    pub moved: Vec<Moved>,
    /// The figures that are in both.
    pub figures: Vec<FigureChange>,
    /// The stages of one side alone, by family.
    pub only: [Vec<LoneFamily>; 2],
    /// How many inputs of a side no stage of it yields: there something is missing.
    pub gaps: [usize; 2],
}

/// A stage that yielded something else under one key.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unequal {
    /// Its name in either closure.
    pub stage: [String; 2],
    /// Its key.
    pub key: StageKey,
    /// The outputs that differ.
    pub outputs: Vec<String>,
    /// Who ran it.
    pub who: [String; 2],
    /// On what device.
    pub device: [String; 2],
    /// The class of machines.
    pub machine: [String; 2],
}

/// The stages of a family whose outputs differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moved {
    /// The name without sweep and epoch: `trunk`.
    pub family: String,
    /// How many were set differently, or yielded something else under one key.
    pub themselves: usize,
    /// How many differ only because what they read does.
    pub followed: usize,
    /// The numbers that differ most, by output and column.
    pub columns: Vec<ColumnChange>,
}

/// Stages of a family.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoneFamily {
    /// The name without sweep and epoch.
    pub family: String,
    /// How many.
    pub stages: usize,
    /// The first of them.
    pub first: String,
}

impl Difference {
    /// Whether nothing differs: neither what was computed nor what came out.
    pub fn is_none(&self) -> bool {
        self.roots[0] == self.roots[1]
    }
}

/// Compares two closures. Stages are paired by key, then by name, then by their place in the graph.
pub fn diff(a: &Closure, b: &Closure, read: &ReadOutput<'_>) -> Difference {
    let pairs = pair::pair(a, b);
    let only = |closure: &Closure, places: &[usize]| families(places.iter().map(|&place| &closure.members[place]));
    let mut difference = Difference {
        roots: [a.root(), b.root()],
        same: 0,
        early_cutoff: 0,
        causes: Vec::new(),
        nondeterminism: Vec::new(),
        moved: Vec::new(),
        figures: Vec::new(),
        only: [only(a, &pairs.only[0]), only(b, &pairs.only[1])],
        gaps: [a.gaps().len(), b.gaps().len()],
    };
    let mut causes = Causes::default();
    for (i, j) in pairs.both {
        let (a, b) = (&a.members[i], &b.members[j]);
        let (same_key, same_outputs) = (a.key == b.key, a.record.same_outputs(&b.record));
        let own = if same_key { Vec::new() } else { changes::own(&a.record.parts, &b.record.parts) };
        match (same_key, same_outputs) {
            (true, true) => difference.same += 1,
            (false, true) => difference.early_cutoff += 1,
            (true, false) => difference.nondeterminism.push(unequal(a, b)),
            (false, false) => {}
        }
        if !same_outputs {
            let moved = moved_family(&mut difference.moved, family(a));
            *(if same_key || !own.is_empty() { &mut moved.themselves } else { &mut moved.followed }) += 1;
            compare_tables(a, b, read, &mut moved.columns);
        }
        if a.record.parts.kind == "figure" {
            difference.figures.push(compare_figure(a, b, read));
        }
        causes.add(family(a), &own, !same_outputs);
    }
    difference.causes = causes.list();
    difference
}

fn family(member: &Member) -> &str {
    Name::of(&member.name).family()
}

fn families<'a>(members: impl Iterator<Item = &'a Member>) -> Vec<LoneFamily> {
    let mut families: Vec<LoneFamily> = Vec::new();
    for member in members {
        match families.iter_mut().find(|known| known.family == family(member)) {
            Some(known) => known.stages += 1,
            None => {
                families.push(LoneFamily { family: family(member).to_owned(), stages: 1, first: member.name.clone() });
            }
        }
    }
    families
}

fn moved_family<'a>(moved: &'a mut Vec<Moved>, family: &str) -> &'a mut Moved {
    let place = moved.iter().position(|known| known.family == family).unwrap_or_else(|| {
        moved.push(Moved { family: family.to_owned(), themselves: 0, followed: 0, columns: Vec::new() });
        moved.len() - 1
    });
    &mut moved[place]
}

/// The outputs of two records, by name, that differ.
fn differing<'a>(a: &'a Member, b: &'a Member) -> impl Iterator<Item = (&'a Output, &'a Output)> {
    let both = a.record.outputs.iter().filter_map(|output| Some((output, b.record.output(&output.name)?)));
    both.filter(|(a, b)| a.object != b.object)
}

fn unequal(a: &Member, b: &Member) -> Unequal {
    let mut outputs: Vec<String> = differing(a, b).map(|(output, _)| output.name.clone()).collect();
    // What one alone has, such as `diverged`.
    for (one, other) in [(a, b), (b, a)] {
        let alone = one.record.outputs.iter().filter(|output| other.record.output(&output.name).is_none());
        outputs.extend(alone.map(|output| output.name.clone()));
    }
    let made = [&a.record.provenance, &b.record.provenance];
    Unequal {
        stage: [a.name.clone(), b.name.clone()],
        key: a.key,
        outputs,
        who: made.map(|made| made.who.clone()),
        device: made.map(|made| made.device.clone()),
        machine: made.map(|made| made.machine.clone()),
    }
}

fn table(side: Side, output: &Output, read: &ReadOutput<'_>) -> Option<Table> {
    if output.bytes > TABLE_LIMIT {
        return None;
    }
    match &output.inline {
        Some(bytes) => Table::from_bytes(bytes).ok(),
        None => Table::from_bytes(&read(side, output)?).ok(),
    }
}

fn compare_tables(a: &Member, b: &Member, read: &ReadOutput<'_>, columns: &mut Vec<ColumnChange>) {
    // The numbers of a figure are compared curve by curve.
    if a.record.parts.kind == "figure" {
        return;
    }
    for (of_a, of_b) in differing(a, b).filter(|(output, _)| !NO_TABLES.contains(&output.name.as_str())) {
        if let (Some(x), Some(y)) = (table(Side::A, of_a, read), table(Side::B, of_b, read)) {
            tables::merge(columns, tables::compare(&a.name, &of_a.name, &x, &y));
        }
    }
}

fn compare_figure(a: &Member, b: &Member, read: &ReadOutput<'_>) -> FigureChange {
    let numbers = |side, member: &Member| table(side, member.record.output("numbers")?, read);
    match (numbers(Side::A, a), numbers(Side::B, b)) {
        (Some(x), Some(y)) => curves::compare(&a.name, &x, &y),
        _ => FigureChange { figure: a.name.clone(), ..FigureChange::default() },
    }
}
