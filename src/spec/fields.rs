//! Reads tables of a pipeline: each field is read once, with its type and range, and fields that were
//! not read are reported as unknown. All complaints are collected.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use super::accepts::Accepts;
use super::node::{Data, Diagnostic, Node, did_you_mean};

/// The values of the settings for one instance of a stage.
pub type Values = BTreeMap<String, Node>;

/// A table that is being read.
pub struct Fields<'a> {
    table: &'a Node,
    values: &'a Values,
    asked: RefCell<BTreeSet<&'static str>>,
    /// Whether fields with other names were read as well.
    takes_others: Cell<bool>,
    /// Advice about fields of other names.
    advice: Cell<&'static str>,
    complaints: RefCell<Vec<Diagnostic>>,
    /// What the readers accept, for the tests that describe all fields.
    #[cfg(test)]
    notes: RefCell<Vec<super::described::Note>>,
}

impl<'a> Fields<'a> {
    /// Starts reading `table`, in which `$name` stands for `values[name]`.
    pub fn new(table: &'a Node, values: &'a Values) -> Self {
        Self {
            table,
            values,
            asked: RefCell::default(),
            takes_others: Cell::new(false),
            advice: Cell::new(""),
            complaints: RefCell::default(),
            #[cfg(test)]
            notes: RefCell::default(),
        }
    }

    /// Returns whether the field exists. It still has to be read.
    pub fn has(&self, name: &'static str) -> bool {
        #[cfg(test)]
        self.notes.borrow_mut().push(super::described::Note::untyped(name));
        matches!(&self.table.data, Data::Table(fields) if fields.contains_key(name))
    }

    /// Returns the field; a reference to a setting is replaced by the setting's value.
    pub fn node(&self, name: &'static str) -> Option<&'a Node> {
        #[cfg(test)]
        self.notes.borrow_mut().push(super::described::Note::untyped(name));
        self.asked.borrow_mut().insert(name);
        let Data::Table(fields) = &self.table.data else { return None };
        let node = fields.get(name)?;
        match &node.data {
            Data::Text(text) if text.starts_with('$') => self.values.get(&text[1..]),
            _ => Some(node),
        }
    }

    /// Returns all fields except those with the given names.
    pub fn others(&self, names: &[&str]) -> Vec<(&'a str, &'a Node)> {
        self.takes_others.set(true);
        let Data::Table(fields) = &self.table.data else { return Vec::new() };
        let resolved = |node: &'a Node| match &node.data {
            Data::Text(text) if text.starts_with('$') => self.values.get(&text[1..]),
            _ => Some(node),
        };
        let others = fields.iter().filter(|(name, _)| !names.contains(&name.as_str()));
        others.filter_map(|(name, node)| Some((name.as_str(), resolved(node)?))).collect()
    }

    /// Sets the advice for fields whose names are not similar to a known one.
    pub fn advise(&self, advice: &'static str) {
        self.advice.set(advice);
    }

    /// Adds a complaint about a field, or about the table if the field is absent.
    pub fn complain(&self, name: &'static str, message: impl Into<String>) {
        let node = self.node(name).unwrap_or(self.table);
        self.complaints.borrow_mut().push(node.complain(message));
    }

    /// Notes what a reader accepts, and the value of the absent field, for the tests that describe all fields.
    #[cfg(test)]
    fn note(&self, name: &'static str, accepts: &Accepts, default: Option<String>) {
        self.notes.borrow_mut().push(super::described::Note::new(name, accepts, default));
    }

    fn read<T: fmt::Debug>(
        &self,
        name: &'static str,
        default: Option<T>,
        wanted: &Accepts,
        read: impl Fn(&Data) -> Option<T>,
    ) -> Option<T> {
        #[cfg(test)]
        self.note(name, wanted, default.as_ref().map(|default| format!("{default:?}")));
        let Some(node) = self.node(name) else {
            if default.is_none() {
                self.complain(name, format!("`{name}` is missing: {wanted}"));
            }
            return default;
        };
        let value = read(&node.data);
        if value.is_none() {
            let cure = if wanted.is_integer() { pointless(&node.data) } else { String::new() };
            self.complain(name, format!("`{name}` must be {wanted}, not {}{cure}", node.describe()));
        }
        value
    }

    /// Reads an integer in a range.
    pub fn integer(&self, name: &'static str, default: Option<u32>, range: RangeInclusive<u32>) -> u32 {
        let read = |data: &Data| match data {
            Data::Int(value) => u32::try_from(*value).ok().filter(|value| range.contains(value)),
            _ => None,
        };
        self.read(name, default, &Accepts::Integer(range.clone()), read).unwrap_or(*range.start())
    }

