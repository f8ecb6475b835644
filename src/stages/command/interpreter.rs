//! Versions of well-known interpreters, which their paths do not tell.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sandbox::{How, Limits, Order};

/// Beginnings of the names of interpreters that print their version with `--version`.
const KNOWN: [&str; 5] = ["python", "Rscript", "julia", "perl", "node"];

/// Time limit in seconds.
const SECONDS: f64 = 5.0;
/// Maximum length of a version in characters.
const LENGTH: usize = 80;

/// Returns what the program of an order says about its version, or `None` if it is not a known interpreter or says
/// nothing. Asks each program once in this process, in the sandbox of the order and an empty folder.
pub fn version(order: &Order, program: &Path, folder: PathBuf, cancelled: &dyn Fn() -> bool) -> Option<String> {
    static ASKED: Mutex<BTreeMap<PathBuf, Option<String>>> = Mutex::new(BTreeMap::new());
    let name = Path::new(order.program.first()?).file_name()?.to_str()?;
    if !KNOWN.iter().any(|known| name.starts_with(known)) {
        return None;
    }
    let mut asked = ASKED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(version) = asked.get(program) {
        return version.clone();
    }
    let words = [order.program.first()?.clone(), OsString::from("--version")].to_vec();
    let limits = Limits { seconds: SECONDS, ..order.limits };
    let order = Order { program: words, folder, reads: Vec::new(), limits, ..order.clone() };
    let ended = sandbox::run(&order, cancelled).ok().filter(|ended| ended.how == How::Exited(0));
    let version = ended.and_then(|ended| first_line(&String::from_utf8_lossy(&ended.log)));
    asked.insert(program.to_owned(), version.clone());
    version
}

/// Returns the first line with letters, without control characters.
fn first_line(text: &str) -> Option<String> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(LENGTH).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_the_first_line() {
        assert_eq!(first_line("\n\nThis is perl 5\u{7}, version 36\nCopyright").unwrap(), "This is perl 5, version 36");
        assert_eq!(first_line("\n \n"), None);
        assert_eq!(first_line(&"x".repeat(500)).unwrap().len(), LENGTH);
    }
}
