//! Settings that differ, each reported once for all stages with this change.

use std::collections::HashMap;

use serde::Serialize;

use crate::reasons;
use base::changes::{Change, How, Part};

/// Maximum number of different changes of one setting that are listed separately. If there are more (such as the first epoch
/// of every segment), only examples are reported.
const WAYS: usize = 3;

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cause {
    /// The change, such as `lr: 0.15 → 0.25`.
    pub change: String,
    /// The families of the affected stages, in order.
    pub families: Vec<String>,
    /// Number of affected stages.
    pub stages: usize,
    /// Number of affected stages whose outputs differ.
    pub moved: usize,
}

/// Collects causes.
#[derive(Default)]
pub(super) struct Causes {
    found: Vec<(Change, Cause)>,
    places: HashMap<String, usize>,
}

impl Causes {
    /// Adds the changes of a stage of a family; `moved` says whether its outputs differ.
    pub fn add(&mut self, family: &str, changes: &[Change], moved: bool) {
        for change in changes {
            let text = reasons::change(change);
            let place = *self.places.entry(text.clone()).or_insert(self.found.len());
            if place == self.found.len() {
                let cause = Cause { change: text, families: Vec::new(), stages: 0, moved: 0 };
                self.found.push((change.clone(), cause));
            }
            let one = Cause {
                change: String::new(),
                families: vec![family.to_owned()],
                stages: 1,
                moved: usize::from(moved),
            };
            absorb(&mut self.found[place].1, one);
        }
    }

    /// Returns the causes in the order in which they were found.
    pub fn list(self) -> Vec<Cause> {
        let mut ways: HashMap<Part, usize> = HashMap::new();
        for (change, _) in &self.found {
            *ways.entry(change.part.clone()).or_default() += 1;
        }
        let mut causes: Vec<Cause> = Vec::new();
        let mut summed: HashMap<Part, (usize, usize)> = HashMap::new();
        for (Change { part, how }, cause) in self.found {
            if ways[&part] <= WAYS {
                causes.push(cause);
                continue;
            }
            let (place, told) = summed.entry(part).or_insert((causes.len(), 0));
            if *place == causes.len() {
                causes.push(Cause { stages: 0, moved: 0, families: Vec::new(), ..cause.clone() });
            } else if let (How::To(old, new), true) = (how, *told < WAYS - 1) {
                causes[*place].change += &format!(", {old} → {new}");
                *told += 1;
            }
            absorb(&mut causes[*place], cause);
        }
        for (place, _) in summed.into_values() {
            causes[place].change += ", …";
        }
        causes
    }
}

fn absorb(cause: &mut Cause, other: Cause) {
    cause.stages += other.stages;
    cause.moved += other.moved;
    for family in other.families {
        if !cause.families.contains(&family) {
            cause.families.push(family);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_setting_in_many_stages_is_one_cause_and_many_ways_are_told_by_example() {
        let change = |what: &str, old: i32, new: i32| Change {
            part: Part::Parameter(what.into()),
            how: How::To(old.to_string(), new.to_string()),
        };
        let mut causes = Causes::default();
        for i in 0..10 {
            let family = if i < 6 { "trunk" } else { "decay" };
            causes.add(family, &[change("lr", 1, 2), change("first_epoch", i, i + 1)], i > 0);
        }
        let families = vec!["trunk".to_owned(), "decay".to_owned()];
        let cause = |change: &str| Cause { change: change.into(), families: families.clone(), stages: 10, moved: 9 };
        assert_eq!(causes.list(), [cause("lr: 1 → 2"), cause("first_epoch: 0 → 1, 1 → 2, 2 → 3, …")]);
    }
}
