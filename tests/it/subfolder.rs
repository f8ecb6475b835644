//! The program in a folder below the project's: it finds the project, and shows paths that can be used from there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::environment::{Ended, Environment, ended};

/// A project with figure 4, and a folder deep in it in which the program runs.
struct Below {
    environment: Environment,
}

impl Below {
    fn new() -> Self {
        let below = Self { environment: Environment::new() };
        fs::create_dir_all(below.here()).unwrap();
        fs::create_dir_all(below.project("pipelines")).unwrap();
        fs::create_dir(below.project("reports")).unwrap();
        let pipeline = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/fig4.toml");
        fs::copy(pipeline, below.project("pipelines/fig4.toml")).unwrap();
        below
    }

    fn project(&self, name: &str) -> PathBuf {
        self.environment.path("project").join(name)
    }

    fn here(&self) -> PathBuf {
        self.project("notes/may")
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.environment.command(arguments);
        command.env_remove("WDPIPE_PIPELINES").current_dir(self.here());
        ended(&command.output().unwrap())
    }

    fn fine(&self, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended
    }
}

#[test]
fn the_project_is_found_from_below_and_its_paths_are_shown_from_there() {
    let below = Below::new();
    let made = below.fine(&["make", "fig4"]);
    assert!(made.stderr.contains("wrote ../../reports/smoke/fig4.svg\n"), "{}", made.stderr);
    assert!(below.project("reports/smoke/fig4.svg").is_file() && below.project("cache/objects").is_dir());
    // The project's own folder gives the same result.
    let mut at_home = below.environment.command(&["make", "fig4"]);
    let at_home = ended(&at_home.env_remove("WDPIPE_PIPELINES").current_dir(below.project("")).output().unwrap());
    assert!(at_home.stderr.contains("unchanged reports/smoke/fig4.svg\n"), "{}", at_home.stderr);
    assert!(at_home.stderr.contains("0 stages run"), "{}", at_home.stderr);

    assert!(below.fine(&["new", "mine"]).stderr.contains("wrote ../../pipelines/mine.toml"));
    fs::write(below.project("pipelines/wrong.toml"), "title = 1\n").unwrap();
    assert!(below.run(&["check"]).stdout.contains("../../pipelines/wrong.toml"));
    below.fine(&["lock", "fig4"]);
    assert!(below.fine(&["verify", "fig4"]).stdout.contains("ok: 1 figure"));
    assert_eq!(fs::read_dir(below.here()).unwrap().count(), 0, "all of it lies in the project's folder");
}

#[test]
fn paths_that_the_user_gives_are_those_of_the_folder_that_the_user_stands_in() {
    let below = Below::new();
    below.fine(&["make", "fig4", "--cache", "own", "--reports", "figures"]);
    assert!(below.here().join("own/objects").is_dir() && below.here().join("figures/smoke/fig4.svg").is_file());
    assert!(!below.project("cache").exists() && fs::read_dir(below.project("reports")).unwrap().count() == 0);
    below.fine(&["show", "fig4", "--cache", "own", "--output", "svg", "--to", "shown.svg"]);
    assert!(below.here().join("shown.svg").is_file());
    below.fine(&["remote", "add", "lab", "shared"]);
    below.fine(&["push", "fig4", "--cache", "own", "--to", "lab"]);
    assert!(below.here().join("shared/wdpipe-store").is_file() && below.project("remotes.toml").is_file());
    // A pipelines folder that is named is not looked for.
    let ended = below.run(&["status", "--pipelines", "pipelines"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stdout);
    assert!(ended.stderr.contains("in the folder pipelines\n"), "{}", ended.stderr);
}

#[test]
fn a_project_of_another_user_or_above_home_is_not_found() {
    let below = Below::new();
    let lost = |ended: Ended| {
        assert_eq!(ended.code, Some(2), "{}", ended.stdout);
        assert!(ended.stderr.contains("there is no pipeline (*.toml) in the folder pipelines\n"), "{}", ended.stderr);
    };
    below.fine(&["status"]);
    let mut above_home = below.environment.command(&["status"]);
    above_home.env_remove("WDPIPE_PIPELINES").env("HOME", below.project("notes")).current_dir(below.here());
    lost(ended(&above_home.output().unwrap()));
    // SAFETY: takes nothing, always succeeds and changes nothing.
    if unsafe { libc::geteuid() } != 0 {
        println!("skipped: only root can give a folder to another user");
        return;
    }
    std::os::unix::fs::chown(below.project(""), Some(12345), None).unwrap();
    lost(below.run(&["status"]));
}
