//! Checks that a Python virtual environment holds the packages of its lock file.

mod lock;
mod markers;

use std::collections::BTreeMap;
use std::path::Path;

use lock::Lock;
use markers::Platform;

/// Packages that installers add by themselves.
const INSTALLERS: [&str; 3] = ["pip", "setuptools", "wheel"];

/// Maximum size of the file that describes an environment, in bytes.
const CONFIGURATION_LIMIT: u64 = 1 << 20;

/// Compares the installed packages with a lock file of uv: those installed must be locked, with the same versions, and
/// those needed must be installed. Lock files of other tools are part of the key, but are not compared.
///
/// # Errors
/// If there is no environment, the lock file cannot be read, or the two differ. The text says what to do.
pub fn check(path: &str, text: &str, environment: Option<&Path>) -> Result<(), String> {
    if !path.ends_with("uv.lock") {
        return Ok(());
    }
    let Some(environment) = environment else {
        return Err(format!("{path} names packages, but the project has no environment `.venv`: run `uv sync`"));
    };
    let lock = Lock::read(text).map_err(|error| format!("{path}: {error}"))?;
    let installed = installed(environment);
    for (name, version) in &installed {
        let versions = lock.versions(name);
        let is_locked = versions.contains(&Some(version)) || versions.contains(&None);
        if is_locked || (versions.is_empty() && INSTALLERS.contains(&name.as_str())) {
            continue;
        }
        let wanted: Vec<_> = versions.into_iter().flatten().collect();
        let what = match wanted.is_empty() {
            true => "does not name it".to_owned(),
            false => format!("names {}", wanted.join(" or ")),
        };
        return Err(format!("{name} {version} is installed, but {path} {what}: run `uv sync`"));
    }
    for (name, version) in lock.required(&platform(environment), &installed) {
        let found = installed.get(&name);
        if found.is_none() || version.as_ref().is_some_and(|version| Some(version) != found) {
            let version = version.map(|version| format!(" {version}")).unwrap_or_default();
            return Err(format!("{name}{version} is in {path} but not installed: run `uv sync`"));
        }
    }
    Ok(())
}

/// Returns the installed packages with their versions, according to the names of their `.dist-info` folders.
fn installed(environment: &Path) -> BTreeMap<String, String> {
    let lib = environment.join("lib");
    let pythons = files::list(&lib).unwrap_or_default().into_iter().filter(|name| name.starts_with("python"));
    let inside = |python: String| files::list(&lib.join(python).join("site-packages")).unwrap_or_default();
    let package = |folder: String| {
        let (name, version) = folder.strip_suffix(".dist-info")?.rsplit_once('-')?;
        Some((normal(name), version.to_owned()))
    };
    pythons.flat_map(inside).filter_map(package).collect()
}

/// Describes the Python of an environment, according to its file `pyvenv.cfg`.
fn platform(environment: &Path) -> Platform {
    let bytes = files::read_regular(&environment.join("pyvenv.cfg"), CONFIGURATION_LIMIT).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let setting = |name: &str| {
        let mut settings = text.lines().filter_map(|line| line.split_once('='));
        settings.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
    };
    // The programs that make environments name the version differently.
    Platform {
        python: setting("version_info").or_else(|| setting("version")),
        implementation: setting("implementation"),
    }
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
    /// A lock file of uv 0.13.9, shortened: the project needs requests with an extra, attrs, and others only elsewhere.
    const LOCK: &str = r#"
version = 1
revision = 5
requires-python = ">=3.9"
[[package]]
name = "attrs"
version = "26.1.0"
source = { registry = "https://packages.example/simple" }
[[package]]
name = "colorama"
version = "0.4.6"
source = { registry = "https://packages.example/simple" }
[[package]]
name = "iniconfig"
version = "2.3.1"
source = { registry = "https://packages.example/simple" }
[[package]]
name = "my-analysis"
version = "0.1.0"
source = { virtual = "." }
dependencies = [
    { name = "attrs" },
    { name = "colorama", marker = "sys_platform == 'win32'" },
    { name = "requests", version = "2.32.5", extra = ["socks"], marker = "python_full_version < '3.10'" },
    { name = "requests", version = "2.34.2", extra = ["socks"], marker = "python_full_version >= '3.10'" },
]
[package.optional-dependencies]
plot = [
    { name = "six" },
]
[package.dev-dependencies]
dev = [
    { name = "iniconfig" },
]
[[package]]
name = "pysocks"
version = "1.7.1"
source = { registry = "https://packages.example/simple" }
[[package]]
name = "requests"
version = "2.32.5"
source = { registry = "https://packages.example/simple" }
[package.optional-dependencies]
socks = [
    { name = "pysocks" },
]
[[package]]
name = "requests"
version = "2.34.2"
source = { registry = "https://packages.example/simple" }
dependencies = [
    { name = "urllib3" },
]
[package.optional-dependencies]
socks = [
    { name = "pysocks" },
]
[[package]]
name = "six"
version = "1.17.0"
source = { registry = "https://packages.example/simple" }
dependencies = [
    { name = "iniconfig" },
]
[[package]]
name = "urllib3"
version = "2.8.0"
source = { registry = "https://packages.example/simple" }
"#;

    #[test]
    fn what_is_needed_must_be_installed() {
        let folder = tempfile::tempdir().unwrap();
        let packages = folder.path().join("lib/python3.11/site-packages");
        let put = |name: &str| std::fs::create_dir_all(packages.join(format!("{name}.dist-info"))).unwrap();
        let remove = |name: &str| std::fs::remove_dir(packages.join(format!("{name}.dist-info"))).unwrap();
        std::fs::write(folder.path().join("pyvenv.cfg"), "home = /usr/bin\nversion_info = 3.11.7\n").unwrap();
        let said = || check("uv.lock", LOCK, Some(folder.path()));
        let all = ["attrs-26.1.0", "requests-2.34.2", "PySocks-1.7.1", "urllib3-2.8.0"];
        all.iter().for_each(|name| put(name));
        // Neither other platforms nor extras nor groups are needed.
        assert_eq!(said(), Ok(()));
        for (name, wanted) in all.iter().zip(["attrs 26.1.0", "requests 2.34.2", "pysocks 1.7.1", "urllib3 2.8.0"]) {
            remove(name);
            assert_eq!(said(), Err(format!("{wanted} is in uv.lock but not installed: run `uv sync`")));
            put(name);
        }
        // The other version is locked too, but for another Python.
        remove("requests-2.34.2");
        put("requests-2.32.5");
        assert!(said().unwrap_err().starts_with("requests 2.34.2 is in uv.lock but not installed"));
        remove("requests-2.32.5");
        put("requests-2.34.2");
        // An installed extra needs its own dependencies.
        put("six-1.17.0");
        assert!(said().unwrap_err().starts_with("iniconfig 2.3.1 is in uv.lock but not installed"));
    }

    #[test]
    fn a_project_that_determines_its_version_can_be_installed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("lib/python3.11/site-packages/own-0.1.dev3.dist-info")).unwrap();
        let lock = "[[package]]\nname = \"own\"\nsource = { editable = \".\" }\n";
        assert_eq!(check("uv.lock", lock, Some(folder.path())), Ok(()));
    }
}
