//! Compares two closures: which settings differ, which outputs differ as a result, and which stay the same.
//!
//! The code is pure: it turns records into a description and reads the few bytes that it needs (tables) through a
//! function. [`mod@bisect`] finds the first number in which two training runs diverge from each other.

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
use base::work::{KindName, is_bulk};
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

/// Returns the bytes of an output of a side, if they are available.
pub type ReadOutput<'a> = dyn Fn(Side, &Output) -> Option<Vec<u8>> + 'a;

/// Maximum size in bytes of a table that is compared.
const TABLE_LIMIT: u64 = 64 << 20;

/// The differences between two closures. Lists are in dependency order: causes come before their effects.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Hashes of all stages and outputs; equal if nothing differs.
    pub roots: [ClosureRoot; 2],
    /// Number of stages with the same key and the same outputs.
    pub same: usize,
    /// Number of stages with different keys but the same outputs, so that the change ends there.
    pub early_cutoff: usize,
    /// The settings that differ.
    pub causes: Vec<Cause>,
    /// Stages with the same key but different outputs: machines or runs differ.
    pub nondeterminism: Vec<Unequal>,
    /// The stages whose outputs differ, by family.
    pub moved: Vec<Moved>,
    /// The figures that both closures contain.
    pub figures: Vec<FigureChange>,
    /// The stages that exist on only one side, by family.
    pub only: [Vec<LoneFamily>; 2],
    /// Number of inputs on each side that no stage of that side produces; more than 0 if records are missing.
    pub gaps: [usize; 2],
}

/// A stage with the same key but different outputs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Unequal {
    /// Its name in either closure.
    pub stage: [String; 2],
    /// Its key.
    pub key: StageKey,
    /// The outputs that differ.
    pub outputs: Vec<String>,
    /// The user who ran it.
    pub who: [String; 2],
    /// The device.
    pub device: [String; 2],
    /// The class of the machine.
    pub machine: [String; 2],
}

/// The stages of a family whose outputs differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Moved {
    /// The name without sweep and epoch: `trunk`.
    pub family: String,
    /// Number of stages with different settings, or with the same key but different outputs.
    pub themselves: usize,
    /// Number of stages that differ only because their inputs do.
    pub followed: usize,
    /// The largest differences between numbers, by output and column.
    pub columns: Vec<ColumnChange>,
}

/// Stages of a family.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LoneFamily {
    /// The name without sweep and epoch.
    pub family: String,
    /// Number of stages.
    pub stages: usize,
    /// Name of the first of them.
    pub first: String,
}

impl Difference {
    /// Returns whether nothing differs, neither keys nor outputs.
    pub fn is_none(&self) -> bool {
        self.roots[0] == self.roots[1]
    }
}

/// Compares two closures. Stages are paired by key, then by name, then by their position in the graph.
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
        if has_curves(a) && has_curves(b) {
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

/// Returns the pairs of outputs with the same name that differ.
fn differing<'a>(a: &'a Member, b: &'a Member) -> impl Iterator<Item = (&'a Output, &'a Output)> {
    let both = a.record.outputs.iter().filter_map(|output| Some((output, b.record.output(&output.name)?)));
    both.filter(|(a, b)| a.object != b.object)
}

fn unequal(a: &Member, b: &Member) -> Unequal {
    let mut outputs: Vec<String> = differing(a, b).map(|(output, _)| output.name.clone()).collect();
    // Outputs that only one of the two has, such as `diverged`.
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
    if has_curves(a) && has_curves(b) {
        return;
    }
    for (of_a, of_b) in differing(a, b).filter(|(output, _)| !is_bulk(&output.name)) {
        if let (Some(x), Some(y)) = (table(Side::A, of_a, read), table(Side::B, of_b, read)) {
            tables::merge(columns, tables::compare(&a.name, &of_a.name, &x, &y));
        }
    }
}

/// Returns whether a stage draws curves: a figure does, unless a command has drawn it.
fn has_curves(member: &Member) -> bool {
    let parts = &member.record.parts;
    parts.kind == KindName::Figure.name() && !parts.parameters.contains_key("drawn")
}

fn compare_figure(a: &Member, b: &Member, read: &ReadOutput<'_>) -> FigureChange {
    let numbers = |side, member: &Member| table(side, member.record.output("numbers")?, read);
    match (numbers(Side::A, a), numbers(Side::B, b)) {
        (Some(x), Some(y)) => curves::compare(&a.name, &x, &y),
        _ => FigureChange { figure: a.name.clone(), ..FigureChange::default() },
    }
}
