//! The modules use each other in one direction only (ARCHITECTURE.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Modules of the program that each module can use. The Cargo.toml of each crate lists the crates that it can use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("graph", &[]),
    ("cost", &["graph"]),
    ("plan", &["graph"]),
    ("reasons", &["plan"]),
    ("spec", &["graph"]),
    ("differ", &["reasons"]),
    ("reports", &[]),
    ("stress", &[]),
    ("stages", &[]),
    ("engine", &["cost", "graph", "plan", "stages"]),
    ("bench", &["cost", "stages"]),
    ("verify", &["engine", "reports", "stages"]),
    ("watch", &["engine"]),
    ("cluster", &["cost", "engine", "graph", "plan", "project", "spec", "stages"]),
    ("project", &["bench", "cost", "engine", "graph", "plan", "reports", "spec", "stages", "verify"]),
    (
        "cli",
        &[
            "bench", "cluster", "cost", "differ", "engine", "graph", "plan", "project", "reports", "spec", "stages",
            "stress", "verify", "watch",
        ],
    ),
];

#[test]
fn every_use_is_allowed() {
    let allowed: BTreeMap<_, _> = ALLOWED.iter().copied().collect();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = BTreeSet::new();
    for entry in walkdir::WalkDir::new(&source).into_iter().map(|entry| entry.unwrap()) {
        let path = entry.path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let relative = path.strip_prefix(&source).unwrap();
        let module = relative.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
        if ["lib", "main"].contains(&module) {
            continue;
        }
        seen.insert(module.to_owned());
        let uses = allowed.get(module).unwrap_or_else(|| panic!("`{module}` is not in the table"));
        let text = std::fs::read_to_string(path).unwrap();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for part in line.split("crate::").skip(1) {
                let used: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let fine = used.is_empty() || used == module || uses.contains(&used.as_str());
                assert!(fine, "{}:{}: `{module}` may not use `{used}`", relative.display(), number + 1);
            }
        }
    }
    let listed: BTreeSet<_> = allowed.keys().map(|module| (*module).to_owned()).collect();
    assert_eq!(seen, listed, "the table must list exactly the existing modules");
}

/// What the command line leaves to `project`: keys, plans, closures, roots and estimates. `cost` may only describe a
/// GPU.
const COMPUTED: [&str; 17] = [
    "Resolver",
    "Resolved",
    "KeyParts",
    "Preference",
    "Roots::",
    "Producers",
    "Estimates",
    "engine::closure",
    "engine::closure_root",
    "engine::known",
    "engine::make",
    "engine::policy",
    "plan::plan",
    "graph.closure(",
    "Closure::of",
    "expand(",
    "cost::flops",
];

#[test]
fn the_command_line_computes_no_key_plan_root_or_estimate() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli");
    let mut files = 0;
    for entry in walkdir::WalkDir::new(&folder).into_iter().map(|entry| entry.unwrap()) {
        if entry.path().extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        files += 1;
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if let Some(name) = COMPUTED.iter().find(|name| line.contains(**name)) {
                panic!("{}:{}: `{name}` belongs to `project`", entry.path().display(), number + 1);
            }
        }
    }
    assert!(files > 30, "only {files} files");
}

#[test]
fn no_two_types_of_a_crate_share_a_name() {
    for (folder, fewest) in [
        ("src", 200),
        ("crates/base", 40),
        ("crates/draw", 40),
        ("crates/files", 10),
        ("crates/learn", 50),
        ("crates/sandbox", 9),
        ("crates/store", 50),
    ] {
        types_have_names_of_their_own(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), fewest);
    }
}

fn types_have_names_of_their_own(source: &Path, fewest: usize) {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in walkdir::WalkDir::new(source).into_iter().map(|entry| entry.unwrap()) {
        if entry.path().extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(entry.path()).unwrap();
        for line in text.lines().map(str::trim_start).filter(|line| line.starts_with("pub")) {
            let words: Vec<&str> = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
            // `pub struct Name`, or `pub(super) struct Name`.
            let kind = words.iter().position(|word| ["struct", "enum", "trait", "type"].contains(word));
            if let Some(kind) = kind.filter(|kind| *kind <= 4) {
                places.entry(words[kind + 1].to_owned()).or_default().push(entry.path().display().to_string());
            }
        }
    }
    let shared: Vec<_> = places.iter().filter(|(_, places)| places.len() > 1).collect();
    assert!(shared.is_empty(), "{shared:#?}");
    assert!(places.len() >= fewest, "only {} types in {}", places.len(), source.display());
}