    /// Reads a seed, which is an integer from 0.
    pub fn seed(&self, name: &'static str, default: Option<u64>) -> u64 {
        let read = |data: &Data| match data {
            Data::Int(value) => u64::try_from(*value).ok(),
            _ => None,
        };
        self.read(name, default, &Accepts::Seed, read).unwrap_or_default()
    }

    /// Reads a number in a range.
    pub fn number(&self, name: &'static str, default: Option<f64>, range: RangeInclusive<f64>) -> f64 {
        let read = |data: &Data| number(data).filter(|value| range.contains(value));
        self.read(name, default, &Accepts::Number(range.clone()), read).unwrap_or(*range.start())
    }

    /// Reads a number above 0.
    pub fn positive(&self, name: &'static str, default: Option<f64>, most: f64) -> f64 {
        let read = |data: &Data| number(data).filter(|value| *value > 0.0 && *value <= most);
        self.read(name, default, &Accepts::Positive(most), read).unwrap_or(1.0)
    }

    /// Reads a Boolean.
    pub fn truth(&self, name: &'static str, default: bool) -> bool {
        let read = |data: &Data| match data {
            Data::Bool(value) => Some(*value),
            _ => None,
        };
        self.read(name, Some(default), &Accepts::Truth, read).unwrap_or(default)
    }

    /// Reads text.
    pub fn text(&self, name: &'static str, default: Option<&str>) -> String {
        let read = |data: &Data| match data {
            Data::Text(value) => Some(value.clone()),
            _ => None,
        };
        self.read(name, default.map(str::to_owned), &Accepts::Text, read).unwrap_or_default()
    }

    /// Reads text that will be drawn.
    pub fn drawn_text(&self, name: &'static str, default: Option<&str>) -> String {
        let text = self.text(name, default);
        if let Err(error) = draw::figure::check_text(&text) {
            self.complain(name, error.to_string());
        }
        text
    }

    /// Reads an expression, in which `$name` is not replaced yet.
    pub fn expression(&self, name: &'static str, default: Option<&str>) -> String {
        #[cfg(test)]
        self.note(name, &Accepts::Expression, default.map(|default| format!("{default:?}")));
        self.asked.borrow_mut().insert(name);
        let node = match &self.table.data {
            Data::Table(fields) => fields.get(name),
            _ => None,
        };
        match (node.map(|node| &node.data), default) {
            (Some(Data::Text(text)), _) => text.clone(),
            (None, Some(default)) => default.to_owned(),
            (Some(_), _) => {
                let node = node.unwrap_or(self.table);
                let message = format!("`{name}` must be {}, not {}", Accepts::Expression, node.describe());
                self.complaints.borrow_mut().push(node.complain(message));
                String::new()
            }
            (None, None) => {
                let message = format!("`{name}` is missing: a column, or an expression of columns");
                self.complaints.borrow_mut().push(self.table.complain(message));
                String::new()
            }
        }
    }

    /// Reads one of several words.
    pub fn choice<T: Copy + PartialEq>(
        &self,
        name: &'static str,
        default: Option<T>,
        words: &[(&str, T)],
    ) -> Option<T> {
        self.choice_or(name, default, words, "")
    }

    /// Reads one of several words, with advice for words that are not similar to one of them.
    pub fn choice_or<T: Copy + PartialEq>(
        &self,
        name: &'static str,
        default: Option<T>,
        words: &[(&str, T)],
        advice: &str,
    ) -> Option<T> {
        #[cfg(test)]
        {
            let note = super::described::Note::choice(name, default.as_ref(), words, self.node(name));
            self.notes.borrow_mut().push(note);
        }
        let Some(node) = self.node(name) else {
            if default.is_none() {
                self.complain(name, format!("`{name}` is missing: {}", Accepts::words(words)));
            }
            return default;
        };
        let found = match &node.data {
            Data::Text(text) => words.iter().find(|(word, _)| word == text).map(|(_, value)| *value),
            _ => None,
        };
        if found.is_none() {
            let hint = did_you_mean(node.describe().trim_matches('"'), words.iter().map(|(word, _)| *word));
            let hint = if hint.is_empty() { after(advice) } else { hint };
            let message = format!("`{name}` must be {}, not {}{hint}", Accepts::words(words), node.describe());
            self.complain(name, message);
        }
        found
    }

    /// Reads an optional list of integers; a single integer counts as a list of one.
    pub fn integers(&self, name: &'static str) -> Option<Vec<u32>> {
        #[cfg(test)]
        self.note(name, &Accepts::Integers, Some("None".to_owned()));
        let node = self.node(name)?;
        let integer = |data: &Data| match data {
            Data::Int(value) => u32::try_from(*value).ok(),
            _ => None,
        };
        let read = match &node.data {
            Data::List(nodes) => nodes.iter().map(|node| integer(&node.data)).collect(),
            data => integer(data).map(|value| vec![value]),
        };
        if read.is_none() {
            let wrong = match &node.data {
                Data::List(nodes) => nodes.iter().find(|node| integer(&node.data).is_none()).unwrap_or(node),
                _ => node,
            };
            let (found, cure) = (wrong.describe(), pointless(&wrong.data));
            self.complain(name, format!("`{name}` must be {}, not of {found}{cure}", Accepts::Integers));
        }
        read
    }

