//! Settings with several values: the stages that they multiply, and the names of instances.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::Values;
use super::node::{Data, Diagnostic, Node};

/// Maximum number of values of one setting, of instances of one stage, and of stages in total.
pub const MOST: usize = 100_000;

/// All settings with the lists of their values.
#[derive(Debug, Default)]
pub struct Settings {
    /// The values of every setting, in order.
    pub values: BTreeMap<String, Vec<Node>>,
    /// The settings that were given as lists or ranges; they multiply the stages that use them.
    pub swept: BTreeSet<String>,
}

/// A combination of values: the index of each swept setting's value.
pub type Point = BTreeMap<String, usize>;

impl Settings {
    /// Reads the settings: a list is a sweep, and `{ from = 1, to = 99, step = 2 }` is a sweep over integers.
    pub fn read(settings: &BTreeMap<String, Node>, complaints: &mut Vec<Diagnostic>) -> Self {
        let mut read = Self::default();
        for (name, node) in settings {
            let values = match &node.data {
                Data::List(values) => {
                    read.swept.insert(name.clone());
                    if values.is_empty() {
                        complaints.push(node.complain(format!("the sweep `{name}` has no value")));
                    }
                    let mut labels = BTreeSet::new();
                    for value in values {
                        if !labels.insert(label(value)) {
                            complaints.push(value.complain(format!("the sweep `{name}` has {} twice", label(value))));
                        }
                        if matches!(value.data, Data::List(_) | Data::Table(_)) {
                            complaints.push(
                                value.complain(format!("a value of the sweep `{name}` must be a number or text")),
                            );
                        }
                    }
                    values.clone()
                }
                Data::Table(_) => {
                    read.swept.insert(name.clone());
                    range(node).unwrap_or_else(|complaint| {
                        complaints.push(complaint);
                        Vec::new()
                    })
                }
                _ => vec![node.clone()],
            };
            read.values.insert(name.clone(), values);
        }
        read
    }

    /// Returns whether a setting is a sweep over two or more values.
    pub fn is_several(&self, name: &str) -> bool {
        self.swept.contains(name) && self.values.get(name).is_some_and(|values| values.len() > 1)
    }

    /// Returns the settings that occur as `$name` anywhere in a table.
    pub fn used_in(&self, node: &Node, complaints: &mut Vec<Diagnostic>) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        self.collect(node, &mut used, complaints);
        used
    }

    fn collect(&self, node: &Node, used: &mut BTreeSet<String>, complaints: &mut Vec<Diagnostic>) {
        match &node.data {
            Data::Text(text) if text.starts_with('$') => {
                let name = &text[1..];
                if self.values.contains_key(name) {
                    used.insert(name.to_owned());
                } else {
                    let hint = super::did_you_mean(name, self.values.keys().map(String::as_str));
                    complaints.push(node.complain(format!("there is no setting `{name}`{hint}")));
                }
            }
            Data::List(nodes) => nodes.iter().for_each(|node| self.collect(node, used, complaints)),
            Data::Table(fields) => fields.values().for_each(|node| self.collect(node, used, complaints)),
            _ => {}
        }
    }

    /// Returns every combination of the values of `axes`; the last axis varies fastest.
    ///
    /// # Errors
    /// If there are too many.
    pub fn points(&self, axes: &BTreeSet<String>) -> Result<Vec<Point>, String> {
        let mut points = vec![Point::new()];
        for axis in axes {
            let count = self.values[axis].len();
            if points.len().saturating_mul(count) > MOST {
                return Err(format!("the sweeps {axes:?} give more than {MOST} combinations"));
            }
            points = points
                .into_iter()
                .flat_map(|point| {
                    (0..count).map(move |i| {
                        let mut point = point.clone();
                        point.insert(axis.clone(), i);
                        point
                    })
                })
                .collect();
        }
        Ok(points)
    }

    /// Returns the values of all settings at a point; settings that are not in it have their first value.
    pub fn at(&self, point: &Point) -> Values {
        let value = |(name, values): (&String, &Vec<Node>)| {
            let index = point.get(name).copied().unwrap_or_default();
            values.get(index).map(|value| (name.clone(), value.clone()))
        };
        self.values.iter().filter_map(value).collect()
    }

    /// Formats a point as in `[lr=0.1,seed=0]`; empty for the point without axes.
    pub fn suffix(&self, point: &Point) -> String {
        if point.is_empty() {
            return String::new();
        }
        let part = |(name, &index): (&String, &usize)| format!("{name}={}", label(&self.values[name][index]));
        format!("[{}]", point.iter().map(part).collect::<Vec<_>>().join(","))
    }
}

