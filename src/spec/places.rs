//! Checks that a curve distinguishes all the tables that it reads: each position of a replica must have exactly one number.
//! Otherwise a sweep that the curve does not name would be trained in vain, or the drawing would fail after all the training.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::curves::Source;
use super::sweep::{Point, Settings, label};
use crate::graph::StageId;
use base::expr::Expr;
use draw::figure::SETTING;

/// A table that a curve reads.
pub struct Taken<'a> {
    /// The stage of the pipeline that it belongs to.
    pub source: &'a Source<'a>,
    /// The values of the sweeps.
    pub point: &'a Point,
    /// The stage of the graph that produces it.
    pub stage: StageId,
    /// The range of its column `epoch`, if it has one.
    pub epochs: Option<RangeInclusive<u32>>,
    /// The replica that it is a part of.
    pub replica: usize,
}

/// The parts of a curve that determine the positions of its rows.
pub struct Places<'a> {
    /// Expressions of the horizontal axis and, in a heat map, of the vertical one.
    pub axes: Vec<&'a Expr>,
    /// Whether only the last epoch counts.
    pub last: bool,
    /// Whether several rows may share a position, since all are shown.
    pub every_row: bool,
    /// The settings that have a curve for each of their values.
    pub per: &'a [String],
    /// The setting in which the replicas differ.
    pub over: &'a str,
}

impl Places<'_> {
    /// Returns what is wrong with the tables of one curve and what to do about it, if anything is.
    pub fn complaint(&self, taken: &[Taken<'_>], settings: &Settings) -> Option<String> {
        let named = self.named();
        let anywhere = 0..=u32::MAX;
        let by_epoch = self.last || self.beyond_settings();
        let mut rows = Vec::with_capacity(taken.len());
        for (index, table) in taken.iter().enumerate() {
            let epochs = table.epochs.as_ref().filter(|_| by_epoch).unwrap_or(&anywhere);
            // If every row is shown, rows of different stages may coincide.
            let group = (table.replica, if self.every_row { table.source.name } else { "" });
            match self.place(table.point, settings, &named) {
                Ok(place) => rows.push(((group, place), *epochs.start(), *epochs.end(), index)),
                Err(message) => return Some(message),
            }
        }
        rows.sort();
        let (mut differing, mut twice) = (BTreeSet::new(), None);
        // If any two ranges of epochs overlap, two consecutive ones do.
        for pair in rows.windows(2).filter(|pair| pair[0].0 == pair[1].0 && pair[0].2 >= pair[1].1) {
            let (one, other) = (&taken[pair[0].3], &taken[pair[1].3]);
            if one.source.name == other.source.name && one.point != other.point {
                differing.extend(one.point.keys().filter(|name| one.point.get(*name) != other.point.get(*name)));
            } else if !self.every_row {
                twice = twice.or(Some((one, other)));
            }
        }
        if differing.is_empty() {
            return twice.map(|(one, other)| self::twice(one, other));
        }
        let unnamed: Vec<&String> = differing.iter().filter(|name| !named.contains(**name)).copied().collect();
        let at_fault = if unnamed.is_empty() { differing.into_iter().collect() } else { unnamed };
        Some(self.swept(&at_fault, taken))
    }

    /// Returns the settings that occur in the expressions.
    fn named(&self) -> BTreeSet<String> {
        let names = self.axes.iter().flat_map(|axis| axis.names());
        names.filter_map(|name| name.strip_prefix(SETTING)).map(str::to_owned).collect()
    }

    /// Returns whether the position also depends on recorded numbers, such as the epoch.
    fn beyond_settings(&self) -> bool {
        self.axes.iter().flat_map(|axis| axis.names()).any(|name| !name.starts_with(SETTING))
    }

    /// Returns the known part of the position of a table's rows: the coordinate of each axis that depends only on settings,
    /// and for each other axis the values of the settings in its expression.
    fn place(&self, point: &Point, settings: &Settings, named: &BTreeSet<String>) -> Result<Vec<u64>, String> {
        let number = |name: &str| {
            let values = settings.values.get(name.strip_prefix(SETTING)?)?;
            let index = point.get(name.strip_prefix(SETTING)?).copied().unwrap_or_default();
            label(values.get(index)?).parse::<f64>().ok()
        };
        let mut place = Vec::new();
        for axis in &self.axes {
            let names = axis.names();
            if !names.is_empty() && names.iter().all(|name| name.starts_with(SETTING)) {
                let value = axis.eval(&number);
                if !value.is_finite() {
                    let at = settings.suffix(
                        &point.iter().filter(|(name, _)| named.contains(*name)).map(|(n, i)| (n.clone(), *i)).collect(),
                    );
                    return Err(format!("`{}` is {value} at {at}, which cannot be drawn on an axis", spelled(axis)));
                }
                // Adding 0 makes −0 and 0 the same position.
                place.push((value + 0.0).to_bits());
            } else {
                let indices = names.iter().filter_map(|name| point.get(name.strip_prefix(SETTING)?));
                place.extend(indices.map(|index| *index as u64));
            }
        }
        Ok(place)
    }

    /// Returns the complaint about settings whose values the curve does not distinguish.
    fn swept(&self, names: &[&String], taken: &[Taken<'_>]) -> String {
        let count =
            |name: &String| taken.iter().filter_map(|table| table.point.get(name)).collect::<BTreeSet<_>>().len();
        let (what, first) = match names {
            [name] => (format!("the setting `{name}` has {} values", count(name)), *name),
            _ => {
                let several: Vec<_> = names.iter().map(|name| format!("`{name}` ({} values)", count(name))).collect();
                (format!("the settings {} have several values", several.join(" and ")), names[0])
            }
        };
        let per: Vec<String> = self.per.iter().chain(names.iter().copied()).map(|name| format!("\"{name}\"")).collect();
        let per = if per.len() == 1 { per.concat() } else { format!("[{}]", per.join(", ")) };
        let pick: Vec<_> = names.iter().map(|name| format!("{name} = 0")).collect();
        // `over` cannot be replaced if the replicas already differ in its setting.
        let is_free = names.len() == 1 && count(&self.over.to_owned()) < 2;
        let over = if is_free { format!(", or over = \"{first}\" for their mean") } else { String::new() };
        format!(
            "{what}, and the curve does not say which it shows: say per = {per} for a curve of each, or pick = {{ {} }} \
             for the first{over}",
            pick.join(", ")
        )
    }
}

/// Returns the complaint about two tables that no setting distinguishes.
fn twice(one: &Taken<'_>, other: &Taken<'_>) -> String {
    let (one, other) = (one.source.name, other.source.name);
    if one == other {
        return format!(
            "the tables of several checkpoints of `{one}` stand at the same places: choose one with `after` in \
             [stage.{one}], or say last = true if the last one counts"
        );
    }
    format!("`{one}` and `{other}` have values at the same places: draw them as two curves")
}

/// Formats an expression as a pipeline writes it.
fn spelled(axis: &Expr) -> String {
    axis.to_string().replace(SETTING, "$")
}
