//! Code from a project's files that is run only if the user allows it. Whoever opens somebody's project must not run
//! their commands by that.

use std::path::{Path, PathBuf};

use files::FsError;

/// Maximum number of bytes of the file that a consent is kept in.
const LIMIT: u64 = 4 << 20;

/// Code for which the user is asked: once for the same lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// What happens with the lines: `cluster.toml runs this in every job`.
    pub what: String,
    /// The lines, as they are shown.
    pub lines: Vec<String>,
}

impl Consent {
    /// Whether there is nothing to allow.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Returns whether the user has allowed these lines before. `folder` is the user's own, never the project's.
    ///
    /// # Errors
    /// If the file cannot be read, or others could have written it.
    pub fn is_given(&self, folder: &Path) -> Result<bool, FsError> {
        match files::read_private(&self.path(folder), LIMIT) {
            Ok(bytes) => Ok(bytes == self.text().as_bytes()),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Remembers that the user allows these lines.
    ///
    /// # Errors
    /// If the file cannot be written, or others can write to its folder.
    pub fn give(&self, folder: &Path) -> Result<(), FsError> {
        files::create_private(&self.path(folder), self.text().as_bytes()).map(drop)
    }

    fn path(&self, folder: &Path) -> PathBuf {
        folder.join(blake3::hash(self.text().as_bytes()).to_hex().as_str())
    }

    /// Returns what is hashed and kept. Each line is indented, so that different lists of lines have different texts.
    fn text(&self) -> String {
        let line = |line: &String| format!("  {}\n", line.replace('\n', "\n    "));
        format!("{}\n{}", self.what, self.lines.iter().map(line).collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consent(lines: &[&str]) -> Consent {
        Consent { what: "runs".to_owned(), lines: lines.iter().map(|line| (*line).to_owned()).collect() }
    }

    #[test]
    fn a_consent_is_for_the_same_lines_and_for_this_user() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("wdpipe/consent");
        let lines = consent(&["module load cuda", "x"]);
        assert!(!lines.is_given(&folder).unwrap());
        lines.give(&folder).unwrap();
        lines.give(&folder).unwrap();
        assert!(lines.is_given(&folder).unwrap());
        for other in [
            &["module load cuda"][..],
            &["x", "module load cuda"],
            &["module load cuda\nx"],
            &["module load cuda\n  x"],
            &[],
        ] {
            assert!(!consent(other).is_given(&folder).unwrap(), "{other:?}");
        }
        assert!(!Consent { what: "runs elsewhere".to_owned(), ..lines.clone() }.is_given(&folder).unwrap());
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&folder).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o700);
    }
}
