//! Patterns for names of stages: `fig3/trunk`, `trunk[lr=0.1]`, `fig3/probe[seed=0,lr=1e-1]`, `fig3/trunk@5`.

use super::{Graph, StageId};

/// Maximum number of values listed in a message.
const SHOWN: usize = 12;

/// The parts of a stage's name, or of a pattern of such names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern<'a> {
    /// The pipeline, if given.
    pub pipeline: Option<&'a str>,
    /// The stage's name in its pipeline.
    pub family: &'a str,
    /// Settings and their values, in any order; omitted settings match any value.
    pub axes: Vec<(&'a str, &'a str)>,
    /// The epoch after `@`.
    pub checkpoint: Option<&'a str>,
}

impl<'a> Pattern<'a> {
    /// Splits a name into its parts. Any text is accepted; text that is not a name matches no stage.
    pub fn of(text: &'a str) -> Self {
        let (head, axes, tail) = match text.split_once('[') {
            Some((head, rest)) => {
                let (axes, tail) = rest.rsplit_once(']').unwrap_or((rest, ""));
                (head, Some(axes), tail)
            }
            None => text.split_once('@').map_or((text, None, ""), |(head, _)| (head, None, &text[head.len()..])),
        };
        let (pipeline, family) =
            head.split_once('/').map_or((None, head), |(pipeline, family)| (Some(pipeline), family));
        let pair =
            |part: &'a str| part.split_once('=').map_or((part.trim(), ""), |(name, value)| (name.trim(), value.trim()));
        let axes = axes.map(|axes| axes.split(',').map(pair).collect()).unwrap_or_default();
        Self { pipeline, family, axes, checkpoint: tail.strip_prefix('@') }
    }

    /// Returns whether a name matches the pattern's family, regardless of settings and checkpoint.
    fn is_of_family(&self, name: &Pattern<'_>) -> bool {
        self.family == name.family && (self.pipeline.is_none() || self.pipeline == name.pipeline)
    }

    fn has_axes(&self, name: &Pattern<'_>) -> bool {
        let has = |(setting, value): &(&str, &str)| name.value(setting).is_some_and(|own| same(own, value));
        self.axes.iter().all(has)
    }

    fn has_checkpoint(&self, name: &Pattern<'_>) -> bool {
        self.checkpoint.is_none_or(|wanted| name.checkpoint.is_some_and(|own| same(own, wanted)))
    }

    fn value(&self, setting: &str) -> Option<&'a str> {
        self.axes.iter().find(|(name, _)| *name == setting).map(|(_, value)| *value)
    }
}

/// Returns whether two values are the same text or the same number.
fn same(one: &str, other: &str) -> bool {
    one == other || one.parse::<f64>().is_ok_and(|one| other.parse() == Ok(one))
}

