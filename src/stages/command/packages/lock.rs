//! Lock files of uv, and which of their packages an environment needs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::markers::Platform;

/// The contents of a lock file that matter here.
#[derive(Debug, Deserialize)]
pub struct Lock {
    #[serde(default, rename = "package")]
    packages: Vec<Package>,
}

/// A package in one version.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    /// The version, unless the package determines it when it is built.
    version: Option<String>,
    #[serde(default)]
    source: Source,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    /// More dependencies, for each extra of the package.
    #[serde(default)]
    optional_dependencies: BTreeMap<String, Vec<Dependency>>,
}

/// Where a package comes from. Only the folders are of interest.
#[derive(Debug, Default, Deserialize)]
struct Source {
    r#virtual: Option<String>,
    editable: Option<String>,
    directory: Option<String>,
}

/// A package that another one needs.
#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// The version, if the file has several.
    version: Option<String>,
    /// The extras that are needed of it.
    #[serde(default)]
    extra: Vec<String>,
    marker: Option<String>,
}

/// A package with its version, if it has a fixed one.
pub type Required = (String, Option<String>);

impl Lock {
    /// Reads a lock file.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut lock: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        lock.packages.iter_mut().for_each(|package| package.name = super::normal(&package.name));
        Ok(lock)
    }

    /// Lists the versions of a package; `None` stands for a version that is not fixed.
    pub fn versions(&self, name: &str) -> BTreeSet<Option<&str>> {
        self.named(name).map(|package| package.version.as_deref()).collect()
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(move |package| package.name == name)
    }

    /// Lists the packages that the project and the installed packages need on this platform, directly or through
    /// others. Extras that nothing asks for, groups of dependencies, and dependencies whose condition does not hold or
    /// cannot be decided are left out.
    pub fn required(&self, platform: &Platform, installed: &BTreeMap<String, String>) -> BTreeSet<Required> {
        let is_present = |package: &&Package| {
            let version = installed.get(&package.name);
            package.is_project() || version.is_some_and(|version| package.is_version(Some(version)))
        };
        let mut waiting: Vec<&Dependency> =
            self.packages.iter().filter(is_present).flat_map(|package| &package.dependencies).collect();
        let (mut required, mut extras) = (BTreeSet::new(), BTreeSet::new());
        while let Some(dependency) = waiting.pop() {
            if dependency.marker.as_ref().is_some_and(|marker| platform.holds(marker) != Some(true)) {
                continue;
            }
            let name = super::normal(&dependency.name);
            for package in self.named(&name).filter(|package| package.is_version(dependency.version.as_deref())) {
                if required.insert((name.clone(), package.version.clone())) {
                    waiting.extend(&package.dependencies);
                }
                for extra in &dependency.extra {
                    if extras.insert((name.clone(), package.version.as_ref(), extra)) {
                        waiting.extend(package.optional_dependencies.get(extra).into_iter().flatten());
                    }
                }
            }
        }
        required
    }
}

impl Package {
    /// Whether this is the project itself.
    fn is_project(&self) -> bool {
        let Source { r#virtual, editable, directory } = &self.source;
        [r#virtual, editable, directory].into_iter().flatten().any(|folder| folder == ".")
    }

    /// Whether the package has a version, or one of the two is not fixed.
    fn is_version(&self, version: Option<&str>) -> bool {
        self.version.as_deref().zip(version).is_none_or(|(own, version)| own == version)
    }
}
