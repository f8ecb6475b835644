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
    ("cli", &["bench", "cost", "differ", "engine", "graph", "plan", "reports", "spec", "stages", "stress", "verify"]),
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
