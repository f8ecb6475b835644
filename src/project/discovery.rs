//! Finds a project from one of its sub-folders, like cargo and git.

use std::path::{Path, PathBuf};

use super::Project;
use super::targets::folder::is_pipeline;
use files::Account;
use store::Options;

/// Name of the folder with the pipelines, in the project's folder.
const PIPELINES: &str = "pipelines";
/// Names of which a project's folder contains at least one besides the pipelines: results, a list of keys or remotes,
/// or a repository.
const MARKS: [&str; 6] = ["reports", "cache", "trust.toml", "remotes.toml", "cluster.toml", ".git"];

/// Paths that the user gave. All other places are in the project's folder.
#[derive(Debug, Clone, Default)]
pub struct NamedPlaces {
    /// The store.
    pub cache: Option<PathBuf>,
    /// The folder with the figures.
    pub reports: Option<PathBuf>,
    /// The folder with the pipelines.
    pub pipelines: Option<PathBuf>,
    /// The file with the trusted keys.
    pub trust: Option<PathBuf>,
    /// The file with the remotes.
    pub remotes: Option<PathBuf>,
    /// The file with the settings of the cluster.
    pub cluster: Option<PathBuf>,
}

impl Project {
    /// Finds the project of a user whose current folder is `here`. All paths can be used from there: paths that the user
    /// gave are left as they are, and the others start with the project's folder, such as `../cache`.
    ///
    /// If the user gave the folder of the pipelines, or `here` has a folder `pipelines`, the project's folder is `here`.
    /// Otherwise it is the nearest parent folder with a folder `pipelines` that contains a pipeline. To rule out unrelated
    /// folders of this name, the parent must also contain `reports`, `cache`, `trust.toml`, `remotes.toml`,
    /// `cluster.toml` or `.git`. The search ends at the user's home, at the root of a file system, and before a folder that
    /// another user owns, because pipelines of other users must not be run by accident.
    pub fn find(named: NamedPlaces, here: Option<&Path>, home: Option<&Path>, options: Options) -> Self {
        let root = match (&named.pipelines, here) {
            (None, Some(here)) => root_above(here, home).unwrap_or_default(),
            _ => PathBuf::new(),
        };
        let place = |named: Option<PathBuf>, name: &str| named.unwrap_or_else(|| root.join(name));
        Self {
            cache: place(named.cache, "cache"),
            reports: place(named.reports, "reports"),
            pipelines: place(named.pipelines, PIPELINES),
            trust: place(named.trust, "trust.toml"),
            remotes: place(named.remotes, "remotes.toml"),
            cluster: place(named.cluster, "cluster.toml"),
            options,
        }
    }
}

/// Returns the relative path from a folder up to the project's folder, such as `../..`; `None` if they are the same, or if
/// there is no project.
fn root_above(here: &Path, home: Option<&Path>) -> Option<PathBuf> {
    if files::identity(&here.join(PIPELINES)).is_ok_and(|found| found.is_some()) {
        return None;
    }
    let home = home.and_then(|home| files::canonical(home).ok());
    let (user, device) = (Account::current().user, files::device(here).ok()?);
    let mut way = PathBuf::new();
    for (below, folder) in here.ancestors().zip(here.ancestors().skip(1)) {
        if home.as_deref() == Some(below) || files::device(folder).ok() != Some(device) || !is_owned(folder, user) {
            return None;
        }
        way.push("..");
        if is_project(folder, user) {
            return Some(way);
        }
    }
    None
}

fn is_project(folder: &Path, user: u32) -> bool {
    let pipelines = folder.join(PIPELINES);
    let has = |name: &&str| files::identity(&folder.join(name)).is_ok_and(|found| found.is_some());
    is_owned(&pipelines, user)
        && MARKS.iter().any(has)
        && files::list(&pipelines).is_ok_and(|names| names.iter().any(|name| is_pipeline(name)))
}

