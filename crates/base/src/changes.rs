//! Differences between the parts of two keys. The program's module `reasons` expresses them in words.

use std::fmt;

use crate::record::KeyParts;
use crate::value::{Map, Value};

/// Maximum number of characters that are kept of a value. There is a limit because records can come from others.
const LONGEST: usize = 60;

/// One difference between two sets of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The part that differs.
    pub part: Part,
    /// How it differs.
    pub how: How,
}

/// A part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// The kind of stage.
    Kind,
    /// The version of the kind with this name.
    Version(String),
    /// A parameter by its path, such as `lr` or `model.width`.
    Parameter(String),
    /// A part of the numeric policy.
    Policy(String),
    /// The input object with this role.
    Input(String),
}

/// How a part differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// The value changed from the first to the second.
    To(String, String),
    /// The part is new. Its value is given, except for inputs.
    New(Option<String>),
    /// The part was removed.
    Gone,
    /// The values differ, but are too long for one line.
    Changed,
}

/// Lists the differences between two sets of parts in kind, version, parameters and policy, but not in inputs.
pub fn own(old: &KeyParts, new: &KeyParts) -> Vec<Change> {
    let mut found = Vec::new();
    if old.kind != new.kind {
        found.push(Change { part: Part::Kind, how: How::To(cut(&old.kind), cut(&new.kind)) });
    }
    if old.version != new.version {
        let how = How::To(old.version.to_string(), new.version.to_string());
        found.push(Change { part: Part::Version(cut(&new.kind)), how });
    }
    maps(Part::Parameter, "", &old.parameters, &new.parameters, &mut found);
    maps(Part::Policy, "", &old.policy, &new.policy, &mut found);
    found
}

/// Lists all differences between two sets of parts: first the differences that [`own`] lists, then the differences in inputs.
pub fn all(old: &KeyParts, new: &KeyParts) -> Vec<Change> {
    let mut found = own(old, new);
    let mut add = |role: &str, how| found.push(Change { part: Part::Input(cut(role)), how });
    for (role, object) in &new.inputs {
        match old.inputs.get(role) {
            Some(before) if before != object => add(role, How::To(before.short(), object.short())),
            Some(_) => {}
            None => add(role, How::New(None)),
        }
    }
    old.inputs.keys().filter(|role| !new.inputs.contains_key(*role)).for_each(|role| add(role, How::Gone));
    found
}

/// Compares two maps with the path `prefix`, and recursively the maps in them. Each value is a separate part.
fn maps(part: fn(String) -> Part, prefix: &str, old: &Map, new: &Map, found: &mut Vec<Change>) {
    let path = |name: &str| format!("{prefix}{}", cut(name));
    for (name, value) in new {
        let how = match (old.get(name), value) {
            (Some(before), _) if before == value => continue,
            (Some(Value::Map(before)), Value::Map(after)) => {
                maps(part, &format!("{}.", path(name)), before, after, found);
                continue;
            }
            // The contents of lists (the panels of a figure) are too long for one line.
            (Some(_), Value::List(_)) => How::Changed,
            (Some(before), _) => How::To(cut(before), cut(value)),
            (None, _) => How::New(Some(cut(value))),
        };
        found.push(Change { part: part(path(name)), how });
    }
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    found.extend(gone.map(|name| Change { part: part(path(name)), how: How::Gone }));
}

fn cut(value: impl fmt::Display) -> String {
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::ObjectDigest;

    #[test]
    fn every_change_is_found() {
        let model = |width| Value::Map([("width".into(), Value::Int(width))].into());
        let old = KeyParts {
            kind: "train".into(),
            version: 1,
            parameters: [
                ("lr".into(), Value::Float(0.1)),
                ("model".into(), model(8)),
                ("list".into(), Value::List(vec![])),
            ]
            .into(),
            inputs: [("weights".into(), ObjectDigest::of(b"a")), ("scaler".into(), ObjectDigest::of(b"s"))].into(),
            policy: [("threads".into(), Value::Int(1))].into(),
        };
        let mut new = old.clone();
        new.version = 2;
        new.parameters = [
            ("lr".into(), Value::Float(0.2)),
            ("model".into(), model(16)),
            ("list".into(), Value::List(vec![Value::Bool(true)])),
            ("ema".into(), Value::Text("x".repeat(100))),
        ]
        .into();
        new.inputs = [("weights".into(), ObjectDigest::of(b"b")), ("ema".into(), ObjectDigest::of(b"c"))].into();
        new.policy = Map::new();
        let change = |part, how| Change { part, how };
        let parameter = |name: &str, how| change(Part::Parameter(name.to_owned()), how);
        let input = |role: &str, how| change(Part::Input(role.to_owned()), how);
        let to = |old: &str, new: &str| How::To(old.to_owned(), new.to_owned());
        let mut wanted = vec![
            change(Part::Version("train".to_owned()), to("1", "2")),
            parameter("ema", How::New(Some(format!("{}…", "x".repeat(60))))),
            parameter("list", How::Changed),
            parameter("lr", to("0.1", "0.2")),
            parameter("model.width", to("8", "16")),
            change(Part::Policy("threads".to_owned()), How::Gone),
        ];
        assert_eq!(own(&old, &new), wanted);
        wanted.extend([
            input("ema", How::New(None)),
            input("weights", to(&ObjectDigest::of(b"a").short(), &ObjectDigest::of(b"b").short())),
            input("scaler", How::Gone),
        ]);
        assert_eq!(all(&old, &new), wanted);
        assert!(all(&old, &old).is_empty());
        new.kind = "probe".into();
        assert_eq!(own(&old, &new)[0], change(Part::Kind, to("train", "probe")));
    }
}
