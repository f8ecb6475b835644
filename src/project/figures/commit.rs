//! The commit that a page is written from.

use std::path::Path;
use std::process::Command;

use crate::project::{ExitCode, Failure, count};

/// Returns the project's commit with its date, and the number of files that differ from it. Pages are not counted, since
/// they are written before they are committed.
///
/// # Errors
/// If git cannot be run, or the project has no commit.
pub fn commit(root: &Path) -> Result<String, Failure> {
    let commit = git(root, &["log", "-1", "--format=%H of %cs"])?;
    let changed = git(root, &["status", "--porcelain", "--", ".", ":(exclude)reports/*/index*.html"])?;
    let changes = match changed.lines().count() {
        0 => String::new(),
        files => format!(", with changes in {}", count(files, "file")),
    };
    Ok(format!("{}{changes}", commit.trim()))
}

fn git(root: &Path, arguments: &[&str]) -> Result<String, Failure> {
    let failure = |why: &str| {
        let message = format!("git does not say which commit this is: {}", why.trim());
        Failure::new(ExitCode::Failed, message, "`wdpipe report` without --commit writes the page without it")
    };
    let folder = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let output = Command::new("git").current_dir(folder).args(arguments).output();
    let output = output.map_err(|error| failure(&error.to_string()))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(failure(&String::from_utf8_lossy(&output.stderr))),
    }
}
