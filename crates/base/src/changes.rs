//! Descriptions of the differences between the parts of two keys: `lr: 0.1 → 0.2`.

use std::fmt;

use crate::record::KeyParts;
use crate::value::{Map, Value};

/// Maximum number of characters of a quoted value: records can come from others.
const LONGEST: usize = 60;

/// A difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Name of the part, such as `lr`, `model.width`, `policy.threads` or `input weights`.
    pub what: String,
    /// Type of the difference.
    pub how: How,
}

/// Type of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// The old and the new value.
    To(String, String),
    /// The part is new. The values of new inputs are not shown.
    New(Option<String>),
    /// The part was removed.
    Gone,
    /// The value changed, but is too long to show in one line.
    Changed,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match &self.how {
            How::To(old, new) => write!(f, "{what}: {old} → {new}"),
            How::New(Some(new)) => write!(f, "{what}: {new} is new"),
            How::New(None) => write!(f, "{what} is new"),
            How::Gone => write!(f, "{what} is gone"),
            How::Changed => write!(f, "{what} changed"),
        }
    }
}

/// Returns the differences between two sets of parts except their inputs: kind, version, parameters, policy.
pub fn own(old: &KeyParts, new: &KeyParts) -> Vec<Change> {
    let mut found = Vec::new();
    if old.kind != new.kind {
        found.push(Change { what: "kind".to_owned(), how: How::To(cut(&old.kind), cut(&new.kind)) });
    }
    if old.version != new.version {
        let how = How::To(old.version.to_string(), new.version.to_string());
        found.push(Change { what: format!("version of {}", cut(&new.kind)), how });
    }
    maps("", &old.parameters, &new.parameters, &mut found);
    maps("policy.", &old.policy, &new.policy, &mut found);
    found
}

/// Returns all differences between two sets of parts: those of [`own`], then the inputs.
pub fn all(old: &KeyParts, new: &KeyParts) -> Vec<Change> {
    let mut found = own(old, new);
    let mut add = |role: &str, how| found.push(Change { what: format!("input {}", cut(role)), how });
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

fn maps(prefix: &str, old: &Map, new: &Map, found: &mut Vec<Change>) {
    let path = |name: &str| format!("{prefix}{}", cut(name));
    for (name, value) in new {
        let how = match (old.get(name), value) {
            (Some(before), _) if before == value => continue,
            (Some(Value::Map(before)), Value::Map(after)) => {
                maps(&format!("{}.", path(name)), before, after, found);
                continue;
            }
            // The contents of lists (such as the panels of a figure) are too long to show in one line.
            (Some(_), Value::List(_)) => How::Changed,
            (Some(before), _) => How::To(cut(before), cut(value)),
            (None, _) => How::New(Some(cut(value))),
        };
        found.push(Change { what: path(name), how });
    }
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    found.extend(gone.map(|name| Change { what: path(name), how: How::Gone }));
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
    fn every_change_has_its_words() {
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
        let words = |changes: Vec<Change>| changes.iter().map(ToString::to_string).collect::<Vec<_>>();
        let mut wanted = vec![
            "version of train: 1 → 2".to_owned(),
            format!("ema: {}… is new", "x".repeat(60)),
            "list changed".to_owned(),
            "lr: 0.1 → 0.2".to_owned(),
            "model.width: 8 → 16".to_owned(),
            "policy.threads is gone".to_owned(),
        ];
        assert_eq!(words(own(&old, &new)), wanted);
        wanted.extend([
            "input ema is new".to_owned(),
            format!("input weights: {} → {}", ObjectDigest::of(b"a").short(), ObjectDigest::of(b"b").short()),
            "input scaler is gone".to_owned(),
        ]);
        assert_eq!(words(all(&old, &new)), wanted);
        assert!(all(&old, &old).is_empty());
    }
}
