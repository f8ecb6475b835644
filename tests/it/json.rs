//! docs/json.md names every field that commands print with `--json`, and its type.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::environment::Environment;

/// The documented fields of a command: paths, split into their parts, and types.
type Fields = Vec<(Vec<String>, String)>;

fn checkout(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// Reads the tables of docs/json.md by command.
fn documented() -> BTreeMap<String, Fields> {
    let mut found: BTreeMap<String, Fields> = BTreeMap::new();
    let mut command = String::new();
    for line in checkout("docs/json.md").lines() {
        if let Some(heading) = line.strip_prefix("### ") {
            heading.clone_into(&mut command);
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", names, kind, _, ""] = cells[..]
            && names.starts_with('`')
        {
            let names = names.split('`').skip(1).step_by(2);
            let fields = names.map(|name| (parts(name), kind.to_owned()));
            found.entry(command.clone()).or_default().extend(fields);
        }
    }
    found
}

/// Splits a path: `a[].b` has the parts `a`, `[]` and `b`.
fn parts(path: &str) -> Vec<String> {
    let apart = path.replace("[]", ".[].").replace("within_2.5", "within_2\0");
    apart.split('.').filter(|part| !part.is_empty()).map(|part| part.replace('\0', ".5")).collect()
}

fn is_of(kind: &str, value: &Value) -> bool {
    let (kind, or_null) = kind.strip_suffix(" or null").map_or((kind, false), |kind| (kind, true));
    match (kind, value) {
        (_, Value::Null) => or_null,
        ("text", Value::String(_)) | ("boolean", Value::Bool(_)) | ("number", Value::Number(_)) => true,
        ("object", Value::Object(_)) | ("list", Value::Array(_)) => true,
        ("integer", Value::Number(number)) => number.is_u64() || number.is_i64(),
        ("reason", Value::String(_) | Value::Object(_)) => true,
        ("value", Value::String(_) | Value::Number(_)) => true,
        _ => false,
    }
}

/// Adds what is wrong with a value at a path.
fn check(fields: &Fields, path: &mut Vec<String>, value: &Value, wrong: &mut Vec<String>) {
    let is_here = |documented: &[String]| {
        let fits = |(one, own): (&String, &String)| one == own || (one == "NAME" && own != "[]");
        documented.len() == path.len() && documented.iter().zip(&*path).all(fits)
    };
    // A field's own name counts before a wildcard.
    let own = fields.iter().find(|(documented, _)| documented == path);
    let here = own.or_else(|| fields.iter().find(|(documented, _)| is_here(documented))).map(|(_, kind)| kind.as_str());
    let free = here.is_some_and(|kind| kind.starts_with("reason"));
    match (here, value) {
        (Some(kind), value) if !is_of(kind, value) => wrong.push(format!("{path:?} is no {kind}: {value}")),
        (None, Value::Object(_) | Value::Array(_)) | (Some(_), _) => {}
        (None, value) => wrong.push(format!("{path:?} is not documented: {value}")),
    }
    let children: Vec<(String, &Value)> = match value {
        Value::Object(fields) if !free => fields.iter().map(|(name, value)| (name.clone(), value)).collect(),
        Value::Array(values) => values.iter().map(|value| ("[]".to_owned(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in children {
        path.push(name);
        check(fields, path, value, wrong);
        path.pop();
    }
}

#[test]
fn answers_have_the_documented_fields_and_types() {
    let environment = Environment::new();
    // Commands about all pipelines are faster with two of them.
    let (checkout, pipelines) = (Path::new(env!("CARGO_MANIFEST_DIR")), environment.path("pipelines"));
    std::fs::create_dir(&pipelines).unwrap();
    for name in ["fig3.toml", "fig4.toml"] {
        std::fs::copy(checkout.join("pipelines").join(name), pipelines.join(name)).unwrap();
    }
    let run = |arguments: &[&str]| environment.command(arguments).env("WDPIPE_PIPELINES", &pipelines).output().unwrap();
    let archive = checkout.join("reports/smoke/fig3.wdpipe");
    let other = ["--set", "valley.noise=0.4"];
    for before in [
        &["cache", "import", archive.to_str().unwrap(), "--accept", "unsigned"][..],
        &[&["make", "fig4"], &other[..]].concat(),
        &["make", "fig4"],
        &["keys", "generate"],
        &["cache", "pin", "fig4"],
    ] {
        assert!(run(before).status.success(), "{before:?}");
    }
    let fields = documented();
    for (command, rest) in [
        ("make", "fig4"),
        ("make --dry-run", "fig4 --set valley.noise=0.3"),
        ("status", "fig4"),
        ("explain", "fig4"),
        ("explain", "fig3/trunk[lr=0.1,seed=0]@5 --set trunk.wd=0.5"),
        ("graph --format json", "fig4"),
        ("show", "fig4/valley"),
        ("numbers", "fig4"),
        ("check", ""),
        ("compare", "fig3"),
        ("diff", "fig4 --set-b valley.noise=0.4"),
        ("bisect", "fig3 --set-b lr=[0.1]"),
        ("lock", "fig4"),
        ("verify", "fig4"),
        ("whois", "reports/smoke/fig4.svg"),
        ("doctor", ""),
        ("keys list", ""),
        ("data list", ""),
        ("cache export", "fig4 fig4.wdpipe"),
        ("crate", "fig4 packed --license MIT"),
        ("cite", "fig4"),
        ("cache import", "fig4.wdpipe --accept unsigned"),
        ("jobs", ""),
        ("cache stats", ""),
        ("cache du", ""),
        ("cache gc", "--dry-run"),
        ("cache check", ""),
        ("cache pins", ""),
    ] {
        let mut arguments: Vec<&str> = command.split(' ').chain(rest.split_whitespace()).collect();
        arguments.extend((!command.contains("json")).then_some("--json"));
        let output = run(&arguments);
        let answer: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", String::from_utf8_lossy(&output.stderr)));
        let mut wrong = Vec::new();
        check(&fields[command], &mut Vec::new(), &answer, &mut wrong);
        assert!(wrong.is_empty(), "{arguments:?}: {wrong:#?}");
    }
}

#[test]
fn every_field_of_an_answer_is_documented() {
    let documented: BTreeSet<String> = documented().into_values().flatten().flat_map(|(parts, _)| parts).collect();
    let (mut count, mut unknown) = (0, Vec::new());
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    for entry in walkdir::WalkDir::new(source).into_iter().map(Result::unwrap) {
        if entry.path().extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        for answer in text.split("#[derive(Serialize)]").skip(1) {
            let body = answer.split_once("{\n").map_or("", |(_, body)| body);
            let body = body.split("\n}").next().unwrap().split("\n    }\n").next().unwrap();
            let (mut renamed, mut flat) = (None, false);
            for line in body.lines().map(str::trim) {
                if let Some(attribute) = line.strip_prefix("#[serde(") {
                    flat = attribute.starts_with("flatten");
                    renamed = attribute.strip_prefix("rename").and_then(|rest| rest.split('"').nth(1));
                } else if let Some((name, _)) = line.split_once(": ").filter(|_| !line.starts_with("//")) {
                    let name = renamed.take().unwrap_or_else(|| name.trim_start_matches("pub "));
                    count += 1;
                    if !std::mem::take(&mut flat) && !documented.contains(name) {
                        unknown.push(format!("{}: {name}", entry.path().display()));
                    }
                }
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
    assert!(count > 150, "only {count} fields were found");
}
