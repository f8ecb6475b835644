//! The modules use each other in one direction only (ARCHITECTURE.md).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What each module may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("codec", &[]),
    ("digest", &[]),
    ("expr", &[]),
    ("name", &[]),
    ("parallel", &[]),
    ("stats", &[]),
    ("value", &[]),
    ("changes", &["digest", "record", "value"]),
    ("closure", &["digest", "record", "value"]),
    ("lock", &["closure", "digest", "name"]),
    ("makers", &["digest", "record"]),
    ("record", &["codec", "digest", "value"]),
    ("rng", &["value"]),
    ("table", &["codec"]),
    ("work", &["value"]),
    ("claim", &["rng", "stats"]),
    ("data", &["rng", "work"]),
    ("differ", &["changes", "closure", "digest", "record", "table", "value"]),
    ("figure", &["expr", "rng", "stats", "table", "work"]),
    ("fsx", &[]),
    ("graph", &["claim", "digest", "value", "work"]),
    ("learn", &["digest", "rng", "torch", "work"]),
    ("page", &["table"]),
    ("stamp", &["digest"]),
    ("torch", &["work"]),
    ("valley", &["rng", "table", "work"]),
    ("cost", &["graph", "learn", "work"]),
    ("plan", &["changes", "digest", "graph", "record", "value", "work"]),
    ("spec", &["claim", "expr", "figure", "graph", "name", "work"]),
    ("sign", &["codec", "digest", "fsx"]),
    ("store", &["codec", "digest", "fsx", "makers", "parallel", "record", "sign", "value"]),
    ("torture", &["digest", "fsx", "parallel", "record", "rng", "store", "value"]),
    ("archive", &["closure", "codec", "digest", "fsx", "record", "store", "value", "work"]),
    ("receipt", &["closure", "codec", "digest", "lock", "sign"]),
    ("remote", &["codec", "digest", "fsx", "parallel", "record", "sign", "store"]),
    ("reports", &["digest", "fsx", "lock", "receipt", "stamp"]),
    ("stages", &["data", "digest", "figure", "learn", "parallel", "store", "table", "torch", "valley", "work"]),
    (
        "engine",
        &[
            "closure", "cost", "digest", "graph", "makers", "parallel", "plan", "record", "sign", "stages", "store",
            "value", "work",
        ],
    ),
    ("bench", &["cost", "learn", "parallel", "stages", "store", "torch", "work"]),
    (
        "verify",
        &[
            "archive", "closure", "digest", "engine", "fsx", "lock", "parallel", "receipt", "record", "reports", "rng",
            "sign", "stages", "stats", "store", "table", "work",
        ],
    ),
    (
        "cli",
        &[
            "archive", "bench", "claim", "closure", "cost", "data", "differ", "digest", "engine", "figure", "fsx",
            "graph", "learn", "lock", "makers", "name", "page", "parallel", "plan", "record", "receipt", "remote",
            "reports", "sign", "spec", "stages", "stamp", "stats", "store", "table", "torture", "value", "verify",
            "work",
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
    assert_eq!(seen, listed, "the table lists the modules that there are");
}
