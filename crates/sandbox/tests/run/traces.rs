//! What a program looked for.

use std::path::Path;

use sandbox::{AccessKind, Level};

use super::{levels, order};

#[test]
fn undeclared_files_are_named() {
    for level in levels() {
        let (outside, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["declared", "undeclared", "only looked at"] {
            std::fs::write(outside.path().join(name), "x").unwrap();
        }
        let there = outside.path().display();
        let script = format!(
            "cat declared >/dev/null; cat '{there}/undeclared'; test -e '{there}/only looked at'; cd sub;
             cat ../lib/norm.py; echo > made; cat made > $TMPDIR/x; cat $TMPDIR/x; cat {there}/none; exit 1"
        );
        let mut order = order(level, &folder, &script);
        order.reads = vec![
            (outside.path().join("declared"), "declared".into()),
            (outside.path().join("declared"), "sub/other".into()),
        ];
        let accesses = sandbox::trace(&order, &[], &|| false).unwrap();
        let found: Vec<_> = accesses.iter().map(|access| (access.path.as_path(), access.kind, access.exists)).collect();
        let undeclared = outside.path().join("undeclared");
        let looked_at = outside.path().join("only looked at");
        let missing = match level {
            Level::Namespaces => Path::new(sandbox::INSIDE).join("lib/norm.py"),
            _ => folder.path().join("lib/norm.py"),
        };
        let expected = [
            (looked_at.as_path(), AccessKind::Look, true),
            (undeclared.as_path(), AccessKind::Read, true),
            (missing.as_path(), AccessKind::Read, false),
        ];
        assert_eq!(found, expected, "{level}");
        assert_eq!(accesses[2].within.as_deref(), Some(Path::new("lib/norm.py")), "{level}");
    }
}

#[test]
fn a_file_that_is_found_by_listing_a_folder_is_named() {
    for level in levels() {
        let (project, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let names = ["run.sh", "lib/a", "lib/b", "unused"];
        std::fs::create_dir(project.path().join("lib")).unwrap();
        let place = |name: &str| (project.path().join(name), name.into());
        names.iter().for_each(|name| std::fs::write(project.path().join(name), "true").unwrap());
        let mut order =
            order(level, &folder, "sh run.sh; for file in lib/*; do sh $file; done; cat missing; echo > made");
        order.reads = vec![place("run.sh"), place("lib/a")];
        let accesses = sandbox::trace(&order, &names.map(place), &|| false).unwrap();
        let found: Vec<_> = accesses.iter().map(|access| (access.within.as_deref(), access.exists)).collect();
        assert_eq!(found, [(Some(Path::new("lib/b")), true), (Some(Path::new("missing")), false)], "{level}");
    }
}