    /// Reads a list of texts; a single text counts as a list of one.
    pub fn texts(&self, name: &'static str) -> Vec<String> {
        let text = |node: &Node| match &node.data {
            Data::Text(text) => Some(text.clone()),
            _ => None,
        };
        let read = |data: &Data| match data {
            Data::Text(value) => Some(vec![value.clone()]),
            Data::List(values) => values.iter().map(text).collect(),
            _ => None,
        };
        self.read(name, None, &Accepts::Texts, read).unwrap_or_default()
    }

    /// Reads an optional list of numbers.
    pub fn numbers(&self, name: &'static str) -> Option<Vec<f64>> {
        let read = |data: &Data| match data {
            Data::List(values) => values.iter().map(|node| number(&node.data)).collect::<Option<Vec<_>>>().map(Some),
            _ => None,
        };
        self.read(name, Some(None), &Accepts::Numbers, read).flatten()
    }

    /// Reads a list of tables (empty if absent).
    pub fn tables(&self, name: &'static str) -> &'a [Node] {
        #[cfg(test)]
        self.note(name, &Accepts::Tables, None);
        match self.node(name).map(|node| &node.data) {
            Some(Data::List(values)) if values.iter().all(|node| matches!(node.data, Data::Table(_))) => values,
            None => &[],
            Some(_) => {
                self.complain(name, format!("`{name}` must be {}", Accepts::Tables));
                &[]
            }
        }
    }

    /// Returns all complaints, including one for each field that was not read.
    pub fn finish(self, what: &str) -> Vec<Diagnostic> {
        #[cfg(test)]
        super::described::add(what, self.table, self.notes.into_inner());
        let mut complaints = self.complaints.into_inner();
        let asked = self.asked.into_inner();
        match &self.table.data {
            Data::Table(_) if self.takes_others.get() => {}
            Data::Table(fields) => {
                for (name, node) in fields.iter().filter(|(name, _)| !asked.contains(name.as_str())) {
                    let hint = did_you_mean(name, asked.iter().copied());
                    let known: Vec<_> = asked.iter().copied().collect();
                    let known = match hint.is_empty() {
                        true => format!("; known: {}{}", known.join(", "), after(self.advice.get())),
                        false => hint,
                    };
                    complaints.push(node.complain(format!("{what} has no `{name}`{known}")));
                }
            }
            _ => complaints.push(self.table.complain(format!("{what} must be a table"))),
        }
        complaints
    }
}

/// Returns advice as the end of a message.
fn after(advice: &str) -> String {
    if advice.is_empty() { String::new() } else { format!("; {advice}") }
}

/// Returns how to write an integral number without a decimal point.
fn pointless(data: &Data) -> String {
    match data {
        Data::Float(value) if value.fract() == 0.0 => format!(": write {value}, without a point"),
        _ => String::new(),
    }
}

fn number(data: &Data) -> Option<f64> {
    match data {
        Data::Int(value) => Some(*value as f64),
        Data::Float(value) => Some(*value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::parse_file;
    use super::*;

    #[test]
    fn complaints_name_the_line_the_range_and_the_likely_word() {
        let text = "batch = 0\nlr = \"x\"\nepocs = 3\nscheme = \"hee\"\nwd = \"$wd\"\n";
        let table = parse_file("p.toml", text).unwrap();
        let values = [("wd".to_owned(), parse_file("q.toml", "v = -1").unwrap())].into();
        let fields = Fields::new(&table, &values);
        fields.integer("batch", None, 1..=10);
        fields.number("lr", None, 0.0..=1.0);
        fields.number("wd", None, 0.0..=1.0);
        fields.integer("epochs", None, 1..=10);
        fields.choice("scheme", None, &[("he", 1), ("pytorch", 2)]);
        let complaints: Vec<String> = fields.finish("stage `t`").iter().map(ToString::to_string).collect();
        assert_eq!(
            complaints,
            [
                "p.toml:1: `batch` must be an integer from 1 to 10, not 0",
                "p.toml:2: `lr` must be a number from 0 to 1, not \"x\"",
                "q.toml:1: `wd` must be a number from 0 to 1, not a table",
                "p.toml:1: `epochs` is missing: an integer from 1 to 10",
                "p.toml:4: `scheme` must be one of he, pytorch, not \"hee\"; did you mean `he`?",
                "p.toml:3: stage `t` has no `epocs`; did you mean `epochs`?",
            ]
        );
    }
}
