//! The levels that this machine offers, tried once.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::landlock;
use crate::order::{Level, SandboxError};

/// An installed bubblewrap that works.
#[derive(Debug)]
pub(crate) struct Bubblewrap {
    /// Its absolute path.
    pub program: PathBuf,
    /// Its version: major and minor number.
    version: (u32, u32),
}

impl Bubblewrap {
    /// Returns the bubblewrap of this machine.
    ///
    /// # Errors
    /// If there is none that works.
    pub fn get() -> Result<&'static Self, SandboxError> {
        static FOUND: OnceLock<Result<Bubblewrap, String>> = OnceLock::new();
        let unavailable = |why: &String| SandboxError::Unavailable { level: Level::Namespaces, why: why.clone() };
        FOUND.get_or_init(Self::find).as_ref().map_err(unavailable)
    }

    fn find() -> Result<Self, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let candidates = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
        let program = candidates.map(|folder| folder.join("bwrap")).find(|program| program.is_file());
        let program = program.ok_or("there is no program `bwrap` (package bubblewrap) in PATH")?;
        let version = Command::new(&program).arg("--version").output().map_err(|error| error.to_string())?;
        let version = parse_version(&String::from_utf8_lossy(&version.stdout));
        let found = Self { program, version };
        // Some systems let nobody, or only root, make namespaces, and in some containers /proc cannot be mounted.
        let mut attempt = Command::new(&found.program);
        attempt.args(["--unshare-all", "--unshare-user", "--die-with-parent", "--hostname", "wdpipe", "--uid", "1000"]);
        attempt.args(["--gid", "1000", "--cap-drop", "ALL", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]);
        let ended = attempt.args(["true"]).stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        match ended.status.success() {
            true => Ok(found),
            false => Err(format!("bwrap failed: {}", String::from_utf8_lossy(&ended.stderr).trim())),
        }
    }

    /// Whether it can limit the size of a file system in memory.
    pub fn has_sizes(&self) -> bool {
        self.version >= (0, 7)
    }
}

fn parse_version(text: &str) -> (u32, u32) {
    let mut numbers = text.split_whitespace().last().unwrap_or_default().split('.').map(|number| number.parse());
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (0, 0),
    }
}

/// Returns the levels that this machine offers, the strictest first.
pub fn available() -> Vec<Level> {
    Level::ALL.into_iter().filter(|level| why_not(*level).is_none()).collect()
}

/// Returns the reason why this machine does not offer a level; `None` if it does.
pub fn why_not(level: Level) -> Option<String> {
    match level {
        Level::Namespaces => match Bubblewrap::get() {
            Err(SandboxError::Unavailable { why, .. }) => Some(why),
            _ => None,
        },
        Level::Landlock => landlock::abi().is_none().then(|| "this kernel has no Landlock (Linux 5.13)".to_owned()),
        Level::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(parse_version("bubblewrap 0.8.0\n"), (0, 8));
        assert_eq!(parse_version("bubblewrap 0.11.1"), (0, 11));
        assert_eq!(parse_version("?"), (0, 0));
    }

    #[test]
    fn no_restriction_is_always_available() {
        assert_eq!(available().last(), Some(&Level::None));
    }
}
