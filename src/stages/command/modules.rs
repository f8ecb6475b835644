//! Advice for a Python program that ended because a module is not installed.

use std::path::Path;

/// The end of Python's message, before the name in quotes.
const MISSING: &str = "ModuleNotFoundError: No module named '";

/// Returns what to do if a log says that a module is missing.
pub fn advice(log: &str, environment: Option<&Path>, lock: Option<&str>) -> Option<String> {
    let module = log.rsplit_once(MISSING)?.1.split(['\'', '.']).next()?;
    Some(match (environment, lock) {
        (Some(folder), Some(lock)) => {
            format!("{module} is not installed in {}: install it there, and add it to {lock}", folder.display())
        }
        (Some(folder), None) => format!("{module} is not installed in {}: install it there", folder.display()),
        (None, Some(lock)) => format!(
            "the project has no .venv, so this is the system's Python, without {module}: create .venv from {lock}, {}",
            match lock.ends_with(".txt") {
                true => format!("with python3 -m venv .venv && .venv/bin/pip install -r {lock}"),
                false => "such as with uv sync".to_owned(),
            }
        ),
        (None, None) => format!("{module} is not installed for the system's Python, and the project has no .venv"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_module_has_advice() {
        let log = "Traceback\nModuleNotFoundError: No module named 'torch.nn'\n";
        let told = |environment: Option<&str>, lock| advice(log, environment.map(Path::new), lock).unwrap();
        assert!(told(None, Some("requirements.txt")).contains("without torch: create .venv from requirements.txt"));
        assert!(told(None, Some("requirements.txt")).ends_with(".venv/bin/pip install -r requirements.txt"));
        assert!(told(None, Some("uv.lock")).ends_with("uv sync"));
        assert!(told(None, None).contains("has no .venv"));
        assert!(told(Some("/p/.venv"), Some("uv.lock")).ends_with("add it to uv.lock"));
        assert!(told(Some("/p/.venv"), None).starts_with("torch is not installed in /p/.venv"));
        assert_eq!(advice("SyntaxError: invalid syntax", None, None), None);
    }
}
