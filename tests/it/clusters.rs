//! `--executor slurm` with commands that only look like Slurm's. `ci/cluster` uses a real one.

use std::os::unix::fs::PermissionsExt;

use super::environment::{Ended, Environment, ended};

const FIGURE: [&str; 5] = ["make", "fig4", "--set", "valley.steps=100", "--executor"];

/// A project beside commands that note what they are given.
struct Site(Environment);

impl Site {
    fn new(cluster: &str) -> Self {
        let environment = Environment::new();
        std::fs::write(environment.path("cluster.toml"), cluster).unwrap();
        let site = Self(environment);
        std::fs::create_dir(site.0.path("bin")).unwrap();
        site.command(
            "scontrol",
            "[ $2 = config ] && echo MaxArraySize = 5 || echo PartitionName=main Default=YES MaxTime=01:00:00",
        );
        site.command("sbatch", "echo \"$*\" >>options; cat >script; echo 4711");
        site.command("squeue", "true");
        site.command("sacct", "true");
        site.command("scancel", "echo \"$*\" >>cancelled");
        site
    }

    fn command(&self, name: &str, script: &str) {
        let path = self.0.path("bin").join(name);
        std::fs::write(&path, format!("#!/bin/bash\ncd {}\n{script}\n", self.0.path("").display())).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let path = format!("{}:/usr/bin:/bin", self.0.path("bin").display());
        ended(&self.0.command(arguments).env("PATH", path).output().unwrap())
    }

    fn make(&self, more: &[&str]) -> Ended {
        self.run(&[&FIGURE[..], &["slurm", "--detach", "--json"], more].concat())
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.0.path(name)).unwrap_or_default()
    }
}

#[test]
fn jobs_are_submitted_with_the_settings_of_the_site() {
    let site = Site::new("[slurm]\npartition = \"main\"\ngpus = \"h200:1\"\ntime = \"30min\"\n");
    let made = site.make(&["--slurm", "memory=4G", "--slurm", "time=20min"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let options = site.text("options");
    for option in [
        "--test-only",
        "--array=0-0",
        "--partition=main",
        "--gpus=h200:1",
        "--mem=4G",
        "--time=0-00:20:00",
        "--signal=B:TERM@120",
    ] {
        assert!(options.contains(option), "{option}: {options}");
    }
    let script = site.text("script");
    assert!(script.starts_with("#!/bin/bash\n") && script.contains("\nexec ") && script.contains(" work "), "{script}");
    let run = serde_json::from_str::<serde_json::Value>(&made.stdout).unwrap()["run"].as_str().unwrap().to_owned();
    assert_eq!(site.run(&["cancel", &run]).code, Some(0));
    assert_eq!(site.text("cancelled"), "4711\n");
}

#[test]
fn code_of_a_project_is_run_only_if_the_user_allows_it() {
    let site = Site::new("[slurm]\nprelude = [\"module load cuda\"]\nflags = [\"--exclusive\"]\n");
    let made = site.make(&[]);
    assert_eq!(made.code, Some(3), "{}", made.stderr);
    for part in ["not allowed yet", "prelude: module load cuda", "sbatch flag: --exclusive", "--yes"] {
        assert!(made.stderr.contains(part), "{}", made.stderr);
    }
    assert!(!site.text("options").contains("--parsable"), "nothing was submitted");
    assert_eq!(site.make(&["--yes"]).code, Some(0));
    assert!(site.text("script").contains("\nmodule load cuda\n"));
    // Once only.
    assert_eq!(site.make(&["--slurm", "cpus=2"]).code, Some(3));
}

#[test]
fn a_site_that_cannot_work_is_refused_before_anything_is_submitted() {
    let site = Site::new("[slurm]\npartitoin = \"main\"\n");
    let made = site.make(&[]);
    assert!(
        made.code == Some(2) && made.stderr.contains("cluster.toml:2: `[slurm]` has no `partitoin`"),
        "{}",
        made.stderr
    );
    let site = Site::new("[slurm]\ntime = \"2h\"\n");
    let made = site.make(&[]);
    assert!(made.code == Some(2) && made.stderr.contains("partition `main` allows: 1 h"), "{}", made.stderr);
    site.command("sbatch", "echo 'allocation failure: Invalid qos specification' >&2; exit 1");
    let made = site.make(&["--slurm", "time=1h", "--slurm", "qos=high"]);
    assert!(made.code == Some(2) && made.stderr.contains("qos `high` cannot be used"), "{}", made.stderr);
    site.command("scontrol", "echo 'Unable to contact slurm controller (connect failure)' >&2; exit 1");
    let made = site.make(&[]);
    assert!(made.code == Some(3) && made.stderr.contains("does not answer"), "{}", made.stderr);
    std::fs::remove_dir_all(site.0.path("bin")).unwrap();
    let made = ended(&site.0.command(&[&FIGURE[..], &["slurm"]].concat()).env("PATH", "/nowhere").output().unwrap());
    assert!(made.code == Some(3) && made.stderr.contains("there is no command"), "{}", made.stderr);
    assert!(!site.text("options").contains("--parsable"), "nothing was submitted");
}