/// Restricts a point to some axes.
pub fn restrict(point: &Point, axes: &BTreeSet<String>) -> Point {
    point.iter().filter(|(name, _)| axes.contains(*name)).map(|(name, &index)| (name.clone(), index)).collect()
}

/// Formats a value for a stage's name or a legend.
pub fn label(node: &Node) -> String {
    match &node.data {
        Data::Text(text) => text.clone(),
        // 1 and 1.0 have the same label.
        Data::Float(value) => value.to_string(),
        _ => node.describe(),
    }
}

fn range(node: &Node) -> Result<Vec<Node>, Diagnostic> {
    let wrong =
        || node.complain("a range is { from = 1, to = 99, step = 2 } with integers, step at least 1 (default 1)");
    let Data::Table(fields) = &node.data else { return Err(wrong()) };
    if fields.keys().any(|key| !["from", "to", "step"].contains(&key.as_str())) {
        return Err(wrong());
    }
    let integer = |name: &str| match fields.get(name).map(|node| &node.data) {
        Some(Data::Int(value)) => Some(*value),
        _ => None,
    };
    let (Some(from), Some(to)) = (integer("from"), integer("to")) else { return Err(wrong()) };
    let step = if fields.contains_key("step") { integer("step").ok_or_else(wrong)? } else { 1 };
    if step < 1 || to < from || to.abs_diff(from) / step.unsigned_abs() >= MOST as u64 {
        return Err(wrong());
    }
    let value = |value: i64| Node { origin: node.origin.clone(), data: Data::Int(value) };
    Ok((from..=to).step_by(step as usize).map(value).collect())
}

#[cfg(test)]
mod tests {
    use super::super::node::parse_file;
    use super::*;

    fn settings(text: &str) -> (Settings, Vec<String>) {
        let Data::Table(fields) = parse_file("p.toml", text).unwrap().data else { panic!() };
        let mut complaints = Vec::new();
        let settings = Settings::read(&fields, &mut complaints);
        (settings, complaints.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn sweeps_multiply_in_order() {
        let (settings, complaints) = settings("lr = [0.1, 1]\nseed = { from = 3, to = 8, step = 2 }\nwd = 0.5\n");
        assert!(complaints.is_empty());
        assert_eq!(settings.swept, ["lr".to_owned(), "seed".to_owned()].into());
        let points = settings.points(&settings.swept).unwrap();
        let names: Vec<_> = points.iter().map(|point| settings.suffix(point)).collect();
        let wanted = [
            "[lr=0.1,seed=3]",
            "[lr=0.1,seed=5]",
            "[lr=0.1,seed=7]",
            "[lr=1,seed=3]",
            "[lr=1,seed=5]",
            "[lr=1,seed=7]",
        ];
        assert_eq!(names, wanted);
        assert_eq!(label(&settings.at(&points[4])["seed"]), "5");
        assert_eq!(label(&settings.at(&points[4])["wd"]), "0.5");
    }

    #[test]
    fn senseless_sweeps_are_refused() {
        let complaint = |text: &str| settings(text).1.join("; ");
        assert!(complaint("lr = []").contains("no value"));
        assert!(complaint("lr = [0.1, 0.1]").contains("twice"));
        assert!(complaint("lr = [[1]]").contains("number or text"));
        for range in [
            "{ from = 1 }",
            "{ from = 1, to = 0 }",
            "{ from = 1, to = 5, step = 0 }",
            "{ from = 1, to = 5, by = 1 }",
            "{ from = -9223372036854775808, to = 9223372036854775807 }",
        ] {
            assert!(complaint(&format!("n = {range}")).contains("a range is"), "{range}");
        }
    }
}