fn is_owned(path: &Path, user: u32) -> bool {
    files::access(path).is_ok_and(|access| access.is_some_and(|access| access.owner == user))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a project in a home folder, with nested folders in it.
    fn made() -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let project = home.path().canonicalize().unwrap().join("work/project");
        std::fs::create_dir_all(project.join("pipelines")).unwrap();
        std::fs::create_dir_all(project.join("notes/2026/may")).unwrap();
        std::fs::create_dir(project.join("reports")).unwrap();
        std::fs::write(project.join("pipelines/fig1.toml"), "").unwrap();
        (home, project)
    }

    #[test]
    fn a_project_is_found_from_its_sub_folders() {
        let (_home, project) = made();
        let found = |below: &str| root_above(&project.join(below), None);
        assert_eq!(found("notes"), Some("..".into()));
        assert_eq!(found("notes/2026/may"), Some("../../..".into()));
        assert_eq!(found("pipelines"), Some("..".into()));
        assert_eq!(found(""), None, "this is the project's folder");
        // The nearest one counts, even if it has no pipeline yet.
        std::fs::create_dir(project.join("notes/2026/pipelines")).unwrap();
        assert_eq!(found("notes/2026"), None);
        assert_eq!(found("notes/2026/may"), Some("../../..".into()), "a folder without a pipeline is not a project");
    }

    #[test]
    fn a_folder_of_pipelines_alone_is_no_project() {
        let (_home, project) = made();
        let notes = project.join("notes");
        std::fs::remove_dir(project.join("reports")).unwrap();
        assert_eq!(root_above(&notes, None), None);
        for mark in MARKS {
            std::fs::create_dir(project.join(mark)).unwrap();
            assert_eq!(root_above(&notes, None), Some("..".into()), "{mark}");
            std::fs::remove_dir(project.join(mark)).unwrap();
        }
        std::fs::create_dir(project.join("cache")).unwrap();
        std::fs::rename(project.join("pipelines/fig1.toml"), project.join("pipelines/.#fig1.toml")).unwrap();
        assert_eq!(root_above(&notes, None), None, "files that editors leave are not pipelines");
    }

    #[test]
    fn the_search_ends_at_home_and_where_another_user_owns_a_folder() {
        let (_home, project) = made();
        let deep = project.join("notes/2026/may");
        assert_eq!(root_above(&deep, Some(&project)), Some("../../..".into()), "a home can be a project");
        assert_eq!(root_above(&deep, Some(&project.join("notes"))), None);
        assert_eq!(root_above(&deep, Some(&project.join("notes/elsewhere"))), Some("../../..".into()));
        // Only root can give a folder away.
        if Account::current().user == 0 {
            let give = |path: &Path, user| std::os::unix::fs::chown(path, Some(user), None).unwrap();
            for path in [project.join("notes"), project.clone(), project.join("pipelines")] {
                give(&path, 12345);
                assert_eq!(root_above(&deep, None), None, "{}", path.display());
                give(&path, 0);
            }
            assert_eq!(root_above(&deep, None), Some("../../..".into()));
        }
    }

    #[test]
    fn places_that_the_user_names_stay_as_they_are() {
        let (_home, project) = made();
        let notes = project.join("notes");
        let find = |named: NamedPlaces| Project::find(named, Some(&notes), None, Options::default());
        let all = find(NamedPlaces::default());
        let shown =
            [&all.cache, &all.reports, &all.pipelines, &all.trust, &all.remotes].map(|path| path.display().to_string());
        assert_eq!(shown, ["../cache", "../reports", "../pipelines", "../trust.toml", "../remotes.toml"]);
        let own = find(NamedPlaces { cache: Some("mine".into()), ..NamedPlaces::default() });
        assert_eq!((own.cache, own.pipelines), ("mine".into(), "../pipelines".into()));
        // If the user gives the pipelines, the other places are not those of the project above.
        let other = find(NamedPlaces { pipelines: Some("p".into()), ..NamedPlaces::default() });
        assert_eq!((other.cache, other.pipelines), ("cache".into(), "p".into()));
    }
}
