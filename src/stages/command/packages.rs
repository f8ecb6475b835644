//! Checks that all packages installed in a Python virtual environment are in its lock file, with the same versions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Packages that installers add by themselves.
const INSTALLERS: [&str; 3] = ["pip", "setuptools", "wheel"];

/// Compares the installed packages with a lock file of uv. Lock files of other tools are part of the key, but are not
/// compared.
///
/// # Errors
/// If there is no environment, the lock file cannot be read, or an installed package is not in the lock file or has
/// another version there. The text says what to do.
pub fn check(path: &str, text: &str, environment: Option<&Path>) -> Result<(), String> {
    if !path.ends_with("uv.lock") {
        return Ok(());
    }
    let Some(environment) = environment else {
        return Err(format!("{path} names packages, but the project has no environment `.venv`: run `uv sync`"));
    };
    let locked = locked(text).map_err(|error| format!("{path}: {error}"))?;
    for (name, version) in installed(environment) {
        match locked.get(&name) {
            Some(versions) if versions.contains(&version) => {}
            Some(versions) => {
                let wanted: Vec<_> = versions.iter().map(String::as_str).collect();
                return Err(format!(
                    "{name} {version} is installed, but {path} names {}: run `uv sync`",
                    wanted.join(" or ")
                ));
            }
            None if INSTALLERS.contains(&name.as_str()) => {}
            None => return Err(format!("{name} {version} is installed, but {path} does not name it: run `uv sync`")),
        }
    }
    Ok(())
}

/// Returns the versions of each package in a lock file.
fn locked(text: &str) -> Result<BTreeMap<String, BTreeSet<String>>, String> {
    let file: toml::Table = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let mut locked: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in file.get("package").and_then(toml::Value::as_array).into_iter().flatten() {
        let field = |name: &str| package.get(name).and_then(toml::Value::as_str);
        if let Some(name) = field("name") {
            // The entry of the project itself may lack a version.
            locked.entry(normal(name)).or_default().extend(field("version").map(str::to_owned));
        }
    }
    Ok(locked)
}

/// Returns the installed packages with their versions, according to the names of their `.dist-info` folders.
fn installed(environment: &Path) -> Vec<(String, String)> {
    let lib = environment.join("lib");
    let pythons = files::list(&lib).unwrap_or_default().into_iter().filter(|name| name.starts_with("python"));
    let inside = |python: String| files::list(&lib.join(python).join("site-packages")).unwrap_or_default();
    let package = |folder: String| {
        let (name, version) = folder.strip_suffix(".dist-info")?.rsplit_once('-')?;
        Some((normal(name), version.to_owned()))
    };
    pythons.flat_map(inside).filter_map(package).collect()
}

/// Returns the normalized name of a package, as package indexes use it.
fn normal(name: &str) -> String {
    name.to_lowercase().replace(['_', '.'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_must_be_what_is_locked() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            std::fs::create_dir_all(folder.path().join("lib/python3.12/site-packages").join(name)).unwrap();
        };
        let lock = "version = 1\n[[package]]\nname = \"numpy\"\nversion = \"2.1.0\"\n[[package]]\nname = \"my-own\"\n";
        let said = |text: &str| check("a/uv.lock", text, Some(folder.path()));
        ["numpy-2.1.0.dist-info", "numpy", "pip-24.0.dist-info"].iter().for_each(|name| put(name));
        assert_eq!(said(lock), Ok(()));
        put("Six.Seven_eight-1.0.dist-info");
        assert!(said(lock).unwrap_err().contains("six-seven-eight 1.0 is installed, but a/uv.lock does not name it"));
        let more = format!("{lock}[[package]]\nname = \"six-seven-eight\"\nversion = \"1.1\"\n");
        assert!(said(&more).unwrap_err().contains("names 1.1: run `uv sync`"));
        assert!(said("[[package").unwrap_err().starts_with("a/uv.lock: "));
        assert!(check("uv.lock", lock, None).unwrap_err().contains("no environment"));
        assert_eq!(check("renv.lock", "anything", None), Ok(()), "part of the key, but not compared");
    }
}
