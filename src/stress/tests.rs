use super::work::{content, key, record};
use super::*;

#[test]
fn what_is_written_follows_from_its_number() {
    let contents: std::collections::BTreeSet<_> = (0..60).map(content).collect();
    assert_eq!(contents.len(), 60);
    assert!(contents.iter().any(|bytes| bytes.len() > 20_000) && contents.iter().all(|bytes| bytes.len() < 256 << 10));
    assert_eq!(content(7), content(7));
    assert_eq!(record(7).parts.key(), key(7));
    assert_ne!(key(7), key(8));
}

#[test]
fn only_what_is_needed_and_not_given_is_lacking() {
    let one = |is_needed, is_given| Guarantee { name: "", is_given, is_needed, seen: String::new(), without: "" };
    let report = StressReport {
        system: "",
        guarantees: vec![one(true, true), one(false, false), one(true, false), one(false, true)],
    };
    assert_eq!(report.lacking().collect::<Vec<_>>(), [&one(true, false)]);
}

#[test]
fn a_folder_that_holds_something_or_cannot_be_written_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tried = |path: &Path| {
        let trial = Trial {
            folder: path,
            length: Duration::from_secs(1),
            seed: 1,
            child: &|_| Command::new("false"),
            cancelled: &|| false,
        };
        stress_test(&trial).unwrap_err()
    };
    // A failing child is reported, and no files are left.
    let new = folder.path().join("new");
    assert!(matches!(tried(&new), StressError::Child(_)));
    assert!(files::list(folder.path()).unwrap().is_empty());
    files::create_folder(&new).unwrap();
    assert!(matches!(tried(folder.path()), StressError::NotEmpty(_)));
    assert!(matches!(tried(Path::new("/proc/wdpipe")), StressError::Fs(_)));
}
