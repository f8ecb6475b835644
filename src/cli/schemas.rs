//! Makes the JSON schemas of `trust.toml`, `remotes.toml` and `cluster.toml` from what their readers say about mistakes:
//! a reader that gets an unknown field or a wrong value lists what it accepts.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::cluster::SlurmSite;
use crate::spec::described::compare;
use store::remote::Remotes;
use store::sign::Trust;

/// A field that no file has, and a word that no field accepts.
const UNKNOWN: &str = "zzz";

/// Compares a schema with the committed one.
fn check(name: &str, title: &str, schema: &Value) {
    let mut whole = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "title": title });
    for (key, value) in schema.as_object().unwrap() {
        whole[key] = value.clone();
    }
    compare(&format!("schemas/{name}.json"), &format!("{}\n", serde_json::to_string_pretty(&whole).unwrap()));
}

/// Returns the schema of a table with these properties only.
fn table(properties: Map<String, Value>, required: &[String]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// Returns the words between backquotes.
fn quoted(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn trust_complaint(text: &str) -> String {
    Trust::parse(Path::new("trust.toml"), text).unwrap_err().to_string()
}

/// Returns the words that the reader of `trust.toml` expects after the text `before`.
fn expected(before: &str, value: &str) -> Vec<String> {
    let complaint = trust_complaint(&format!("{before} = {value}\n"));
    quoted(complaint.split_once("expected ").map_or("", |(_, expected)| expected))
}

#[test]
fn the_schema_of_trust_says_what_its_reader_accepts() {
    let unknown = |table: &str| expected(&format!("{table}\n{UNKNOWN}"), "1");
    assert_eq!(unknown(""), ["policy", "key"], "describe the new table below");
    let word = |field: String| {
        let words = expected(&format!("[policy]\n{field}"), &format!("\"{UNKNOWN}\""));
        (field, json!({ "enum": words }))
    };
    let policy = unknown("[policy]").into_iter().map(word).collect();
    let text = |field: String| {
        let complaint = trust_complaint(&format!("[[key]]\n{field} = 1\n"));
        assert!(complaint.contains("expected a string"), "{complaint}");
        (field, json!({ "type": "string" }))
    };
    let key = unknown("[[key]]").into_iter().map(text).collect();
    let (mut given, mut required) = ("[[key]]\n".to_owned(), Vec::new());
    while let Some((_, missing)) = trust_complaint(&given).split_once("missing field ") {
        required.extend(quoted(missing));
        given.push_str(&format!("{} = \"\"\n", required.last().unwrap()));
    }
    let properties = Map::from_iter([
        ("policy".to_owned(), table(policy, &[])),
        ("key".to_owned(), json!({ "type": "array", "items": table(key, &required) })),
    ]);
    check("trust", "The keys that a project of wdpipe trusts", &table(properties, &[]));
}

#[test]
fn the_schema_of_remotes_says_what_its_reader_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let complaint = |text: &str| {
        let path = folder.path().join("remotes.toml");
        files::replace(&path, text.as_bytes()).unwrap();
        Remotes::load(&path).unwrap_err().to_string()
    };
    // "only `url` (a text) and `accept` (a list) are allowed"
    let unknown = complaint(&format!("[lab]\n{UNKNOWN} = 1\n"));
    let (_, allowed) = unknown.split_once("only ").unwrap();
    let kind = |(name, rest): (&str, &str)| {
        let kind = match rest.trim_start().split(')').next() {
            Some("(a text") => json!({ "type": "string" }),
            Some("(a list") => json!({ "type": "array", "items": { "type": "string" } }),
            other => panic!("describe {other:?}"),
        };
        (name.to_owned(), kind)
    };
    let parts: Vec<&str> = allowed.split('`').skip(1).collect();
    let fields = parts.chunks(2).map(|pair| kind((pair[0], pair[1]))).collect();
    let missing = complaint("[lab]\n");
    let required = quoted(missing.split_once("has no ").unwrap().1);
    let remotes = json!({ "type": "object", "additionalProperties": table(fields, &required) });
    check("remotes", "The remotes of a project of wdpipe", &remotes);
}

#[test]
fn the_schema_of_cluster_says_what_its_reader_accepts() {
    let folder = tempfile::tempdir().unwrap();
    let complaint = |field: &str| {
        let path = folder.path().join("cluster.toml");
        files::replace(&path, format!("[slurm]\n{field} = true\n").as_bytes()).unwrap();
        SlurmSite::load(&path, &[]).unwrap_err().message
    };
    let unknown = complaint(&format!("{UNKNOWN}{UNKNOWN}"));
    let (_, known) = unknown.split_once("; known: ").unwrap();
    let known = known.lines().next().unwrap();
    let one = |name: &str| {
        let complaint = complaint(name);
        let (_, wanted) = complaint.split_once(" must be ").unwrap();
        let wanted = wanted.split(", not true").next().unwrap();
        let mut schema = match wanted.strip_prefix("an integer from ").and_then(|range| range.split_once(" to ")) {
            Some((least, most)) => {
                let [least, most] = [least, most].map(|end| end.parse::<u32>().unwrap());
                json!({ "type": "integer", "minimum": least, "maximum": most })
            }
            None if wanted.starts_with("a list") => {
                json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "type": "string" } }] })
            }
            None => json!({ "type": ["string", "integer"] }),
        };
        schema["description"] = wanted.into();
        (name.to_owned(), schema)
    };
    let slurm = table(known.split(", ").map(one).collect(), &[]);
    let properties = Map::from_iter([("slurm".to_owned(), slurm)]);
    check("cluster", "How a project of wdpipe uses a cluster", &table(properties, &[]));
}