impl Graph {
    /// Returns the stages that match a pattern by their own names or by the names of equal stages in other pipelines.
    pub fn find(&self, pattern: &str) -> Vec<StageId> {
        let pattern = Pattern::of(pattern);
        let fits = |name: &str| {
            let name = Pattern::of(name);
            pattern.is_of_family(&name) && pattern.has_axes(&name) && pattern.has_checkpoint(&name)
        };
        let mut ids: Vec<StageId> = self.names().filter(|(name, _)| fits(name)).map(|(_, id)| id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Explains why a pattern matches nothing although its family exists, and lists the available values.
    pub fn why_none(&self, pattern: &str) -> Option<String> {
        let pattern = Pattern::of(pattern);
        let all: Vec<Pattern<'_>> = self.names().map(|(name, _)| Pattern::of(name)).collect();
        let family: Vec<_> = all.iter().filter(|name| pattern.is_of_family(name)).collect();
        let first = family.first()?;
        let called = first.pipeline.map_or(first.family.to_owned(), |pipeline| format!("{pipeline}/{}", first.family));
        for (setting, value) in &pattern.axes {
            let values = listed(family.iter().filter_map(|name| name.value(setting)));
            if values.is_empty() {
                let settings = listed(family.iter().flat_map(|name| name.axes.iter().map(|(setting, _)| *setting)));
                let known = if settings.is_empty() { "it is not swept".to_owned() } else { format!("only {settings}") };
                return Some(format!("`{called}` has no setting `{setting}` to choose by: {known}"));
            }
            if !family.iter().any(|name| name.value(setting).is_some_and(|own| same(own, value))) {
                return Some(format!("`{called}` does not exist with {setting} = {value}, only with {values}"));
            }
        }
        let chosen: Vec<_> = family.iter().filter(|name| pattern.has_axes(name)).collect();
        if chosen.is_empty() {
            return Some(format!("`{called}` exists with each of these values, but not with all of them"));
        }
        let checkpoints = listed(chosen.iter().filter_map(|name| name.checkpoint));
        let wanted = pattern.checkpoint?;
        Some(match checkpoints.is_empty() {
            true => format!("`{called}` has no checkpoints: leave out @{wanted}"),
            false => format!("`{called}` has no checkpoint @{wanted}, only those after {checkpoints} epochs"),
        })
    }

    fn names(&self) -> impl Iterator<Item = (&str, StageId)> {
        let own = self.stages.iter().enumerate().map(|(id, stage)| (stage.name.as_str(), id));
        own.chain(self.aliases.iter().map(|(name, id)| (name.as_str(), *id)))
    }
}

/// Lists different values in their order; long lists are shortened.
fn listed<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let mut all: Vec<&str> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    all.extend(values.filter(|value| seen.insert(*value)));
    let rest = all.len().saturating_sub(SHOWN);
    all.truncate(SHOWN);
    if rest > 0 { format!("{} and {rest} more", all.join(", ")) } else { all.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Stage;
    use base::work::{Dataset, Source, Work};

    fn graph() -> Graph {
        let work = Dataset { source: Source::Shapes10, train: 1, test: 1, classes: None, seed: 0 };
        let names = [
            "fig2/trunk[lr=0.0001,seed=0]@1",
            "fig2/trunk[lr=0.0001,seed=0]@9",
            "fig2/trunk[lr=0.001,seed=0]@1",
            "fig2/trunk[lr=0.001,seed=1]@1",
            "fig3/probe[after=17,lr=0.1,variant=text]",
            "fig3/ema@4",
            "fig3",
        ];
        let stage = |name: &str| Stage { name: name.to_owned(), work: Work::Dataset(work.clone()), inputs: Vec::new() };
        Graph {
            stages: names.map(stage).into(),
            aliases: [("prop3/run[lr=0.1]@4".to_owned(), 5)].into(),
            ..Graph::default()
        }
    }

    #[test]
    fn settings_are_named_in_any_order_and_compared_as_numbers() {
        let graph = graph();
        for (pattern, found) in [
            ("fig2/trunk", &[0, 1, 2, 3][..]),
            ("trunk", &[0, 1, 2, 3]),
            ("fig2/trunk[lr=1e-4]", &[0, 1]),
            ("fig2/trunk[seed=0]", &[0, 1, 2]),
            ("trunk[seed=0, lr=1.0e-3]", &[2]),
            ("fig2/trunk@1", &[0, 2, 3]),
            ("trunk[lr=0.0001]@9", &[1]),
            ("fig3/probe[lr=0.1]", &[4]),
            ("probe[variant=text,after=17]", &[4]),
            ("fig3/ema@4", &[5]),
            ("run[lr=.1]", &[5]),
            ("fig3", &[6]),
            ("fig3/trunk", &[]),
            ("trunk[lr=0.]", &[]),
            ("tru", &[]),
            ("", &[]),
            ("fig2/trunk@2", &[]),
        ] {
            assert_eq!(graph.find(pattern), found, "{pattern}");
        }
    }

    #[test]
    fn what_there_is_to_choose_from_is_said() {
        let graph = graph();
        for (pattern, why) in [
            ("fig2/trunk@2", Some("`fig2/trunk` has no checkpoint @2, only those after 1, 9 epochs")),
            ("trunk[lr=0.5]", Some("`fig2/trunk` does not exist with lr = 0.5, only with 0.0001, 0.001")),
            ("fig2/trunk[wd=0]", Some("`fig2/trunk` has no setting `wd` to choose by: only lr, seed")),
            (
                "fig2/trunk[seed=1,lr=1e-4]",
                Some("`fig2/trunk` exists with each of these values, but not with all of them"),
            ),
            ("ema[lr=1]", Some("`fig3/ema` has no setting `lr` to choose by: it is not swept")),
            ("probe@3", Some("`fig3/probe` has no checkpoints: leave out @3")),
            ("fig3/trunk", None),
        ] {
            assert_eq!(graph.why_none(pattern).as_deref(), why, "{pattern}");
        }
    }
}
