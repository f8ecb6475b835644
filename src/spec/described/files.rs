//! The sample pipelines, and the files that are made from the descriptions.

use std::path::PathBuf;

use super::root;

/// If this environment variable is set, the files are written instead of compared.
const BLESS: &str = "WDPIPE_TEST_BLESS";

/// Lists the sample pipelines: those of the paper, the examples, and fixtures with every kind and every field.
pub fn pipelines() -> Vec<PathBuf> {
    let folders = ["pipelines", "examples/commands/pipelines", "tests/fixtures/pipelines", "tests/fixtures/fields"];
    let read = |folder: &str| std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = folders.into_iter().flat_map(read).collect();
    paths.sort();
    paths
}

/// Checks that a file of the checkout has this text, or writes the file.
pub fn compare(name: &str, text: &str) {
    let path = root().join(name);
    if std::env::var_os(BLESS).is_some() {
        files::create_folder(path.parent().unwrap()).unwrap();
        files::replace(&path, text.as_bytes()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = found.lines().zip(text.lines()).position(|(found, made)| found != made);
    let line = differs.map_or(found.lines().count().min(text.lines().count()), |line| line) + 1;
    assert!(found == text, "{name} differs in line {line} from what the code says: run the tests with {BLESS}=1");
}
