//! Finds the files that commands declare in the project's folder, and hashes them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use base::digest::ObjectDigest;
use base::work::NOT_CODE;

/// Maximum number of files that a pattern can match.
const MOST: usize = 10_000;
/// Maximum size of a file in bytes.
const LIMIT: u64 = 256 << 20;

/// Paths in the project's folder with the hashes of the files, or an error message.
type Hashes = Result<BTreeMap<String, String>, String>;

/// The declared files of a project. Each pattern is looked up once.
#[derive(Debug)]
pub struct Code {
    home: PathBuf,
    known: RefCell<BTreeMap<String, Hashes>>,
}

impl Code {
    /// Creates a value for the project in the folder `home`. Does not access the files yet.
    pub fn new(home: PathBuf) -> Self {
        Self { home, known: RefCell::default() }
    }

    /// Returns the project's folder.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Returns the files that match a path or a pattern such as `lib/**/*.py`, with their hashes.
    ///
    /// # Errors
    /// If the pattern leads out of the project's folder or matches no file, or a file cannot be read. The caller should
    /// report the message at the position of the pattern.
    pub fn named(&self, pattern: &str) -> Hashes {
        if let Some(known) = self.known.borrow().get(pattern) {
            return known.clone();
        }
        let hashes = self.look(pattern);
        self.known.borrow_mut().insert(pattern.to_owned(), hashes.clone());
        hashes
    }

    fn look(&self, pattern: &str) -> Hashes {
        let inside = Path::new(pattern).components().all(|part| matches!(part, Component::Normal(_)));
        if pattern.is_empty() || !inside {
            return Err(format!("`{pattern}` is not a path inside the project's folder"));
        }
        if ["in", "out"].contains(&pattern.split('/').next().unwrap_or_default()) {
            return Err(format!(
                "`{pattern}`: the folders `in` and `out` are those of the command's inputs and outputs"
            ));
        }
        let paths = match pattern.contains(['*', '?', '[']) {
            false => vec![pattern.to_owned()],
            true => self.matching(pattern)?,
        };
        let hash = |path: String| {
            let bytes = files::read_regular(&self.home.join(&path), LIMIT);
            let bytes =
                bytes.map_err(|error| if error.is_missing() { self.missing(&path) } else { error.to_string() })?;
            Ok((path, ObjectDigest::of(&bytes).to_string()))
        };
        paths.into_iter().map(hash).collect()
    }

    fn missing(&self, path: &str) -> String {
        let home = match self.home.as_os_str().is_empty() {
            true => "the current folder".to_owned(),
            false => self.home.display().to_string(),
        };
        format!("there is no file `{path}` in {home}")
    }

    /// Lists the files that match a pattern, except hidden ones.
    fn matching(&self, pattern: &str) -> Result<Vec<String>, String> {
        let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build();
        let matcher = glob.map_err(|error| format!("`{pattern}`: {}", error.kind()))?.compile_matcher();
        // Only the folder before the first wildcard is searched, not the whole project.
        let fixed = pattern.split('/').take_while(|part| !part.contains(['*', '?', '[', '{']));
        let below = fixed.fold(PathBuf::new(), |path, part| path.join(part));
        let start = if self.home.as_os_str().is_empty() { Path::new(".") } else { &self.home };
        let mut found = Vec::new();
        // These folders of the command hold its inputs and outputs.
        let is_meant = |path: &Path| matcher.is_match(path) && !path.starts_with("in") && !path.starts_with("out");
        for (path, _) in files::visible(start, &below, &NOT_CODE).filter(|(path, _)| is_meant(path)) {
            found.push(path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))?.to_owned());
            if found.len() > MOST {
                return Err(format!("`{pattern}` names more than {MOST} files"));
            }
        }
        match found.is_empty() {
            true => Err(format!("no file matches `{pattern}`")),
            false => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_path_and_pattern_and_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        };
        ["a/one.py", "a/lib/two.py", "a/lib/deep/three.py", "a/lib/.hidden.py", "a/lib/note.txt"]
            .iter()
            .for_each(|path| put(path));
        let code = Code::new(folder.path().to_owned());
        let names = |pattern: &str| code.named(pattern).map(|found| found.into_keys().collect::<Vec<_>>());
        assert_eq!(names("a/one.py").unwrap(), ["a/one.py"]);
        assert_eq!(names("a/lib/**/*.py").unwrap(), ["a/lib/deep/three.py", "a/lib/two.py"]);
        put("in/two.py");
        put("out/two.py");
        assert_eq!(names("**/two.py").unwrap(), ["a/lib/two.py"]);
        assert_eq!(names("a/*/*.py").unwrap(), ["a/lib/two.py"]);
        assert_eq!(code.named("a/one.py").unwrap()["a/one.py"], ObjectDigest::of(b"x").to_string());
        for wrong in ["", "/etc/passwd", "../x", "a/../b", "a/none.py", "a/*.rs", "a", "in/x", "out", "a/[.py"] {
            assert!(code.named(wrong).is_err(), "{wrong}: {:?}", code.named(wrong));
        }
        // A pattern is looked up once, so that all instances of a stage agree.
        put("a/lib/four.py");
        assert_eq!(names("a/*/*.py").unwrap(), ["a/lib/two.py"]);
    }
}
